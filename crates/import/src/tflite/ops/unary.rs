//! Element-wise functions of one tensor.

use crate::tflite::call::{Call, Refusal};
use runtime::ops::unary::{Function, Unary};

/// `y = function(x)`.
pub(super) fn import(call: &mut Call<'_, '_>, function: Function) -> Result<(), Refusal> {
    let input = call.input(0)?;
    call.finish(Unary { function }, &[input])
}

/// The slope below zero is an option.
pub(super) fn leaky_relu(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let slope = call.option_f32(0, 0.0)?;
    import(call, Function::LeakyRelu(slope))
}

/// By the error function, or approximated by tanh.
pub(super) fn gelu(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let is_exact = call.option_i8(0)? == 0;
    import(
        call,
        match is_exact {
            true => Function::Gelu,
            false => Function::GeluTanh,
        },
    )
}
