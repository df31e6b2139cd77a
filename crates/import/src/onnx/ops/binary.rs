//! Element-wise operators of two or more tensors.
//!
//! Whole numbers appear where exporters compute shapes; they are folded here.

use crate::onnx::call::{Call, Item, Refusal};
use crate::onnx::constant::{broadcast, to_f32};
use graph::{DType, Data};
use runtime::host::{Activation, Tensor};
use runtime::ops::binary::{Binary, Function, broadcast as broadcast_shape};
use std::rc::Rc;

/// `c = function(a, b)`.
pub(super) fn import(call: &mut Call<'_>, function: Function) -> Result<Vec<Item>, Refusal> {
    if call.attributes.has("axis") {
        return Err("the attribute 'axis' of operator set 6 is not supported".into());
    }
    Ok(vec![apply(call, function, 0, 1)?])
}

/// `function` over all operands in turn.
pub(super) fn variadic(call: &mut Call<'_>, function: Function) -> Result<Vec<Item>, Refusal> {
    let mut folded = call.required(0)?;
    if call.inputs.len() == 1 {
        call.float(0)?;
    }
    for index in 1..call.inputs.len() {
        call.inputs[0] = Some(folded);
        folded = apply(call, function, 0, index)?;
    }
    Ok(vec![folded])
}

/// The sum of all operands divided by their number.
pub(super) fn mean(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    call.float(0)?;
    let count = call.inputs.len();
    let sum = variadic(call, Function::Add)?;
    if count == 1 {
        return Ok(sum);
    }
    let count = call.floats(&[], vec![count as f32])?;
    let binary = Binary {
        function: Function::Div,
        activation: Activation::None,
    };
    Ok(vec![call.push(binary, &[sum[0], count])?])
}

fn apply(call: &mut Call<'_>, function: Function, a: usize, b: usize) -> Result<Item, Refusal> {
    if let (Some(x), Some(y)) = (call.constant_input(a), call.constant_input(b))
        && x.data.dtype() != DType::F32
    {
        return fold(call, function, &x, &y);
    }
    let x = call.float(a)?;
    // The exponent of a power may be of any type.
    if let Some(exponent) = call.constant_input(b).filter(|_| function == Function::Pow) {
        let values = to_f32(&exponent.data);
        let dims: Vec<usize> = exponent.shape.dims().iter().map(|&d| d as usize).collect();
        call.inputs[b] = Some(call.floats(&dims, values)?);
    }
    let y = call.float(b)?;
    call.push(
        Binary {
            function,
            activation: Activation::None,
        },
        &[x, y],
    )
}

/// Arithmetic over constant whole numbers.
fn fold(
    call: &mut Call<'_>,
    function: Function,
    a: &Rc<Tensor>,
    b: &Rc<Tensor>,
) -> Result<Item, Refusal> {
    let shape = broadcast_shape(&a.shape, &b.shape)
        .ok_or_else(|| format!("{} and {} do not broadcast", a.shape, b.shape))?;
    call.afford(&shape)?;
    let (x, y) = (
        broadcast(a, &shape).data.to_i64()?,
        broadcast(b, &shape).data.to_i64()?,
    );
    let values: Option<Vec<i64>> = x
        .into_iter()
        .zip(y)
        .map(|(x, y)| whole(function, x, y))
        .collect();
    let values = values.ok_or("the whole numbers overflow or are divided by zero")?;
    let data = match a.data.dtype() {
        DType::I64 => Data::I64(values),
        DType::I32 => {
            let narrow: Result<Vec<i32>, _> = values.into_iter().map(i32::try_from).collect();
            Data::I32(narrow.map_err(|_| "the whole numbers overflow")?)
        }
        other => return Err(format!("arithmetic of {other} is not supported").into()),
    };
    Ok(call.rearranged(call.name.clone(), Tensor { shape, data }))
}

fn whole(function: Function, x: i64, y: i64) -> Option<i64> {
    match function {
        Function::Add => x.checked_add(y),
        Function::Sub => x.checked_sub(y),
        Function::Mul => x.checked_mul(y),
        Function::Div => x.checked_div(y),
        Function::Min => Some(x.min(y)),
        Function::Max => Some(x.max(y)),
        Function::Pow => x.checked_pow(u32::try_from(y).ok()?),
    }
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::Source;

    #[test]
    fn operators_broadcast() {
        let of = |operator: &str| {
            let source = Source::new(13)
                .input(&[2, 1], &[6.0, 8.0])
                .input(&[2], &[2.0, 4.0]);
            source.apply(operator, vec![]).run()
        };
        assert_eq!(of("Add"), ("2x2".into(), vec![8.0, 10.0, 10.0, 12.0]));
        assert_eq!(of("Sub").1, [4.0, 2.0, 6.0, 4.0]);
        assert_eq!(of("Mul").1, [12.0, 24.0, 16.0, 32.0]);
        assert_eq!(of("Div").1, [3.0, 1.5, 4.0, 2.0]);
        assert_eq!(of("Pow").1, [36.0, 1296.0, 64.0, 4096.0]);
    }

    #[test]
    fn any_number_of_operands_is_folded() {
        let of = |operator: &str| {
            let source = Source::new(13)
                .input(&[2], &[1.0, 5.0])
                .input(&[2], &[2.0, 2.0]);
            source.input(&[1], &[3.0]).apply(operator, vec![]).run().1
        };
        assert_eq!(of("Sum"), [6.0, 10.0]);
        assert_eq!(of("Mean"), [2.0, 10.0 / 3.0]);
        assert_eq!(of("Min"), [1.0, 2.0]);
        assert_eq!(of("Max"), [3.0, 5.0]);
    }

    #[test]
    fn an_exponent_may_be_whole() {
        let square = Source::new(13)
            .input(&[2], &[3.0, -2.0])
            .whole_of(&[], &[2]);
        assert_eq!(square.apply("Pow", vec![]).run().1, [9.0, 4.0]);
    }

    #[test]
    fn constants_are_folded() {
        let whole = |operator: &str| {
            let source = Source::new(13).whole(&[7, -7]).whole_of(&[], &[2]);
            source.apply(operator, vec![]).folded().1
        };
        assert_eq!(whole("Add"), [9, -5]);
        assert_eq!(whole("Div"), [3, -3]);
        let zero = Source::new(13).whole(&[7]).whole(&[0]).apply("Div", vec![]);
        assert!(zero.refusal().contains("divided by zero"));
        let float = Source::new(13)
            .constant(&[1], &[1.5])
            .constant(&[1], &[2.0]);
        let float = float.apply("Mul", vec![]);
        assert!(float.operators().is_empty());
        assert_eq!(float.run().1, [3.0]);
    }
}
