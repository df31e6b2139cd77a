//! Depthwise convolutions: 16 channels by up to 4 pixels. Products of two taps are added up in 16
//! bits, where two of at most 128 * 127 have room, or of one where a weight is -128.

use super::BLOCK;
use super::finish::{Block, Finish, Scale, with_rule};
use crate::tiled::i8::{Strip, Weights};
use crate::tiled::plan::DEPTHWISE_TAPS_MAX;
use crate::tiled::unrolled;
use core::arch::aarch64::*;

/// Computes every channel of a strip, `T` taps at a time: 1 or 2.
///
/// # Safety
///
/// As `Tiles::depthwise`; no weight is -128 where `T` is 2.
pub(super) unsafe fn strip<const T: usize>(weights: &Weights<'_, i8>, strip: &Strip<'_, i8>) {
    let geometry = &weights.operands.geometry;
    let channels = geometry.output[2];
    let columns = geometry.window.kernel[1];
    let apart = geometry.window.dilation[1] * channels;
    let mut taps = [core::ptr::null::<i8>(); DEPTHWISE_TAPS_MAX];
    let each = strip
        .rows
        .iter()
        .flat_map(|row| (0..columns).map(move |column| row.wrapping_add(column * apart)));
    taps.iter_mut().zip(each).for_each(|(to, tap)| *to = tap);
    let taps = &taps[..strip.rows.len() * columns];
    let finish = Finish::new(weights.operands);
    for (index, channel) in (0..channels).step_by(BLOCK).enumerate() {
        // SAFETY: the blocks before this one are whole, and every block has a record; the rest
        // is the caller's promise.
        unsafe {
            let (rule, record) = weights.records.block(index);
            let lanes = &Lanes {
                strip,
                taps,
                weights: weights.packed.add(channel * taps.len()),
                channel,
                channels,
                block: Block {
                    finish: &finish,
                    record,
                    valid: (channels - channel).min(BLOCK),
                },
            };
            with_rule!(rule, finish, S => row::<T, S>(lanes));
        }
    }
}

/// Every pixel of a strip.
///
/// # Safety
///
/// As [`strip`].
unsafe fn row<const T: usize, S: Scale>(lanes: &Lanes<'_>) {
    for (from, x, size) in lanes.strip.tiles(4) {
        // SAFETY: the pixels of the tile exist; the rest is the caller's promise.
        unsafe {
            match size {
                1 => lanes.pixels::<1, T, S>(from, x),
                2 => lanes.pixels::<2, T, S>(from, x),
                3 => lanes.pixels::<3, T, S>(from, x),
                _ => lanes.pixels::<4, T, S>(from, x),
            }
        }
    }
}

/// Up to 16 channels from `channel` on.
struct Lanes<'a> {
    strip: &'a Strip<'a, i8>,
    /// The taps of the first pixel.
    taps: &'a [*const i8],
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
    unsafe fn pixels<const M: usize, const T: usize, S: Scale>(&self, from: usize, x: usize) {
        let start = from + self.channel;
        let mut weights = self.weights;
        let (steps, rest) = self.taps.as_chunks::<T>();
        // SAFETY: the record is whole.
        let mut sums = [unsafe { self.block.bias::<4>() }; M];
        // SAFETY: inputs may be read up to 16 elements behind a tap (slack), and weights are
        // whole blocks.
        unsafe {
            for taps in steps {
                self.add(&mut sums, taps, start, weights);
                weights = weights.add(T * BLOCK);
            }
            for &tap in rest {
                self.add(&mut sums, &[tap], start, weights);
                weights = weights.add(BLOCK);
            }
        }
        unrolled!(m in 0..M {
            // SAFETY: the block's outputs of pixel `x + m` exist from here on.
            unsafe {
                let to = self.strip.output.add((x + m) * self.channels + self.channel);
                self.block.store::<4, S>(sums[m], to);
            }
        });
    }

    /// Adds the products of `T` taps.
    ///
    /// # Safety
    ///
    /// 16 channels of the taps of every pixel, and as many weights for each, are readable.
    #[inline(always)]
    unsafe fn add<const M: usize, const T: usize>(
        &self,
        sums: &mut [[int32x4_t; 4]; M],
        taps: &[*const i8; T],
        start: usize,
        weights: *const i8,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let w: [int8x16_t; T] = core::array::from_fn(|t| vld1q_s8(weights.add(t * BLOCK)));
            for (m, sums) in sums.iter_mut().enumerate() {
                let at = start + m * self.strip.step;
                let x = taps.map(|tap| vld1q_s8(tap.add(at)));
                let mut low = vmull_s8(vget_low_s8(x[0]), vget_low_s8(w[0]));
                let mut high = vmull_high_s8(x[0], w[0]);
                for t in 1..T {
                    low = vmlal_s8(low, vget_low_s8(x[t]), vget_low_s8(w[t]));
                    high = vmlal_high_s8(high, x[t], w[t]);
                }
                *sums = [
                    vaddw_s16(sums[0], vget_low_s16(low)),
                    vaddw_high_s16(sums[1], low),
                    vaddw_s16(sums[2], vget_low_s16(high)),
                    vaddw_high_s16(sums[3], high),
                ];
            }
        }
    }
}
