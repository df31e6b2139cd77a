//! Depthwise convolutions: 16 channels by up to 4 pixels, two taps in one multiplication.

use super::finish::Finish;
use crate::Conv2dI8;
use crate::tiled::i8::Strip;
use crate::tiled::plan::{DEPTHWISE_TAPS_MAX, tiles};
use crate::tiled::unrolled;
use core::arch::x86_64::*;

/// Computes every channel of a strip.
///
/// # Safety
///
/// The windows of all pixels, with `SLACK` elements behind them, are readable in every row;
/// `strip.output` has room for all channels of the pixels; `packed` is what `prepare_conv_2d`
/// wrote for the geometry.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn strip(strip: &Strip<'_>, operands: &Conv2dI8<'_>, packed: *const i16) {
    let geometry = &operands.geometry;
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
    for channel in (0..channels).step_by(16) {
        let finish = Finish::new(operands, channel, 16, (channels - channel).min(16));
        // SAFETY: the blocks before this one are whole.
        let weights = unsafe { packed.add(channel * pairs * 2) };
        let lanes = Lanes {
            strip,
            taps,
            weights,
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

/// Up to 16 channels from `channel` on.
struct Lanes<'a> {
    strip: &'a Strip<'a>,
    /// The taps of the first pixel, in pairs.
    taps: &'a [[*const i16; 2]],
    weights: *const i16,
    channel: usize,
    channels: usize,
    finish: Finish,
}

impl Lanes<'_> {
    /// # Safety
    ///
    /// As [`strip`]; pixels `x..x + M` are in the strip.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn pixels<const M: usize, const HIGH: bool>(&self, x: usize) {
        let start = x * self.strip.step + self.channel;
        let mut weights = self.weights;
        let mut sums = [self.finish.bias; M];
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
                self.finish.store::<2, HIGH>(sums[m], to);
            }
        });
    }
}
