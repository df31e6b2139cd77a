//! One pixel: a vector times the file's weights `[O, I]` in place.

use super::widen::widen;
use crate::Conv2dI8;
use crate::tiled::i8::fill;
use core::arch::x86_64::*;

/// Every output of a fully connected layer.
///
/// # Safety
///
/// Input, output and weights have the sizes of the geometry; `staged` has room for the inputs,
/// rounded up to a multiple of 16.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn multiply(operands: &Conv2dI8<'_>, staged: *mut i16) {
    let [inputs, outputs] = [operands.geometry.input[2], operands.geometry.output[2]];
    // SAFETY: the caller's promise; `first + R <= outputs` in each call.
    unsafe {
        widen(operands.input.as_ptr(), staged, inputs);
        fill(staged.add(inputs), inputs.next_multiple_of(16) - inputs, 0);
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
/// `staged` holds the inputs and zeros up to a multiple of 16; the outputs exist.
#[target_feature(enable = "avx2,fma")]
unsafe fn dots<const R: usize>(operands: &Conv2dI8<'_>, staged: *const i16, first: usize) {
    let inputs = operands.geometry.input[2];
    let whole = inputs / 16 * 16;
    let mut sums = [_mm256_setzero_si256(); R];
    // SAFETY: rows `first..first + R` of the weights exist, and no more than `inputs` elements
    // of each are read.
    unsafe {
        let weights = operands.weights.as_ptr().add(first * inputs);
        for k in (0..whole).step_by(16) {
            let values = _mm256_loadu_si256(staged.add(k).cast());
            for (r, sum) in sums.iter_mut().enumerate() {
                let bytes = _mm_loadu_si128(weights.add(r * inputs + k).cast());
                let products = _mm256_madd_epi16(values, _mm256_cvtepi8_epi16(bytes));
                *sum = _mm256_add_epi32(*sum, products);
            }
        }
        if whole < inputs {
            let values = _mm256_loadu_si256(staged.add(whole).cast());
            for (r, sum) in sums.iter_mut().enumerate() {
                let mut tail = [0i8; 16];
                let from = weights.add(r * inputs + whole);
                core::ptr::copy_nonoverlapping(from, tail.as_mut_ptr(), inputs - whole);
                let bytes = _mm_loadu_si128(tail.as_ptr().cast());
                let products = _mm256_madd_epi16(values, _mm256_cvtepi8_epi16(bytes));
                *sum = _mm256_add_epi32(*sum, products);
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

#[target_feature(enable = "avx2,fma")]
fn horizontal_sum(values: __m256i) -> i32 {
    let halves = [
        _mm256_castsi256_si128(values),
        _mm256_extracti128_si256::<1>(values),
    ];
    let four = _mm_add_epi32(halves[0], halves[1]);
    let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b1110>(four));
    _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b01>(two)))
}
