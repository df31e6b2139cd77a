//! Transposed convolutions: weights are `[O, KH, KW, I]`. They become convolutions that make squares of
//! pixels as channels, and a rearrangement of those.

use super::convolution::biases;
use super::symmetric::symmetric;
use crate::tflite::call::{Call, Refusal};
use crate::tflite::tensor::Held;
use crate::transposed::{self, LONGEST_STRIDE, Phases, Spread};
use graph::{Data, Quantization, Shape, ValueId};
use runtime::ops::Window2d;
use runtime::ops::conv_2d::Conv2d;
use runtime::ops::reshape::Reshape;
use runtime::ops::slice::Slice;
use runtime::ops::transpose::Transpose;

/// The longest side of an image.
const LONGEST: usize = 65_535;

/// More elements in the weights of all phases together are refused.
const MOST_WEIGHTS: usize = 1 << 23;

pub(super) fn import(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (weights, input) = (call.constant(1, "weights")?, call.input(2)?);
    call.refuse_hybrid(input, weights)?;
    let [input, weights] = symmetric(call, [input, weights], 1)?;
    let (shape, dims) = (call.shape(input), call.shape(weights));
    let sizes = call.numbers(0, "output shape")?;
    let sizes: Result<Vec<usize>, _> = sizes.iter().map(|&size| usize::try_from(size)).collect();
    let sizes = sizes.map_err(|_| "its output shape has negative sizes")?;
    let fits = shape.rank() == 4 && dims.rank() == 4 && dims.dim(3) == shape.dim(3);
    let &[batch, rows, columns, outputs] = &sizes[..] else {
        return Err(format!("its output shape {sizes:?} is no image").into());
    };
    let whole = !sizes.contains(&0) && !dims.dims().contains(&0) && shape.elements() > 0;
    if !fits || !whole || batch != shape.dim(0) || outputs != dims.dim(0) {
        return Err(format!("weights {dims} do not make {sizes:?} from {shape}").into());
    }
    let strides = [call.option_size(2, 1)?, call.option_size(1, 1)?];
    if sizes.iter().any(|&size| size > LONGEST) || strides.iter().any(|&by| by > LONGEST_STRIDE) {
        return Err(format!("strides of {strides:?} to {sizes:?} are too long").into());
    }
    let is_same = match call.option_i8(0)? {
        0 => true,
        1 => false,
        code => return Err(format!("its padding {code} is not known").into()),
    };
    let axis = |axis: usize| {
        let (input, kernel, stride) = (shape.dim(axis + 1), dims.dim(axis + 1), strides[axis]);
        let output = [rows, columns][axis];
        let reach = (input - 1) as i64 * stride as i64 + kernel as i64;
        let total = if is_same {
            (reach - output as i64).max(0)
        } else {
            0
        };
        Spread {
            input,
            output,
            kernel,
            stride,
            before: total / 2,
        }
    };
    let axes = [axis(0), axis(1)];
    let made = convolved(call, input, weights, &axes)?;
    call.deliver(made)
}

fn convolved(
    call: &mut Call<'_, '_>,
    input: ValueId,
    weights: ValueId,
    axes: &[Spread; 2],
) -> Result<ValueId, Refusal> {
    let phases = axes.each_ref().map(Phases::new);
    let [down, right] = phases.each_ref().map(|phases| phases.stride);
    let dims = call.shape(weights);
    let outputs = dims.dim(0);
    let mut inputs = vec![input, all_phases(call, weights, &phases)?];
    if let Some(bias) = biases(call, 3, input, weights)? {
        inputs.push(repeated(call, bias, down * right)?);
    }
    let mut window = Window2d::dense([phases[0].kernel, phases[1].kernel]);
    window.padding = [
        phases[0].before,
        phases[1].before,
        phases[0].after,
        phases[1].after,
    ];
    let convolution = Conv2d {
        window,
        groups: 1,
        activation: call.activation(3)?,
    };
    let quantization = call.output_quantization()?;
    let made = call.push(convolution, &inputs, quantization.clone())?;
    let &[n, rows, columns, _] = call.shape(made).dims() else {
        return Err("it makes no image".into());
    };
    let (down, right, outputs) = (down as u32, right as u32, outputs as u32);
    let shape = |dims: &[u32]| Shape::new(dims).ok_or("too many dimensions");
    let parts = Reshape {
        shape: shape(&[n, rows, columns, down, right, outputs])?,
    };
    let parts = call.push(parts, &[made], quantization.clone())?;
    let permutation = vec![0, 1, 3, 2, 4, 5];
    let turned = call.push(Transpose { permutation }, &[parts], quantization.clone())?;
    let whole = Reshape {
        shape: shape(&[n, rows * down, columns * right, outputs])?,
    };
    let whole = call.push(whole, &[turned], quantization.clone())?;
    let sizes = vec![n as usize, axes[0].output, axes[1].output, outputs as usize];
    let starts = vec![0, phases[0].crop, phases[1].crop, 0];
    call.push(
        Slice {
            starts,
            steps: vec![1; 4],
            sizes,
        },
        &[whole],
        quantization,
    )
}

/// The weights of the convolution, with every scale once for each phase.
fn all_phases(
    call: &mut Call<'_, '_>,
    weights: ValueId,
    phases: &[Phases; 2],
) -> Result<ValueId, Refusal> {
    let value = call.value(weights);
    let dims: Vec<usize> = value
        .shape
        .dims()
        .iter()
        .map(|&size| size as usize)
        .collect();
    let &[outputs, rows, columns, inputs] = &dims[..] else {
        return Err("needs weights [O, KH, KW, I]".into());
    };
    let squares = phases[0].stride.saturating_mul(phases[1].stride);
    let sizes = [
        squares.saturating_mul(outputs),
        phases[0].kernel,
        phases[1].kernel,
        inputs,
    ];
    let count = sizes
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size));
    if count.is_none_or(|count| count > MOST_WEIGHTS) {
        return Err(
            format!("its strides make its weights too large: {MOST_WEIGHTS} are the most").into(),
        );
    }
    let place = |[o, y, x, i]: [usize; 4]| ((o * rows + y) * columns + x) * inputs + i;
    let from = [outputs, inputs];
    let data = match &value.data {
        Some(Data::I8(values)) => {
            Data::I8(transposed::weights(phases, from, |at| values[place(at)]))
        }
        Some(Data::F32(values)) => {
            Data::F32(transposed::weights(phases, from, |at| values[place(at)]))
        }
        _ => return Err("its weights are neither int8 nor float".into()),
    };
    let quantization = match value.quantization.clone() {
        Some(Quantization {
            axis: Some(axis), ..
        }) if axis != 0 => {
            return Err(format!("its weights have scales along axis {axis}, not 0").into());
        }
        Some(quantization) if quantization.axis.is_some() => {
            let scales = quantization.scales.repeat(squares);
            Some(Quantization {
                scales,
                ..quantization
            })
        }
        quantization => quantization,
    };
    let shape = Shape::new(&sizes.map(|size| size as u32)).ok_or("too many dimensions")?;
    Ok(call.held(weights, shape, Held { data, quantization }))
}

fn repeated(call: &mut Call<'_, '_>, bias: ValueId, times: usize) -> Result<ValueId, Refusal> {
    let value = call.value(bias);
    let data = match &value.data {
        Some(Data::I32(values)) => Data::I32(values.repeat(times)),
        Some(Data::I64(values)) => Data::I64(values.repeat(times)),
        Some(Data::F32(values)) => Data::F32(values.repeat(times)),
        _ => return Err("its biases are neither int32, int64 nor float".into()),
    };
    let quantization = value.quantization.clone();
    let shape = Shape::new(&[data.len() as u32]).ok_or("too many dimensions")?;
    Ok(call.held(bias, shape, Held { data, quantization }))
}
