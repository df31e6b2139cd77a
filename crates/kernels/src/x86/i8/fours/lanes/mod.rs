//! Sixteen sums, or 64 bytes: a vector of 512 bits, or two of 256.

mod pair;
mod whole;

use crate::x86::i8::finish::{Finish, Scale};
use crate::x86::i8::multiply::Multiply;
use crate::x86::i8::squares::Sums;
use crate::x86::i8::vector::Inputs;
use core::arch::x86_64::*;
pub(crate) use pair::Pair;
pub(crate) use whole::Whole;

/// Bytes of [`Lanes`].
pub(super) const BYTES: usize = 64;

/// What loops over fours of bytes are made of. "In quarters" means: in each 16 bytes on their own.
///
/// # Safety
///
/// Every function is for a machine that has the instructions, and for code that is compiled for it.
pub(crate) trait Lanes: Sums {
    /// Blocks of 16 outputs that are computed together: 1 or 2.
    const BLOCKS: usize;

    /// The most squares whose columns' sums stay in registers: 1 or 4. See `squares::Machine::JOINS_COLUMNS`.
    const SQUARES_MAX: usize;

    /// The most pixels whose sums stay in registers, for one block and for two: 4, 8 or 12.
    const PIXELS_MAX: [usize; 2];

    /// # Safety
    ///
    /// As said of the trait.
    unsafe fn zero() -> Self;

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
    /// 64 bytes are writable.
    unsafe fn store<T>(self, to: *mut T);

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

    /// The same four bytes in all lanes.
    ///
    /// # Safety
    ///
    /// Four bytes are readable.
    unsafe fn broadcast<T>(from: *const T) -> Self;

    /// Adds products of fours of unsigned and signed bytes to 16 sums.
    ///
    /// # Safety
    ///
    /// As for [`Lanes::join`]; so below.
    unsafe fn add_products(self, inputs: Self, weights: Self) -> Self;

    /// Adds products of a pair of 16 bits and pairs of weights to 16 sums.
    ///
    /// # Safety
    ///
    /// Two numbers are readable.
    unsafe fn add_pairs(self, numbers: *const i16, weights: Self) -> Self;

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

    /// In each quarter, the fours of bytes of one place from all quarters.
    ///
    /// # Safety
    ///
    /// As above.
    unsafe fn transposed(self) -> Self;

    /// # Safety
    ///
    /// As above.
    unsafe fn quarters(self) -> [__m128i; 4];

    /// Writes the first bytes.
    ///
    /// # Safety
    ///
    /// `count <= 16` bytes are writable.
    unsafe fn write_first(bytes: __m128i, to: *mut i8, count: usize);

    /// [`vector::dots`](crate::x86::i8::vector::dots) of two groups of rows.
    ///
    /// # Safety
    ///
    /// As there, of both.
    unsafe fn dots<P: Multiply>(
        packed: [*const i8; 2],
        inputs: &Inputs,
        count: usize,
    ) -> [__m256i; 2];
}
