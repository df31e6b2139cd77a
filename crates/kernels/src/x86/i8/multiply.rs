//! How sets of kernels multiply the inputs of fully connected layers, and what else their loops over
//! vectors differ in.

use super::finish::{Block, Scale};
use super::vector::{self, Inputs};
use crate::tiled::i8::{Tiles, Weights};
use crate::x86::Avx2;
use core::arch::x86_64::*;

/// A value proves that this machine has what the set needs, AVX2 and FMA included; its functions are
/// for code that is compiled for it.
pub(crate) trait Multiply: Tiles {
    /// Whether fully connected layers multiply magnitudes of inputs, which no weight of -128 may
    /// take the signs of.
    const TAKES_MAGNITUDES: bool;

    /// Adds the products of 32 inputs of a fully connected layer to sums of fours of them.
    ///
    /// # Safety
    ///
    /// The machine has the instructions. `inputs` are `[values, magnitudes]`, and no weight is -128
    /// where magnitudes are taken.
    unsafe fn add_fours(sums: __m256i, inputs: [__m256i; 2], weights: __m256i) -> __m256i;

    /// [`vector::dots`] of two groups of rows.
    ///
    /// # Safety
    ///
    /// As there, of both.
    unsafe fn dots(packed: [*const i8; 2], inputs: &Inputs, count: usize) -> [__m256i; 2];

    /// [`vector::multiply`], compiled for the set.
    ///
    /// # Safety
    ///
    /// As there.
    unsafe fn multiply(weights: &Weights<'_, Self::Weight>, staged: *mut Self::Input);

    /// Adds the bias to the sums of a block, in the order of its outputs, and writes those outputs that
    /// exist.
    ///
    /// # Safety
    ///
    /// They may be written; the record is whole and of the rule `S`.
    unsafe fn store_sixteen<S: Scale>(block: &Block<'_>, sums: [__m256i; 2], to: *mut i8);
}

impl Multiply for Avx2 {
    const TAKES_MAGNITUDES: bool = true;

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

    #[inline(always)]
    unsafe fn dots(packed: [*const i8; 2], inputs: &Inputs, count: usize) -> [__m256i; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            [
                vector::dots::<Self>(packed[0], inputs, count),
                vector::dots::<Self>(packed[1], inputs, count),
            ]
        }
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn multiply(weights: &Weights<'_, i16>, staged: *mut i16) {
        // SAFETY: the caller's promise.
        unsafe { vector::multiply::<Self>(weights, staged) }
    }

    /// Blocks of 16 have their sums in another order: see `Tiles::output_at`.
    #[inline(always)]
    unsafe fn store_sixteen<S: Scale>(block: &Block<'_>, [a, b]: [__m256i; 2], to: *mut i8) {
        // SAFETY: the caller's promise.
        unsafe {
            let bias = block.bias::<2>();
            let sums = [
                _mm256_add_epi32(_mm256_permute2x128_si256::<0x20>(a, b), bias[0]),
                _mm256_add_epi32(_mm256_permute2x128_si256::<0x31>(a, b), bias[1]),
            ];
            block.store::<2, S>(sums, to);
        }
    }
}
