//! Staged elements: int8 widened to 16 bits, or raised, and 16 of them in a vector.

use super::multiply::Raised;
use core::arch::x86_64::*;

/// Widens `count` elements.
///
/// # Safety
///
/// `from` is readable and `to` writable for `count` elements.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn widen(from: *const i8, to: *mut i16, count: usize) {
    let whole = count / 16 * 16;
    // SAFETY: every index is below `count`.
    unsafe {
        for i in (0..whole).step_by(16) {
            let bytes = _mm_loadu_si128(from.add(i).cast());
            _mm256_storeu_si256(to.add(i).cast(), _mm256_cvtepi8_epi16(bytes));
        }
        for i in whole..count {
            to.add(i).write(i16::from(from.add(i).read()));
        }
    }
}

/// Raises `count` elements.
///
/// # Safety
///
/// As [`widen`].
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn raise(from: *const i8, to: *mut Raised, count: usize) {
    let whole = count / 32 * 32;
    // SAFETY: every index is below `count`.
    unsafe {
        for i in (0..whole).step_by(32) {
            let bytes = _mm256_loadu_si256(from.add(i).cast());
            let raised = _mm256_xor_si256(bytes, _mm256_set1_epi8(i8::MIN));
            _mm256_storeu_si256(to.add(i).cast(), raised);
        }
        for i in whole..count {
            to.add(i).write(Raised::from(from.add(i).read()));
        }
    }
}

/// Elements that depthwise loops take 16 of as numbers of 16 bits.
pub(super) trait Sixteen: Copy {
    /// # Safety
    ///
    /// 16 elements are readable, and the machine has AVX2.
    unsafe fn load(from: *const Self) -> __m256i;
}

impl Sixteen for i16 {
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn load(from: *const Self) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }
}

impl Sixteen for i8 {
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn load(from: *const Self) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_cvtepi8_epi16(_mm_loadu_si128(from.cast())) }
    }
}

/// The inputs before they were raised.
impl Sixteen for Raised {
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn load(from: *const Self) -> __m256i {
        // SAFETY: the caller's promise.
        let raised = unsafe { _mm_loadu_si128(from.cast()) };
        _mm256_cvtepi8_epi16(_mm_xor_si128(raised, _mm_set1_epi8(i8::MIN)))
    }
}
