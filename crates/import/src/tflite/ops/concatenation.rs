//! Tensors one behind the other along an axis. Integers are copied as they are.

use crate::tflite::call::{Call, Refusal};
use runtime::host::Activation;
use runtime::ops::concat::Concat;
use runtime::ops::reshape::Reshape;

pub(super) fn import(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    if call.activation(1)? != Activation::None {
        return Err("a fused activation is not supported here".into());
    }
    let count = call.operator.inputs.len();
    let first = call.input(0)?;
    let axis = call.axis(i64::from(call.option_i32(0, 0)?), call.shape(first).rank())?;
    let quantization = call.value(first).quantization.clone();
    let mut inputs = Vec::new();
    for index in 0..count {
        let input = call.input(index)?;
        call.alike(input, first)?;
        let (shape, own) = (call.shape(input), call.value(input).quantization.clone());
        inputs.push(match own == quantization {
            true => input,
            false => call.push(Reshape { shape }, &[input], quantization.clone())?,
        });
    }
    call.shared_quantization(first)?;
    let joined = call.push(Concat { axis }, &inputs, quantization)?;
    call.deliver(joined)
}
