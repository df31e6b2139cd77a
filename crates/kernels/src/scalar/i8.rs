//! int8 loops in plain Rust.

use super::{position, taps_inside};
use crate::{AddI8, Conv2dI8, LineI8, PoolI8};

/// See [`crate::i8::conv_2d`].
pub(crate) fn conv_2d(operands: &Conv2dI8<'_>) {
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
fn pixel(operands: &Conv2dI8<'_>, y: usize, x: usize) {
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
                        sum += i32::from(w) * i32::from(operands.input.get(from + i));
                    }
                } else {
                    let total: i32 = weights.iter().map(|&w| i32::from(w)).sum();
                    sum += total * i32::from(operands.input_zero_point);
                }
            }
        }
        let value = operands.channels.finish(&operands.requantize, channel, sum);
        if let Some(cell) = operands.output.get(base + channel) {
            cell.set(value);
        }
    }
}

/// All output channels of one pixel of a depthwise convolution.
fn depthwise_pixel(operands: &Conv2dI8<'_>, y: usize, x: usize) {
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
                sum += i32::from(*weight.unwrap_or(&0)) * i32::from(value);
            }
        }
        let value = operands.channels.finish(&operands.requantize, channel, sum);
        if let Some(cell) = operands.output.get(base + channel) {
            cell.set(value);
        }
    }
}

/// See [`crate::i8::add`].
pub(crate) fn add(operands: &AddI8<'_>) {
    let [low, high] = operands.limits.map(i32::from);
    for (i, cell) in operands.output.iter().enumerate() {
        let [a, b] = operands.inputs.map(|input| i32::from(input.get(i)));
        let sum = a * operands.factors[0] + b * operands.factors[1] + operands.offset;
        cell.set((sum >> operands.shift).clamp(low, high) as i8);
    }
}

/// Calls `finish(sum-or-largest, count)` for every window and channel.
fn pool(operands: &PoolI8<'_>, first: i32, fold: fn(i32, i32) -> i32, finish: fn(i32, i32) -> i32) {
    let geometry = &operands.geometry;
    let [_, input_columns, channels] = geometry.input;
    let [rows, columns, _] = geometry.output;
    let [low, high] = operands.limits.map(i32::from);
    for y in 0..rows {
        let tap_rows = taps_inside(geometry, 0, y);
        for x in 0..columns {
            let tap_columns = taps_inside(geometry, 1, x);
            let count = (tap_rows.len() * tap_columns.len()) as i32;
            for channel in 0..channels {
                let mut state = first;
                for tap_row in tap_rows.clone() {
                    let row = position(geometry, 0, y, tap_row) * input_columns;
                    for tap_column in tap_columns.clone() {
                        let at = row + position(geometry, 1, x, tap_column);
                        let value = operands.input.get(at * channels + channel);
                        state = fold(state, i32::from(value));
                    }
                }
                let value = finish(state, count.max(1)).clamp(low, high) as i8;
                if let Some(cell) = operands.output.get((y * columns + x) * channels + channel) {
                    cell.set(value);
                }
            }
        }
    }
}

/// `sum / count`, halves away from zero.
pub(crate) fn rounded_mean(sum: i32, count: i32) -> i32 {
    let half = if sum > 0 { count / 2 } else { -(count / 2) };
    (sum + half) / count
}

/// See [`crate::i8::average_pool_2d`].
pub(crate) fn average_pool_2d(operands: &PoolI8<'_>) {
    pool(operands, 0, |sum, value| sum + value, rounded_mean);
}

/// See [`crate::i8::max_pool_2d`].
pub(crate) fn max_pool_2d(operands: &PoolI8<'_>) {
    pool(operands, i32::from(i8::MIN), i32::max, |largest, _| largest);
}

/// See [`crate::i8::lookup`].
pub(crate) fn lookup(operands: &LineI8<'_>) {
    for (i, cell) in operands.output.iter().enumerate() {
        let index = usize::from(operands.input.get(i) as u8);
        cell.set(operands.table.get(index).copied().unwrap_or(0));
    }
}
