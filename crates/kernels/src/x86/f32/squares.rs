//! Squares of 3 x 3 convolutions: see `tiled::f32::squares`.

use super::tile::limit;
use crate::tiled::f32::{PRODUCTS, SquareOutputs, Vector, square_inputs, square_outputs};
use core::arch::x86_64::*;

/// # Safety
///
/// As [`square_inputs`].
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn inputs(
    pixels: &[*const f32; PRODUCTS],
    channels: usize,
    to: *mut f32,
    apart: usize,
) {
    // SAFETY: the caller's promise.
    unsafe { square_inputs::<__m256>(pixels, channels, to, apart) }
}

/// # Safety
///
/// As [`square_outputs`].
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn outputs(outputs: &SquareOutputs<'_>, to: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe { square_outputs::<__m256>(outputs, to) }
}

impl Vector for __m256 {
    const LANES: usize = 8;

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { _mm256_storeu_ps(to, self) }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn add(self, other: Self) -> Self {
        _mm256_add_ps(self, other)
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn subtract(self, other: Self) -> Self {
        _mm256_sub_ps(self, other)
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn add_times(self, other: Self, factor: f32) -> Self {
        _mm256_fmadd_ps(other, _mm256_set1_ps(factor), self)
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn limit(self, limits: [f32; 2]) -> Self {
        limit(self, limits)
    }
}
