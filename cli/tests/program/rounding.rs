//! Models that are quantized to be rounded as runtimes of TensorFlow Lite do it, exported and run there.

use crate::{answers, json, oracle, shared, text};
use serde_json::Value;
use std::path::Path;

/// A model of MLPerf Tiny, what calibrates it, and by how much raw inputs are larger than what it takes.
struct Subject {
    model: &'static str,
    calibration: &'static str,
    options: &'static [&'static str],
    raw: f32,
}

const SUBJECTS: [Subject; 4] = [
    Subject {
        model: "kws_ds_cnn_f32",
        calibration: "kws/test_inputs_f32.npy",
        options: &[],
        raw: 1.0,
    },
    Subject {
        model: "ic_resnet8_f32",
        calibration: "cifar10/train.tar.gz",
        options: &[],
        raw: 1.0,
    },
    Subject {
        model: "vww_mobilenet_v1_025_f32",
        calibration: "cifar10/train.tar.gz",
        options: &["--scale", "0.00392156862745098"],
        raw: 255.0,
    },
    Subject {
        model: "ad_autoencoder_f32",
        calibration: "anomaly/normal_id_01_f32_le.bin",
        options: &["--window", "5"],
        raw: 1.0,
    },
];

/// All smallest, all largest, one or the other, anything, and what changes slowly, in turns.
fn samples(size: usize, count: usize) -> Vec<Vec<i32>> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as i32
    };
    let mut samples = vec![vec![-128; size], vec![127; size]];
    for sample in 0..count {
        let mut held = next() % 256 - 128;
        let values = (0..size).map(|_| {
            held = match sample % 3 {
                0 => [-128, 127][(next() & 1) as usize],
                1 => next() % 256 - 128,
                _ => (held + next() % 41 - 20).clamp(-128, 127),
            };
            held
        });
        samples.push(values.collect());
    }
    samples
}

fn floats(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// Writes samples for the program, and for other runtimes.
fn write_samples(folder: &Path, subject: &Subject) {
    let inspected = json(folder, &["inspect", "model.mopt"]);
    let input = &inspected["inputs"][0];
    let shape = input["shape"].as_array().unwrap().iter();
    let size: u64 = shape.map(|size| size.as_u64().unwrap()).product();
    let scale = input["scale"].as_f64().unwrap() as f32;
    let zero_point = input["zero_point"].as_i64().unwrap() as i32;
    let samples = samples(size as usize, 30);
    let real = samples
        .iter()
        .flatten()
        .map(|value| (value - zero_point) as f32 * scale);
    let real: Vec<f32> = real.collect();
    let raw: Vec<f32> = real.iter().map(|value| value * subject.raw).collect();
    std::fs::write(folder.join("in"), floats(&real)).unwrap();
    std::fs::write(folder.join("raw.bin"), floats(&raw)).unwrap();
}

/// Quantizes and exports; the notes, and what the model answers.
fn made(folder: &Path, subject: &Subject, rule: &str) -> Option<(Value, Vec<f32>)> {
    let model = text(&shared(&format!("models/{}.onnx", subject.model))?);
    let calibration = text(&shared(&format!("data/{}", subject.calibration))?);
    let command = ["quantize", &model, "--calib", &calibration, "--limit", "60"];
    let rounding = ["--rounding", rule, "-o", "model.mopt"];
    json(folder, &[&command[..], subject.options, &rounding].concat());
    let export = [
        "export",
        "model.mopt",
        "--to",
        "tflite",
        "-o",
        "model.tflite",
    ];
    let notes = json(folder, &export)["notes"].clone();
    write_samples(folder, subject);
    let rows = answers(folder, "model.mopt", "raw.bin");
    let values = rows.iter().flat_map(|row| row.as_array().unwrap());
    let values = values.map(|value| value.as_f64().unwrap() as f32);
    Some((notes, values.collect()))
}

fn elsewhere(folder: &Path, runtime: &str) -> Option<Vec<f32>> {
    oracle(
        folder,
        "tflite.py",
        &["real", runtime, "model.tflite", "in", "out"],
    )?;
    let bytes = std::fs::read(folder.join("out")).unwrap();
    let (words, _) = bytes.as_chunks::<4>();
    Some(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
}

/// The share of answers that are equal.
fn equal(ours: &[f32], others: &[f32]) -> f64 {
    assert_eq!(ours.len(), others.len());
    let pairs = ours.iter().zip(others);
    pairs.filter(|(a, b)| a == b).count() as f64 / ours.len() as f64
}

/// To the bit in TensorFlow Lite Micro, whatever the input.
#[test]
fn models_for_tflm_keep_every_bit_there() {
    for subject in &SUBJECTS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let Some((notes, ours)) = made(path, subject, "tflm") else {
            return;
        };
        assert_eq!(notes, Value::Array(Vec::new()), "{}", subject.model);
        let inspected = json(path, &["inspect", "model.mopt"]);
        assert_eq!(inspected["rounding"], "double (tflm)");
        let recipe = inspected["recipe"].as_str().unwrap();
        assert!(recipe.contains("--rounding tflm"), "{recipe}");
        let Some(others) = elsewhere(path, "tflm") else {
            return;
        };
        assert!(
            ours == others,
            "{}: {}",
            subject.model,
            equal(&ours, &others)
        );
    }
}

/// To the bit in LiteRT, but for its softmax, which is of floats.
#[test]
fn models_for_litert_keep_every_bit_there() {
    for subject in &SUBJECTS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let Some((notes, ours)) = made(path, subject, "single") else {
            return;
        };
        let notes = notes.to_string();
        assert!(!notes.contains("--rounding single"), "{notes}");
        let has_softmax = !subject.model.starts_with("ad");
        assert_eq!(notes.contains("SOFTMAX (1)"), has_softmax, "{notes}");
        let Some(others) = elsewhere(path, "mixed") else {
            return;
        };
        assert!(
            ours == others,
            "{}: {}",
            subject.model,
            equal(&ours, &others)
        );
        let others = elsewhere(path, "litert").unwrap();
        let share = equal(&ours, &others);
        println!("{}: {share} of answers are LiteRT's", subject.model);
        assert!(share == 1.0 || (has_softmax && share > 0.99), "{share}");
    }
}
