//! Float loops: fused multiplications and additions.

mod depthwise;
mod tile;
mod vector;

use super::Neon;
use crate::Conv2dF32;
use crate::tiled::f32::{Strip, Tiles, Weights};

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
}
