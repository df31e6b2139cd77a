//! `modelopt export --to rust` as a user types it, and the library that comes out.

use crate::{refused, repository, run, shared, text};
use assert_cmd::Command;
use runtime::host::Runner;
use std::path::{Path, PathBuf};

/// Reads an input from the standard input, runs the model, writes the output.
const PROGRAM: &str = r#"
use model::Model;
use runtime::program::{as_bytes, as_bytes_mut};
use std::io::{Read, Write};

fn main() {
    let mut model = Model::new();
    let mut input = [Default::default(); _];
    let mut output = [Default::default(); _];
    while std::io::stdin().read_exact(as_bytes_mut(&mut input)).is_ok() {
        model.run(&input, &mut output);
        std::io::stdout().write_all(as_bytes(&output)).unwrap();
    }
}
"#;

/// The digits' model that the example of the firmware exports.
fn digits() -> PathBuf {
    repository("firmware/one-model/digits.mopt")
}

#[test]
fn the_library_is_the_examples() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("firmware/one-model");
    let runtime = folder.path().join("crates/runtime");
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::create_dir_all(&runtime).unwrap();
    std::fs::write(runtime.join("Cargo.toml"), "").unwrap();
    let model = text(&digits());
    let before = std::fs::read(&model).unwrap();
    let place = ["--runtime", "../../../crates/runtime"];
    let (code, output, errors) = run(
        &deep,
        &[
            &["export", &model, "--to", "rust", "-o", "model"],
            &place[..],
        ]
        .concat(),
    );
    assert_eq!(code, 0, "{errors}");
    assert!(output.contains("package 'model' with 9 calls"), "{output}");
    for file in [
        "Cargo.toml",
        "src/lib.rs",
        "src/nodes.rs",
        "src/constants.bin",
    ] {
        let expected = repository("firmware/one-model/model").join(file);
        let expected = std::fs::read(&expected).unwrap();
        let written = std::fs::read(deep.join("model").join(file)).unwrap();
        assert!(
            written == expected,
            "{file} is not the example's; export firmware/one-model/model anew"
        );
    }
    assert_eq!(std::fs::read(&model).unwrap(), before);
    assert_eq!(std::fs::read_dir(&deep).unwrap().count(), 1);
}

#[test]
fn what_is_there_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("mine")).unwrap();
    std::fs::write(folder.path().join("mine/notes.txt"), "mine").unwrap();
    let model = text(&digits());
    let said = refused(
        folder.path(),
        &["export", &model, "--to", "rust", "-o", "mine"],
    );
    assert!(said.contains("mine: exists already"), "{said}");
    let files: Vec<_> = std::fs::read_dir(folder.path().join("mine"))
        .unwrap()
        .collect();
    assert_eq!(files.len(), 1);
}

#[test]
fn what_cannot_be_exported_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (model, here) = (text(&digits()), folder.path());
    let said = refused(here, &["export", &model, "--to", "cobol"]);
    assert!(said.contains("cobol") && said.contains("rust"), "{said}");
    let said = refused(here, &["export", &model, "--to", "rust", "-o", "1-2"]);
    assert!(said.contains("'1-2'") && said.contains("--name"), "{said}");
    let said = refused(
        here,
        &[
            "export",
            &model,
            "--to",
            "rust",
            "-o",
            "a",
            "--runtime",
            "nowhere",
        ],
    );
    assert!(said.contains("nowhere: has no Cargo.toml"), "{said}");
    let onnx = text(&repository("demo/digits/digits.onnx"));
    let said = refused(here, &["export", &onnx, "--to", "rust", "-o", "a"]);
    assert!(said.contains("modelopt quantize"), "{said}");
    let damaged = here.join("damaged.mopt");
    let bytes = std::fs::read(&model).unwrap();
    std::fs::write(&damaged, &bytes[..bytes.len() / 2]).unwrap();
    let said = refused(here, &["export", "damaged.mopt", "--to", "rust", "-o", "a"]);
    assert!(said.contains("damaged.mopt"), "{said}");
    assert!(!here.join("a").exists());
}

/// Exports a model, builds a program round it, and compares what it answers with a session.
fn answers_as_a_session(folder: &Path, file: &Path, samples: usize) {
    let (code, _, errors) = run(
        folder,
        &["export", &text(file), "--to", "rust", "-o", "model"],
    );
    assert_eq!(code, 0, "{errors}");
    let runtime = text(&repository("crates/runtime").canonicalize().unwrap());
    let manifest = format!(
        "[package]\nname = \"program\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n\
         model = {{ path = \"model\" }}\n\
         runtime = {{ package = \"modelopt-runtime\", path = {runtime:?} }}\n"
    );
    std::fs::create_dir(folder.join("src")).unwrap();
    std::fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    std::fs::write(folder.join("src/main.rs"), PROGRAM).unwrap();
    std::fs::copy(repository("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let built = std::process::Command::new(env!("CARGO"))
        .current_dir(folder)
        .args(["build", "--offline", "--release"])
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&built.stderr).into_owned();
    assert!(built.status.success(), "{said}");
    assert!(!said.contains("warning: "), "{said}");

    let mut runner = Runner::new(&std::fs::read(file).unwrap()).unwrap();
    let input_bytes = runner.model().unwrap().input(0).unwrap().bytes();
    let output_bytes = runner.model().unwrap().output(0).unwrap().bytes();
    let mut seed = 5u32;
    let mut inputs = vec![0u8; input_bytes * samples];
    for byte in &mut inputs {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = (seed >> 24) as u8;
    }
    let output = Command::new(folder.join("target/release/program"))
        .write_stdin(inputs.clone())
        .output()
        .unwrap();
    let mut expected = Vec::new();
    for input in inputs.chunks(input_bytes) {
        let mut session = runner.session().unwrap();
        session.set_input(0, input).unwrap();
        session.run();
        let mut answer = vec![0; output_bytes];
        session.output(0, &mut answer).unwrap();
        expected.extend(answer);
    }
    assert!(output.stdout == expected, "the library's answers differ");
    let distinct: std::collections::BTreeSet<_> = expected.chunks(output_bytes).collect();
    assert!(
        distinct.len() > samples / 2,
        "outputs do not depend on inputs"
    );
}

#[test]
fn the_library_builds_without_a_warning_and_answers_as_a_session() {
    let folder = tempfile::tempdir().unwrap();
    answers_as_a_session(folder.path(), &digits(), 50);
}

/// A model beside the repository, quantized here.
fn real_model_answers_as_a_session(model: &str, data: &[&str]) {
    let Some(shared) = shared("") else { return };
    let folder = tempfile::tempdir().unwrap();
    let source = text(&shared.join("models").join(model));
    let data: Vec<String> = data
        .iter()
        .map(|part| match part.strip_prefix("DATA/") {
            Some(path) => text(&shared.join("data").join(path)),
            None => part.to_string(),
        })
        .collect();
    let data: Vec<&str> = data.iter().map(String::as_str).collect();
    let arguments = [
        &["quantize", &source, "-o", "model.mopt", "--calib"],
        &data[..],
    ]
    .concat();
    let (code, _, errors) = run(folder.path(), &arguments);
    assert_eq!(code, 0, "{errors}");
    answers_as_a_session(folder.path(), &folder.path().join("model.mopt"), 20);
}

#[test]
fn the_keyword_model_answers_as_a_session() {
    let data = ["DATA/kws/test_inputs_f32.npy", "--limit", "20"];
    real_model_answers_as_a_session("kws_ds_cnn_f32.onnx", &data);
}

#[test]
fn the_image_model_answers_as_a_session() {
    let data = ["DATA/cifar10/train.tar.gz", "--limit", "20"];
    real_model_answers_as_a_session("ic_resnet8_f32.onnx", &data);
}
