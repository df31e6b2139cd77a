//! Gather of constants, as exporters use it to pick dimensions.

use crate::onnx::call::{Call, Item, Refusal, sizes, to_shape};
use crate::onnx::constant::select;
use runtime::host::Tensor;

pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let data = call.required_constant(0, "data")?;
    let indices = call.required_constant(1, "indices")?;
    let dims = sizes(&data.shape);
    let axis = call.axis(call.attributes.int("axis", 0)?, dims.len())?;
    let rows: Result<Vec<usize>, _> =
        indices.data.to_i64()?.into_iter().map(|index| call.axis(index, dims[axis])).collect();
    let rows = rows.map_err(|_| format!("an index is outside the {} elements", dims[axis]))?;
    let result = [&dims[..axis], &sizes(&indices.shape), &dims[axis + 1..]].concat();
    let shape = to_shape(&result)?;
    call.afford(&shape)?;
    let outer: usize = dims[..axis].iter().product();
    let inner: usize = dims[axis + 1..].iter().product();
    let flat = (0..outer).flat_map(|o| {
        let length = dims[axis];
        rows.iter().map(move |&row| (o * length + row) * inner)
    });
    let flat = flat.flat_map(|start| start..start + inner);
    let tensor = Tensor { shape, data: select(&data.data, flat) };
    Ok(vec![call.rearranged(call.name.clone(), tensor)])
}
