//! int16 activations with int8 weights: one function per inner loop, plain Rust on every
//! architecture.

#[cfg(any(test, feature = "std"))]
use crate::threads::Layer;
use crate::{AddI16, Conv2dI16, Conv2dLong, LineI16, PoolI16, scalar};

/// A convolution of one image, depthwise ones included.
pub fn conv_2d(operands: &Conv2dI16<'_>) {
    #[cfg(any(test, feature = "std"))]
    if operands.binding.threads.divide(Layer::Conv2dI16, operands) {
        return;
    }
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

/// A convolution of one image with sums and biases of 64 bits.
pub fn conv_2d_long(operands: &Conv2dLong<'_>) {
    scalar::long::conv_2d_long(operands);
}

/// The mean of each window, halves away from zero.
pub fn average_pool_2d(operands: &PoolI16<'_>) {
    scalar::pool::average_pool_2d(operands);
}

/// The largest element of each window.
pub fn max_pool_2d(operands: &PoolI16<'_>) {
    scalar::pool::max_pool_2d(operands);
}

/// The point of a table of 513 at an input, on a straight line between two.
pub fn interpolated(table: &[i16], input: i16) -> i16 {
    scalar::i16::interpolated(table, input)
}
