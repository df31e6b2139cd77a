//! The operators that this image links: all of them, or those whose features are chosen, so that
//! an image for one model holds only what that model needs.

use runtime::Op;

/// Every operator that there is.
#[cfg(feature = "every")]
pub static OPERATORS: &[&Op] = runtime::ops::ALL;

/// Every operator of the features chosen.
#[cfg(not(feature = "every"))]
pub static OPERATORS: &[&Op] = &[
    #[cfg(feature = "conv_2d")]
    &runtime::ops::conv_2d::I8,
    #[cfg(all(feature = "conv_2d", feature = "int16"))]
    &runtime::ops::conv_2d::I16,
    #[cfg(all(feature = "conv_2d", feature = "int16"))]
    &runtime::ops::conv_2d::LONG_I16,
    #[cfg(all(feature = "conv_2d", feature = "float"))]
    &runtime::ops::conv_2d::F32,
    #[cfg(feature = "binary")]
    &runtime::ops::binary::ADD_I8,
    #[cfg(all(feature = "binary", feature = "int16"))]
    &runtime::ops::binary::ADD_I16,
    #[cfg(all(feature = "binary", feature = "float"))]
    &runtime::ops::binary::F32,
    #[cfg(feature = "average_pool_2d")]
    &runtime::ops::average_pool_2d::I8,
    #[cfg(feature = "average_pool_2d")]
    &runtime::ops::average_pool_2d::SCALED_I8,
    #[cfg(all(feature = "average_pool_2d", feature = "stepwise"))]
    &runtime::ops::average_pool_2d::UP_I8,
    #[cfg(all(feature = "average_pool_2d", feature = "stepwise"))]
    &runtime::ops::average_pool_2d::EVEN_I8,
    #[cfg(all(feature = "average_pool_2d", feature = "stepwise"))]
    &runtime::ops::average_pool_2d::REAL_I8,
    #[cfg(all(feature = "average_pool_2d", feature = "int16"))]
    &runtime::ops::average_pool_2d::I16,
    #[cfg(all(feature = "average_pool_2d", feature = "int16"))]
    &runtime::ops::average_pool_2d::SCALED_I16,
    #[cfg(all(feature = "average_pool_2d", feature = "float"))]
    &runtime::ops::average_pool_2d::F32,
    #[cfg(feature = "max_pool_2d")]
    &runtime::ops::max_pool_2d::I8,
    #[cfg(all(feature = "max_pool_2d", feature = "int16"))]
    &runtime::ops::max_pool_2d::I16,
    #[cfg(all(feature = "max_pool_2d", feature = "float"))]
    &runtime::ops::max_pool_2d::F32,
    #[cfg(feature = "unary")]
    &runtime::ops::unary::I8,
    #[cfg(all(feature = "unary", feature = "int16"))]
    &runtime::ops::unary::I16,
    #[cfg(all(feature = "unary", feature = "int16"))]
    &runtime::ops::unary::SIGMOID_I16,
    #[cfg(all(feature = "unary", feature = "int16"))]
    &runtime::ops::unary::BENT_I16,
    #[cfg(all(feature = "unary", feature = "float"))]
    &runtime::ops::unary::F32,
    #[cfg(feature = "softmax")]
    &runtime::ops::softmax::I8,
    #[cfg(all(feature = "softmax", feature = "stepwise"))]
    &runtime::ops::softmax::SCALED_I8,
    #[cfg(all(feature = "softmax", feature = "int16"))]
    &runtime::ops::softmax::I16,
    #[cfg(all(feature = "softmax", feature = "float"))]
    &runtime::ops::softmax::F32,
    #[cfg(feature = "concat")]
    &runtime::ops::concat::ANY,
    #[cfg(feature = "transpose")]
    &runtime::ops::transpose::ANY,
    #[cfg(feature = "pad")]
    &runtime::ops::pad::ANY,
    #[cfg(feature = "quantize")]
    &runtime::ops::quantize::F32_TO_I8,
    #[cfg(all(feature = "quantize", feature = "int16"))]
    &runtime::ops::quantize::F32_TO_I16,
    #[cfg(feature = "quantize")]
    &runtime::ops::quantize::RESCALE,
    #[cfg(feature = "log_mel")]
    &runtime::ops::log_mel::I16,
    #[cfg(feature = "history")]
    &runtime::ops::history::ANY,
    #[cfg(feature = "history")]
    &runtime::ops::history::STARTED,
    #[cfg(feature = "lstm")]
    &runtime::ops::lstm::I8,
    #[cfg(all(feature = "lstm", feature = "float"))]
    &runtime::ops::lstm::F32,
    #[cfg(feature = "slice")]
    &runtime::ops::slice::ANY,
    #[cfg(all(feature = "reduce", feature = "float"))]
    &runtime::ops::reduce::F32,
    #[cfg(feature = "mean")]
    &runtime::ops::mean::I8,
    #[cfg(all(feature = "mean", feature = "int16"))]
    &runtime::ops::mean::I16,
    #[cfg(all(feature = "mean", feature = "float"))]
    &runtime::ops::mean::F32,
    #[cfg(feature = "stepwise")]
    &runtime::ops::binary::STEPWISE_I8,
    #[cfg(all(feature = "stepwise", feature = "int16"))]
    &runtime::ops::binary::STEPWISE_I16,
    #[cfg(feature = "dequantize")]
    &runtime::ops::dequantize::I8_TO_F32,
    #[cfg(all(feature = "dequantize", feature = "int16"))]
    &runtime::ops::dequantize::I16_TO_F32,
];
