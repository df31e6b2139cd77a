//! Depthwise convolutions: 16 channels of some pixels at a time. Two products are added up in 16
//! bits, which holds for all weights but two of -128, and pairs of those sums in 32.

use super::finish::{Block, Finish, Scale, with_rule};
use crate::tiled::i8::{Strip, Weights};
use crate::tiled::plan::DEPTHWISE_TAPS_MAX;
use core::arch::x86_64::*;
use core::mem::MaybeUninit;

/// Channels of a block.
const CHANNELS: usize = 16;

/// Pixels whose sums wait for becoming outputs: 2 kB, which a first-level cache has room for.
const BATCH_PIXELS: usize = 32;

/// The most taps that are added up at once: their weights stay in registers.
const TAPS_MAX: usize = 9;

/// Taps that are added up at once where there are too many: whole pairs of pairs.
const TAPS_AT_ONCE: usize = 8;

/// Sums of 16 channels: those of 0-3 and 8-11, and the others.
type Sums = [__m256i; 2];

/// Computes every channel of a strip.
///
/// # Safety
///
/// The windows of all pixels, with `SLACK` elements behind them, are readable in every row;
/// `strip.output` has room for all channels of the pixels; weights and records are what
/// `prepare_conv_2d` wrote for the geometry.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn strip(weights: &Weights<'_, i16>, strip: &Strip<'_, i16>) {
    let geometry = &weights.operands.geometry;
    let channels = geometry.output[2];
    let columns = geometry.window.kernel[1];
    let apart = geometry.window.dilation[1] * channels;
    let mut taps = [core::ptr::null::<i16>(); DEPTHWISE_TAPS_MAX];
    let taps = &mut taps[..strip.rows.len() * columns];
    for (taps, row) in taps.chunks_exact_mut(columns).zip(strip.rows) {
        for (column, tap) in taps.iter_mut().enumerate() {
            *tap = row.wrapping_add(column * apart);
        }
    }
    let finish = Finish::new(weights.operands);
    // Few channels of neighbouring pixels are beside each other, and packed as if they were of one.
    let across = match (CHANNELS.is_multiple_of(channels), strip.step == channels) {
        (true, true) if (strip.pixels * channels).is_multiple_of(CHANNELS) => CHANNELS / channels,
        _ => 1,
    };
    let channels = channels * across;
    let strip = &Strip {
        step: strip.step * across,
        pixels: strip.pixels / across,
        ..*strip
    };
    let pixels = strip.lines * strip.pixels;
    let mut places = [0; BATCH_PIXELS];
    for first in (0..pixels).step_by(BATCH_PIXELS) {
        let places = &mut places[..BATCH_PIXELS.min(pixels - first)];
        for (place, pixel) in places.iter_mut().zip(first..) {
            *place = strip.place(pixel);
        }
        for (index, channel) in (0..channels).step_by(CHANNELS).enumerate() {
            // SAFETY: the blocks before this one are whole, and every block has a record; the
            // rest is the caller's promise.
            unsafe {
                let (rule, record) = weights.records.block(index);
                let lanes = &Lanes {
                    taps,
                    places,
                    adds_pairs: weights.records.adds_pairs(),
                    weights: weights.packed.add(channel * taps.len()),
                    channel,
                    block: Block {
                        finish: &finish,
                        record,
                        valid: (channels - channel).min(CHANNELS),
                    },
                };
                let output = strip.output.add(first * channels + channel);
                with_rule!(rule, S => lanes.run::<S>(output, channels));
            }
        }
    }
}

/// Up to 16 channels from `channel` on, of some pixels.
struct Lanes<'a> {
    /// The taps of the strip's first pixel.
    taps: &'a [*const i16],
    /// How many elements further those of the pixels are.
    places: &'a [usize],
    /// Whether the products of two taps are added up in 16 bits.
    adds_pairs: bool,
    weights: *const i16,
    channel: usize,
    block: Block<'a>,
}

/// Taps that are added up at once.
struct Pass<'a> {
    taps: &'a [*const i16],
    /// How many elements further the first channel is, of every pixel.
    places: &'a [usize],
    channel: usize,
    weights: *const i16,
    /// What the first pixel's products are added to, and how many of them further the next one's is.
    before: *const Sums,
    before_step: usize,
    /// Where the sums go.
    sums: *mut Sums,
}

impl Lanes<'_> {
    /// Writes the outputs from `output` on, those of the pixels `apart` bytes between them.
    ///
    /// # Safety
    ///
    /// As [`strip`]; there are no more pixels than in a batch.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn run<S: Scale>(&self, output: *mut i8, apart: usize) {
        let mut sums = [const { MaybeUninit::<Sums>::uninit() }; BATCH_PIXELS];
        let sums = &mut sums[..self.places.len()];
        // SAFETY: the caller's promise; a window has a tap, so that all sums are written.
        unsafe {
            self.add_up(sums.as_mut_ptr().cast());
            self.block
                .store_all::<S>(sums.assume_init_ref(), output, apart);
        }
    }

    /// Computes the sums of all pixels.
    ///
    /// # Safety
    ///
    /// As [`strip`]; `sums` has a place for each pixel.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn add_up(&self, sums: *mut Sums) {
        // SAFETY: the record is whole.
        let bias = unsafe { self.block.bias::<2>() };
        let mut pass = Pass {
            taps: self.taps,
            places: self.places,
            channel: self.channel,
            weights: self.weights,
            before: &bias,
            before_step: 0,
            sums,
        };
        let mut left = self.taps;
        while !left.is_empty() {
            let count = match (self.adds_pairs, left.len()) {
                (false, _) => 1,
                (_, ..=TAPS_MAX) => left.len(),
                _ => TAPS_AT_ONCE,
            };
            (pass.taps, left) = left.split_at(count);
            // SAFETY: `sums` has a place for every pixel, and the bias is one for all; there are
            // as many taps, and their weights; the rest is the caller's promise.
            unsafe {
                match count {
                    1 => pass.add::<1>(),
                    2 => pass.add::<2>(),
                    3 => pass.add::<3>(),
                    4 => pass.add::<4>(),
                    5 => pass.add::<5>(),
                    6 => pass.add::<6>(),
                    7 => pass.add::<7>(),
                    8 => pass.add::<8>(),
                    _ => pass.add::<9>(),
                }
                pass.weights = pass.weights.add(16 * count);
            }
            (pass.before, pass.before_step) = (pass.sums, 1);
        }
    }
}

impl Pass<'_> {
    /// # Safety
    ///
    /// There are `T` taps, which are readable for all pixels, and blocks of weights for them;
    /// `before` and `sums` are readable and writable for as many pixels.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn add<const T: usize>(&self) {
        let mut taps = [core::ptr::null::<i16>(); T];
        let mut weights = [_mm256_setzero_si256(); T];
        // SAFETY: the caller's promise.
        unsafe {
            for t in 0..T {
                taps[t] = self.taps.get_unchecked(t).add(self.channel);
                weights[t] = _mm256_loadu_si256(self.weights.add(16 * t).cast());
            }
            for (pixel, &place) in self.places.iter().enumerate() {
                let before = self.before.add(pixel * self.before_step).read();
                let sums = add_products(before, &taps, &weights, place);
                self.sums.add(pixel).write(sums);
            }
        }
    }
}

/// Adds the products of taps at a place and their weights to sums.
///
/// # Safety
///
/// 16 elements are readable at every tap's place; two neighbouring weights' products add up in 16
/// bits.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn add_products<const T: usize>(
    mut sums: Sums,
    taps: &[*const i16; T],
    weights: &[__m256i; T],
    at: usize,
) -> Sums {
    let product = |t: usize| {
        // SAFETY: the caller's promise.
        let inputs = unsafe { _mm256_loadu_si256(taps[t].add(at).cast()) };
        _mm256_mullo_epi16(inputs, weights[t])
    };
    let pair = |t: usize| match T.saturating_sub(t) {
        0 => _mm256_setzero_si256(),
        1 => product(t),
        _ => _mm256_add_epi16(product(t), product(t + 1)),
    };
    let ones = _mm256_set1_epi16(1);
    for t in (0..T).step_by(4) {
        let [first, second] = [pair(t), pair(t + 2)];
        let mixed = [
            _mm256_unpacklo_epi16(first, second),
            _mm256_unpackhi_epi16(first, second),
        ];
        for (sum, pairs) in sums.iter_mut().zip(mixed) {
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones));
        }
    }
    sums
}
