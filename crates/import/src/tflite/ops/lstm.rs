//! UNIDIRECTIONAL_SEQUENCE_LSTM of int8 with cells of int16, or of floats, whose state stays from run to
//! run: without peepholes, projection and layer normalization, as TensorFlow Lite Micro takes it.

use crate::tflite::call::{Call, Refusal};
use crate::tflite::tensor::{self, Held};
use graph::{DType, Data, Quantization, Shape, ValueId};
use runtime::ops::lstm::Lstm;

/// Where the operands of all gates start: those of the gates input, forget, cell, output follow.
const WEIGHTS: usize = 1;
const RECURRENCE: usize = 5;
const BIASES: usize = 12;

/// Operands whose presence makes it another layer.
const OTHERS: [(&str, std::ops::Range<usize>); 3] = [
    ("peepholes", 9..12),
    ("projections", 16..18),
    ("layer normalization", 20..24),
];

/// The states that it keeps.
const HIDDEN: usize = 18;
const CELL: usize = 19;

/// The code of tanh among fused activations.
const TANH: i8 = 4;

pub(super) fn import(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let operands = &call.operator.inputs;
    let is_there = |index: &usize| operands.get(*index).copied().flatten().is_some();
    for (what, mut range) in OTHERS {
        if range.any(|index| is_there(&index)) {
            let remedy = "train it without, as TensorFlow Lite Micro needs it too";
            return Err(Refusal::new(
                format!("layers with {what} are not supported"),
                remedy,
            ));
        }
    }
    if !(WEIGHTS..RECURRENCE + 4).all(|index| is_there(&index)) {
        let remedy = "train it with an input gate of its own";
        return Err(Refusal::new(
            "a coupled input gate is not supported",
            remedy,
        ));
    }
    if call.option_i8(0)? != TANH {
        return Err("its activation is not tanh".into());
    }
    let layer = Lstm {
        cell_clip: call.option_f32(1, 0.0)?.max(0.0),
        is_time_first: call.option_i8(3)? != 0,
    };
    let (input, first) = (call.input(0)?, call.constant(WEIGHTS, "weights")?);
    call.refuse_hybrid(input, first)?;
    let weights = stacked(call, WEIGHTS, "weights")?;
    let recurrence = stacked(call, RECURRENCE, "recurrent weights")?;
    let biases = stacked(call, BIASES, "biases")?;
    let states = [quantization(call, HIDDEN)?, quantization(call, CELL)?];
    let [hidden, cell] = states;
    let inputs = [input, weights, recurrence, biases];
    let outputs = call.push_all(layer, &inputs, &[hidden.clone(), hidden, cell])?;
    let &output = outputs.first().ok_or("it has no output")?;
    call.deliver(output)
}

/// What the integers of a state stand for.
fn quantization(call: &Call<'_, '_>, index: usize) -> Result<Option<Quantization>, Refusal> {
    let state = call.operator.inputs.get(index).copied().flatten();
    let state = state.and_then(|index| call.importer.model.tensors.get(index));
    tensor::quantization(state.ok_or_else(|| format!("its state (input {index}) is missing"))?)
}

/// The operands of the four gates one below the other.
fn stacked(call: &mut Call<'_, '_>, start: usize, what: &str) -> Result<ValueId, Refusal> {
    let first = call.constant(start, what)?;
    let (dtype, shape) = (call.value(first).dtype, call.shape(first));
    let (mut bytes, mut scales) = (Vec::new(), Vec::new());
    for index in start..start + 4 {
        let id = call.constant(index, what)?;
        let value = call.value(id);
        let quantization = value.quantization.as_ref();
        let symmetric = quantization.is_none_or(|q| q.axis.is_none() && q.zero_point == 0);
        if value.dtype != dtype || value.shape != shape || !symmetric {
            let reason = format!("its {what} (input {index}) are not like those of the first gate");
            return Err(reason.into());
        }
        let rows = shape.dim(0);
        scales.extend(quantization.iter().flat_map(|q| vec![q.scale(0); rows]));
        bytes.extend_from_slice(value.data.as_ref().map_or(&[][..], Data::bytes));
    }
    let mut dims = shape.dims().to_vec();
    let rows = dims.first_mut().ok_or("its weights are scalars")?;
    *rows = rows.checked_mul(4).ok_or("it has too many units")?;
    let shape = Shape::new(&dims).ok_or("too many dimensions")?;
    let data = Data::from_bytes(dtype, &bytes)?;
    let quantization = (dtype == DType::I8).then_some(Quantization {
        scales,
        zero_point: 0,
        axis: Some(0),
    });
    Ok(call.held(first, shape, Held { data, quantization }))
}
