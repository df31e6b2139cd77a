//! Pools: 8 channels at a time.

use crate::scalar::{self, position, taps_inside};
use crate::{Geometry, PoolI8};
use core::arch::wasm32::*;
use core::ops::Range;

/// See [`crate::i8::average_pool_2d`].
pub(crate) fn average_pool_2d(operands: &PoolI8<'_>) {
    if fits(operands) {
        // SAFETY: the sizes were compared.
        unsafe { run::<true>(operands) }
    } else {
        scalar::i8::average_pool_2d(operands);
    }
}

/// See [`crate::i8::max_pool_2d`].
pub(crate) fn max_pool_2d(operands: &PoolI8<'_>) {
    if fits(operands) {
        // SAFETY: the sizes were compared.
        unsafe { run::<false>(operands) }
    } else {
        scalar::i8::max_pool_2d(operands);
    }
}

/// Whether the views hold the geometry's images.
fn fits(operands: &PoolI8<'_>) -> bool {
    let Geometry { input, output, .. } = operands.geometry;
    let elements = |[rows, columns, channels]: [usize; 3]| {
        rows.checked_mul(columns)
            .and_then(|pixels| pixels.checked_mul(channels))
    };
    input[2] == output[2]
        && elements(input).is_some_and(|count| operands.input.len() >= count)
        && elements(output).is_some_and(|count| operands.output.len() >= count)
}

/// # Safety
///
/// The views hold the geometry's images, whose channels are equal.
unsafe fn run<const AVERAGE: bool>(operands: &PoolI8<'_>) {
    let geometry = &operands.geometry;
    let [rows, columns, channels] = geometry.output;
    let to: *mut i8 = operands.output.as_ptr().cast_mut().cast();
    let [low, high] = operands.limits.map(|limit| i16x8_splat(i16::from(limit)));
    for y in 0..rows {
        for x in 0..columns {
            let taps = [taps_inside(geometry, 0, y), taps_inside(geometry, 1, x)];
            for channel in (0..channels).step_by(8) {
                let valid = (channels - channel).min(8);
                // SAFETY: the caller's promise; `valid` channels of this pixel exist.
                unsafe {
                    let block = if AVERAGE {
                        mean(operands, [y, x], &taps, channel)
                    } else {
                        largest(operands, [y, x], &taps, channel)
                    };
                    let block = i16x8_min(i16x8_max(block, low), high);
                    let mut bytes = [0i8; 8];
                    let narrow = i8x16_narrow_i16x8(block, block);
                    v128_store64_lane::<0>(narrow, bytes.as_mut_ptr().cast());
                    let to = to.add((y * columns + x) * channels + channel);
                    core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, valid);
                }
            }
        }
    }
}

/// Calls `visit` with 8 channels, widened, of every pixel under the window; those that the image
/// does not have are whatever comes behind it, or zero.
///
/// # Safety
///
/// As [`run`]; the taps are inside the image.
#[inline(always)]
unsafe fn each(
    operands: &PoolI8<'_>,
    at: [usize; 2],
    taps: &[Range<usize>; 2],
    channel: usize,
    mut visit: impl FnMut(v128),
) {
    let geometry = &operands.geometry;
    let [_, columns, channels] = geometry.input;
    let input = operands.input;
    for row in taps[0].clone() {
        let row = position(geometry, 0, at[0], row) * columns;
        for column in taps[1].clone() {
            let start = (row + position(geometry, 1, at[1], column)) * channels + channel;
            let left = input.len() - start;
            // SAFETY: taps inside the image are inside the input, which has `left` elements
            // from here on.
            let block = unsafe {
                let from = input.as_ptr().add(start);
                if left >= 8 {
                    i16x8_load_extend_i8x8(from)
                } else {
                    let mut copy = [0i8; 8];
                    core::ptr::copy_nonoverlapping(from, copy.as_mut_ptr(), left);
                    i16x8_load_extend_i8x8(copy.as_ptr())
                }
            };
            visit(block);
        }
    }
}

/// # Safety
///
/// As [`each`].
unsafe fn largest(
    operands: &PoolI8<'_>,
    at: [usize; 2],
    taps: &[Range<usize>; 2],
    channel: usize,
) -> v128 {
    let mut largest = i16x8_splat(i16::from(i8::MIN));
    // SAFETY: the caller's promise.
    unsafe {
        each(operands, at, taps, channel, |block| {
            largest = i16x8_max(largest, block);
        });
    }
    largest
}

/// # Safety
///
/// As [`each`].
unsafe fn mean(
    operands: &PoolI8<'_>,
    at: [usize; 2],
    taps: &[Range<usize>; 2],
    channel: usize,
) -> v128 {
    let mut sums = [i32x4_splat(0); 2];
    // SAFETY: the caller's promise.
    unsafe {
        each(operands, at, taps, channel, |block| {
            sums[0] = i32x4_add(sums[0], i32x4_extend_low_i16x8(block));
            sums[1] = i32x4_add(sums[1], i32x4_extend_high_i16x8(block));
        });
    }
    let count = (taps[0].len() * taps[1].len()).max(1) as i32;
    i16x8_narrow_i32x4(quotient(sums[0], count), quotient(sums[1], count))
}

/// `sum / count`, halves away from zero. The quotient of two 32-bit integers in double
/// precision truncates to the exact one.
fn quotient(sums: v128, count: i32) -> v128 {
    let half = i32x4_splat(count / 2);
    let positive = i32x4_gt(sums, i32x4_splat(0));
    let moved = i32x4_add(sums, v128_bitselect(half, i32x4_neg(half), positive));
    let count = f64x2_splat(f64::from(count));
    let divide =
        |part: v128| i32x4_trunc_sat_f64x2_zero(f64x2_div(f64x2_convert_low_i32x4(part), count));
    let low = divide(moved);
    let high = divide(i32x4_shuffle::<2, 3, 2, 3>(moved, moved));
    i32x4_shuffle::<0, 1, 4, 5>(low, high)
}
