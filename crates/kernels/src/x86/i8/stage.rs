//! Widening rows of int8 to 16 bits, with padding of the input's zero point.

use crate::x86::plan::Staging;
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

/// Writes `count` times the same value.
///
/// # Safety
///
/// `to` is writable for `count` elements.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn fill(to: *mut i16, count: usize, value: i16) {
    for i in 0..count {
        // SAFETY: the caller's promise.
        unsafe { to.add(i).write(value) };
    }
}

/// Widens one input row of so many channels between zero points.
///
/// # Safety
///
/// `from` has a row of the input that `staging` was made for, `to` has room for
/// `staging.row_elements`.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn row(
    staging: &Staging,
    channels: usize,
    from: *const i8,
    to: *mut i16,
    zero: i16,
) {
    let (left, repeat) = (staging.left_elements, staging.repeat);
    let copied = staging.copied_columns * channels;
    let right = left + copied * repeat;
    // SAFETY: `left + copied * repeat <= used_elements <= row_elements`, and no more columns are
    // copied than the input has.
    unsafe {
        fill(to, left, zero);
        if repeat == 1 {
            widen(from, to.add(left), copied);
        } else {
            for i in 0..copied {
                fill(
                    to.add(left + i * repeat),
                    repeat,
                    i16::from(from.add(i).read()),
                );
            }
        }
        fill(to.add(right), staging.used_elements - right, zero);
    }
}
