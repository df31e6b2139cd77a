//! How sets of kernels multiply neighbouring taps and add the products up, exactly: pairs of 16
//! bits with `vpmaddwd`, or fours of bytes with `vpdpbusd`, of which inputs are unsigned. These
//! are raised by 128 while they are staged, and records take off what that adds to sums.

use super::finish::Scale;
use super::tile::{Product, tile};
use super::vector::{Inputs, dots};
use crate::tiled::i8::{Strip, Tiles};
use crate::x86::{Avx2, Avx512Vnni, AvxVnni};
use core::arch::x86_64::*;

/// An int8 input raised by 128, which makes it unsigned.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(crate) struct Raised(u8);

/// What inputs are raised by.
pub(super) const RAISED_BY: i32 = 128;

impl From<i8> for Raised {
    #[inline(always)]
    fn from(input: i8) -> Self {
        // The bits of a number between -128 and 127 that is moved to 0 to 255.
        Raised(input as u8 ^ 0x80)
    }
}

/// The part of the loops that sets differ in. A value proves that this machine has what it needs,
/// AVX2 and FMA included; its functions are for code that is compiled for it.
pub(crate) trait Multiply: Tiles {
    /// Whether fully connected layers multiply magnitudes of inputs, which no weight of -128 may
    /// take the signs of.
    const TAKES_MAGNITUDES: bool;

    /// Adds the products of neighbouring taps to eight sums.
    ///
    /// # Safety
    ///
    /// The machine has the instructions.
    unsafe fn add_products(sums: __m256i, inputs: __m256i, weights: __m256i) -> __m256i;

    /// Adds the products of 32 inputs of a fully connected layer to sums of fours of them.
    ///
    /// # Safety
    ///
    /// As [`Multiply::add_products`]; `inputs` are `[values, magnitudes]`, and no weight is -128
    /// where magnitudes are taken.
    unsafe fn add_fours(sums: __m256i, inputs: [__m256i; 2], weights: __m256i) -> __m256i;

    /// [`tile`], compiled for the set.
    ///
    /// # Safety
    ///
    /// As there.
    unsafe fn tile<const M: usize, const N: usize, S: Scale>(
        strip: &Strip<'_, Self::Input>,
        product: &Product<'_, Self>,
        from: usize,
        output: *mut i8,
    );

    /// [`dots`], compiled for the set.
    ///
    /// # Safety
    ///
    /// As there.
    unsafe fn dots(packed: *const i8, inputs: &Inputs, count: usize) -> __m256i;
}

/// The same taps in all lanes.
///
/// # Safety
///
/// Four bytes are readable, and the machine has AVX2.
#[inline(always)]
pub(super) unsafe fn broadcast<I>(taps: *const I) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe { _mm256_set1_epi32(taps.cast::<i32>().read_unaligned()) }
}

/// The functions that are the same but for the features that they are compiled with.
macro_rules! compiled_for {
    ($features:literal) => {
        #[target_feature(enable = $features)]
        unsafe fn tile<const M: usize, const N: usize, S: Scale>(
            strip: &Strip<'_, Self::Input>,
            product: &Product<'_, Self>,
            from: usize,
            output: *mut i8,
        ) {
            // SAFETY: the caller's promise.
            unsafe { tile::<Self, M, N, S>(strip, product, from, output) }
        }

        #[target_feature(enable = $features)]
        unsafe fn dots(packed: *const i8, inputs: &Inputs, count: usize) -> __m256i {
            // SAFETY: the caller's promise.
            unsafe { dots::<Self>(packed, inputs, count) }
        }
    };
}

impl Multiply for Avx2 {
    const TAKES_MAGNITUDES: bool = true;

    #[inline(always)]
    unsafe fn add_products(sums: __m256i, inputs: __m256i, weights: __m256i) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_add_epi32(sums, _mm256_madd_epi16(inputs, weights)) }
    }

    /// Weights take the signs of the inputs. Two products of at most 128 * 127 add up in 16 bits.
    #[inline(always)]
    unsafe fn add_fours(
        sums: __m256i,
        [values, magnitudes]: [__m256i; 2],
        weights: __m256i,
    ) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe {
            let pairs = _mm256_maddubs_epi16(magnitudes, _mm256_sign_epi8(weights, values));
            _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        }
    }

    compiled_for!("avx2,fma");
}

/// Sets that multiply fours of bytes.
macro_rules! fours {
    ($set:ty, $features:literal, $instruction:expr) => {
        impl Multiply for $set {
            const TAKES_MAGNITUDES: bool = false;

            #[inline(always)]
            unsafe fn add_products(sums: __m256i, inputs: __m256i, weights: __m256i) -> __m256i {
                // SAFETY: the caller's promise.
                unsafe { $instruction(sums, inputs, weights) }
            }

            #[inline(always)]
            unsafe fn add_fours(
                sums: __m256i,
                [values, _]: [__m256i; 2],
                weights: __m256i,
            ) -> __m256i {
                // SAFETY: the caller's promise.
                unsafe { $instruction(sums, values, weights) }
            }

            compiled_for!($features);
        }
    };
}

fours!(AvxVnni, "avx2,fma,avxvnni", _mm256_dpbusd_avx_epi32);
fours!(
    Avx512Vnni,
    "avx2,fma,avx512vnni,avx512vl",
    _mm256_dpbusd_epi32
);

/// The loops of [`AvxVnni`] on machines without it: the instruction is made of others.
#[cfg(test)]
pub(crate) mod emulated {
    use super::*;

    /// As [`Avx2`].
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct EmulatedVnni(pub(crate) Avx2);

    fours!(EmulatedVnni, "avx2,fma", vpdpbusd);

    /// Adds four products of unsigned and signed bytes to each sum.
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
}
