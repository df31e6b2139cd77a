//! Models that were written once stay readable and give the same answers, whatever changes.
//!
//! `tests/golden` holds small files of every operator with the bytes of two runs each, written by
//! the example `golden`, and `codes.tsv`, the numbers of the operators. Where one of these tests fails, the
//! code is at fault, not the file: files of users are as old.

use format::{DType, Model};
use runtime::host::{AlignedBytes, Runner};
use runtime::{Session, ops};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Floats differ between machines by the order and the fusing of their sums.
const RELATIVE: f32 = 1e-4;
const ABSOLUTE: f32 = 1e-5;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The models, by name, each at an address that a model may lie at.
fn models() -> BTreeMap<String, AlignedBytes> {
    let mut models = BTreeMap::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "mopt")
        {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            models.insert(name, AlignedBytes::copy_of(&std::fs::read(&path).unwrap()));
        }
    }
    models
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    let digits = pairs.map(|pair| std::str::from_utf8(pair).unwrap());
    digits
        .map(|digits| u8::from_str_radix(digits, 16).unwrap())
        .collect()
}

fn assert_equal(place: &str, dtype: DType, expected: &[u8], bytes: &[u8]) {
    if dtype != DType::F32 {
        assert_eq!(expected, bytes, "{place}");
        return;
    }
    assert_eq!(expected.len(), bytes.len(), "{place}");
    let reals = |bytes: &[u8]| -> Vec<f32> {
        let words = bytes.as_chunks().0.iter();
        words.map(|word| f32::from_le_bytes(*word)).collect()
    };
    for (a, b) in reals(expected).into_iter().zip(reals(bytes)) {
        let is_near = (a - b).abs() <= ABSOLUTE + RELATIVE * a.abs();
        let is_same = a == b || (a.is_nan() && b.is_nan());
        assert!(is_near || is_same, "{place}: {a} became {b}");
    }
}

/// Follows the lines of a record; returns how many outputs were compared.
fn replay(name: &str, session: &mut Session<'_>, record: &str) -> usize {
    let mut compared = 0;
    let mut has_run = false;
    for line in record.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [run, side, port, hex] = fields[..] else {
            panic!("{name}: '{line}' is no line of a record");
        };
        let (port, bytes) = (port.parse().unwrap(), bytes_of(hex));
        if side == "in" {
            session.set_input(port, &bytes).unwrap();
            has_run = false;
            continue;
        }
        if !has_run {
            session.run();
            has_run = true;
        }
        let tensor = session.model().output(port).unwrap();
        let mut output = vec![0; tensor.bytes()];
        session.output(port, &mut output).unwrap();
        let place = format!("{name}, run {run}, output {port}");
        assert_equal(&place, tensor.dtype, &bytes, &output);
        compared += 1;
    }
    compared
}

#[test]
fn golden_models_open_and_answer_as_recorded() {
    let models = models();
    assert!(models.len() >= 12, "golden files are missing");
    for (name, file) in models {
        let record = std::fs::read_to_string(folder().join(format!("{name}.txt"))).unwrap();
        let mut runner = Runner::new(file.bytes()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let outputs = runner.model().unwrap().output_count();
        let compared = replay(&name, &mut runner.session().unwrap(), &record);
        assert!(compared >= outputs, "{name}: {compared} outputs");
    }
}

/// A number that stands for another operator, or a name that changes, breaks files and tables.
#[test]
fn codes_stay_what_they_are() {
    let recorded = std::fs::read_to_string(folder().join("codes.tsv")).unwrap();
    let mut codes: Vec<(u16, &str)> = ops::ALL.iter().map(|op| (op.code, op.name)).collect();
    codes.sort();
    let lines = codes.iter().map(|(code, name)| format!("{code}\t{name}\n"));
    assert_eq!(recorded, lines.collect::<String>());
    let distinct: BTreeSet<u16> = codes.iter().map(|(code, _)| *code).collect();
    assert_eq!(distinct.len(), codes.len(), "a number stands for two");
}

#[test]
fn every_operator_is_in_a_golden_model() {
    let mut seen = BTreeSet::new();
    for file in models().values() {
        let model = Model::new(file.bytes()).unwrap();
        seen.extend(model.nodes().map(|node| node.code()));
    }
    let missing = ops::ALL.iter().filter(|op| !seen.contains(&op.code));
    let missing: Vec<&str> = missing.map(|op| op.name).collect();
    assert_eq!(
        missing, [""; 0],
        "write a network into the example `golden`"
    );
}

/// The header, field by field, as `SPEC.md` has it: not as the code reads it.
#[test]
fn the_header_is_where_the_specification_says() {
    for (name, file) in models() {
        let bytes = file.bytes();
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!(&bytes[..4], b"MOPT", "{name}");
        assert_eq!(bytes[4..8], [1, 0, 0, 0], "{name}");
        assert_eq!(word(8), bytes.len(), "{name}");
        let model = Model::new(bytes).unwrap();
        assert_eq!(word(16), model.arena_bytes(), "{name}");
        assert_eq!(word(20), model.state_bytes(), "{name}");
        assert_eq!(word(56) % 16, 0, "{name}");
        let nodes = usize::from(u16::from_le_bytes([bytes[44], bytes[45]]));
        assert_eq!(nodes, model.nodes().count(), "{name}");
        // The first node's operator is the first field of its record.
        let first = word(32);
        let code = u16::from_le_bytes([bytes[first], bytes[first + 1]]);
        assert_eq!(
            Some(code),
            model.nodes().next().map(|node| node.code()),
            "{name}"
        );
    }
}
