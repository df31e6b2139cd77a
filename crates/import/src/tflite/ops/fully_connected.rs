//! Fully connected layers: weights are `[O, I]`, and the input is as many rows of `I` as it holds.

use super::convolution::biases;
use super::symmetric::symmetric;
use crate::tflite::call::{Call, Refusal};
use graph::Shape;
use runtime::ops::fully_connected::FullyConnected;
use runtime::ops::reshape::Reshape;

pub(super) fn import(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (input, weights) = (call.input(0)?, call.constant(1, "weights")?);
    call.refuse_hybrid(input, weights)?;
    if call.option_i8(1)? != 0 {
        return Err("its weights are shuffled; convert the model without that option".into());
    }
    let (shape, dims) = (call.shape(input), call.shape(weights));
    let columns = dims.dim(1);
    if dims.rank() != 2 || columns == 0 || !shape.elements().is_multiple_of(columns) {
        return Err(format!("weights {dims} do not fit an input of {shape}").into());
    }
    let rows = Shape::new(&[(shape.elements() / columns) as u32, columns as u32]);
    let rows = rows.ok_or("too many dimensions")?;
    let flat = match shape == rows {
        true => input,
        false => {
            let quantization = call.value(input).quantization.clone();
            call.push(Reshape { shape: rows }, &[input], quantization)?
        }
    };
    let [flat, weights] = symmetric(call, [flat, weights], 1)?;
    let mut inputs = vec![flat, weights];
    inputs.extend(biases(call, 2, input, weights)?);
    let activation = call.activation(0)?;
    call.finish(FullyConnected { activation }, &inputs)
}
