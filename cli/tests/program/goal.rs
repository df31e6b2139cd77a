//! `--goal latency` changes what a model takes and how long it runs, not what it answers.

use super::{demo, json, run, shared, text};
use serde_json::Value;
use std::path::Path;

/// Outputs of so many samples at a place.
fn answers(folder: &Path, file: &str, data: &str, device: &str) -> Vec<Value> {
    let arguments = [
        "run", file, "--input", data, "--limit", "50", "--device", device,
    ];
    let samples = json(folder, &arguments);
    let samples = samples.as_array().unwrap();
    samples.iter().map(|one| one["outputs"].clone()).collect()
}

/// Packs a model of pictures: the same answers here and on a Cortex-M4, in fewer instructions there.
fn pictures_are_the_same(command: &[&str]) {
    let Some(data) = shared("data/cifar10/test.tar.gz") else {
        return;
    };
    let data = text(&data);
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let small = json(folder, &[command, &["-o", "small.mopt"]].concat());
    let fast = [
        "-o",
        "fast.mopt",
        "--goal",
        "latency",
        "--target",
        "cortex-m4",
    ];
    let fast = json(folder, &[command, &fast].concat());
    assert_eq!(small["packed_bytes"], 0);
    // Four layers: 16 numbers of two bytes for 9 weights of one.
    let weights: u64 = [2 * 16 * 16, 32 * 32, 64 * 64].iter().sum();
    assert_eq!(fast["packed_bytes"], 32 * weights);
    let inspected = json(folder, &["inspect", "fast.mopt"]);
    assert_eq!(inspected["packed_bytes"], fast["packed_bytes"]);
    assert!(fast["ram_bytes"].as_u64().unwrap() <= 40_960);
    let expected = answers(folder, "small.mopt", &data, "host");
    assert_eq!(answers(folder, "fast.mopt", &data, "host"), expected);
    let board = "qemu:mps2-an386";
    let found = device::Images::locate().find(&device::find(board).unwrap());
    if found.is_err() || device::emulator_missing().is_some() {
        return println!("skipped: {board}: no image, or no QEMU");
    }
    assert_eq!(answers(folder, "fast.mopt", &data, board), expected);
    let instructions = |file| {
        let measured = json(folder, &["bench", file, "--device", board]);
        measured["min"].as_f64().unwrap()
    };
    assert!(instructions("fast.mopt") < 0.7 * instructions("small.mopt"));
}

#[test]
fn pictures_quantized_here_are_the_same() {
    if let (Some(model), Some(train)) = (
        shared("models/ic_resnet8_f32.onnx"),
        shared("data/cifar10/train.tar.gz"),
    ) {
        pictures_are_the_same(&["quantize", &text(&model), "--calib", &text(&train)]);
    }
}

#[test]
fn pictures_quantized_elsewhere_are_the_same() {
    if let Some(model) = shared("models/ic_resnet8_int8.tflite") {
        pictures_are_the_same(&["optimize", &text(&model)]);
    }
}

#[test]
fn one_option_without_the_other_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (model, train) = (demo("digits.onnx"), demo("train.npy"));
    for (options, expected) in [
        (&["--goal", "latency"][..], "say which with --target"),
        (&["--target", "cortex-m7"][..], "without --goal latency"),
    ] {
        for command in [
            &["optimize", &model][..],
            &["quantize", &model, "--calib", &train][..],
        ] {
            let (code, _, errors) = run(folder.path(), &[command, options].concat());
            assert_eq!(code, 2, "{errors}");
            assert!(errors.contains(expected), "{errors}");
        }
    }
}

/// A model without such convolutions is told so, and stays as it is.
#[test]
fn a_model_that_would_not_gain_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let fast = ["--goal", "latency", "--target", "cortex-m33"];
    let (model, options) = (demo("digits.onnx"), ["-o", "fast.mopt"]);
    let arguments = [&["optimize", &model], &fast[..], &options].concat();
    let (_, said, _) = run(folder.path(), &arguments);
    assert!(said.contains("no weights packed for cortex-m33"), "{said}");
    let small = json(folder.path(), &["optimize", &model, "-o", "small.mopt"]);
    let inspected = json(folder.path(), &["inspect", "fast.mopt"]);
    assert_eq!(
        inspected["constant_bytes"],
        json(folder.path(), &["inspect", "small.mopt"])["constant_bytes"]
    );
    assert_eq!(inspected["ram_bytes"], small["ram_bytes"]);
}
