//! Vectors for squares of 3 x 3 convolutions: see `tiled::f32::squares`.

use crate::tiled::f32::Vector;
use core::arch::aarch64::*;

impl Vector for float32x4_t {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { vst1q_f32(to, self) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the caller's promise.
        unsafe { vaddq_f32(self, other) }
    }

    #[inline(always)]
    unsafe fn subtract(self, other: Self) -> Self {
        // SAFETY: the caller's promise.
        unsafe { vsubq_f32(self, other) }
    }

    #[inline(always)]
    unsafe fn add_times(self, other: Self, factor: f32) -> Self {
        // SAFETY: the caller's promise.
        unsafe { vfmaq_n_f32(self, other, factor) }
    }

    #[inline(always)]
    unsafe fn limit(self, limits: [f32; 2]) -> Self {
        super::tile::limit(self, limits)
    }
}
