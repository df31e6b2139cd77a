//! Element by element: sums.

use crate::x86::Avx2;
use crate::{AddI8, scalar};
use core::arch::x86_64::*;

/// See [`crate::i8::add`].
pub(crate) fn add(_avx2: Avx2, operands: &AddI8<'_>) {
    let [a, b] = operands.inputs;
    let whole = operands.output.len().min(a.len()).min(b.len()) / 16 * 16;
    // SAFETY: `_avx2` proves the features; `whole` is within all three operands.
    unsafe { add_whole(operands, whole) };
    scalar::i8::add(&AddI8 {
        inputs: operands.inputs.map(|input| input.part(whole, input.len())),
        output: operands.output.get(whole..).unwrap_or(&[]),
        ..*operands
    });
}

/// # Safety
///
/// `whole` is a multiple of 16 and no more than any operand's length.
#[target_feature(enable = "avx2,fma")]
unsafe fn add_whole(operands: &AddI8<'_>, whole: usize) {
    let [a, b] = operands.inputs.map(|input| input.as_ptr());
    let to: *mut i8 = operands.output.as_ptr().cast_mut().cast();
    let [fa, fb] = operands.factors.map(|factor| _mm256_set1_epi32(factor));
    let offset = _mm256_set1_epi32(operands.offset);
    let shift = _mm_cvtsi32_si128(i32::from(operands.shift));
    let [low, high] = operands.limits.map(|limit| _mm_set1_epi8(limit));
    for i in (0..whole).step_by(16) {
        // SAFETY: `i + 16 <= whole`. Elements are read before any of them is written, so inputs
        // that start at or behind the output's start may overlap it, as in plain Rust.
        unsafe {
            let mut sums = [offset; 2];
            for (half, sum) in sums.iter_mut().enumerate() {
                let at = i + 8 * half;
                let x = _mm256_cvtepi8_epi32(_mm_loadl_epi64(a.add(at).cast()));
                let y = _mm256_cvtepi8_epi32(_mm_loadl_epi64(b.add(at).cast()));
                let products =
                    _mm256_add_epi32(_mm256_mullo_epi32(x, fa), _mm256_mullo_epi32(y, fb));
                *sum = _mm256_sra_epi32(_mm256_add_epi32(*sum, products), shift);
            }
            let bytes = narrow(sums[0], sums[1]);
            let limited = _mm_min_epi8(_mm_max_epi8(bytes, low), high);
            _mm_storeu_si128(to.add(i).cast(), limited);
        }
    }
}

/// 16 integers as saturated bytes, in sequence.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn narrow(first: __m256i, second: __m256i) -> __m128i {
    let words = _mm256_permute4x64_epi64::<0xD8>(_mm256_packs_epi32(first, second));
    _mm_packs_epi16(
        _mm256_castsi256_si128(words),
        _mm256_extracti128_si256::<1>(words),
    )
}
