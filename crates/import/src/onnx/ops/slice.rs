//! Slice: starts, ends, axes and steps are attributes before operator set 10.

use crate::onnx::call::{Call, Item, Refusal, sizes, to_shape};
use crate::onnx::constant::{select, strides, walk};
use runtime::host::Tensor;
use runtime::ops::slice::Slice;

pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let from = call.shape(x);
    let rank = from.rank();
    let starts = numbers(call, "starts", 1)?.ok_or("its starts are missing")?;
    let ends = numbers(call, "ends", 2)?.ok_or("its ends are missing")?;
    let axes = numbers(call, "axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = numbers(call, "steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()]
        .iter()
        .any(|&length| length != starts.len())
    {
        return Err("its starts, ends, axes and steps differ in length".into());
    }
    let mut dims = sizes(&from);
    let mut stride = strides(&from);
    let mut first = 0;
    let mut backward = Vec::new();
    let mut slice = Slice {
        starts: vec![0; rank],
        steps: vec![1; rank],
        sizes: Vec::new(),
    };
    for (i, &axis) in axes.iter().enumerate() {
        let axis = call.axis(axis, rank)?;
        let (start, count) = range(starts[i], ends[i], steps[i], from.dim(axis))?;
        dims[axis] = count;
        first += start * stride[axis] as usize;
        // Where at most one element is left, no step is taken.
        let step = if count > 1 { steps[i] } else { 1 };
        stride[axis] *= step as isize;
        slice.starts[axis] = start;
        if step < 0 {
            backward.push((axis, start, count, step));
            slice.starts[axis] = 0;
        }
        slice.steps[axis] = usize::try_from(step).unwrap_or(1);
    }
    let Some(data) = call.tensor(x) else {
        // Axes that go backward are whole at first, then a table picks from them.
        slice.sizes = dims;
        for &(axis, ..) in &backward {
            slice.sizes[axis] = from.dim(axis);
        }
        let mut result = call.push(slice, &[x])?;
        for (axis, start, count, step) in backward {
            call.room_for(Some(count))?;
            let table = (0..count as i64).map(|at| (start as i64 + at * step) as i32);
            result = call.picked(result, axis, table.collect())?;
        }
        return Ok(vec![result]);
    };
    let shape = to_shape(&dims)?;
    call.afford(&shape)?;
    let tensor = Tensor {
        shape,
        data: select(&data.data, walk(&dims, &stride, first)),
    };
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
    let from_start = |value: i64| {
        if value < 0 {
            value.saturating_add(size)
        } else {
            value
        }
    };
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

#[cfg(test)]
mod tests {
    use super::range;
    use crate::onnx::testing::{Source, ints};

    #[test]
    fn ranges_follow_the_signs() {
        let of = |start, end, step| range(start, end, step, 5).unwrap();
        assert_eq!(of(1, 3, 1), (1, 2));
        assert_eq!(of(-2, i64::MAX, 1), (3, 2));
        assert_eq!(of(0, 5, 2), (0, 3));
        assert_eq!(of(4, i64::MIN, -1), (4, 5));
        assert_eq!(of(-1, 0, -2), (4, 2));
        assert_eq!(of(9, 3, -1), (4, 1));
        assert_eq!(of(3, 1, 1).1, 0);
        assert_eq!(range(0, 9, i64::MAX, 5).unwrap(), (0, 1));
        assert_eq!(range(9, -9, i64::MIN, 5).unwrap(), (4, 1));
        assert_eq!(range(0, 1, -1, 0).unwrap().1, 0);
        assert!(range(0, 1, 0, 5).is_err());
    }

    #[test]
    fn constants_are_cut() {
        let data = |opset| Source::new(opset).whole_of(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        let old = vec![ints("starts", &[1]), ints("ends", &[3]), ints("axes", &[1])];
        assert_eq!(
            data(9).apply("Slice", old).folded(),
            ("2x2".into(), vec![2, 3, 5, 6])
        );
        let new = data(13)
            .whole(&[-1, 0])
            .whole(&[-9, 9])
            .whole(&[0, 1])
            .whole(&[-1, 2]);
        assert_eq!(
            new.apply("Slice", vec![]).folded(),
            ("2x2".into(), vec![4, 6, 1, 3])
        );
        let none = data(13).whole(&[2]).whole(&[1]).apply("Slice", vec![]);
        assert_eq!(none.folded(), ("0x3".into(), vec![]));
    }
}
