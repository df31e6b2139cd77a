//! What the shapes of the file say: SHAPE, BROADCAST_ARGS, and constants of a shape, ZEROS_LIKE and FILL.

use super::repeat;
use crate::tflite::call::{Call, Refusal};
use graph::{DType, Data};

/// SHAPE: the dimensions that the file declares.
pub(super) fn shape(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let operand = call.operator.inputs.first().copied().flatten();
    let tensor = operand.and_then(|index| call.importer.model.tensors.get(index));
    let shape = tensor.ok_or("input 0 is missing")?.shape;
    let dims: Vec<i64> = shape.dims().iter().map(|&size| size.into()).collect();
    finish(call, &dims)
}

/// BROADCAST_ARGS: the dimensions that two others stretch to.
pub(super) fn broadcast(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (a, b) = (
        call.numbers(0, "dimensions")?,
        call.numbers(1, "dimensions")?,
    );
    let rank = a.len().max(b.len());
    let size = |dims: &[i64], axis: usize| match (axis + dims.len()).checked_sub(rank) {
        Some(at) => dims.get(at).copied().unwrap_or(1),
        None => 1,
    };
    let stretched = (0..rank).map(|axis| match (size(&a, axis), size(&b, axis)) {
        (x, 1) => Ok(x),
        (1, y) => Ok(y),
        (x, y) if x == y => Ok(x),
        _ => Err(format!("{a:?} and {b:?} do not stretch to each other")),
    });
    let dims: Vec<i64> = stretched.collect::<Result<_, _>>()?;
    finish(call, &dims)
}

/// Makes dimensions the output, in its type.
fn finish(call: &mut Call<'_, '_>, dims: &[i64]) -> Result<(), Refusal> {
    let data = match call.output_dtype()? {
        DType::I32 => Data::I32(dims.iter().map(|&size| size as i32).collect()),
        DType::I64 => Data::I64(dims.to_vec()),
        other => return Err(format!("its dimensions are {other}").into()),
    };
    call.finish_constant(data)
}

/// ZEROS_LIKE: integers of zero, whatever they stand for, as TensorFlow Lite has it.
pub(super) fn zeros(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (dtype, elements) = (call.output_dtype()?, call.constant_elements()?);
    let bytes = vec![0; dtype.bytes() * elements];
    call.finish_constant(Data::from_bytes(dtype, &bytes)?)
}

/// FILL: one number everywhere. The dimensions must be those that the file declares.
pub(super) fn fill(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let dims = call.numbers(0, "dimensions")?;
    let shape = call.output()?.shape;
    let declared = shape.dims().iter().map(|&size| i64::from(size));
    if !declared.eq(dims.iter().copied()) {
        return Err(format!("it fills {dims:?} where the file declares {shape}").into());
    }
    let value = call.input(1)?;
    if call.shape(value).elements() != 1 {
        return Err(format!("it fills with {} instead of one number", call.shape(value)).into());
    }
    call.shared_quantization(value)?;
    let Some(data) = &call.value(value).data else {
        return repeat::stretch(call, value, shape);
    };
    let bytes = data.bytes().repeat(call.constant_elements()?);
    let data = Data::from_bytes(data.dtype(), &bytes)?;
    call.finish_constant(data)
}
