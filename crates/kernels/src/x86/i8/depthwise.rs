//! Depthwise convolutions: 16 channels by up to 5 pixels. Products are added up in 16 bits as long as
//! the channels' weights cannot overflow them, and then in 32.

use super::finish::{Block, Finish, Scale, with_rule};
use super::widen::Sixteen;
use crate::tiled::i8::{Strip, Weights};
use crate::tiled::plan::DEPTHWISE_TAPS_MAX;
use core::arch::x86_64::*;

/// Computes every channel of a strip.
///
/// # Safety
///
/// The windows of all pixels, with `SLACK` elements behind them, are readable in every row;
/// `strip.output` has room for all channels of the pixels; weights and records are what
/// `prepare_conv_2d` wrote for the geometry.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn strip<I: Sixteen, W: Sixteen>(weights: &Weights<'_, W>, strip: &Strip<'_, I>) {
    let geometry = &weights.operands.geometry;
    let channels = geometry.output[2];
    let columns = geometry.window.kernel[1];
    let apart = geometry.window.dilation[1] * channels;
    let mut taps = [core::ptr::null::<I>(); DEPTHWISE_TAPS_MAX];
    let taps = &mut taps[..strip.rows.len() * columns];
    for (taps, row) in taps.chunks_exact_mut(columns).zip(strip.rows) {
        for (column, tap) in taps.iter_mut().enumerate() {
            *tap = row.wrapping_add(column * apart);
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
                span: weights.records.span(index),
                weights: weights.packed.add(channel * taps.len()),
                channel,
                channels,
                block: Block {
                    finish: &finish,
                    record,
                    valid: (channels - channel).min(16),
                },
            };
            with_rule!(rule, S => row::<I, W, S>(lanes));
        }
    }
}

/// Every pixel of a strip.
///
/// # Safety
///
/// As [`strip`].
#[target_feature(enable = "avx2,fma")]
unsafe fn row<I: Sixteen, W: Sixteen, S: Scale>(lanes: &Lanes<'_, I, W>) {
    for (from, x, size) in lanes.strip.tiles(5) {
        // SAFETY: the pixels of the tile exist; the rest is the caller's promise.
        unsafe {
            match size {
                1 => lanes.pixels::<1, S>(from, x),
                2 => lanes.pixels::<2, S>(from, x),
                3 => lanes.pixels::<3, S>(from, x),
                4 => lanes.pixels::<4, S>(from, x),
                _ => lanes.pixels::<5, S>(from, x),
            }
        }
    }
}

/// Up to 16 channels from `channel` on.
struct Lanes<'a, I, W> {
    strip: &'a Strip<'a, I>,
    /// The taps of the first pixel.
    taps: &'a [*const I],
    /// Taps whose products are added up in 16 bits.
    span: usize,
    weights: *const W,
    channel: usize,
    channels: usize,
    block: Block<'a>,
}

impl<I: Sixteen, W: Sixteen> Lanes<'_, I, W> {
    /// # Safety
    ///
    /// As [`strip`]; pixels `x..x + M` are in the strip, the first window of them starts `from`
    /// elements behind the strip's.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn pixels<const M: usize, S: Scale>(&self, from: usize, x: usize) {
        let start = from + self.channel;
        let mut weights = self.weights;
        let (first, others) = self.taps.split_at(self.taps.len().min(2 * self.span));
        // SAFETY: the record is whole; the rest is the caller's promise.
        let mut sums = unsafe {
            let bias = self.block.bias::<2>();
            self.add::<M>([bias; M], first, weights, start)
        };
        for taps in others.chunks(2 * self.span) {
            // SAFETY: the weights of as many taps lie before; the rest is the caller's promise.
            unsafe {
                weights = weights.add(16 * 2 * self.span);
                sums = self.add::<M>(sums, taps, weights, start);
            }
        }
        // SAFETY: the block's outputs of every pixel exist from here on.
        unsafe {
            let to = self.strip.output.add(x * self.channels + self.channel);
            self.block.store_pixels::<M, 2, S>(sums, to, self.channels);
        }
    }

    /// Adds the products of up to two spans of taps to sums.
    ///
    /// # Safety
    ///
    /// As [`strip`]; `start` is the place of the first channel of the first of `M` pixels.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn add<const M: usize>(
        &self,
        mut sums: [[__m256i; 2]; M],
        taps: &[*const I],
        weights: *const W,
        start: usize,
    ) -> [[__m256i; 2]; M] {
        let (first, second) = taps.split_at(taps.len().min(self.span));
        // SAFETY: the caller's promise, and weights are whole blocks.
        let [a, b] = unsafe {
            [
                self.products::<M>(first, weights, start),
                self.products::<M>(second, weights.add(16 * first.len()), start),
            ]
        };
        let ones = _mm256_set1_epi16(1);
        for (m, sums) in sums.iter_mut().enumerate() {
            let pairs = [
                _mm256_unpacklo_epi16(a[m], b[m]),
                _mm256_unpackhi_epi16(a[m], b[m]),
            ];
            for n in 0..2 {
                sums[n] = _mm256_add_epi32(sums[n], _mm256_madd_epi16(pairs[n], ones));
            }
        }
        sums
    }

    /// The sums of the products of no more than a span of taps, in 16 bits.
    ///
    /// # Safety
    ///
    /// As [`Lanes::add`].
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn products<const M: usize>(
        &self,
        taps: &[*const I],
        mut weights: *const W,
        start: usize,
    ) -> [__m256i; M] {
        let mut sums = [_mm256_setzero_si256(); M];
        for tap in taps {
            // SAFETY: inputs may be read up to 16 elements behind a tap (slack), and weights are
            // whole blocks.
            unsafe {
                let w = W::load(weights);
                weights = weights.add(16);
                for (m, sum) in sums.iter_mut().enumerate() {
                    let at = start + m * self.strip.step;
                    let input = I::load(tap.add(at));
                    *sum = _mm256_add_epi16(*sum, _mm256_mullo_epi16(input, w));
                }
            }
        }
        sums
    }
}
