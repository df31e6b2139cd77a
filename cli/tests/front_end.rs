//! A float model of features becomes an int8 one that takes sound.

use assert_cmd::Command;
use serde_json::Value;
use std::path::Path;

/// Eight frames of eight bands, as many as the digits have pixels.
const FRONT_END: &str = "frame=60,hop=30,points=64,bands=8,low=100,high=8000";

fn modelopt(folder: &Path, arguments: &[&str]) -> std::process::Output {
    let mut program = Command::cargo_bin("modelopt").unwrap();
    let program = program.current_dir(folder).args(arguments).arg("--json");
    program.output().unwrap()
}

#[test]
fn a_quantized_model_takes_sound() {
    let digits = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo/digits");
    let path = |name: &str| digits.join(name).to_str().unwrap().to_string();
    let (model, data) = (path("digits.onnx"), path("train.npy"));
    let folder = tempfile::tempdir().unwrap();
    let quantize = [
        "quantize",
        &model,
        "--calib",
        &data,
        "--front-end",
        FRONT_END,
        "-o",
        "x.mopt",
    ];
    let made = modelopt(folder.path(), &quantize);
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let inspected = modelopt(folder.path(), &["inspect", "x.mopt"]);
    let inspected: Value = serde_json::from_slice(&inspected.stdout).unwrap();
    let input = &inspected["inputs"][0];
    assert_eq!(
        (&input["name"], &input["type"]),
        (&"sound".into(), &"int16".into())
    );
    assert_eq!(input["shape"], serde_json::json!([1, 7 * 30 + 61]));

    // Features are made on the device: nothing could scale them there.
    let scaled = modelopt(
        folder.path(),
        &[&quantize[..], &["--scale", "0.0625"]].concat(),
    );
    assert_eq!(scaled.status.code(), Some(2));
}
