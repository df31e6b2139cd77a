//! TensorFlow Lite files, compared bit by bit with TensorFlow Lite Micro itself.
//!
//! The packages are installed by `cargo xtask setup`; where they are missing, or the models
//! beside the repository, tests are skipped and say so.

use compile::Options as CompileOptions;
use format::DType;
use format::fixed::Rounding;
use import::{Imported, Options};
use runtime::host::Runner;
use std::path::{Path, PathBuf};
use std::process::Command;

mod variables;

const MODELS: [&str; 5] = [
    "kws_ds_cnn_int8",
    "ic_resnet8_int8",
    "vww_mobilenet_v1_025_int8",
    "ad_autoencoder_int8",
    "streaming_wakeword_int8",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file beside the repository, or `None` where there is none.
fn shared(path: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("MODELOPT_SHARED");
    let found = folder
        .map_or_else(|| root().join("../shared"), PathBuf::from)
        .join(path);
    if !found.exists() {
        println!("skipped: ../shared is missing");
        return None;
    }
    Some(found)
}

/// Runs the other runtimes by the script, or gives `None` where they are not installed.
fn oracle(arguments: &[&str]) -> Option<()> {
    oracle_of("tflite", arguments)
}

/// As [`oracle`], by a script of that name.
fn oracle_of(script: &str, arguments: &[&str]) -> Option<()> {
    let chosen = std::env::var_os("MODELOPT_ORACLES");
    let folder = chosen.map_or_else(|| root().join("target/oracles"), PathBuf::from);
    let python = folder.join("bin/python");
    if !python.exists() {
        println!("skipped: target/oracles is missing; `cargo xtask setup` makes it");
        return None;
    }
    let mut command = Command::new(python);
    command
        .arg(root().join(format!("tests/oracles/{script}.py")))
        .args(arguments);
    let output = command.output().unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {messages}");
    Some(())
}

fn import(path: &Path) -> Imported {
    import::tflite(path, &Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// The outputs of our runtime for samples one behind the other.
fn run(imported: &Imported, samples: &[u8]) -> Vec<u8> {
    let options = CompileOptions {
        rounding: imported.rounding,
        ..CompileOptions::default()
    };
    let compiled = compile::compile(&imported.graph, &options).unwrap_or_else(|e| panic!("{e}"));
    let mut runner = Runner::new(&compiled.bytes).unwrap();
    let model = runner.model().unwrap();
    let sizes = [
        model.input(0).unwrap().bytes(),
        model.output(0).unwrap().bytes(),
    ];
    let mut session = runner.session().unwrap();
    let mut outputs = Vec::new();
    for sample in samples.chunks(sizes[0]) {
        session.set_input(0, sample).unwrap();
        session.run();
        let mut output = vec![0; sizes[1]];
        session.output(0, &mut output).unwrap();
        outputs.extend(output);
    }
    outputs
}

/// Random bytes, extremes, and both mixed.
fn samples(bytes: usize, count: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    };
    let mut samples = vec![0x80; bytes];
    samples.extend(vec![0x7F; bytes]);
    samples.extend((0..bytes).map(|_| if next() % 2 == 0 { 0x80 } else { 0x7F }));
    samples.extend((0..bytes * count).map(|_| next() as u8));
    samples
}

/// Runs a model here and there on the same random samples, which must give the same bits.
fn compare(name: &str, count: usize) {
    if let Some([equal, all]) = agreement(name, count, "tflm", None) {
        assert_eq!(equal, all, "{name}");
    }
}

/// Samples with the same output here and there, and all of them.
fn agreement(
    name: &str,
    count: usize,
    which: &str,
    rounding: Option<Rounding>,
) -> Option<[usize; 2]> {
    let path = shared(&format!("models/{name}.tflite"))?;
    let options = Options {
        rounding,
        ..Options::default()
    };
    let imported = import::tflite(&path, &options).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(imported.rounding, rounding.unwrap_or(Rounding::Double));
    let input = imported.graph.value(imported.graph.inputs[0].value);
    assert_eq!(input.dtype, DType::I8);
    let samples = samples(input.shape.elements(), count);
    let folder = tempfile::tempdir().unwrap();
    let [from, to] = ["in", "out"].map(|file| folder.path().join(file).display().to_string());
    std::fs::write(&from, &samples).unwrap();
    let path = path.display().to_string();
    oracle(&["run", which, &path, &from, &to])?;
    let expected = std::fs::read(&to).unwrap();
    let outputs = run(&imported, &samples);
    let rows = outputs.len() / (count + 3);
    let equal = outputs
        .chunks(rows)
        .zip(expected.chunks(rows))
        .filter(|(a, b)| a == b)
        .count();
    assert_eq!(outputs.len(), expected.len());
    Some([equal, count + 3])
}

#[test]
fn keyword_spotting_equals_tflm() {
    compare("kws_ds_cnn_int8", 100);
}

#[test]
fn image_classification_equals_tflm() {
    compare("ic_resnet8_int8", 20);
}

#[test]
fn visual_wake_words_equals_tflm() {
    compare("vww_mobilenet_v1_025_int8", 20);
}

#[test]
fn anomaly_detection_equals_tflm() {
    compare("ad_autoencoder_int8", 200);
}

#[test]
fn streaming_wake_word_equals_tflm() {
    compare("streaming_wakeword_int8", 100);
}

/// With one rounding models give what the desktop's kernels give, but for softmax, whose
/// exponentials are of floats there and may be a step off.
#[test]
fn single_rounding_agrees_with_litert() {
    for name in MODELS {
        if let Some([equal, all]) = agreement(name, 50, "litert", Some(Rounding::Single)) {
            println!("{name}: {equal} of {all} samples are equal to LiteRT's");
            assert!(equal * 10 >= all * 9, "{name}");
        }
    }
}

/// Training left most channels of this model without any use.
#[test]
fn dead_channels_go_and_leave_no_trace() {
    let Some(path) = shared("models/vww_mobilenet_v1_025_int8.tflite") else {
        return;
    };
    let mut imported = import(&path);
    let samples = samples(96 * 96 * 3, 20);
    let before = run(&imported, &samples);
    let weights = |imported: &Imported| {
        let values = imported
            .graph
            .constants()
            .into_iter()
            .map(|id| imported.graph.value(id));
        let weights = values.filter(|value| value.dtype == DType::I8);
        weights.map(|value| value.shape.elements()).sum::<usize>()
    };
    assert_eq!(
        (imported.graph.macs(), weights(&imported)),
        (7_489_664, 208_112)
    );
    optimize::run(&mut imported.graph, |_| true).unwrap();
    println!(
        "{} MACs, {} bytes of weights",
        imported.graph.macs(),
        weights(&imported)
    );
    assert!(
        imported.graph.macs() <= 4_130_000,
        "{} MACs",
        imported.graph.macs()
    );
    assert!(weights(&imported) <= 44_000, "{} bytes", weights(&imported));
    assert!(run(&imported, &samples) == before);
}

/// The passes change nothing that integers show.
#[test]
fn passes_keep_every_bit() {
    for name in [
        "kws_ds_cnn_int8",
        "ic_resnet8_int8",
        "streaming_wakeword_int8",
        "ad_autoencoder_int8",
    ] {
        let Some(path) = shared(&format!("models/{name}.tflite")) else {
            return;
        };
        let mut imported = import(&path);
        let input = imported.graph.value(imported.graph.inputs[0].value);
        let samples = samples(input.shape.elements(), 10);
        let before = run(&imported, &samples);
        optimize::run(&mut imported.graph, |_| true).unwrap();
        assert!(run(&imported, &samples) == before, "{name}");
    }
}

/// A small model with inputs and the outputs that another runtime has for them.
struct Case {
    name: String,
    path: PathBuf,
    samples: Vec<u8>,
    expected: Vec<u8>,
}

/// The models that a command of a script writes, or `None` where it cannot run.
fn cases(script: &str, command: &str) -> Option<(tempfile::TempDir, Vec<Case>)> {
    let folder = tempfile::tempdir().unwrap();
    oracle_of(script, &[command, &folder.path().display().to_string()])?;
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "tflite") {
            let [samples, expected] =
                ["in", "out"].map(|end| std::fs::read(path.with_extension(end)).unwrap());
            cases.push(Case {
                name: path.file_stem().unwrap().to_string_lossy().into_owned(),
                path,
                samples,
                expected,
            });
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Some((folder, cases))
}

/// Every operator with its variants, as small models with random weights.
#[test]
fn operators_equal_tflm() {
    equal_tflm("tflite", 150);
}

/// The same with int16 activations and biases of 64 bits.
#[test]
fn int16_operators_equal_tflm() {
    equal_tflm("tflite_int16", 110);
}

/// Norms, sums of several, coordinates and shapes in every type that it has them in, and all conversions.
#[test]
fn operators_of_every_type_equal_tflm() {
    equal_tflm("tflite_types", 130);
}

/// What constants make is known when a file is read: no arithmetic of whole numbers is left, and no shape.
#[test]
fn constant_coordinates_and_shapes_are_known() {
    let Some((_folder, mut all)) = cases("tflite_types", "operators") else {
        return;
    };
    let Some((_other, floats)) = cases("tflite", "floats") else {
        return;
    };
    all.extend(floats);
    let names = |name: &str| -> Vec<&str> {
        let case = all.iter().find(|case| case.name == name).unwrap();
        let graph = import(&case.path).graph;
        let nodes = graph.nodes.iter().map(|node| node.kind.operator().name());
        nodes.filter(|&name| name != "reshape").collect()
    };
    assert_eq!(names("gather_nd_INT8_2"), ["gather"]);
    assert_eq!(names("update_INT8_1"), ["scatter"]);
    assert_eq!(names("filled_by_shape"), ["add"]);
}

/// Conversions that LiteRT has alone: of unsigned bytes, and of numbers of 64 bits.
#[test]
fn further_conversions_equal_litert() {
    equal("tflite_types", "litert", 20);
}

/// What cannot be as the file says is refused with node and reason.
#[test]
fn refusals_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    if oracle_of("tflite_types", &["refusals", &path.display().to_string()]).is_none() {
        return;
    }
    let mut count = 0;
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "tflite") {
            let reason = std::fs::read_to_string(path.with_extension("txt")).unwrap();
            let error = import::tflite(&path, &Options::default()).unwrap_err();
            let message = error.to_string();
            assert!(message.contains(&reason), "{message}, not {reason}");
            count += 1;
        }
    }
    assert!(count > 10, "{count} models");
}

/// Operators that move, mix and add, with one rounding, as LiteRT computes them. Its factors are floats
/// in products and weights of fewer places in bilinear resizing, and halves of means go to the even
/// number: those may be a step off. So may a few that it rounds twice, as TensorFlow Lite Micro does.
#[test]
fn single_rounding_operators_equal_litert() {
    let Some((_folder, cases)) = cases("tflite", "litert") else {
        return;
    };
    let options = Options {
        rounding: Some(Rounding::Single),
        ..Options::default()
    };
    let mut wrong = Vec::new();
    for case in &cases {
        let imported = import::tflite(&case.path, &options).unwrap_or_else(|e| panic!("{e}"));
        let outputs = run(&imported, &case.samples);
        let apart = outputs.iter().zip(&case.expected);
        let apart = apart.map(|(&a, &b)| (a as i8).abs_diff(b as i8)).max();
        let twice = ["prelu", "rsqrt", "squared_difference", "svdf"];
        let others = [
            "resize_bilinear",
            "batch_matmul",
            "transpose_conv",
            "mean",
            "log_softmax",
        ];
        let mut near = others.iter().chain(&twice);
        let is_near = near.any(|name| case.name.starts_with(name));
        if apart > Some(u8::from(is_near)) || outputs.len() != case.expected.len() {
            wrong.push(format!("{}: {apart:?} steps apart", case.name));
        }
    }
    let count = cases.len();
    assert!(
        wrong.is_empty() && count > 45,
        "{count} models:\n{}",
        wrong.join("\n")
    );
}

/// Unsigned bytes with weights around any number, as LiteRT computes them; only halves of means that are
/// no pools may be a step off, as they go to the even number there.
#[test]
fn unsigned_operators_equal_litert() {
    let Some((_folder, cases)) = cases("tflite_uint8", "operators") else {
        return;
    };
    let mut wrong = Vec::new();
    for case in &cases {
        let imported = import(&case.path);
        assert_eq!(imported.rounding, Rounding::Single, "{}", case.name);
        let outputs = run(&imported, &case.samples);
        let apart = outputs.iter().zip(&case.expected);
        let apart = apart.map(|(&a, &b)| (a as i8).abs_diff(b as i8)).max();
        let most = u8::from(case.name.starts_with("mean_alike"));
        if apart > Some(most) || outputs.len() != case.expected.len() {
            wrong.push(format!("{}: {apart:?} steps apart", case.name));
        }
    }
    let count = cases.len();
    assert!(
        wrong.is_empty() && count > 45,
        "{count} models:\n{}",
        wrong.join("\n")
    );
}

fn equal_tflm(script: &str, least: usize) {
    equal(script, "operators", least);
}

/// Runs all models that a command of a script writes, of which there are more than `least`.
fn equal(script: &str, command: &str, least: usize) {
    let Some((_folder, cases)) = cases(script, command) else {
        return;
    };
    let mut wrong = Vec::new();
    for Case {
        name,
        path,
        samples,
        expected,
    } in &cases
    {
        let mut imported = match import::tflite(path, &Options::default()) {
            Ok(imported) => imported,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let outputs = run(&imported, samples);
        optimize::run(&mut imported.graph, |_| true).unwrap();
        // Transposes at the ports become orders of axes in the signature.
        let ports = [&imported.graph.inputs, &imported.graph.outputs].map(|ports| &ports[0]);
        let is_plain = ports.iter().all(|port| port.axes.is_empty());
        if is_plain && run(&imported, samples) != outputs {
            wrong.push(format!("{name}: passes change what it makes"));
        }
        let apart = outputs.iter().zip(expected).filter(|(a, b)| a != b).count();
        if apart > 0 || outputs.len() != expected.len() {
            let all = expected.len();
            let first = outputs.iter().zip(expected).position(|(a, b)| a != b);
            wrong.push(format!(
                "{name}: {apart} of {all} bytes differ, the first at {first:?}"
            ));
        }
    }
    let count = cases.len();
    assert!(
        wrong.is_empty() && count > least,
        "{count} models:\n{}",
        wrong.join("\n")
    );
}

/// Operators of floats against LiteRT: numbers as near as sums in another order are, positions equal.
#[test]
fn float_operators_are_near_litert() {
    let Some((_folder, cases)) = cases("tflite", "floats") else {
        return;
    };
    let mut wrong = Vec::new();
    for Case {
        name,
        path,
        samples,
        expected,
    } in &cases
    {
        let imported = match import::tflite(path, &Options::default()) {
            Ok(imported) => imported,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let outputs = run(&imported, samples);
        let output = imported.graph.outputs[0].value;
        let reals = |bytes: &[u8]| -> Vec<f32> {
            let (words, _) = bytes.as_chunks::<4>();
            words.iter().map(|word| f32::from_le_bytes(*word)).collect()
        };
        let near = |(a, b): (f32, f32)| (a - b).abs() <= 1e-4 * b.abs().max(1.0);
        let same = match imported.graph.value(output).dtype {
            DType::F32 => reals(&outputs).into_iter().zip(reals(expected)).all(near),
            _ => outputs == *expected,
        };
        if !same || outputs.len() != expected.len() {
            wrong.push(name.clone());
        }
    }
    let count = cases.len();
    assert!(
        wrong.is_empty() && count > 40,
        "{count} models:\n{}",
        wrong.join("\n")
    );
}
