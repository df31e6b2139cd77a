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

/// Names that would clear the screen or change colours are printed, not obeyed, and read back as they are.
#[test]
fn a_terminal_obeys_no_name() {
    const NODE: &str = "/res\u{1b}[2J\n/Add";
    const OUTPUT: &str = "prob\u{1b}[31mt\u{9b}s";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut bytes = std::fs::read(repository("demo/digits/digits.onnx")).unwrap();
    // A name of the same length is what it takes to rename.
    for (name, other) in [("/residual/Add", NODE), ("probabilities", OUTPUT)] {
        assert_eq!(name.len(), other.len());
        for start in 0..bytes.len() - name.len() {
            let place = start..start + name.len();
            if &bytes[place.clone()] == name.as_bytes() {
                bytes[place].copy_from_slice(other.as_bytes());
            }
        }
    }
    std::fs::write(path.join("odd.onnx"), bytes).unwrap();
    let data = crate::demo("test.npy");
    let quantize = ["quantize", "odd.onnx", "--calib", &data, "--limit", "8"];
    let in_float = [&quantize[..], &["--keep-float", NODE]].concat();
    let refused = [&in_float[..], &["--require-int8"]].concat();
    let [node, output] = ["/res\\u001b[2J\\u000a/Add", "prob\\u001b[31mt\\u009bs"];
    let commands = [
        (&["inspect", "odd.onnx"][..], 0, &[node, output][..]),
        (&quantize, 0, &[node]),
        (&in_float, 0, &[node]),
        (&refused, 2, &[node]),
        (&["inspect", "odd.mopt"], 0, &[node, output]),
        (&["run", "odd.mopt", "--input", &data], 0, &[output]),
    ];
    for (command, code, names) in commands {
        let (found, said, errors) = crate::run(path, command);
        assert_eq!(found, code, "{command:?}: {errors}");
        let text = said + &errors;
        let obeyed = |character: char| character.is_control() && character != '\n';
        assert!(!text.contains(obeyed), "{command:?}: {text:?}");
        for name in names {
            assert!(text.contains(name), "{command:?}: {text}");
        }
    }
    let inspected = crate::json(path, &["inspect", "odd.onnx"]);
    assert_eq!(inspected["outputs"][0]["name"], OUTPUT);
}
