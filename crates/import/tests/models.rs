//! Real model files, where they are at hand.

use import::Options;
use std::path::PathBuf;

/// A file beside the repository, or `None` where there is none.
fn shared(path: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    let root = std::env::var_os("MODELOPT_SHARED").map_or_else(beside, PathBuf::from);
    let found = root.join(path);
    if !found.exists() {
        println!("skipped: ../shared is missing");
        return None;
    }
    Some(found)
}

/// Imports a model and checks its ports and its costs.
fn check(name: &str, input: &str, output: &str, macs: u64) {
    let Some(path) = shared(&format!("models/{name}.onnx")) else {
        return;
    };
    let imported = import::onnx(&path, &Options::default()).unwrap();
    let graph = &imported.graph;
    graph.verify().unwrap();
    println!("{graph}");
    assert_eq!(graph.name, name);
    assert_eq!(graph.inputs.len(), 1);
    assert_eq!(graph.inputs[0].shape.to_string(), input);
    assert_eq!(graph.outputs.len(), 1);
    assert_eq!(graph.outputs[0].shape.to_string(), output);
    assert_eq!(graph.macs(), macs);
    assert_eq!(imported.opset, 13);
    assert!(
        imported.producer.starts_with("tf2onnx"),
        "{}",
        imported.producer
    );
    assert_eq!(imported.notes.len(), 1, "{:?}", imported.notes);
    assert!(imported.notes[0].contains("taken as 1"));
}

#[test]
fn keyword_spotting() {
    check("kws_ds_cnn_f32", "1x49x10x1", "1x12", 2_656_768);
}

#[test]
fn image_classification() {
    check("ic_resnet8_f32", "1x32x32x3", "1x10", 12_501_632);
}

#[test]
fn visual_wake_words() {
    check("vww_mobilenet_v1_025_f32", "1x96x96x3", "1x2", 7_489_664);
}

#[test]
fn anomaly_detection() {
    check("ad_autoencoder_f32", "1x640", "1x640", 264_192);
}

#[test]
fn a_quantized_model_says_so() {
    let Some(path) = shared("models/ic_resnet8_int8_qdq.onnx") else {
        return;
    };
    let imported = import::onnx(&path, &Options::default()).unwrap();
    assert!(imported.quantized.is_some());
    assert!(imported.graph.is_quantized());
    assert!(imported.graph.simulates_integers);
}
