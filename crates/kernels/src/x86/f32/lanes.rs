//! Vectors of floats, of 256 bits and of 512, and the loops compiled for them.

use super::depthwise::Lane;
use super::tile::{self, Block};
use crate::tiled::f32::{Strip, Vector};
use core::arch::x86_64::*;

/// A vector. Its functions are for code that is compiled for it, but for the loops below, which are.
pub(super) trait Lanes: Vector {
    /// The most pixels of a tile of two vectors of outputs: as many sums as leave registers for the
    /// weights and an input.
    const TILE_PIXELS: usize;

    /// The most pixels of a depthwise tile.
    const DEPTHWISE_PIXELS: usize;

    /// Which lanes of a vector are read or written.
    type Mask: Copy;

    /// The first so many lanes, or all.
    ///
    /// # Safety
    ///
    /// The machine has such vectors, here and below.
    unsafe fn first(valid: usize) -> Self::Mask;

    /// All lanes of one value.
    ///
    /// # Safety
    ///
    /// See [`Lanes::first`].
    unsafe fn splat(value: f32) -> Self;

    /// `self + one * other`, rounded once.
    ///
    /// # Safety
    ///
    /// See [`Lanes::first`].
    unsafe fn add_product(self, one: Self, other: Self) -> Self;

    /// Zero where the mask has no lane.
    ///
    /// # Safety
    ///
    /// The lanes of the mask are readable.
    unsafe fn load_masked(from: *const f32, mask: Self::Mask) -> Self;

    /// # Safety
    ///
    /// The lanes of the mask are writable.
    unsafe fn store_masked(self, to: *mut f32, mask: Self::Mask);

    /// [`tile::tile`], compiled for the vector.
    ///
    /// # Safety
    ///
    /// As there.
    unsafe fn tile<const M: usize, const N: usize>(
        strip: &Strip<'_>,
        block: &Block,
        from: usize,
        output: *mut f32,
    );

    /// [`Lane::pixels`], compiled for the vector.
    ///
    /// # Safety
    ///
    /// As there.
    unsafe fn pixels<const M: usize>(lane: &Lane<'_>, weights: *const f32, x: usize);

    /// [`Lane::neighbours`], compiled for the vector.
    ///
    /// # Safety
    ///
    /// As there.
    unsafe fn neighbours<const M: usize, const K: usize>(
        lane: &Lane<'_>,
        weights: *const f32,
        x: usize,
    );
}

/// The loops, compiled with the features of a vector.
macro_rules! compiled {
    ($features:literal) => {
        #[target_feature(enable = $features)]
        unsafe fn tile<const M: usize, const N: usize>(
            strip: &Strip<'_>,
            block: &Block,
            from: usize,
            output: *mut f32,
        ) {
            // SAFETY: the caller's promise.
            unsafe { tile::tile::<Self, M, N>(strip, block, from, output) }
        }

        #[target_feature(enable = $features)]
        unsafe fn pixels<const M: usize>(lane: &Lane<'_>, weights: *const f32, x: usize) {
            // SAFETY: the caller's promise.
            unsafe { lane.pixels::<Self, M>(weights, x) }
        }

        #[target_feature(enable = $features)]
        unsafe fn neighbours<const M: usize, const K: usize>(
            lane: &Lane<'_>,
            weights: *const f32,
            x: usize,
        ) {
            // SAFETY: the caller's promise.
            unsafe { lane.neighbours::<Self, M, K>(weights, x) }
        }
    };
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
        let raised = _mm256_max_ps(self, _mm256_set1_ps(limits[0]));
        _mm256_min_ps(raised, _mm256_set1_ps(limits[1]))
    }
}

impl Lanes for __m256 {
    const TILE_PIXELS: usize = 6;
    const DEPTHWISE_PIXELS: usize = 4;
    type Mask = __m256i;

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn first(valid: usize) -> __m256i {
        let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        _mm256_cmpgt_epi32(_mm256_set1_epi32(valid.min(8) as i32), lanes)
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn splat(value: f32) -> Self {
        _mm256_set1_ps(value)
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn add_product(self, one: Self, other: Self) -> Self {
        _mm256_fmadd_ps(one, other, self)
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn load_masked(from: *const f32, mask: __m256i) -> Self {
        // SAFETY: the caller's promise; other lanes are not touched.
        unsafe { _mm256_maskload_ps(from, mask) }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn store_masked(self, to: *mut f32, mask: __m256i) {
        // SAFETY: the caller's promise; other lanes are not touched.
        unsafe { _mm256_maskstore_ps(to, mask, self) }
    }

    compiled!("avx2,fma");
}

impl Vector for __m512 {
    const LANES: usize = 16;

    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { _mm512_storeu_ps(to, self) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn add(self, other: Self) -> Self {
        _mm512_add_ps(self, other)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn subtract(self, other: Self) -> Self {
        _mm512_sub_ps(self, other)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn add_times(self, other: Self, factor: f32) -> Self {
        _mm512_fmadd_ps(other, _mm512_set1_ps(factor), self)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn limit(self, limits: [f32; 2]) -> Self {
        let raised = _mm512_max_ps(self, _mm512_set1_ps(limits[0]));
        _mm512_min_ps(raised, _mm512_set1_ps(limits[1]))
    }
}

impl Lanes for __m512 {
    const TILE_PIXELS: usize = 12;
    const DEPTHWISE_PIXELS: usize = 8;
    type Mask = __mmask16;

    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn first(valid: usize) -> __mmask16 {
        ((1u32 << valid.min(16)) - 1) as __mmask16
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn splat(value: f32) -> Self {
        _mm512_set1_ps(value)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn add_product(self, one: Self, other: Self) -> Self {
        _mm512_fmadd_ps(one, other, self)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn load_masked(from: *const f32, mask: __mmask16) -> Self {
        // SAFETY: the caller's promise; other lanes are not touched.
        unsafe { _mm512_maskz_loadu_ps(mask, from) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn store_masked(self, to: *mut f32, mask: __mmask16) {
        // SAFETY: the caller's promise; other lanes are not touched.
        unsafe { _mm512_mask_storeu_ps(to, mask, self) }
    }

    compiled!("avx512f,avx2,fma");
}
