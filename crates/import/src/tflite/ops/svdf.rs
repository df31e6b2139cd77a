//! SVDF of int8 with a state of int16: what filters see, a history of it, and filters along time.

use super::convolution::symmetric;
use crate::tflite::call::{Call, Refusal};
use crate::tflite::schema::{Element, Tensor};
use crate::tflite::tensor::Held;
use graph::{DType, Data, Quantization, Shape};
use runtime::ops::history::History;
use runtime::ops::svdf_features::SvdfFeatures;
use runtime::ops::svdf_time::SvdfTime;

pub(super) fn import(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (input, weights) = (call.input(0)?, call.constant(1, "weights")?);
    if call.value(input).dtype != DType::I8 {
        return Err(Refusal::new(
            "only SVDF of int8 is supported",
            "convert the model with full integer quantization",
        ));
    }
    let weights = symmetric(call, weights)?;
    let rank = call.option_size(0, 0)?;
    let activation = call.activation(1)?;
    let state = int16(call, 4, "state")?;
    let of_state = state.quantization.clone();
    let time = int16(call, 2, "weights along time")?;
    let (shape, of_time) = (time.shape, time.quantization.clone());
    let data = Data::from_bytes(DType::I16, time.content)?;
    if shape.rank() != 2 || data.len() != shape.elements() {
        return Err(format!("its weights along time are {shape}").into());
    }
    let (steps, filters) = (shape.dim(1), shape.dim(0));
    let time = call.held(
        weights,
        shape,
        Held {
            data,
            quantization: of_time,
        },
    );
    let seen = call.push(SvdfFeatures, &[input, weights], of_state.clone())?;
    let history = History { axis: 2, steps };
    let kept = call.push(history, &[seen], of_state)?;
    let bias = match call.optional(3)? {
        Some(_) => call.constant(3, "biases")?,
        None => {
            let units = (filters / rank) as u32;
            let shape = Shape::new(&[units]).ok_or("too many dimensions")?;
            let data = Data::I32(vec![0; units as usize]);
            let quantization: Option<Quantization> = None;
            call.held(weights, shape, Held { data, quantization })
        }
    };
    call.finish(SvdfTime { rank, activation }, &[kept, time, bias])
}

/// Operand `index`, which must be int16 with one scale.
fn int16<'a>(call: &Call<'_, 'a>, index: usize, what: &str) -> Result<Tensor<'a>, Refusal> {
    let tensor = call.operator.inputs.get(index).copied().flatten();
    let tensor = tensor.and_then(|tensor| call.importer.model.tensors.get(tensor));
    let tensor = tensor.ok_or_else(|| format!("its {what} (input {index}) is missing"))?;
    let symmetric = tensor.quantization.as_ref();
    let symmetric = symmetric.is_some_and(|q| q.axis.is_none() && q.zero_point == 0);
    if tensor.element != Element::I16 || !symmetric {
        return Err(Refusal::new(
            format!("its {what} (input {index}) is not int16 with one scale"),
            "convert the model again with a converter of today",
        ));
    }
    Ok(tensor.clone())
}
