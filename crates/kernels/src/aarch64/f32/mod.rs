//! Float loops: fused multiplications and additions.

mod depthwise;
mod squares;
mod tile;
mod vector;

use super::Neon;
use crate::Conv2dF32;
use crate::tiled::f32::{PRODUCTS, SquareOutputs, Strip, Tiles, Weights};
use crate::tiled::f32::{square_inputs, square_outputs};
use core::arch::aarch64::float32x4_t;

impl Tiles for Neon {
    const BLOCK: usize = 16;

    unsafe fn vector(self, operands: &Conv2dF32<'_>) {
        vector::multiply(operands);
    }

    unsafe fn strip(self, weights: &Weights<'_>, strip: &Strip<'_>) {
        // SAFETY: the caller's promise.
        unsafe { tile::strip(weights, strip) }
    }

    unsafe fn depthwise(self, convolution: &Weights<'_>, weights: &[f32], strip: &Strip<'_>) {
        // SAFETY: the caller's promise.
        unsafe { depthwise::strip(convolution, weights, strip) }
    }

    unsafe fn square_inputs(
        self,
        pixels: &[*const f32; PRODUCTS],
        channels: usize,
        to: *mut f32,
        apart: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe { square_inputs::<float32x4_t>(pixels, channels, to, apart) }
    }

    unsafe fn square_outputs(self, outputs: &SquareOutputs<'_>, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { square_outputs::<float32x4_t>(outputs, to) }
    }
}
