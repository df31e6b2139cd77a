//! Pools of integers of any width in plain Rust.

use super::{position, taps_inside};
use crate::PoolInteger;
use crate::operands::Integer;

/// Calls `finish(sum-or-largest, count)` for every window and channel.
fn pool<T: Integer>(
    operands: &PoolInteger<'_, T>,
    first: i32,
    fold: fn(i32, i32) -> i32,
    finish: fn(i32, i32) -> i32,
) {
    let geometry = &operands.geometry;
    let [_, input_columns, channels] = geometry.input;
    let [rows, columns, _] = geometry.output;
    let [low, high] = operands.limits.map(Into::into);
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
                        state = fold(state, value.into());
                    }
                }
                let value = finish(state, count.max(1)).max(low).min(high);
                if let Some(cell) = operands.output.get((y * columns + x) * channels + channel) {
                    cell.set(T::from_clamped(value));
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

/// See [`crate::i8::average_pool_2d`] and [`crate::i16::average_pool_2d`].
pub(crate) fn average_pool_2d<T: Integer>(operands: &PoolInteger<'_, T>) {
    pool(operands, 0, |sum, value| sum + value, rounded_mean);
}

/// See [`crate::i8::max_pool_2d`] and [`crate::i16::max_pool_2d`].
pub(crate) fn max_pool_2d<T: Integer>(operands: &PoolInteger<'_, T>) {
    pool(operands, T::SMALLEST, i32::max, |largest, _| largest);
}
