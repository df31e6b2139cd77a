//! `--patches` changes what a model takes, not what it answers.

use crate::{demo, json, shared, text};
use serde_json::Value;

#[test]
fn pictures_are_recognized_in_stripes() {
    let (Some(model), Some(data)) = (
        shared("models/ic_resnet8_int8.tflite"),
        shared("data/cifar10/test.tar.gz"),
    ) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let [model, data] = [&model, &data].map(|path| text(path));
    let whole = json(folder.path(), &["optimize", &model, "-o", "whole.mopt"]);
    let options = ["optimize", &model, "--patches", "2", "-o", "stripes.mopt"];
    let stripes = json(folder.path(), &options);
    let patches = &stripes["patches"];
    assert_eq!(patches["ram_bytes_before"], whole["ram_bytes"]);
    assert_eq!(patches["ram_bytes"], stripes["ram_bytes"]);
    assert!(stripes["ram_bytes"].as_u64() < whole["ram_bytes"].as_u64());
    assert!(stripes["macs"].as_u64() > whole["macs"].as_u64());
    let answers = |file| {
        let run = ["run", file, "--input", &data, "--limit", "40"];
        let samples = json(folder.path(), &run);
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
    let arguments = ["quantize", &model, "--calib", &train];
    let quantized = |options: &[&str]| json(folder.path(), &[&arguments[..], options].concat());
    let whole = quantized(&["-o", "whole.mopt"]);
    let same = quantized(&["-o", "same.mopt", "--patches", "4"]);
    assert_eq!(whole["patches"], Value::Null);
    assert_eq!(same["patches"]["last"], Value::Null);
    assert_eq!(same["ram_bytes"], whole["ram_bytes"]);
    assert_eq!(same["layers"], whole["layers"]);
}
