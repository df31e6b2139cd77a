//! Depthwise convolutions: a vector of channels, a few pixels at once.

use super::lanes::Lanes;
use crate::Geometry;
use crate::tiled::f32::Strip;
use crate::tiled::plan::tiles;
use crate::tiled::unrolled;

/// Computes every channel of a strip with weights `[KH, KW, O]` in place.
///
/// # Safety
///
/// The windows of all pixels, with `SLACK` elements behind them, are readable in every row;
/// `strip.output` has room for all channels of the pixels; `weights` holds all taps.
pub(super) unsafe fn strip<V: Lanes>(
    strip: &Strip<'_>,
    geometry: &Geometry,
    weights: &[f32],
    bias: &[f32],
    limits: [f32; 2],
) {
    let channels = geometry.output[2];
    for channel in (0..channels).step_by(V::LANES) {
        let lane = Lane {
            strip,
            geometry,
            channel,
            valid: channels - channel,
            bias: bias.get(channel..channels),
            limits,
        };
        for (x, size) in tiles(strip.pixels, V::DEPTHWISE_PIXELS) {
            // SAFETY: `x + size <= pixels`; the rest is the caller's promise.
            unsafe {
                let weights = weights.as_ptr().add(channel);
                match size {
                    1 => lane.tile::<V, 1>(weights, x),
                    2 => lane.tile::<V, 2>(weights, x),
                    3 => lane.tile::<V, 3>(weights, x),
                    4 => lane.tile::<V, 4>(weights, x),
                    5 => lane.tile::<V, 5>(weights, x),
                    6 => lane.tile::<V, 6>(weights, x),
                    7 => lane.tile::<V, 7>(weights, x),
                    _ => lane.tile::<V, 8>(weights, x),
                }
            }
        }
    }
}

/// A vector of channels from `channel` on, of which `valid` or all exist.
pub(super) struct Lane<'a> {
    strip: &'a Strip<'a>,
    geometry: &'a Geometry,
    channel: usize,
    valid: usize,
    /// One for every channel from here on, or none.
    bias: Option<&'a [f32]>,
    limits: [f32; 2],
}

impl Lane<'_> {
    /// Pixels `x..x + M`.
    ///
    /// # Safety
    ///
    /// As [`strip`]; the pixels are in the strip, and `weights` is the first tap's weight of this
    /// lane's first channel.
    unsafe fn tile<V: Lanes, const M: usize>(&self, weights: *const f32, x: usize) {
        let window = &self.geometry.window;
        let is_dense = window.stride[1] == 1 && window.dilation[1] == 1;
        // SAFETY: the caller's promise.
        unsafe {
            match window.kernel[1] {
                3 if is_dense => V::neighbours::<M, 3>(self, weights, x),
                5 if is_dense => V::neighbours::<M, 5>(self, weights, x),
                _ => V::pixels::<M>(self, weights, x),
            }
        }
    }

    /// # Safety
    ///
    /// As [`Lane::tile`].
    #[inline(always)]
    pub(super) unsafe fn pixels<V: Lanes, const M: usize>(
        &self,
        mut weights: *const f32,
        x: usize,
    ) {
        let channels = self.geometry.output[2];
        let apart = self.geometry.window.dilation[1] * channels;
        // SAFETY: weights of channels that exist are read; inputs may be read a vector behind a window (slack).
        unsafe {
            let mut sums = [self.bias::<V>(); M];
            for &row in self.strip.rows {
                let mut from = row.add(x * self.strip.step + self.channel);
                for _ in 0..self.geometry.window.kernel[1] {
                    let weight = V::load_first(weights, self.valid);
                    for (m, sum) in sums.iter_mut().enumerate() {
                        let values = V::load(from.add(m * self.strip.step));
                        *sum = sum.add_product(values, weight);
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
    /// As [`Lane::tile`]; stride and dilation are 1, and the window has `K` columns.
    #[inline(always)]
    pub(super) unsafe fn neighbours<V: Lanes, const M: usize, const K: usize>(
        &self,
        weights: *const f32,
        x: usize,
    ) {
        let channels = self.geometry.output[2];
        // SAFETY: as in `pixels`; columns `x..x + M + K - 1` are those of the M windows.
        unsafe {
            let mut sums = [self.bias::<V>(); M];
            for (r, &row) in self.strip.rows.iter().enumerate() {
                let from = row.add(x * channels + self.channel);
                let mut taps = [V::splat(0.0); K];
                for (k, tap) in taps.iter_mut().enumerate() {
                    *tap = V::load_first(weights.add((r * K + k) * channels), self.valid);
                }
                for column in 0..M + K - 1 {
                    let values = V::load(from.add(column * channels));
                    for (k, &tap) in taps.iter().enumerate() {
                        if column >= k && column - k < M {
                            let sum = &mut sums[column - k];
                            *sum = sum.add_product(values, tap);
                        }
                    }
                }
            }
            self.finish(sums, x);
        }
    }

    /// # Safety
    ///
    /// The machine has such vectors.
    #[inline(always)]
    unsafe fn bias<V: Lanes>(&self) -> V {
        // SAFETY: the caller's promise; there is a bias for each of them, or none.
        unsafe {
            match self.bias {
                Some(bias) => V::load_first(bias.as_ptr(), self.valid),
                None => V::splat(0.0),
            }
        }
    }

    /// # Safety
    ///
    /// As [`Lane::tile`].
    #[inline(always)]
    unsafe fn finish<V: Lanes, const M: usize>(&self, sums: [V; M], x: usize) {
        let channels = self.geometry.output[2];
        // SAFETY: so many channels exist in the pixels `x..x + M`.
        unsafe {
            unrolled!(m in 0..M {
                let to = self.strip.output.add((x + m) * channels + self.channel);
                sums[m].limit(self.limits).store_first(to, self.valid);
            });
        }
    }
}
