//! One vector of 512 bits.

use super::{BYTES, Lanes};
use crate::x86::i8::finish::{Finish, Scale};
use crate::x86::i8::multiply::Multiply;
use crate::x86::i8::squares::Sums;
use crate::x86::i8::vector::{Inputs, ROWS, STEP};
use core::arch::x86_64::*;

/// A vector of 512 bits.
pub(crate) type Whole = __m512i;

/// A bit for each of the first bytes.
#[inline(always)]
fn first(count: usize) -> u64 {
    u64::MAX >> (BYTES - count.clamp(1, BYTES))
}

/// `vpdpwssd` with a pair for all lanes. Of the standard library's function the compiler makes two
/// instructions, to shorten chains that are not too long, and loads pairs by one for floats, which takes
/// twice as long as that for integers on some machines.
///
/// # Safety
///
/// Two numbers are readable.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn add_pairs(mut sums: __m512i, numbers: *const i16, weights: __m512i) -> __m512i {
    // SAFETY: the caller's promise; the instruction reads the pair and writes this register alone.
    unsafe {
        core::arch::asm!(
            "vpdpwssd {sums}, {weights}, dword ptr [{numbers}]{{1to16}}",
            sums = inout(zmm_reg) sums,
            numbers = in(reg) numbers,
            weights = in(zmm_reg) weights,
            options(pure, readonly, nostack, preserves_flags)
        );
    }
    sums
}

impl Sums for Whole {
    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        // SAFETY: the caller's promise; so below.
        unsafe { _mm512_add_epi32(self, other) }
    }

    #[inline(always)]
    unsafe fn minus(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { _mm512_sub_epi32(self, other) }
    }

    #[inline(always)]
    unsafe fn times_power<const POWER: i32>(self) -> Self {
        // SAFETY: as above.
        unsafe { _mm512_sll_epi32(self, _mm_cvtsi32_si128(POWER)) }
    }

    #[inline(always)]
    unsafe fn over_power<const POWER: i32>(self) -> Self {
        // SAFETY: as above.
        unsafe { _mm512_sra_epi32(self, _mm_cvtsi32_si128(POWER)) }
    }

    #[inline(always)]
    unsafe fn times(self, factor: i32) -> Self {
        // SAFETY: as above.
        unsafe { _mm512_mullo_epi32(self, _mm512_set1_epi32(factor)) }
    }
}

impl Lanes for Whole {
    const BLOCKS: usize = 2;
    const SQUARES_MAX: usize = 4;
    const PIXELS_MAX: [usize; 2] = [12, 8];

    #[inline(always)]
    unsafe fn load<T>(from: *const T) -> Self {
        // SAFETY: the caller's promise.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn load_first<T>(from: *const T, count: usize) -> Self {
        // SAFETY: the caller's promise: no other bytes are read.
        unsafe { _mm512_maskz_loadu_epi8(first(count), from.cast()) }
    }

    #[inline(always)]
    unsafe fn load_halves<T>(from: *const T, apart: usize) -> Self {
        let from = from.cast::<u8>();
        // SAFETY: the caller's promise.
        unsafe {
            let low = _mm256_loadu_si256(from.cast());
            Self::join(low, _mm256_loadu_si256(from.add(apart).cast()))
        }
    }

    #[inline(always)]
    unsafe fn load_quarters<T>(from: *const T, apart: usize) -> Self {
        let from = from.cast::<u8>();
        // SAFETY: the caller's promise.
        unsafe {
            let all = _mm512_castsi128_si512(_mm_loadu_si128(from.cast()));
            let next = _mm_loadu_si128(from.add(apart).cast());
            let all = _mm512_inserti32x4::<1>(all, next);
            let next = _mm_loadu_si128(from.add(2 * apart).cast());
            let all = _mm512_inserti32x4::<2>(all, next);
            let next = _mm_loadu_si128(from.add(3 * apart).cast());
            _mm512_inserti32x4::<3>(all, next)
        }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut i8, count: usize) {
        // SAFETY: the caller's promise: no other bytes are written.
        unsafe { _mm512_mask_storeu_epi8(to, first(count), self) };
    }

    #[inline(always)]
    unsafe fn join(low: __m256i, high: __m256i) -> Self {
        // SAFETY: the caller's promise; so below.
        unsafe { _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high) }
    }

    #[inline(always)]
    unsafe fn broadcast<T>(from: *const T) -> Self {
        // SAFETY: the caller's promise.
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn add_pairs(self, numbers: *const i16, weights: Self) -> Self {
        // SAFETY: the caller's promise.
        unsafe { add_pairs(self, numbers, weights) }
    }

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: as above.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    unsafe fn store<T>(self, to: *mut T) {
        // SAFETY: the caller's promise.
        unsafe { _mm512_storeu_si512(to.cast(), self) };
    }

    #[inline(always)]
    unsafe fn add_products(self, inputs: Self, weights: Self) -> Self {
        // SAFETY: as above.
        unsafe { _mm512_dpbusd_epi32(self, inputs, weights) }
    }

    #[inline(always)]
    unsafe fn bytes_in_turns(self, other: Self) -> [Self; 2] {
        // SAFETY: as above.
        unsafe {
            [
                _mm512_unpacklo_epi8(self, other),
                _mm512_unpackhi_epi8(self, other),
            ]
        }
    }

    #[inline(always)]
    unsafe fn pairs_in_turns(self, other: Self) -> [Self; 2] {
        // SAFETY: as above.
        unsafe {
            [
                _mm512_unpacklo_epi16(self, other),
                _mm512_unpackhi_epi16(self, other),
            ]
        }
    }

    #[inline(always)]
    unsafe fn scale<S: Scale>(self, finish: &Finish, parts: [Self; 3]) -> Self {
        // SAFETY: as above.
        unsafe { S::scale_sixteen(finish, self, parts) }
    }

    #[inline(always)]
    unsafe fn words(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { _mm512_packs_epi32(self, other) }
    }

    #[inline(always)]
    unsafe fn bytes(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { _mm512_packs_epi16(self, other) }
    }

    #[inline(always)]
    unsafe fn with_zero_point(self, finish: &Finish) -> Self {
        // SAFETY: as above.
        unsafe { _mm512_adds_epi16(self, _mm512_broadcast_i64x4(finish.zero_point)) }
    }

    #[inline(always)]
    unsafe fn limited(self, finish: &Finish) -> Self {
        // SAFETY: as above.
        unsafe {
            let raised = _mm512_max_epi8(self, _mm512_broadcast_i32x4(finish.min));
            _mm512_min_epi8(raised, _mm512_broadcast_i32x4(finish.max))
        }
    }

    #[inline(always)]
    unsafe fn transposed(self) -> Self {
        // SAFETY: as above.
        unsafe {
            let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            _mm512_permutexvar_epi32(order, self)
        }
    }

    #[inline(always)]
    unsafe fn quarters(self) -> [__m128i; 4] {
        // SAFETY: as above.
        unsafe {
            [
                _mm512_castsi512_si128(self),
                _mm512_extracti32x4_epi32::<1>(self),
                _mm512_extracti32x4_epi32::<2>(self),
                _mm512_extracti32x4_epi32::<3>(self),
            ]
        }
    }

    #[inline(always)]
    unsafe fn write_first(bytes: __m128i, to: *mut i8, count: usize) {
        // SAFETY: the caller's promise: no other bytes are written.
        unsafe { _mm_mask_storeu_epi8(to, first(count) as u16, bytes) };
    }

    /// A vector has 32 weights of two rows.
    #[inline(always)]
    unsafe fn dots<P: Multiply>(
        packed: [*const i8; 2],
        inputs: &Inputs,
        count: usize,
    ) -> [__m256i; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = [[Self::zero(); ROWS / 2]; 2];
            for k in (0..count).step_by(STEP) {
                let values = Self::load_halves(inputs.values.add(k), 0);
                for (sums, packed) in sums.iter_mut().zip(packed) {
                    for (pair, sum) in sums.iter_mut().enumerate() {
                        let weights = packed.add(k * ROWS + pair * BYTES);
                        *sum = sum.add_products(values, Self::load(weights));
                    }
                }
            }
            let ordered = row_sums([sums_in_quarters(sums[0]), sums_in_quarters(sums[1])]);
            [
                _mm512_castsi512_si256(ordered),
                _mm512_extracti64x4_epi64::<1>(ordered),
            ]
        }
    }
}

/// The sum of each quarter of four vectors, those of each first quarter in the first, and so on.
///
/// # Safety
///
/// The machine has the instructions.
#[inline(always)]
unsafe fn sums_in_quarters([a, b, c, d]: [__m512i; 4]) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe {
        // Not by a closure, which would not have the features.
        let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
        let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
        _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd))
    }
}

/// The sums of 16 rows in order. The first two quarters are parts of the sums of rows 0, 2, 4 and 6,
/// the last two of rows 1, 3, 5 and 7, and those of rows 8 to 15 are in the second vector.
///
/// # Safety
///
/// As [`sums_in_quarters`].
#[inline(always)]
unsafe fn row_sums([a, b]: [__m512i; 2]) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe {
        let even = _mm512_setr_epi32(0, 8, 1, 9, 2, 10, 3, 11, 16, 24, 17, 25, 18, 26, 19, 27);
        let odd = _mm512_add_epi32(even, _mm512_set1_epi32(4));
        _mm512_add_epi32(
            _mm512_permutex2var_epi32(a, even, b),
            _mm512_permutex2var_epi32(a, odd, b),
        )
    }
}
