//! One pixel: a vector times the file's weights `[O, I]` in place.

use crate::Conv2dI8;
use crate::simd128::Simd128;
use crate::tiled::i8::Tiles;
use core::arch::wasm32::*;

/// Every output of a fully connected layer.
///
/// # Safety
///
/// As `Tiles::vector`.
pub(super) unsafe fn multiply(simd128: Simd128, operands: &Conv2dI8<'_>, staged: *mut i16) {
    let [inputs, outputs] = [operands.geometry.input[2], operands.geometry.output[2]];
    // SAFETY: the caller's promise; `first + R <= outputs` in each call.
    unsafe {
        simd128.widen(operands.input.as_ptr(), staged, inputs);
        staged
            .add(inputs)
            .write_bytes(0, inputs.next_multiple_of(8) - inputs);
        let mut first = 0;
        while first + 4 <= outputs {
            dots::<4>(operands, staged, first);
            first += 4;
        }
        while first < outputs {
            dots::<1>(operands, staged, first);
            first += 1;
        }
    }
}

/// Outputs `first..first + R`.
///
/// # Safety
///
/// `staged` holds the inputs and zeros up to a multiple of 8; the outputs exist.
unsafe fn dots<const R: usize>(operands: &Conv2dI8<'_>, staged: *const i16, first: usize) {
    let inputs = operands.geometry.input[2];
    let whole = inputs / 8 * 8;
    let mut sums = [i32x4_splat(0); R];
    // SAFETY: rows `first..first + R` of the weights exist, and no more than `inputs` elements
    // of each are read.
    unsafe {
        let weights = operands.weights.as_ptr().add(first * inputs);
        for k in (0..whole).step_by(8) {
            let values = v128_load(staged.add(k).cast());
            for (r, sum) in sums.iter_mut().enumerate() {
                let row = i16x8_load_extend_i8x8(weights.add(r * inputs + k));
                *sum = i32x4_add(*sum, i32x4_dot_i16x8(values, row));
            }
        }
        if whole < inputs {
            let values = v128_load(staged.add(whole).cast());
            for (r, sum) in sums.iter_mut().enumerate() {
                let mut tail = [0i8; 8];
                let from = weights.add(r * inputs + whole);
                core::ptr::copy_nonoverlapping(from, tail.as_mut_ptr(), inputs - whole);
                let row = i16x8_load_extend_i8x8(tail.as_ptr());
                *sum = i32x4_add(*sum, i32x4_dot_i16x8(values, row));
            }
        }
    }
    for (r, &sum) in sums.iter().enumerate() {
        let channel = first + r;
        let bias = operands.channels.bias(&operands.requantize, channel);
        let sum = horizontal_sum(sum).wrapping_add(bias);
        let value = operands.channels.finish(&operands.requantize, channel, sum);
        if let Some(cell) = operands.output.get(channel) {
            cell.set(value);
        }
    }
}

fn horizontal_sum(values: v128) -> i32 {
    let two = i32x4_add(values, i32x4_shuffle::<2, 3, 2, 3>(values, values));
    i32x4_extract_lane::<0>(two).wrapping_add(i32x4_extract_lane::<1>(two))
}
