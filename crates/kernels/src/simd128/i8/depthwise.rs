//! Depthwise convolutions: 8 channels by up to 4 pixels, two taps in one multiplication.

use super::finish::{Block, Finish, Scale, with_rule};
use crate::tiled::i8::{Strip, Weights};
use crate::tiled::plan::DEPTHWISE_TAPS_MAX;
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
    let finish = Finish::new(weights.operands);
    for (index, channel) in (0..channels).step_by(8).enumerate() {
        // SAFETY: the blocks before this one are whole, and every block has a record; the rest
        // is the caller's promise.
        unsafe {
            let (rule, record) = weights.records.block(index);
            let lanes = &Lanes {
                strip,
                taps,
                weights: weights.packed.add(channel * pairs * 2),
                channel,
                channels,
                block: Block {
                    finish: &finish,
                    record,
                    valid: (channels - channel).min(8),
                },
            };
            with_rule!(rule, S => row::<S>(lanes));
        }
    }
}

/// Every pixel of a strip.
///
/// # Safety
///
/// As [`strip`].
unsafe fn row<S: Scale>(lanes: &Lanes<'_>) {
    for (from, x, size) in lanes.strip.tiles(4) {
        // SAFETY: the pixels of the tile exist; the rest is the caller's promise.
        unsafe {
            match size {
                1 => lanes.pixels::<1, S>(from, x),
                2 => lanes.pixels::<2, S>(from, x),
                3 => lanes.pixels::<3, S>(from, x),
                _ => lanes.pixels::<4, S>(from, x),
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
    block: Block<'a>,
}

impl Lanes<'_> {
    /// # Safety
    ///
    /// As [`strip`]; pixels `x..x + M` are in the strip, the first window of them starts `from`
    /// elements behind the strip's.
    unsafe fn pixels<const M: usize, S: Scale>(&self, from: usize, x: usize) {
        let start = from + self.channel;
        let mut weights = self.weights;
        // SAFETY: the record is whole.
        let mut sums = [unsafe { self.block.bias() }; M];
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
                self.block.store::<S>(sums[m], to);
            }
        });
    }
}
