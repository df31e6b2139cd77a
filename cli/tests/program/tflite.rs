//! TensorFlow Lite files through the program and back.

use serde_json::Value;
use std::path::Path;

fn modelopt(folder: &Path, command: &str) -> Value {
    let arguments: Vec<&str> = command.split_whitespace().collect();
    crate::json(folder, &arguments)
}

/// A file is inspected, made compact, exported, and gives the same outputs in all three forms.
#[test]
fn a_quantized_file_stays_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let file = include_bytes!("../../../crates/import/tests/fixtures/conv.tflite");
    std::fs::write(path.join("conv.tflite"), file).unwrap();
    let values: Vec<String> = (0..168)
        .map(|i| format!("{}", (i % 37) as f32 * 0.01))
        .collect();
    std::fs::write(path.join("in.csv"), values.join(",")).unwrap();
    let inspected = modelopt(path, "inspect conv.tflite");
    assert_eq!(inspected["rounding"], "double (tflm)");
    assert_eq!(inspected["kind"], "TFLite, schema version 3");
    let made = modelopt(path, "optimize conv.tflite");
    assert_eq!(made["output"], "conv.mopt");
    let command = "optimize conv.tflite -o other.mopt --without fold --without common";
    let (_, said, _) = crate::run(path, &command.split(' ').collect::<Vec<_>>());
    assert!(
        said.ends_with("bytes, integers, rounding double (tflm)\n"),
        "{said}"
    );
    let inspected = modelopt(path, "inspect other.mopt");
    assert_eq!(
        inspected["recipe"],
        "optimize --without fold --without common"
    );
    let exported = modelopt(path, "export conv.mopt --to tflite -o back.tflite");
    assert_eq!(exported["notes"], Value::Array(Vec::new()));
    let answers = ["conv.tflite", "conv.mopt", "back.tflite"].map(|model| {
        let answer = modelopt(path, &format!("run {model} --input in.csv"));
        answer[0]["outputs"][0]["values"].clone()
    });
    assert!(
        answers[0]
            .as_array()
            .is_some_and(|values| values.len() == 336)
    );
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
}
