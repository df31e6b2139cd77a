//! int8 loops. With AVX2 alone, pairs of taps are multiplied and added up exactly as numbers of 16 bits
//! (`vpmaddwd`), those of single channels by `vpmullw` while 16 bits hold their sums. Sets that
//! multiply fours of bytes have loops of their own: [`fours`].

mod depthwise;
mod finish;
mod fours;
mod line;
mod multiply;
mod pool;
mod ramp;
mod squares;
mod stepwise;
mod tile;
mod vector;
mod widen;

use super::Avx2;
use crate::tiled::i8::{self, Follows, Rule, Strip, Tiles, Weights};
use crate::{Conv2dConstants, Conv2dI8, Geometry, scalar};
#[cfg(test)]
pub(crate) use fours::EmulatedVnni;
pub(crate) use fours::Raised;
pub(crate) use line::add;
use multiply::Multiply;
pub(crate) use pool::{average_pool_2d, max_pool_2d, window_sums};
pub(crate) use squares::Machine;
use squares::Squares;
pub(crate) use stepwise::stepwise_add;

/// Scratch memory of a convolution.
pub(crate) fn conv_2d_scratch_bytes<P: Machine>(geometry: &Geometry) -> usize {
    let windows = i8::conv_2d_scratch_bytes::<P>(geometry);
    match Squares::of::<P>(geometry) {
        Some(squares) => squares.scratch_bytes().max(windows),
        None => windows,
    }
}

/// What [`prepare_conv_2d`] writes.
pub(crate) fn conv_2d_prepared_bytes<P: Machine>(geometry: &Geometry) -> usize {
    match Squares::of::<P>(geometry) {
        Some(squares) => squares.prepared_bytes::<P>(geometry),
        None => i8::conv_2d_prepared_bytes::<P>(geometry),
    }
}

/// Packs weights and records for [`conv_2d`].
pub(crate) fn prepare_conv_2d<P: Machine>(constants: &Conv2dConstants<'_>, prepared: &mut [u8]) {
    match Squares::of::<P>(&constants.geometry) {
        Some(squares) => squares.prepare::<P>(constants, prepared),
        None => i8::prepare_conv_2d::<P>(constants, prepared),
    }
}

/// See [`crate::i8::conv_2d`].
pub(crate) fn conv_2d<P: Machine>(machine: P, operands: &Conv2dI8<'_>) {
    match Squares::of::<P>(&operands.geometry) {
        Some(squares) if squares.run(machine, operands) => {}
        Some(_) => scalar::i8::conv_2d(operands),
        None => i8::conv_2d(machine, operands),
    }
}

/// See [`crate::i8::shares_outputs`].
#[cfg(any(test, feature = "std"))]
pub(crate) fn shares_outputs<P: Machine + Multiply>(operands: &Conv2dI8<'_>) -> bool {
    match Squares::of::<P>(&operands.geometry) {
        Some(squares) => squares.shares_outputs::<P>(operands),
        None => i8::shares_outputs::<P>(operands, !P::TAKES_MAGNITUDES),
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

/// A value proves the features that the loops need.
impl Tiles for Avx2 {
    type Input = i16;
    type Weight = i16;
    const TAPS: usize = 2;
    const CHANNEL_TAPS: usize = 1;
    const BLOCK: usize = 16;
    const SHIFTS_LANES: bool = true;
    const LINES: Option<(Rule, Rule, Follows)> = ramp::LINES;
    const VECTOR_PACK: Option<[usize; 2]> = Some([vector::ROWS, vector::STEP]);

    fn output_at(position: usize, width: usize) -> usize {
        output_at(position, width)
    }

    /// In sequence, as inputs are.
    fn channel_at(position: usize) -> usize {
        position
    }

    unsafe fn widen(self, from: *const i8, to: *mut i16, count: usize) {
        // SAFETY: the caller's promise, and the features are there.
        unsafe { widen::widen(from, to, count) }
    }

    unsafe fn vector(self, weights: &Weights<'_, i16>, staged: *mut i16) {
        // SAFETY: the caller's promise, and the features are there.
        unsafe { <Self as Multiply>::multiply(weights, staged) }
    }

    unsafe fn strip(self, weights: &Weights<'_, i16>, strip: &Strip<'_, i16>) {
        // SAFETY: the caller's promise, and the features are there.
        unsafe { tile::strip(weights, strip) }
    }

    unsafe fn depthwise(self, weights: &Weights<'_, i16>, strip: &Strip<'_, i16>) {
        // SAFETY: the caller's promise, and the features are there.
        unsafe { depthwise::strip(weights, strip) }
    }
}
