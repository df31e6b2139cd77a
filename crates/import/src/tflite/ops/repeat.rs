//! Elements several times or in another order along axes: all are picks.

use crate::tflite::call::{Call, Refusal};
use crate::tflite::tensor::Held;
use graph::{Data, Shape, ValueId};
use runtime::ops::gather::Gather;
use runtime::ops::reshape::Reshape;

/// More elements along an axis are not listed.
const MOST: usize = 1 << 20;

/// The whole so many times along every axis.
pub(super) fn tile(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let times = call.numbers(1, "multiples")?;
    let dims = call.output()?.shape;
    let input = call.input(0)?;
    each_axis(call, input, dims, |axis, size| {
        let times = usize::try_from(times.get(axis).copied().unwrap_or(1)).unwrap_or(0);
        let count = times.saturating_mul(size).min(MOST + 1);
        (0..count).map(|i| i % size).collect()
    })
}

/// Axes of one element become longer; there may be new ones in front.
pub(super) fn broadcast_to(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (input, dims) = (call.input(0)?, call.output()?.shape);
    stretch(call, input, dims)
}

/// A value as the output, with axes of one element longer, and new ones in front.
pub(super) fn stretch(call: &mut Call<'_, '_>, value: ValueId, dims: Shape) -> Result<(), Refusal> {
    each_axis(call, value, dims, |axis, size| match size {
        1 => vec![0; dims.dim(axis).min(MOST + 1)],
        _ => (0..size).collect(),
    })
}

/// From the end along some axes.
pub(super) fn reverse(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let input = call.input(0)?;
    let shape = call.shape(input);
    let axes = call.numbers(1, "axes")?.into_iter();
    let axes: Result<Vec<usize>, _> = axes.map(|axis| call.axis(axis, shape.rank())).collect();
    let axes = axes?;
    each_axis(call, input, shape, |axis, size| {
        match axes.contains(&axis) {
            true => (0..size).rev().collect(),
            false => (0..size).collect(),
        }
    })
}

/// MIRROR_PAD: edges as mirrors see them, which show the outermost elements once or twice.
pub(super) fn mirror(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let amounts = call.numbers(1, "amounts")?;
    let is_symmetric = call.option_i8(0)? != 0;
    let (input, shape) = (call.input(0)?, call.output()?.shape);
    each_axis(call, input, shape, |axis, size| {
        let amount = |side: usize| amounts.get(2 * axis + side).copied().unwrap_or(0);
        let (size, most) = (size as i64, MOST as i64);
        let places = -amount(0).clamp(0, most)..size + amount(1).clamp(0, most);
        let again = i64::from(is_symmetric);
        let place = |place: i64| match place {
            ..0 => -place - again,
            _ if place >= size => 2 * size - 2 + again - place,
            _ => place,
        };
        places
            .map(|i| place(i).clamp(0, size - 1) as usize)
            .collect()
    })
}

/// Picks along every axis of a value, with ones in front for the rank that is wanted.
fn each_axis(
    call: &mut Call<'_, '_>,
    mut value: ValueId,
    to: Shape,
    places: impl Fn(usize, usize) -> Vec<usize>,
) -> Result<(), Refusal> {
    let quantization = call.shared_quantization(value)?;
    let mut dims = vec![1; to.rank().saturating_sub(call.shape(value).rank())];
    if !dims.is_empty() {
        dims.extend(call.shape(value).dims());
        let shape = Shape::new(&dims).ok_or("too many dimensions")?;
        value = call.push(Reshape { shape }, &[value], quantization.clone())?;
    }
    for axis in 0..call.shape(value).rank() {
        let size = call.shape(value).dim(axis);
        let picked = places(axis, size);
        if !(1..=MOST).contains(&picked.len()) {
            return Err(format!("it makes {} elements along axis {axis}", picked.len()).into());
        }
        if !picked.iter().copied().eq(0..size) {
            value = picks(call, value, axis, &picked)?;
        }
    }
    call.deliver(value)
}

fn picks(
    call: &mut Call<'_, '_>,
    value: ValueId,
    axis: usize,
    places: &[usize],
) -> Result<ValueId, Refusal> {
    let shape = Shape::new(&[places.len() as u32]).ok_or("too many dimensions")?;
    let data = Data::I32(places.iter().map(|&place| place as i32).collect());
    let quantization = call.value(value).quantization.clone();
    let held = Held {
        data,
        quantization: None,
    };
    let table = call.held(value, shape, held);
    call.push(Gather { axis }, &[value, table], quantization)
}
