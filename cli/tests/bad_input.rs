//! Bad input gets one message that names file, place and remedy, a documented exit code, and
//! leaves nothing behind.

use assert_cmd::Command;
use std::path::{Path, PathBuf};

fn demo(file: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "demo", "digits", file]
        .iter()
        .collect()
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
    fn refuses(&self, code: i32, words: &[&str], arguments: &[&str]) {
        let before = self.files();
        let output = Command::cargo_bin("modelopt")
            .unwrap()
            .current_dir(self.path())
            .args(arguments)
            .output()
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
        for word in words {
            assert!(
                errors.contains(word),
                "{arguments:?} does not say '{word}': {errors}"
            );
        }
        assert_eq!(before, self.files(), "{arguments:?} left a file");
    }
}

const QUANTIZE: [&str; 3] = ["quantize", "digits.onnx", "--calib"];

#[test]
fn models_that_cannot_be_read() {
    let folder = Folder::new();
    let bytes = std::fs::read(demo("digits.onnx")).unwrap();
    folder.write("half.onnx", &bytes[..bytes.len() / 2]);
    folder.write("noise.mopt", b"MOPT and then nothing that fits");
    folder.write("old.tflite", b"\x1c\0\0\0TFL3\0\0\0\0");
    folder.refuses(2, &["half.onnx", "truncated"], &["inspect", "half.onnx"]);
    folder.refuses(2, &["noise.mopt", "explain M"], &["inspect", "noise.mopt"]);
    folder.refuses(2, &["old.tflite", "TFLite"], &["inspect", "old.tflite"]);
    folder.refuses(3, &["missing.onnx"], &["inspect", "missing.onnx"]);
    folder.refuses(2, &["folder"], &["inspect", "."]);
}

#[test]
fn data_that_does_not_fit() {
    let folder = Folder::new();
    let quantize = |data: &str, words: &[&str]| {
        folder.refuses(2, words, &[&QUANTIZE[..], &[data, "-o", "x.mopt"]].concat())
    };
    let nan: Vec<u8> = (0..64)
        .flat_map(|index| (if index == 5 { f32::NAN } else { 1.0 }).to_le_bytes())
        .collect();
    folder.write("nan.bin", &nan);
    quantize("nan.bin", &["nan.bin", "sample '0', value 5 is NaN"]);
    folder.write("wide.csv", b"1,2,3\n");
    quantize("wide.csv", &["wide.csv", "a row has 3 values", "[1, 8, 8]"]);
    folder.write("what.xyz", b"?");
    quantize("what.xyz", &["what.xyz", "not known"]);
    let test = std::fs::read(demo("test.npy")).unwrap();
    folder.write("half.npy", &test[..test.len() / 2]);
    quantize("half.npy", &["half.npy", "truncated or corrupt"]);
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    quantize("empty", &["empty", "no samples"]);
    folder.refuses(3, &["gone.npy"], &[&QUANTIZE[..], &["gone.npy"]].concat());
    folder.refuses(
        2,
        &["labels for the 497 samples"],
        &[
            "evaluate",
            "digits.onnx",
            "--data",
            "test.npy",
            "--labels",
            "short.txt",
        ]
        .map(|word| {
            folder.write("short.txt", b"1\n2\n");
            word
        }),
    );
}

#[test]
fn options_that_contradict_the_model() {
    let folder = Folder::new();
    folder.refuses(
        2,
        &["3 values", "1 channels"],
        &[&QUANTIZE[..], &["test.npy", "--mean", "1,2,3"]].concat(),
    );
    folder.refuses(
        2,
        &["there is no node 'nothing'"],
        &[&QUANTIZE[..], &["test.npy", "--keep-float", "nothing"]].concat(),
    );
    folder.refuses(
        2,
        &["no dynamic dimension 'nothing'"],
        &[&QUANTIZE[..], &["test.npy", "--dim", "nothing=1"]].concat(),
    );
    folder.refuses(
        2,
        &["is none of minmax"],
        &[&QUANTIZE[..], &["test.npy", "--method", "guess"]].concat(),
    );
    folder.refuses(
        2,
        &["cannot run on wasm"],
        &[
            "evaluate",
            "digits.onnx",
            "--data",
            "test.npy",
            "--device",
            "wasm",
        ],
    );
    folder.refuses(
        2,
        &["qemu:BOARD"],
        &[
            "evaluate",
            "digits.onnx",
            "--data",
            "test.npy",
            "--device",
            "toaster",
        ],
    );
    folder.refuses(
        2,
        &["is no gate"],
        &[
            "evaluate",
            "digits.onnx",
            "--data",
            "test.npy",
            "--gate",
            "top1",
        ],
    );
    folder.refuses(
        1,
        &["was not measured"],
        &[
            "evaluate",
            "digits.onnx",
            "--data",
            "test.npy",
            "--limit",
            "2",
            "--gate",
            "auc>=0.5",
        ],
    );
}

#[test]
fn inputs_are_never_overwritten() {
    let folder = Folder::new();
    folder.refuses(
        2,
        &["it is an input"],
        &[&QUANTIZE[..], &["test.npy", "-o", "test.npy"]].concat(),
    );
    folder.refuses(
        2,
        &["it is an input"],
        &[&QUANTIZE[..], &["test.npy", "-o", "./digits.onnx"]].concat(),
    );
    folder.refuses(
        3,
        &["does not exist"],
        &[&QUANTIZE[..], &["test.npy", "-o", "no/such/x.mopt"]].concat(),
    );
    assert_eq!(
        std::fs::read(folder.path().join("test.npy")).unwrap(),
        std::fs::read(demo("test.npy")).unwrap()
    );
}
