//! The operators that this image links: all of them, or those whose features are chosen, so that
//! an image for one model holds only what that model needs.

use runtime::{Op, ops};

/// Every operator that there is.
#[cfg(feature = "every")]
pub static OPERATORS: &[&Op] = ops::ALL;

/// Every operator of the features chosen.
#[cfg(not(feature = "every"))]
pub static OPERATORS: &[&Op] = &[
    #[cfg(feature = "conv_2d")]
    &ops::conv_2d::I8,
    #[cfg(all(feature = "conv_2d", feature = "int16"))]
    &ops::conv_2d::I16,
    #[cfg(all(feature = "conv_2d", feature = "float"))]
    &ops::conv_2d::F32,
    #[cfg(feature = "binary")]
    &ops::binary::ADD_I8,
    #[cfg(all(feature = "binary", feature = "int16"))]
    &ops::binary::ADD_I16,
    #[cfg(all(feature = "binary", feature = "float"))]
    &ops::binary::F32,
    #[cfg(feature = "average_pool_2d")]
    &ops::average_pool_2d::I8,
    #[cfg(feature = "average_pool_2d")]
    &ops::average_pool_2d::SCALED_I8,
    #[cfg(all(feature = "average_pool_2d", feature = "float"))]
    &ops::average_pool_2d::F32,
    #[cfg(feature = "max_pool_2d")]
    &ops::max_pool_2d::I8,
    #[cfg(all(feature = "max_pool_2d", feature = "float"))]
    &ops::max_pool_2d::F32,
    #[cfg(feature = "unary")]
    &ops::unary::I8,
    #[cfg(all(feature = "unary", feature = "int16"))]
    &ops::unary::I16,
    #[cfg(all(feature = "unary", feature = "float"))]
    &ops::unary::F32,
    #[cfg(feature = "softmax")]
    &ops::softmax::I8,
    #[cfg(all(feature = "softmax", feature = "float"))]
    &ops::softmax::F32,
    #[cfg(feature = "concat")]
    &ops::concat::ANY,
    #[cfg(feature = "transpose")]
    &ops::transpose::ANY,
    #[cfg(feature = "pad")]
    &ops::pad::ANY,
    #[cfg(feature = "quantize")]
    &ops::quantize::F32_TO_I8,
    #[cfg(all(feature = "quantize", feature = "int16"))]
    &ops::quantize::F32_TO_I16,
    #[cfg(feature = "quantize")]
    &ops::quantize::RESCALE,
    #[cfg(feature = "dequantize")]
    &ops::dequantize::I8_TO_F32,
    #[cfg(all(feature = "dequantize", feature = "int16"))]
    &ops::dequantize::I16_TO_F32,
];
