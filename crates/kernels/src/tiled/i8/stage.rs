//! Staged rows, with padding of the input's zero point.

use super::Tiles;
use crate::tiled::plan::Staging;

/// Writes `count` times the same value.
///
/// # Safety
///
/// `to` is writable for `count` elements.
pub(super) unsafe fn fill<I: Copy>(to: *mut I, count: usize, value: I) {
    for i in 0..count {
        // SAFETY: the caller's promise.
        unsafe { to.add(i).write(value) };
    }
}

/// Writes the padding at both ends of a staged row.
///
/// # Safety
///
/// `to` has room for `staging.row_elements`.
pub(super) unsafe fn margins<I: Copy>(staging: &Staging, channels: usize, to: *mut I, zero: I) {
    let right = staging.left_elements + staging.copied_columns * channels * staging.repeat;
    // SAFETY: `right <= used_elements <= row_elements`.
    unsafe {
        fill(to, staging.left_elements, zero);
        fill(to.add(right), staging.used_elements - right, zero);
    }
}

/// Stages one input row of so many channels between its margins.
///
/// # Safety
///
/// `from` has a row of the input that `staging` was made for, `to` has room for
/// `staging.row_elements`.
pub(super) unsafe fn row<T: Tiles>(
    tiles: T,
    staging: &Staging,
    channels: usize,
    from: *const i8,
    to: *mut T::Input,
) {
    let (left, repeat) = (staging.left_elements, staging.repeat);
    let copied = staging.copied_columns * channels;
    // SAFETY: `left + copied * repeat <= used_elements <= row_elements`, and no more columns are
    // copied than the input has.
    unsafe {
        if repeat == 1 {
            return tiles.widen(from, to.add(left), copied);
        }
        for i in 0..copied {
            fill(
                to.add(left + i * repeat),
                repeat,
                T::Input::from(from.add(i).read()),
            );
        }
    }
}
