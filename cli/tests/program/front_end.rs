//! A float model of features becomes an int8 one that takes sound.

use crate::{demo, json, refused};

/// Eight frames of eight bands, as many as the digits have pixels.
const FRONT_END: &str = "frame=60,hop=30,points=64,bands=8,low=100,high=8000";

#[test]
fn a_quantized_model_takes_sound() {
    let (model, data) = (demo("digits.onnx"), demo("train.npy"));
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
    json(folder.path(), &quantize);
    let inspected = json(folder.path(), &["inspect", "x.mopt"]);
    let input = &inspected["inputs"][0];
    assert_eq!(
        (&input["name"], &input["type"]),
        (&"sound".into(), &"int16".into())
    );
    assert_eq!(input["shape"], serde_json::json!([1, 7 * 30 + 61]));

    // Features of another number are refused before any data is read.
    let bands = ["--calib", "gone.npy", "--front-end", "bands=40"];
    let said = refused(folder.path(), &[&["quantize", &model], &bands[..]].concat());
    for words in ["input 'image'", "with 40 values", "leave out --front-end"] {
        assert!(said.contains(words), "{said}");
    }

    // Features are made on the device: nothing could scale them there.
    let scaled = [&quantize[..], &["--scale", "0.0625"]].concat();
    let said = refused(folder.path(), &scaled);
    assert!(
        said.contains("--scale") && said.contains("--front-end"),
        "{said}"
    );
}
