//! Operators that only change dimensions: Reshape, Flatten, Squeeze, Unsqueeze.

use crate::onnx::call::{Call, Item, Refusal, sizes};

/// Dimension 0 keeps the input's (unless `allowzero`), -1 is what is left.
pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let wanted = call.required_constant(1, "shape")?.data.to_i64()?;
    let keeps_zero = call.attributes.flag("allowzero")?;
    let from = call.shape(x);
    let mut dims = Vec::new();
    let mut open = None;
    for (axis, &size) in wanted.iter().enumerate() {
        dims.push(match size {
            0 if !keeps_zero && axis < from.rank() => from.dim(axis),
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            size => usize::try_from(size).map_err(|_| format!("{wanted:?} is not a shape"))?,
        });
    }
    let fixed = dims.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    if let (Some(axis), Some(fixed @ 1..)) = (open, fixed) {
        dims[axis] = from.elements() / fixed;
    }
    let product = dims.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    if product != Some(from.elements()) {
        let reason = format!("{from} cannot become {wanted:?}");
        let remedy = "check the shape, or give the batch size that it was made for with --dim";
        return Err(Refusal::new(reason, remedy));
    }
    Ok(vec![call.reshape(x, &dims)?])
}

/// Two dimensions: those before `axis`, and the rest.
pub(super) fn flatten(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let dims = sizes(&call.shape(x));
    // The axis may also stand behind the last.
    let axis = match call.attributes.int("axis", 1)? {
        axis if axis == dims.len() as i64 => dims.len(),
        axis => call.axis(axis, dims.len())?,
    };
    let halves = [dims[..axis].iter().product(), dims[axis..].iter().product()];
    Ok(vec![call.reshape(x, &halves)?])
}

/// Axes of Squeeze and Unsqueeze: an attribute before operator set 13, then an operand.
fn axes(call: &Call<'_>, rank: usize) -> Result<Option<Vec<usize>>, Refusal> {
    let given = if call.opset < 13 {
        call.attributes.ints("axes")?.map(<[i64]>::to_vec)
    } else {
        match call.optional_constant(1, "axes")? {
            Some(tensor) => Some(tensor.data.to_i64()?),
            None => None,
        }
    };
    let Some(given) = given else { return Ok(None) };
    let axes: Result<Vec<usize>, _> = given.iter().map(|&axis| call.axis(axis, rank)).collect();
    let mut axes = axes?;
    axes.sort_unstable();
    let count = axes.len();
    axes.dedup();
    if axes.len() == count { Ok(Some(axes)) } else { Err("names an axis twice".into()) }
}

/// Removes dimensions of 1: those named, or all.
pub(super) fn squeeze(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let dims = sizes(&call.shape(x));
    let removed = match axes(call, dims.len())? {
        Some(axes) => axes,
        None => (0..dims.len()).filter(|&axis| dims[axis] == 1).collect(),
    };
    if let Some(axis) = removed.iter().find(|&&axis| dims[axis] != 1) {
        return Err(format!("axis {axis} has {} elements, not 1", dims[*axis]).into());
    }
    let kept = (0..dims.len()).filter(|axis| !removed.contains(axis));
    let kept: Vec<usize> = kept.map(|axis| dims[axis]).collect();
    Ok(vec![call.reshape(x, &kept)?])
}

/// Inserts dimensions of 1 where the axes stand in the result.
pub(super) fn unsqueeze(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let mut dims = sizes(&call.shape(x));
    let count = match call.opset {
        ..13 => call.attributes.ints("axes")?.map_or(0, <[i64]>::len),
        _ => call.required_constant(1, "axes")?.data.len(),
    };
    for axis in axes(call, dims.len().saturating_add(count))?.ok_or("its axes are missing")? {
        dims.insert(axis, 1);
    }
    Ok(vec![call.reshape(x, &dims)?])
}
