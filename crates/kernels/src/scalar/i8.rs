//! int8 loops in plain Rust.

pub(crate) use super::integer::conv_2d;
use super::{position, taps_inside};
use crate::{AddI8, LineI8, PoolI8};

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
