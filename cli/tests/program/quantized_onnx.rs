//! ONNX files that are quantized already become integer models, which answer as ONNX Runtime does without
//! its optimizations.

use crate::writer::{noise, npy_of};
use crate::{answers, json, oracle, refused, run, shared, text};
use std::path::Path;

/// What the tool of ONNX Runtime makes: formats, types of activations, scales or type of weights.
const FILES: [[&str; 3]; 6] = [
    ["QDQ", "QUInt8", "tensor"],
    ["QDQ", "QInt8", "channel"],
    ["QOperator", "QUInt8", "channel"],
    ["QOperator", "QInt8", "tensor"],
    ["QOperator", "QUInt8", "unsigned"],
    ["QDQ", "QUInt8", "unsigned"],
];

/// Samples of a shape.
struct Samples<'a> {
    dims: &'a [usize],
    values: &'a [f32],
}

/// How answers may differ: in steps of the output, of which at least a share must be the same.
struct Bounds {
    step: f32,
    most: f32,
    same: f32,
}

fn write_raw(folder: &Path, name: &str, values: &[f32]) {
    let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(folder.join(name), raw).unwrap();
}

/// What ONNX Runtime answers.
fn expected(folder: &Path, model: &str, values: &[f32]) -> Option<Vec<f32>> {
    write_raw(folder, "samples", values);
    let script = ["plain", model, "samples", "expected"];
    oracle(folder, "onnx_runtime.py", &script)?;
    let bytes = std::fs::read(folder.join("expected")).unwrap();
    let words = bytes.as_chunks().0.iter();
    Some(words.map(|word| f32::from_le_bytes(*word)).collect())
}

/// Makes `made.mopt` of a quantized file, and checks that all of it runs in integers and answers as it
/// should, as the file itself does.
fn check(folder: &Path, model: &str, samples: &Samples<'_>, expected: &[f32], bounds: &Bounds) {
    let count = samples.values.len() / samples.dims.iter().product::<usize>();
    let dims = [&[count], samples.dims].concat();
    let stored = npy_of(&dims, samples.values.iter().copied());
    std::fs::write(folder.join("samples.npy"), stored).unwrap();
    let options = ["--require-int8", "--check", "samples.npy"];
    let command = ["optimize", model, "-o", "made.mopt"];
    let made = json(folder, &[&command[..], &options].concat());
    assert_eq!(made["float"].as_array().unwrap().len(), 0);
    all_integers(folder);
    for file in ["made.mopt", model] {
        let found = answers(folder, file, "samples.npy");
        let found = found.iter().flat_map(|answer| answer.as_array().unwrap());
        let found: Vec<f32> = found.map(|value| value.as_f64().unwrap() as f32).collect();
        assert_eq!(found.len(), expected.len());
        let steps = |(a, b): (&f32, &f32)| ((a - b) / bounds.step).abs();
        let steps: Vec<f32> = found.iter().zip(expected).map(steps).collect();
        let same = steps.iter().filter(|&&steps| steps < 0.5).count();
        let worst = steps.iter().copied().fold(0.0, f32::max);
        let total = steps.len();
        println!("{model} {file}: {same} of {total} outputs are the same, {worst} steps at most");
        assert!(same as f32 >= bounds.same * total as f32, "{model} {file}");
        assert!(worst < bounds.most + 0.5, "{model} {file}");
        let width = total / count;
        let rows = found.chunks(width).zip(expected.chunks(width));
        let alike = rows.filter(|(a, b)| best(a) == best(b)).count();
        assert_eq!(alike, count, "{model} {file}: other classes");
    }
    let distinct: std::collections::BTreeSet<u32> = expected.iter().map(|v| v.to_bits()).collect();
    assert!(distinct.len() > 5, "the answers do not depend on the data");
}

/// The place of the largest number.
fn best(row: &[f32]) -> Option<usize> {
    let largest = row.iter().copied().fold(f32::MIN, f32::max);
    row.iter().position(|&value| value == largest)
}

/// Every value that flows through the model is of bytes, from its input to its output.
fn all_integers(folder: &Path) {
    let inspected = json(folder, &["inspect", "made.mopt"]);
    for ports in ["inputs", "outputs"] {
        let port = &inspected[ports][0];
        assert_eq!(port["type"], "int8");
        assert!(port["scale"].as_f64().unwrap() > 0.0);
    }
    let nodes = inspected["layers"].as_array().unwrap();
    assert!(nodes.len() > 9);
    for node in nodes {
        let operator = node["operator"].as_str().unwrap();
        let is_float = operator.ends_with("_f32") || operator.contains("quantize");
        assert!(!is_float && operator != "cast", "{node}");
    }
}

/// Makes a quantized file of a float model, calibrated on samples.
fn quantized(folder: &Path, how: [&str; 3], model: &Path, samples: &[f32]) -> Option<()> {
    write_raw(folder, "calib", samples);
    let model = text(&model.canonicalize().unwrap());
    let [form, activations, scales] = how;
    let script = [form, activations, scales, &model, "calib", "quantized.onnx"];
    oracle(folder, "quantize_onnx.py", &script)
}

/// The floats of a file of arrays.
fn floats(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let words = bytes[10 + header..].as_chunks().0.iter();
    words.map(|word| f32::from_le_bytes(*word)).collect()
}

/// Real samples through a model of depthwise convolutions. The last node of QDQ files is softmax with
/// steps of 1/255.
#[test]
fn keywords_are_spotted_in_integers() {
    let (Some(model), Some(data)) = (
        shared("models/kws_ds_cnn_f32.onnx"),
        shared("data/kws/test_inputs_f32.npy"),
    ) else {
        return;
    };
    let values = floats(&data);
    let [calib, tested] = [0, 60].map(|from| &values[from * 490..(from + 60) * 490]);
    for how in FILES {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        if quantized(folder, how, &model, calib).is_none() {
            return;
        }
        let answers = expected(folder, "quantized.onnx", tested).unwrap();
        // QDQ files are run in float, of which processors have other last bits.
        let (step, same) = match how[0] {
            "QDQ" => (1.0 / 255.0, 0.98),
            _ => (1.0 / 256.0, 0.995),
        };
        let samples = Samples {
            dims: &[49, 10, 1],
            values: tested,
        };
        let most = 1.0;
        let bounds = Bounds { step, most, same };
        check(folder, "quantized.onnx", &samples, &answers, &bounds);
        let said = refused(
            folder,
            &["quantize", "quantized.onnx", "--calib", "samples.npy"],
        );
        assert!(said.contains("modelopt optimize"), "{said}");
        let inspected = json(folder, &["inspect", "quantized.onnx"]);
        assert_eq!(inspected["rounding"], "single");
        exported(folder);
        on_a_board(folder);
    }
}

/// The integer model in other formats answers alike: to a step as an ONNX file, and on the whole as one of
/// TensorFlow Lite, which rounds twice.
fn exported(folder: &Path) {
    let numbers = |file: &str| -> Vec<f64> {
        let answers = answers(folder, file, "samples.npy");
        let values = answers.iter().flat_map(|answer| answer.as_array().unwrap());
        values.map(|value| value.as_f64().unwrap()).collect()
    };
    let own = numbers("made.mopt");
    for (to, file) in [
        ("onnx", "other.onnx"),
        ("tflite", "other.tflite"),
        ("rust", "library"),
    ] {
        let (code, _, errors) = run(folder, &["export", "made.mopt", "--to", to, "-o", file]);
        assert_eq!(code, 0, "{errors}");
        if to == "rust" {
            continue;
        }
        let other = numbers(file);
        assert_eq!(own.len(), other.len());
        let gaps: Vec<f64> = own.iter().zip(&other).map(|(a, b)| (a - b).abs()).collect();
        let worst = gaps.iter().copied().fold(0.0, f64::max);
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        println!("as {to}: {worst} at most, {mean} on the mean");
        assert!(mean < 0.003 && (to == "tflite" || worst < 0.01), "{to}");
    }
}

/// A Cortex-M4 answers to the bit as this machine does.
fn on_a_board(folder: &Path) {
    let board = "qemu:mps2-an386";
    let found = device::Images::locate().find(&device::find(board).unwrap());
    if found.is_err() || device::emulator_missing().is_some() {
        return println!("skipped: {board}: no image, or no QEMU");
    }
    let on = |device| {
        let command = ["run", "made.mopt", "--input", "samples.npy", "--limit", "2"];
        let samples = json(folder, &[&command[..], &["--device", device]].concat());
        let samples = samples.as_array().unwrap().iter();
        samples
            .map(|one| one["outputs"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(on(board), on("host"));
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

/// A residual network, over noise, which it was not made for: ties on the way grow to steps of softmax.
/// QDQ files have the mean of a picture in its input's steps, so that halves are many, and go where sums of
/// floats go.
#[test]
fn pictures_are_classified_in_integers() {
    let Some(model) = shared("models/ic_resnet8_f32.onnx") else {
        return;
    };
    let pixels = pixels(12);
    // With other weights more sums are near halves of single precision, and noise brings these far.
    for how in FILES.into_iter().filter(|how| how[2] != "unsigned") {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        if quantized(folder, how, &model, &pixels).is_none() {
            return;
        }
        let answers = expected(folder, "quantized.onnx", &pixels).unwrap();
        let (step, most, same) = match how[0] {
            "QDQ" => (1.0 / 255.0, 20.0, 0.9),
            _ => (1.0 / 256.0, 6.0, 0.95),
        };
        let samples = Samples {
            dims: &[32, 32, 3],
            values: &pixels,
        };
        let bounds = Bounds { step, most, same };
        check(folder, "quantized.onnx", &samples, &answers, &bounds);
    }
}

/// Its input and its output are of int8 in the file: here they are the real numbers that these stand for.
/// The mean is as in other QDQ files of this network.
#[test]
fn inputs_of_bytes_take_real_numbers() {
    let Some(model) = shared("models/ic_resnet8_int8_qdq.onnx") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::copy(model, folder.join("qdq.onnx")).unwrap();
    let pixels = pixels(6);
    let bytes: Vec<f32> = pixels.iter().map(|pixel| pixel - 128.0).collect();
    let Some(bytes) = expected(folder, "qdq.onnx", &bytes) else {
        return;
    };
    let answers: Vec<f32> = bytes.iter().map(|byte| (byte + 128.0) / 256.0).collect();
    let bounds = Bounds {
        step: 1.0 / 256.0,
        most: 20.0,
        same: 0.95,
    };
    let samples = Samples {
        dims: &[32, 32, 3],
        values: &pixels,
    };
    check(folder, "qdq.onnx", &samples, &answers, &bounds);
}

/// What is to be of integers must be so, or fail with what is to be done.
#[test]
fn float_models_are_refused_where_integers_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let model = crate::demo("digits.onnx");
    let said = refused(
        folder.path(),
        &["optimize", &model, "--require-int8", "-o", "made.mopt"],
    );
    assert!(said.contains("modelopt quantize"), "{said}");
    assert!(!folder.path().join("made.mopt").exists());
}
