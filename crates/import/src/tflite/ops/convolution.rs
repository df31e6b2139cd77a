//! Convolutions: weights are `[O, KH, KW, I]`, those of depthwise ones `[1, KH, KW, O]`.

use super::pool::padding;
use crate::tflite::call::{Call, Refusal};
use crate::tflite::tensor::Held;
use graph::{Data, Quantization, Shape, ValueId};
use runtime::ops::Window2d;
use runtime::ops::conv_2d::Conv2d;

pub(super) fn import(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (input, weights) = (call.input(0)?, call.constant(1, "weights")?);
    let (shape, dims) = (call.shape(input), call.shape(weights));
    if shape.rank() != 4 || dims.rank() != 4 || dims.dim(3) == 0 {
        return Err("needs an input [N, H, W, C] and weights [O, KH, KW, I]".into());
    }
    let mut window = Window2d::dense([dims.dim(1), dims.dim(2)]);
    window.stride = [call.option_size(2, 1)?, call.option_size(1, 1)?];
    window.dilation = [call.option_size(5, 1)?, call.option_size(4, 1)?];
    window.padding = padding(&window, &shape, call.option_i8(0)?)?;
    let convolution = Conv2d {
        window,
        groups: (shape.dim(3) / dims.dim(3)).max(1),
        activation: call.activation(3)?,
    };
    finish(call, convolution, [input, weights])
}

pub(super) fn depthwise(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (input, weights) = (call.input(0)?, call.constant(1, "weights")?);
    let (shape, dims) = (call.shape(input), call.shape(weights));
    if shape.rank() != 4 || dims.rank() != 4 || dims.dim(0) != 1 || shape.dim(3) == 0 {
        return Err("needs an input [N, H, W, C] and weights [1, KH, KW, O]".into());
    }
    let mut window = Window2d::dense([dims.dim(1), dims.dim(2)]);
    window.stride = [call.option_size(2, 1)?, call.option_size(1, 1)?];
    window.dilation = [call.option_size(6, 1)?, call.option_size(5, 1)?];
    window.padding = padding(&window, &shape, call.option_i8(0)?)?;
    let convolution = Conv2d {
        window,
        groups: shape.dim(3),
        activation: call.activation(4)?,
    };
    let turned = outputs_first(call, weights)?;
    finish(call, convolution, [input, turned])
}

fn finish(
    call: &mut Call<'_, '_>,
    convolution: Conv2d,
    [input, weights]: [ValueId; 2],
) -> Result<(), Refusal> {
    call.refuse_hybrid(input, weights)?;
    let weights = symmetric(call, weights)?;
    let mut inputs = vec![input, weights];
    if call.optional(2)?.is_some() {
        inputs.push(call.constant(2, "biases")?);
    }
    call.finish(convolution, &inputs)
}

/// `[1, KH, KW, O]` as `[O, KH, KW, 1]`.
fn outputs_first(call: &mut Call<'_, '_>, weights: ValueId) -> Result<ValueId, Refusal> {
    let value = call.value(weights);
    let dims = value.shape.dims();
    let [_, rows, columns, outputs] = dims[..] else {
        return Err("needs weights [1, KH, KW, O]".into());
    };
    let turned = |count: usize| {
        let (taps, outputs) = (count / (outputs as usize).max(1), outputs as usize);
        (0..outputs).flat_map(move |output| (0..taps).map(move |tap| tap * outputs + output))
    };
    let data = match &value.data {
        Some(Data::I8(values)) => Data::I8(turned(values.len()).map(|i| values[i]).collect()),
        Some(Data::F32(values)) => Data::F32(turned(values.len()).map(|i| values[i]).collect()),
        _ => return Err("its weights are neither int8 nor float".into()),
    };
    let quantization = match value.quantization.clone() {
        Some(Quantization {
            axis: Some(axis), ..
        }) if axis != 3 => {
            return Err(format!("its weights have scales along axis {axis}, not 3").into());
        }
        Some(quantization) => Some(Quantization {
            axis: quantization.axis.map(|_| 0),
            ..quantization
        }),
        None => None,
    };
    let shape = Shape::new(&[outputs, rows, columns, 1]).ok_or("too many dimensions")?;
    Ok(call.held(weights, shape, Held { data, quantization }))
}

/// Weights around zero: those with another zero point, as old files have them, are moved where they
/// then fit.
pub(super) fn symmetric(call: &mut Call<'_, '_>, weights: ValueId) -> Result<ValueId, Refusal> {
    let value = call.value(weights);
    let zero = value.quantization.as_ref().map_or(0, |q| q.zero_point);
    let (Some(Data::I8(values)), 1..) = (&value.data, zero.unsigned_abs()) else {
        return Ok(weights);
    };
    let moved: Result<Vec<i8>, _> = values
        .iter()
        .map(|&weight| i8::try_from(i32::from(weight) - zero))
        .collect();
    let moved = moved.map_err(|_| {
        Refusal::new(
            "its weights are not symmetric, and do not fit int8 once they are",
            "convert the model again with a converter of today, which writes int8 weights",
        )
    })?;
    let quantization = value.quantization.clone().map(|quantization| Quantization {
        zero_point: 0,
        ..quantization
    });
    let (shape, data) = (value.shape, Data::I8(moved));
    Ok(call.held(weights, shape, Held { data, quantization }))
}
