//! Element-wise operators of two int16 tensors with broadcasting; zero points are 0. Sums and
//! differences are `(a * fa ± b * fb + half) >> shift` in 64 bits, with factors of 31 bits; products
//! are requantized once with one 31-bit multiplier, halves up; min and max are as they are.

use super::broadcast::{Places, broadcast};
use crate::Run;
use format::fixed::requantize_single;
use format::{DType, Node};

/// Whether operands and parameters fit.
pub(super) fn check(node: &Node<'_>) -> Option<()> {
    let (a, b, output) = (node.input(0)?, node.input(1)?, node.output(0)?);
    let types = [a.dtype, b.dtype, output.dtype] == [DType::I16; 3];
    let zeros = [a.zero_point, b.zero_point, output.zero_point] == [0; 3];
    let known = matches!(node.params().u8(), 0 | 1 | 2 | 4 | 5);
    let shape = broadcast(&a.shape, &b.shape)?;
    (types && zeros && known && shape == output.shape).then_some(())
}

/// Computes the output.
pub(super) fn run(run: &Run<'_>) {
    let (Some(a), Some(b), Some(to)) = (run.node.input(0), run.node.input(1), run.node.output(0))
    else {
        return;
    };
    let mut params = run.node.params();
    let (function, shift) = (params.u8(), params.u8() & 31);
    let [low, high] = super::limits_i16(&mut params);
    let (first, second) = (params.i32(), params.i32());
    let half = (1i64 << shift) >> 1;
    let scaled = |x: i16, factor: i32| i64::from(x) * i64::from(factor);
    let combine = |x: i16, y: i16| match function {
        0 => (scaled(x, first) + scaled(y, second) + half) >> shift,
        1 => (scaled(x, first) - scaled(y, second) + half) >> shift,
        2 => requantize_single(i32::from(x) * i32::from(y), first, second.clamp(-31, 30)).into(),
        4 => x.min(y).into(),
        _ => x.max(y).into(),
    };
    let (x, y, output) = (
        run.input::<i16>(0),
        run.input::<i16>(1),
        run.output::<i16>(0),
    );
    let mut pairs = Places::new([&a.shape, &b.shape], to.shape);
    for cell in output {
        let at = pairs.advance();
        let value = combine(x.get(at[0]), y.get(at[1]));
        cell.set(value.clamp(low.into(), high.into()) as i16);
    }
}

#[cfg(feature = "host")]
pub(crate) use host::params;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Operand, activation_limits};
    use crate::ops::binary::{Binary, Function};
    use format::ParamsWriter;
    use format::fixed::quantize_multiplier;
    use std::string::String;
    use std::vec::Vec;

    /// Function, limits and factors of a node.
    pub(crate) fn params(
        binary: &Binary,
        [a, b]: [&Operand<'_>; 2],
        output: &Operand<'_>,
    ) -> Result<Vec<u8>, String> {
        let operands = [a.affine()?, b.affine()?, output.affine()?];
        if operands.iter().any(|&(_, zero_point)| zero_point != 0) {
            return Err("int16 tensors have the zero point 0".into());
        }
        let [a, b, to] = operands.map(|(scale, _)| f64::from(scale));
        let (shift, [first, second]) = match binary.function {
            Function::Add | Function::Sub => sum(a / to, b / to)?,
            Function::Mul => {
                let (multiplier, shift) = quantize_multiplier(a * b / to);
                (0, [multiplier, shift])
            }
            Function::Min | Function::Max if a == to && b == to => (0, [0; 2]),
            Function::Min | Function::Max => {
                return Err("its inputs and its output need one scale".into());
            }
            other => return Err(std::format!("there is no {other:?} of int16")),
        };
        let [low, high] = activation_limits(binary.activation, output)?;
        let mut params = ParamsWriter::default();
        params
            .u8(binary.function as u8)
            .u8(shift)
            .i16(low)
            .i16(high);
        params.i32(first).i32(second);
        Ok(params.finish())
    }

    /// The largest shift with which both factors stay below 2^31, and the factors.
    fn sum(a: f64, b: f64) -> Result<(u8, [i32; 2]), String> {
        let fits = |&shift: &u8| (a.max(b) * 2f64.powi(shift.into())).round() < 2f64.powi(31);
        let shift = (0..=30u8).rev().find(fits);
        let shift = shift.ok_or("the inputs' scales are far above the output's")?;
        Ok((
            shift,
            [a, b].map(|ratio| (ratio * 2f64.powi(shift.into())).round() as i32),
        ))
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use crate::host::{Activation, Data, Quantization, Tensor, evaluate};
    use crate::ops::binary::{Binary, Function};
    use format::Shape;
    use format::fixed::Rounding;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        /// A row with each of two rows: within half a step of the real result.
        #[test]
        fn int16_functions_are_the_rounded_real_ones(
            rows in prop::collection::vec(any::<i16>(), 6),
            row in prop::collection::vec(any::<i16>(), 3),
            scales in (1e-5f32..1e-3, 1e-5f32..1e-3, 1e-4f32..1e-2),
            is_swapped: bool,
        ) {
            let tensor = |dims: &[u32], values: &[i16], scale| {
                let tensor = Tensor { shape: Shape::new(dims).unwrap(), data: Data::I16(values.to_vec()) };
                Some((tensor, Some(Quantization::per_tensor(scale, 0))))
            };
            let mut inputs = [tensor(&[2, 3], &rows, scales.0), tensor(&[3], &row, scales.1)];
            if is_swapped {
                inputs.reverse();
            }
            for function in [Function::Add, Function::Sub, Function::Mul] {
                let binary = Binary { function, activation: Activation::Clip(-20.0, 15.0) };
                let output = [Some(Quantization::per_tensor(scales.2, 0))];
                let made = evaluate(&binary, &inputs, &output, Rounding::High).unwrap().remove(0);
                let Data::I16(made) = made.data else { panic!("int16 stays int16") };
                let limits = [-20.0, 15.0].map(|limit: f32| f64::from((limit / scales.2).round()));
                let steps: Vec<f64> = (0..6).map(|i| {
                    let x = f64::from(rows[i]) * f64::from(scales.0);
                    let y = f64::from(row[i % 3]) * f64::from(scales.1);
                    let (a, b) = if is_swapped { (y, x) } else { (x, y) };
                    let real = match function {
                        Function::Add => a + b,
                        Function::Sub => a - b,
                        _ => a * b,
                    };
                    let steps = real / f64::from(scales.2);
                    steps.clamp(limits[0], limits[1]).clamp(-32_768.0, 32_767.0)
                }).collect();
                for (got, exact) in made.into_iter().zip(steps) {
                    prop_assert!((f64::from(got) - exact).abs() <= 0.501, "{function:?}: {got} {exact}");
                }
            }
        }
    }
}
