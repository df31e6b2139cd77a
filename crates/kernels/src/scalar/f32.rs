//! Float loops in plain Rust.

use super::{position, taps_inside};
use crate::Conv2dF32;

/// See [`crate::f32::conv_2d`].
pub(crate) fn conv_2d(operands: &Conv2dF32<'_>) {
    let [rows, columns, _] = operands.geometry.output;
    for y in 0..rows {
        for x in 0..columns {
            pixel(operands, y, x);
        }
    }
}

/// All output channels of one pixel.
fn pixel(operands: &Conv2dF32<'_>, y: usize, x: usize) {
    let geometry = &operands.geometry;
    let [_, input_columns, input_channels] = geometry.input;
    let [_, output_columns, output_channels] = geometry.output;
    let [kernel_rows, kernel_columns] = geometry.window.kernel;
    let depthwise = geometry.groups > 1 && geometry.is_depthwise();
    let group_inputs = input_channels / geometry.groups.max(1);
    let group_outputs = (output_channels / geometry.groups.max(1)).max(1);
    let (rows, columns) = (taps_inside(geometry, 0, y), taps_inside(geometry, 1, x));
    let base = (y * output_columns + x) * output_channels;
    for channel in 0..output_channels {
        let mut sum = operands.bias.get(channel).copied().unwrap_or(0.0);
        let group = channel / group_outputs;
        for tap_row in rows.clone() {
            for tap_column in columns.clone() {
                let tap = tap_row * kernel_columns + tap_column;
                let start = if depthwise {
                    tap * output_channels + channel
                } else {
                    (channel * kernel_rows * kernel_columns + tap) * group_inputs
                };
                let weights = operands
                    .weights
                    .get(start..start + group_inputs)
                    .unwrap_or(&[]);
                let pixel = position(geometry, 0, y, tap_row) * input_columns
                    + position(geometry, 1, x, tap_column);
                let from = pixel * input_channels + group * group_inputs;
                for (i, &w) in weights.iter().enumerate() {
                    sum += w * operands.input.get(from + i);
                }
            }
        }
        let [low, high] = operands.limits;
        if let Some(cell) = operands.output.get(base + channel) {
            cell.set(sum.max(low).min(high));
        }
    }
}
