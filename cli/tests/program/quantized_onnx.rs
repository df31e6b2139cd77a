//! ONNX files that are quantized already, against ONNX Runtime without its optimizations.

use crate::writer::{noise, npy_of};
use crate::{answers, json, oracle, refused, shared, text};
use std::path::Path;

/// Compares what the program answers to pixels with what ONNX Runtime answers. The outputs are in steps of
/// `step`, and may be `most` apart where sums of floats, which are added in another order, are rounded the
/// other way on the way.
fn check(folder: &Path, model: &str, pixels: &[f32], step: f32, most: f32) {
    let dims = [pixels.len() / (32 * 32 * 3), 32, 32, 3];
    let samples = npy_of(&dims, pixels.iter().copied());
    std::fs::write(folder.join("pixels.npy"), samples).unwrap();
    let raw: Vec<u8> = pixels.iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(folder.join("pixels"), raw).unwrap();
    let script = ["plain", model, "pixels", "expected"];
    if oracle(folder, "onnx_runtime.py", &script).is_none() {
        return;
    }
    let expected = std::fs::read(folder.join("expected")).unwrap();
    let expected = expected
        .as_chunks()
        .0
        .iter()
        .map(|word| f32::from_le_bytes(*word));
    let expected: Vec<f32> = expected.collect();
    json(
        folder,
        &[
            "optimize",
            model,
            "-o",
            "made.mopt",
            "--check",
            "pixels.npy",
        ],
    );
    for file in ["made.mopt", model] {
        let found = answers(folder, file, "pixels.npy");
        let found = found.iter().flat_map(|answer| answer.as_array().unwrap());
        let found: Vec<f32> = found.map(|value| value.as_f64().unwrap() as f32).collect();
        assert_eq!(found.len(), expected.len());
        let steps = |(a, b): (&f32, &f32)| ((a - b) / step).abs();
        let steps: Vec<f32> = found.iter().zip(&expected).map(steps).collect();
        let equal = steps.iter().filter(|&&steps| steps < 0.5).count();
        println!("{file}: {equal} of {} outputs are the same", steps.len());
        assert!(
            equal * 10 >= steps.len() * 9,
            "{file}: {equal} of {}",
            steps.len()
        );
        assert!(
            steps.iter().all(|&steps| steps < most + 0.5),
            "{file}: {steps:?}"
        );
    }
    let distinct: std::collections::BTreeSet<u32> = expected.iter().map(|v| v.to_bits()).collect();
    assert!(
        distinct.len() > 5,
        "the answers do not depend on the pixels"
    );
}

/// Pixels of pictures that are of one shade more or less.
fn pixels(count: usize) -> Vec<f32> {
    let shades = noise(count, 5);
    let each = noise(count * 32 * 32 * 3, 7);
    let pixel = |(at, noise): (usize, &f32)| {
        let shade = shades[at / (32 * 32 * 3)];
        (128.0 + 70.0 * shade + 50.0 * noise).round()
    };
    each.iter().enumerate().map(pixel).collect()
}

/// What the tool of ONNX Runtime makes of a float model in both of its formats.
#[test]
fn files_of_another_tool_run() {
    let Some(model) = shared("models/ic_resnet8_f32.onnx") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let pixels = pixels(12);
    let raw: Vec<u8> = pixels.iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(folder.path().join("calib"), raw).unwrap();
    let model = text(&model.canonicalize().unwrap());
    // The products of the former are of integers, those of the latter of floats.
    for (form, most) in [("QOperator", 1.0), ("QDQ", 6.0)] {
        let script = [form, &model, "calib", "quantized.onnx"];
        if oracle(folder.path(), "quantize_onnx.py", &script).is_none() {
            return;
        }
        check(folder.path(), "quantized.onnx", &pixels, 1.0 / 256.0, most);
        let quantize = ["quantize", "quantized.onnx", "--calib", "pixels.npy"];
        let said = refused(folder.path(), &quantize);
        assert!(said.contains("already quantized"), "{said}");
    }
}

/// Its input and its output are whole numbers without a scale.
#[test]
fn inputs_of_bytes_take_whole_numbers() {
    let Some(model) = shared("models/ic_resnet8_int8_qdq.onnx") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(model, folder.path().join("qdq.onnx")).unwrap();
    let pixels: Vec<f32> = pixels(6).iter().map(|pixel| pixel - 128.0).collect();
    check(folder.path(), "qdq.onnx", &pixels, 1.0, 1.0);
}
