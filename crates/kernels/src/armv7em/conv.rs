//! Convolutions over gathered windows: one channel by four pixels, or four channels by one
//! pixel. Inputs are widened once for all channels; weights are widened where they are used.

use super::dsp::{sum_of_pixel, sums_of_pixels};
use super::finish::{Finish, Rule, packed};
use super::gather;
use super::plan::{PIXELS, is_in_place, is_narrow, places, window_bytes};
use super::tile::{
    Channels, Pixels, tile_of_channels, tile_of_channels_double, tile_of_channels_single,
    tile_of_narrow_channels, tile_of_narrow_channels_double, tile_of_narrow_channels_single,
    tile_of_pixels, tile_of_pixels_double, tile_of_pixels_single,
};
use crate::{Conv2dI8, rules};
use core::cell::Cell;

/// A convolution whose operands have the sizes of its geometry.
struct Gathered<'a, const RULES: u8> {
    operands: &'a Conv2dI8<'a>,
    finish: Finish<'a>,
    /// The rule of the loops in assembly, with zero point and limits, where there are such.
    rule: Option<(Rule, [i32; 3])>,
    /// Widened windows, then room for one as bytes.
    inputs: *mut u32,
    window: *mut i8,
    /// Weights of a channel.
    taps: usize,
    group_outputs: usize,
}

/// Computes the whole output; where its rule is one of [`rules`].
///
/// # Safety
///
/// Operands and channel records have the geometry's sizes, and `scratch` has
/// [`super::plan::conv_2d_scratch_bytes`], aligned to words.
pub(super) unsafe fn multiply<const RULES: u8>(operands: &Conv2dI8<'_>, scratch: *mut u32) {
    let geometry = &operands.geometry;
    let pixels = geometry.output[0] * geometry.output[1];
    let widened = window_bytes(geometry) / 2 * places(geometry);
    let finish = Finish::new(operands);
    let gathered = Gathered::<RULES> {
        operands,
        rule: finish.rule::<RULES>(),
        finish,
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

impl<const RULES: u8> Gathered<'_, RULES> {
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

    /// Bytes from the weights of the last whole step to those of the last step; 0 where all steps
    /// are whole.
    fn back(&self) -> usize {
        match self.taps % 4 {
            0 => 0,
            rest => rest.wrapping_sub(4),
        }
    }

    /// Every channel of a group for up to four pixels. What is in the places of the pixels that
    /// there are not is multiplied too, and overwritten at the end.
    ///
    /// # Safety
    ///
    /// As [`multiply`]; the windows are widened and the pixels exist.
    unsafe fn pixels(&self, first: usize, count: usize, group: usize) {
        let from = group * self.group_outputs;
        let outputs = [0, 1, 2, 3].map(|i: usize| self.output(first + i.min(count - 1), from));
        let weights = self
            .operands
            .weights
            .as_ptr()
            .wrapping_add(from * self.taps);
        let Some((rule, [zero_point, low, high])) = self.rule else {
            if RULES != rules::HIGH {
                // SAFETY: the caller's promise.
                unsafe { self.pixels_by_any_rule(&outputs, weights, from) };
            }
            return;
        };
        let record_words = rule.record_words();
        let records = self.finish.words().wrapping_add(from * record_words);
        let [bias_shift, multiplier_shift] = self.finish.shifts();
        let mut tile = Pixels {
            outputs,
            inputs: self.inputs,
            steps: self.taps / 4,
            back: self.back(),
            bias_shift,
            multiplier_shift,
            zero_point,
            low: packed(low),
            high: packed(high),
            is_limited: u32::from(low > -128 || high < 127),
            end: records.wrapping_add(self.group_outputs * record_words),
            weights,
            records,
        };
        // SAFETY: the windows have as many steps as the rows of weights; rows, records and
        // outputs are those of the group's channels.
        unsafe {
            match rule {
                Rule::High if RULES & rules::HIGH != 0 => tile_of_pixels(&mut tile),
                Rule::Single if RULES & rules::SINGLE != 0 => tile_of_pixels_single(&mut tile),
                Rule::Double if RULES & rules::DOUBLE != 0 => tile_of_pixels_double(&mut tile),
                _ => {}
            }
        }
    }

    /// # Safety
    ///
    /// As [`Gathered::pixels`].
    #[inline(never)]
    unsafe fn pixels_by_any_rule(&self, outputs: &[*mut i8; 4], weights: *const i8, from: usize) {
        let steps = self.taps / 4;
        for channel in 0..self.group_outputs {
            let mut sums = [0; PIXELS];
            // SAFETY: the row of weights has `taps` bytes, and the outputs exist.
            unsafe {
                let weights = weights.add(channel * self.taps);
                sums_of_pixels(self.inputs, weights, steps, &mut sums);
                if self.back() != 0 {
                    let weights = weights.add(self.taps - 4);
                    sums_of_pixels(self.inputs.add(steps * 8), weights, 1, &mut sums);
                }
                for (output, sum) in outputs.iter().zip(sums).rev() {
                    output
                        .add(channel)
                        .write(self.finish.any(from + channel, sum));
                }
            }
        }
    }

    /// Every channel of a group for one pixel.
    ///
    /// # Safety
    ///
    /// As [`Gathered::pixels`]; there are at least four channels.
    unsafe fn pixel(&self, pixel: usize, group: usize) {
        let from = group * self.group_outputs;
        let output = self.output(pixel, from);
        let weights = self
            .operands
            .weights
            .as_ptr()
            .wrapping_add(from * self.taps);
        let is_narrow = is_narrow(&self.operands.geometry);
        let Some((rule, [zero_point, low, high])) = self.rule else {
            if RULES != rules::HIGH {
                // SAFETY: the caller's promise.
                unsafe { self.pixel_by_any_rule(output, weights, from, is_narrow) };
            }
            return;
        };
        let [bias_shift, multiplier_shift] = self.finish.shifts();
        let mut tile = Channels {
            inputs: self.inputs.cast_const(),
            steps: self.taps / 4,
            taps: self.taps,
            back: self.back(),
            bias_factor: 1 << bias_shift,
            multiplier_shift,
            zero_point,
            low: packed(low),
            high: packed(high),
            weights,
            records: self.finish.words().wrapping_add(from * rule.record_words()),
            output,
            left: self.group_outputs - 4,
        };
        let input = self.operands.input.as_ptr();
        // SAFETY: the window has as many steps as the rows of weights; rows, records and outputs
        // are those of the group's channels. A narrow window is the whole input.
        unsafe {
            match (rule, is_narrow) {
                (Rule::High, false) if RULES & rules::HIGH != 0 => tile_of_channels(&mut tile),
                (Rule::High, true) if RULES & rules::HIGH != 0 => {
                    tile_of_narrow_channels(&mut tile.with(input));
                }
                (Rule::Single, false) if RULES & rules::SINGLE != 0 => {
                    tile_of_channels_single(&mut tile)
                }
                (Rule::Single, true) if RULES & rules::SINGLE != 0 => {
                    tile_of_narrow_channels_single(&mut tile.with(input));
                }
                (Rule::Double, false) if RULES & rules::DOUBLE != 0 => {
                    tile_of_channels_double(&mut tile)
                }
                (Rule::Double, true) if RULES & rules::DOUBLE != 0 => {
                    tile_of_narrow_channels_double(&mut tile.with(input));
                }
                _ => {}
            }
        }
    }

    /// # Safety
    ///
    /// As [`Gathered::pixel`].
    #[inline(never)]
    unsafe fn pixel_by_any_rule(
        &self,
        output: *mut i8,
        weights: *const i8,
        from: usize,
        is_narrow: bool,
    ) {
        let steps = self.taps / 4;
        for channel in 0..self.group_outputs {
            // SAFETY: the row of weights has `taps` bytes, and the output exists. A narrow window
            // is the whole input, in whole steps.
            unsafe {
                let weights = weights.add(channel * self.taps);
                let mut sum = 0;
                if is_narrow {
                    let input = self.operands.input.as_ptr();
                    for at in (0..self.taps).step_by(4) {
                        let mut words = [0; 2];
                        gather::widen(input.add(at), 4, words.as_mut_ptr(), 2);
                        sum = sum_of_pixel(words.as_ptr(), weights.add(at), 1, sum);
                    }
                } else {
                    sum = sum_of_pixel(self.inputs, weights, steps, sum);
                }
                if self.back() != 0 {
                    let weights = weights.add(self.taps - 4);
                    sum = sum_of_pixel(self.inputs.add(steps * 2), weights, 1, sum);
                }
                output
                    .add(channel)
                    .write(self.finish.any(from + channel, sum));
            }
        }
    }
}
