//! Float kernels. Sums may be associated differently on each architecture: results agree to
//! rounding, not to the bit.

use crate::{Architecture, Conv2dF32, Geometry, scalar};
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
use crate::{simd128::Simd128, tiled};
#[cfg(target_arch = "x86_64")]
use crate::{tiled, x86};

/// Bytes of scratch memory that [`conv_2d`] needs.
pub fn conv_2d_scratch_bytes(_geometry: &Geometry, architecture: Architecture) -> usize {
    match architecture {
        #[cfg(target_arch = "x86_64")]
        Architecture::Avx2 => tiled::f32::conv_2d_scratch_bytes(_geometry),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Architecture::Simd128 => tiled::f32::conv_2d_scratch_bytes(_geometry),
        _ => 0,
    }
}

/// Bytes that [`prepare_conv_2d`] writes: 0 where kernels use the weights of the file in place.
pub fn conv_2d_prepared_bytes(_geometry: &Geometry, architecture: Architecture) -> usize {
    match architecture {
        #[cfg(target_arch = "x86_64")]
        Architecture::Avx2 => tiled::f32::conv_2d_prepared_bytes(_geometry),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Architecture::Simd128 => tiled::f32::conv_2d_prepared_bytes(_geometry),
        _ => 0,
    }
}

/// Packs weights for this machine, once per session.
pub fn prepare_conv_2d(_geometry: &Geometry, _weights: &[f32], _prepared: &mut [u8]) {
    match Architecture::current() {
        #[cfg(target_arch = "x86_64")]
        Architecture::Avx2 => {
            tiled::f32::prepare_conv_2d::<x86::Avx2>(_geometry, _weights, _prepared)
        }
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Architecture::Simd128 => {
            tiled::f32::prepare_conv_2d::<Simd128>(_geometry, _weights, _prepared)
        }
        _ => {}
    }
}

/// A convolution of one image, depthwise ones included.
pub fn conv_2d(operands: &Conv2dF32<'_>) {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = x86::Avx2::detect() {
        return tiled::f32::conv_2d(avx2, operands);
    }
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    if let Some(simd128) = Simd128::detect() {
        return tiled::f32::conv_2d(simd128, operands);
    }
    scalar::f32::conv_2d(operands);
}
