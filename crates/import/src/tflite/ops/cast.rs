//! Between element types, integers as they are stored: what they stand for is left out of it.

use crate::tflite::call::{Call, Refusal};
use crate::tflite::schema::Element;
use graph::ValueId;
use runtime::ops::cast::Cast;
use runtime::ops::reshape::Reshape;

pub(super) fn import(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let moved = |element: Element, is_quantized: bool| element == Element::U8 && is_quantized;
    let from = call.operator.inputs.first().copied().flatten();
    let from = from.and_then(|index| call.importer.model.tensors.get(index));
    let to = call.output()?;
    let is_moved = from.is_some_and(|from| moved(from.element, from.quantization.is_some()));
    if is_moved || moved(to.element, to.quantization.is_some()) {
        return Err(Refusal::new(
            "it casts quantized unsigned bytes, which are signed ones here",
            "convert the model with int8",
        ));
    }
    let input = call.input(0)?;
    let plain = plain(call, input)?;
    let to = call.output_dtype()?;
    let cast = match call.value(plain).dtype == to {
        true => plain,
        false => call.push(Cast { to }, &[plain], None)?,
    };
    call.deliver(cast)
}

/// The integers of a value as numbers.
pub(super) fn plain(call: &mut Call<'_, '_>, input: ValueId) -> Result<ValueId, Refusal> {
    if call.value(input).quantization.is_none() {
        return Ok(input);
    }
    let shape = call.shape(input);
    call.push(Reshape { shape }, &[input], None)
}
