//! Convolutions of integers of any width in plain Rust.

use super::{position, taps_inside};
use crate::Conv2dInteger;
use crate::operands::Integer;

/// See [`crate::i8::conv_2d`] and [`crate::i16::conv_2d`]. Sums wrap round where weights of a
/// damaged file make them too large.
pub(crate) fn conv_2d<T: Integer>(operands: &Conv2dInteger<'_, T>) {
    let [rows, columns, _] = operands.geometry.output;
    for y in 0..rows {
        for x in 0..columns {
            if operands.geometry.groups > 1 && operands.geometry.is_depthwise() {
                depthwise_pixel(operands, y, x);
            } else {
                pixel(operands, y, x);
            }
        }
    }
}

/// All output channels of one pixel.
fn pixel<T: Integer>(operands: &Conv2dInteger<'_, T>, y: usize, x: usize) {
    let geometry = &operands.geometry;
    let [_, input_columns, input_channels] = geometry.input;
    let [_, output_columns, output_channels] = geometry.output;
    let [kernel_rows, kernel_columns] = geometry.window.kernel;
    let group_inputs = input_channels / geometry.groups.max(1);
    let group_outputs = (output_channels / geometry.groups.max(1)).max(1);
    let (rows, columns) = (taps_inside(geometry, 0, y), taps_inside(geometry, 1, x));
    let base = (y * output_columns + x) * output_channels;
    for channel in 0..output_channels {
        let mut sum = operands.channels.bias(&operands.requantize, channel);
        let group = channel / group_outputs;
        for tap_row in 0..kernel_rows {
            for tap_column in 0..kernel_columns {
                let tap = (channel * kernel_rows + tap_row) * kernel_columns + tap_column;
                let start = tap * group_inputs;
                let weights = operands
                    .weights
                    .get(start..start + group_inputs)
                    .unwrap_or(&[]);
                if rows.contains(&tap_row) && columns.contains(&tap_column) {
                    let pixel = position(geometry, 0, y, tap_row) * input_columns
                        + position(geometry, 1, x, tap_column);
                    let from = pixel * input_channels + group * group_inputs;
                    for (i, &w) in weights.iter().enumerate() {
                        let product = i32::from(w) * operands.input.get(from + i).into();
                        sum = sum.wrapping_add(product);
                    }
                } else {
                    let total: i32 = weights.iter().map(|&w| i32::from(w)).sum();
                    sum = sum.wrapping_add(total * operands.input_zero_point.into());
                }
            }
        }
        let value = operands
            .channels
            .requantized(&operands.requantize, channel, sum);
        if let Some(cell) = operands.output.get(base + channel) {
            cell.set(T::from_clamped(value));
        }
    }
}

/// All output channels of one pixel of a depthwise convolution.
fn depthwise_pixel<T: Integer>(operands: &Conv2dInteger<'_, T>, y: usize, x: usize) {
    let geometry = &operands.geometry;
    let [_, input_columns, input_channels] = geometry.input;
    let [_, output_columns, output_channels] = geometry.output;
    let [kernel_rows, kernel_columns] = geometry.window.kernel;
    let multiplier = (output_channels / input_channels).max(1);
    let (rows, columns) = (taps_inside(geometry, 0, y), taps_inside(geometry, 1, x));
    let base = (y * output_columns + x) * output_channels;
    for channel in 0..output_channels {
        let mut sum = operands.channels.bias(&operands.requantize, channel);
        for tap_row in 0..kernel_rows {
            for tap_column in 0..kernel_columns {
                let tap = tap_row * kernel_columns + tap_column;
                let weight = operands.weights.get(tap * output_channels + channel);
                let value = if rows.contains(&tap_row) && columns.contains(&tap_column) {
                    let pixel = position(geometry, 0, y, tap_row) * input_columns
                        + position(geometry, 1, x, tap_column);
                    operands
                        .input
                        .get(pixel * input_channels + channel / multiplier)
                } else {
                    operands.input_zero_point
                };
                sum = sum.wrapping_add(i32::from(*weight.unwrap_or(&0)) * value.into());
            }
        }
        let value = operands
            .channels
            .requantized(&operands.requantize, channel, sum);
        if let Some(cell) = operands.output.get(base + channel) {
            cell.set(T::from_clamped(value));
        }
    }
}
