//! One pixel: a vector times the file's weights `[O, I]` in place.

use super::finish::Finish;
use super::widen::widen;
use crate::Conv2dI8;
use crate::tiled::i8::fill;
use core::arch::x86_64::*;

/// Outputs that are summed at a time.
const ROWS: usize = 8;

/// Every output of a fully connected layer.
///
/// # Safety
///
/// Input, output and weights have the sizes of the geometry; `staged` has room for the inputs,
/// rounded up to a multiple of 16.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn multiply(operands: &Conv2dI8<'_>, staged: *mut i16) {
    let [inputs, outputs] = [operands.geometry.input[2], operands.geometry.output[2]];
    // SAFETY: the caller's promise; output `first` exists in each turn, and no more are written
    // than exist.
    unsafe {
        widen(operands.input.as_ptr(), staged, inputs);
        fill(staged.add(inputs), inputs.next_multiple_of(16) - inputs, 0);
        for first in (0..outputs).step_by(ROWS) {
            let finish = Finish::new(operands, first, ROWS, ROWS.min(outputs - first));
            let sums = [_mm256_add_epi32(
                dots(operands, staged, first),
                finish.bias[0],
            )];
            let output = operands.output.as_ptr().cast_mut().cast::<i8>().add(first);
            match finish.is_high() {
                true => finish.store::<1, true>(sums, output),
                false => finish.store::<1, false>(sums, output),
            }
        }
    }
}

/// Sums of outputs `first..first + ROWS`; those that there are not repeat the last one's.
///
/// # Safety
///
/// `staged` holds the inputs and zeros up to a multiple of 16; output `first` exists.
#[target_feature(enable = "avx2,fma")]
unsafe fn dots(operands: &Conv2dI8<'_>, staged: *const i16, first: usize) -> __m256i {
    let [inputs, outputs] = [operands.geometry.input[2], operands.geometry.output[2]];
    let whole = inputs / 16 * 16;
    let last = outputs - 1;
    let weights = operands.weights.as_ptr();
    let mut sums = [_mm256_setzero_si256(); ROWS];
    // SAFETY: the rows of weights exist, and no more than `inputs` elements of each are read.
    unsafe {
        let rows: [*const i8; ROWS] =
            core::array::from_fn(|r| weights.add((first + r).min(last) * inputs));
        for k in (0..whole).step_by(16) {
            let values = _mm256_loadu_si256(staged.add(k).cast());
            for (row, sum) in rows.iter().zip(&mut sums) {
                let bytes = _mm_loadu_si128(row.add(k).cast());
                let products = _mm256_madd_epi16(values, _mm256_cvtepi8_epi16(bytes));
                *sum = _mm256_add_epi32(*sum, products);
            }
        }
        if whole < inputs {
            let values = _mm256_loadu_si256(staged.add(whole).cast());
            for (row, sum) in rows.iter().zip(&mut sums) {
                let mut tail = [0i8; 16];
                let from = row.add(whole);
                core::ptr::copy_nonoverlapping(from, tail.as_mut_ptr(), inputs - whole);
                let bytes = _mm_loadu_si128(tail.as_ptr().cast());
                let products = _mm256_madd_epi16(values, _mm256_cvtepi8_epi16(bytes));
                *sum = _mm256_add_epi32(*sum, products);
            }
        }
    }
    horizontal_sums(sums)
}

/// The sum of each vector, in order.
#[target_feature(enable = "avx2,fma")]
fn horizontal_sums([a, b, c, d, e, f, g, h]: [__m256i; ROWS]) -> __m256i {
    let four = |a, b, c, d| _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    let (low, high) = (four(a, b, c, d), four(e, f, g, h));
    _mm256_add_epi32(
        _mm256_permute2x128_si256::<0x20>(low, high),
        _mm256_permute2x128_si256::<0x31>(low, high),
    )
}
