//! Depthwise convolutions: 16 channels by up to 4 pixels, two taps in one multiplication.

use super::finish::Finish;
use super::tile::Strip;
use crate::Conv2dI8;
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
    let (taps, channels) = (geometry.taps(), geometry.output[2]);
    for channel in (0..channels).step_by(16) {
        let finish = Finish::new(operands, channel, 16, (channels - channel).min(16));
        let lanes = Lanes {
            strip,
            operands,
            channel,
            finish,
        };
        let mut x = 0;
        // SAFETY: the blocks before this one are whole; `x + M <= pixels` in each call; the rest
        // is the caller's promise.
        unsafe {
            let weights = packed.add(channel * taps.next_multiple_of(2));
            while x + 4 <= strip.pixels {
                lanes.pixels::<4>(weights, x);
                x += 4;
            }
            while x < strip.pixels {
                lanes.pixels::<1>(weights, x);
                x += 1;
            }
        }
    }
}

/// Up to 16 channels from `channel` on.
struct Lanes<'a> {
    strip: &'a Strip<'a>,
    operands: &'a Conv2dI8<'a>,
    channel: usize,
    finish: Finish,
}

impl Lanes<'_> {
    /// # Safety
    ///
    /// As [`strip`]; pixels `x..x + M` are in the strip, and `weights` is this block's first.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn pixels<const M: usize>(&self, mut weights: *const i16, x: usize) {
        let geometry = &self.operands.geometry;
        let channels = geometry.output[2];
        let columns = geometry.window.kernel[1];
        let apart = geometry.window.dilation[1] * channels;
        let start = x * self.strip.step + self.channel;
        let mut sums = [self.finish.bias; M];
        // Two taps at a time; the tap behind the last one has a weight of zero.
        let mut taps = self.strip.rows.iter().flat_map(|&row| {
            // SAFETY: the window's taps are in the row.
            (0..columns).map(move |column| unsafe { row.add(start + column * apart) })
        });
        while let Some(first) = taps.next() {
            let second = taps.next().unwrap_or(first);
            // SAFETY: inputs may be read up to 16 elements behind a tap (slack), and weights are
            // whole blocks.
            unsafe {
                let w = [
                    _mm256_loadu_si256(weights.cast()),
                    _mm256_loadu_si256(weights.add(16).cast()),
                ];
                weights = weights.add(32);
                for (m, sum) in sums.iter_mut().enumerate() {
                    let at = m * self.strip.step;
                    let a = _mm256_loadu_si256(first.add(at).cast());
                    let b = _mm256_loadu_si256(second.add(at).cast());
                    let pairs = [_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b)];
                    for n in 0..2 {
                        sum[n] = _mm256_add_epi32(sum[n], _mm256_madd_epi16(pairs[n], w[n]));
                    }
                }
            }
        }
        for (m, &sum) in sums.iter().enumerate() {
            // SAFETY: the block's outputs of pixel `x + m` exist from here on.
            unsafe {
                let to = self.strip.output.add((x + m) * channels + self.channel);
                self.finish.store::<2>(sum, to);
            }
        }
    }
}
