//! Depthwise convolutions: 8 channels by up to 4 pixels, two taps in one multiplication.

use super::finish::Finish;
use crate::tiled::i8::{Strip, Weights};
use crate::tiled::plan::{DEPTHWISE_TAPS_MAX, tiles};
use crate::tiled::unrolled;
use core::arch::wasm32::*;

/// Computes every channel of a strip.
///
/// # Safety
///
/// As `Tiles::depthwise`.
pub(super) unsafe fn strip(weights: &Weights<'_, i8>, strip: &Strip<'_>) {
    let geometry = &weights.operands.geometry;
    let channels = geometry.output[2];
    let columns = geometry.window.kernel[1];
    let apart = geometry.window.dilation[1] * channels;
    let pairs = (strip.rows.len() * columns).div_ceil(2);
    let mut taps = [[core::ptr::null::<i16>(); 2]; DEPTHWISE_TAPS_MAX / 2];
    let taps = &mut taps[..pairs];
    // The tap behind the last one has a weight of zero: any place will do.
    taps[pairs - 1][1] = strip.rows[0];
    let mut tap = 0;
    for &row in strip.rows {
        for column in 0..columns {
            taps[tap / 2][tap % 2] = row.wrapping_add(column * apart);
            tap += 1;
        }
    }
    for channel in (0..channels).step_by(8) {
        let finish = Finish::new(weights.operands, channel, (channels - channel).min(8));
        let lanes = Lanes {
            strip,
            taps,
            // SAFETY: the blocks before this one are whole.
            weights: unsafe { weights.packed.add(channel * pairs * 2) },
            channel,
            channels,
            finish,
        };
        for (x, size) in tiles(strip.pixels, 4) {
            // SAFETY: `x + size <= pixels`; the rest is the caller's promise.
            unsafe {
                match (size, lanes.finish.is_high()) {
                    (1, true) => lanes.pixels::<1, true>(x),
                    (2, true) => lanes.pixels::<2, true>(x),
                    (3, true) => lanes.pixels::<3, true>(x),
                    (_, true) => lanes.pixels::<4, true>(x),
                    (1, false) => lanes.pixels::<1, false>(x),
                    (2, false) => lanes.pixels::<2, false>(x),
                    (3, false) => lanes.pixels::<3, false>(x),
                    (_, false) => lanes.pixels::<4, false>(x),
                }
            }
        }
    }
}

/// Up to 8 channels from `channel` on.
struct Lanes<'a> {
    strip: &'a Strip<'a>,
    /// The taps of the first pixel, in pairs.
    taps: &'a [[*const i16; 2]],
    weights: *const i8,
    channel: usize,
    channels: usize,
    finish: Finish,
}

impl Lanes<'_> {
    /// # Safety
    ///
    /// As [`strip`]; pixels `x..x + M` are in the strip.
    unsafe fn pixels<const M: usize, const HIGH: bool>(&self, x: usize) {
        let start = x * self.strip.step + self.channel;
        let mut weights = self.weights;
        let mut sums = [self.finish.bias; M];
        for &[first, second] in self.taps {
            // SAFETY: inputs may be read up to 16 elements behind a tap (slack), and weights are
            // whole blocks.
            unsafe {
                let w = [
                    i16x8_load_extend_i8x8(weights),
                    i16x8_load_extend_i8x8(weights.add(8)),
                ];
                weights = weights.add(16);
                unrolled!(m in 0..M {
                    let at = start + m * self.strip.step;
                    let a = v128_load(first.add(at).cast());
                    let b = v128_load(second.add(at).cast());
                    let pairs = [
                        i16x8_shuffle::<0, 8, 1, 9, 2, 10, 3, 11>(a, b),
                        i16x8_shuffle::<4, 12, 5, 13, 6, 14, 7, 15>(a, b),
                    ];
                    let [low, high] = sums[m];
                    sums[m] = [
                        i32x4_add(low, i32x4_dot_i16x8(pairs[0], w[0])),
                        i32x4_add(high, i32x4_dot_i16x8(pairs[1], w[1])),
                    ];
                });
            }
        }
        unrolled!(m in 0..M {
            // SAFETY: the block's outputs of pixel `x + m` exist from here on.
            unsafe {
                let to = self.strip.output.add((x + m) * self.channels + self.channel);
                self.finish.store::<HIGH>(sums[m], to);
            }
        });
    }
}
