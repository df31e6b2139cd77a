//! Staged elements: int8 widened to 16 bits, or raised.

use super::fours::Raised;
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
