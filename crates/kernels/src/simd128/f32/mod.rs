//! Float loops: multiplications and additions, each rounded.

mod depthwise;
mod squares;
mod tile;
mod vector;

use super::Simd128;
use crate::Conv2dF32;
use crate::tiled::f32::{PRODUCTS, SquareOutputs, Strip, Tiles, Weights};
use crate::tiled::f32::{square_inputs, square_outputs};
use core::arch::wasm32::v128;

impl Tiles for Simd128 {
    const BLOCK: usize = 8;

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
        unsafe { square_inputs::<v128>(pixels, channels, to, apart) }
    }

    unsafe fn square_outputs(self, outputs: &SquareOutputs<'_>, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { square_outputs::<v128>(outputs, to) }
    }
}
