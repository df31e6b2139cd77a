//! Sets of x86-64 that are not those of this machine.

use super::float::{AVX2, check_f32};
use super::tests::{cases, geometries};
use super::{Case, ConvolutionsI8, Geometry, check_i8, geometry};
use crate::x86::i8::{self, EmulatedVnni};
use crate::x86::{Avx2, AvxVnni};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// The loops of a set, with nothing computed where there is no proof that the machine has it.
macro_rules! loops {
    ($set:ty, $proof:expr) => {
        ConvolutionsI8 {
            scratch_bytes: i8::conv_2d_scratch_bytes::<$set>,
            prepared_bytes: i8::conv_2d_prepared_bytes::<$set>,
            prepare: i8::prepare_conv_2d::<$set>,
            conv_2d: |operands| {
                if let Some(proof) = $proof {
                    i8::conv_2d::<$set>(proof, operands);
                }
            },
            shares_outputs: i8::shares_outputs::<$set>,
        }
    };
}

/// `vpdpbusd` is made of other instructions, so that its loops run on machines without it.
const FOURS: ConvolutionsI8 = loops!(EmulatedVnni, Avx2::detect().map(EmulatedVnni));
const PAIRS: ConvolutionsI8 = loops!(Avx2, Avx2::detect());
const AVX_VNNI: ConvolutionsI8 = loops!(AvxVnni, AvxVnni::detect());

/// Compares a set with plain Rust where this machine has it.
fn check(kernels: &ConvolutionsI8, has: bool, set: &str) {
    check_cases(has, set, |geometry, case| check_i8(kernels, geometry, case));
}

fn check_cases(has: bool, set: &str, one: impl Fn(Geometry, Case)) {
    if !has {
        std::println!("skipped: this machine has no {set}");
        return;
    }
    let config = ProptestConfig {
        cases: 600,
        ..ProptestConfig::default()
    };
    let outcome = TestRunner::new(config).run(&(geometries(), cases()), |(geometry, case)| {
        one(geometry, case);
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn integer_convolutions_by_fours_are_equal() {
    check(&FOURS, Avx2::detect().is_some(), "AVX2");
}

#[test]
fn integer_convolutions_by_pairs_are_equal() {
    check(&PAIRS, Avx2::detect().is_some(), "AVX2");
}

#[test]
fn integer_convolutions_with_avx_vnni_are_equal() {
    check(&AVX_VNNI, AvxVnni::detect().is_some(), "AVX-VNNI");
}

/// Images of at most 8 by 8 over whole vectors of channels, and fully connected layers, with weights of
/// which [`i8::shares_outputs`] says so.
#[test]
fn shares_of_outputs_are_equal() {
    if Avx2::detect().is_none() {
        return std::println!("skipped: this machine has no AVX2");
    }
    let shapes = (7usize..9, 7usize..9, 2usize..5, 1usize..5);
    let outcome = TestRunner::default().run(&(shapes, cases()), |((h, w, i, o), case)| {
        let case = Case {
            seed: case.seed - case.seed % 3,
            extreme: false,
            ..case
        };
        let squares = geometry(
            [3, 3, 1, 1, 1, 1],
            [h, w, 1, 1, 1, 1],
            [16 * i, 16 * o, 1, 5],
        );
        let vector = geometry([1; 6], [1, 1, 0, 0, 0, 0], [i, 10 * o, 1, 1]);
        for shape in [squares, vector] {
            for kernels in [&FOURS, &PAIRS] {
                check_i8(kernels, shape, case);
            }
        }
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn float_convolutions_of_256_bits_agree() {
    check_cases(Avx2::detect().is_some(), "AVX2", |geometry, case| {
        check_f32(&AVX2, geometry, case.seed, case.overlap, case.extreme);
    });
}
