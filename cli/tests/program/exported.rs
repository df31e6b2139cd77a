//! Whole networks of many operators, quantized and exported, as other runtimes run them.

use crate::writer::{Writer, file, npy};
use crate::{answers, json, oracle, run};
use rten_onnx::onnx::GraphProto;
use serde_json::Value;
use std::path::Path;

/// Errors of this size are those of numbers as text.
const EQUAL_DB: f64 = 120.0;

/// Samples that are compared.
const SAMPLES: usize = 40;

/// The numbers of answers.
fn numbers(answers: &[Value]) -> Vec<f64> {
    let values = answers
        .iter()
        .flat_map(|answer| answer.as_array().unwrap().iter());
    values.map(|value| value.as_f64().unwrap()).collect()
}

/// Runs an exported file elsewhere; its floats.
fn elsewhere(folder: &Path, script: &str, arguments: &[&str]) -> Option<Vec<f64>> {
    oracle(folder, script, arguments)?;
    let bytes = std::fs::read(folder.join("out")).unwrap();
    let (words, _) = bytes.as_chunks::<4>();
    let values = words
        .iter()
        .map(|word| f64::from(f32::from_le_bytes(*word)));
    Some(values.collect())
}

/// Errors against the size of what they are errors of, in decibels.
fn ratio(ours: &[f64], others: &[f64]) -> f64 {
    assert_eq!(ours.len(), others.len());
    let size: f64 = ours.iter().map(|value| value * value).sum();
    let pairs = ours.iter().zip(others);
    let error: f64 = pairs.map(|(a, b)| (a - b) * (a - b)).sum();
    10.0 * (size / error.max(1e-12)).log10()
}

/// Quantizes a network, and runs it here and as both of the other formats.
fn agrees(name: &str, graph: GraphProto, shape: [usize; 2], least: f64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let write = |name: &str, bytes: Vec<u8>| std::fs::write(path.join(name), bytes).unwrap();
    write("model.onnx", file(graph, 13));
    let [rows, columns] = shape;
    write("calib.npy", npy(&[96, rows, columns], 1));
    let samples = npy(&[SAMPLES, rows, columns], 2);
    write(
        "in",
        samples[samples.len() - SAMPLES * rows * columns * 4..].into(),
    );
    write("test.npy", samples);
    json(
        path,
        &[
            "quantize",
            "model.onnx",
            "--calib",
            "calib.npy",
            "--require-int8",
        ],
    );
    let ours = numbers(&answers(path, "model.mopt", "test.npy"));
    for form in ["tflite", "onnx"] {
        let target = format!("back.{form}");
        let export = ["export", "model.mopt", "--to", form, "-o", &target];
        let (code, _, errors) = run(path, &export);
        assert_eq!(code, 0, "{name}: {errors}");
    }
    let runs = [
        (
            "tflite.py",
            ["real", "tflm", "back.tflite", "in", "out"].to_vec(),
        ),
        (
            "tflite.py",
            ["real", "litert", "back.tflite", "in", "out"].to_vec(),
        ),
        (
            "onnx_runtime.py",
            ["plain", "back.onnx", "in", "out"].to_vec(),
        ),
    ];
    for (script, arguments) in runs {
        let Some(others) = elsewhere(path, script, &arguments) else {
            return;
        };
        let ratio = ratio(&ours, &others);
        println!("{name} by {script} {arguments:?}: {ratio:.1} dB");
        assert!(ratio >= least, "{name} by {script}: {ratio} dB");
    }
    for (rule, runtime) in [("tflm", "tflm"), ("single", "mixed")] {
        rounded(name, path, least, [rule, runtime]);
    }
}

/// Quantizes the network in a folder once more, to be rounded by a rule, and compares it with the runtime that
/// rounds so: to the bit where nothing that is exported is said to differ.
fn rounded(name: &str, path: &Path, least: f64, [rule, runtime]: [&str; 2]) {
    let command = format!("quantize model.onnx --calib calib.npy --rounding {rule}");
    json(path, &command.split(' ').collect::<Vec<_>>());
    let ours = numbers(&answers(path, "model.mopt", "test.npy"));
    let command = "export model.mopt --to tflite -o rounded.tflite";
    let exported = json(path, &command.split(' ').collect::<Vec<_>>());
    let arguments = ["real", runtime, "rounded.tflite", "in", "out"];
    let Some(others) = elsewhere(path, "tflite.py", &arguments) else {
        return;
    };
    let ratio = ratio(&ours, &others);
    let notes = exported["notes"].to_string();
    println!("{name} with {rule}: {ratio:.1} dB, {notes}");
    let is_equal = ratio > EQUAL_DB;
    assert!(
        is_equal || (ratio >= least && notes != "[]"),
        "{name} with {rule}: {ratio} dB"
    );
}

/// Layer norms, products of matrices, GELU, softmax, picks of heads.
#[test]
fn transformers_are_exported() {
    let graph = Writer::default().transformer(None);
    agrees("transformer", graph, [12, 6], 30.0);
}

/// Interpolation, and what is joined of rows.
#[test]
fn growing_images_are_exported() {
    let graph = Writer::default().segmentation();
    agrees("segmentation", graph, [12, 12], 30.0);
}

/// Quotients of what is computed.
#[test]
fn root_mean_squares_are_exported() {
    let graph = Writer::default().root_mean_square();
    agrees("root mean square", graph, [12, 6], 30.0);
}

/// Choices by what is computed, whose integers are compared there too.
#[test]
fn choices_are_exported() {
    let graph = Writer::default().choices();
    agrees("choices", graph, [12, 12], 30.0);
    for how in ["Where", "Add"] {
        let graph = Writer::default().transformer(Some(how));
        agrees(&format!("transformer with {how}"), graph, [12, 6], 30.0);
    }
}

/// Steps that are slices of the input.
#[test]
fn recurrences_are_exported() {
    for (operator, gates) in [("LSTM", 4), ("GRU", 3)] {
        let graph = Writer::default().recurrent(operator, gates);
        agrees(operator, graph, [12, 6], 30.0);
    }
}
