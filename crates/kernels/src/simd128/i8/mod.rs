//! int8 loops: pairs of taps are multiplied and added by `i32x4.dot_i16x8_s`. Weights stay 8 bits
//! wide in memory and are widened when they are loaded.

mod depthwise;
mod finish;
mod line;
mod pool;
mod tile;
mod vector;

use super::Simd128;
use crate::tiled::i8::{Strip, Tiles, Weights};
use core::arch::wasm32::*;
pub(crate) use line::{add, quantize};
pub(crate) use pool::{average_pool_2d, max_pool_2d};

impl Tiles for Simd128 {
    type Input = i16;
    type Weight = i8;
    const TAPS: usize = 2;
    const CHANNEL_TAPS: usize = 2;
    const BLOCK: usize = 8;
    const SHIFTS_LANES: bool = false;
    const VECTOR_PACK: Option<[usize; 2]> = None;

    fn output_at(position: usize, _width: usize) -> usize {
        position
    }

    unsafe fn widen(self, from: *const i8, to: *mut i16, count: usize) {
        let whole = count / 8 * 8;
        // SAFETY: every index is below `count`.
        unsafe {
            for i in (0..whole).step_by(8) {
                v128_store(to.add(i).cast(), i16x8_load_extend_i8x8(from.add(i)));
            }
            for i in whole..count {
                to.add(i).write(i16::from(from.add(i).read()));
            }
        }
    }

    unsafe fn vector(self, weights: &Weights<'_, i8>, staged: *mut i16) {
        // SAFETY: the caller's promise.
        unsafe { vector::multiply(self, weights.operands, staged) }
    }

    unsafe fn strip(self, weights: &Weights<'_, i8>, strip: &Strip<'_>) {
        // SAFETY: the caller's promise.
        unsafe { tile::strip(weights, strip) }
    }

    unsafe fn depthwise(self, weights: &Weights<'_, i8>, strip: &Strip<'_>) {
        // SAFETY: the caller's promise.
        unsafe { depthwise::strip(weights, strip) }
    }
}
