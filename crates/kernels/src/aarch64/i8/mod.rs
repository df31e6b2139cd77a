//! int8 loops. Inputs and weights stay 8 bits wide, and taps are packed in fours; the two sets
//! differ in how they multiply these, see `multiply.rs`.

mod depthwise;
mod finish;
mod line;
mod multiply;
mod pool;
mod stepwise;
mod tile;

use crate::tiled::i8::{Strip, Tiles, Weights};
pub(crate) use line::{add, lookup};
use multiply::Multiply;
pub(crate) use pool::{average_pool_2d, max_pool_2d, window_sums};
pub(crate) use stepwise::stepwise_add;

/// Outputs of a block.
const BLOCK: usize = 16;

/// Taps that are multiplied together.
const TAPS: usize = 4;

impl<P: Multiply> Tiles for P {
    type Input = i8;
    type Weight = i8;
    const TAPS: usize = TAPS;
    const CHANNEL_TAPS: usize = 1;
    const BLOCK: usize = BLOCK;
    /// One rule serves all shifts, so that there is none for the usual ones.
    const SHIFTS_LANES: bool = false;
    const VECTOR_PACK: Option<[usize; 2]> = Some([BLOCK, TAPS]);

    fn output_at(position: usize, _width: usize) -> usize {
        position
    }

    unsafe fn widen(self, from: *const i8, to: *mut i8, count: usize) {
        // SAFETY: the caller's promise.
        unsafe { core::ptr::copy(from, to, count) }
    }

    unsafe fn vector(self, weights: &Weights<'_, i8>, staged: *mut i8) {
        // SAFETY: the caller's promise; there are records.
        unsafe {
            match weights.records.has_lowest_weight() {
                true => tile::vector(self.exact(), weights, staged),
                false => tile::vector(self, weights, staged),
            }
        }
    }

    unsafe fn strip(self, weights: &Weights<'_, i8>, strip: &Strip<'_, i8>) {
        // SAFETY: the caller's promise; there are records.
        unsafe {
            match weights.records.has_lowest_weight() {
                true => tile::strip(self.exact(), weights, strip),
                false => tile::strip(self, weights, strip),
            }
        }
    }

    unsafe fn depthwise(self, weights: &Weights<'_, i8>, strip: &Strip<'_, i8>) {
        // SAFETY: the caller's promise; there are records.
        unsafe {
            match weights.records.has_lowest_weight() {
                true => depthwise::strip::<1>(weights, strip),
                false => depthwise::strip::<2>(weights, strip),
            }
        }
    }
}
