//! Parts of a tensor: by starts and sizes, or by starts, ends and steps with masks of axes.

use crate::tflite::call::{Call, Refusal};
use runtime::ops::slice::Slice;

/// Starts and sizes; a size of -1 reaches to the end.
pub(super) fn import(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let input = call.input(0)?;
    let dims = call.shape(input);
    let (starts, sizes) = (call.numbers(1, "starts")?, call.numbers(2, "sizes")?);
    if starts.len() != dims.rank() || sizes.len() != dims.rank() {
        return Err("its starts and sizes are not those of the input's axes".into());
    }
    let rest = |axis: usize| dims.dim(axis) as i64 - starts[axis];
    let sizes: Vec<i64> = (0..dims.rank())
        .map(|axis| {
            if sizes[axis] == -1 {
                rest(axis)
            } else {
                sizes[axis]
            }
        })
        .collect();
    let steps = vec![1; starts.len()];
    finish(call, [&starts, &steps, &sizes])
}

/// Starts, ends and steps. Axes that the shrinking mask names have one index and go away.
pub(super) fn strided(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let input = call.input(0)?;
    let dims = call.shape(input);
    let starts = call.numbers(1, "starts")?;
    let (ends, steps) = (call.numbers(2, "ends")?, call.numbers(3, "steps")?);
    let masks = [0, 1, 4].map(|field| call.option_i32(field, 0));
    let [begin, end, shrink] = masks;
    let (begin, end, shrink) = (begin?, end?, shrink?);
    if call.option_i32(2, 0)? != 0 || call.option_i32(3, 0)? != 0 {
        return Err("ellipses and new axes are not supported here".into());
    }
    if [starts.len(), ends.len(), steps.len()] != [dims.rank(); 3] {
        return Err("its starts, ends and steps are not those of the input's axes".into());
    }
    let is_offset = call.option_i8(5)? != 0;
    let (mut first, mut sizes) = (Vec::new(), Vec::new());
    for axis in 0..dims.rank() {
        let (size, step) = (dims.dim(axis) as i64, steps[axis]);
        if step < 1 {
            return Err(format!("steps of {step} are not supported").into());
        }
        let place = |index: i64| {
            if index < 0 {
                index.saturating_add(size)
            } else {
                index
            }
        };
        let is_in = |mask: i32| mask >> axis & 1 != 0;
        let start = if is_in(begin) { 0 } else { place(starts[axis]) }.clamp(0, size);
        let stop = match (is_in(shrink), is_in(end), is_offset) {
            (true, _, _) => start + 1,
            (_, true, _) => size,
            (_, _, true) => start.saturating_add(ends[axis]),
            _ => place(ends[axis]),
        };
        first.push(start);
        sizes.push((stop.clamp(start, size) - start + step - 1) / step);
    }
    finish(call, [&first, &steps, &sizes])
}

fn finish(call: &mut Call<'_, '_>, numbers: [&[i64]; 3]) -> Result<(), Refusal> {
    let [starts, steps, sizes] = numbers.map(|numbers| -> Result<Vec<usize>, Refusal> {
        let each = numbers.iter().map(|&number| usize::try_from(number));
        let all: Result<Vec<usize>, _> = each.collect();
        all.map_err(|_| "it starts before the input or has negative sizes".into())
    });
    let slice = Slice {
        starts: starts?,
        steps: steps?,
        sizes: sizes?,
    };
    let input = call.input(0)?;
    let quantization = call.shared_quantization(input)?;
    let part = call.push(slice, &[input], quantization)?;
    call.deliver(part)
}
