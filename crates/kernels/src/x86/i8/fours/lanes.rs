//! Sixteen sums, or 64 bytes: a vector of 512 bits, or two of 256.

use crate::x86::i8::finish::{Finish, Scale};
use crate::x86::i8::fours::Raised;
use crate::x86::i8::multiply::Multiply;
use core::arch::x86_64::*;
use core::marker::PhantomData;

/// Bytes of [`Lanes`].
pub(super) const BYTES: usize = 64;

/// What loops over fours of bytes are made of. "In quarters" means: in each 16 bytes on their own.
///
/// # Safety
///
/// Every function is for a machine that has the instructions, and for code that is compiled for it.
pub(crate) trait Lanes: Copy {
    /// The most pixels whose sums stay in registers: 4 or a multiple of it.
    const PIXELS_MAX: usize;

    /// # Safety
    ///
    /// 64 bytes are readable.
    unsafe fn load<T>(from: *const T) -> Self;

    /// The first bytes, and zeros.
    ///
    /// # Safety
    ///
    /// `count <= 64` bytes are readable.
    unsafe fn load_first<T>(from: *const T, count: usize) -> Self;

    /// Two times 32 bytes, so many bytes between their starts.
    ///
    /// # Safety
    ///
    /// They are readable.
    unsafe fn load_halves<T>(from: *const T, apart: usize) -> Self;

    /// Four times 16 bytes.
    ///
    /// # Safety
    ///
    /// As [`Lanes::load_halves`].
    unsafe fn load_quarters<T>(from: *const T, apart: usize) -> Self;

    /// # Safety
    ///
    /// `count <= 64` bytes are writable.
    unsafe fn store_first(self, to: *mut i8, count: usize);

    /// Eight sums, and eight more.
    ///
    /// # Safety
    ///
    /// As said of the trait; so below.
    unsafe fn join(low: __m256i, high: __m256i) -> Self;

    /// The same four taps in all lanes.
    ///
    /// # Safety
    ///
    /// Four bytes are readable.
    unsafe fn broadcast(taps: *const Raised) -> Self;

    /// Adds products of fours of unsigned and signed bytes to 16 sums.
    ///
    /// # Safety
    ///
    /// As for [`Lanes::join`]; so below.
    unsafe fn add_products(self, inputs: Self, weights: Self) -> Self;

    /// Bytes in turns, in quarters: of the first halves and of the second.
    ///
    /// # Safety
    ///
    /// As above.
    unsafe fn bytes_in_turns(self, other: Self) -> [Self; 2];

    /// The same of pairs of bytes.
    ///
    /// # Safety
    ///
    /// As above.
    unsafe fn pairs_in_turns(self, other: Self) -> [Self; 2];

    /// What a rule makes of 16 sums.
    ///
    /// # Safety
    ///
    /// As above.
    unsafe fn scale<S: Scale>(self, finish: &Finish, parts: [Self; 3]) -> Self;

    /// Sums to 16 bits, saturated, in quarters.
    ///
    /// # Safety
    ///
    /// As above.
    unsafe fn words(self, other: Self) -> Self;

    /// 16 bits to bytes, saturated, in quarters.
    ///
    /// # Safety
    ///
    /// As above.
    unsafe fn bytes(self, other: Self) -> Self;

    /// Adds the zero point to 16 bits, saturated.
    ///
    /// # Safety
    ///
    /// As above.
    unsafe fn with_zero_point(self, finish: &Finish) -> Self;

    /// Limits bytes.
    ///
    /// # Safety
    ///
    /// As above.
    unsafe fn limited(self, finish: &Finish) -> Self;

    /// The fours of bytes of each place in a quarter, from all quarters.
    ///
    /// # Safety
    ///
    /// As above.
    unsafe fn transposed(self) -> [__m128i; 4];

    /// Writes the first bytes.
    ///
    /// # Safety
    ///
    /// `count <= 16` bytes are writable.
    unsafe fn write_first(bytes: __m128i, to: *mut i8, count: usize);
}

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

impl<P: Multiply> Lanes for Pair<P> {
    const PIXELS_MAX: usize = 4;

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
    unsafe fn broadcast(taps: *const Raised) -> Self {
        // SAFETY: the caller's promise.
        let taps = unsafe { _mm256_set1_epi32(taps.cast::<i32>().read_unaligned()) };
        Self::of([taps, taps])
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
    unsafe fn transposed(self) -> [__m128i; 4] {
        // SAFETY: the caller's promise.
        unsafe {
            let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
            let low = _mm256_permutevar8x32_epi32(self.0, order);
            let high = _mm256_permutevar8x32_epi32(self.1, order);
            let even = _mm256_unpacklo_epi64(low, high);
            let odd = _mm256_unpackhi_epi64(low, high);
            [
                _mm256_castsi256_si128(even),
                _mm256_castsi256_si128(odd),
                _mm256_extracti128_si256::<1>(even),
                _mm256_extracti128_si256::<1>(odd),
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
}

/// A vector of 512 bits.
pub(crate) type Whole = __m512i;

/// A bit for each of the first bytes.
#[inline(always)]
fn first(count: usize) -> u64 {
    u64::MAX >> (BYTES - count.clamp(1, BYTES))
}

impl Lanes for Whole {
    const PIXELS_MAX: usize = 12;

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
    unsafe fn broadcast(taps: *const Raised) -> Self {
        // SAFETY: the caller's promise.
        unsafe { _mm512_set1_epi32(taps.cast::<i32>().read_unaligned()) }
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
    unsafe fn transposed(self) -> [__m128i; 4] {
        // SAFETY: as above.
        unsafe {
            let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            let sorted = _mm512_permutexvar_epi32(order, self);
            [
                _mm512_castsi512_si128(sorted),
                _mm512_extracti32x4_epi32::<1>(sorted),
                _mm512_extracti32x4_epi32::<2>(sorted),
                _mm512_extracti32x4_epi32::<3>(sorted),
            ]
        }
    }

    #[inline(always)]
    unsafe fn write_first(bytes: __m128i, to: *mut i8, count: usize) {
        // SAFETY: the caller's promise: no other bytes are written.
        unsafe { _mm_mask_storeu_epi8(to, first(count) as u16, bytes) };
    }
}
