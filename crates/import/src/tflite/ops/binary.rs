//! Element-wise operators of two tensors.

use crate::tflite::call::{Call, Refusal};
use runtime::host::Activation;
use runtime::ops::binary::{Binary, Function};

/// With a fused activation.
pub(super) fn import(call: &mut Call<'_, '_>, function: Function) -> Result<(), Refusal> {
    let activation = call.activation(0)?;
    finish(
        call,
        Binary {
            function,
            activation,
        },
    )
}

/// Without one.
pub(super) fn plain(call: &mut Call<'_, '_>, function: Function) -> Result<(), Refusal> {
    let activation = Activation::None;
    finish(
        call,
        Binary {
            function,
            activation,
        },
    )
}

fn finish(call: &mut Call<'_, '_>, binary: Binary) -> Result<(), Refusal> {
    let inputs = [call.input(0)?, call.input(1)?];
    call.finish(binary, &inputs)
}

/// The square, which is of floats alone.
pub(super) fn square(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let input = call.input(0)?;
    let binary = Binary {
        function: Function::Mul,
        activation: Activation::None,
    };
    call.finish(binary, &[input, input])
}
