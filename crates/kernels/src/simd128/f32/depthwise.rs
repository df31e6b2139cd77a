//! Depthwise convolutions: 4 channels in a vector, up to 4 pixels at once.

use super::tile::{four, limit, store};
use crate::tiled::f32::{Strip, Weights};
use crate::tiled::plan::tiles;
use crate::tiled::unrolled;
use core::arch::wasm32::*;

/// Computes every channel of a strip with weights `[KH, KW, O]` in place.
///
/// # Safety
///
/// As `Tiles::depthwise`.
pub(super) unsafe fn strip(convolution: &Weights<'_>, weights: &[f32], strip: &Strip<'_>) {
    let channels = convolution.geometry.output[2];
    for channel in (0..channels).step_by(4) {
        let lane = Lane {
            strip,
            convolution,
            channel,
            bias: four(convolution.bias.get(channel..).unwrap_or(&[])),
        };
        for (x, size) in tiles(strip.pixels, 4) {
            // SAFETY: `x + size <= pixels`; the rest is the caller's promise.
            unsafe {
                match (size, channels - channel >= 4) {
                    (1, true) => lane.pixels::<1, true>(weights, x),
                    (2, true) => lane.pixels::<2, true>(weights, x),
                    (3, true) => lane.pixels::<3, true>(weights, x),
                    (_, true) => lane.pixels::<4, true>(weights, x),
                    (1, false) => lane.pixels::<1, false>(weights, x),
                    (2, false) => lane.pixels::<2, false>(weights, x),
                    (3, false) => lane.pixels::<3, false>(weights, x),
                    (_, false) => lane.pixels::<4, false>(weights, x),
                }
            }
        }
    }
}

/// Up to 4 channels from `channel` on.
struct Lane<'a> {
    strip: &'a Strip<'a>,
    convolution: &'a Weights<'a>,
    channel: usize,
    bias: v128,
}

impl Lane<'_> {
    /// `WHOLE` tells that all 4 channels exist.
    ///
    /// # Safety
    ///
    /// As [`strip`]; pixels `x..x + M` are in the strip.
    unsafe fn pixels<const M: usize, const WHOLE: bool>(&self, weights: &[f32], x: usize) {
        let geometry = self.convolution.geometry;
        let channels = geometry.output[2];
        let apart = geometry.window.dilation[1] * channels;
        let step = self.strip.step;
        let mut sums = [self.bias; M];
        let mut tap = self.channel;
        for &row in self.strip.rows {
            // The places behind the last column are never read.
            let mut from = row.wrapping_add(x * step + self.channel);
            for _ in 0..geometry.window.kernel[1] {
                // SAFETY: weights of all 4 channels exist where `WHOLE`; inputs may be read up
                // to 16 elements behind a window (slack).
                unsafe {
                    let weight = if WHOLE {
                        v128_load(weights.as_ptr().add(tap).cast())
                    } else {
                        four(weights.get(tap..).unwrap_or(&[]))
                    };
                    unrolled!(m in 0..M {
                        let values = v128_load(from.add(m * step).cast());
                        sums[m] = f32x4_add(sums[m], f32x4_mul(values, weight));
                    });
                }
                from = from.wrapping_add(apart);
                tap += channels;
            }
        }
        unrolled!(m in 0..M {
            // SAFETY: the channels from `channel` on of pixel `x + m` exist from here on.
            unsafe {
                let to = self.strip.output.add((x + m) * channels + self.channel);
                store(to, limit(sums[m], self.convolution.limits), channels - self.channel);
            }
        });
    }
}
