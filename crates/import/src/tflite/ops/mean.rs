//! The mean over neighbouring axes.

use crate::tflite::call::{Call, Refusal};
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
