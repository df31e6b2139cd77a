//! The same file gives the same bits on the host, in WebAssembly, and on emulated boards.

use device::{Device, Images, node};
use evaluate::{Host, Predict, Prediction};
use modelopt_tests::{Subject, digits, keywords};
use optimize::quantize::Activations;

/// Inputs for each board: emulation is slow.
const BOARD_INPUTS: usize = 50;

fn answers(predict: &mut dyn Predict, samples: &[Vec<f32>]) -> Vec<Prediction> {
    samples
        .iter()
        .map(|sample| predict.predict(&[sample]).unwrap())
        .collect()
}

fn assert_same(
    place: &str,
    expected: &[Prediction],
    predict: &mut dyn Predict,
    samples: &[Vec<f32>],
) {
    for (index, (expected, answer)) in expected.iter().zip(answers(predict, samples)).enumerate() {
        assert!(!answer.raw.is_empty());
        assert_eq!(expected.raw, answer.raw, "{place}, sample {index}");
        assert_eq!(expected.outputs, answer.outputs, "{place}, sample {index}");
    }
}

/// Compares every place with the host.
fn check(subject: &Subject, activations: Activations) {
    let model = subject.quantized_to(activations).unwrap();
    let samples = subject.samples(None).unwrap();
    let mut host = Host::new(&model).unwrap();
    let expected = answers(&mut host, &samples);
    let distinct = expected
        .iter()
        .filter(|answer| answer.raw != expected[0].raw)
        .count();
    assert!(
        distinct > samples.len() / 2,
        "answers differ from sample to sample"
    );
    match node::missing() {
        Some(missing) => println!("skipped: WebAssembly: {missing}"),
        None => {
            for is_scalar in [false, true] {
                let mut wasm = node::Node::open(&model, is_scalar).unwrap();
                assert_same("wasm", &expected, &mut wasm, &samples);
            }
        }
    }
    let images = Images::locate();
    for name in ["qemu:mps2-an386", "qemu:mps3-an547"] {
        let board = device::find(name).unwrap();
        if images.find(&board).is_err() || device::emulator_missing().is_some() {
            println!("skipped: {name}: no image, or no QEMU");
            continue;
        }
        let mut board = Device::open(name, &model, &images).unwrap();
        let count = samples.len().min(BOARD_INPUTS);
        assert_same(name, &expected[..count], &mut board, &samples[..count]);
    }
}

#[test]
fn digits_are_the_same_everywhere() {
    check(&digits(), Activations::Int8);
}

/// int16 where there is such an operator, int8 elsewhere, and conversions between.
#[test]
fn digits_in_int16_are_the_same_everywhere() {
    check(&digits(), Activations::Int16);
}

#[test]
fn a_thousand_keywords_are_the_same_everywhere() {
    if let Some(subject) = keywords() {
        assert_eq!(subject.samples(None).unwrap().len(), 1000);
        check(&subject, Activations::Int8);
    }
}
