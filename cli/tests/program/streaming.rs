//! A model over a window of time, turned into one that takes a step at a time.

use crate::{answers, json, refused, run, shared};
use serde_json::Value;
use std::path::{Path, PathBuf};

const STEPS: usize = 30;
const FEATURES: usize = 40;

/// Samples as lines of numbers.
fn write(path: PathBuf, samples: impl Iterator<Item = Vec<f32>>) {
    let line = |sample: Vec<f32>| {
        let numbers: Vec<String> = sample.iter().map(f32::to_string).collect();
        numbers.join(",") + "\n"
    };
    std::fs::write(path, samples.map(line).collect::<String>()).unwrap();
}

/// The first channel of a WAVE file of 16 bits, as real numbers.
fn sound(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    let number = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let channels = usize::from(number(22));
    let mut at = 12;
    while &bytes[at..at + 4] != b"data" {
        at += 8 + usize::from(number(at + 4)) + (usize::from(number(at + 6)) << 16);
    }
    let frames = bytes[at + 8..].chunks_exact(2 * channels);
    let sample = |frame: &[u8]| i16::from_le_bytes([frame[0], frame[1]]);
    frames
        .map(|frame| f32::from(sample(frame)) / 32_768.0)
        .collect()
}

/// Sound in, words out, 32 ms at a time. Of three wake words the model finds two, as it does with
/// features in floating point, and a board finds them in the same steps.
#[test]
fn wake_words_are_found_in_sound() {
    const HOP: usize = 512;
    const HEARD: f64 = 0.93;
    let Some(shared) = shared("") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let model = shared.join("models/streaming_wakeword_int8.tflite");
    let model = model.to_str().unwrap();
    let front_end = ["--front-end", "mlperf-wake-word", "--streaming", "1"];
    let arguments = [&["optimize", model, "-o", "ears.mopt"], &front_end[..]];
    let made = json(path, &arguments.concat());
    let priming = made["priming_runs"].as_u64().unwrap() as usize;
    let sound = sound(&shared.join("data/streaming_wakeword/easy10s.wav"));
    let hops = || sound.chunks_exact(HOP).map(<[f32]>::to_vec);
    write(path.join("hops.csv"), hops());
    write(path.join("first.csv"), hops().take(60));

    let answers = answers(path, "ears.mopt", "hops.csv");
    assert_eq!(answers.len(), sound.len() / HOP);
    let score = |answer: &Value| answer[0].as_f64().unwrap();
    let mut seconds: Vec<f64> = Vec::new();
    for (hop, answer) in answers.iter().enumerate().skip(priming) {
        let now = ((hop + 1) * HOP) as f64 / 16_000.0;
        let is_new = seconds.last().is_none_or(|&before| now - before > 1.5);
        if score(answer) > HEARD && is_new {
            seconds.push(now);
        }
    }
    assert_eq!(seconds.len(), 2, "{seconds:?}");
    assert!((1.0..2.0).contains(&seconds[0]) && (4.0..5.2).contains(&seconds[1]));

    let on_board = ["run", "ears.mopt", "--input", "first.csv", "--json"];
    let on_board = [&on_board[..], &["--device", "qemu:mps2-an386"]].concat();
    let (_, output, errors) = run(path, &on_board);
    let Ok(Value::Array(on_board)) = serde_json::from_str(&output) else {
        assert!(
            errors.contains("image") || errors.contains("qemu"),
            "{errors}"
        );
        println!("skipped on the board: {errors}");
        return;
    };
    let on_board = on_board.iter().map(|s| &s["outputs"][0]["values"]);
    assert!(on_board.eq(&answers[..60]));
}

/// The wake word, a step of 32 ms at a time: the answers of the whole window, with a tenth of its
/// work at most.
#[test]
fn the_wake_word_is_found_step_by_step() {
    let Some(shared) = shared("") else { return };
    let model = shared.join("models/streaming_wakeword_int8.tflite");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let model = model.to_str().unwrap();
    json(path, &["optimize", model, "-o", "whole.mopt"]);
    let made = json(
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

/// What a model answers depends on the steps before: a limit leaves out none between.
#[test]
fn a_limit_takes_the_first_steps() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let file = include_bytes!("../../../crates/import/tests/fixtures/conv.tflite");
    std::fs::write(path.join("conv.tflite"), file).unwrap();
    json(path, &["optimize", "conv.tflite", "-o", "whole.mopt"]);
    let streaming = ["optimize", "conv.tflite", "--streaming", "1"];
    json(path, &[&streaming[..], &["-o", "steps.mopt"]].concat());
    let ones = |size: usize| std::iter::repeat_n(vec![1.0; size], 12);
    // What comes after the first four steps cannot be read as a sample.
    let steps = ones(24).enumerate();
    let steps = steps.map(|(i, step)| if i < 4 { step } else { vec![f32::NAN; 24] });
    write(path.join("steps.csv"), steps);
    write(path.join("windows.csv"), ones(168));
    let few = |command: &[&str]| json(path, &[command, &["--limit", "4"]].concat());
    let names = |command: &[&str]| -> Vec<Value> {
        let samples = few(command);
        let samples = samples.as_array().unwrap().iter();
        samples.map(|sample| sample["sample"].clone()).collect()
    };
    let whole = names(&["run", "whole.mopt", "--input", "windows.csv"]);
    assert_eq!(whole, ["0", "3", "6", "9"]);
    let steps = names(&["run", "steps.mopt", "--input", "steps.csv"]);
    assert_eq!(steps, ["0", "1", "2", "3"]);
    let evaluated = few(&["evaluate", "steps.mopt", "--data", "steps.csv"]);
    assert_eq!(evaluated["samples"], 4);
    let compared = few(&["compare", "steps.mopt", "steps.mopt", "--data", "steps.csv"]);
    assert_eq!(compared["b"]["samples"], 4);
    let file = include_bytes!("../../../crates/import/tests/fixtures/svdf.tflite");
    std::fs::write(path.join("svdf.tflite"), file).unwrap();
    let steps = (0..12).map(|i| match i {
        0..4 => (0..16).map(|j| ((i * 16 + j) as f32).sin()).collect(),
        _ => vec![f32::NAN; 16],
    });
    write(path.join("calib.csv"), steps);
    let quantized = few(&["quantize", "svdf.tflite", "--calib", "calib.csv"]);
    assert_eq!(quantized["samples"], 4);
    // Both models begin with the first sample, from the same state.
    let layers = quantized["layers"].as_array().unwrap().iter();
    let kept = layers.filter(|layer| layer["operator"] == "history");
    let ratios: Vec<f64> = kept
        .map(|layer| layer["sqnr_db"].as_f64().unwrap())
        .collect();
    assert!(ratios.len() == 1 && ratios[0] > 30.0, "{ratios:?}");
}

/// The last windows of the wake word reach over all that there is by then: two new steps or more are one
/// answer, too.
#[test]
fn several_steps_are_taken_at_once() {
    let Some(model) = shared("models/streaming_wakeword_int8.tflite") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let model = model.to_str().unwrap();
    let feature = |step: usize, i: usize| 0.5 + 0.4 * ((step * FEATURES + i) as f32 * 0.7).sin();
    let steps: Vec<Vec<f32>> = (0..60)
        .map(|step| (0..FEATURES).map(|i| feature(step, i)).collect())
        .collect();
    let whole = json(path, &["optimize", model, "-o", "whole.mopt"]);
    for new in [2, 4, 15, 20] {
        let count = new.to_string();
        let streaming = ["--streaming", "1", "--steps", &count, "-o", "steps.mopt"];
        let made = json(path, &[&["optimize", model], &streaming[..]].concat());
        assert!(made["macs"].as_u64() < whole["macs"].as_u64());
        let priming = made["priming_runs"].as_u64().unwrap() as usize;
        let runs = steps.chunks_exact(new).map(<[Vec<f32>]>::concat);
        write(path.join("steps.csv"), runs);
        let ends = (priming..=60 / new).map(|run| run * new);
        let windows = ends.map(|end| steps[end - STEPS..end].concat());
        write(path.join("windows.csv"), windows);
        let newest = answers(path, "steps.mopt", "steps.csv");
        let expected = answers(path, "whole.mopt", "windows.csv");
        assert!(!expected.is_empty());
        assert_eq!(newest[priming - 1..], expected, "{new} steps");
    }
}

#[test]
fn an_axis_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = include_bytes!("../../../crates/import/tests/fixtures/conv.tflite");
    std::fs::write(folder.path().join("conv.tflite"), file).unwrap();
    // There is one step along the axis of the batch.
    let batch = ["optimize", "conv.tflite", "--streaming", "0"];
    let batch = [&batch[..], &["-o", "/dev/null"]].concat();
    let (_, output, _) = run(folder.path(), &batch);
    assert!(output.contains("nothing was changed"), "{output}");
    let streaming = ["optimize", "conv.tflite", "--streaming", "9"];
    let errors = refused(folder.path(), &streaming);
    for words in ["input 't0' has no axis 9", "one from 0 to 3"] {
        assert!(errors.contains(words), "{errors}");
    }
    let steps = [
        "optimize",
        "conv.tflite",
        "--streaming",
        "1",
        "--steps",
        "90",
    ];
    let errors = refused(folder.path(), &steps);
    for words in ["has 7 steps", "give --steps 1 to 7"] {
        assert!(errors.contains(words), "{errors}");
    }
    assert!(!folder.path().join("conv.mopt").exists());
}
