//! Float loops: fused multiplications and additions of vectors of 256 or of 512 bits. Every output is
//! the same sum in the same order with both.

mod depthwise;
mod lanes;
mod tile;
mod vector;

use super::{Avx2, Avx512Vnni};
use crate::Conv2dF32;
use crate::tiled::f32::{
    PRODUCTS, SquareOutputs, Strip, Tiles, Vector, Weights, square_inputs, square_outputs,
};
use core::arch::x86_64::{__m256, __m512};

/// The loops of a set, of vectors of one length, and as many rows of a fully connected layer at once as leave
/// registers for the input. A value of the set proves the features.
macro_rules! tiles {
    ($set:ty, $vector:ty, $rows:literal, $features:literal) => {
        impl Tiles for $set {
            const BLOCK: usize = 2 * <$vector>::LANES;

            unsafe fn vector(self, operands: &Conv2dF32<'_>) {
                #[target_feature(enable = $features)]
                unsafe fn compiled(operands: &Conv2dF32<'_>) {
                    // SAFETY: the features are there.
                    unsafe {
                        vector::multiply::<$vector, { vector::LINE / <$vector>::LANES }, $rows>(
                            operands,
                        )
                    }
                }
                // SAFETY: the features are there.
                unsafe { compiled(operands) }
            }

            unsafe fn strip(self, weights: &Weights<'_>, strip: &Strip<'_>) {
                // SAFETY: the caller's promise, and the features are there.
                unsafe { tile::strip::<$vector>(weights, strip) }
            }

            unsafe fn depthwise(
                self,
                convolution: &Weights<'_>,
                weights: &[f32],
                strip: &Strip<'_>,
            ) {
                let Weights {
                    geometry,
                    bias,
                    limits,
                    ..
                } = *convolution;
                // SAFETY: the caller's promise, and the features are there.
                unsafe { depthwise::strip::<$vector>(strip, geometry, weights, bias, limits) }
            }

            unsafe fn square_inputs(
                self,
                pixels: &[*const f32; PRODUCTS],
                channels: usize,
                to: *mut f32,
                apart: usize,
            ) {
                #[target_feature(enable = $features)]
                unsafe fn compiled<V: Vector>(
                    pixels: &[*const f32; PRODUCTS],
                    channels: usize,
                    to: *mut f32,
                    apart: usize,
                ) {
                    // SAFETY: the caller's promise.
                    unsafe { square_inputs::<V>(pixels, channels, to, apart) }
                }
                // SAFETY: the caller's promise, and the features are there.
                unsafe {
                    if channels % <$vector>::LANES == 0 {
                        compiled::<$vector>(pixels, channels, to, apart);
                    } else {
                        compiled::<__m256>(pixels, channels, to, apart);
                    }
                }
            }

            unsafe fn square_outputs(self, outputs: &SquareOutputs<'_>, to: *mut f32) {
                #[target_feature(enable = $features)]
                unsafe fn compiled<V: Vector>(outputs: &SquareOutputs<'_>, to: *mut f32) {
                    // SAFETY: the caller's promise.
                    unsafe { square_outputs::<V>(outputs, to) }
                }
                // SAFETY: the caller's promise, and the features are there.
                unsafe {
                    if outputs.channels % <$vector>::LANES == 0 {
                        compiled::<$vector>(outputs, to);
                    } else {
                        compiled::<__m256>(outputs, to);
                    }
                }
            }
        }
    };
}

tiles!(Avx2, __m256, 4, "avx2,fma");
tiles!(Avx512Vnni, __m512, 8, "avx512f,avx2,fma");
