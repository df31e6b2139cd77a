//! Element-wise operators of two integer tensors with broadcasting, rounded step by step as TensorFlow Lite
//! rounds them: see [`super::binary`]. Squares of differences have 7 binary places on the way.

use super::broadcast::{Places, broadcast};
use crate::Run;
use format::fixed::{Rounding, requantize_double, requantize_single};
use format::{DType, Node};
use kernels::{AddI8, Integer, StepwiseAddI8};

/// The square of a difference.
const SQUARED: u8 = 8;

/// Binary places of the operands of [`SQUARED`].
const SQUARED_PLACES: u32 = 7;

/// A sum or a difference that is rounded once: factors, of which the second one of a difference is
/// negative, then an offset and a shift.
pub const SINGLE_SUM: u8 = 6;

/// Whether operands and parameters fit.
pub(super) fn check(node: &Node<'_>, dtype: DType) -> Option<()> {
    let (a, b, output) = (node.input(0)?, node.input(1)?, node.output(0)?);
    let types = [a.dtype, b.dtype, output.dtype].iter().all(|&t| t == dtype);
    // Then (x - zero_point) * 2^20 fits 32 bits, and so does x * 2^15 of int16.
    let zeros = if dtype == DType::I16 {
        0..=0
    } else {
        -128..=127
    };
    let small = [a, b]
        .iter()
        .all(|tensor| zeros.contains(&tensor.zero_point));
    let shape = broadcast(&a.shape, &b.shape)?;
    let known = match node.params().u8() {
        0 | 1 | 2 | 4 | 5 | SINGLE_SUM => true,
        function => function == SQUARED && dtype == DType::I8,
    };
    (types && small && known && shape == output.shape).then_some(())
}

/// Computes the output.
pub(super) fn run<T: Integer>(run: &Run<'_>) {
    let (Some(a), Some(b), Some(to)) = (run.node.input(0), run.node.input(1), run.node.output(0))
    else {
        return;
    };
    let mut params = run.node.params();
    let (function, rounding) = (params.u8(), Rounding::from_code(params.u8()));
    let is_wide = to.dtype == DType::I16;
    let [low, high] = match is_wide {
        true => super::limits_i16(&mut params).map(i32::from),
        false => super::limits_i8(&mut params).map(i32::from),
    };
    let bits = if is_wide { 15 } else { StepwiseAddI8::PLACES };
    let mut factor = || (params.i32(), params.i32().clamp(-31, 30));
    let [of_a, of_b, of_output] = [factor(), factor(), factor()];
    let requantize = match rounding {
        Some(Rounding::Double) => requantize_double,
        _ => requantize_single,
    };
    let scaled = |value: i32, (multiplier, shift)| requantize(value, multiplier, shift);
    let combine = |x: i32, y: i32| {
        let (dx, dy) = (x - a.zero_point, y - b.zero_point);
        let sum = match function {
            0 => scaled(dx << bits, of_a).wrapping_add(scaled(dy << bits, of_b)),
            1 => scaled(dx << bits, of_a).wrapping_sub(scaled(dy << bits, of_b)),
            2 => dx * dy,
            SQUARED => {
                let [x, y] =
                    [(dx, of_a), (dy, of_b)].map(|(d, of)| scaled(d << SQUARED_PLACES, of));
                let difference = x.wrapping_sub(y);
                difference.wrapping_mul(difference)
            }
            SINGLE_SUM => {
                let products = x.wrapping_mul(of_a.0).wrapping_add(y.wrapping_mul(of_b.0));
                let sum = products.wrapping_add(of_output.0) >> (of_output.1 & 31);
                return sum.saturating_add(to.zero_point);
            }
            4 => return x.min(y),
            _ => return x.max(y),
        };
        scaled(sum, of_output).saturating_add(to.zero_point)
    };
    // Shapes may differ by sizes of 1 in front.
    let elements = to.shape.elements();
    let is_plain = [a, b].iter().all(|of| of.shape.elements() == elements);
    let is_single_sum = function == SINGLE_SUM && to.dtype == DType::I8;
    if is_single_sum && is_plain {
        let factors = [of_a.0, of_b.0];
        if add(run, to.zero_point, factors, of_output, [low, high]).is_some() {
            return;
        }
    }
    let is_sum = function == 0 && rounding == Some(Rounding::Double) && to.dtype == DType::I8;
    if is_sum && is_plain {
        let zero_points = [&a, &b, &to].map(|tensor| tensor.zero_point);
        if add_by_steps(run, zero_points, [of_a, of_b, of_output], [low, high]).is_some() {
            return;
        }
    }
    let (x, y, output) = (run.input::<T>(0), run.input::<T>(1), run.output::<T>(0));
    let mut pairs = Places::new([&a.shape, &b.shape], to.shape);
    for (i, cell) in output.iter().enumerate() {
        let at = if is_plain { [i; 2] } else { pairs.advance() };
        let value = combine(x.get(at[0]).into(), y.get(at[1]).into());
        cell.set(T::from_clamped(value.max(low).min(high)));
    }
}

/// What the operand with the larger scale is multiplied by: a half.
const HALF: (i32, i32) = (1 << 30, 0);

/// A sum of int8 by the kernel for sums that are rounded step by step; `None` where no operand is halved,
/// or something is shifted to the left.
fn add_by_steps(
    run: &Run<'_>,
    [zero_a, zero_b, zero_point]: [i32; 3],
    [of_a, of_b, of_output]: [(i32, i32); 3],
    limits: [i32; 2],
) -> Option<()> {
    let to_right = |(multiplier, shift): (i32, i32)| {
        let shift = u8::try_from(-shift).ok().filter(|_| multiplier >= 0)?;
        Some((multiplier, shift))
    };
    let ([first, second], zero_points, factor) = match [of_a == HALF, of_b == HALF] {
        [true, _] => ([0, 1], [zero_a, zero_b], of_b),
        [false, true] => ([1, 0], [zero_b, zero_a], of_a),
        [false, false] => return None,
    };
    kernels::i8::stepwise_add(&StepwiseAddI8 {
        inputs: [run.input(first), run.input(second)],
        output: run.output(0),
        input_zero_points: zero_points,
        factor: to_right(factor)?,
        output_factor: to_right(of_output)?,
        output_zero_point: zero_point,
        limits: limits.map(|limit| limit.clamp(-128, 127) as i8),
    });
    Some(())
}

/// A sum of int8 that is rounded once, by the kernel for sums; `None` where the zero point and what sums
/// can be do not fit 32 bits together.
fn add(
    run: &Run<'_>,
    zero_point: i32,
    factors: [i32; 2],
    (offset, shift): (i32, i32),
    limits: [i32; 2],
) -> Option<()> {
    let shift = shift & 31;
    let whole = i64::from(offset) + (i64::from(zero_point) << shift);
    let largest: i64 = factors.iter().map(|&f| 128 * i64::from(f).abs()).sum();
    let fits = whole.abs() + largest <= i64::from(i32::MAX);
    fits.then_some(())?;
    let [low, high] = limits.map(|limit| limit.clamp(-128, 127) as i8);
    kernels::i8::add(&AddI8 {
        inputs: [run.input(0), run.input(1)],
        output: run.output(0),
        factors,
        offset: whole as i32,
        shift: shift as u8,
        limits: [low, high],
        threads: run.binding().threads,
    });
    Some(())
}

#[cfg(feature = "host")]
pub(crate) use host::params;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Operand, Operator, activation_limits};
    use crate::ops::binary::{Binary, Function};
    use format::fixed::{Rounding, quantize_multiplier};
    use format::{DType, ParamsWriter};
    use std::string::String;
    use std::vec::Vec;

    /// Multipliers and shifts of each step, as TensorFlow Lite computes them.
    pub(crate) fn params(
        binary: &Binary,
        inputs: [&Operand<'_>; 2],
        output: &Operand<'_>,
        rounding: Rounding,
    ) -> Result<Vec<u8>, String> {
        let [a, b] = inputs;
        let [(a, a_zero), (b, b_zero), (to, to_zero)] =
            [a.affine()?, b.affine()?, output.affine()?];
        let is_wide = output.dtype == DType::I16;
        if is_wide && [a_zero, b_zero, to_zero] != [0; 3] {
            return Err("int16 tensors have the zero point 0".into());
        }
        let unit = if is_wide { 1u32 << 15 } else { 1 << 20 };
        let twice = 2.0 * f64::from(a.max(b));
        let to_double = f64::from(to);
        let factors = match binary.function {
            Function::Add | Function::Sub => [
                f64::from(a) / twice,
                f64::from(b) / twice,
                twice / (f64::from(unit) * to_double),
            ],
            Function::Mul => [0.0, 0.0, f64::from(a) * f64::from(b) / to_double],
            Function::SquaredDifference if !is_wide => {
                let unit = f64::from(1u32 << (2 * super::SQUARED_PLACES));
                [
                    f64::from(a) / twice,
                    f64::from(b) / twice,
                    twice * twice / (unit * to_double),
                ]
            }
            Function::Min | Function::Max if a == to && b == to => [0.0; 3],
            Function::Min | Function::Max => {
                return Err("its inputs and its output need one scale".into());
            }
            Function::Div | Function::Pow | Function::Remainder | Function::SquaredDifference => {
                return Err(std::format!(
                    "there is no {} of {}",
                    binary.name(),
                    output.dtype
                ));
            }
        };
        let [low, high] = activation_limits(binary.activation, output)?;
        let mut params = ParamsWriter::default();
        let is_sum = matches!(binary.function, Function::Add | Function::Sub);
        if is_sum && rounding == Rounding::Single {
            params.u8(super::SINGLE_SUM).u8(rounding as u8);
            params.u8(low as i8 as u8).u8(high as i8 as u8);
            let sign = if binary.function == Function::Sub {
                -1
            } else {
                1
            };
            single_sum(&mut params, inputs, to, sign)?;
            return Ok(params.finish());
        }
        params.u8(binary.function as u8).u8(rounding as u8);
        match is_wide {
            true => params.i16(low).i16(high),
            false => params.u8(low as i8 as u8).u8(high as i8 as u8),
        };
        for (multiplier, shift) in factors.map(quantize_multiplier) {
            params.i32(multiplier).i32(shift);
        }
        Ok(params.finish())
    }

    /// Factors of up to 21 bits on a common shift, and the offset that holds zero points and
    /// rounding; `sign` is that of the second operand.
    fn single_sum(
        params: &mut ParamsWriter,
        inputs: [&Operand<'_>; 2],
        to: f32,
        sign: i32,
    ) -> Result<(), String> {
        let [(a, a_zero), (b, b_zero)] = [inputs[0].affine()?, inputs[1].affine()?];
        let ratios = [a / to, b / to];
        let largest = ratios[0].max(ratios[1]);
        let exponent = (largest.to_bits() >> 23) as i32 - 127;
        let shift = 20 - exponent;
        if !(1..=30).contains(&shift) {
            return Err("the inputs' scales are too far from the output's".into());
        }
        let [fa, fb] = ratios.map(|ratio| (ratio * 2f32.powi(shift)).round_ties_even() as i32);
        let fb = sign * fb;
        let offset = (1 << (shift - 1)) - fa * a_zero - fb * b_zero;
        params.i32(fa).i32(0).i32(fb).i32(0).i32(offset).i32(shift);
        Ok(())
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
        /// Operands have 7 places of the larger scale: twice the difference times a rounding of each.
        #[test]
        fn squared_differences_are_near_the_real_ones(
            pairs in prop::collection::vec(any::<(i8, i8)>(), 1..40),
            scales in (0.01f32..0.1, 0.01f32..0.1, 0.1f32..1.0),
            zeros in any::<(i8, i8, i8)>(),
        ) {
            let (a, b): (Vec<i8>, Vec<i8>) = pairs.into_iter().unzip();
            let tensor = |values: &[i8], scale, zero: i8| {
                let shape = Shape::new(&[values.len() as u32]).unwrap();
                let tensor = Tensor { shape, data: Data::I8(values.to_vec()) };
                Some((tensor, Some(Quantization::per_tensor(scale, zero.into()))))
            };
            let inputs = [tensor(&a, scales.0, zeros.0), tensor(&b, scales.1, zeros.1)];
            let output = [Some(Quantization::per_tensor(scales.2, zeros.2.into()))];
            let function = Function::SquaredDifference;
            let binary = Binary { function, activation: Activation::None };
            for rounding in [Rounding::High, Rounding::Double] {
                let made = evaluate(&binary, &inputs, &output, rounding).unwrap().remove(0).data;
                for ((&x, &y), got) in a.iter().zip(&b).zip(made.to_i64().unwrap()) {
                    let x = f64::from(i32::from(x) - i32::from(zeros.0)) * f64::from(scales.0);
                    let y = f64::from(i32::from(y) - i32::from(zeros.1)) * f64::from(scales.1);
                    let place = 2.0 * f64::from(scales.0.max(scales.1)) / 128.0;
                    let slack = 0.51 + (x - y).abs() * 2.0 * place / f64::from(scales.2);
                    let exact = (x - y).powi(2) / f64::from(scales.2) + f64::from(zeros.2);
                    let exact = exact.clamp(-128.0, 127.0);
                    prop_assert!((got as f64 - exact).abs() <= slack, "{x} {y}: {got} {exact}");
                }
            }
        }
    }
}
