//! Depthwise convolutions: four channels of a pixel, two taps in one multiplication.

use super::dsp::{pair, tile_of_taps};
use super::finish::Finish;
use super::gather::fill;
use super::plan::{DEPTHWISE_TAPS_MAX, tap_pairs, widened_bytes};
use crate::Conv2dI8;
use crate::scalar::{position, taps_inside};

struct Depthwise<'a> {
    operands: &'a Conv2dI8<'a>,
    finish: Finish<'a>,
    /// Blocks of four channels, in them pairs of taps, in them [`pair`].
    weights: *const u32,
    /// A zero point for each channel.
    zeros: *const i8,
    pairs: usize,
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
    let zeros: *mut i8 = scratch.wrapping_add(widened_bytes(geometry) / 4).cast();
    // SAFETY: the caller's promise: the zeros are the last part of the scratch memory.
    unsafe {
        widen_weights(operands, scratch);
        fill(zeros, geometry.input[2], operands.input_zero_point);
    }
    let depthwise = Depthwise {
        operands,
        finish: Finish::new(operands),
        weights: scratch,
        zeros,
        pairs: tap_pairs(geometry),
    };
    for y in 0..geometry.output[0] {
        // SAFETY: the row exists.
        unsafe { depthwise.row(y) };
    }
}

/// Widens the weights of all channels.
///
/// # Safety
///
/// As [`multiply`].
unsafe fn widen_weights(operands: &Conv2dI8<'_>, mut to: *mut u32) {
    let channels = operands.geometry.input[2];
    let [rows, columns] = operands.geometry.window.kernel;
    let taps = rows * columns;
    for block in (0..channels).step_by(4) {
        let channel = block.min(channels - 4);
        let from = operands.weights.as_ptr();
        for tap in (0..taps).step_by(2) {
            // SAFETY: channels `channel..channel + 4` exist, and the taps below `taps`.
            unsafe {
                let read = |tap: usize| {
                    let at = from.add(tap * channels + channel);
                    at.cast::<u32>().read_unaligned()
                };
                let second = if tap + 1 < taps { read(tap + 1) } else { 0 };
                to.cast::<[u32; 4]>().write(pair(read(tap), second));
                to = to.add(4);
            }
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

    /// One output row. Between the pixels whose windows touch no column of padding, addresses
    /// move by the same step.
    ///
    /// # Safety
    ///
    /// As [`multiply`]; the row exists.
    unsafe fn row(&self, y: usize) {
        let geometry = &self.operands.geometry;
        let columns = geometry.output[1];
        let window = &geometry.window;
        let channels = geometry.input[2];
        let reach = (window.kernel[1] - 1) * window.dilation[1];
        let mut taps = [core::ptr::null(); DEPTHWISE_TAPS_MAX + 2];
        let rows_inside = taps_inside(geometry, 0, y).len() == window.kernel[0];
        let mut base = usize::MAX;
        for x in 0..columns {
            let start = x * window.stride[1];
            let is_inside = rows_inside
                && start >= window.padding[1]
                && start - window.padding[1] + reach < geometry.input[1];
            let moved = if is_inside && base != usize::MAX {
                (start - base) * channels
            } else {
                // SAFETY: the pixel is in the output.
                unsafe { self.taps([y, x], &mut taps) };
                base = if is_inside { start } else { usize::MAX };
                0
            };
            // SAFETY: the addresses are those of the pixel's taps.
            unsafe { self.pixel(y * columns + x, &taps, moved) };
        }
    }

    /// All channels of a pixel whose taps are `moved` bytes behind `taps`. The last four
    /// channels may begin among those that are done already.
    ///
    /// # Safety
    ///
    /// As [`multiply`]; the taps have every channel at `moved`.
    unsafe fn pixel(&self, pixel: usize, taps: &Taps, moved: usize) {
        let channels = self.operands.geometry.input[2];
        let output = self.operands.output.as_ptr().cast_mut().cast::<i8>();
        let mut weights = self.weights;
        for block in (0..channels).step_by(4) {
            let channel = block.min(channels - 4);
            let mut sums = [0; 4];
            // SAFETY: the addresses have channels `channel..channel + 4` at `moved`, and there
            // are weights for every pair.
            unsafe {
                let at = moved + channel;
                tile_of_taps(taps.as_ptr(), at, weights, &mut sums);
                weights = weights.add(self.pairs * 4);
                let to = output.add(pixel * channels + channel);
                self.finish.channels(channel, &sums, to);
            }
        }
    }
}
