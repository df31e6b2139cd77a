//! Between element types, integers as they are stored: what they stand for is left out of it.

use crate::tflite::call::{Call, Refusal};
use crate::tflite::schema::{Element, Tensor};
use crate::tflite::tensor::Held;
use graph::{DType, Data, Shape, ValueId};
use runtime::ops::cast::Cast;
use runtime::ops::reshape::Reshape;
use runtime::ops::whole::{Function, WholeNumbers};

pub(super) fn import(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    // Those are held as signed bytes, 128 lower.
    let is_moved =
        |tensor: &Tensor<'_>| tensor.element == Element::U8 && tensor.quantization.is_some();
    let from = call.operator.inputs.first().copied().flatten();
    let from = from.and_then(|index| call.importer.model.tensors.get(index));
    let is_from_moved = from.is_some_and(is_moved);
    let is_to_moved = is_moved(call.output()?);
    let input = call.input(0)?;
    let mut value = plain(call, input)?;
    if is_from_moved && !is_to_moved {
        value = moved(call, value)?;
        value = call.push(Cast { to: DType::U8 }, &[value], None)?;
    }
    if is_to_moved && !is_from_moved {
        value = call.push(Cast { to: DType::U8 }, &[value], None)?;
        value = call.push(Cast { to: DType::I8 }, &[value], None)?;
        value = moved(call, value)?;
    }
    let to = call.output_dtype()?;
    if call.value(value).dtype != to {
        value = call.push(Cast { to }, &[value], None)?;
    }
    call.deliver(value)
}

/// Bytes with their highest bit turned: 128 higher or lower.
fn moved(call: &mut Call<'_, '_>, bytes: ValueId) -> Result<ValueId, Refusal> {
    let highest = Held {
        data: Data::I8(vec![i8::MIN]),
        quantization: None,
    };
    let shape = Shape::new(&[]).ok_or("too many dimensions")?;
    let highest = call.held(bytes, shape, highest);
    let function = Function::Xor;
    call.push(WholeNumbers { function }, &[bytes, highest], None)
}

/// The integers of a value as numbers.
pub(super) fn plain(call: &mut Call<'_, '_>, input: ValueId) -> Result<ValueId, Refusal> {
    if call.value(input).quantization.is_none() {
        return Ok(input);
    }
    let shape = call.shape(input);
    call.push(Reshape { shape }, &[input], None)
}
