//! The same file gives the same bits on the host, in WebAssembly, on 64-bit Arm, and on emulated
//! boards.

#[path = "parity/arm64.rs"]
mod arm64;
#[path = "parity/layers.rs"]
mod layers;

use device::{Device, Images, node};
use evaluate::{Host, Predict, Prediction};
use format::fixed::Rounding;
use modelopt_tests::{Subject, digits, keywords};
use optimize::quantize::{Activations, WeightType};
use runtime::Model;
use runtime::host::AlignedBytes;
use runtime::ops::conv_2d;

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

/// Compares both sets of kernels of 64-bit Arm with the host.
fn check_arm64(model: &[u8], expected: &[Prediction], samples: &[Vec<f32>]) {
    let Some(program) = arm64::program() else {
        println!("skipped: 64-bit Arm: no program, or no QEMU; run `cargo xtask test arm64`");
        return;
    };
    let expected: Vec<&[u8]> = expected
        .iter()
        .flat_map(|answer| answer.raw.iter().map(Vec::as_slice))
        .collect();
    for (processor, kernels) in arm64::PROCESSORS {
        let (found, answers) = arm64::answers(&program, processor, model, samples);
        assert_eq!(found, kernels, "{processor}");
        assert!(answers == expected.concat(), "{processor}: answers differ");
    }
}

/// Compares every place with the host.
fn check(subject: &Subject, activations: Activations) {
    check_file(subject, subject.quantized_to(activations).unwrap());
}

fn check_file(subject: &Subject, model: Vec<u8>) {
    check_samples(&model, &subject.samples(None).unwrap());
}

fn check_samples(model: &[u8], samples: &[Vec<f32>]) {
    let mut host = Host::new(model).unwrap();
    let expected = answers(&mut host, samples);
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
                let mut wasm = node::Node::open(model, is_scalar).unwrap();
                assert_same("wasm", &expected, &mut wasm, samples);
            }
        }
    }
    check_arm64(model, &expected, samples);
    let images = Images::locate();
    for name in ["qemu:mps2-an386", "qemu:mps3-an547"] {
        let board = device::find(name).unwrap();
        if images.find(&board).is_err() || device::emulator_missing().is_some() {
            println!("skipped: {name}: no image, or no QEMU");
            continue;
        }
        let mut board = Device::open(name, model, &images).unwrap();
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

/// Weights of 4 bits are widened when a session is made, or on a board before each run.
#[test]
fn digits_with_int4_weights_are_the_same_everywhere() {
    let model = digits().quantized_in(Activations::Int8, WeightType::Int4);
    let model = model.unwrap();
    let aligned = AlignedBytes::copy_of(&model);
    let nodes = Model::new(aligned.bytes()).unwrap().nodes();
    let narrow = nodes.filter(|node| node.code() == conv_2d::NARROW_I8.code);
    assert!(narrow.count() > 0, "no layer has int4 weights");
    check_file(&digits(), model);
}

#[test]
fn a_thousand_keywords_are_the_same_everywhere() {
    if let Some(subject) = keywords() {
        assert_eq!(subject.samples(None).unwrap().len(), 1000);
        check(&subject, Activations::Int8);
    }
}

#[test]
fn fully_connected_layers_of_many_sizes_are_the_same_everywhere() {
    for rounding in [Rounding::High, Rounding::Single, Rounding::Double] {
        check_samples(&layers::file(rounding), &layers::samples());
    }
}
