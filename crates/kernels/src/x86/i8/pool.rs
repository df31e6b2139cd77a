//! Pools: 16 channels at a time.

use super::line::narrow;
use crate::i8::WINDOW_SUMS;
use crate::memory::In;
use crate::scalar::{self, position, taps_inside};
use crate::x86::Avx2;
use crate::{Geometry, PoolI8};
use core::arch::x86_64::*;
use core::ops::Range;

/// See [`crate::i8::average_pool_2d`].
pub(crate) fn average_pool_2d(_avx2: Avx2, operands: &PoolI8<'_>) {
    if fits(operands) {
        // SAFETY: `_avx2` proves the features, and the sizes were compared.
        unsafe { run::<true>(operands) }
    } else {
        scalar::i8::average_pool_2d(operands);
    }
}

/// See [`crate::i8::max_pool_2d`].
pub(crate) fn max_pool_2d(_avx2: Avx2, operands: &PoolI8<'_>) {
    if fits(operands) {
        // SAFETY: as above.
        unsafe { run::<false>(operands) }
    } else {
        scalar::i8::max_pool_2d(operands);
    }
}

/// See [`crate::i8::window_sums`]; `None` where the input does not hold the geometry's image.
pub(crate) fn window_sums(
    _avx2: Avx2,
    geometry: &Geometry,
    input: &In<'_, i8>,
    at: [usize; 2],
    first: usize,
) -> Option<[i32; WINDOW_SUMS]> {
    let mut view = View {
        geometry,
        input: *input,
        at,
        taps: [
            taps_inside(geometry, 0, at[0]),
            taps_inside(geometry, 1, at[1]),
        ],
        channel: first,
    };
    if input.len() < elements(geometry.input)? {
        return None;
    }
    let mut sums = [0; WINDOW_SUMS];
    let blocks = sums.as_chunks_mut::<16>().0.iter_mut();
    for (sums, channel) in blocks.zip((first..geometry.input[2]).step_by(16)) {
        view.channel = channel;
        // SAFETY: `_avx2` proves the features, and the sizes were compared. Vectors and an array of
        // as many bytes have the same values.
        *sums = unsafe { core::mem::transmute::<[__m256i; 2], [i32; 16]>(view.sums()) };
    }
    Some(sums)
}

fn elements(shape: [usize; 3]) -> Option<usize> {
    shape[0].checked_mul(shape[1])?.checked_mul(shape[2])
}

/// Whether the views hold the geometry's images.
fn fits(operands: &PoolI8<'_>) -> bool {
    let Geometry { input, output, .. } = operands.geometry;
    input[2] == output[2]
        && elements(input).is_some_and(|count| operands.input.len() >= count)
        && elements(output).is_some_and(|count| operands.output.len() >= count)
}

/// Bytes whose sum fits 16 bits.
const WORD_TAPS_MAX: usize = 255;

/// The window of one output pixel and 16 channels of it.
struct View<'a> {
    geometry: &'a Geometry,
    input: In<'a, i8>,
    at: [usize; 2],
    taps: [Range<usize>; 2],
    channel: usize,
}

/// # Safety
///
/// The views hold the geometry's images, whose channels are equal.
#[target_feature(enable = "avx2,fma")]
unsafe fn run<const AVERAGE: bool>(operands: &PoolI8<'_>) {
    let geometry = &operands.geometry;
    let [rows, columns, channels] = geometry.output;
    let to: *mut i8 = operands.output.as_ptr().cast_mut().cast();
    for y in 0..rows {
        for x in 0..columns {
            let taps = [taps_inside(geometry, 0, y), taps_inside(geometry, 1, x)];
            for channel in (0..channels).step_by(16) {
                let view = View {
                    geometry,
                    input: operands.input,
                    at: [y, x],
                    taps: taps.clone(),
                    channel,
                };
                let valid = (channels - channel).min(16);
                // SAFETY: the caller's promise; `valid` channels of this pixel exist.
                unsafe {
                    let block = if AVERAGE { view.mean() } else { view.largest() };
                    let [low, high] = operands.limits.map(|limit| _mm_set1_epi8(limit));
                    let block = _mm_min_epi8(_mm_max_epi8(block, low), high);
                    let mut bytes = [0i8; 16];
                    _mm_storeu_si128(bytes.as_mut_ptr().cast(), block);
                    let to = to.add((y * columns + x) * channels + channel);
                    core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, valid);
                }
            }
        }
    }
}

impl View<'_> {
    /// Calls `visit` with 16 channels of every pixel under the window; those that the image
    /// does not have are whatever comes behind it, or zero.
    ///
    /// # Safety
    ///
    /// As [`run`].
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn each(&self, mut visit: impl FnMut(__m128i)) {
        let (geometry, input) = (self.geometry, self.input);
        let [_, columns, channels] = geometry.input;
        let apart = geometry.window.dilation[1] * channels;
        let first = position(geometry, 1, self.at[1], self.taps[1].start);
        // Whole rows lie behind each other: one long run instead of many short ones.
        let whole = self.taps[1].len() == columns && geometry.window.dilation == [1, 1];
        let (rows, run) = match whole {
            true => (self.taps[0].clone().take(1), self.taps[0].len() * columns),
            false => (self.taps[0].clone().take(usize::MAX), self.taps[1].len()),
        };
        for row in rows {
            let row = position(geometry, 0, self.at[0], row) * columns;
            let start = (row + first) * channels + self.channel;
            // All but blocks at the end of the input are whole.
            let whole = match input.len().checked_sub(start + 16) {
                Some(left) => run.min(left / apart.max(1) + 1),
                None => 0,
            };
            // SAFETY: taps inside the image are inside the input, and whole blocks are too; of others
            // only what is there is read.
            unsafe {
                let mut from = input.as_ptr().wrapping_add(start);
                for _ in 0..whole {
                    visit(_mm_loadu_si128(from.cast()));
                    from = from.wrapping_add(apart);
                }
                for column in whole..run {
                    let start = start + column * apart;
                    let mut copy = [0i8; 16];
                    let from = input.as_ptr().add(start);
                    core::ptr::copy_nonoverlapping(from, copy.as_mut_ptr(), input.len() - start);
                    visit(_mm_loadu_si128(copy.as_ptr().cast()));
                }
            }
        }
    }

    /// # Safety
    ///
    /// As [`run`].
    #[target_feature(enable = "avx2,fma")]
    unsafe fn largest(&self) -> __m128i {
        let mut largest = _mm_set1_epi8(i8::MIN);
        // SAFETY: the caller's promise.
        unsafe { self.each(|block| largest = _mm_max_epi8(largest, block)) };
        largest
    }

    /// # Safety
    ///
    /// As [`run`].
    #[target_feature(enable = "avx2,fma")]
    unsafe fn mean(&self) -> __m128i {
        // SAFETY: the caller's promise.
        let sums = unsafe { self.sums() };
        let count = (self.taps[0].len() * self.taps[1].len()).max(1) as i32;
        narrow(quotient(sums[0], count), quotient(sums[1], count))
    }

    /// # Safety
    ///
    /// As [`run`].
    #[target_feature(enable = "avx2,fma")]
    unsafe fn sums(&self) -> [__m256i; 2] {
        let mut sums = [_mm256_setzero_si256(); 2];
        // SAFETY: the caller's promise.
        unsafe {
            if self.taps[0].len() * self.taps[1].len() <= WORD_TAPS_MAX {
                let mut words = sums[0];
                self.each(|block| words = _mm256_add_epi16(words, _mm256_cvtepi8_epi16(block)));
                let low = _mm256_castsi256_si128(words);
                let high = _mm256_extracti128_si256::<1>(words);
                return [_mm256_cvtepi16_epi32(low), _mm256_cvtepi16_epi32(high)];
            }
            self.each(|block| {
                let high = _mm_unpackhi_epi64(block, block);
                sums[0] = _mm256_add_epi32(sums[0], _mm256_cvtepi8_epi32(block));
                sums[1] = _mm256_add_epi32(sums[1], _mm256_cvtepi8_epi32(high));
            });
        }
        sums
    }
}

/// `sum / count`, halves away from zero. The quotient of two 32-bit integers in double
/// precision truncates to the exact one.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn quotient(sums: __m256i, count: i32) -> __m256i {
    let half = _mm256_set1_epi32(count / 2);
    let positive = _mm256_cmpgt_epi32(sums, _mm256_setzero_si256());
    let opposite = _mm256_sub_epi32(_mm256_setzero_si256(), half);
    let moved = _mm256_add_epi32(sums, _mm256_blendv_epi8(opposite, half, positive));
    let count = _mm256_set1_pd(f64::from(count));
    let divide =
        |part: __m128i| _mm256_cvttpd_epi32(_mm256_div_pd(_mm256_cvtepi32_pd(part), count));
    let low = divide(_mm256_castsi256_si128(moved));
    let high = divide(_mm256_extracti128_si256::<1>(moved));
    _mm256_set_m128i(high, low)
}
