//! Pools.

use super::{Case, arena, distance, elements, noise};
use crate::i8::WINDOW_SUMS;
use crate::memory::In;
use crate::{Geometry, PoolI8, pool_taps, scalar};
use core::cell::Cell;
use std::vec::Vec;

/// A pool with the window of any convolution.
pub(super) fn check_pool(mut geometry: Geometry, case: Case, average: bool) {
    let mut next = noise(case.seed);
    geometry.output[2] = geometry.input[2];
    let value = |bits: u64| {
        if case.extreme {
            [-128, 127][(bits >> 63) as usize]
        } else {
            bits as i8
        }
    };
    let input: Vec<i8> = (0..elements(geometry.input))
        .map(|_| value(next()))
        .collect();
    let outputs = elements(geometry.output);
    let [a, b] = [next() as i8, next() as i8];
    let limits = if case.unusual {
        [a.min(b), a.max(b)]
    } else {
        [-128, 127]
    };
    let guard = 77;
    let run = |distance: Option<usize>, judge: bool| {
        let mut place = arena(&input, outputs, distance, guard);
        let cells = Cell::from_mut(&mut place.memory[..]).as_slice_of_cells();
        let operands = PoolI8 {
            geometry,
            input: In::from_cells(&cells[place.input..place.input + input.len()]),
            output: &cells[place.output..place.output + outputs],
            limits,
        };
        match (average, judge) {
            (true, true) => scalar::i8::average_pool_2d(&operands),
            (true, false) => crate::i8::average_pool_2d(&operands),
            (false, true) => scalar::i8::max_pool_2d(&operands),
            (false, false) => crate::i8::max_pool_2d(&operands),
        }
        place.result(outputs, distance, guard)
    };
    let expected = run(None, true);
    assert_eq!(run(None, false), expected, "{geometry:?} {case:?}");
    check_window_sums(&geometry, &In::from_slice(&input));
    assert_eq!(
        run(Some(distance(&geometry)), false),
        expected,
        "{geometry:?} {case:?}"
    );
}

/// The sums under the last window of the first and of the last channels.
fn check_window_sums(geometry: &Geometry, input: &In<'_, i8>) {
    let [rows, columns, channels] = geometry.output;
    let at = [rows - 1, columns - 1];
    for first in [0, channels - 1] {
        let valid = (channels - first).min(WINDOW_SUMS);
        let sums = crate::i8::window_sums(geometry, input, at, first);
        let taps = pool_taps(geometry, at[0], at[1]);
        for (i, &sum) in sums[..valid].iter().enumerate() {
            assert_eq!(sum, taps.sums_i8(input, first + i)[0], "{geometry:?}");
        }
    }
}
