//! Operators on elements in a line.

use super::{arena, noise};
use crate::memory::In;
use crate::{AddI8, LineI8, scalar};
use core::cell::Cell;
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
