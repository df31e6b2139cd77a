//! Operators on elements in a line.

use super::{arena, noise};
use crate::memory::In;
use crate::{AddI8, LineI8, QuantizeI8, StepwiseAddI8, Threads, scalar};
use core::cell::Cell;
use std::vec;
use std::vec::Vec;

/// Sums and tables, apart and with the output over the first input.
pub(super) fn check_line(length: usize, seed: u64, factors: [i32; 2], shift: u8, ahead: usize) {
    let mut next = noise(seed);
    let mut values = |n: usize| -> Vec<i8> { (0..n).map(|_| next() as i8).collect() };
    let (input, other, table) = (values(length), values(length), values(256));
    let guard = 77;
    let run = |distance: Option<usize>, sums: bool, judge: bool| {
        let mut place = arena(&input, length, distance, guard);
        let cells = Cell::from_mut(&mut place.memory[..]).as_slice_of_cells();
        let from = In::from_cells(&cells[place.input..place.input + length]);
        let output = &cells[place.output..place.output + length];
        if sums {
            let operands = AddI8 {
                inputs: [from, In::from_slice(&other)],
                output,
                factors,
                offset: 1 << 12,
                shift,
                limits: [-100, 101],
                threads: Threads::ALONE,
            };
            if judge {
                scalar::i8::add(&operands)
            } else {
                crate::i8::add(&operands)
            }
        } else {
            let operands = LineI8 {
                input: from,
                output,
                table: &table,
            };
            if judge {
                scalar::i8::lookup(&operands)
            } else {
                crate::i8::lookup(&operands)
            }
        }
        place.result(length, distance, guard)
    };
    for sums in [true, false] {
        let expected = run(None, sums, true);
        assert_eq!(run(None, sums, false), expected);
        assert_eq!(run(Some(ahead), sums, false), expected);
    }
}

/// Sums that are rounded step by step, apart and with the output over the first input.
pub(super) fn check_stepwise(length: usize, seed: u64, shifts: [u8; 2], ahead: usize) {
    let mut next = noise(seed);
    let mut values = |n: usize| -> Vec<i8> { (0..n).map(|_| next() as i8).collect() };
    let (input, other) = (values(length), values(length));
    let zeros: [i32; 3] = core::array::from_fn(|_| i32::from(next() as i8));
    let [factor, output_factor]: [(i32, u8); 2] = shifts.map(|shift| match shift {
        0 => (1 << 30, 0),
        _ => ((next() as i32 & i32::MAX) | 1 << 30, shift & 31),
    });
    let guard = 77;
    let run = |distance: Option<usize>, judge: bool| {
        let mut place = arena(&input, length, distance, guard);
        let cells = Cell::from_mut(&mut place.memory[..]).as_slice_of_cells();
        let operands = StepwiseAddI8 {
            inputs: [
                In::from_cells(&cells[place.input..place.input + length]),
                In::from_slice(&other),
            ],
            output: &cells[place.output..place.output + length],
            input_zero_points: [zeros[0], zeros[1]],
            factor,
            output_factor,
            output_zero_point: zeros[2],
            limits: [-110, 121],
        };
        match judge {
            true => scalar::i8::stepwise_add(&operands),
            false => crate::i8::stepwise_add(&operands),
        }
        place.result(length, distance, guard)
    };
    let expected = run(None, true);
    assert_eq!(run(None, false), expected);
    assert_eq!(run(Some(ahead), false), expected);
}

/// What is special in single precision, and in rounding.
const SPECIAL: [f32; 12] = [
    0.5,
    -0.5,
    1.5,
    -2.5,
    0.499_999_97,
    -0.0,
    1e30,
    -1e30,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    16_777_217.0,
];

/// Real numbers to integers, apart and with the output over the input.
pub(super) fn check_quantize(length: usize, seed: u64, zero_point: i8) {
    let mut next = noise(seed);
    // Half of the numbers are special; multiples of 1/8 are half way between integers often.
    let mut value = || match next() % 24 {
        kind @ 0..12 => SPECIAL[kind as usize],
        _ => (next() % 4096) as f32 / 8.0 - 256.0,
    };
    let values: Vec<f32> = (0..length).map(|_| value()).collect();
    let scale = [1.0, 0.25, 0.1, 3.7e-3][(next() % 4) as usize];
    let halves_to_even = next().is_multiple_of(2);
    let run = |quantize: fn(&QuantizeI8<'_>), input: In<'_, f32>, output: &[Cell<i8>]| {
        quantize(&QuantizeI8 {
            input,
            output,
            scale,
            zero_point: i32::from(zero_point),
            halves_to_even,
        });
    };
    let apart = |quantize| {
        let mut result = vec![77i8; length + 16];
        let cells = Cell::from_mut(&mut result[..]).as_slice_of_cells();
        run(quantize, In::from_slice(&values), &cells[..length]);
        result
    };
    let expected = apart(scalar::i8::quantize);
    assert_eq!(apart(crate::i8::quantize), expected);
    let mut memory = values.clone();
    let floats = Cell::from_mut(&mut memory[..]).as_slice_of_cells();
    // SAFETY: the same bytes as cells of another type, in which every bit pattern is a value.
    let bytes = unsafe { core::slice::from_raw_parts(floats.as_ptr().cast::<Cell<i8>>(), length) };
    run(crate::i8::quantize, In::from_cells(floats), bytes);
    let over: Vec<i8> = bytes.iter().map(Cell::get).collect();
    assert_eq!(over, expected[..length]);
}
