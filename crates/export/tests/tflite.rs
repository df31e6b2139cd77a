//! Exported TensorFlow Lite files, run by TensorFlow Lite Micro and LiteRT.
//!
//! The packages are installed by `cargo xtask setup`; where they are missing, or the models
//! beside the repository, tests are skipped and say so.

mod subjects;

use format::fixed::Rounding;
use subjects::{Subject, agreement, oracle, samples, shared};

/// Exports a model and runs the file elsewhere on the samples.
fn elsewhere(subject: &Subject, which: &str, samples: &[u8]) -> Option<Vec<u8>> {
    let exported =
        export::tflite(&subject.model(), subject.meta()).unwrap_or_else(|e| panic!("{e}"));
    println!(
        "{}: {} bytes {:?}",
        subject.name,
        exported.bytes.len(),
        exported.notes
    );
    let folder = tempfile::tempdir().unwrap();
    let at = |file: &str| folder.path().join(file).display().to_string();
    std::fs::write(at("model.tflite"), &exported.bytes).unwrap();
    std::fs::write(at("in"), samples).unwrap();
    oracle(
        "tflite.py",
        &["run", which, &at("model.tflite"), &at("in"), &at("out")],
    )?;
    Some(std::fs::read(at("out")).unwrap())
}

/// Models that were imported come back with the same bits.
#[test]
fn imported_models_keep_every_bit_in_tflm() {
    for (name, count) in [
        ("kws_ds_cnn_int8", 20),
        ("ic_resnet8_int8", 10),
        ("vww_mobilenet_v1_025_int8", 10),
        ("ad_autoencoder_int8", 50),
        ("streaming_wakeword_int8", 20),
    ] {
        let Some(path) = shared(&format!("models/{name}.tflite")) else {
            return;
        };
        let mut subject = Subject::imported(&path);
        let samples = samples(subject.input_bytes(), count);
        let Some(outputs) = elsewhere(&subject, "tflm", &samples) else {
            return;
        };
        assert!(subject.run(&samples) == outputs, "{name}");
    }
}

/// Models that are quantized here round once, and agree with others to a few steps.
#[test]
fn models_quantized_here_agree() {
    for (name, data) in [
        ("kws_ds_cnn_f32", "kws/test_inputs_f32.npy"),
        ("digits", ""),
    ] {
        let Some(mut subject) = Subject::quantized(name, data) else {
            return;
        };
        let samples = subject.real_samples(50);
        for which in ["tflm", "litert"] {
            let Some(outputs) = elsewhere(&subject, which, &samples) else {
                return;
            };
            let (equal, largest, top) = agreement(&mut subject, &samples, &outputs);
            println!(
                "{name} in {which}: {equal:.3} of bytes equal, {largest} steps at most, top-1 {top:.3}"
            );
            assert!(equal > 0.9 && top > 0.95, "{name} in {which}");
        }
    }
}

/// In the rounding of TensorFlow Lite Micro to the bit, and to a step where it is rounded once.
#[test]
fn conversions_tables_and_products_are_exported() {
    for make in [Subject::rescaled, Subject::products] {
        let mut tflm = make(Rounding::Double);
        let samples = samples(tflm.input_bytes(), 20);
        let Some(outputs) = elsewhere(&tflm, "tflm", &samples) else {
            return;
        };
        assert!(tflm.run(&samples) == outputs);
        let mut single = make(Rounding::Single);
        let outputs = elsewhere(&single, "litert", &samples).unwrap();
        let (equal, largest, _) = agreement(&mut single, &samples, &outputs);
        assert!(equal > 0.95 && largest <= 1, "{equal} {largest}");
    }
}

#[test]
fn what_has_no_int8_form_is_refused() {
    let [rows, narrowed] = Subject::wide();
    for (subject, operator) in [(rows, "layer_norm_i16"), (narrowed, "rescale")] {
        for refused in [
            export::tflite(&subject.model(), subject.meta()).unwrap_err(),
            export::onnx(&subject.model(), subject.meta()).unwrap_err(),
        ] {
            let message = refused.to_string();
            let node = format!("node 0 ({operator}) has no counterpart");
            assert!(message.contains(&node), "{message}");
            assert!(message.contains("export to Rust"), "{message}");
        }
    }
}

#[test]
fn quotients_are_for_onnx_alone() {
    let subject = Subject::quotient();
    let refused = export::tflite(&subject.model(), subject.meta()).unwrap_err();
    let message = refused.to_string();
    assert!(
        message.contains("node 0 (div) has no counterpart"),
        "{message}"
    );
}

/// What has no counterpart is named, with a remedy.
#[test]
fn float_models_are_refused() {
    let subject = Subject::float_digits();
    for refused in [
        export::tflite(&subject.model(), subject.meta()).unwrap_err(),
        export::onnx(&subject.model(), subject.meta()).unwrap_err(),
    ] {
        let message = refused.to_string();
        assert!(
            message.contains("node 0 (conv_2d_f32) has no counterpart"),
            "{message}"
        );
        assert!(message.contains("export to Rust"), "{message}");
    }
}
