//! `--goal latency` changes what a model takes and how long it runs, not what it answers.

use assert_cmd::Command;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn demo(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo/digits");
    path.join(file).to_str().unwrap().to_string()
}

fn shared(file: &str) -> Option<String> {
    let folder = std::env::var_os("MODELOPT_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let path = folder.join(file);
    path.exists().then(|| path.to_str().unwrap().to_string())
}

fn program(folder: &Path, arguments: &[&str]) -> std::process::Output {
    let mut program = Command::cargo_bin("modelopt").unwrap();
    program
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap()
}

fn modelopt(folder: &Path, arguments: &[&str]) -> Value {
    let output = program(folder, &[arguments, &["--json"]].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Outputs of so many samples at a place.
fn answers(folder: &Path, file: &str, data: &str, device: &str) -> Vec<Value> {
    let run = [
        "run", file, "--input", data, "--limit", "50", "--device", device,
    ];
    let samples = modelopt(folder, &run);
    let samples = samples.as_array().unwrap();
    samples.iter().map(|one| one["outputs"].clone()).collect()
}

/// Packs a model of pictures: the same answers here and on a Cortex-M4, in fewer instructions there.
fn pictures_are_the_same(command: &[&str]) {
    let Some(data) = shared("data/cifar10/test.tar.gz") else {
        return println!("skipped: ../shared is missing");
    };
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let small = modelopt(folder, &[command, &["-o", "small.mopt"]].concat());
    let fast = [
        "-o",
        "fast.mopt",
        "--goal",
        "latency",
        "--target",
        "cortex-m4",
    ];
    let fast = modelopt(folder, &[command, &fast].concat());
    assert_eq!(small["packed_bytes"], 0);
    // Four layers: 16 numbers of two bytes for 9 weights of one.
    let weights: u64 = [2 * 16 * 16, 32 * 32, 64 * 64].iter().sum();
    assert_eq!(fast["packed_bytes"], 32 * weights);
    let inspected = modelopt(folder, &["inspect", "fast.mopt"]);
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
        let measured = modelopt(folder, &["bench", file, "--device", board]);
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
        pictures_are_the_same(&["quantize", &model, "--calib", &train]);
    }
}

#[test]
fn pictures_quantized_elsewhere_are_the_same() {
    if let Some(model) = shared("models/ic_resnet8_int8.tflite") {
        pictures_are_the_same(&["optimize", &model]);
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
            let output = program(folder.path(), &[command, options].concat());
            let errors = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{errors}");
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
    let output = program(
        folder.path(),
        &[&["optimize", &model], &fast[..], &options].concat(),
    );
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("no weights packed for cortex-m33"), "{said}");
    let small = modelopt(folder.path(), &["optimize", &model, "-o", "small.mopt"]);
    let inspected = modelopt(folder.path(), &["inspect", "fast.mopt"]);
    assert_eq!(
        inspected["constant_bytes"],
        modelopt(folder.path(), &["inspect", "small.mopt"])["constant_bytes"]
    );
    assert_eq!(inspected["ram_bytes"], small["ram_bytes"]);
}
