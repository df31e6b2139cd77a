//! Element by element: sums.

use crate::x86::Avx2;
use crate::{AddI8, scalar};
use core::arch::x86_64::*;

/// Elements that are added at once.
const STEP: usize = 32;

/// See [`crate::i8::add`].
pub(crate) fn add(_avx2: Avx2, operands: &AddI8<'_>) {
    let [a, b] = operands.inputs;
    let whole = operands.output.len().min(a.len()).min(b.len()) / STEP * STEP;
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
/// `whole` is a multiple of [`STEP`] and no more than any operand's length.
#[target_feature(enable = "avx2,fma")]
unsafe fn add_whole(operands: &AddI8<'_>, whole: usize) {
    let [a, b] = operands.inputs.map(|input| input.as_ptr());
    let to: *mut i8 = operands.output.as_ptr().cast_mut().cast();
    let sum = Sum::new(operands);
    let [low, high] = operands.limits.map(|limit| _mm256_set1_epi8(limit));
    for i in (0..whole).step_by(STEP) {
        // SAFETY: `i + STEP <= whole`. Elements are read before any of them is written, so inputs
        // that start at or behind the output's start may overlap it, as in plain Rust.
        unsafe {
            let first = sum.words(a.add(i), b.add(i));
            let second = sum.words(a.add(i + STEP / 2), b.add(i + STEP / 2));
            // Quarters of the two in turns.
            let bytes = _mm256_packs_epi16(first, second);
            let sorted = _mm256_permute4x64_epi64::<0b11_01_10_00>(bytes);
            let limited = _mm256_min_epi8(_mm256_max_epi8(sorted, low), high);
            _mm256_storeu_si256(to.add(i).cast(), limited);
        }
    }
}

/// What sums are made with.
struct Sum {
    factors: Factors,
    offset: __m256i,
    shift: __m128i,
}

enum Factors {
    /// Of 16 bits: both in each lane.
    Pairs(__m256i),
    /// The first in all lanes, and the second.
    Wide([__m256i; 2]),
}

impl Sum {
    #[target_feature(enable = "avx2,fma")]
    fn new(operands: &AddI8<'_>) -> Self {
        let [a, b] = operands.factors;
        let is_narrow = [a, b].iter().all(|&factor| i16::try_from(factor).is_ok());
        Sum {
            factors: match is_narrow {
                true => Factors::Pairs(_mm256_set1_epi32(a & 0xFFFF | b << 16)),
                false => Factors::Wide([_mm256_set1_epi32(a), _mm256_set1_epi32(b)]),
            },
            offset: _mm256_set1_epi32(operands.offset),
            shift: _mm_cvtsi32_si128(i32::from(operands.shift)),
        }
    }

    /// 16 sums as saturated words, in sequence.
    ///
    /// # Safety
    ///
    /// 16 elements are readable at both places.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn words(&self, a: *const i8, b: *const i8) -> __m256i {
        // SAFETY: the caller's promise.
        let [a, b] = unsafe { [_mm_loadu_si128(a.cast()), _mm_loadu_si128(b.cast())] };
        let (a, b) = (_mm256_cvtepi8_epi16(a), _mm256_cvtepi8_epi16(b));
        _mm256_packs_epi32(
            self.of(_mm256_unpacklo_epi16(a, b)),
            self.of(_mm256_unpackhi_epi16(a, b)),
        )
    }

    /// Sums of pairs of operands.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn of(&self, pairs: __m256i) -> __m256i {
        let products = match self.factors {
            Factors::Pairs(factors) => _mm256_madd_epi16(pairs, factors),
            Factors::Wide([a, b]) => {
                let first = _mm256_srai_epi32::<16>(_mm256_slli_epi32::<16>(pairs));
                let second = _mm256_srai_epi32::<16>(pairs);
                _mm256_add_epi32(_mm256_mullo_epi32(first, a), _mm256_mullo_epi32(second, b))
            }
        };
        _mm256_sra_epi32(_mm256_add_epi32(products, self.offset), self.shift)
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
