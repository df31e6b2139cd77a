//! Convolutions: weights are `[O, KH, KW, I]`, those of depthwise ones `[1, KH, KW, O]`.

use super::pool::padding;
use super::symmetric::symmetric;
use crate::tflite::call::{Call, Refusal};
use crate::tflite::tensor::Held;
use graph::{DType, Data, Quantization, Shape, ValueId};
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
    let [input, weights] = symmetric(call, [input, weights], convolution.groups)?;
    let mut inputs = vec![input, weights];
    inputs.extend(biases(call, 2, input, weights)?);
    call.finish(convolution, &inputs)
}

/// The biases, operand `index`, of a layer with these weights. Where int16 layers have none, sums are
/// of 64 bits, as those with int64 biases are, and zeros of that type say so.
pub(super) fn biases(
    call: &mut Call<'_, '_>,
    index: usize,
    input: ValueId,
    weights: ValueId,
) -> Result<Option<ValueId>, Refusal> {
    if call.optional(index)?.is_some() {
        return call.constant(index, "biases").map(Some);
    }
    if call.value(input).dtype != DType::I16 {
        return Ok(None);
    }
    let outputs = call.shape(weights).dim(0);
    let shape = Shape::new(&[outputs as u32]).ok_or("too many dimensions")?;
    let (data, quantization) = (Data::I64(vec![0; outputs]), None);
    Ok(Some(call.held(weights, shape, Held { data, quantization })))
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
