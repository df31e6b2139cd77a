//! Elements by coordinates: GATHER_ND picks them, DYNAMIC_UPDATE_SLICE puts a part in place. Coordinates
//! become places in a row of blocks, now where they are constant, while the model runs otherwise.

use crate::tflite::call::{Call, Refusal};
use crate::tflite::tensor::Held;
use graph::{DType, Data, Shape, ValueId};
use runtime::ops::gather::Gather;
use runtime::ops::reduce::{self, Reduce};
use runtime::ops::reshape::Reshape;
use runtime::ops::scatter::{Combination, Scatter};
use runtime::ops::whole::{Function, WholeNumbers};

/// The places of more elements are not listed.
const MOST: usize = 1 << 20;

/// GATHER_ND: a block for each row of coordinates. Constant ones must be inside; of others that are not, it
/// picks some other block or zeros.
pub(super) fn gather(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (data, coordinates) = (call.input(0)?, call.input(1)?);
    let (shape, given) = (call.shape(data), call.shape(coordinates));
    let depth = given.last();
    if given.rank() == 0 || !(1..=shape.rank()).contains(&depth) {
        return Err(format!("coordinates {given} do not fit {shape}").into());
    }
    let (outer, inner) = shape.dims().split_at(depth);
    if let Some(known) = &call.value(coordinates).data {
        let known = known.to_i64()?;
        let mut pairs = known.iter().zip(outer.iter().cycle());
        if let Some((at, size)) = pairs.find(|&(&at, &size)| !(0..size.into()).contains(&at)) {
            return Err(format!("the coordinate {at} is outside the {size} elements").into());
        }
    }
    let quantization = call.shared_quantization(data)?;
    let rows = flat(&[product(outer)?, product(inner)?])?;
    let rows = call.push(Reshape { shape: rows }, &[data], quantization.clone())?;
    let places = places(call, coordinates, &strides(outer))?;
    let picked = call.push(Gather { axis: 0 }, &[rows, places], quantization)?;
    call.deliver(picked)
}

/// DYNAMIC_UPDATE_SLICE: the first operand with the second in place of a part of it, which starts at the
/// third, or as near to it as the part fits.
pub(super) fn update(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (data, part, starts) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let (shape, size) = (call.shape(data), call.shape(part));
    let fits = shape
        .dims()
        .iter()
        .zip(size.dims())
        .all(|(&whole, &part)| part <= whole);
    let rank = shape.rank();
    if !fits || size.rank() != rank || call.shape(starts).elements() != rank || rank == 0 {
        let given = call.shape(starts);
        return Err(format!("a part of {size} at {given} does not fit {shape}").into());
    }
    if size.elements() > MOST {
        return Err(format!("a part of {size} has too many places").into());
    }
    call.alike(part, data)?;
    let quantization = call.shared_quantization(data)?;
    if size == shape {
        return call.deliver(part);
    }
    // Whole axes at the end are one block.
    let whole = shape
        .dims()
        .iter()
        .zip(size.dims())
        .rev()
        .take_while(|(a, b)| a == b);
    let (outer, inner) = shape.dims().split_at(rank - whole.count());
    let mut strides = strides(outer);
    let parts = size.dims().get(..outer.len()).unwrap_or(&[]);
    let offsets = numbers(call, starts, &offsets(parts, &strides))?;
    strides.resize(rank, 0);
    let most: Vec<i64> = (0..rank)
        .map(|axis| (shape.dim(axis) - size.dim(axis)) as i64)
        .collect();
    let (zero, most) = (numbers(call, starts, &[0])?, numbers(call, starts, &most)?);
    let clipped = whole_numbers(call, Function::Max, starts, zero)?;
    let clipped = whole_numbers(call, Function::Min, clipped, most)?;
    let first = places(call, clipped, &strides)?;
    let places = whole_numbers(call, Function::Add, first, offsets)?;
    let (block, combination) = (product(inner)? as usize, Combination::Replace);
    let scatter = Scatter { block, combination };
    let updated = call.push(scatter, &[data, places, part], quantization)?;
    call.deliver(updated)
}

/// The places that rows of coordinates stand for: their products with strides, added.
fn places(call: &mut Call<'_, '_>, rows: ValueId, strides: &[i64]) -> Result<ValueId, Refusal> {
    let (shape, dtype) = (call.shape(rows), call.value(rows).dtype);
    if !matches!(dtype, DType::I32 | DType::I64) {
        return Err(format!("its coordinates are {dtype}").into());
    }
    let count = shape.elements() / strides.len().max(1);
    let mut sums = rows;
    if strides != [1] {
        let strides = numbers(call, rows, strides)?;
        let products = whole_numbers(call, Function::Mul, rows, strides)?;
        let (function, axis) = (reduce::Function::Sum, shape.rank().saturating_sub(1));
        let reduce = Reduce {
            function,
            first: axis,
            last: axis,
        };
        sums = call.push(reduce, &[products], None)?;
    }
    let shape = flat(&[count as u32])?;
    call.push(Reshape { shape }, &[sums], None)
}

fn whole_numbers(
    call: &mut Call<'_, '_>,
    function: Function,
    a: ValueId,
    b: ValueId,
) -> Result<ValueId, Refusal> {
    call.push(WholeNumbers { function }, &[a, b], None)
}

/// A constant row of numbers in the type of another value.
fn numbers(call: &mut Call<'_, '_>, like: ValueId, numbers: &[i64]) -> Result<ValueId, Refusal> {
    let data = match call.value(like).dtype {
        DType::I64 => Data::I64(numbers.to_vec()),
        _ => Data::I32(numbers.iter().map(|&number| number as i32).collect()),
    };
    let shape = flat(&[numbers.len() as u32])?;
    Ok(call.held(
        like,
        shape,
        Held {
            data,
            quantization: None,
        },
    ))
}

/// How far apart neighbours along each axis are.
fn strides(dims: &[u32]) -> Vec<i64> {
    let mut strides = vec![1i64; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(dims[axis].into());
    }
    strides
}

/// Where the elements of a part are, from its first on.
fn offsets(dims: &[u32], strides: &[i64]) -> Vec<i64> {
    dims.iter()
        .zip(strides)
        .fold(vec![0], |places, (&size, &stride)| {
            let along = |place: i64| (0..i64::from(size)).map(move |at| place + at * stride);
            places.into_iter().flat_map(along).collect()
        })
}

fn product(dims: &[u32]) -> Result<u32, Refusal> {
    let product = dims
        .iter()
        .try_fold(1u32, |product, &size| product.checked_mul(size));
    Ok(product.ok_or("its input is too large")?)
}

fn flat(dims: &[u32]) -> Result<Shape, Refusal> {
    Ok(Shape::new(dims).ok_or("too many dimensions")?)
}
