//! Sixteen floats, in one vector or in two: a fully connected layer adds products up in the same
//! order whichever a machine has.

use super::vector::{dots, totals};
use core::arch::x86_64::*;
use core::ops::Range;

/// The floats of a line.
pub(super) const LANES: usize = 16;

/// A line. Its functions are for code that is compiled for its features.
pub(super) trait Line: Copy {
    /// Zeros.
    ///
    /// # Safety
    ///
    /// The machine has such vectors, here and below.
    unsafe fn zero() -> Self;

    /// # Safety
    ///
    /// All lanes are readable.
    unsafe fn load(from: *const f32) -> Self;

    /// Zero in other lanes.
    ///
    /// # Safety
    ///
    /// These lanes are readable.
    unsafe fn load_part(from: *const f32, lanes: Range<usize>) -> Self;

    /// `self + one * other`, rounded once.
    ///
    /// # Safety
    ///
    /// See [`Line::zero`].
    unsafe fn add_product(self, one: Self, other: Self) -> Self;

    /// The sums of lanes `i` and `i + 8`.
    ///
    /// # Safety
    ///
    /// See [`Line::zero`].
    unsafe fn added_halves(self) -> __m256;

    /// The products of the input and each row, added up.
    ///
    /// # Safety
    ///
    /// Input and rows hold so many elements.
    unsafe fn sums(input: *const f32, rows: [*const f32; 8], inputs: usize) -> __m256;
}

/// Two vectors.
impl Line for [__m256; 2] {
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn zero() -> Self {
        [_mm256_setzero_ps(); 2]
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn load_part(from: *const f32, lanes: Range<usize>) -> Self {
        let [start, end] =
            [lanes.start as i32, lanes.end as i32].map(|lane| _mm256_set1_epi32(lane));
        let low = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        let high = _mm256_add_epi32(low, _mm256_set1_epi32(8));
        // SAFETY: the caller's promise; other lanes are not touched.
        unsafe {
            [
                _mm256_maskload_ps(from, between(low, start, end)),
                _mm256_maskload_ps(from.wrapping_add(8), between(high, start, end)),
            ]
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn add_product(self, one: Self, other: Self) -> Self {
        [
            _mm256_fmadd_ps(one[0], other[0], self[0]),
            _mm256_fmadd_ps(one[1], other[1], self[1]),
        ]
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn added_halves(self) -> __m256 {
        _mm256_add_ps(self[0], self[1])
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn sums(input: *const f32, rows: [*const f32; 8], inputs: usize) -> __m256 {
        let [a, b, c, d, e, f, g, h] = rows;
        // The sums of four rows leave registers for the input.
        // SAFETY: the caller's promise.
        unsafe {
            let [a, b, c, d] = dots::<Self, 4>(input, [a, b, c, d], inputs);
            let [e, f, g, h] = dots::<Self, 4>(input, [e, f, g, h], inputs);
            totals([a, b, c, d, e, f, g, h])
        }
    }
}

/// Those lanes of eight whose numbers are from `start` to `end`, the latter not among them.
///
/// # Safety
///
/// The machine has AVX2.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn between(numbers: __m256i, start: __m256i, end: __m256i) -> __m256i {
    _mm256_andnot_si256(
        _mm256_cmpgt_epi32(start, numbers),
        _mm256_cmpgt_epi32(end, numbers),
    )
}

/// One vector.
impl Line for __m512 {
    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn zero() -> Self {
        _mm512_setzero_ps()
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn load_part(from: *const f32, lanes: Range<usize>) -> Self {
        let mask = ((1u32 << lanes.end) - (1u32 << lanes.start)) as __mmask16;
        // SAFETY: the caller's promise; other lanes are not touched.
        unsafe { _mm512_maskz_loadu_ps(mask, from) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn add_product(self, one: Self, other: Self) -> Self {
        _mm512_fmadd_ps(one, other, self)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn added_halves(self) -> __m256 {
        let high = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(self));
        _mm256_add_ps(_mm512_castps512_ps256(self), _mm256_castpd_ps(high))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn sums(input: *const f32, rows: [*const f32; 8], inputs: usize) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe { totals(dots::<Self, 8>(input, rows, inputs)) }
    }
}
