//! One tensor as several along an axis, and several as one along a new axis.

use crate::tflite::call::{Call, Refusal};
use graph::{Shape, ValueId};
use runtime::ops::concat::Concat;
use runtime::ops::reshape::Reshape;
use runtime::ops::slice::Slice;

/// SPLIT: parts of one size; the axis is the first operand.
pub(super) fn even(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let input = call.input(1)?;
    let axis = only_axis(call, 0, input)?;
    let (size, count) = (call.shape(input).dim(axis), call.operator.outputs.len());
    if count == 0 || !size.is_multiple_of(count) {
        return Err(format!("{size} elements are not {count} equal parts").into());
    }
    parts(call, input, axis, &vec![size / count; count])
}

/// SPLIT_V: parts of the sizes that the second operand gives; one of them may be -1, the rest.
pub(super) fn sized(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let input = call.input(0)?;
    let axis = only_axis(call, 2, input)?;
    let sizes = call.numbers(1, "sizes")?;
    let known: i64 = sizes.iter().copied().filter(|&size| size >= 0).sum();
    let rest = call.shape(input).dim(axis) as i64 - known;
    let each = sizes.iter().map(|&size| match size {
        -1 => usize::try_from(rest),
        size => usize::try_from(size),
    });
    let sizes: Result<Vec<usize>, _> = each.collect();
    parts(
        call,
        input,
        axis,
        &sizes.map_err(|_| "its sizes do not fit the axis")?,
    )
}

/// UNPACK: every index along the axis alone, without the axis.
pub(super) fn unpack(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let input = call.input(0)?;
    let axis = i64::from(call.option_i32(1, 0)?);
    let axis = call.axis(axis, call.shape(input).rank())?;
    parts(call, input, axis, &vec![1; call.operator.outputs.len()])
}

fn only_axis(call: &mut Call<'_, '_>, operand: usize, input: ValueId) -> Result<usize, Refusal> {
    let axes = call.numbers(operand, "axis")?;
    let &[axis] = &axes[..] else {
        return Err(format!("its axis is {axes:?}").into());
    };
    call.axis(axis, call.shape(input).rank())
}

fn parts(
    call: &mut Call<'_, '_>,
    input: ValueId,
    axis: usize,
    lengths: &[usize],
) -> Result<(), Refusal> {
    let whole: Vec<usize> = call
        .shape(input)
        .dims()
        .iter()
        .map(|&size| size as usize)
        .collect();
    let outputs = call.operator.outputs.len();
    let total = lengths
        .iter()
        .fold(0usize, |sum, &length| sum.saturating_add(length));
    if lengths.len() != outputs || whole.get(axis) != Some(&total) {
        let size = whole.get(axis).copied().unwrap_or(0);
        return Err(
            format!("parts of {lengths:?} are not {outputs} outputs of {size} in all").into(),
        );
    }
    let quantization = call.value(input).quantization.clone();
    let mut start = 0;
    for (index, &length) in lengths.iter().enumerate() {
        let mut slice = Slice {
            starts: vec![0; whole.len()],
            steps: vec![1; whole.len()],
            sizes: whole.clone(),
        };
        (slice.starts[axis], slice.sizes[axis]) = (start, length);
        start += length;
        let part = call.push(slice, &[input], quantization.clone())?;
        call.deliver_at(index, part)?;
    }
    Ok(())
}

/// PACK: every operand gets an axis of 1, along which they are joined.
pub(super) fn pack(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let first = call.input(0)?;
    let shape = call.shape(first);
    let axis = call.axis(i64::from(call.option_i32(1, 0)?), shape.rank() + 1)?;
    let mut dims = shape.dims().to_vec();
    dims.insert(axis, 1);
    let row = Shape::new(&dims).ok_or("too many dimensions")?;
    let quantization = call.shared_quantization(first)?;
    let mut rows = Vec::new();
    for index in 0..call.operator.inputs.len() {
        let input = call.input(index)?;
        call.alike(input, first)?;
        if call.shape(input) != shape {
            return Err(format!("{} and {shape} are not packed", call.shape(input)).into());
        }
        rows.push(call.push(Reshape { shape: row }, &[input], quantization.clone())?);
    }
    let packed = call.push(Concat { axis }, &rows, quantization)?;
    call.deliver(packed)
}
