//! Exported TensorFlow Lite files, run by TensorFlow Lite Micro and LiteRT.
//!
//! The packages are installed by `cargo xtask setup`; where they are missing, or the models
//! beside the repository, tests are skipped and say so.

mod subjects;

use export::OnnxForm;
use format::fixed::Rounding;
use std::collections::BTreeSet;
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
            export::onnx(&subject.model(), subject.meta(), OnnxForm::Qdq).unwrap_err(),
        ] {
            let message = refused.to_string();
            let node = format!("node 0 ({operator}) has no counterpart");
            assert!(message.contains(&node), "{message}");
            assert!(message.contains("export to Rust"), "{message}");
        }
    }
}

/// Picks and resized images of its own manners to the bit in TensorFlow Lite Micro; others, and what is
/// of floats there, to a step.
#[test]
fn picks_interpolations_norms_and_quotients_are_exported() {
    for mut subject in Subject::of_tables() {
        let bytes = samples(subject.input_bytes(), 20);
        for which in ["tflm", "litert"] {
            let Some(outputs) = elsewhere(&subject, which, &bytes) else {
                return;
            };
            let (equal, largest, _) = agreement(&mut subject, &bytes, &outputs);
            println!(
                "{} in {which}: {equal:.4} equal, {largest} steps",
                subject.name
            );
            // LiteRT has weights of fewer places in resized images.
            assert!(largest <= 1 && equal > 0.85, "{} in {which}", subject.name);
            assert!(largest == 0 || subject.name != "picked", "{which}");
        }
    }
    let mut subject = Subject::embedded();
    let places = (0..60u32).map(|i| i * 7 % 10);
    let places: Vec<u8> = places.flat_map(u32::to_le_bytes).collect();
    for which in ["tflm", "litert"] {
        let outputs = elsewhere(&subject, which, &places);
        assert_eq!(outputs, Some(subject.run(&places)), "{which}");
    }
}

/// All that is imported from small models of one operator each gives the same bits in TensorFlow Lite Micro
/// when it is exported again, but for what has no counterpart here.
#[test]
fn imported_operators_keep_every_bit_in_tflm() {
    let [made, back] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let path = |folder: &tempfile::TempDir| folder.path().display().to_string();
    if oracle("tflite.py", &["operators", &path(&made)]).is_none() {
        return;
    }
    let mut refused = BTreeSet::new();
    let mut wrong = Vec::new();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(made.path()).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|end| end != "tflite") {
            continue;
        }
        let subject = Subject::plain(&file);
        let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
        match export::tflite(&subject.model(), subject.meta()) {
            Ok(exported) => {
                std::fs::write(back.path().join(format!("{stem}.tflite")), exported.bytes).unwrap();
                let samples = file.with_extension("in");
                std::fs::copy(samples, back.path().join(format!("{stem}.in"))).unwrap();
                names.push(stem);
            }
            Err(error) => {
                println!("{stem}: {error}");
                refused.insert(stem.split('_').next().unwrap_or("").to_string());
            }
        }
    }
    oracle("tflite.py", &["each", "tflm", &path(&back)]).unwrap();
    for name in &names {
        let [expected, found] = [&made, &back]
            .map(|folder| std::fs::read(folder.path().join(format!("{name}.out"))).ok());
        if found != expected {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(names.len() > 100, "{} models", names.len());
    let known = ["arg", "cast", "cumsum", "logical", "lstm", "svdf"];
    let known = BTreeSet::from(known);
    assert_eq!(
        refused.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        known
    );
}

/// What has no counterpart is named, with a remedy.
#[test]
fn float_models_are_refused() {
    let subject = Subject::float_digits();
    for refused in [
        export::tflite(&subject.model(), subject.meta()).unwrap_err(),
        export::onnx(&subject.model(), subject.meta(), OnnxForm::Qdq).unwrap_err(),
    ] {
        let message = refused.to_string();
        assert!(
            message.contains("node 0 (conv_2d_f32) has no counterpart"),
            "{message}"
        );
        assert!(message.contains("export to Rust"), "{message}");
    }
}
