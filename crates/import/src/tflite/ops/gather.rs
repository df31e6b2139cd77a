//! Elements by their positions, and the positions of extremes and of the largest.

use crate::tflite::call::{Call, Refusal};
use graph::DType;
use runtime::ops::cast::Cast;
use runtime::ops::extreme::Extreme;
use runtime::ops::gather::Gather;
use runtime::ops::top_k::TopK;

pub(super) fn import(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (data, positions) = (call.input(0)?, call.input(1)?);
    if call.option_i32(1, 0)? != 0 {
        return Err("positions of their own for every batch are not supported".into());
    }
    let axis = call.axis(i64::from(call.option_i32(0, 0)?), call.shape(data).rank())?;
    let quantization = call.shared_quantization(data)?;
    let picked = call.push(Gather { axis }, &[data, positions], quantization)?;
    call.deliver(picked)
}

/// ARG_MAX and ARG_MIN: the first of equal ones.
pub(super) fn extreme(call: &mut Call<'_, '_>, largest: bool) -> Result<(), Refusal> {
    let input = call.input(0)?;
    let axes = call.numbers(1, "axis")?;
    let &[axis] = &axes[..] else {
        return Err(format!("its axis is {axes:?}").into());
    };
    let extreme = Extreme {
        axis: call.axis(axis, call.shape(input).rank())?,
        largest,
        last: false,
    };
    let mut found = call.push(extreme, &[input], None)?;
    let to = call.output_dtype()?;
    if to != DType::I64 {
        found = call.push(Cast { to }, &[found], None)?;
    }
    call.deliver(found)
}

/// EMBEDDING_LOOKUP: rows of the second operand.
pub(super) fn embedding(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (positions, rows) = (call.input(0)?, call.input(1)?);
    let quantization = call.shared_quantization(rows)?;
    let picked = call.push(Gather { axis: 0 }, &[rows, positions], quantization)?;
    call.deliver(picked)
}

/// TOPK_V2: the largest along the last axis, and where they are.
pub(super) fn top_k(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let input = call.input(0)?;
    let counts = call.numbers(1, "count")?;
    let shape = call.shape(input);
    let (Some(axis), &[count]) = (shape.rank().checked_sub(1), &counts[..]) else {
        return Err(format!("it takes {counts:?} of {shape}").into());
    };
    let count = usize::try_from(count).map_err(|_| "its count is negative")?;
    let top = TopK {
        axis,
        count,
        largest: true,
    };
    let quantization = call.shared_quantization(input)?;
    let made = call.push_all(top, &[input], &[quantization, None])?;
    let &[values, places] = &made[..] else {
        return Err("it has two results".into());
    };
    call.deliver_at(0, values)?;
    if call.operator.outputs.len() < 2 {
        return Ok(());
    }
    let places = call.push(Cast { to: DType::I32 }, &[places], None)?;
    call.deliver_at(1, places)
}
