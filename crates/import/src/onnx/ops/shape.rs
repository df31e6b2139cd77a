//! Shape and Size: constants, since every dimension is known at import.

use crate::onnx::call::{Call, Item, Refusal, to_shape};
use graph::Data;
use runtime::host::Tensor;

/// The dimensions from `start` to `end`.
pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let shape = call.shape(call.required(0)?);
    let rank = shape.rank() as i64;
    let bound = |value: i64| {
        let from_start = if value < 0 { value.saturating_add(rank) } else { value };
        from_start.clamp(0, rank) as usize
    };
    let start = bound(call.attributes.int("start", 0)?);
    let end = bound(call.attributes.int("end", rank)?).max(start);
    let dims: Vec<i64> = shape.dims()[start..end].iter().map(|&d| i64::from(d)).collect();
    whole_numbers(call, &[dims.len()], dims)
}

/// The number of elements.
pub(super) fn size(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let elements = call.shape(call.required(0)?).elements() as i64;
    whole_numbers(call, &[], vec![elements])
}

fn whole_numbers(
    call: &mut Call<'_>,
    dims: &[usize],
    values: Vec<i64>,
) -> Result<Vec<Item>, Refusal> {
    let tensor = Tensor { shape: to_shape(dims)?, data: Data::I64(values) };
    Ok(vec![call.constant(tensor)?])
}
