//! The sets, which differ in how they encode the multiplication and in how long vectors are.

use super::depthwise::{self, CHANNELS, Channels};
use super::lanes::{Lanes, Pair, Whole};
use super::tile::{self, Product};
use super::{Fours, RAISED_BY, Raised};
use crate::tiled::i8::{Follows, Rule, Strip, Tiles, Weights};
use crate::x86::i8::finish::{Block, Scale};
use crate::x86::i8::multiply::Multiply;
use crate::x86::i8::ramp;
use crate::x86::i8::squares::{self, Corner, Form, Task};
use crate::x86::i8::vector::{self, Inputs};
use crate::x86::i8::widen;
use crate::x86::{Avx512Vnni, AvxVnni};
use core::arch::x86_64::*;

/// Functions that are compiled with the features of a set.
macro_rules! set {
    ($set:ty, $features:literal, $lanes:ty, $instruction:expr) => {
        impl Multiply for $set {
            const TAKES_MAGNITUDES: bool = false;

            #[inline(always)]
            unsafe fn add_fours(
                sums: __m256i,
                [values, _]: [__m256i; 2],
                weights: __m256i,
            ) -> __m256i {
                // SAFETY: the caller's promise.
                unsafe { $instruction(sums, values, weights) }
            }

            #[inline(always)]
            unsafe fn dots(packed: [*const i8; 2], inputs: &Inputs, count: usize) -> [__m256i; 2] {
                // SAFETY: the caller's promise.
                unsafe { <$lanes>::dots::<Self>(packed, inputs, count) }
            }

            #[target_feature(enable = $features)]
            unsafe fn multiply(weights: &Weights<'_, i8>, staged: *mut Raised) {
                // SAFETY: the caller's promise.
                unsafe { vector::multiply::<Self>(weights, staged) }
            }

            #[inline(always)]
            unsafe fn store_sixteen<S: Scale>(
                block: &Block<'_>,
                [low, high]: [__m256i; 2],
                to: *mut i8,
            ) {
                // SAFETY: the caller's promise.
                unsafe {
                    let bias = block.bias::<2>();
                    let low = _mm256_add_epi32(low, bias[0]);
                    let high = _mm256_add_epi32(high, bias[1]);
                    let sums = [[<$lanes>::join(low, high)]];
                    tile::store::<Self, 1, 1, S>(block, 0, &sums, to, 0);
                }
            }
        }

        impl Fours for $set {
            type Lanes = $lanes;

            #[target_feature(enable = $features)]
            unsafe fn wide<const N: usize, S: Scale>(
                strip: &Strip<'_, Raised>,
                product: &Product<'_>,
                output: *mut i8,
            ) {
                // SAFETY: the caller's promise.
                unsafe { tile::wide::<Self, N, S>(strip, product, output) }
            }

            #[target_feature(enable = $features)]
            unsafe fn narrow<S: Scale>(
                strip: &Strip<'_, Raised>,
                product: &Product<'_>,
                output: *mut i8,
            ) {
                // SAFETY: the caller's promise.
                unsafe { tile::narrow::<Self, S>(strip, product, output) }
            }

            #[target_feature(enable = $features)]
            unsafe fn multiply_squares<const SIDE: usize, const REACH: usize, F>(
                task: &Task<'_>,
                squares: usize,
            ) where
                F: Form<SIDE, REACH>,
            {
                // SAFETY: the caller's promise.
                unsafe { squares::multiply::<Self, SIDE, REACH, F>(task, squares) }
            }

            #[target_feature(enable = $features)]
            unsafe fn write_square<const SIDE: usize, const REACH: usize, F, S>(
                corner: &Corner<'_>,
                to: *mut i8,
            ) where
                F: Form<SIDE, REACH>,
                S: Scale,
            {
                // SAFETY: the caller's promise.
                unsafe { squares::write::<$lanes, SIDE, REACH, F, S>(corner, to) }
            }

            #[target_feature(enable = $features)]
            unsafe fn channels<const HELD: usize, S: Scale>(channels: &Channels<'_>) {
                // SAFETY: the caller's promise.
                unsafe { channels.run::<Self, HELD, S>() }
            }
        }

        /// A value proves the features that the loops need.
        impl Tiles for $set {
            type Input = Raised;
            type Weight = i8;
            const INPUT_OFFSET: i32 = RAISED_BY;
            const CHANNEL_OFFSET: i32 = RAISED_BY;
            const TAPS: usize = 4;
            const CHANNEL_TAPS: usize = 4;
            const BLOCK: usize = 16;
            const CHANNELS: usize = CHANNELS;
            const SHIFTS_LANES: bool = true;
            const LINES: Option<(Rule, Rule, Follows)> = ramp::LINES;
            const VECTOR_PACK: Option<[usize; 2]> = Some([vector::ROWS, vector::STEP]);

            fn output_at(position: usize, _: usize) -> usize {
                position
            }

            fn channel_at(position: usize) -> usize {
                depthwise::channel_at(position)
            }

            fn sum_at(position: usize) -> usize {
                depthwise::channel_at(position)
            }

            unsafe fn widen(self, from: *const i8, to: *mut Raised, count: usize) {
                // SAFETY: the caller's promise, and the features are there.
                unsafe { widen::raise(from, to, count) }
            }

            unsafe fn vector(self, weights: &Weights<'_, i8>, staged: *mut Raised) {
                // SAFETY: the caller's promise, and the features are there.
                unsafe { <Self as Multiply>::multiply(weights, staged) }
            }

            unsafe fn strip(self, weights: &Weights<'_, i8>, strip: &Strip<'_, Raised>) {
                // SAFETY: the caller's promise, and the features are there.
                unsafe { tile::strip::<Self>(weights, strip) }
            }

            unsafe fn depthwise(self, weights: &Weights<'_, i8>, strip: &Strip<'_, Raised>) {
                // SAFETY: the caller's promise, and the features are there.
                unsafe { depthwise::strip::<Self>(weights, strip) }
            }
        }
    };
}

set!(
    AvxVnni,
    "avx2,fma,avxvnni",
    Pair<AvxVnni>,
    _mm256_dpbusd_avx_epi32
);
set!(
    Avx512Vnni,
    "avx2,fma,avx512f,avx512bw,avx512vl,avx512vnni",
    Whole,
    _mm256_dpbusd_epi32
);
#[cfg(test)]
set!(EmulatedVnni, "avx2,fma", Pair<EmulatedVnni>, vpdpbusd);

/// The loops of [`AvxVnni`] on machines without it: the instruction is made of others.
#[cfg(test)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct EmulatedVnni(pub(crate) crate::x86::Avx2);

/// Adds four products of unsigned and signed bytes to each sum.
#[cfg(test)]
#[inline]
#[target_feature(enable = "avx2,fma")]
fn vpdpbusd(sums: __m256i, unsigned: __m256i, signed: __m256i) -> __m256i {
    let half = |unsigned: __m128i, signed: __m128i| {
        _mm256_madd_epi16(_mm256_cvtepu8_epi16(unsigned), _mm256_cvtepi8_epi16(signed))
    };
    let low = half(
        _mm256_castsi256_si128(unsigned),
        _mm256_castsi256_si128(signed),
    );
    let high = half(
        _mm256_extracti128_si256::<1>(unsigned),
        _mm256_extracti128_si256::<1>(signed),
    );
    // Neighbouring pairs are added within halves of vectors, whose quarters are then sorted.
    let fours = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_hadd_epi32(low, high));
    _mm256_add_epi32(sums, fours)
}
