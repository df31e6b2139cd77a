//! Vectors for squares of 3 x 3 convolutions: see `tiled::f32::squares`.

use crate::tiled::f32::Vector;
use core::arch::wasm32::*;

impl Vector for v128 {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        unsafe { v128_load(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { v128_store(to.cast(), self) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        f32x4_add(self, other)
    }

    #[inline(always)]
    unsafe fn subtract(self, other: Self) -> Self {
        f32x4_sub(self, other)
    }

    #[inline(always)]
    unsafe fn add_times(self, other: Self, factor: f32) -> Self {
        f32x4_add(self, f32x4_mul(other, f32x4_splat(factor)))
    }

    #[inline(always)]
    unsafe fn limit(self, limits: [f32; 2]) -> Self {
        super::tile::limit(self, limits)
    }
}
