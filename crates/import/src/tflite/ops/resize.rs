//! Images of another size: positions and weights as TensorFlow Lite computes them, in floats for
//! floats, and in 10 binary places for integers.

use crate::tflite::call::{Call, Refusal};
use crate::tflite::tensor::Held;
use graph::{DType, Data, Shape, ValueId};
use runtime::ops::gather::Gather;
use runtime::ops::resample_2d::Resample2d;

/// The longest row or column.
const LONGEST: usize = 65_535;

/// How the places of outputs are found in the input.
#[derive(Clone, Copy)]
struct Manner {
    /// The corners' pixels stay in the corners.
    align_corners: bool,
    /// Pixels are squares, not points.
    half_pixel: bool,
}

/// The input, its rows and columns, and those of the output.
fn image(call: &mut Call<'_, '_>) -> Result<(ValueId, [[usize; 2]; 2]), Refusal> {
    let input = call.input(0)?;
    let shape = call.shape(input);
    let sizes = call.numbers(1, "sizes")?;
    let output: Result<Vec<usize>, _> = sizes.iter().map(|&size| usize::try_from(size)).collect();
    match (shape.rank(), output.as_deref()) {
        (4, Ok(&[rows, columns]))
            if (1..=LONGEST).contains(&rows) && (1..=LONGEST).contains(&columns) =>
        {
            Ok((input, [[shape.dim(1), rows], [shape.dim(2), columns]]))
        }
        _ => Err(format!("{shape} is not resized to {sizes:?}").into()),
    }
}

pub(super) fn nearest(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (mut value, sizes) = image(call)?;
    let manner = Manner {
        align_corners: call.option_i8(0)? != 0,
        half_pixel: call.option_i8(1)? != 0,
    };
    let quantization = call.shared_quantization(value)?;
    for (axis, size) in sizes.into_iter().enumerate() {
        let positions = nearest_positions(size, manner);
        let table = held(call, value, &[size[1]], Data::I32(positions))?;
        value = call.push(
            Gather { axis: axis + 1 },
            &[value, table],
            quantization.clone(),
        )?;
    }
    call.deliver(value)
}

pub(super) fn bilinear(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (input, sizes) = image(call)?;
    let manner = Manner {
        align_corners: call.option_i8(2)? != 0,
        half_pixel: call.option_i8(3)? != 0,
    };
    let is_float = call.value(input).dtype == DType::F32;
    let quantization = call.shared_quantization(input)?;
    let mut operands = vec![input];
    for size in sizes {
        let (positions, weights) = match is_float {
            true => linear(size, manner),
            false => linear_fixed(size, manner),
        };
        let dims = [size[1], 2];
        operands.push(held(call, input, &dims, Data::I32(positions))?);
        operands.push(held(call, input, &dims, Data::F32(weights))?);
    }
    let resized = call.push(Resample2d { axes: [1, 2] }, &operands, quantization)?;
    call.deliver(resized)
}

fn held(
    call: &mut Call<'_, '_>,
    like: ValueId,
    dims: &[usize],
    data: Data,
) -> Result<ValueId, Refusal> {
    let dims: Vec<u32> = dims.iter().map(|&size| size as u32).collect();
    let shape = Shape::new(&dims).ok_or("too many dimensions")?;
    let held = Held {
        data,
        quantization: None,
    };
    Ok(call.held(like, shape, held))
}

fn scale([input, output]: [usize; 2], manner: Manner) -> f32 {
    match manner.align_corners && output > 1 {
        true => (input as f32 - 1.0) / (output as f32 - 1.0),
        false => input as f32 / output as f32,
    }
}

fn nearest_positions(size: [usize; 2], manner: Manner) -> Vec<i32> {
    let (scale, last) = (scale(size, manner), size[0] as i32 - 1);
    let offset = if manner.half_pixel { 0.5 } else { 0.0 };
    let position = |j: usize| {
        let place = (j as f32 + offset) * scale;
        let nearest = if manner.align_corners {
            place.round()
        } else {
            place.floor()
        };
        (nearest as i32).min(last).max(0)
    };
    (0..size[1]).map(position).collect()
}

/// Two neighbours of every output and their shares.
fn linear(size: [usize; 2], manner: Manner) -> (Vec<i32>, Vec<f32>) {
    let (scale, last) = (scale(size, manner), size[0] as i32 - 1);
    let (mut positions, mut weights) = (Vec::new(), Vec::new());
    for j in 0..size[1] {
        let place = match manner.half_pixel {
            true => (j as f32 + 0.5) * scale - 0.5,
            false => j as f32 * scale,
        };
        let first = (place.floor() as i32).max(0);
        let share = place - first as f32;
        positions.extend([first.min(last), (place.ceil() as i32).min(last)]);
        weights.extend([1.0 - share, share]);
    }
    (positions, weights)
}

/// As [`linear`], in whole 1,024ths.
fn linear_fixed(size: [usize; 2], manner: Manner) -> (Vec<i32>, Vec<f32>) {
    const ONE: i64 = 1 << 10;
    let [input, output] = size.map(|size| size as i64);
    let scale = match manner.align_corners && output > 1 {
        true => (ONE * (input - 1) + (output - 1) / 2) / (output - 1),
        false => (ONE * input + output / 2) / output,
    };
    let (mut positions, mut weights) = (Vec::new(), Vec::new());
    for j in 0..output {
        let place = match manner.half_pixel {
            true => j * scale + scale / 2 - ONE / 2,
            false => j * scale,
        };
        let first = (place / ONE).max(0);
        let second = ((place + ONE - 1) / ONE).min(input - 1);
        let share = place - ONE * first;
        positions.extend([first.min(input - 1) as i32, second as i32]);
        weights.extend([ONE - share, share].map(|part| part as f32 / ONE as f32));
    }
    (positions, weights)
}
