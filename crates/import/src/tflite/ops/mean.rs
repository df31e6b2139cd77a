//! The mean over neighbouring axes.

use crate::tflite::call::{Call, Refusal};
use runtime::ops::mean::Mean;

pub(super) fn import(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let input = call.input(0)?;
    let rank = call.shape(input).rank();
    let numbers = call.numbers(1, "axes")?;
    let axes: Result<Vec<usize>, Refusal> =
        numbers.iter().map(|&axis| call.axis(axis, rank)).collect();
    let mut axes = axes?;
    axes.sort_unstable();
    axes.dedup();
    let (Some(&first), Some(&last)) = (axes.first(), axes.last()) else {
        return call.deliver(input);
    };
    if last - first + 1 != axes.len() {
        return Err(format!("a mean over the axes {axes:?}, which are not neighbours").into());
    }
    call.finish(Mean { first, last }, &[input])
}
