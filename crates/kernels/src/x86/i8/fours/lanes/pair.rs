//! Two vectors of 256 bits.

use super::{BYTES, Lanes};
use crate::x86::i8::finish::{Finish, Scale};
use crate::x86::i8::multiply::Multiply;
use crate::x86::i8::squares::Sums;
use crate::x86::i8::vector::{self, Inputs};
use core::arch::x86_64::*;
use core::marker::PhantomData;

/// Two vectors of 256 bits, with the multiplication of a set.
#[derive(Clone, Copy)]
pub(crate) struct Pair<P>(__m256i, __m256i, PhantomData<P>);

impl<P> Pair<P> {
    #[inline(always)]
    fn each(self, other: Self, both: impl Fn(__m256i, __m256i) -> __m256i) -> Self {
        Pair(both(self.0, other.0), both(self.1, other.1), PhantomData)
    }

    #[inline(always)]
    fn of([low, high]: [__m256i; 2]) -> Self {
        Pair(low, high, PhantomData)
    }
}

impl<P: Copy> Sums for Pair<P> {
    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        // SAFETY: the caller's promise; so below.
        unsafe { Self::of([self.0.plus(other.0), self.1.plus(other.1)]) }
    }

    #[inline(always)]
    unsafe fn minus(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self::of([self.0.minus(other.0), self.1.minus(other.1)]) }
    }

    #[inline(always)]
    unsafe fn times_power<const POWER: i32>(self) -> Self {
        // SAFETY: as above.
        unsafe { Self::of([self.0.times_power::<POWER>(), self.1.times_power::<POWER>()]) }
    }

    #[inline(always)]
    unsafe fn over_power<const POWER: i32>(self) -> Self {
        // SAFETY: as above.
        unsafe { Self::of([self.0.over_power::<POWER>(), self.1.over_power::<POWER>()]) }
    }

    #[inline(always)]
    unsafe fn times(self, factor: i32) -> Self {
        // SAFETY: as above.
        unsafe { Self::of([self.0.times(factor), self.1.times(factor)]) }
    }
}

impl<P: Multiply> Lanes for Pair<P> {
    const BLOCKS: usize = 1;
    const SQUARES_MAX: usize = 1;
    const PIXELS_MAX: [usize; 2] = [4, 4];

    #[inline(always)]
    unsafe fn load<T>(from: *const T) -> Self {
        let from = from.cast::<__m256i>();
        // SAFETY: the caller's promise.
        unsafe { Self::of([_mm256_loadu_si256(from), _mm256_loadu_si256(from.add(1))]) }
    }

    #[inline(always)]
    unsafe fn load_first<T>(from: *const T, count: usize) -> Self {
        let mut copy = [0u8; BYTES];
        // SAFETY: the caller's promise, and the copy has as many bytes.
        unsafe {
            core::ptr::copy_nonoverlapping(from.cast(), copy.as_mut_ptr(), count.min(BYTES));
            Self::load(copy.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn load_halves<T>(from: *const T, apart: usize) -> Self {
        let from = from.cast::<u8>();
        // SAFETY: the caller's promise.
        unsafe {
            Self::of([
                _mm256_loadu_si256(from.cast()),
                _mm256_loadu_si256(from.add(apart).cast()),
            ])
        }
    }

    #[inline(always)]
    unsafe fn load_quarters<T>(from: *const T, apart: usize) -> Self {
        let from = from.cast::<u8>();
        // SAFETY: the caller's promise.
        unsafe {
            let [a, b] = [from, from.add(2 * apart)];
            Self::of([
                _mm256_loadu2_m128i(a.add(apart).cast(), a.cast()),
                _mm256_loadu2_m128i(b.add(apart).cast(), b.cast()),
            ])
        }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut i8, count: usize) {
        let mut copy = [[0i8; BYTES / 2]; 2];
        // SAFETY: the copy has 64 bytes, and the caller's promise.
        unsafe {
            _mm256_storeu_si256(copy[0].as_mut_ptr().cast(), self.0);
            _mm256_storeu_si256(copy[1].as_mut_ptr().cast(), self.1);
            core::ptr::copy_nonoverlapping(copy.as_ptr().cast(), to, count.min(BYTES));
        }
    }

    #[inline(always)]
    unsafe fn join(low: __m256i, high: __m256i) -> Self {
        Self::of([low, high])
    }

    #[inline(always)]
    unsafe fn broadcast<T>(from: *const T) -> Self {
        // SAFETY: the caller's promise.
        let four = unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) };
        Self::of([four, four])
    }

    #[inline(always)]
    unsafe fn add_pairs(self, numbers: *const i16, weights: Self) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            let products = Self::broadcast(numbers).each(weights, |a, b| _mm256_madd_epi16(a, b));
            self.plus(products)
        }
    }

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller's promise.
        unsafe { Self::of([_mm256_setzero_si256(); 2]) }
    }

    #[inline(always)]
    unsafe fn store<T>(self, to: *mut T) {
        let to = to.cast::<__m256i>();
        // SAFETY: the caller's promise.
        unsafe {
            _mm256_storeu_si256(to, self.0);
            _mm256_storeu_si256(to.add(1), self.1);
        }
    }

    #[inline(always)]
    unsafe fn add_products(self, inputs: Self, weights: Self) -> Self {
        // SAFETY: the caller's promise; fours of bytes have no magnitudes.
        unsafe {
            Self::of([
                P::add_fours(self.0, [inputs.0, inputs.0], weights.0),
                P::add_fours(self.1, [inputs.1, inputs.1], weights.1),
            ])
        }
    }

    #[inline(always)]
    unsafe fn bytes_in_turns(self, other: Self) -> [Self; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            [
                self.each(other, |a, b| _mm256_unpacklo_epi8(a, b)),
                self.each(other, |a, b| _mm256_unpackhi_epi8(a, b)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn pairs_in_turns(self, other: Self) -> [Self; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            [
                self.each(other, |a, b| _mm256_unpacklo_epi16(a, b)),
                self.each(other, |a, b| _mm256_unpackhi_epi16(a, b)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn scale<S: Scale>(self, finish: &Finish, [a, b, c]: [Self; 3]) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            Self::of([
                S::scale(finish, self.0, [a.0, b.0, c.0]),
                S::scale(finish, self.1, [a.1, b.1, c.1]),
            ])
        }
    }

    #[inline(always)]
    unsafe fn words(self, other: Self) -> Self {
        // SAFETY: the caller's promise.
        unsafe { self.each(other, |a, b| _mm256_packs_epi32(a, b)) }
    }

    #[inline(always)]
    unsafe fn bytes(self, other: Self) -> Self {
        // SAFETY: the caller's promise.
        unsafe { self.each(other, |a, b| _mm256_packs_epi16(a, b)) }
    }

    #[inline(always)]
    unsafe fn with_zero_point(self, finish: &Finish) -> Self {
        let zero_point = Self::of([finish.zero_point; 2]);
        // SAFETY: the caller's promise.
        unsafe { self.each(zero_point, |a, b| _mm256_adds_epi16(a, b)) }
    }

    #[inline(always)]
    unsafe fn limited(self, finish: &Finish) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            let [min, max] =
                [finish.min, finish.max].map(|limit| _mm256_broadcastsi128_si256(limit));
            self.each(Self::of([min; 2]), |a, b| _mm256_max_epi8(a, b))
                .each(Self::of([max; 2]), |a, b| _mm256_min_epi8(a, b))
        }
    }

    #[inline(always)]
    unsafe fn transposed(self) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
            let low = _mm256_permutevar8x32_epi32(self.0, order);
            let high = _mm256_permutevar8x32_epi32(self.1, order);
            let even = _mm256_unpacklo_epi64(low, high);
            let odd = _mm256_unpackhi_epi64(low, high);
            Self::of([
                _mm256_permute2x128_si256::<0x20>(even, odd),
                _mm256_permute2x128_si256::<0x31>(even, odd),
            ])
        }
    }

    #[inline(always)]
    unsafe fn quarters(self) -> [__m128i; 4] {
        // SAFETY: the caller's promise.
        unsafe {
            [
                _mm256_castsi256_si128(self.0),
                _mm256_extracti128_si256::<1>(self.0),
                _mm256_castsi256_si128(self.1),
                _mm256_extracti128_si256::<1>(self.1),
            ]
        }
    }

    #[inline(always)]
    unsafe fn write_first(bytes: __m128i, to: *mut i8, count: usize) {
        let mut copy = [0i8; 16];
        // SAFETY: the copy has 16 bytes, and the caller's promise.
        unsafe {
            _mm_storeu_si128(copy.as_mut_ptr().cast(), bytes);
            core::ptr::copy_nonoverlapping(copy.as_ptr(), to, count.min(16));
        }
    }

    #[inline(always)]
    unsafe fn dots<M: Multiply>(
        packed: [*const i8; 2],
        inputs: &Inputs,
        count: usize,
    ) -> [__m256i; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            [
                vector::dots::<M>(packed[0], inputs, count),
                vector::dots::<M>(packed[1], inputs, count),
            ]
        }
    }
}
