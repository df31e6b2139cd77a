//! Convolutions over gathered windows: one channel by four pixels, or four channels by one
//! pixel. Inputs are widened once for all channels; weights are widened where they are used.

use super::dsp::{
    Row, multiply_add, tile_of_channels, tile_of_narrow_channels, tile_of_pixels, widen_even,
    widen_odd,
};
use super::finish::Finish;
use super::gather;
use super::plan::{PIXELS, is_in_place, is_narrow, places, window_bytes};
use crate::Conv2dI8;
use core::cell::Cell;

/// A convolution whose operands have the sizes of its geometry.
struct Gathered<'a> {
    operands: &'a Conv2dI8<'a>,
    finish: Finish<'a>,
    /// Widened windows, then room for one as bytes.
    inputs: *mut u32,
    window: *mut i8,
    /// Weights of a channel.
    taps: usize,
    group_outputs: usize,
}

/// Computes the whole output.
///
/// # Safety
///
/// Operands and channel records have the geometry's sizes, and `scratch` has
/// [`super::plan::conv_2d_scratch_bytes`], aligned to words.
pub(super) unsafe fn multiply(operands: &Conv2dI8<'_>, scratch: *mut u32) {
    let geometry = &operands.geometry;
    let pixels = geometry.output[0] * geometry.output[1];
    let widened = window_bytes(geometry) / 2 * places(geometry);
    let gathered = Gathered {
        operands,
        finish: Finish::new(operands),
        inputs: scratch,
        window: scratch.wrapping_add(widened).cast(),
        taps: geometry.taps(),
        group_outputs: geometry.output[2] / geometry.groups,
    };
    // All windows of a tile are read before any of its outputs is written, so that the row
    // contract holds even for a tile that ends in the next row; with groups it must not.
    let row = if geometry.groups == 1 {
        pixels
    } else {
        geometry.output[1].max(1)
    };
    let mut first = 0;
    while first < pixels {
        let count = (row - first % row).min(PIXELS);
        for group in 0..geometry.groups {
            // SAFETY: the caller's promise, and `first + count <= pixels`.
            unsafe {
                if count == 1 && gathered.group_outputs >= 4 {
                    if !is_narrow(geometry) {
                        gathered.widen(first, group, gathered.inputs, 2);
                    }
                    gathered.pixel(first, group);
                } else {
                    let step = PIXELS * 2;
                    for i in 0..count {
                        let to = gathered.inputs.add(i * 2);
                        gathered.widen(first + i, group, to, step);
                    }
                    gathered.pixels(first, count, group);
                }
            }
        }
        first += count;
    }
}

impl Gathered<'_> {
    /// Widens the window of a pixel.
    ///
    /// # Safety
    ///
    /// As [`multiply`]; the pixel exists, and its steps fit behind `to`.
    unsafe fn widen(&self, pixel: usize, group: usize, to: *mut u32, apart: usize) {
        let geometry = &self.operands.geometry;
        // SAFETY: the caller's promise.
        unsafe {
            let from = if is_in_place(geometry) {
                self.operands.input.as_ptr().add(pixel * self.taps)
            } else {
                let columns = geometry.output[1].max(1);
                let at = [pixel / columns, pixel % columns];
                gather::window(self.operands, at, group, self.window);
                self.window.cast_const()
            };
            gather::widen(from, self.taps, to, apart);
        }
    }

    fn output(&self, pixel: usize, channel: usize) -> *mut i8 {
        let at = pixel * self.operands.geometry.output[2] + channel;
        let cells: *const Cell<i8> = self.operands.output.as_ptr();
        cells.cast_mut().cast::<i8>().wrapping_add(at)
    }

    /// Every channel of a group for up to four pixels. What is in the places of the pixels that
    /// there are not is multiplied too, and left out at the end.
    ///
    /// # Safety
    ///
    /// As [`multiply`]; the windows are widened and the pixels exist.
    unsafe fn pixels(&self, first: usize, count: usize, group: usize) {
        let (steps, rest) = (self.taps / 4, self.taps % 4);
        let outputs = self.operands.geometry.output[2];
        let from = group * self.group_outputs;
        for channel in from..from + self.group_outputs {
            let mut sums = [0; PIXELS];
            // SAFETY: the row of weights has `taps` bytes, and the outputs exist.
            unsafe {
                let weights = self.operands.weights.as_ptr().add(channel * self.taps);
                tile_of_pixels(self.inputs, weights, steps, &mut sums);
                if rest > 0 {
                    let word = gather::tail_word(weights.add(steps * 4), rest);
                    let (even, odd) = (widen_even(word), widen_odd(word));
                    for (i, sum) in sums.iter_mut().enumerate() {
                        let input = self.inputs.add(steps * 8 + i * 2);
                        *sum = multiply_add(even, input.read(), *sum);
                        *sum = multiply_add(odd, input.add(1).read(), *sum);
                    }
                }
                let to = self.output(first, channel);
                self.finish.pixels(channel, &sums[..count], to, outputs);
            }
        }
    }

    /// Every channel of a group for one pixel. The last four channels may begin among those that
    /// are done already.
    ///
    /// # Safety
    ///
    /// As [`Gathered::pixels`]; there are at least four channels.
    unsafe fn pixel(&self, pixel: usize, group: usize) {
        let (steps, rest) = (self.taps / 4, self.taps % 4);
        let is_narrow = is_narrow(&self.operands.geometry);
        let narrow = self.operands.input.as_ptr();
        for block in (0..self.group_outputs).step_by(4) {
            let channel = group * self.group_outputs + block.min(self.group_outputs - 4);
            let mut row = Row {
                sums: [0; 4],
                apart: self.taps,
            };
            // SAFETY: four rows of weights have `taps` bytes each, and the outputs exist.
            unsafe {
                let weights = self.operands.weights.as_ptr().add(channel * self.taps);
                if is_narrow {
                    tile_of_narrow_channels(narrow, weights, steps, &mut row);
                } else {
                    tile_of_channels(self.inputs, weights, steps, &mut row);
                }
                if rest > 0 {
                    let [even, odd] = if is_narrow {
                        let word = gather::tail_word(narrow.add(steps * 4), rest);
                        [widen_even(word), widen_odd(word)]
                    } else {
                        let input = self.inputs.add(steps * 2);
                        [input.read(), input.add(1).read()]
                    };
                    for (i, sum) in row.sums.iter_mut().enumerate() {
                        let from = weights.add(i * self.taps + steps * 4);
                        let word = gather::tail_word(from, rest);
                        *sum = multiply_add(widen_even(word), even, *sum);
                        *sum = multiply_add(widen_odd(word), odd, *sum);
                    }
                }
                let to = self.output(pixel, channel);
                self.finish.channels(channel, &row.sums, to);
            }
        }
    }
}
