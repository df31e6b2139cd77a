//! Element-wise operators of an int8 tensor and one constant number: a function of one variable, and so
//! a table of 256 entries, each the rounded real result. The device half is [`super::unary::I8`].

use super::binary::Binary;
use crate::host::{Lowered, LoweredOperand, Operand};
use format::fixed::quantize_half_away;
use format::{DType, Shape};
use std::string::String;
use std::vec::Vec;

/// Which operand is the number, and the number; `None` where no operand is one, or it changes the shape.
fn scalar(inputs: &[Option<Operand<'_>>], output: &Operand<'_>) -> Option<(usize, f32)> {
    let number = |index: usize| match inputs.get(index)?.as_ref()?.data?.f32().ok()? {
        &[number] => Some((index, number)),
        _ => None,
    };
    let (index, number) = number(1).or_else(|| number(0))?;
    let other = inputs.get(1 - index)?.as_ref()?;
    (other.dtype == DType::I8 && other.shape == output.shape).then_some((index, number))
}

/// The table, if one operand is a constant number.
pub(crate) fn lower(
    binary: &Binary,
    inputs: &[Option<Operand<'_>>],
    output: &Operand<'_>,
) -> Option<Result<Lowered, String>> {
    let (index, number) = scalar(inputs, output)?;
    let other = inputs.get(1 - index)?.as_ref()?;
    Some(table(binary, (index, number), other, output))
}

fn table(
    binary: &Binary,
    (index, number): (usize, f32),
    other: &Operand<'_>,
    output: &Operand<'_>,
) -> Result<Lowered, String> {
    let function =
        super::binary::function(binary.function as u8).ok_or("the function is not known")?;
    let ((from, from_zero), (to, to_zero)) = (other.affine()?, output.affine()?);
    let entry = |byte: u8| {
        let real = (f32::from(byte as i8) - from_zero as f32) * from;
        let value = match index {
            0 => function(number, real),
            _ => function(real, number),
        };
        quantize_half_away(binary.activation.apply(value), to, to_zero, -128, 127) as i8 as u8
    };
    let bytes: Vec<u8> = (0..=255).map(entry).collect();
    let shape = Shape::new(&[256]).ok_or("too many dimensions")?;
    let constant = LoweredOperand::Constant {
        dtype: DType::I8,
        shape,
        bytes,
    };
    let operands = std::vec![LoweredOperand::Input(1 - index), constant];
    Ok(Lowered {
        code: super::unary::I8.code,
        operands,
        params: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use crate::host::{Activation, Data, Quantization, Tensor, evaluate};
    use crate::ops::binary::{Binary, Function};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    /// 0.5 (q - 1) and 3, in steps of a quarter from -10.
    #[test]
    fn numbers_may_stand_on_both_sides() {
        let q = |scale, zero| Some(Quantization::per_tensor(scale, zero));
        let tensor = |dims: &[u32], data| Tensor {
            shape: Shape::new(dims).unwrap(),
            data,
        };
        let x = Some((tensor(&[3], Data::I8(vec![5, -3, 1])), q(0.5, 1)));
        let three = Some((tensor(&[], Data::F32(vec![3.0])), None));
        let made = |function, inputs: &[_]| {
            let binary = Binary {
                function,
                activation: Activation::None,
            };
            evaluate(&binary, inputs, &[q(0.25, -10)], Rounding::High).unwrap()[0]
                .data
                .clone()
        };
        let (right, left) = ([x.clone(), three.clone()], [three, x]);
        assert_eq!(made(Function::Pow, &right), Data::I8(vec![22, -42, -10]));
        assert_eq!(made(Function::Sub, &right), Data::I8(vec![-14, -30, -22]));
        assert_eq!(made(Function::Sub, &left), Data::I8(vec![-6, 10, 2]));
        // 3 / 0 is infinite.
        assert_eq!(made(Function::Div, &left), Data::I8(vec![-4, -16, 127]));
    }
}
