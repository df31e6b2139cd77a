//! int16 activations with int8 weights: one function per inner loop, plain Rust on every
//! architecture.

use crate::{AddI16, Conv2dI16, LineI16, scalar};

/// A convolution of one image, depthwise ones included.
pub fn conv_2d(operands: &Conv2dI16<'_>) {
    scalar::i16::conv_2d(operands);
}

/// The sum of two tensors.
pub fn add(operands: &AddI16<'_>) {
    scalar::i16::add(operands);
}

/// Every element through a table of 513 points.
pub fn lookup(operands: &LineI16<'_>) {
    scalar::i16::lookup(operands);
}
