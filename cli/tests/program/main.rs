//! The program as a user types it: commands in a folder, what they print, what they leave there.

mod bad_input;
mod export;
mod exported;
mod exporters;
mod front_end;
mod goal;
mod integer;
mod main_job;
mod messages;
mod operators;
mod patches;
mod quantized_onnx;
mod rounding;
mod streaming;
mod streams;
mod terminal;
mod tflite;
mod variables;
mod writer;

use assert_cmd::Command;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A file or folder of this repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A file of the demonstration, as an argument.
fn demo(file: &str) -> String {
    text(&repository("demo/digits").join(file))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// A file or folder beside the repository, if it is there.
fn shared(path: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("MODELOPT_SHARED");
    let folder = folder.map_or_else(|| repository("../shared"), PathBuf::from);
    let found = folder.join(path);
    if !found.exists() {
        println!("skipped: ../shared/{path} is missing");
        return None;
    }
    Some(found)
}

/// Runs a script of `tests/oracles`; `None` where its packages are not installed.
fn oracle(folder: &Path, script: &str, arguments: &[&str]) -> Option<()> {
    let chosen = std::env::var_os("MODELOPT_ORACLES");
    let packages = chosen.map_or_else(|| repository("target/oracles"), PathBuf::from);
    let python = packages.join("bin/python");
    if !python.exists() {
        println!("skipped: target/oracles is missing; `cargo xtask setup` makes it");
        return None;
    }
    let script = repository("tests/oracles")
        .canonicalize()
        .unwrap()
        .join(script);
    let mut command = Command::new(python);
    let output = command
        .current_dir(folder)
        .arg(script)
        .args(arguments)
        .output();
    let output = output.unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {messages}");
    Some(())
}

/// Runs a command in a folder; the exit code, the standard output, the standard error stream.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut program = Command::cargo_bin("modelopt").unwrap();
    let output = program.current_dir(folder).args(arguments).output();
    let output = output.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (code, text(output.stdout), text(output.stderr))
}

/// Runs a command that must succeed; what it prints for programs.
fn json(folder: &Path, arguments: &[&str]) -> Value {
    let (code, output, errors) = run(folder, &[arguments, &["--json"]].concat());
    assert_eq!(code, 0, "{arguments:?}: {errors}");
    serde_json::from_str(&output).unwrap()
}

/// Runs a command that must fail, and gives what it says.
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let (code, _, errors) = run(folder, arguments);
    assert_eq!(code, 2, "{arguments:?}: {errors}");
    errors
}

/// The first output of every sample of a file.
fn answers(folder: &Path, model: &str, input: &str) -> Vec<Value> {
    let samples = json(folder, &["run", model, "--input", input]);
    let samples = samples.as_array().unwrap().iter();
    samples.map(|s| s["outputs"][0]["values"].clone()).collect()
}
