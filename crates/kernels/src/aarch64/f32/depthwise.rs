//! Depthwise convolutions: 8 channels by up to 4 pixels.

use super::tile::{add_products, first_of, limit, load, store};
use crate::tiled::f32::{Strip, Weights};
use crate::tiled::plan::tiles;
use crate::tiled::unrolled;
use core::arch::aarch64::*;

/// Channels in two vectors.
type Eight = [float32x4_t; 2];

/// Computes every channel of a strip with weights `[KH, KW, O]` in place.
///
/// # Safety
///
/// As `Tiles::depthwise`.
pub(super) unsafe fn strip(convolution: &Weights<'_>, weights: &[f32], strip: &Strip<'_>) {
    let geometry = convolution.geometry;
    let channels = geometry.output[2];
    let neighbours = geometry.window.stride[1] == 1 && geometry.window.dilation[1] == 1;
    for channel in (0..channels).step_by(8) {
        let lane = Lane {
            strip,
            convolution,
            weights,
            channel,
            valid: (channels - channel).min(8),
        };
        for (x, size) in tiles(strip.pixels, 4) {
            // SAFETY: `x + size <= pixels`; the rest is the caller's promise.
            unsafe {
                match (size, neighbours, geometry.window.kernel[1]) {
                    (4, true, 3) => lane.neighbours::<4, 3>(x),
                    (3, true, 3) => lane.neighbours::<3, 3>(x),
                    (2, true, 3) => lane.neighbours::<2, 3>(x),
                    (4, true, 5) => lane.neighbours::<4, 5>(x),
                    (4, ..) => lane.pixels::<4>(x),
                    (3, ..) => lane.pixels::<3>(x),
                    (2, ..) => lane.pixels::<2>(x),
                    _ => lane.pixels::<1>(x),
                }
            }
        }
    }
}

/// Up to 8 channels from `channel` on.
struct Lane<'a> {
    strip: &'a Strip<'a>,
    convolution: &'a Weights<'a>,
    weights: &'a [f32],
    channel: usize,
    valid: usize,
}

impl Lane<'_> {
    fn bias(&self) -> Eight {
        let bias = self.convolution.bias.get(self.channel..);
        let bias: [f32; 8] = first_of(bias.unwrap_or(&[]));
        // SAFETY: 8 elements.
        unsafe { load(bias.as_ptr()) }
    }

    /// The weights of a tap.
    ///
    /// # Safety
    ///
    /// There is such a tap.
    #[inline(always)]
    unsafe fn tap(&self, tap: usize) -> Eight {
        let at = tap * self.convolution.geometry.output[2] + self.channel;
        // SAFETY: the weights of 8 channels are there where so many channels are, and 8 elements
        // of a copy.
        unsafe {
            if self.valid == 8 {
                load(self.weights.as_ptr().add(at))
            } else {
                load(first_of::<8>(self.weights.get(at..).unwrap_or(&[])).as_ptr())
            }
        }
    }

    /// # Safety
    ///
    /// As [`strip`]; pixels `x..x + M` are in the strip.
    unsafe fn pixels<const M: usize>(&self, x: usize) {
        let geometry = self.convolution.geometry;
        let apart = geometry.window.dilation[1] * geometry.output[2];
        let step = self.strip.step;
        let mut sums = [self.bias(); M];
        let mut tap = 0;
        for &row in self.strip.rows {
            // The places behind the last column are never read.
            let mut from = row.wrapping_add(x * step + self.channel);
            for _ in 0..geometry.window.kernel[1] {
                // SAFETY: inputs may be read up to 16 elements behind a window (slack), and
                // there are so many taps.
                unsafe {
                    let weights = self.tap(tap);
                    for (m, sums) in sums.iter_mut().enumerate() {
                        add_products(sums, load(from.add(m * step)), weights);
                    }
                }
                from = from.wrapping_add(apart);
                tap += 1;
            }
        }
        // SAFETY: the caller's promise.
        unsafe { self.finish(sums, x) }
    }

    /// The same for windows of `K` columns that move by one column: every input element is
    /// loaded once.
    ///
    /// # Safety
    ///
    /// As [`Lane::pixels`]; stride and dilation are 1, and the window has `K` columns.
    unsafe fn neighbours<const M: usize, const K: usize>(&self, x: usize) {
        let channels = self.convolution.geometry.output[2];
        let mut sums = [self.bias(); M];
        for (r, &row) in self.strip.rows.iter().enumerate() {
            // SAFETY: as in `pixels`; columns `x..x + M + K - 1` are those of the M windows.
            unsafe {
                let from = row.add(x * channels + self.channel);
                let taps: [Eight; K] = core::array::from_fn(|k| self.tap(r * K + k));
                for column in 0..M + K - 1 {
                    let values: Eight = load(from.add(column * channels));
                    for (k, &tap) in taps.iter().enumerate() {
                        if column >= k && column - k < M {
                            add_products(&mut sums[column - k], values, tap);
                        }
                    }
                }
            }
        }
        // SAFETY: the caller's promise.
        unsafe { self.finish(sums, x) }
    }

    /// # Safety
    ///
    /// As [`Lane::pixels`].
    #[inline(always)]
    unsafe fn finish<const M: usize>(&self, sums: [Eight; M], x: usize) {
        let channels = self.convolution.geometry.output[2];
        unrolled!(m in 0..M {
            // SAFETY: `valid` channels of pixel `x + m` exist from here on.
            unsafe {
                let to = self.strip.output.add((x + m) * channels + self.channel);
                let [low, high] = sums[m].map(|values| limit(values, self.convolution.limits));
                store(to, low, self.valid);
                if self.valid > 4 {
                    store(to.add(4), high, self.valid - 4);
                }
            }
        });
    }
}
