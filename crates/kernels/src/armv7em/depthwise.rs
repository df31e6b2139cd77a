//! Depthwise convolutions: four channels of a pixel, two taps in one multiplication.

use super::dsp::{pair, sums_of_taps};
use super::finish::{Finish, Rule, packed};
use super::gather::fill;
use super::plan::{DEPTHWISE_TAPS_MAX, block_words, blocks_bytes, part_channels, tap_pairs};
use super::strip::{ROUND, Strip, strip_of_taps, strip_of_taps_double, strip_of_taps_single};
use crate::scalar::{position, taps_inside};
use crate::{Conv2dI8, rules};
use core::ops::Range;

struct Depthwise<'a, const RULES: u8> {
    operands: &'a Conv2dI8<'a>,
    finish: Finish<'a>,
    /// The rule of the loop in assembly, with zero point and limits, where there is such.
    rule: Option<(Rule, [i32; 3])>,
    /// At least four channels, of all.
    channels: Range<usize>,
    /// Blocks of four of them, as [`super::strip`] has them.
    blocks: *const u32,
    /// A zero point for each of them.
    zeros: *const i8,
    /// Output columns whose windows touch no column of padding: from the first to the end.
    inside: [usize; 2],
}

/// The addresses of the taps of a pixel, for the first channel, and a pair of nulls.
type Taps = [*const i8; DEPTHWISE_TAPS_MAX + 2];

/// Computes the whole output; where its rule is one of [`rules`].
///
/// # Safety
///
/// Operands and channel records have the geometry's sizes, with at least four channels and at
/// most [`DEPTHWISE_TAPS_MAX`] taps; `scratch` has [`super::plan::conv_2d_scratch_bytes`],
/// aligned to words.
pub(super) unsafe fn multiply<const RULES: u8>(operands: &Conv2dI8<'_>, scratch: *mut u32) {
    let geometry = &operands.geometry;
    let (all, part) = (geometry.input[2], part_channels(geometry));
    let zeros: *mut i8 = scratch.wrapping_add(blocks_bytes(geometry) / 4).cast();
    let finish = Finish::new(operands);
    let mut depthwise = Depthwise::<RULES> {
        operands,
        rule: finish.rule::<RULES>(),
        finish,
        channels: 0..part,
        blocks: scratch,
        zeros,
        inside: inside(operands),
    };
    // SAFETY: the caller's promise: the zeros are the last part of the scratch memory, and have
    // as many elements as a part has channels.
    unsafe { fill(zeros, part, operands.input_zero_point) };
    for first in (0..all).step_by(part) {
        let first = first.min(all - 4);
        depthwise.channels = first..(first + part).min(all);
        // SAFETY: the channels and the rows exist.
        unsafe {
            depthwise.write_blocks(scratch);
            (0..geometry.output[0]).for_each(|y| depthwise.row(y));
        }
    }
}

/// The output columns whose windows are inside the image.
fn inside(operands: &Conv2dI8<'_>) -> [usize; 2] {
    let geometry = &operands.geometry;
    let kernel = geometry.window.kernel[1];
    let mut columns = 0..geometry.output[1];
    let is_inside = |x: &usize| taps_inside(geometry, 1, *x).len() == kernel;
    let first = columns.find(is_inside).unwrap_or(geometry.output[1]);
    let end = columns.find(|x| !is_inside(x));
    [first, end.unwrap_or(geometry.output[1])]
}

impl<const RULES: u8> Depthwise<'_, RULES> {
    /// Writes the blocks of the channels. The last four may begin among those of the block before.
    ///
    /// # Safety
    ///
    /// As [`multiply`].
    unsafe fn write_blocks(&self, mut to: *mut u32) {
        let all = self.operands.geometry.input[2];
        let [rows, columns] = self.operands.geometry.window.kernel;
        let taps = rows * columns;
        for block in self.channels.clone().step_by(4) {
            let channel = block.min(self.channels.end - 4);
            let from = self.operands.weights.as_ptr().wrapping_add(channel);
            let (biases, multipliers) = self.parameters(channel);
            // SAFETY: channels `channel..channel + 4` exist, and the taps below `taps`; a block
            // has four biases, four words for each pair, four multipliers.
            unsafe {
                to.cast::<[i32; 4]>().write(biases);
                to = to.add(4);
                for tap in (0..taps).step_by(2) {
                    let read = |tap: usize| from.add(tap * all).cast::<u32>().read_unaligned();
                    let second = if tap + 1 < taps { read(tap + 1) } else { 0 };
                    to.cast::<[u32; 4]>().write(pair(read(tap), second));
                    to = to.add(4);
                }
                to.cast::<[u32; 4]>().write(multipliers);
                to = to.add(4);
            }
        }
    }

    /// The first and the last four words of the block of four channels.
    fn parameters(&self, channel: usize) -> ([i32; 4], [u32; 4]) {
        match self.rule {
            Some((Rule::High, _)) => {
                let records = [0, 1, 2, 3].map(|i| self.finish.record(channel + i));
                (
                    records.map(|(bias, _)| bias),
                    records.map(|(_, multiplier)| multiplier),
                )
            }
            Some((rule, _)) if RULES != rules::HIGH => {
                let biases = [0, 1, 2, 3].map(|i| self.finish.bias(channel + i));
                let distance = channel * rule.record_words() * size_of::<u32>();
                (biases, [distance as u32, 0, 0, 0])
            }
            _ => ([0; 4], [0; 4]),
        }
    }

    /// Addresses of the taps of a pixel; zero points where they are outside.
    ///
    /// # Safety
    ///
    /// The pixel is in the output.
    unsafe fn taps(&self, [y, x]: [usize; 2], taps: &mut Taps) {
        let geometry = &self.operands.geometry;
        let [_, input_columns, channels] = geometry.input;
        let (rows, columns) = (taps_inside(geometry, 0, y), taps_inside(geometry, 1, x));
        let mut places = taps.iter_mut();
        let mut address = self.zeros;
        for tap_row in 0..geometry.window.kernel[0] {
            let row = position(geometry, 0, y, tap_row) * input_columns;
            for tap_column in 0..geometry.window.kernel[1] {
                let is_inside = rows.contains(&tap_row) && columns.contains(&tap_column);
                address = if is_inside {
                    let pixel = row + position(geometry, 1, x, tap_column);
                    let at = pixel * channels + self.channels.start;
                    self.operands.input.as_ptr().wrapping_add(at)
                } else {
                    self.zeros
                };
                if let Some(place) = places.next() {
                    *place = address;
                }
            }
        }
        // What is paired with the last of an odd number of taps has a weight of zero.
        let [kernel_rows, kernel_columns] = geometry.window.kernel;
        if kernel_rows * kernel_columns % 2 == 1
            && let Some(place) = places.next()
        {
            *place = address;
        }
    }

    /// One output row. Pixels whose windows touch no padding are computed together.
    ///
    /// # Safety
    ///
    /// As [`multiply`]; the row exists.
    unsafe fn row(&self, y: usize) {
        let geometry = &self.operands.geometry;
        let columns = geometry.output[1];
        let [first, end] = self.inside;
        let has_all_rows = taps_inside(geometry, 0, y).len() == geometry.window.kernel[0];
        let mut taps = [core::ptr::null(); DEPTHWISE_TAPS_MAX + 2];
        let mut x = 0;
        while x < columns {
            let is_run = has_all_rows && x == first && end > first;
            let pixels = if is_run { end - first } else { 1 };
            // SAFETY: the pixels are in the output; inside the image, the addresses of a pixel's
            // taps are those of the pixel before and the same step.
            unsafe {
                self.taps([y, x], &mut taps);
                self.strip(y * columns + x, &taps, pixels);
            }
            x += pixels;
        }
    }

    /// All channels of neighbouring pixels from `pixel` on, with the taps of the first.
    ///
    /// # Safety
    ///
    /// As [`multiply`]; the pixels exist, and their taps are a stride from each other.
    unsafe fn strip(&self, pixel: usize, taps: &Taps, pixels: usize) {
        let geometry = &self.operands.geometry;
        let channels = geometry.input[2];
        let output = self.operands.output.as_ptr().cast_mut().cast::<i8>();
        let output = output.wrapping_add(pixel * channels + self.channels.start);
        let step = geometry.window.stride[1] * channels;
        let Some((rule, [zero_point, low, high])) = self.rule else {
            let any = if RULES == rules::HIGH {
                0..0
            } else {
                0..pixels
            };
            for i in any {
                // SAFETY: the caller's promise.
                unsafe { self.pixel(output.wrapping_add(i * channels), taps, i * step) };
            }
            return;
        };
        let (pairs, last) = (tap_pairs(geometry), self.channels.len() - 4);
        let mut strip = Strip {
            taps: taps.as_ptr(),
            skipped: pairs.next_multiple_of(ROUND) - pairs,
            blocks: self.blocks,
            zero_point,
            low: packed(low),
            high: packed(high),
            last,
            output,
            pixels,
            step,
            output_step: channels.wrapping_sub(step),
            back: step.wrapping_sub(last),
            records: self.finish.words(),
        };
        // SAFETY: the taps have every channel of every pixel, and there are blocks for them.
        unsafe {
            match rule {
                Rule::High if RULES & rules::HIGH != 0 => strip_of_taps(&mut strip),
                Rule::Single if RULES & rules::SINGLE != 0 => strip_of_taps_single(&mut strip),
                Rule::Double if RULES & rules::DOUBLE != 0 => strip_of_taps_double(&mut strip),
                _ => {}
            }
        }
    }

    /// All channels of a pixel whose taps are `moved` bytes behind `taps`, with any rule.
    ///
    /// # Safety
    ///
    /// As [`multiply`]; the taps have every channel at `moved`.
    unsafe fn pixel(&self, output: *mut i8, taps: &Taps, moved: usize) {
        let mut block = self.blocks;
        let count = self.channels.len();
        for first in (0..count).step_by(4) {
            let channel = first.min(count - 4);
            let mut sums = [0; 4];
            // SAFETY: the addresses have channels `channel..channel + 4` at `moved`, and there
            // is a block for them.
            unsafe {
                let at = moved + channel;
                sums_of_taps(taps.as_ptr(), at, block.add(4), &mut sums);
                block = block.add(block_words(&self.operands.geometry));
            }
            for (i, &sum) in sums.iter().enumerate() {
                let value = self.finish.any(self.channels.start + channel + i, sum);
                // SAFETY: the pixel has these channels.
                unsafe { output.add(channel + i).write(value) };
            }
        }
    }
}
