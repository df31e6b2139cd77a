//! The standard streams: a reader that leaves, or a full disk, costs neither the work nor the exit code.

use crate::repository;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

/// The exit code of a command on the digits' model whose streams lead elsewhere.
fn code(folder: &Path, command: &str, stdout: Stdio, stderr: Stdio) -> Option<i32> {
    let mut program = Command::new(assert_cmd::cargo::cargo_bin!("modelopt"));
    let digits = repository("demo/digits").canonicalize().unwrap();
    let command = command.replace("DIGITS", &digits.display().to_string());
    let started = program
        .args(command.split_whitespace())
        .current_dir(folder)
        .stdout(stdout)
        .stderr(stderr)
        .status();
    started.unwrap().code()
}

/// A pipe whose reader has left.
fn left() -> Stdio {
    let (_, writer) = std::io::pipe().unwrap();
    writer.into()
}

fn full() -> Stdio {
    File::options()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .into()
}

const QUANTIZE: &str = "quantize DIGITS/digits.onnx --calib DIGITS/test.npy -o x.mopt";

#[test]
fn a_reader_that_leaves_ends_no_command() {
    let folder = tempfile::tempdir().unwrap();
    let left_alone = |command| code(folder.path(), command, left(), Stdio::inherit());
    assert_eq!(left_alone(QUANTIZE), Some(0));
    assert!(folder.path().join("x.mopt").exists());
    let gate = "evaluate x.mopt --data DIGITS/test.npy --gate samples<=1 --report r.html";
    assert_eq!(left_alone(gate), Some(1));
    assert!(folder.path().join("r.html").exists());
    assert_eq!(left_alone("ops"), Some(0));
}

#[test]
fn a_full_disk_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let told = |command| code(folder.path(), command, full(), Stdio::null());
    assert_eq!(told(QUANTIZE), Some(3));
    assert!(folder.path().join("x.mopt").exists());
    assert_eq!(told("ops --json"), Some(3));
    let untold = code(folder.path(), "inspect missing", Stdio::null(), full());
    assert_eq!(untold, Some(3));
}
