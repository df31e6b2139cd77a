//! Depthwise convolutions: 16 channels by up to 5 pixels, two taps in one multiplication.

use super::finish::{Block, Finish, Scale, with_rule};
use crate::tiled::i8::{Strip, Weights};
use crate::tiled::plan::{DEPTHWISE_TAPS_MAX, tiles};
use crate::tiled::unrolled;
use core::arch::x86_64::*;

/// Computes every channel of a strip.
///
/// # Safety
///
/// The windows of all pixels, with `SLACK` elements behind them, are readable in every row;
/// `strip.output` has room for all channels of the pixels; weights and records are what
/// `prepare_conv_2d` wrote for the geometry.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn strip(weights: &Weights<'_, i16>, strip: &Strip<'_>) {
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
    for (index, channel) in (0..channels).step_by(16).enumerate() {
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
                    valid: (channels - channel).min(16),
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
#[target_feature(enable = "avx2,fma")]
unsafe fn row<S: Scale>(lanes: &Lanes<'_>) {
    for (x, size) in tiles(lanes.strip.pixels, 5) {
        // SAFETY: `x + size <= pixels`; the rest is the caller's promise.
        unsafe {
            match size {
                1 => lanes.pixels::<1, S>(x),
                2 => lanes.pixels::<2, S>(x),
                3 => lanes.pixels::<3, S>(x),
                4 => lanes.pixels::<4, S>(x),
                _ => lanes.pixels::<5, S>(x),
            }
        }
    }
}

/// Up to 16 channels from `channel` on.
struct Lanes<'a> {
    strip: &'a Strip<'a>,
    /// The taps of the first pixel, in pairs.
    taps: &'a [[*const i16; 2]],
    weights: *const i16,
    channel: usize,
    channels: usize,
    block: Block<'a>,
}

impl Lanes<'_> {
    /// # Safety
    ///
    /// As [`strip`]; pixels `x..x + M` are in the strip.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn pixels<const M: usize, S: Scale>(&self, x: usize) {
        let start = x * self.strip.step + self.channel;
        let mut weights = self.weights;
        // SAFETY: the record is whole.
        let mut sums = [unsafe { self.block.bias::<2>() }; M];
        for &[first, second] in self.taps {
            // SAFETY: inputs may be read up to 16 elements behind a tap (slack), and weights are
            // whole blocks.
            unsafe {
                let w = [
                    _mm256_loadu_si256(weights.cast()),
                    _mm256_loadu_si256(weights.add(16).cast()),
                ];
                weights = weights.add(32);
                for (m, sum) in sums.iter_mut().enumerate() {
                    let at = start + m * self.strip.step;
                    let a = _mm256_loadu_si256(first.add(at).cast());
                    let b = _mm256_loadu_si256(second.add(at).cast());
                    let pairs = [_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b)];
                    for n in 0..2 {
                        sum[n] = _mm256_add_epi32(sum[n], _mm256_madd_epi16(pairs[n], w[n]));
                    }
                }
            }
        }
        unrolled!(m in 0..M {
            // SAFETY: the block's outputs of pixel `x + m` exist from here on.
            unsafe {
                let to = self.strip.output.add((x + m) * self.channels + self.channel);
                self.block.store::<2, S>(sums[m], to);
            }
        });
    }
}
