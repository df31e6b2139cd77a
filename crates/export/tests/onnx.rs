//! Exported ONNX files, run by ONNX Runtime with and without its optimizations.
//!
//! The packages are installed by `cargo xtask setup`; where they are missing, or the models
//! beside the repository, tests are skipped and say so.

mod subjects;

use export::OnnxForm;
use format::DType;
use format::fixed::Rounding;
use runtime::ops::binary::Function;
use std::collections::BTreeSet;
use subjects::{Subject, agreement, oracle, shared};

const FORMS: [OnnxForm; 2] = [OnnxForm::Qdq, OnnxForm::QOperator];

/// Samples as the exported file takes them.
fn floats(subject: &Subject, samples: &[u8]) -> Vec<u8> {
    let input = subject.model().input(0).unwrap();
    let real = |byte: &u8| (i32::from(*byte as i8) - input.zero_point) as f32 * input.scale;
    let floats: Vec<f32> = match input.dtype {
        DType::I32 => {
            let (words, _) = samples.as_chunks::<4>();
            let words = words.iter();
            words.map(|word| i32::from_le_bytes(*word) as f32).collect()
        }
        _ => samples.iter().map(real).collect(),
    };
    floats.into_iter().flat_map(f32::to_le_bytes).collect()
}

/// What the exported file makes, in steps again.
fn steps(subject: &Subject, bytes: &[u8]) -> Vec<u8> {
    let output = subject.model().output(0).unwrap();
    let (words, _) = bytes.as_chunks::<4>();
    let steps = words.iter().map(|word| {
        let steps = (f32::from_le_bytes(*word) / output.scale).round() as i32;
        (steps + output.zero_point) as i8 as u8
    });
    steps.collect()
}

/// Exports a model and runs the file elsewhere on samples; outputs are in steps again.
fn elsewhere(subject: &mut Subject, form: OnnxForm, how: &str, samples: &[u8]) -> Option<Vec<u8>> {
    let exported =
        export::onnx(&subject.model(), subject.meta(), form).unwrap_or_else(|e| panic!("{e}"));
    println!("{}: {} bytes", subject.name, exported.bytes.len());
    let folder = tempfile::tempdir().unwrap();
    let at = |file: &str| folder.path().join(file).display().to_string();
    std::fs::write(at("model.onnx"), &exported.bytes).unwrap();
    std::fs::write(at("in"), floats(subject, samples)).unwrap();
    oracle(
        "onnx_runtime.py",
        &[how, &at("model.onnx"), &at("in"), &at("out")],
    )?;
    Some(steps(subject, &std::fs::read(at("out")).unwrap()))
}

/// Prints and checks how far a model agrees: the share of equal bytes, and the most steps between
/// two of them.
fn check(subject: Subject, samples: &[u8], how: &str, least: [f64; 2]) {
    check_form(subject, samples, (OnnxForm::Qdq, how), least);
}

fn check_form(
    mut subject: Subject,
    samples: &[u8],
    (form, how): (OnnxForm, &str),
    [share, most]: [f64; 2],
) {
    let Some(outputs) = elsewhere(&mut subject, form, how, samples) else {
        return;
    };
    let (equal, largest, top) = agreement(&mut subject, samples, &outputs);
    let name = &subject.name;
    println!(
        "{name} {form:?} {how}: {equal:.4} of bytes equal, {largest} steps at most, top-1 {top:.3}"
    );
    assert!(
        equal >= share && f64::from(largest) <= most,
        "{name} {form:?} {how}"
    );
}

/// Where ONNX Runtime multiplies integers, nothing is another step.
#[test]
fn models_quantized_here_agree() {
    let ways = [
        (OnnxForm::Qdq, "plain", [0.99, 1.0]),
        (OnnxForm::Qdq, "optimized", [1.0, 0.0]),
        (OnnxForm::QOperator, "plain", [1.0, 0.0]),
        (OnnxForm::QOperator, "optimized", [1.0, 0.0]),
    ];
    for (form, how, least) in ways {
        for (name, data) in [
            ("kws_ds_cnn_f32", "kws/test_inputs_f32.npy"),
            ("digits", ""),
        ] {
            let Some(mut subject) = Subject::quantized(name, data) else {
                return;
            };
            let samples = subject.real_samples(100);
            check_form(subject, &samples, (form, how), least);
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
            let samples = subjects::samples(subject.input_bytes(), 20);
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

#[test]
fn picks_interpolations_and_norms_are_exported() {
    for how in ["plain", "optimized"] {
        // Means of pixels are halves as often as not, which go to the even number there.
        for subject in Subject::of_tables() {
            let samples = subjects::samples(subject.input_bytes(), 20);
            check(subject, &samples, how, [0.9, 1.0]);
        }
        let places = (0..60u32).map(|i| i * 7 % 10);
        let places: Vec<u8> = places.flat_map(u32::to_le_bytes).collect();
        check(Subject::embedded(), &places, how, [1.0, 0.0]);
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
        for form in FORMS {
            let subject = Subject::imported(&path);
            let samples = subjects::samples(subject.input_bytes(), 20);
            check_form(subject, &samples, (form, "plain"), [0.7, 40.0]);
        }
    }
}

/// All that is imported from small models of one operator each is exported, but for what has no counterpart,
/// and is a step off at most.
#[test]
fn imported_operators_agree() {
    let [made, back] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let path = |folder: &tempfile::TempDir| folder.path().display().to_string();
    if oracle("tflite.py", &["operators", &path(&made)]).is_none() {
        return;
    }
    let mut refused = BTreeSet::new();
    let mut subjects = Vec::new();
    for entry in std::fs::read_dir(made.path()).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|end| end != "tflite") {
            continue;
        }
        let samples = std::fs::read(file.with_extension("in")).unwrap();
        for form in FORMS {
            let subject = Subject::plain(&file);
            let place = back.path().join(format!("{}_{form:?}", subject.name));
            match export::onnx(&subject.model(), subject.meta(), form) {
                Ok(exported) => {
                    std::fs::write(place.with_extension("onnx"), exported.bytes).unwrap();
                    std::fs::write(place.with_extension("in"), floats(&subject, &samples)).unwrap();
                    subjects.push((subject, place.with_extension("out"), samples.clone()));
                }
                Err(_) => {
                    refused.extend(subject.name.split('_').next().map(str::to_string));
                }
            }
        }
    }
    oracle("onnx_runtime.py", &["each", "plain", &path(&back)]).unwrap();
    let mut wrong = Vec::new();
    assert!(subjects.len() > 200, "{} models", subjects.len());
    for (mut subject, place, samples) in subjects {
        let outputs = steps(&subject, &std::fs::read(&place).unwrap());
        let (equal, largest, _) = agreement(&mut subject, &samples, &outputs);
        if largest > 1 {
            let name = place.display();
            wrong.push(format!("{name}: {equal:.3}, {largest} steps"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let others = ["arg", "cast", "cumsum", "lstm", "svdf"];
    let choices = ["equal", "greater", "less", "logical", "not", "prelu"];
    let known: BTreeSet<&str> = others.into_iter().chain(choices).collect();
    assert_eq!(
        refused.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        known
    );
}
