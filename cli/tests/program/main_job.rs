//! The main job as a user types it, on the digits in the repository.

use crate::{demo, json, run};
use serde_json::Value;
use std::path::Path;

/// What quantizes the digits into `digits.mopt` if a gate holds.
fn judged(gate: &str) -> Vec<String> {
    let (model, train) = (demo("digits.onnx"), demo("train.npy"));
    let (test, labels) = (demo("test.npy"), demo("test_labels.npy"));
    let arguments = [
        "quantize", &model, "--calib", &train, "--scale", "0.0625", "--eval", &test, "--labels",
        &labels, "--gate", gate,
    ];
    arguments.map(String::from).to_vec()
}

/// Quantizes the digits into `digits.mopt`.
fn quantize(folder: &Path) -> Value {
    let judged = judged("top1>=-0.01@baseline");
    let arguments = judged.iter().map(String::as_str);
    let report = ["--report", "report.html"];
    json(folder, &arguments.chain(report).collect::<Vec<_>>())
}

#[test]
fn the_digits_become_int8_and_keep_their_accuracy() {
    let folder = tempfile::tempdir().unwrap();
    let made = quantize(folder.path());
    assert_eq!(
        made["float"],
        Value::Array(vec![]),
        "every node runs in int8"
    );
    let (before, after) = (
        made["source_bytes"].as_u64().unwrap(),
        made["bytes"].as_u64().unwrap(),
    );
    assert!(after * 2 < before, "{before} -> {after}");
    assert!(made["evaluation"]["top1"].as_f64().unwrap() >= 0.98);
    assert!(
        made["layers"]
            .as_array()
            .unwrap()
            .iter()
            .all(|layer| layer["macs"].is_u64())
    );
    let file = std::fs::metadata(folder.path().join("digits.mopt")).unwrap();
    assert_eq!(file.len(), after);
    let report = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(report.contains("Confusion matrix") && report.contains("passed: top1"));
}

#[test]
fn the_file_tells_what_it_is_and_scores_as_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let made = quantize(folder.path());
    let inspected = json(folder.path(), &["inspect", "digits.mopt"]);
    assert_eq!(inspected["ram_bytes"], made["ram_bytes"]);
    assert_eq!(inspected["inputs"][0]["preprocess"]["scale"], 0.0625);
    assert!(inspected["figures"]["top1"].as_f64().unwrap() >= 0.98);

    let (test, labels) = (demo("test.npy"), demo("test_labels.npy"));
    let evaluated = json(
        folder.path(),
        &[
            "evaluate",
            "digits.mopt",
            "--data",
            &test,
            "--labels",
            &labels,
        ],
    );
    assert_eq!(evaluated["top1"], made["evaluation"]["top1"]);
    assert_eq!(evaluated["bytes"], made["bytes"]);
    assert_eq!(evaluated["confusion"].as_array().unwrap().len(), 10);
}

#[test]
fn the_file_agrees_with_its_source_and_answers() {
    let folder = tempfile::tempdir().unwrap();
    quantize(folder.path());
    let (test, labels) = (demo("test.npy"), demo("test_labels.npy"));
    let onnx = demo("digits.onnx");
    let compared = json(
        folder.path(),
        &[
            "compare",
            &onnx,
            "digits.mopt",
            "--data",
            &test,
            "--labels",
            &labels,
        ],
    );
    assert!(
        compared["a"]["top1"].as_f64().unwrap() > 0.99,
        "the source gets the preprocessing stored in the other"
    );
    assert!(compared["b"]["agreement"].as_f64().unwrap() > 0.98);
    // So it does the other way round.
    let turned = ["compare", "digits.mopt", &onnx, "--data", &test];
    let turned = json(
        folder.path(),
        &[&turned[..], &["--labels", &labels]].concat(),
    );
    assert_eq!(turned["b"]["top1"], compared["a"]["top1"]);
    assert_eq!(turned["b"]["agreement"], compared["b"]["agreement"]);

    let results = json(
        folder.path(),
        &["run", "digits.mopt", "--input", &test, "--limit", "2"],
    );
    assert_eq!(
        results[1]["outputs"][0]["values"].as_array().unwrap().len(),
        10
    );
    let (code, text, _) = run(
        folder.path(),
        &["run", "digits.mopt", "--input", &test, "--limit", "1"],
    );
    assert!(code == 0 && text.contains("probabilities"), "{text}");
}

#[test]
fn tables_are_for_people() {
    let folder = tempfile::tempdir().unwrap();
    let (model, train) = (demo("digits.onnx"), demo("train.npy"));
    let arguments = [
        "quantize", &model, "--calib", &train, "--scale", "0.0625", "--limit", "50", "-o", "d.mopt",
    ];
    let (code, text, errors) = run(folder.path(), &arguments);
    assert_eq!(code, 0, "{errors}");
    assert!(
        text.contains("SQNR dB") && text.contains("conv_2d") && text.contains("x smaller"),
        "{text}"
    );
    assert!(text.ends_with("wrote d.mopt\n"), "{text}");
    let (_, text, _) = run(folder.path(), &["inspect", &model]);
    assert!(
        text.contains("ram_bytes_int8") && text.contains("live bytes"),
        "{text}"
    );
}

#[test]
fn float_models_stay_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let model = demo("digits.onnx");
    let made = json(
        folder.path(),
        &["optimize", &model, "--scale", "0.0625", "-o", "float.mopt"],
    );
    assert!(made["nodes"].as_u64().unwrap() < made["nodes_before"].as_u64().unwrap());
    let compared = json(
        folder.path(),
        &["compare", &model, "float.mopt", "--data", &demo("test.npy")],
    );
    assert_eq!(compared["b"]["agreement"], 1.0);
    assert!(compared["b"]["difference_max"].as_f64().unwrap() < 1e-4);
}

#[test]
fn passes_are_counted_and_checked_on_samples() {
    let folder = tempfile::tempdir().unwrap();
    let (model, data) = (demo("digits.onnx"), demo("test.npy"));
    let optimize = ["optimize", &model, "--scale", "0.0625", "-o", "float.mopt"];
    let made = json(
        folder.path(),
        &[&optimize[..], &["--check", &data]].concat(),
    );
    let passes = made["passes"].as_array().unwrap();
    let changed: Vec<&Value> = passes
        .iter()
        .filter(|pass| pass["changes"].as_u64().unwrap() > 0)
        .collect();
    assert!(changed.len() > 2, "{made}");
    for pass in changed {
        assert!(pass["difference"].as_f64().unwrap() < 1e-3, "{pass}");
    }
    for name in ["fold", "common", "dead"] {
        assert!(passes.iter().any(|pass| pass["name"] == name), "{made}");
        let without = [&optimize[..], &["--without", name]].concat();
        let (code, output, errors) = run(folder.path(), &without);
        assert_eq!(code, 0, "{errors}");
        let line = output
            .lines()
            .find(|line| line.trim_start().starts_with(name));
        assert!(line.unwrap().trim_end().ends_with('0'), "{output}");
    }
}

/// Weights of 4 bits; the digits' int8 file is about twice as large without its fixed parts.
#[test]
fn int4_weights_keep_the_digits_apart() {
    let folder = tempfile::tempdir().unwrap();
    let (model, train) = (demo("digits.onnx"), demo("train.npy"));
    let (test, labels) = (demo("test.npy"), demo("test_labels.npy"));
    let quantized = |weights: &str| {
        let output = [weights, ".mopt"].concat();
        let model = ["quantize", &model, "--calib", &train, "--scale", "0.0625"];
        let judged = ["--eval", &test, "--labels", &labels, "--weights", weights];
        json(
            folder.path(),
            &[&model[..], &judged, &["-o", &output]].concat(),
        )
    };
    let (wide, narrow) = (quantized("int8"), quantized("int4"));
    let bytes = |made: &Value| made["bytes"].as_f64().unwrap();
    assert!(bytes(&narrow) < 0.8 * bytes(&wide), "{narrow}");
    assert!(
        narrow["evaluation"]["top1"].as_f64().unwrap() >= 0.97,
        "{narrow}"
    );
    let layers = narrow["layers"].as_array().unwrap();
    assert!(layers.iter().any(|layer| layer["int4_weights"] == true));
}

#[test]
fn half_precision_weights_halve_a_float_file() {
    let folder = tempfile::tempdir().unwrap();
    let (model, data) = (demo("digits.onnx"), demo("test.npy"));
    let optimize = ["optimize", &model, "--scale", "0.0625"];
    let made = |weights: &str| {
        let output = [weights, ".mopt"].concat();
        let options = ["--weights", weights, "-o", &output];
        let made = json(folder.path(), &[&optimize[..], &options].concat());
        made["bytes"].as_f64().unwrap()
    };
    let share = made("f16") / made("f32");
    assert!((0.45..0.65).contains(&share), "{share}");
    let compared = json(
        folder.path(),
        &["compare", &model, "f16.mopt", "--data", &data],
    );
    assert_eq!(compared["b"]["agreement"], 1.0, "{compared}");
    assert!(compared["b"]["difference_max"].as_f64().unwrap() < 0.01);
}

#[test]
fn a_gate_that_does_not_hold_keeps_the_file_from_being_written() {
    let folder = tempfile::tempdir().unwrap();
    let judged = judged("top1>=1.5");
    let arguments: Vec<&str> = judged.iter().map(String::as_str).collect();
    let (code, _, errors) = run(folder.path(), &arguments);
    assert_eq!(code, 1, "{errors}");
    assert!(errors.contains("top1>=1.5"), "{errors}");
    assert!(!folder.path().join("digits.mopt").exists());
}

#[test]
fn every_command_has_help_with_an_example() {
    let folder = tempfile::tempdir().unwrap();
    for command in [
        "inspect", "optimize", "quantize", "evaluate", "compare", "run", "explain", "ops",
        "devices",
    ] {
        let (code, text, _) = run(folder.path(), &[command, "--help"]);
        assert!(code == 0 && text.contains("Example"), "{command}: {text}");
    }
    let (code, text, _) = run(folder.path(), &["--help"]);
    assert!(code == 0 && text.contains("Exit codes"), "{text}");
    assert!(
        json(folder.path(), &["ops"])["onnx"]
            .as_array()
            .unwrap()
            .len()
            > 50
    );
    assert_eq!(json(folder.path(), &["devices"])[0]["device"], "host");
    assert_eq!(json(folder.path(), &["explain", "m4"])[0]["code"], "M4");
}

#[test]
fn activations_of_16_bits_are_finer() {
    let folder = tempfile::tempdir().unwrap();
    let (model, train, test) = (demo("digits.onnx"), demo("train.npy"), demo("test.npy"));
    let difference = |activations: &str| {
        let quantize = ["quantize", &model, "--calib", &train, "--scale", "0.0625"];
        let options = [
            "--eval",
            &test,
            "--activations",
            activations,
            "-o",
            "x.mopt",
        ];
        let arguments = [&quantize[..], &options[..]].concat();
        let report = json(folder.path(), &arguments);
        std::fs::remove_file(folder.path().join("x.mopt")).unwrap();
        let layers = report["layers"].as_array().unwrap();
        let convolutions = layers.iter().filter(|layer| layer["operator"] == "conv_2d");
        for layer in convolutions {
            assert_eq!(layer["type"], activations);
        }
        report["layers"][3]["sqnr_db"].as_f64().unwrap()
    };
    let (coarse, fine) = (difference("int8"), difference("int16"));
    assert!(fine > coarse + 3.0, "{fine} dB after {coarse} dB");
}

#[test]
fn every_node_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    quantize(folder.path());
    let report = json(
        folder.path(),
        &["bench", "digits.mopt", "--runs", "3", "--per-op"],
    );
    assert_eq!(report["unit"], "microseconds");
    let nodes = report["nodes"].as_array().unwrap();
    let sum = |key: &str| {
        nodes
            .iter()
            .map(|node| node[key].as_f64().unwrap())
            .sum::<f64>()
    };
    assert_eq!(sum("macs"), report["macs"].as_f64().unwrap());
    assert!(sum("cost") > 0.0 && report["min"].as_f64() <= report["median"].as_f64());
    assert!(report["first"].as_f64() > Some(0.0));
    let threads = ["bench", "digits.mopt", "--runs", "3", "--threads", "2"];
    assert_eq!(json(folder.path(), &threads)["threads"], 2);
    let batch = [&threads[..], &["--batch", "5"]].concat();
    assert_eq!(json(folder.path(), &batch)["batch"], 5);
    let board = ["--device", "qemu:mps2-an386"];
    let (code, _, message) = run(folder.path(), &[&threads[..], &board].concat());
    assert_eq!(code, 2);
    assert!(
        message.contains("--threads is for this machine"),
        "{message}"
    );
    let (code, _, message) = run(folder.path(), &["bench", &demo("digits.onnx")]);
    assert_eq!(code, 2);
    assert!(
        message.contains("digits.onnx") && message.contains("modelopt quantize"),
        "{message}"
    );
}
