//! Sums where outputs change by one: convolutions of zeros, whose sums are their biases.

use super::{CURRENT_I8, noise};
use crate::memory::In;
use crate::{Binding, Channels, Conv2dConstants, Conv2dI8, Geometry, Threads, Window, scalar};
use core::cell::Cell;
use format::fixed::{Channel, Requantize, Rounding, are_plain};
use std::vec;
use std::vec::Vec;

const OUTPUTS: usize = 64;

/// Channel records, both kinds, of sums next to where output `k - 1` becomes `k`.
fn records(next: &mut impl FnMut() -> u64, shift: u8) -> (Vec<u32>, Vec<i32>) {
    let mut sum_at = |scale: f64| {
        let output = (next() % 256) as f64 - 128.0;
        ((output - 0.5) / scale) as i32 + (next() % 5) as i32 - 2
    };
    let (mut narrow, mut wide) = (Vec::new(), Vec::new());
    for i in 0..OUTPUTS {
        let multiplier = 2048 + (i as u32 * 797) % 2048;
        let bias = sum_at(f64::from(multiplier) / 2f64.powi(32 - i32::from(shift)));
        narrow.push(Channel { bias, multiplier }.pack());
        let right = 2 + i as i32 % 12;
        let multiplier = (1 << 30) | (i as i32 * 16_777_213 + 1);
        let bias = sum_at(f64::from(multiplier) / 2f64.powi(31 + right));
        wide.extend([bias, multiplier, -right]);
    }
    (narrow, wide)
}

fn check(seed: u64, rounding: Rounding, pixels: usize, shift: u8) {
    let mut next = noise(seed);
    let (narrow, wide) = records(&mut next, shift);
    let channels = match rounding {
        Rounding::High => Channels::High(&narrow),
        _ => Channels::Wide(&wide),
    };
    let weights = vec![0; OUTPUTS];
    let geometry = Geometry {
        input: [1, pixels, 1],
        output: [1, pixels, OUTPUTS],
        window: Window {
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            padding: [0, 0],
        },
        groups: 1,
    };
    let constants = Conv2dConstants {
        geometry,
        weights: &weights,
        channels,
        requantize: Requantize {
            rounding,
            bias_shift: 0,
            multiplier_shift: shift,
            is_plain: are_plain(&wide, 1),
            zero_point: (next() % 7) as i16 - 3,
            min: -120,
            max: 127,
        },
    };
    let [mut scratch, mut prepared] = CURRENT_I8.memory(&constants);
    let input = vec![1; pixels];
    let mut run = |kernel: fn(&Conv2dI8<'_>)| {
        let output = vec![Cell::new(0i8); pixels * OUTPUTS];
        kernel(&Conv2dI8 {
            geometry,
            input: In::from_slice(&input),
            output: &output,
            weights: &weights,
            channels,
            requantize: constants.requantize,
            input_zero_point: 0,
            binding: Binding {
                prepared: prepared.bytes(),
                scratch: Cell::from_mut(scratch.bytes()).as_slice_of_cells(),
                threads: Threads::ALONE,
            },
        });
        output.iter().map(Cell::get).collect::<Vec<i8>>()
    };
    assert_eq!(run(crate::i8::conv_2d), run(scalar::i8::conv_2d));
}

#[test]
fn sums_next_to_a_change_are_rounded_as_defined() {
    for seed in 0..300 {
        for rounding in [Rounding::High, Rounding::Single, Rounding::Double] {
            for pixels in [1, 2] {
                check(seed, rounding, pixels, 8 + (seed % 12) as u8);
            }
        }
    }
}
