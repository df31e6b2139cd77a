//! Depthwise convolutions: four channels of a pixel, two taps in one multiplication.

use super::dsp::{pair, sums_of_taps};
use super::finish::{Finish, packed};
use super::gather::fill;
use super::plan::{DEPTHWISE_TAPS_MAX, block_words, blocks_bytes, tap_pairs};
use super::strip::{ROUND, Strip, strip_of_taps};
use crate::Conv2dI8;
use crate::scalar::{position, taps_inside};

struct Depthwise<'a> {
    operands: &'a Conv2dI8<'a>,
    finish: Finish<'a>,
    /// Blocks of four channels, as [`super::strip`] has them.
    blocks: *const u32,
    /// A zero point for each channel.
    zeros: *const i8,
    /// Output columns whose windows touch no column of padding: from the first to the end.
    inside: [usize; 2],
}

/// The addresses of the taps of a pixel, for channel 0, and a pair of nulls.
type Taps = [*const i8; DEPTHWISE_TAPS_MAX + 2];

/// Computes the whole output.
///
/// # Safety
///
/// Operands and channel records have the geometry's sizes, with at least four channels and at
/// most [`DEPTHWISE_TAPS_MAX`] taps; `scratch` has [`super::plan::conv_2d_scratch_bytes`],
/// aligned to words.
pub(super) unsafe fn multiply(operands: &Conv2dI8<'_>, scratch: *mut u32) {
    let geometry = &operands.geometry;
    let zeros: *mut i8 = scratch.wrapping_add(blocks_bytes(geometry) / 4).cast();
    let finish = Finish::new(operands);
    // SAFETY: the caller's promise: the zeros are the last part of the scratch memory.
    unsafe {
        write_blocks(operands, &finish, scratch);
        fill(zeros, geometry.input[2], operands.input_zero_point);
    }
    let depthwise = Depthwise {
        operands,
        finish,
        blocks: scratch,
        zeros,
        inside: inside(operands),
    };
    for y in 0..geometry.output[0] {
        // SAFETY: the row exists.
        unsafe { depthwise.row(y) };
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

/// Writes the blocks of all channels. The last four channels may begin among those of the block
/// before.
///
/// # Safety
///
/// As [`multiply`].
unsafe fn write_blocks(operands: &Conv2dI8<'_>, finish: &Finish<'_>, mut to: *mut u32) {
    let channels = operands.geometry.input[2];
    let [rows, columns] = operands.geometry.window.kernel;
    let taps = rows * columns;
    for block in (0..channels).step_by(4) {
        let channel = block.min(channels - 4);
        let from = operands.weights.as_ptr();
        let records = [0, 1, 2, 3].map(|i| finish.record(channel + i));
        // SAFETY: channels `channel..channel + 4` exist, and the taps below `taps`; a block has
        // four biases, four words for each pair, four multipliers.
        unsafe {
            to.cast::<[i32; 4]>().write(records.map(|(bias, _)| bias));
            to = to.add(4);
            for tap in (0..taps).step_by(2) {
                let read = |tap: usize| {
                    let at = from.add(tap * channels + channel);
                    at.cast::<u32>().read_unaligned()
                };
                let second = if tap + 1 < taps { read(tap + 1) } else { 0 };
                to.cast::<[u32; 4]>().write(pair(read(tap), second));
                to = to.add(4);
            }
            to.cast::<[u32; 4]>()
                .write(records.map(|(_, multiplier)| multiplier));
            to = to.add(4);
        }
    }
}

impl Depthwise<'_> {
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
                    self.operands.input.as_ptr().wrapping_add(pixel * channels)
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
        let output = output.wrapping_add(pixel * channels);
        let step = geometry.window.stride[1] * channels;
        let Some([zero_point, low, high]) = self.finish.high() else {
            for i in 0..pixels {
                // SAFETY: the caller's promise.
                unsafe { self.pixel(output.wrapping_add(i * channels), taps, i * step) };
            }
            return;
        };
        let pairs = tap_pairs(geometry);
        let mut strip = Strip {
            taps: taps.as_ptr(),
            skipped: pairs.next_multiple_of(ROUND) - pairs,
            blocks: self.blocks,
            zero_point,
            low: packed(low),
            high: packed(high),
            last: channels - 4,
            output,
            pixels,
            step,
            output_step: channels.wrapping_sub(step),
            back: step.wrapping_sub(channels - 4),
        };
        // SAFETY: the taps have every channel of every pixel, and there are blocks for them.
        unsafe { strip_of_taps(&mut strip) };
    }

    /// All channels of a pixel whose taps are `moved` bytes behind `taps`, with any rule.
    ///
    /// # Safety
    ///
    /// As [`multiply`]; the taps have every channel at `moved`.
    unsafe fn pixel(&self, output: *mut i8, taps: &Taps, moved: usize) {
        let geometry = &self.operands.geometry;
        let channels = geometry.input[2];
        let mut block = self.blocks;
        for first in (0..channels).step_by(4) {
            let channel = first.min(channels - 4);
            let mut sums = [0; 4];
            // SAFETY: the addresses have channels `channel..channel + 4` at `moved`, and there
            // is a block for them.
            unsafe {
                let at = moved + channel;
                sums_of_taps(taps.as_ptr(), at, block.add(4), &mut sums);
                block = block.add(block_words(geometry));
            }
            for (i, &sum) in sums.iter().enumerate() {
                let value = self.finish.any(channel + i, sum);
                // SAFETY: the pixel has these channels.
                unsafe { output.add(channel + i).write(value) };
            }
        }
    }
}
