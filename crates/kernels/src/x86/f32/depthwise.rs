//! Depthwise convolutions: 8 channels in a vector, up to 4 pixels at once.

use super::tile::{Strip, first_lanes, limit, store};
use crate::Geometry;
use core::arch::x86_64::*;

/// Computes every channel of a strip with weights `[KH, KW, O]` in place.
///
/// # Safety
///
/// The windows of all pixels, with `SLACK` elements behind them, are readable in every row;
/// `strip.output` has room for all channels of the pixels; `weights` holds all taps.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn strip(
    strip: &Strip<'_>,
    geometry: &Geometry,
    weights: &[f32],
    bias: &[f32],
    limits: [f32; 2],
) {
    let channels = geometry.output[2];
    for channel in (0..channels).step_by(8) {
        let valid = (channels - channel).min(8);
        let mut first = [0.0; 8];
        let known = bias.get(channel..).unwrap_or(&[]);
        first
            .iter_mut()
            .zip(known)
            .for_each(|(to, &from)| *to = from);
        let lane = Lane {
            strip,
            geometry,
            channel,
            valid,
            bias: first,
            limits,
        };
        let mut x = 0;
        // SAFETY: `x + M <= pixels` in each call; the rest is the caller's promise.
        unsafe {
            let weights = weights.as_ptr().add(channel);
            while x + 4 <= strip.pixels {
                lane.pixels::<4>(weights, x);
                x += 4;
            }
            while x < strip.pixels {
                lane.pixels::<1>(weights, x);
                x += 1;
            }
        }
    }
}

/// Up to 8 channels from `channel` on.
struct Lane<'a> {
    strip: &'a Strip<'a>,
    geometry: &'a Geometry,
    channel: usize,
    valid: usize,
    bias: [f32; 8],
    limits: [f32; 2],
}

impl Lane<'_> {
    /// # Safety
    ///
    /// As [`strip`]; pixels `x..x + M` are in the strip, and `weights` is the first tap's weight
    /// of this lane's first channel.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn pixels<const M: usize>(&self, mut weights: *const f32, x: usize) {
        let channels = self.geometry.output[2];
        let apart = self.geometry.window.dilation[1] * channels;
        let mask = first_lanes(self.valid);
        // SAFETY: the bias has 8 elements; weights are read under the mask of the channels that
        // exist; inputs may be read up to 8 elements behind a window (slack).
        unsafe {
            let mut sums = [_mm256_loadu_ps(self.bias.as_ptr()); M];
            for &row in self.strip.rows {
                let mut from = row.add(x * self.strip.step + self.channel);
                for _ in 0..self.geometry.window.kernel[1] {
                    let weight = _mm256_maskload_ps(weights, mask);
                    for (m, sum) in sums.iter_mut().enumerate() {
                        let values = _mm256_loadu_ps(from.add(m * self.strip.step));
                        *sum = _mm256_fmadd_ps(values, weight, *sum);
                    }
                    from = from.wrapping_add(apart);
                    weights = weights.wrapping_add(channels);
                }
            }
            for (m, &sum) in sums.iter().enumerate() {
                let to = self.strip.output.add((x + m) * channels + self.channel);
                store(to, limit(sum, self.limits), self.valid);
            }
        }
    }
}
