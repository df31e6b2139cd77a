//! SVDF of int8 with a state of int16, and of floats: what filters see, a history of it, and filters
//! along time.

use super::symmetric::symmetric;
use crate::tflite::call::{Call, Refusal};
use crate::tflite::schema::{Element, Tensor};
use crate::tflite::tensor::Held;
use graph::{DType, Data, Quantization, Shape, ValueId};
use runtime::host::Activation;
use runtime::ops::binary::{Binary, Function as Of2};
use runtime::ops::fully_connected::FullyConnected;
use runtime::ops::history::History;
use runtime::ops::reduce::{Function as Fold, Reduce};
use runtime::ops::reshape::Reshape;
use runtime::ops::svdf_features::SvdfFeatures;
use runtime::ops::svdf_time::SvdfTime;

pub(super) fn import(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (input, weights) = (call.input(0)?, call.constant(1, "weights")?);
    call.refuse_hybrid(input, weights)?;
    if call.value(input).dtype == DType::F32 {
        return floats(call, [input, weights]);
    }
    let [input, weights] = symmetric(call, [input, weights], 1)?;
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

/// Of floats, in operators that there are for each part of it.
fn floats(call: &mut Call<'_, '_>, [input, weights]: [ValueId; 2]) -> Result<(), Refusal> {
    let rank = call.option_size(0, 0)?;
    let activation = call.activation(1)?;
    let time = call.constant(2, "weights along time")?;
    let (&[batch, _], &[filters, steps]) = (call.shape(input).dims(), call.shape(time).dims())
    else {
        return Err("its input or its weights along time are no matrix".into());
    };
    if !(filters as usize).is_multiple_of(rank) {
        return Err(format!("{filters} filters are no units of rank {rank}").into());
    }
    let units = filters / rank as u32;
    let plain = Activation::None;
    let seen = FullyConnected { activation: plain };
    let seen = call.push(seen, &[input, weights], None)?;
    let newest = reshaped(call, seen, &[batch, filters, 1])?;
    let history = History {
        axis: 2,
        steps: steps as usize,
    };
    let kept = call.push(history, &[newest], None)?;
    let product = Binary {
        function: Of2::Mul,
        activation: plain,
    };
    let weighted = call.push(product, &[kept, time], None)?;
    let of_units = reshaped(call, weighted, &[batch, units, rank as u32 * steps])?;
    let sum = Reduce {
        function: Fold::Sum,
        first: 2,
        last: 2,
    };
    let sums = call.push(sum, &[of_units], None)?;
    let sums = reshaped(call, sums, &[batch, units])?;
    let bias = match call.optional(3)? {
        Some(_) => call.constant(3, "biases")?,
        None => {
            let shape = Shape::new(&[units]).ok_or("too many dimensions")?;
            let data = Data::F32(vec![0.0; units as usize]);
            let quantization: Option<Quantization> = None;
            call.held(weights, shape, Held { data, quantization })
        }
    };
    let biased = Binary {
        function: Of2::Add,
        activation,
    };
    call.finish(biased, &[sums, bias])
}

fn reshaped(call: &mut Call<'_, '_>, value: ValueId, dims: &[u32]) -> Result<ValueId, Refusal> {
    let shape = Shape::new(dims).ok_or("too many dimensions")?;
    call.push(Reshape { shape }, &[value], None)
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
