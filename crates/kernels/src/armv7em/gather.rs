//! Windows of the input, gathered and widened to 16 bits.

use super::dsp::{widen_even, widen_odd};
use crate::Conv2dI8;
use crate::scalar::{position, taps_inside};

/// Widens `count` bytes in steps of four: a word of even elements, a word of odd ones. Steps are
/// `apart` words from each other. The last one is the last four bytes; those among them that are
/// in the step before are zeros.
///
/// # Safety
///
/// `from` is readable for `count` bytes, at least four; `to` is writable for as many steps as
/// that takes.
pub(super) unsafe fn widen(from: *const i8, count: usize, mut to: *mut u32, apart: usize) {
    let rest = count % 4;
    // SAFETY: the caller's promise; every read ends at or before `count`.
    unsafe {
        for i in (0..count - rest).step_by(4) {
            let word = from.add(i).cast::<u32>().read_unaligned();
            to.write(widen_even(word));
            to.add(1).write(widen_odd(word));
            to = to.wrapping_add(apart);
        }
        if rest > 0 {
            let word = from.add(count - 4).cast::<u32>().read_unaligned();
            let word = word & u32::MAX << (32 - rest * 8);
            to.write(widen_even(word));
            to.add(1).write(widen_odd(word));
        }
    }
}

/// Copies bytes, four at a time.
///
/// # Safety
///
/// Both are valid for `count` bytes and do not overlap.
#[inline(never)]
pub(super) unsafe fn copy(from: *const i8, to: *mut i8, count: usize) {
    let whole = count / 4 * 4;
    // SAFETY: the caller's promise.
    unsafe {
        for i in (0..whole).step_by(4) {
            let word = from.add(i).cast::<u32>().read_unaligned();
            to.add(i).cast::<u32>().write_unaligned(word);
        }
        for i in whole..count {
            to.add(i).write(from.add(i).read());
        }
    }
}

/// Writes `count` times the same value.
///
/// # Safety
///
/// `to` is writable for `count` bytes.
#[inline(never)]
pub(super) unsafe fn fill(to: *mut i8, count: usize, value: i8) {
    for i in 0..count {
        // SAFETY: the caller's promise.
        unsafe { to.add(i).write(value) };
    }
}

/// Copies the window of an output pixel and a group, with zero points where it is outside.
///
/// # Safety
///
/// The input has the geometry's size, `(y, x)` is inside the output, and `to` is writable for
/// the window.
pub(super) unsafe fn window(
    operands: &Conv2dI8<'_>,
    [y, x]: [usize; 2],
    group: usize,
    mut to: *mut i8,
) {
    let geometry = &operands.geometry;
    let [_, input_columns, channels] = geometry.input;
    let [kernel_rows, kernel_columns] = geometry.window.kernel;
    let each = channels / geometry.groups;
    let (rows, columns) = (taps_inside(geometry, 0, y), taps_inside(geometry, 1, x));
    let is_contiguous = each == channels && geometry.window.dilation[1] == 1;
    if is_contiguous && rows.len() == kernel_rows && columns.len() == kernel_columns {
        let pixel = position(geometry, 0, y, 0) * input_columns + position(geometry, 1, x, 0);
        let mut from = operands.input.as_ptr().wrapping_add(pixel * channels);
        let bytes = kernel_columns * channels;
        for _ in 0..kernel_rows {
            // SAFETY: all taps are inside, and rows of the window follow each other.
            unsafe { copy(from, to, bytes) };
            to = to.wrapping_add(bytes);
            from = from.wrapping_add(geometry.window.dilation[0] * input_columns * channels);
        }
        return;
    }
    let run = if is_contiguous {
        columns.len().max(1)
    } else {
        1
    };
    let zero = operands.input_zero_point;
    for tap_row in 0..kernel_rows {
        // SAFETY: the runs of a row sum up to `kernel_columns * each` bytes, which are one row of
        // the window; taps inside are elements of the input.
        unsafe {
            if !rows.contains(&tap_row) || columns.is_empty() {
                fill(to, kernel_columns * each, zero);
                to = to.add(kernel_columns * each);
                continue;
            }
            fill(to, columns.start * each, zero);
            to = to.add(columns.start * each);
            let row = position(geometry, 0, y, tap_row) * input_columns;
            for column in columns.clone().step_by(run) {
                let pixel = row + position(geometry, 1, x, column);
                let from = operands.input.as_ptr().add(pixel * channels + group * each);
                copy(from, to, run * each);
                to = to.add(run * each);
            }
            let behind = (kernel_columns - columns.end) * each;
            fill(to, behind, zero);
            to = to.add(behind);
        }
    }
}
