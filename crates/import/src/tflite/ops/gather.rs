//! Elements by their positions, and the positions of extremes.

use crate::tflite::call::{Call, Refusal};
use graph::DType;
use runtime::ops::cast::Cast;
use runtime::ops::extreme::Extreme;
use runtime::ops::gather::Gather;

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
