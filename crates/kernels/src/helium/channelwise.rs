//! Which pixels the depthwise loop sees.

use super::convolve::{Checked, SUMS};
use super::copy::helium_fill;
use super::depthwise::{Depthwise, helium_depthwise};
use super::plan::table_bytes;
use crate::scalar::{position, taps_inside};
use crate::{Channels, Geometry};
use core::ops::Range;

/// Channels of the loop's smallest block.
const BLOCK: usize = 8;

/// Every output, row by row: pixels whose windows are inside the image together, others alone.
pub(super) fn depthwise(checked: &Checked<'_>) {
    let geometry = &checked.operands.geometry;
    let [rows, columns, channels] = geometry.output;
    let zero_point = i32::from(checked.operands.input_zero_point);
    // SAFETY: behind the table there is room for a pixel, and there are channels.
    let zeros = unsafe {
        let zeros = checked.scratch.add(table_bytes(geometry));
        helium_fill(zeros, zero_point, channels);
        zeros.cast_const()
    };
    let last = last_channels(checked);
    let inside = inside(geometry);
    let mut done = 0;
    for y in 0..rows {
        let whole = taps_inside(geometry, 0, y).len() == geometry.window.kernel[0];
        let mut x = 0;
        while x < columns {
            let pixels = if whole && inside.contains(&x) {
                inside.end - x
            } else {
                1
            };
            fill_table(checked, [y, x], zeros);
            strip(checked, &last, done, pixels);
            x += pixels;
            done += pixels;
        }
    }
}

/// The output columns whose windows are inside the image.
fn inside(geometry: &Geometry) -> Range<usize> {
    let kernel = geometry.window.kernel[1];
    let is_inside = |x: &usize| taps_inside(geometry, 1, *x).len() == kernel;
    let start = (0..geometry.output[1]).find(is_inside);
    let start = start.unwrap_or(geometry.output[1]);
    let end = (start..geometry.output[1]).find(|x| !is_inside(x));
    start..end.unwrap_or(geometry.output[1])
}

/// The channels behind the last whole block, in a whole block.
fn last_channels(checked: &Checked<'_>) -> [u32; BLOCK] {
    let mut last = [0; BLOCK];
    if let Channels::High(words) = checked.operands.channels {
        let channels = checked.operands.geometry.output[2];
        let start = channels - channels % BLOCK;
        for (to, from) in last
            .iter_mut()
            .zip(words.get(start..channels).unwrap_or(&[]))
        {
            *to = *from;
        }
    }
    last
}

/// Writes where the taps of output pixel `at` are; those outside the image are at `zeros`.
fn fill_table(checked: &Checked<'_>, at: [usize; 2], zeros: *const i8) {
    let geometry = &checked.operands.geometry;
    let [_, input_columns, channels] = geometry.input;
    let [kernel_rows, kernel_columns] = geometry.window.kernel;
    let input = checked.operands.input.as_ptr();
    let (rows, columns) = (
        taps_inside(geometry, 0, at[0]),
        taps_inside(geometry, 1, at[1]),
    );
    let column = position(geometry, 1, at[1], columns.start);
    let step = geometry.window.dilation[1] * channels;
    let mut entry: *mut *const i8 = checked.scratch.cast();
    for tap_row in 0..kernel_rows {
        let row = position(geometry, 0, at[0], tap_row) * input_columns;
        let is_row = rows.contains(&tap_row);
        let mut pixel = input.wrapping_add((row + column) * channels);
        for tap_column in 0..kernel_columns {
            let is_tap = is_row && columns.contains(&tap_column);
            // SAFETY: the table has an entry for every tap.
            unsafe {
                entry.write(if is_tap { pixel } else { zeros });
                entry = entry.add(1);
            }
            if is_tap {
                pixel = pixel.wrapping_add(step);
            }
        }
    }
}

/// `pixels` pixels from pixel `first` of the output on, with the table of its taps.
fn strip(checked: &Checked<'_>, last: &[u32; BLOCK], first: usize, pixels: usize) {
    let operands = checked.operands;
    let geometry = &operands.geometry;
    let channels = geometry.output[2];
    let requantize = &operands.requantize;
    let to: *mut i8 = operands.output.as_ptr().cast_mut().cast();
    let mut depthwise = Depthwise {
        table: checked.scratch.cast_const().cast(),
        taps: geometry.taps(),
        weights: operands.weights.as_ptr(),
        outputs: channels,
        channels: core::ptr::null(),
        last_channels: core::ptr::null(),
        // SAFETY: `first` is a pixel of the output.
        to: unsafe { to.add(first * channels) },
        bias_shift: i32::from(requantize.bias_shift),
        multiplier_shift: i32::from(requantize.multiplier_shift) - 20,
        zero_point: i32::from(requantize.zero_point),
        min: i32::from(requantize.min),
        max: i32::from(requantize.max),
        pixels,
        step: geometry.window.stride[1] * channels,
        weight_step: channels,
        offset: 0,
    };
    match operands.channels {
        Channels::High(words) => {
            depthwise.channels = words.as_ptr();
            depthwise.last_channels = last.as_ptr();
            // SAFETY: the table's addresses have `channels` elements each, those of the next
            // pixels too where there are some; the rest was compared with the geometry.
            unsafe { helium_depthwise(&mut depthwise) };
        }
        Channels::Wide(_) => {
            for pixel in 0..pixels {
                wide(checked, &depthwise, pixel);
            }
        }
    }
}

/// Pixel `pixel` of a strip, summed by vectors and scaled one channel at a time.
fn wide(checked: &Checked<'_>, strip: &Depthwise, pixel: usize) {
    let operands = checked.operands;
    let channels = strip.outputs;
    let mut sums = [0i32; SUMS];
    for first in (0..channels).step_by(SUMS) {
        let some = SUMS.min(channels - first);
        let mut part = Depthwise {
            weights: strip.weights.wrapping_add(first),
            outputs: some,
            to: sums.as_mut_ptr().cast(),
            pixels: 1,
            offset: pixel * strip.step + first,
            ..*strip
        };
        // SAFETY: as in `strip`, for `some` channels from `first` on; `sums` has room for whole
        // blocks of them.
        unsafe { helium_depthwise(&mut part) };
        for (channel, sum) in (first..first + some).zip(sums) {
            let sum = sum + operands.channels.bias(&operands.requantize, channel);
            let value = operands.channels.finish(&operands.requantize, channel, sum);
            // SAFETY: the strip's pixels are inside the output.
            unsafe { strip.to.add(pixel * channels + channel).write(value) };
        }
    }
}
