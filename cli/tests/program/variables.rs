//! Models that keep variables from run to run, wherever models run.

use crate::{answers, json, refused, repository, run};
use serde_json::{Value, json};
use std::path::Path;

const STEPS: usize = 12;

/// Spectra that are never twice the same.
fn write(path: &Path, name: &str) {
    let feature = |step: usize, i: usize| {
        let phase = (step * 7 + i) as f32 * 0.37;
        (13.0 + 12.0 * phase.sin() * (i as f32 * 0.21).cos()).to_string()
    };
    let line = |step: usize| {
        (0..120)
            .map(|i| feature(step, i))
            .collect::<Vec<_>>()
            .join(",")
    };
    let lines: Vec<String> = (0..STEPS).map(line).collect();
    std::fs::write(path.join(name), lines.join("\n")).unwrap();
}

fn fixture(path: &Path, name: &str) {
    let from = repository("crates/import/tests/fixtures").join(name);
    std::fs::copy(from, path.join(name)).unwrap();
}

/// The source, the compact file and a board give the same shares for a sequence, which differ from step to
/// step; a limit takes the first steps.
#[test]
fn a_wake_word_with_variables_runs_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fixture(path, "wake_word.tflite");
    write(path, "steps.csv");
    let made = json(path, &["optimize", "wake_word.tflite", "-o", "steps.mopt"]);
    assert_eq!(made["state_bytes"], 424, "{made}");
    let source = answers(path, "wake_word.tflite", "steps.csv");
    assert_eq!(source.len(), STEPS);
    assert!(source.iter().any(|answer| *answer != source[0]));
    assert_eq!(answers(path, "steps.mopt", "steps.csv"), source);
    let evaluated = [
        "evaluate",
        "steps.mopt",
        "--data",
        "steps.csv",
        "--limit",
        "4",
    ];
    assert_eq!(json(path, &evaluated)["samples"], 4);
    let inspected = json(path, &["inspect", "steps.mopt"]);
    let states = inspected["states"].as_array().unwrap();
    let bytes: u64 = states
        .iter()
        .map(|state| state["bytes"].as_u64().unwrap())
        .sum();
    assert_eq!((states.len(), bytes), (4, 420), "{inspected}");
    assert_eq!(states[0]["shape"], json!([1, 5, 1, 40]));
    let named = json(path, &["inspect", "wake_word.tflite"]);
    assert_eq!(named["states"].as_array().unwrap().len(), 4);

    let device = ["--device", "qemu:mps2-an386", "--json"];
    let on_board = [&["run", "steps.mopt", "--input", "steps.csv"], &device[..]].concat();
    let (_, output, errors) = run(path, &on_board);
    let Ok(Value::Array(on_board)) = serde_json::from_str(&output) else {
        assert!(
            errors.contains("image") || errors.contains("qemu"),
            "{errors}"
        );
        println!("skipped on the board: {errors}");
        return;
    };
    let on_board = on_board.iter().map(|step| &step["outputs"][0]["values"]);
    assert!(on_board.eq(&source));
    let measured = json(
        path,
        &["bench", "steps.mopt", "--device", "qemu:mps2-an386"],
    );
    assert!(measured["outputs_equal"] != json!(false), "{measured}");
}

/// Variables stay what they are without passes, too, and what a file starts them from is in the file.
#[test]
fn passes_change_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fixture(path, "ring.tflite");
    let line = |step: usize| {
        (0..24)
            .map(|i| format!("{}", (step * i) % 9))
            .collect::<Vec<_>>()
    };
    let lines: Vec<String> = (0..STEPS).map(|step| line(step).join(",")).collect();
    std::fs::write(path.join("steps.csv"), lines.join("\n")).unwrap();
    let rings = ["optimize", "ring.tflite", "-o", "rings.mopt"];
    let plain = [
        "optimize",
        "ring.tflite",
        "-o",
        "plain.mopt",
        "--without",
        "rings",
    ];
    let bytes = [&rings[..], &plain].map(|command| json(path, command)["state_bytes"].clone());
    assert_eq!(bytes, [96, 72]);
    let [rings, plain] =
        ["rings.mopt", "plain.mopt"].map(|model| answers(path, model, "steps.csv"));
    assert_eq!(rings, plain);
    for form in ["tflite", "onnx"] {
        let errors = refused(path, &["export", "rings.mopt", "--to", form, "-o", "back"]);
        assert!(
            errors.contains("(history_started) keeps state from run to run"),
            "{errors}"
        );
        assert!(errors.contains("export to Rust"), "{errors}");
    }
    let errors = refused(path, &["optimize", "ring.tflite", "--streaming", "2"]);
    assert!(errors.contains("keeps state of its own"), "{errors}");
}

/// Rings of floats are quantized like what they hold.
#[test]
fn rings_of_floats_are_quantized() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fixture(path, "wake_word_float.tflite");
    write(path, "steps.csv");
    let quantize = [
        "quantize",
        "wake_word_float.tflite",
        "--calib",
        "steps.csv",
        "-o",
        "q.mopt",
    ];
    json(path, &[&quantize[..], &["--require-int8"]].concat());
    let inspected = json(path, &["inspect", "q.mopt"]);
    let states = inspected["states"].as_array().unwrap();
    assert!(
        states.iter().all(|state| state["type"] == "int8"),
        "{states:?}"
    );
    let number = |answer: &Value| answer[0].as_f64().unwrap();
    let [float, integer] =
        ["wake_word_float.tflite", "q.mopt"].map(|model| answers(path, model, "steps.csv"));
    for (a, b) in float.iter().zip(&integer) {
        assert!(
            (number(a) - number(b)).abs() < 0.1,
            "{float:?}, {integer:?}"
        );
    }
}
