//! Lengths: L2_NORMALIZATION divides rows by theirs, L2_POOL_2D takes the root of mean squares.

use super::{binary, pool};
use crate::tflite::call::{Call, Refusal};
use graph::DType;
use runtime::host::Activation;
use runtime::ops::average_pool_2d::{AveragePool2d, Halves};
use runtime::ops::binary::Function as Binary;
use runtime::ops::l2_normalize::L2Normalize;
use runtime::ops::unary::{Function, Unary};

/// L2_NORMALIZATION.
pub(super) fn normalize(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    if call.activation(0)? != Activation::None {
        return Err("a fused activation is not supported here".into());
    }
    let input = call.input(0)?;
    call.finish(L2Normalize, &[input])
}

/// L2_POOL_2D, which is of floats alone.
pub(super) fn pool(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let input = call.input(0)?;
    let dtype = call.value(input).dtype;
    if dtype != DType::F32 {
        return Err(format!("it pools {dtype}, and roots of squares are those of floats").into());
    }
    let pool = AveragePool2d {
        window: pool::window(call)?,
        count_include_pad: false,
        halves: Halves::Away,
        activation: Activation::None,
    };
    let bent = match call.activation(5)? {
        Activation::None => None,
        Activation::Relu => Some(Function::Relu),
        Activation::Clip(low, high) => Some(Function::Clip(low, high)),
    };
    let squares = call.push(binary::of(Binary::Mul), &[input, input], None)?;
    let mut pooled = call.push(pool, &[squares], None)?;
    for function in [Some(Function::Sqrt), bent].into_iter().flatten() {
        pooled = call.push(Unary { function }, &[pooled], None)?;
    }
    call.deliver(pooled)
}
