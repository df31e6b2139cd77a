//! Element by element: sums.

use super::fours::Lanes;
use crate::x86::{Avx2, Avx512Vnni};
use crate::{AddI8, scalar};
use core::arch::x86_64::*;

/// Elements that are added at once.
const STEP: usize = 32;

/// The same in vectors of 512 bits.
const WIDE_STEP: usize = 64;

/// See [`crate::i8::add`].
pub(crate) fn add(_avx2: Avx2, operands: &AddI8<'_>) {
    let [a, b] = operands.inputs;
    let elements = operands.output.len().min(a.len()).min(b.len());
    let wide = match (Avx512Vnni::detect(), narrow_factors(operands.factors)) {
        (Some(_), Some(factors)) => {
            let wide = elements / WIDE_STEP * WIDE_STEP;
            // SAFETY: the features have been detected; `wide` is within all three operands.
            unsafe { add_wide(operands, factors, wide) };
            wide
        }
        _ => 0,
    };
    let rest = operands.behind(wide);
    let whole = (elements - wide) / STEP * STEP;
    // SAFETY: `_avx2` proves the features; `whole` is within what is left of the operands.
    unsafe { add_whole(&rest, whole) };
    scalar::i8::add(&rest.behind(whole));
}

/// Both factors in a word each, where they fit.
fn narrow_factors([a, b]: [i32; 2]) -> Option<i32> {
    let fits = |factor: i32| i16::try_from(factor).is_ok();
    (fits(a) && fits(b)).then_some(a & 0xFFFF | b << 16)
}

/// # Safety
///
/// `whole` is a multiple of [`WIDE_STEP`] and no more than any operand's length.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
unsafe fn add_wide(operands: &AddI8<'_>, factors: i32, whole: usize) {
    let [a, b] = operands.inputs.map(|input| input.as_ptr());
    let to: *mut i8 = operands.output.as_ptr().cast_mut().cast();
    let factors = (&raw const factors).cast();
    let offset = _mm512_set1_epi32(operands.offset);
    let shift = _mm_cvtsi32_si128(i32::from(operands.shift));
    let [low, high] = operands.limits.map(|limit| _mm512_set1_epi8(limit));
    let order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    for i in (0..whole).step_by(WIDE_STEP) {
        let mut words = [offset; 2];
        for (half, words) in words.iter_mut().enumerate() {
            let i = i + half * WIDE_STEP / 2;
            // SAFETY: `i + WIDE_STEP / 2 <= whole`.
            let [a, b] = unsafe { [a, b].map(|from| _mm256_loadu_si256(from.add(i).cast())) };
            let (a, b) = (_mm512_cvtepi8_epi16(a), _mm512_cvtepi8_epi16(b));
            // SAFETY: the features are there, and both factors are.
            let sums = unsafe {
                [
                    offset.add_pairs(factors, _mm512_unpacklo_epi16(a, b)),
                    offset.add_pairs(factors, _mm512_unpackhi_epi16(a, b)),
                ]
            };
            *words = _mm512_packs_epi32(
                _mm512_sra_epi32(sums[0], shift),
                _mm512_sra_epi32(sums[1], shift),
            );
        }
        // Quarters of the two in turns.
        let bytes = _mm512_permutexvar_epi64(order, _mm512_packs_epi16(words[0], words[1]));
        let limited = _mm512_min_epi8(_mm512_max_epi8(bytes, low), high);
        // SAFETY: `i + WIDE_STEP <= whole`. Elements are read before any of them is written, so inputs
        // that start at or behind the output's start may overlap it, as in plain Rust.
        unsafe { _mm512_storeu_si512(to.add(i).cast(), limited) };
    }
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
        Sum {
            factors: match narrow_factors(operands.factors) {
                Some(factors) => Factors::Pairs(_mm256_set1_epi32(factors)),
                None => Factors::Wide([_mm256_set1_epi32(a), _mm256_set1_epi32(b)]),
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
