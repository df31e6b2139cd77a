//! Weights around zero. Those of old files are unsigned bytes around any number: less that number they
//! need 9 bits. Where they do, they become the sum of several weights of int8 that all see the same
//! input, which is then there as often: exact, for as many more multiplications.

use crate::tflite::call::{Call, Refusal};
use crate::tflite::tensor::Held;
use graph::{Data, Quantization, Shape, ValueId};
use runtime::host::{split_weights, weight_parts};
use runtime::ops::concat::Concat;
use runtime::ops::reshape::Reshape;

/// What is said of a model with such layers.
const NOTE: &str =
    "weights around other numbers than zero need 9 bits, and are multiplied in parts";

/// An input `[..., I]` and weights `[O, ..., I / groups]` around zero, for the same products.
pub(super) fn symmetric(
    call: &mut Call<'_, '_>,
    [input, weights]: [ValueId; 2],
    groups: usize,
) -> Result<[ValueId; 2], Refusal> {
    let value = call.value(weights);
    let zero = value.quantization.as_ref().map_or(0, |q| q.zero_point);
    let (Some(Data::I8(values)), 1..) = (&value.data, zero.unsigned_abs()) else {
        return Ok([input, weights]);
    };
    let moved: Vec<i32> = values.iter().map(|&w| i32::from(w) - zero).collect();
    let parts = weight_parts(&moved);
    let row = value.shape.last().max(1);
    let mut dims = value.shape.dims().to_vec();
    if let Some(last) = dims.last_mut() {
        *last *= parts as u32;
    }
    let quantization = value.quantization.clone().map(|quantization| Quantization {
        zero_point: 0,
        ..quantization
    });
    let shape = Shape::new(&dims).ok_or("too many dimensions")?;
    let data = Data::I8(split_weights(&moved, row, parts));
    let split = call.held(weights, shape, Held { data, quantization });
    if parts == 1 {
        return Ok([input, split]);
    }
    let notes = &mut call.importer.notes;
    if !notes.iter().any(|note| note == NOTE) {
        notes.push(NOTE.into());
    }
    Ok([repeated(call, input, groups.max(1), parts)?, split])
}

/// The channels of every group several times, one time after the other.
fn repeated(
    call: &mut Call<'_, '_>,
    input: ValueId,
    groups: usize,
    times: usize,
) -> Result<ValueId, Refusal> {
    let (shape, quantization) = (call.shape(input), call.value(input).quantization.clone());
    let channels = shape.last();
    let lengthened = |dims: &[u32], more: &[usize]| {
        let mut dims = dims.to_vec();
        dims.pop();
        dims.extend(more.iter().map(|&size| size as u32));
        Shape::new(&dims).ok_or("too many dimensions")
    };
    let apart = lengthened(shape.dims(), &[groups, channels / groups])?;
    let whole = lengthened(shape.dims(), &[channels * times])?;
    let apart = call.push(Reshape { shape: apart }, &[input], quantization.clone())?;
    let axis = shape.rank();
    let joined = call.push(Concat { axis }, &vec![apart; times], quantization.clone())?;
    call.push(Reshape { shape: whole }, &[joined], quantization)
}
