//! The mean and the like over neighbouring axes, and running sums along one.

use crate::tflite::call::{Call, Refusal};
use runtime::ops::cumulate::Cumulate;
use runtime::ops::mean::Mean;
use runtime::ops::reduce::{Function, Reduce};

pub(super) fn import(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let input = call.input(0)?;
    match axes(call)? {
        Some([first, last]) => call.finish(Mean { first, last }, &[input]),
        None => call.deliver(input),
    }
}

/// SUM, and the largest, the smallest, the product.
pub(super) fn reduce(call: &mut Call<'_, '_>, function: Function) -> Result<(), Refusal> {
    let input = call.input(0)?;
    let Some([first, last]) = axes(call)? else {
        return call.deliver(input);
    };
    let reduce = Reduce {
        function,
        first,
        last,
    };
    if !matches!(function, Function::Max | Function::Min) {
        return call.finish(reduce, &[input]);
    }
    let quantization = call.shared_quantization(input)?;
    let extreme = call.push(reduce, &[input], quantization)?;
    call.deliver(extreme)
}

/// CUMSUM.
pub(super) fn cumulate(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let input = call.input(0)?;
    let axes = call.numbers(1, "axis")?;
    let &[axis] = &axes[..] else {
        return Err(format!("its axis is {axes:?}").into());
    };
    let cumulate = Cumulate {
        axis: call.axis(axis, call.shape(input).rank())?,
        exclusive: call.option_i8(0)? != 0,
        reverse: call.option_i8(1)? != 0,
    };
    call.finish(cumulate, &[input])
}

/// The first and the last of the axes that go, which must be neighbours; `None` where none goes.
fn axes(call: &mut Call<'_, '_>) -> Result<Option<[usize; 2]>, Refusal> {
    let input = call.input(0)?;
    let rank = call.shape(input).rank();
    let numbers = call.numbers(1, "axes")?;
    let axes: Result<Vec<usize>, Refusal> =
        numbers.iter().map(|&axis| call.axis(axis, rank)).collect();
    let mut axes = axes?;
    axes.sort_unstable();
    axes.dedup();
    let (Some(&first), Some(&last)) = (axes.first(), axes.last()) else {
        return Ok(None);
    };
    if last - first + 1 != axes.len() {
        return Err(format!("it reduces the axes {axes:?}, which are not neighbours").into());
    }
    Ok(Some([first, last]))
}
