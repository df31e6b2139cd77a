//! Exported ONNX files, run by ONNX Runtime with and without its optimizations.
//!
//! The packages are installed by `cargo xtask setup`; where they are missing, or the models
//! beside the repository, tests are skipped and say so.

mod subjects;

use format::fixed::Rounding;
use runtime::ops::binary::Function;
use subjects::{Subject, agreement, oracle, shared};

/// Exports a model and runs the file elsewhere on samples; outputs are in steps again.
fn elsewhere(subject: &mut Subject, how: &str, samples: &[u8]) -> Option<Vec<u8>> {
    let exported = export::onnx(&subject.model(), subject.meta()).unwrap_or_else(|e| panic!("{e}"));
    println!("{}: {} bytes", subject.name, exported.bytes.len());
    let folder = tempfile::tempdir().unwrap();
    let at = |file: &str| folder.path().join(file).display().to_string();
    std::fs::write(at("model.onnx"), &exported.bytes).unwrap();
    let model = subject.model();
    let (input, output) = (model.input(0).unwrap(), model.output(0).unwrap());
    let real = |byte: &u8| (i32::from(*byte as i8) - input.zero_point) as f32 * input.scale;
    let floats: Vec<u8> = samples
        .iter()
        .flat_map(|byte| real(byte).to_le_bytes())
        .collect();
    std::fs::write(at("in"), floats).unwrap();
    oracle(
        "onnx_runtime.py",
        &[how, &at("model.onnx"), &at("in"), &at("out")],
    )?;
    let bytes = std::fs::read(at("out")).unwrap();
    let (words, _) = bytes.as_chunks::<4>();
    let steps = words.iter().map(|word| {
        let steps = (f32::from_le_bytes(*word) / output.scale).round() as i32;
        (steps + output.zero_point) as i8 as u8
    });
    Some(steps.collect())
}

/// Prints and checks how far a model agrees: the share of equal bytes, and the most steps between
/// two of them.
fn check(mut subject: Subject, samples: &[u8], how: &str, [share, most]: [f64; 2]) {
    let Some(outputs) = elsewhere(&mut subject, how, samples) else {
        return;
    };
    let (equal, largest, top) = agreement(&mut subject, samples, &outputs);
    let name = &subject.name;
    println!("{name} {how}: {equal:.4} of bytes equal, {largest} steps at most, top-1 {top:.3}");
    assert!(equal >= share && f64::from(largest) <= most, "{name} {how}");
}

#[test]
fn models_quantized_here_agree() {
    for how in ["plain", "optimized"] {
        for (name, data) in [
            ("kws_ds_cnn_f32", "kws/test_inputs_f32.npy"),
            ("digits", ""),
        ] {
            let Some(mut subject) = Subject::quantized(name, data) else {
                return;
            };
            let samples = subject.real_samples(100);
            check(subject, &samples, how, [0.99, 1.0]);
        }
    }
}

#[test]
fn conversions_tables_products_and_quotients_are_exported() {
    for how in ["plain", "optimized"] {
        for subject in [
            Subject::rescaled(Rounding::High),
            Subject::products(Rounding::High),
            Subject::quotient(),
        ] {
            // Nothing is divided by zero, which 127 stands for in the last.
            let samples = subjects::samples(subject.input_bytes(), 20);
            let not_zero = |&byte: &u8| if byte == 127 { 5 } else { byte };
            let samples: Vec<u8> = samples.iter().map(not_zero).collect();
            check(subject, &samples, how, [0.95, 1.0]);
        }
    }
}

/// What is no image stays so beside a constant, and differences stay differences.
#[test]
fn sums_with_a_constant_row_are_exported() {
    for function in [Function::Add, Function::Sub] {
        let subject = Subject::beside_a_row(function);
        let samples = subjects::samples(subject.input_bytes(), 20);
        check(subject, &samples, "plain", [0.99, 1.0]);
    }
}

/// These round twice, and noise goes far from what they were made for.
#[test]
fn imported_models_agree_on_noise() {
    for name in [
        "kws_ds_cnn_int8",
        "ic_resnet8_int8",
        "vww_mobilenet_v1_025_int8",
        "ad_autoencoder_int8",
    ] {
        let Some(path) = shared(&format!("models/{name}.tflite")) else {
            return;
        };
        let subject = Subject::imported(&path);
        let samples = subjects::samples(subject.input_bytes(), 20);
        check(subject, &samples, "plain", [0.7, 40.0]);
    }
}
