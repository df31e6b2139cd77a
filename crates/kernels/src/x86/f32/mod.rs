//! Float loops: fused multiplications and additions.

mod depthwise;
mod squares;
mod tile;
mod vector;

use super::Avx2;
use crate::Conv2dF32;
use crate::tiled::f32::{PRODUCTS, SquareOutputs, Strip, Tiles, Weights};

/// A value of [`Avx2`] proves the features that the loops need.
impl Tiles for Avx2 {
    const BLOCK: usize = 16;

    unsafe fn vector(self, operands: &Conv2dF32<'_>) {
        // SAFETY: the features are there.
        unsafe { vector::multiply(operands) }
    }

    unsafe fn strip(self, weights: &Weights<'_>, strip: &Strip<'_>) {
        // SAFETY: the caller's promise, and the features are there.
        unsafe { tile::strip(weights, strip) }
    }

    unsafe fn depthwise(self, convolution: &Weights<'_>, weights: &[f32], strip: &Strip<'_>) {
        let Weights {
            geometry,
            bias,
            limits,
            ..
        } = *convolution;
        // SAFETY: the caller's promise, and the features are there.
        unsafe { depthwise::strip(strip, geometry, weights, bias, limits) }
    }

    unsafe fn square_inputs(
        self,
        pixels: &[*const f32; PRODUCTS],
        channels: usize,
        to: *mut f32,
        apart: usize,
    ) {
        // SAFETY: the caller's promise, and the features are there.
        unsafe { squares::inputs(pixels, channels, to, apart) }
    }

    unsafe fn square_outputs(self, outputs: &SquareOutputs<'_>, to: *mut f32) {
        // SAFETY: the caller's promise, and the features are there.
        unsafe { squares::outputs(outputs, to) }
    }
}
