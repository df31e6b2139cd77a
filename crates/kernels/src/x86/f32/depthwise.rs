//! Depthwise convolutions: 8 channels in a vector, up to 4 pixels at once.

use super::tile::{first_lanes, limit, store};
use crate::Geometry;
use crate::tiled::f32::Strip;
use crate::tiled::plan::tiles;
use crate::tiled::unrolled;
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
    let neighbours = geometry.window.stride[1] == 1 && geometry.window.dilation[1] == 1;
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
        for (x, size) in tiles(strip.pixels, 4) {
            // SAFETY: `x + size <= pixels`; the rest is the caller's promise.
            unsafe {
                let weights = weights.as_ptr().add(channel);
                match (size, neighbours, geometry.window.kernel[1]) {
                    (4, true, 3) => lane.neighbours::<4, 3>(weights, x),
                    (3, true, 3) => lane.neighbours::<3, 3>(weights, x),
                    (2, true, 3) => lane.neighbours::<2, 3>(weights, x),
                    (4, true, 5) => lane.neighbours::<4, 5>(weights, x),
                    (4, ..) => lane.pixels::<4>(weights, x),
                    (3, ..) => lane.pixels::<3>(weights, x),
                    (2, ..) => lane.pixels::<2>(weights, x),
                    _ => lane.pixels::<1>(weights, x),
                }
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
            self.finish(sums, x);
        }
    }

    /// The same for windows of `K` columns that move by one column: every input element is
    /// loaded once.
    ///
    /// # Safety
    ///
    /// As [`Lane::pixels`]; stride and dilation are 1, and the window has `K` columns.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn neighbours<const M: usize, const K: usize>(&self, weights: *const f32, x: usize) {
        let channels = self.geometry.output[2];
        let mask = first_lanes(self.valid);
        // SAFETY: as in `pixels`; columns `x..x + M + K - 1` are those of the M windows.
        unsafe {
            let mut sums = [_mm256_loadu_ps(self.bias.as_ptr()); M];
            for (r, &row) in self.strip.rows.iter().enumerate() {
                let from = row.add(x * channels + self.channel);
                let mut taps = [_mm256_setzero_ps(); K];
                for (k, tap) in taps.iter_mut().enumerate() {
                    *tap = _mm256_maskload_ps(weights.add((r * K + k) * channels), mask);
                }
                for column in 0..M + K - 1 {
                    let values = _mm256_loadu_ps(from.add(column * channels));
                    for (k, &tap) in taps.iter().enumerate() {
                        if column >= k && column - k < M {
                            let sum = &mut sums[column - k];
                            *sum = _mm256_fmadd_ps(values, tap, *sum);
                        }
                    }
                }
            }
            self.finish(sums, x);
        }
    }

    /// # Safety
    ///
    /// As [`Lane::pixels`].
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn finish<const M: usize>(&self, sums: [__m256; M], x: usize) {
        let channels = self.geometry.output[2];
        unrolled!(m in 0..M {
            // SAFETY: `valid` channels of pixel `x + m` exist from here on.
            unsafe {
                let to = self.strip.output.add((x + m) * channels + self.channel);
                store(to, limit(sums[m], self.limits), self.valid);
            }
        });
    }
}
