//! `--patches` changes what a model takes, not what it answers.

use assert_cmd::Command;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn demo(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../demo/digits")
        .join(file)
}

fn modelopt(folder: &Path, arguments: &[&str]) -> Value {
    let mut program = Command::cargo_bin("modelopt").unwrap();
    let output = program
        .current_dir(folder)
        .args(arguments)
        .arg("--json")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn pictures_are_recognized_in_stripes() {
    let shared = std::env::var_os("MODELOPT_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let model = shared.join("models/ic_resnet8_int8.tflite");
    let data = shared.join("data/cifar10/test.tar.gz");
    if !model.is_file() || !data.is_file() {
        println!("skipped: ../shared is missing");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [model, data] = [&model, &data].map(|path| path.to_str().unwrap());
    let whole = modelopt(folder.path(), &["optimize", model, "-o", "whole.mopt"]);
    let options = ["optimize", model, "--patches", "2", "-o", "stripes.mopt"];
    let stripes = modelopt(folder.path(), &options);
    let patches = &stripes["patches"];
    assert_eq!(patches["ram_bytes_before"], whole["ram_bytes"]);
    assert_eq!(patches["ram_bytes"], stripes["ram_bytes"]);
    assert!(stripes["ram_bytes"].as_u64() < whole["ram_bytes"].as_u64());
    assert!(stripes["macs"].as_u64() > whole["macs"].as_u64());
    let answers = |file| {
        let run = ["run", file, "--input", data, "--limit", "40"];
        let samples = modelopt(folder.path(), &run);
        let samples = samples.as_array().unwrap();
        let outputs = samples.iter().map(|sample| sample["outputs"].clone());
        outputs.collect::<Vec<Value>>()
    };
    assert_eq!(answers("stripes.mopt"), answers("whole.mopt"));
}

#[test]
fn a_model_that_would_not_gain_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let [model, train] = ["digits.onnx", "train.npy"].map(demo);
    let arguments = [
        "quantize",
        model.to_str().unwrap(),
        "--calib",
        train.to_str().unwrap(),
    ];
    let quantized = |options: &[&str]| modelopt(folder.path(), &[&arguments[..], options].concat());
    let whole = quantized(&["-o", "whole.mopt"]);
    let same = quantized(&["-o", "same.mopt", "--patches", "4"]);
    assert_eq!(whole["patches"], Value::Null);
    assert_eq!(same["patches"]["last"], Value::Null);
    assert_eq!(same["ram_bytes"], whole["ram_bytes"]);
    assert_eq!(same["layers"], whole["layers"]);
}
