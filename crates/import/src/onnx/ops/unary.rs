//! Element-wise functions of one tensor.

use crate::onnx::call::{Call, Item, Refusal};
use runtime::ops::unary::{Function, Unary};

/// `y = function(x)`.
pub(super) fn import(call: &mut Call<'_>, function: Function) -> Result<Vec<Item>, Refusal> {
    let x = call.float(0)?;
    Ok(vec![call.push(Unary { function }, &[x])?])
}

/// Attribute `alpha` is the slope below zero.
pub(super) fn leaky_relu(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let slope = call.attributes.float("alpha", 0.01)?;
    import(call, Function::LeakyRelu(slope))
}

/// Attribute `alpha` scales the exponential.
pub(super) fn elu(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let alpha = call.attributes.float("alpha", 1.0)?;
    import(call, Function::Elu(alpha))
}

/// Attributes `alpha` and `beta` are slope and offset.
pub(super) fn hard_sigmoid(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let alpha = call.attributes.float("alpha", 0.2)?;
    let beta = call.attributes.float("beta", 0.5)?;
    import(call, Function::HardSigmoid(alpha, beta))
}
