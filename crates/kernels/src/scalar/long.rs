//! Convolutions of int16 in 64 bits in plain Rust.

use super::{position, taps_inside};
use crate::Conv2dLong;
use crate::memory::In;

/// Products of int16 and int8 whose sum fits 32 bits.
const PRODUCTS: usize = 256;

/// See [`crate::i16::conv_2d_long`].
pub(crate) fn conv_2d_long(operands: &Conv2dLong<'_>) {
    let [rows, columns, channels] = operands.geometry.output;
    let [low, high] = operands.limits.map(i64::from);
    for (at, cell) in operands
        .output
        .iter()
        .enumerate()
        .take(rows * columns * channels)
    {
        let (pixel, channel) = (at / channels, at % channels);
        let record = operands.channels.get(channel * 4..channel * 4 + 4);
        let Some(&[lower, upper, multiplier, shift]) = record else {
            continue;
        };
        let bias = (i64::from(upper) << 32) | i64::from(lower as u32);
        let sum = window_sum(operands, [pixel / columns, pixel % columns], channel);
        let sum = bias.wrapping_add(sum);
        let shift = shift.clamp(1, 62);
        let scaled = sum
            .wrapping_mul(multiplier.into())
            .wrapping_add(1 << (shift - 1))
            >> shift;
        cell.set(scaled.max(low).min(high) as i16);
    }
}

/// The sum of products of one output channel at an output pixel.
fn window_sum(operands: &Conv2dLong<'_>, [y, x]: [usize; 2], channel: usize) -> i64 {
    let geometry = &operands.geometry;
    let [_, input_columns, input_channels] = geometry.input;
    let [kernel_rows, kernel_columns] = geometry.window.kernel;
    let inputs = input_channels / geometry.groups.max(1);
    let outputs = (geometry.output[2] / geometry.groups.max(1)).max(1);
    let mut sum = 0;
    for tap_row in taps_inside(geometry, 0, y) {
        let row = position(geometry, 0, y, tap_row) * input_columns;
        for tap_column in taps_inside(geometry, 1, x) {
            let tap = (channel * kernel_rows + tap_row) * kernel_columns + tap_column;
            let pixel = row + position(geometry, 1, x, tap_column);
            let weights = operands.weights.get(tap * inputs..(tap + 1) * inputs);
            let start = pixel * input_channels + channel / outputs * inputs;
            sum += dot(&operands.input.part(start, inputs), weights.unwrap_or(&[]));
        }
    }
    sum
}

/// The sum of products of a row.
fn dot(input: &In<'_, i16>, weights: &[i8]) -> i64 {
    let mut sum = 0;
    for (block, weights) in weights.chunks(PRODUCTS).enumerate() {
        let values = input.part(block * PRODUCTS, weights.len());
        let products = weights.iter().enumerate();
        let part: i32 = products
            .map(|(i, &w)| i32::from(w) * i32::from(values.get(i)))
            .sum();
        sum += i64::from(part);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Geometry, Window};
    use core::cell::Cell;

    /// 1,000 products of the smallest numbers are 2^32 and more: 4,194,304,000 / 2^17 = 32,000, and
    /// with a bias of 2^35, 294,144 and limited.
    #[test]
    fn sums_may_exceed_32_bits() {
        let (input, weights) = ([i16::MIN; 1000], [i8::MIN; 2000]);
        let mut output = [0i16; 2];
        let window = Window {
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            padding: [0, 0],
        };
        let geometry = Geometry {
            input: [1, 1, 1000],
            output: [1, 1, 2],
            window,
            groups: 1,
        };
        conv_2d_long(&Conv2dLong {
            geometry,
            input: In::from_slice(&input),
            output: Cell::from_mut(&mut output[..]).as_slice_of_cells(),
            weights: &weights,
            channels: &[0, 0, 1, 17, 0, 8, 1, 17],
            limits: [i16::MIN, i16::MAX],
        });
        assert_eq!(output, [32_000, 32_767]);
    }
}
