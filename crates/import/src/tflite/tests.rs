//! Small files, whole ones and broken ones.

use super::tflite_bytes;
use crate::{Imported, Options, Problem};
use format::fixed::Rounding;
use graph::Quantization;
use proptest::prelude::*;
use runtime::host::Runner;

const SIGNED: &[u8] = include_bytes!("../../tests/fixtures/signed.tflite");
const UNSIGNED: &[u8] = include_bytes!("../../tests/fixtures/unsigned.tflite");
const HYBRID: &[u8] = include_bytes!("../../tests/fixtures/hybrid.tflite");
const CONVOLUTION: &[u8] = include_bytes!("../../tests/fixtures/conv.tflite");
const WIDE: &[u8] = include_bytes!("../../tests/fixtures/wide.tflite");
const RING: &[u8] = include_bytes!("../../tests/fixtures/ring.tflite");
const UNSUPPORTED: &[u8] = include_bytes!("../../tests/fixtures/unsupported.tflite");

fn import(bytes: &[u8]) -> Imported {
    tflite_bytes("model", bytes, &Options::default()).unwrap()
}

fn refused(bytes: &[u8]) -> String {
    tflite_bytes("model", bytes, &Options::default())
        .unwrap_err()
        .to_string()
}

fn run(imported: &Imported, input: &[u8]) -> Vec<i8> {
    let options = compile::Options {
        rounding: imported.rounding,
        ..compile::Options::default()
    };
    let compiled = compile::compile(&imported.graph, &options).unwrap();
    let mut runner = Runner::new(&compiled.bytes).unwrap();
    let mut session = runner.session().unwrap();
    session.set_input(0, input).unwrap();
    session.run();
    let mut output = [0; 2];
    session.output(0, &mut output).unwrap();
    output.map(|byte| byte as i8).to_vec()
}

/// Real inputs 0.5, 1, 1.5, 2; weights of a quarter; biases 1 and -2.
#[test]
fn a_layer_has_the_files_numbers() {
    let imported = import(SIGNED);
    assert_eq!(imported.rounding, Rounding::Double);
    assert!(imported.graph.is_quantized());
    let input = imported.graph.value(imported.graph.inputs[0].value);
    assert_eq!(input.quantization, Some(Quantization::per_tensor(0.5, 3)));
    // 0.125 - 0.5 + 1.125 - 2 + 1 = -0.25 and 0.625 + 1.5 - 2.625 + 4 - 2 = 1.5, away from zero.
    assert_eq!(run(&imported, &[4, 5, 6, 7]), [-5, -3]);
}

#[test]
fn unsigned_files_are_signed_ones_moved() {
    let (signed, unsigned) = (import(SIGNED), import(UNSIGNED));
    assert_eq!(
        unsigned.notes,
        ["unsigned bytes are held as signed ones, 128 lower"]
    );
    assert_eq!(
        run(&signed, &[1, 200, 3, 90]),
        run(&unsigned, &[1, 200, 3, 90])
    );
}

#[test]
fn hybrid_layers_are_refused_with_a_remedy() {
    let message = refused(HYBRID);
    assert!(
        message.contains("(FULLY_CONNECTED): it is hybrid: int8 weights"),
        "{message}"
    );
    assert!(message.contains("full integer quantization"), "{message}");
}

#[test]
fn int16_around_another_number_is_refused_with_a_remedy() {
    let message = refused(WIDE);
    assert!(message.contains("is int16 around 3"), "{message}");
    assert!(message.contains("around zero"), "{message}");
}

#[test]
fn unknown_operators_are_named() {
    let message = refused(UNSUPPORTED);
    assert!(
        message.contains("LOCAL_RESPONSE_NORMALIZATION is not supported"),
        "{message}"
    );
}

#[test]
fn shapes_are_the_files() {
    let options = Options {
        dims: [("batch".to_string(), 2)].into(),
        ..Options::default()
    };
    let error = tflite_bytes("model", SIGNED, &options).unwrap_err();
    assert!(error.to_string().contains("leave out --dim"), "{error}");
}

#[test]
fn other_files_are_told_apart() {
    for bytes in [&b""[..], b"TFL3", b"\x08\0\0\0TFL4", &[0xFF; 64]] {
        let error = tflite_bytes("model", bytes, &Options::default()).unwrap_err();
        assert!(
            matches!(error.problem, Problem::MalformedTflite(_)),
            "{error}"
        );
    }
}

/// Imports what may be broken, and compiles what is not.
fn survive(bytes: &[u8]) {
    if let Ok(imported) = tflite_bytes("model", bytes, &Options::default()) {
        let elements = |value: &graph::Value| value.shape.elements();
        let largest = imported.graph.values.iter().map(elements).max();
        // Changed bytes may ask for large tensors, which are no mistake but slow here.
        if largest.is_some_and(|elements| elements < 1 << 20) {
            let _ = compile::compile(&imported.graph, &compile::Options::default());
        }
    }
}

#[test]
fn files_cut_anywhere_are_refused() {
    for bytes in [SIGNED, CONVOLUTION, RING] {
        (0..bytes.len()).for_each(|length| survive(&bytes[..length]));
    }
}

#[test]
fn files_with_any_byte_changed_do_no_harm() {
    for file in [CONVOLUTION, RING] {
        for (index, change) in (0..file.len()).flat_map(|i| [(i, 0x01), (i, 0x80), (i, 0xFF)]) {
            let mut bytes = file.to_vec();
            bytes[index] ^= change;
            survive(&bytes);
        }
    }
}

proptest! {
    #[test]
    fn files_with_many_bytes_changed_do_no_harm(
        changes in proptest::collection::vec((0usize..4096, any::<u8>()), 1..20),
        which in 0usize..4,
    ) {
        let mut bytes = [SIGNED, UNSIGNED, CONVOLUTION, RING][which].to_vec();
        for (index, byte) in changes {
            let at = index % bytes.len();
            bytes[at] = byte;
        }
        survive(&bytes);
    }
}
