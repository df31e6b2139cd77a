//! Normalization over axes: layer normalization over the last ones, and mean-variance
//! normalization.

use crate::onnx::call::{Call, Item, Refusal, sizes};
use runtime::host::Activation;
use runtime::ops::binary::{Binary, Function};
use runtime::ops::layer_norm::LayerNorm;
use runtime::ops::mean::Mean;
use runtime::ops::unary::{Function as Of1, Unary};

/// `(x - mean) / sqrt(variance + epsilon) * scale + bias`; also the mean and the inverse
/// deviation, where they are asked for.
pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let (x, scale) = (call.float(0)?, call.float(1)?);
    let rank = call.shape(x).rank();
    let first = call.axis(call.attributes.int("axis", -1)?, rank)?;
    let epsilon = call.attributes.float("epsilon", 1e-5)?;
    if call.outputs == 1
        && let Some(operands) = factors(call, x, first)?
    {
        return Ok(vec![call.push(LayerNorm { first, epsilon }, &operands)?]);
    }
    let over = Mean {
        first,
        last: rank - 1,
    };
    let mean = call.push(over, &[x])?;
    let centred = apply(call, Function::Sub, x, mean)?;
    let squares = apply(call, Function::Mul, centred, centred)?;
    let variance = call.push(over, &[squares])?;
    let epsilon = call.floats(&[], vec![epsilon])?;
    let raised = apply(call, Function::Add, variance, epsilon)?;
    let deviation = call.push(
        Unary {
            function: Of1::Sqrt,
        },
        &[raised],
    )?;
    let inverse = call.push(
        Unary {
            function: Of1::Reciprocal,
        },
        &[deviation],
    )?;
    let normal = apply(call, Function::Mul, centred, inverse)?;
    let mut result = apply(call, Function::Mul, normal, scale)?;
    if call.input(2).is_some() {
        let bias = call.float(2)?;
        result = apply(call, Function::Add, result, bias)?;
    }
    Ok(vec![result, mean, inverse])
}

/// The operands of the operator that does all in one: constant factors and offsets, one for each
/// element of a row.
fn factors(call: &mut Call<'_>, x: Item, first: usize) -> Result<Option<Vec<Item>>, Refusal> {
    let row = sizes(&call.shape(x))[first..].to_vec();
    let count = row.iter().product();
    let scale = call.required(1)?;
    let bias = match call.input(2) {
        Some(_) => call.float(2)?,
        None => {
            call.room_for(Some(count))?;
            call.floats(&row, vec![0.0; count])?
        }
    };
    let fits = |item| call.tensor(item).is_some() && sizes(&call.shape(item)) == row;
    Ok((fits(scale) && fits(bias)).then(|| vec![x, scale, bias]))
}

fn apply(call: &mut Call<'_>, function: Function, a: Item, b: Item) -> Result<Item, Refusal> {
    let activation = Activation::None;
    call.push(
        Binary {
            function,
            activation,
        },
        &[a, b],
    )
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, float};

    /// 1 and 3 are one deviation from their mean of 2.
    #[test]
    fn rows_get_mean_0_and_deviation_1() {
        let source = Source::new(17)
            .input(&[2, 2], &[1.0, 3.0, 10.0, 10.0])
            .constant(&[2], &[2.0, 2.0])
            .constant(&[2], &[0.5, 0.5]);
        let source = source.apply("LayerNormalization", vec![float("epsilon", 0.0001)]);
        assert_eq!(source.operators(), ["layer_norm"]);
        let (_, values) = source.run();
        for (value, expected) in values.into_iter().zip([-1.5, 2.5, 0.5, 0.5]) {
            assert!((value - expected).abs() < 1e-3, "{value}, not {expected}");
        }
    }
}
