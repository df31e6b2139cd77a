//! Operators of files that are quantized already: standard ones between integers that stand for real
//! numbers, see [`super::steps`], or where those are not known arithmetic that rounds as they do.

use super::cast::element_type;
use super::{conv, mat_mul};
use crate::onnx::call::{Call, Item, Refusal, sizes};
use graph::DType;
use rten_onnx::onnx::DataType;
use runtime::ops::binary::Function as Of2;
use runtime::ops::reduce::{Function as Fold, Reduce};
use runtime::ops::unary::{Function as Of1, Unary};

/// QuantizeLinear: `saturate(round(x / scale) + zero_point)`.
pub(super) fn quantize(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let to = match call.input(2) {
        Some(zero_point) => call.dtype(zero_point),
        None => output_type(call)?,
    };
    call.forget_steps()?;
    let x = call.cast(x, DType::F32)?;
    let parameters = [call.input(1), call.input(2)];
    if let Some(quantized) = call.quantized(x, parameters, to)? {
        return Ok(vec![quantized]);
    }
    let is_wide = matches!(to, DType::I16 | DType::U16);
    if is_wide && call.tensor(x).is_none() {
        let note = "numbers of 16 bits around another one than 0 are computed in float; quantize with \
                    QInt16 and the option ActivationSymmetric";
        if !call.builder.notes.iter().any(|other| other == note) {
            call.builder.notes.push(note.into());
        }
    }
    let dims = sizes(&call.shape(x));
    let blocks = Blocks::of(call, &dims)?;
    let x = call.reshape(x, &blocks.dims)?;
    let (scale, zero_point) = blocks.parameters(call)?;
    let steps = call.arithmetic(Of2::Div, x, scale)?;
    let integers = requantized(call, steps, zero_point, to)?;
    Ok(vec![call.reshape(integers, &dims)?])
}

/// What the attribute says, or uint8.
fn output_type(call: &Call<'_>) -> Result<DType, Refusal> {
    match i32::try_from(call.attributes.int("output_dtype", 0)?).unwrap_or(-1) {
        0 => Ok(DType::U8),
        code => element_type(DataType(code))
            .filter(|&dtype| dtype != DType::F32)
            .ok_or_else(|| format!("there is no quantization to {}", DataType(code)).into()),
    }
}

/// DequantizeLinear: `(x - zero_point) * scale`.
pub(super) fn dequantize(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let scale = call.float(1)?;
    let rank = call.shape(call.required(0)?).rank();
    // A single scale stands along no axis, whatever the attribute says.
    let axis = call.axis(call.attributes.int("axis", 1)?, rank);
    let axis = axis.unwrap_or(0);
    if let Some(real) = call.real(call.required(0)?, scale, call.input(2), axis)? {
        return Ok(vec![real]);
    }
    call.forget_steps()?;
    let x = call.required(0)?;
    let dims = sizes(&call.shape(x));
    let blocks = Blocks::of(call, &dims)?;
    let (scale, zero_point) = blocks.parameters(call)?;
    let x = call.reshape(x, &blocks.dims)?;
    let x = centred(call, x, zero_point)?;
    let real = call.arithmetic(Of2::Mul, x, scale)?;
    Ok(vec![call.reshape(real, &dims)?])
}

/// DynamicQuantizeLinear: uint8 over the range of `x`, which includes 0.
pub(super) fn dynamic(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    call.forget_steps()?;
    let x = call.float(0)?;
    let flat = call.reshape(x, &[call.shape(x).elements()])?;
    let zero = call.floats(&[], vec![0.0])?;
    let mut bound = |function, limit| -> Result<Item, Refusal> {
        let whole = Reduce {
            function,
            first: 0,
            last: 0,
        };
        let bound = call.push(whole, &[flat])?;
        let bound = call.reshape(bound, &[])?;
        call.arithmetic(limit, bound, zero)
    };
    let (low, high) = (bound(Fold::Min, Of2::Min)?, bound(Fold::Max, Of2::Max)?);
    let steps = call.floats(&[], vec![255.0])?;
    let range = call.arithmetic(Of2::Sub, high, low)?;
    let scale = call.arithmetic(Of2::Div, range, steps)?;
    let below = call.arithmetic(Of2::Sub, zero, low)?;
    let below = call.arithmetic(Of2::Div, below, scale)?;
    let zero_point = requantized(call, below, None, DType::U8)?;
    let x = call.arithmetic(Of2::Div, x, scale)?;
    let integers = requantized(call, x, Some(zero_point), DType::U8)?;
    Ok(vec![integers, scale, zero_point])
}

/// MatMulInteger: `(a - a_zero) (b - b_zero)` in int32.
pub(super) fn mat_mul_integer(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    call.forget_steps()?;
    let (a, b) = (call.required(0)?, call.required(1)?);
    let zero_of_a = match call.input(2) {
        Some(zero_point) => Some(per_row(call, zero_point, a)?),
        None => None,
    };
    let a = centred(call, a, zero_of_a)?;
    let b = centred(call, b, call.input(3))?;
    let products = call.shape(a).last();
    let sums = exact(call, b, products, |call, b| product(call, a, b))?;
    Ok(vec![sums])
}

/// QLinearMatMul: the product of real matrices, requantized.
pub(super) fn q_linear_mat_mul(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let columns = call.shape(call.required(3)?).rank().saturating_sub(1);
    let operands = [real(call, 0, 0)?, real(call, 3, columns)?];
    if let [Some(a), Some(b)] = operands {
        let product = product(call, a, b)?;
        return Ok(vec![rescaled(call, product, 6)?]);
    }
    call.forget_steps()?;
    let (a, b) = (call.required(0)?, call.required(3)?);
    let zero_of_a = per_row(call, call.required(2)?, a)?;
    let scale_of_a = per_row(call, call.float(1)?, a)?;
    let scale_of_b = call.float(4)?;
    let a = centred(call, a, Some(zero_of_a))?;
    let b = centred(call, b, call.input(5))?;
    let sums = product(call, a, b)?;
    let by_rows = call.arithmetic(Of2::Mul, sums, scale_of_a)?;
    let real = call.arithmetic(Of2::Mul, by_rows, scale_of_b)?;
    Ok(vec![rescaled(call, real, 6)?])
}

/// ConvInteger: sums of `(x - x_zero) (w - w_zero)` in int32.
pub(super) fn conv_integer(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    call.forget_steps()?;
    let (x, weights) = (call.required(0)?, call.required(1)?);
    let products = call.shape(weights).elements() / call.shape(weights).dim(0).max(1);
    let zero_of_weights = match call.input(3) {
        Some(zero_point) => Some(per_row(call, zero_point, weights)?),
        None => None,
    };
    let x = centred(call, x, call.input(2))?;
    let weights = centred(call, weights, zero_of_weights)?;
    let sums = exact(call, weights, products, |call, weights| {
        call.inputs = vec![Some(x), Some(weights)];
        single(conv::import(call)?)
    })?;
    Ok(vec![sums])
}

/// QLinearConv: the convolution of real images and weights, requantized.
pub(super) fn q_linear_conv(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let (scale_of_x, scale_of_weights) = (call.float(1)?, call.float(4)?);
    let units = call.arithmetic(Of2::Mul, scale_of_x, scale_of_weights)?;
    if let [Some(x), Some(weights)] = [real(call, 0, 0)?, real(call, 3, 0)?] {
        let bias = match call.input(8) {
            Some(bias) => Some(real_bias(call, bias, units)?),
            None => None,
        };
        let sums = convolved(call, vec![Some(x), Some(weights), bias])?;
        return Ok(vec![rescaled(call, sums, 6)?]);
    }
    call.forget_steps()?;
    let (x, weights) = (call.required(0)?, call.required(3)?);
    let zero_of_weights = per_row(call, call.required(5)?, weights)?;
    let x = centred(call, x, call.input(2))?;
    let weights = centred(call, weights, Some(zero_of_weights))?;
    let bias = match call.input(8) {
        Some(bias) => Some(call.cast(bias, DType::F32)?),
        None => None,
    };
    let sums = convolved(call, vec![Some(x), Some(weights), bias])?;
    // The units of channels stand at axis 1 of the result.
    let units = match call.shape(units).elements() {
        1 => call.reshape(units, &[])?,
        channels => {
            let spatial = call.shape(sums).rank().saturating_sub(2);
            let dims: Vec<usize> = [channels].into_iter().chain(vec![1; spatial]).collect();
            call.reshape(units, &dims)?
        }
    };
    let real = call.arithmetic(Of2::Mul, sums, units)?;
    Ok(vec![rescaled(call, real, 6)?])
}

/// A convolution of these operands.
fn convolved(call: &mut Call<'_>, operands: Vec<Option<Item>>) -> Result<Item, Refusal> {
    let inputs = std::mem::replace(&mut call.inputs, operands);
    let sums = conv::import(call);
    call.inputs = inputs;
    single(sums?)
}

/// The real numbers of operand `index`, behind which its scale and its zero point stand, if they are
/// constant; the scales of a constant may stand along an axis.
pub(super) fn real(
    call: &mut Call<'_>,
    index: usize,
    axis: usize,
) -> Result<Option<Item>, Refusal> {
    let (item, scale) = (call.required(index)?, call.float(index + 1)?);
    call.real(item, scale, call.input(index + 2), axis)
}

/// A bias in units of sums as real numbers.
pub(super) fn real_bias(call: &mut Call<'_>, bias: Item, units: Item) -> Result<Item, Refusal> {
    let bias = call.cast(bias, DType::F32)?;
    call.arithmetic(Of2::Mul, bias, units)
}

/// Steps of the output's scale, which is operand `index` before its zero point.
pub(super) fn rescaled(call: &mut Call<'_>, real: Item, index: usize) -> Result<Item, Refusal> {
    let (scale, zero_point) = (call.float(index)?, call.required(index + 1)?);
    let to = call.dtype(zero_point);
    let parameters = [Some(scale), Some(zero_point)];
    if let Some(quantized) = call.quantized(real, parameters, to)? {
        return Ok(quantized);
    }
    let [scale, zero_point] = [
        single_number(call, scale)?,
        single_number(call, zero_point)?,
    ];
    let steps = call.arithmetic(Of2::Div, real, scale)?;
    requantized(call, steps, Some(zero_point), to)
}

fn single_number(call: &mut Call<'_>, x: Item) -> Result<Item, Refusal> {
    match call.shape(x).elements() {
        1 => call.reshape(x, &[]),
        _ => Err("its output has more than one scale".into()),
    }
}

fn single(items: Vec<Item>) -> Result<Item, Refusal> {
    items
        .first()
        .copied()
        .ok_or_else(|| "it makes nothing".into())
}

/// MatMul of two items.
fn product(call: &mut Call<'_>, a: Item, b: Item) -> Result<Item, Refusal> {
    let inputs = std::mem::replace(&mut call.inputs, vec![Some(a), Some(b)]);
    let product = mat_mul::import(call);
    call.inputs = inputs;
    single(product?)
}

/// A parameter of a matrix's rows or of weights' channels, as it broadcasts.
pub(super) fn per_row(call: &mut Call<'_>, parameter: Item, of: Item) -> Result<Item, Refusal> {
    let given = sizes(&call.shape(parameter));
    let of = sizes(&call.shape(of));
    match given[..] {
        [rows] if rows > 1 && of.len() == 2 && of[0] == rows => call.reshape(parameter, &[rows, 1]),
        [rows] if rows > 1 && of.len() > 2 && of[0] == rows => {
            let dims: Vec<usize> = [rows].into_iter().chain(vec![1; of.len() - 1]).collect();
            call.reshape(parameter, &dims)
        }
        [1] => call.reshape(parameter, &[]),
        [] => Ok(parameter),
        [_] => Err(format!("parameters of {given:?} do not fit {of:?}").into()),
        // One row of a stack each, with its axes written out.
        _ => Ok(parameter),
    }
}

/// Sums of so many products as integers, where `multiply` gives those with the factors `b` in floats.
/// Products of differences of 8 bits add up exactly in floats to 2^24. For longer sums the factors are
/// taken apart into sixteens and the rest, whose products are smaller.
fn exact(
    call: &mut Call<'_>,
    b: Item,
    products: usize,
    multiply: impl Fn(&mut Call<'_>, Item) -> Result<Item, Refusal>,
) -> Result<Item, Refusal> {
    const MOST: usize = (1 << 24) / (255 * 255);
    const MOST_APART: usize = (1 << 24) / (255 * 16);
    if products <= MOST {
        let sums = multiply(call, b)?;
        return call.cast(sums, DType::I32);
    }
    if products > MOST_APART {
        let reason =
            format!("sums {products} products, and more than {MOST_APART} may not be exact");
        let remedy = "give the float model, and quantize it with `modelopt quantize`";
        return Err(Refusal::new(reason, remedy));
    }
    let sixteen = call.floats(&[], vec![16.0])?;
    let sixteens = call.arithmetic(Of2::Div, b, sixteen)?;
    let sixteens = call.unary(Of1::Floor, sixteens)?;
    let taken = call.arithmetic(Of2::Mul, sixteens, sixteen)?;
    let rest = call.arithmetic(Of2::Sub, b, taken)?;
    let [high, low, unit] = [multiply(call, sixteens)?, multiply(call, rest)?, sixteen];
    let high = call.cast(high, DType::I32)?;
    let (low, unit) = (call.cast(low, DType::I32)?, call.cast(unit, DType::I32)?);
    let high = call.arithmetic(Of2::Mul, high, unit)?;
    call.arithmetic(Of2::Add, high, low)
}

/// `x - zero_point` in floats, which hold every difference of 16 bits.
pub(super) fn centred(
    call: &mut Call<'_>,
    x: Item,
    zero_point: Option<Item>,
) -> Result<Item, Refusal> {
    let x = call.cast(x, DType::F32)?;
    let Some(zero_point) = zero_point else {
        return Ok(x);
    };
    let zero_point = call.cast(zero_point, DType::F32)?;
    call.arithmetic(Of2::Sub, x, zero_point)
}

/// `saturate(round(x) + zero_point)`: halves go to even numbers.
pub(super) fn requantized(
    call: &mut Call<'_>,
    x: Item,
    zero_point: Option<Item>,
    to: DType,
) -> Result<Item, Refusal> {
    let mut sum = call.push(
        Unary {
            function: Of1::Round,
        },
        &[x],
    )?;
    if let Some(zero_point) = zero_point {
        let zero_point = call.cast(zero_point, DType::F32)?;
        sum = call.arithmetic(Of2::Add, sum, zero_point)?;
    }
    call.cast(sum, to)
}

/// How scales and zero points stand beside the elements.
struct Blocks {
    /// The elements' dimensions, the axis cut into blocks where there are any.
    dims: Vec<usize>,
    /// The dimensions of the parameters, which broadcast to those.
    parameters: Vec<usize>,
}

impl Blocks {
    fn of(call: &Call<'_>, dims: &[usize]) -> Result<Self, Refusal> {
        let given = sizes(&call.shape(call.required(1)?));
        let dims = dims.to_vec();
        if given.iter().product::<usize>() == 1 {
            let parameters = Vec::new();
            return Ok(Blocks { dims, parameters });
        }
        let axis = call.axis(call.attributes.int("axis", 1)?, dims.len())?;
        if given.len() == 1 && given[0] == dims[axis] {
            let mut parameters = vec![1; dims.len()];
            parameters[axis] = given[0];
            return Ok(Blocks { dims, parameters });
        }
        let size = usize::try_from(call.attributes.int("block_size", 0)?).unwrap_or(0);
        let mut expected = dims.clone();
        expected[axis] = dims[axis] / size.max(1);
        if given != expected || expected[axis] * size != dims[axis] {
            return Err(format!("its scales {given:?} do not fit {dims:?}").into());
        }
        let (mut cut, mut parameters) = (expected.clone(), expected);
        cut.insert(axis + 1, size);
        parameters.insert(axis + 1, 1);
        Ok(Blocks {
            dims: cut,
            parameters,
        })
    }

    /// Scale and zero point in shape.
    fn parameters(&self, call: &mut Call<'_>) -> Result<(Item, Option<Item>), Refusal> {
        let scale = call.float(1)?;
        let scale = call.reshape(scale, &self.parameters)?;
        let zero_point = match call.input(2) {
            Some(zero_point) => Some(call.reshape(zero_point, &self.parameters)?),
            None => None,
        };
        Ok((scale, zero_point))
    }
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, int};

    #[test]
    fn halves_go_to_even_numbers_and_the_rest_saturates() {
        let x = Source::new(13).constant(&[4], &[0.5, 1.5, -600.0, 3.0]);
        let quantized = x.constant(&[], &[1.0]).apply("QuantizeLinear", vec![]);
        assert_eq!(quantized.folded().1, [0, 2, 0, 3]);
        let signed = Source::new(21)
            .constant(&[2], &[5.0, 1000.0])
            .constant(&[], &[2.0]);
        let signed = signed.apply("QuantizeLinear", vec![int("output_dtype", 3)]);
        assert_eq!(signed.folded().1, [2, 127]);
    }

    #[test]
    fn scales_may_be_per_axis_or_per_block() {
        let x = || Source::new(21).whole_of(&[2, 2], &[1, 2, 3, 4]);
        let rows = x().constant(&[2], &[1.0, 10.0]);
        let rows = rows.apply("DequantizeLinear", vec![int("axis", 0)]);
        assert_eq!(rows.run().1, [1.0, 2.0, 30.0, 40.0]);
        let blocks = x().constant(&[2, 1], &[1.0, 10.0]);
        let attributes = vec![int("axis", 1), int("block_size", 2)];
        let blocks = blocks.apply("DequantizeLinear", attributes);
        assert_eq!(blocks.run().1, [1.0, 2.0, 30.0, 40.0]);
    }

    /// The result of a node over all operands, as floats.
    fn real(source: Source, operator: &str, operands: &[&str]) -> Vec<f32> {
        let source = source.node(operator, operands, "q", vec![]);
        let source = source.node("Cast", &["q"], "y", vec![int("to", 1)]);
        source.output("y").run().1
    }

    #[test]
    fn products_have_their_zero_points_taken_off() {
        let a = Source::new(13).whole_of(&[1, 2], &[3, 5]);
        let b = a.whole_of(&[2, 1], &[1, 2]).whole_of(&[], &[1]);
        assert_eq!(real(b, "MatMulInteger", &["x0", "x1", "x2"]), [10.0]);
        let wide = Source::new(13).whole_of(&[1, 5000], &[1; 5000]);
        let wide = wide.whole_of(&[5000, 1], &[1; 5000]);
        let refusal = wide.apply("MatMulInteger", vec![]).refusal();
        assert!(refusal.contains("exact"), "{refusal}");
    }

    /// Floats alone would lose the last bits of such sums.
    #[test]
    fn long_sums_are_exact() {
        let sum = |a: &[i64], b: &[i64]| -> i64 { a.iter().zip(b).map(|(x, y)| x * y).sum() };
        for count in [300usize, 4112] {
            let a: Vec<i64> = (0..count as i64).map(|i| 127 - i % 3).collect();
            let b: Vec<i64> = (0..count as i64).map(|i| -127 + i % 5).collect();
            let size = count as i64;
            for (operator, first, second) in [
                ("MatMulInteger", vec![1, size], vec![size, 1]),
                (
                    "ConvInteger",
                    vec![1, size / 4, 2, 2],
                    vec![1, size / 4, 2, 2],
                ),
            ] {
                let source = Source::new(13).whole_of(&first, &a).whole_of(&second, &b);
                let source = source.whole_of(&[], &[sum(&a, &b)]);
                let source = source.node(operator, &["x0", "x1"], "q", vec![]);
                let source = source.node("Cast", &["q"], "sum", vec![int("to", 7)]);
                let source = source.node("Equal", &["sum", "x2"], "same", vec![]);
                let source = source.node("Cast", &["same"], "y", vec![int("to", 1)]);
                assert_eq!(source.output("y").run().1, [1.0], "{operator} of {count}");
            }
        }
    }

    #[test]
    fn sums_are_requantized() {
        // (3 - 1) 0.5 times (4 - 0) 2 is 8; in steps of 0.5 from 3 it is 19.
        let [half, two] = [[0.5], [2.0]];
        let operands = |dims: &[i64]| {
            let a = Source::new(13).whole_of(dims, &[3]).constant(&[], &half);
            let b = a
                .whole_of(&[], &[1])
                .whole_of(dims, &[4])
                .constant(&[], &two);
            b.whole_of(&[], &[0])
                .constant(&[], &half)
                .whole_of(&[], &[3])
        };
        let names = ["x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7"];
        assert_eq!(real(operands(&[1, 1]), "QLinearMatMul", &names), [19.0]);
        assert_eq!(real(operands(&[1, 1, 1, 1]), "QLinearConv", &names), [19.0]);
    }

    #[test]
    fn a_range_is_found_at_run_time() {
        let x = Source::new(13)
            .input(&[2], &[-1.0, 254.0])
            .apply("DynamicQuantizeLinear", vec![]);
        let graph = x.import().unwrap().graph;
        assert_eq!(graph.value(graph.outputs[0].value).dtype, graph::DType::U8);
    }
}
