//! int8 loops: neighbouring taps are multiplied and added up as `multiply.rs` says, those of single
//! channels by `vpmullw` while 16 bits hold their sums.

mod depthwise;
mod finish;
mod line;
mod multiply;
mod pool;
mod squares;
mod tile;
mod vector;
mod widen;

use super::{Avx2, Avx512Vnni, AvxVnni};
use crate::tiled::i8::{self, Strip, Tiles, Weights};
use crate::{Conv2dConstants, Conv2dI8, Geometry, scalar};
pub(crate) use line::add;
pub(crate) use multiply::Raised;
#[cfg(test)]
pub(crate) use multiply::emulated::EmulatedVnni;
pub(crate) use pool::{average_pool_2d, max_pool_2d, window_sums};
use squares::Squares;

/// Scratch memory of a convolution with AVX2 alone, whose pairs of 16 bits hold the numbers of
/// squares; sets that multiply fours of bytes compute windows as they are.
pub(crate) fn conv_2d_scratch_bytes(geometry: &Geometry) -> usize {
    match Squares::of(geometry) {
        Some(squares) => squares.scratch_bytes(),
        None => i8::conv_2d_scratch_bytes::<Avx2>(geometry),
    }
}

/// What [`prepare_conv_2d`] writes.
pub(crate) fn conv_2d_prepared_bytes(geometry: &Geometry) -> usize {
    match Squares::of(geometry) {
        Some(squares) => squares.prepared_bytes(geometry),
        None => i8::conv_2d_prepared_bytes::<Avx2>(geometry),
    }
}

/// Packs weights and records for [`conv_2d`].
pub(crate) fn prepare_conv_2d(constants: &Conv2dConstants<'_>, prepared: &mut [u8]) {
    match Squares::of(&constants.geometry) {
        Some(squares) => squares.prepare(constants, prepared),
        None => i8::prepare_conv_2d::<Avx2>(constants, prepared),
    }
}

/// See [`crate::i8::conv_2d`].
pub(crate) fn conv_2d(avx2: Avx2, operands: &Conv2dI8<'_>) {
    match Squares::of(&operands.geometry) {
        Some(squares) if squares.run(avx2, operands) => {}
        Some(_) => scalar::i8::conv_2d(operands),
        None => i8::conv_2d(avx2, operands),
    }
}

/// The 16 outputs of a block are in the order 0-3, 8-11, 4-7, 12-15: packing the sums to
/// bytes works on halves of vectors and brings them into sequence.
fn output_at(position: usize, width: usize) -> usize {
    let (vector, lane) = (position / 8, position % 8);
    if width == 16 {
        lane / 4 * 8 + vector * 4 + lane % 4
    } else {
        position
    }
}

/// The loops for a set that stages inputs and weights as so and so.
macro_rules! tiles {
    ($set:ty, $input:ty, $weight:ty, $taps:literal, $offset:expr, $stage:path) => {
        /// A value proves the features that the loops need.
        impl Tiles for $set {
            type Input = $input;
            type Weight = $weight;
            const INPUT_OFFSET: i32 = $offset;
            const TAPS: usize = $taps;
            const CHANNEL_TAPS: usize = 1;
            const BLOCK: usize = 16;
            const SHIFTS_LANES: bool = true;
            const VECTOR_PACK: Option<[usize; 2]> = Some([vector::ROWS, vector::STEP]);

            fn output_at(position: usize, width: usize) -> usize {
                output_at(position, width)
            }

            /// In sequence, as inputs are.
            fn channel_at(position: usize) -> usize {
                position
            }

            unsafe fn widen(self, from: *const i8, to: *mut $input, count: usize) {
                // SAFETY: the caller's promise, and the features are there.
                unsafe { $stage(from, to, count) }
            }

            unsafe fn vector(self, weights: &Weights<'_, $weight>, staged: *mut $input) {
                // SAFETY: the caller's promise, and the features are there.
                unsafe { vector::multiply::<Self>(weights, staged) }
            }

            unsafe fn strip(self, weights: &Weights<'_, $weight>, strip: &Strip<'_, $input>) {
                // SAFETY: the caller's promise, and the features are there.
                unsafe { tile::strip::<Self>(weights, strip) }
            }

            unsafe fn depthwise(self, weights: &Weights<'_, $weight>, strip: &Strip<'_, $input>) {
                // SAFETY: the caller's promise, and the features are there.
                unsafe { depthwise::strip(weights, strip) }
            }
        }
    };
}

tiles!(Avx2, i16, i16, 2, 0, widen::widen);
tiles!(AvxVnni, Raised, i8, 4, multiply::RAISED_BY, widen::raise);
tiles!(Avx512Vnni, Raised, i8, 4, multiply::RAISED_BY, widen::raise);
#[cfg(test)]
tiles!(
    EmulatedVnni,
    Raised,
    i8,
    4,
    multiply::RAISED_BY,
    widen::raise
);
