//! Vectors of floats, of 256 bits and of 512, and the loops compiled for them.

use super::depthwise::Lane;
use super::tile::{self, Block};
use crate::tiled::f32::{Strip, Vector};
use core::arch::x86_64::*;
use core::ops::Range;

/// A vector. Its functions are for code that is compiled for it, but for the loops below, which are.
pub(super) trait Lanes: Vector {
    /// The most pixels of a tile of two vectors of outputs: as many sums as leave registers for the
    /// weights and an input.
    const TILE_PIXELS: usize;

    /// The most pixels of a depthwise tile.
    const DEPTHWISE_PIXELS: usize;

    /// All lanes of one value.
    ///
    /// # Safety
    ///
    /// The machine has such vectors, here and below.
    unsafe fn splat(value: f32) -> Self;

    /// `self + one * other`, rounded once.
    ///
    /// # Safety
    ///
    /// See [`Lanes::splat`].
    unsafe fn add_product(self, one: Self, other: Self) -> Self;

    /// The first so many lanes, or all, and zeros. Vectors of 256 bits take whole ones by an instruction
    /// of its own, here and below: with a mask a store takes tens of cycles on some processors.
    ///
    /// # Safety
    ///
    /// These lanes are readable.
    unsafe fn load_first(from: *const f32, valid: usize) -> Self;

    /// The same of a multiple of eight lanes.
    ///
    /// # Safety
    ///
    /// As there.
    unsafe fn load_eights(from: *const f32, valid: usize) -> Self;

    /// These lanes, as far as there are such, and zeros.
    ///
    /// # Safety
    ///
    /// These lanes are readable.
    unsafe fn load_between(from: *const f32, lanes: Range<usize>) -> Self;

    /// The first so many lanes, or all.
    ///
    /// # Safety
    ///
    /// These lanes are writable.
    unsafe fn store_first(self, to: *mut f32, valid: usize);

    /// The sums of lanes whose numbers differ by eight.
    ///
    /// # Safety
    ///
    /// See [`Lanes::splat`].
    unsafe fn eight_sums(self) -> __m256;

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
    unsafe fn load_first(from: *const f32, valid: usize) -> Self {
        // SAFETY: the caller's promise; other lanes are not touched.
        unsafe {
            if valid >= Self::LANES {
                return _mm256_loadu_ps(from);
            }
            _mm256_maskload_ps(from, first_of_eight(valid))
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn load_eights(from: *const f32, _: usize) -> Self {
        // SAFETY: the caller's promise: eight lanes are all.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn load_between(from: *const f32, lanes: Range<usize>) -> Self {
        let mask = _mm256_andnot_si256(first_of_eight(lanes.start), first_of_eight(lanes.end));
        // SAFETY: the caller's promise; other lanes are not touched.
        unsafe { _mm256_maskload_ps(from, mask) }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn eight_sums(self) -> __m256 {
        self
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn store_first(self, to: *mut f32, valid: usize) {
        // SAFETY: the caller's promise; other lanes are not touched.
        unsafe {
            if valid >= Self::LANES {
                return _mm256_storeu_ps(to, self);
            }
            _mm256_maskstore_ps(to, first_of_eight(valid), self);
        }
    }

    compiled!("avx2,fma");
}

/// A mask of so many lanes of eight.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn first_of_eight(valid: usize) -> __m256i {
    _mm256_cmpgt_epi32(_mm256_set1_epi32(valid as i32), eight_numbers())
}

/// From 0 on.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn eight_numbers() -> __m256i {
    _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)
}

/// A mask of so many lanes of sixteen, or of all.
#[inline]
fn first_of_sixteen(valid: usize) -> __mmask16 {
    ((1u32 << valid.min(16)) - 1) as __mmask16
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
    unsafe fn load_first(from: *const f32, valid: usize) -> Self {
        // SAFETY: the caller's promise; other lanes are not touched.
        unsafe { _mm512_maskz_loadu_ps(first_of_sixteen(valid), from) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn load_eights(from: *const f32, valid: usize) -> Self {
        // SAFETY: the caller's promise.
        unsafe { Self::load_first(from, valid) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn load_between(from: *const f32, lanes: Range<usize>) -> Self {
        let mask = first_of_sixteen(lanes.end) & !first_of_sixteen(lanes.start);
        // SAFETY: the caller's promise; other lanes are not touched.
        unsafe { _mm512_maskz_loadu_ps(mask, from) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn eight_sums(self) -> __m256 {
        let high = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(self));
        _mm256_add_ps(_mm512_castps512_ps256(self), _mm256_castpd_ps(high))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn store_first(self, to: *mut f32, valid: usize) {
        // SAFETY: the caller's promise; other lanes are not touched.
        unsafe { _mm512_mask_storeu_ps(to, first_of_sixteen(valid), self) }
    }

    compiled!("avx512f,avx2,fma");
}
