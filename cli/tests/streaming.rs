//! A model over a window of time, turned into one that takes a step at a time.

use assert_cmd::Command;
use serde_json::Value;
use std::path::{Path, PathBuf};

const STEPS: usize = 30;
const FEATURES: usize = 40;

fn modelopt(folder: &Path, arguments: &[&str]) -> Value {
    let mut program = Command::cargo_bin("modelopt").unwrap();
    let output = program
        .current_dir(folder)
        .args(arguments)
        .arg("--json")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Samples as lines of numbers.
fn write(path: PathBuf, samples: impl Iterator<Item = Vec<f32>>) {
    let line = |sample: Vec<f32>| {
        let numbers: Vec<String> = sample.iter().map(f32::to_string).collect();
        numbers.join(",") + "\n"
    };
    std::fs::write(path, samples.map(line).collect::<String>()).unwrap();
}

fn answers(folder: &Path, model: &str, input: &str) -> Vec<Value> {
    let samples = modelopt(folder, &["run", model, "--input", input]);
    let samples = samples.as_array().unwrap().iter();
    samples.map(|s| s["outputs"][0]["values"].clone()).collect()
}

/// The wake word, a step of 32 ms at a time: the answers of the whole window, with a tenth of its
/// work at most.
#[test]
fn the_wake_word_is_found_step_by_step() {
    let shared = std::env::var_os("MODELOPT_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let model = shared.join("models/streaming_wakeword_int8.tflite");
    if !model.is_file() {
        println!("skipped: ../shared is missing");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let model = model.to_str().unwrap();
    modelopt(path, &["optimize", model, "-o", "whole.mopt"]);
    let made = modelopt(
        path,
        &["optimize", model, "--streaming", "1", "-o", "steps.mopt"],
    );
    assert_eq!(made["priming_runs"], STEPS);
    let macs = ["macs_before", "macs"].map(|name| made[name].as_f64().unwrap());
    assert!(macs[0] / macs[1] >= 10.0, "{macs:?}");

    // Loud and quiet in turns, so that the model is not always of one opinion.
    let feature =
        |step: usize, i: usize| 0.45 + 0.3 * (step as f32 * 0.15).sin() * (i as f32 * 0.2).cos();
    let steps: Vec<Vec<f32>> = (0..80)
        .map(|step| (0..FEATURES).map(|i| feature(step, i)).collect())
        .collect();
    write(path.join("steps.csv"), steps.iter().cloned());
    write(
        path.join("windows.csv"),
        steps.windows(STEPS).map(|window| window.concat()),
    );
    let newest = answers(path, "steps.mopt", "steps.csv");
    let whole = answers(path, "whole.mopt", "windows.csv");
    assert_eq!(newest.len(), 80);
    assert_eq!(newest[STEPS - 1..], whole);
    assert!(whole.iter().any(|answer| *answer != whole[0]));
}

#[test]
fn an_axis_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = include_bytes!("../../crates/import/tests/fixtures/conv.tflite");
    std::fs::write(folder.path().join("conv.tflite"), file).unwrap();
    let mut program = Command::cargo_bin("modelopt").unwrap();
    let output = program
        .current_dir(folder.path())
        .args(["optimize", "conv.tflite", "--streaming", "9"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(errors.contains("input 't0' has no axis 9"), "{errors}");
    assert!(!folder.path().join("conv.mopt").exists());
}
