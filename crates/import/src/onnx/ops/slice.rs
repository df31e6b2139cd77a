//! Slice of constants: starts, ends, axes and steps are attributes before operator set 10.

use crate::onnx::call::{Call, Item, Refusal, sizes, to_shape};
use crate::onnx::constant::{select, strides, walk};
use runtime::host::Tensor;

pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let data = call.required_constant(0, "data")?;
    let rank = data.shape.rank();
    let starts = numbers(call, "starts", 1)?.ok_or("its starts are missing")?;
    let ends = numbers(call, "ends", 2)?.ok_or("its ends are missing")?;
    let axes = numbers(call, "axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = numbers(call, "steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()].iter().any(|&length| length != starts.len()) {
        return Err("its starts, ends, axes and steps differ in length".into());
    }
    let mut dims = sizes(&data.shape);
    let mut stride = strides(&data.shape);
    let mut first = 0;
    for (i, &axis) in axes.iter().enumerate() {
        let axis = call.axis(axis, rank)?;
        let (start, count) = range(starts[i], ends[i], steps[i], data.shape.dim(axis))?;
        dims[axis] = count;
        first += start * stride[axis] as usize;
        // Where at most one element is left, no step is taken.
        stride[axis] *= if count > 1 { steps[i] as isize } else { 1 };
    }
    let shape = to_shape(&dims)?;
    call.afford(&shape)?;
    let tensor = Tensor { shape, data: select(&data.data, walk(&dims, &stride, first)) };
    Ok(vec![call.rearranged(call.name.clone(), tensor)])
}

fn numbers(call: &Call<'_>, name: &str, index: usize) -> Result<Option<Vec<i64>>, Refusal> {
    if call.opset < 10 {
        return Ok(call.attributes.ints(name)?.map(<[i64]>::to_vec));
    }
    match call.optional_constant(index, name)? {
        Some(tensor) => Ok(Some(tensor.data.to_i64()?)),
        None => Ok(None),
    }
}

/// The first index and the number of indices of `start..end` in steps over `size` elements.
fn range(start: i64, end: i64, step: i64, size: usize) -> Result<(usize, usize), Refusal> {
    let size = size as i64;
    let from_start = |value: i64| if value < 0 { value.saturating_add(size) } else { value };
    let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
    let start = from_start(start).clamp(low.max(0), high.max(0));
    let end = from_start(end).clamp(low, high);
    let count = match step {
        0 => return Err("it has a step of 0".into()),
        1.. if end > start => (end - start - 1) / step + 1,
        ..0 if start > end => ((start - end) as u64 - 1) as i64 / step.saturating_neg() + 1,
        _ => 0,
    };
    Ok((start as usize, if size == 0 { 0 } else { count as usize }))
}
