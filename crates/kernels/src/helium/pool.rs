//! Average pools: eight channels at a time, summed in 16 bits.

use crate::memory::In;
use crate::scalar::pool::rounded_mean;
use crate::scalar::{position, taps_inside};
use crate::{Geometry, PoolI8, pool_taps, scalar};
use core::arch::global_asm;

/// Channels of a block.
const BLOCK: usize = 8;
/// Elements whose sum always fits 16 bits.
const ELEMENTS_MAX: usize = 255;

global_asm!(
    ".cpu cortex-m55",
    ".thumb",
    ".syntax unified",
    ".section .text.helium_sum,\"ax\",%progbits",
    ".global helium_sum",
    ".type helium_sum,%function",
    ".thumb_func",
    "helium_sum:",
    "push {{r4-r8, lr}}",
    "ldrd r4, r5, [sp, #24]",
    "ldr r6, [sp, #32]",
    "vctp.16 r6",
    "vmov.i32 q0, #0",
    "1:",
    "mov r7, r1",
    "dls lr, r3",
    "2:",
    "vpst",
    "vldrbt.s16 q1, [r7]",
    "add r7, r2",
    "vadd.i16 q0, q0, q1",
    "le lr, 2b",
    "add r1, r4",
    "subs r5, #1",
    "bne 1b",
    "vstrh.16 q0, [r0]",
    "pop {{r4-r8, pc}}",
);

unsafe extern "C" {
    /// The sums of up to eight channels over `rows` rows of `columns` pixels, neither 0, at most
    /// 255 pixels. Writes eight sums.
    fn helium_sum(
        to: *mut i16,
        from: *const i8,
        step: usize,
        columns: usize,
        row_step: usize,
        rows: usize,
        channels: usize,
    );
}

/// See [`crate::i8::average_pool_2d`].
pub(crate) fn average_pool_2d(operands: &PoolI8<'_>) {
    let geometry = &operands.geometry;
    let [input_rows, input_columns, channels] = geometry.input;
    let [rows, columns, output_channels] = geometry.output;
    let [kernel_rows, kernel_columns] = geometry.window.kernel;
    let fits = operands.input.len() >= input_rows * input_columns * channels
        && kernel_rows.saturating_mul(kernel_columns) <= ELEMENTS_MAX
        && channels == output_channels;
    if !fits {
        return scalar::i8::average_pool_2d(operands);
    }
    for y in 0..rows {
        for x in 0..columns {
            for first in (0..channels).step_by(BLOCK) {
                block(operands, [y, x], first);
            }
        }
    }
}

/// See [`crate::i8::window_sums`]; `None` for what the routine cannot take.
pub(crate) fn window_sums(
    geometry: &Geometry,
    input: &In<'_, i8>,
    at: [usize; 2],
    first: usize,
) -> Option<[i32; BLOCK]> {
    let [input_rows, input_columns, channels] = geometry.input;
    let [kernel_rows, kernel_columns] = geometry.window.kernel;
    let fits = input.len() >= input_rows * input_columns * channels
        && kernel_rows.saturating_mul(kernel_columns) <= ELEMENTS_MAX
        && first < channels;
    if !fits {
        return None;
    }
    let (rows, columns) = (
        taps_inside(geometry, 0, at[0]),
        taps_inside(geometry, 1, at[1]),
    );
    let mut sums = [0i16; BLOCK];
    if !rows.is_empty() && !columns.is_empty() {
        let row = position(geometry, 0, at[0], rows.start) * input_columns;
        let pixel = row + position(geometry, 1, at[1], columns.start);
        let [down, right] = geometry.window.dilation;
        // SAFETY: every tap is inside the image, which the input has room for, and as many
        // channels from `first` on are inside each pixel.
        unsafe {
            let from = input.as_ptr().add(pixel * channels + first);
            let (step, row_step) = (right * channels, down * input_columns * channels);
            let (to, row_count) = (sums.as_mut_ptr(), rows.len());
            let some = BLOCK.min(channels - first);
            helium_sum(to, from, step, columns.len(), row_step, row_count, some);
        }
    }
    Some(sums.map(i32::from))
}

/// Up to eight channels from `first` on of output pixel `at`.
fn block(operands: &PoolI8<'_>, at: [usize; 2], first: usize) {
    let geometry = &operands.geometry;
    let channels = geometry.input[2];
    let sums = window_sums(geometry, &operands.input, at, first).unwrap_or_default();
    let count = pool_taps(geometry, at[0], at[1]).count().max(1) as i32;
    let [low, high] = operands.limits.map(i32::from);
    let start = (at[0] * geometry.output[1] + at[1]) * channels + first;
    let end = start + BLOCK.min(channels - first);
    let cells = operands.output.get(start..end).unwrap_or(&[]);
    for (cell, sum) in cells.iter().zip(sums) {
        cell.set(rounded_mean(sum, count).clamp(low, high) as i8);
    }
}
