//! Bad input gets one message that names file, place and remedy, a documented exit code, and
//! leaves nothing behind.

use crate::{repository, run};
use std::path::{Path, PathBuf};

fn demo(file: &str) -> PathBuf {
    repository("demo/digits").join(file)
}

/// A folder with the digits' model and a few rows of data.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for file in ["digits.onnx", "test.npy", "test_labels.npy"] {
            std::fs::copy(demo(file), folder.path().join(file)).unwrap();
        }
        Folder(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path().join(name), bytes).unwrap();
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Runs a command that must fail with `code` and say all of `words`, and leave no file.
    fn refuses(&self, code: i32, words: &[&str], command: &str) {
        let before = self.files();
        let arguments: Vec<&str> = command.split_whitespace().collect();
        let (found, _, errors) = run(self.path(), &arguments);
        assert_eq!(found, code, "{command}: {errors}");
        for word in words {
            assert!(
                errors.contains(word),
                "{command} does not say '{word}': {errors}"
            );
        }
        assert_eq!(before, self.files(), "{command} left a file");
    }
}

#[test]
fn models_that_cannot_be_read() {
    let folder = Folder::new();
    let bytes = std::fs::read(demo("digits.onnx")).unwrap();
    folder.write("half.onnx", &bytes[..bytes.len() / 2]);
    folder.write("noise.mopt", b"MOPT and then nothing that fits");
    folder.write("old.tflite", b"\x1c\0\0\0TFL3\0\0\0\0");
    let inspect = |code, words: &[&str], file: &str| {
        folder.refuses(code, words, &format!("inspect {file}"));
    };
    inspect(2, &["half.onnx", "truncated"], "half.onnx");
    inspect(2, &["noise.mopt", "explain M"], "noise.mopt");
    for (name, words) in [
        ("empty.mopt", "explain M"),
        ("empty.tflite", "TensorFlow Lite"),
    ] {
        folder.write(name, b"");
        inspect(2, &[name, words], name);
    }
    inspect(2, &["old.tflite", "TensorFlow Lite"], "old.tflite");
    inspect(3, &["missing.onnx"], "missing.onnx");
    inspect(2, &["folder"], ".");
}

#[test]
fn data_that_does_not_fit() {
    let folder = Folder::new();
    let quantize = |code, words: &[&str], data: &str| {
        let command = format!("quantize digits.onnx --calib {data} -o x.mopt");
        folder.refuses(code, words, &command);
    };
    let values = (0..64).map(|index| if index == 5 { f32::NAN } else { 1.0 });
    let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
    folder.write("nan.bin", &bytes);
    quantize(2, &["nan.bin", "sample '0', value 5 is NaN"], "nan.bin");
    folder.write("wide.csv", b"1,2,3\n");
    quantize(2, &["a row has 3 values", "[1, 8, 8]"], "wide.csv");
    folder.write("what.xyz", b"?");
    quantize(2, &["what.xyz", "not known"], "what.xyz");
    let test = std::fs::read(demo("test.npy")).unwrap();
    folder.write("half.npy", &test[..test.len() / 2]);
    quantize(2, &["half.npy", "truncated or corrupt"], "half.npy");
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    quantize(2, &["empty", "no samples"], "empty");
    quantize(3, &["gone.npy"], "gone.npy");
    for (option, kind) in [("--window 2", ".bin"), ("--channel 0", ".wav")] {
        let command = format!("evaluate digits.onnx --data test.npy {option}");
        folder.refuses(2, &["test.npy", kind, "leave it out"], &command);
    }
    for command in ["run digits.onnx --input", "optimize digits.onnx --check"] {
        let command = format!("{command} test.npy --window 2");
        folder.refuses(2, &["test.npy", ".bin", "leave it out"], &command);
    }
    // Of two kinds of data, the one that an option is for takes it.
    let plain: Vec<u8> = (0..128u8)
        .flat_map(|value| f32::from(value).to_le_bytes())
        .collect();
    folder.write("plain.bin", &plain);
    let both = "quantize digits.onnx --calib plain.bin --window 8 --eval test.npy -o both.mopt";
    let (code, _, errors) = run(folder.path(), &both.split(' ').collect::<Vec<_>>());
    assert_eq!(code, 0, "{errors}");
    // Nine windows of eight rows in sixteen.
    let answers = "run digits.onnx --input plain.bin --window 8";
    let answers = crate::json(folder.path(), &answers.split(' ').collect::<Vec<_>>());
    assert_eq!(answers.as_array().unwrap().len(), 9);
    let checked = "optimize digits.onnx --check plain.bin --window 8 -o checked.mopt";
    let (_, output, _) = run(folder.path(), &checked.split(' ').collect::<Vec<_>>());
    assert!(output.contains("checked on 9 samples"), "{output}");
    let unchecked = "optimize digits.onnx --window 8";
    folder.refuses(2, &["--window", "--check"], unchecked);
    for command in [
        "evaluate digits.onnx --data test.npy",
        "run digits.onnx --input test.npy",
        "quantize digits.onnx --calib test.npy",
    ] {
        for limit in ["-1", "0", "1.5"] {
            let words = ["--limit", limit, "a whole number above 0"];
            folder.refuses(2, &words, &format!("{command} --limit {limit}"));
        }
    }
    folder.write("latin.txt", b"caf\xe9\n");
    let names = "quantize digits.onnx --calib test.npy --class-names latin.txt";
    folder.refuses(2, &["latin.txt", "one name a line"], names);
    folder.write("short.txt", b"1\n2\n");
    folder.refuses(
        2,
        &["short.txt", "2 labels for the 497 samples"],
        "evaluate digits.onnx --data test.npy --labels short.txt",
    );
}

#[test]
fn options_that_contradict_the_model() {
    let folder = Folder::new();
    let quantize = |words: &[&str], options: &str| {
        let command = format!("quantize digits.onnx --calib test.npy {options}");
        folder.refuses(2, words, &command);
    };
    quantize(&["3 values", "1 channels"], "--mean 1,2,3");
    quantize(&["--std has 2 values"], "--scale -1 --std -1,-2");
    quantize(&["there is no node 'nothing'"], "--keep-float nothing");
    quantize(&["no dynamic dimension 'nothing'"], "--dim nothing=1");
    quantize(&["is none of minmax"], "--method guess");
    quantize(&["write tflm or single"], "--rounding double");
    let int16 = ["--rounding is of int8", "leave it out"];
    quantize(&int16, "--rounding tflm --activations int16");
    quantize(&int16, "--rounding single --int16 Gemm_5");
    let signed = include_bytes!("../../../crates/import/tests/fixtures/signed.tflite");
    folder.write("signed.tflite", signed);
    folder.refuses(
        2,
        &["already quantized", "modelopt optimize signed.tflite"],
        "quantize signed.tflite --calib test.npy",
    );
    // A model in float has none either, whatever the format.
    let svdf = include_bytes!("../../../crates/import/tests/fixtures/svdf.tflite");
    folder.write("svdf.tflite", svdf);
    for file in ["digits.onnx", "svdf.tflite"] {
        for command in ["inspect", "optimize", "run --input test.npy"] {
            let command = format!("{command} {file} --rounding tflm");
            folder.refuses(2, &["no integers of its own", "--rounding"], &command);
        }
    }
    folder.refuses(
        2,
        &["leave out --dim"],
        "inspect signed.tflite --dim batch=2",
    );
    folder.write("x.mopt", b"");
    let compact = "optimize digits.onnx --dim batch=1 -o x.mopt";
    let made = run(folder.path(), &compact.split(' ').collect::<Vec<_>>());
    assert_eq!(made.0, 0, "{}", made.2);
    for option in [
        "--dim batch=1",
        "--shape image=1,1,8,8",
        "--constant image=1",
    ] {
        let command = format!("inspect x.mopt {option}");
        folder.refuses(2, &["x.mopt", "leave out --dim"], &command);
    }
    // Where there is a source model besides, the option is for that one.
    let both = "compare digits.onnx x.mopt --data test.npy --limit 2 --dim batch=1";
    let compared = run(folder.path(), &both.split(' ').collect::<Vec<_>>());
    assert_eq!(compared.0, 0, "{}", compared.2);
    folder.refuses(2, &["source model"], "export signed.tflite --to onnx");
    let evaluate = |code, words: &[&str], options: &str| {
        let command = format!("evaluate digits.onnx --data test.npy --limit 2 {options}");
        folder.refuses(code, words, &command);
    };
    evaluate(2, &["cannot run on wasm"], "--device wasm");
    evaluate(2, &["qemu:BOARD"], "--device toaster");
    evaluate(2, &["is no gate"], "--gate top1");
    evaluate(1, &["was not measured"], "--gate auc>=0.5");
}

#[test]
fn inputs_are_never_overwritten() {
    let folder = Folder::new();
    let quantize = |code, words: &[&str], output: &str| {
        let command = format!("quantize digits.onnx --calib test.npy -o {output}");
        folder.refuses(code, words, &command);
    };
    quantize(2, &["it is an input"], "test.npy");
    quantize(2, &["it is an input"], "./digits.onnx");
    quantize(3, &["does not exist"], "no/such/x.mopt");
    let unwritable = ["the folder /proc cannot be written to", "with -o"];
    quantize(3, &unwritable, "/proc/x.mopt");
    quantize(2, &["is a folder"], "x.mopt/");
    let checked = "optimize digits.onnx --check test.npy -o test.npy";
    folder.refuses(2, &["it is an input"], checked);
    let evaluated = "evaluate digits.onnx --data test.npy --report test.npy";
    folder.refuses(2, &["another file with --report"], evaluated);
    // The name that an exported model has by default is that of its source.
    let command = "quantize digits.onnx --calib test.npy --limit 8";
    let command: Vec<&str> = command.split(' ').collect();
    assert_eq!(run(folder.path(), &command).0, 0);
    let exported = "export digits.mopt --to onnx";
    folder.refuses(2, &["digits.onnx", "name the file with -o"], exported);
    let named = ["export", "digits.mopt", "--to", "onnx", "-o", "other.onnx"];
    assert_eq!(run(folder.path(), &named).0, 0);
    // A compact model's own name is that of the output by default, which is not what is wrong.
    for command in [
        "optimize digits.mopt",
        "quantize digits.mopt --calib test.npy",
    ] {
        folder.refuses(2, &["digits.mopt: is a compact model already"], command);
    }
    let both = "--eval test.npy --report x.html -o x.html";
    let both = format!("quantize digits.onnx --calib test.npy {both}");
    folder.refuses(2, &["by -o and by --report"], &both);
    assert_eq!(
        std::fs::read(folder.path().join("test.npy")).unwrap(),
        std::fs::read(demo("test.npy")).unwrap()
    );
}

/// A name that is no UTF-8 is printed as far as it can be.
#[test]
fn any_name_is_one_of_a_file() {
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::new();
    let named = |ending: &[u8]| {
        let name = [b"\xff odd", ending].concat();
        folder.path().join(std::ffi::OsStr::from_bytes(&name))
    };
    let (onnx, mopt) = (named(b".onnx"), named(b".mopt"));
    std::fs::copy(demo("digits.onnx"), &onnx).unwrap();
    let quantize: [&std::ffi::OsStr; 4] =
        ["quantize", "--calib", "test.npy", "--limit=8"].map(|text| text.as_ref());
    let commands = [
        vec!["optimize".as_ref(), onnx.as_os_str()],
        [&quantize[..], &[onnx.as_os_str()]].concat(),
        vec!["bench".as_ref(), mopt.as_os_str(), "--runs=1".as_ref()],
        vec!["export".as_ref(), mopt.as_os_str(), "--to=tflite".as_ref()],
    ];
    for command in commands {
        let mut program = assert_cmd::Command::cargo_bin("modelopt").unwrap();
        let program = program.current_dir(folder.path()).args(&command);
        let output = program.arg("--json").output().unwrap();
        assert!(output.status.success(), "{command:?}: {output:?}");
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let file = value.get("output").or(value.get("model")).unwrap();
        assert!(file.as_str().unwrap().contains(" odd."), "{value}");
    }
}

/// A pipe gets the bytes and stays a pipe.
#[test]
fn pipes_are_written_to() {
    let folder = Folder::new();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::read(pipe).unwrap()
    });
    let command = ["optimize", "digits.onnx", "-o", "pipe"];
    assert_eq!(run(folder.path(), &command).0, 0);
    let left = std::fs::symlink_metadata(&pipe).unwrap();
    assert!(!left.is_file());
    assert!(reader.join().unwrap().starts_with(b"MOPT"));
}

/// With `--json` there is one value on the standard output, which tells of nothing that is not there.
#[test]
fn failures_are_values_for_programs() {
    let folder = Folder::new();
    let value = |code: i32, command: &str| {
        let arguments: Vec<&str> = command.split_whitespace().chain(["--json"]).collect();
        let (found, output, errors) = run(folder.path(), &arguments);
        assert_eq!(found, code, "{command}: {errors}");
        serde_json::from_str::<serde_json::Value>(&output).unwrap()
    };
    let quantize = "quantize digits.onnx --calib test.npy --limit 8 -o";
    // The name is too long for a file, which shows when it is written.
    let long = format!("{quantize} {}.mopt", "a".repeat(300));
    let commands = [
        (3, "inspect gone.onnx", "gone.onnx: "),
        (2, "quantize digits.onnx", "--calib"),
        (2, "frobnicate", "frobnicate"),
        (3, &long, "aaa.mopt: "),
    ];
    for (code, command, word) in commands {
        let error = value(code, command)["error"].clone();
        assert_eq!(error["code"], code, "{command}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(word), "{command}: {message}");
    }
    let gate = value(
        1,
        &format!("{quantize} x.mopt --eval test.npy --gate samples<=1"),
    );
    assert!(gate["output"].is_null() && gate["verdicts"][0]["passed"] == false);
    assert!(!folder.path().join("x.mopt").exists());
}

/// Sound of two channels needs to be told which, and is taken as asked.
#[test]
fn sound_of_several_channels_is_chosen_from() {
    let folder = Folder::new();
    let mut sound = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0".to_vec();
    // 16,000 frames a second of two values of 16 bits.
    sound.extend(16_000u32.to_le_bytes());
    sound.extend(64_000u32.to_le_bytes());
    sound.extend([4, 0, 16, 0]);
    sound.extend(b"data\0\x01\0\0");
    for frame in 0..64i16 {
        sound.extend((frame * 300).to_le_bytes());
        sound.extend((-frame * 500).to_le_bytes());
    }
    let size = sound.len() as u32 - 8;
    sound[4..8].copy_from_slice(&size.to_le_bytes());
    folder.write("both.wav", &sound);
    let command = "run digits.onnx --input both.wav";
    folder.refuses(2, &["both.wav", "2 channels", "--channel"], command);
    folder.refuses(
        2,
        &["2 channels", "--channel"],
        &format!("{command} --channel 2"),
    );
    let answer = |channel: &str| {
        let command = ["run", "digits.onnx", "--input", "both.wav", "--channel"];
        let answers = crate::json(folder.path(), &[&command[..], &[channel]].concat());
        answers[0]["outputs"][0]["values"].clone()
    };
    let answers = ["0", "1", "mix"].map(answer);
    assert!(answers[0] != answers[1] && answers[1] != answers[2]);
    keeps_what_it_takes_of_sound(&folder, "quantize digits.onnx --calib both.wav");
    keeps_what_it_takes_of_sound(&folder, "optimize digits.onnx");
}

/// A compact model that was told which channel to take takes it; other data may still be read otherwise.
fn keeps_what_it_takes_of_sound(folder: &Folder, command: &str) {
    let run = |arguments: &str| {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        crate::json(folder.path(), &arguments)
    };
    let answer = |model: &str, how: &str| {
        let answers = run(&format!("run {model} --input both.wav{how}"));
        answers[0]["outputs"][0]["values"].clone()
    };
    for (channel, file) in [("1", "one.mopt"), ("mix", "mix.mopt")] {
        run(&format!("{command} --channel {channel} -o {file}"));
        assert_eq!(
            answer(file, ""),
            answer(file, &format!(" --channel {channel}"))
        );
        assert_ne!(answer(file, ""), answer(file, " --channel 0"));
        let inspected = run(&format!("inspect {file}"));
        assert_eq!(inspected["inputs"][0]["preprocess"]["channel"], channel);
    }
    run("compare one.mopt mix.mopt --data both.wav");
}
