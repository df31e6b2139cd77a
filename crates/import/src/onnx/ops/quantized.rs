//! Operators of files that are quantized already, as arithmetic that rounds as they do.

use super::cast::element_type;
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
    let x = call.cast(x, DType::F32)?;
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

/// `x - zero_point` in floats, which hold every difference of 16 bits.
fn centred(call: &mut Call<'_>, x: Item, zero_point: Option<Item>) -> Result<Item, Refusal> {
    let x = call.cast(x, DType::F32)?;
    let Some(zero_point) = zero_point else {
        return Ok(x);
    };
    let zero_point = call.cast(zero_point, DType::F32)?;
    call.arithmetic(Of2::Sub, x, zero_point)
}

/// `saturate(round(x) + zero_point)`: halves go to even numbers.
fn requantized(
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

    #[test]
    fn a_range_is_found_at_run_time() {
        let x = Source::new(13)
            .input(&[2], &[-1.0, 254.0])
            .apply("DynamicQuantizeLinear", vec![]);
        let graph = x.import().unwrap().graph;
        assert_eq!(graph.value(graph.outputs[0].value).dtype, graph::DType::U8);
    }
}
