//! int8 loops: pairs of taps are multiplied and added by `vpmaddwd`, those of single channels by
//! `vpmullw` while 16 bits hold their sums.

mod depthwise;
mod finish;
mod line;
mod pool;
mod tile;
mod vector;
mod widen;

use super::Avx2;
use crate::tiled::i8::{Strip, Tiles, Weights};
pub(crate) use line::add;
pub(crate) use pool::{average_pool_2d, max_pool_2d, window_sums};

/// A value of [`Avx2`] proves the features that the loops need.
impl Tiles for Avx2 {
    type Input = i16;
    type Weight = i16;
    const TAPS: usize = 2;
    const CHANNEL_TAPS: usize = 1;
    const BLOCK: usize = 16;
    const SHIFTS_LANES: bool = true;
    const VECTOR_PACK: Option<[usize; 2]> = Some([vector::ROWS, vector::STEP]);

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
        unsafe { vector::multiply(weights, staged) }
    }

    unsafe fn strip(self, weights: &Weights<'_, i16>, strip: &Strip<'_>) {
        // SAFETY: the caller's promise, and the features are there.
        unsafe { tile::strip(weights, strip) }
    }

    unsafe fn depthwise(self, weights: &Weights<'_, i16>, strip: &Strip<'_>) {
        // SAFETY: the caller's promise, and the features are there.
        unsafe { depthwise::strip(weights, strip) }
    }
}
