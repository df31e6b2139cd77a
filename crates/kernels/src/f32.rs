//! Float kernels. Sums may be associated differently on each architecture: results agree to
//! rounding, not to the bit.

use crate::{Architecture, Conv2dF32, Geometry, scalar};

/// Bytes of scratch memory that [`conv_2d`] needs.
pub fn conv_2d_scratch_bytes(_geometry: &Geometry, _architecture: Architecture) -> usize {
    0
}

/// Bytes that [`prepare_conv_2d`] writes: 0 where kernels use the weights of the file in place.
pub fn conv_2d_prepared_bytes(_geometry: &Geometry, _architecture: Architecture) -> usize {
    0
}

/// Packs weights for this machine, once per session.
pub fn prepare_conv_2d(_geometry: &Geometry, _weights: &[f32], _prepared: &mut [u8]) {}

/// A convolution of one image, depthwise ones included.
pub fn conv_2d(operands: &Conv2dF32<'_>) {
    scalar::f32::conv_2d(operands);
}
