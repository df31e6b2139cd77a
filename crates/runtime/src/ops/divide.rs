//! The quotient of two int8 or two int16 tensors with broadcasting, rounded once, halves away from zero:
//! `round(m * 2^shift * (a - a_zero) / (b - b_zero)) + zero`. A quotient by zero is as far away from zero
//! as can be, in the direction of `a`, and zero where `a` is zero too. Divisors that are constant are not
//! divided by: they become factors.

use super::broadcast::{Places, broadcast};
use crate::Run;
use format::{DType, Node};
use kernels::Integer;

/// Shifts at which 46 bits are less than half a step, and 63 bits are enough for every quotient.
const SHIFTS: core::ops::RangeInclusive<i32> = 0..=48;

/// Whether operands and parameters fit.
pub(super) fn check(node: &Node<'_>, dtype: DType) -> Option<()> {
    let (a, b, output) = (node.input(0)?, node.input(1)?, node.output(0)?);
    let types = [a.dtype, b.dtype, output.dtype] == [dtype; 3];
    let small = match dtype {
        DType::I16 => 0..=0,
        _ => -128..=127,
    };
    let tensors = [a, b, output];
    let zeros = tensors
        .iter()
        .all(|tensor| small.contains(&tensor.zero_point));
    let shape = broadcast(&a.shape, &b.shape)?;
    (types && zeros && shape == output.shape).then_some(())
}

/// Computes the output.
pub(super) fn run<T: Integer>(run: &Run<'_>) {
    let (Some(a), Some(b), Some(to)) = (run.node.input(0), run.node.input(1), run.node.output(0))
    else {
        return;
    };
    let mut params = run.node.params();
    let (multiplier, shift) = (i64::from(params.i32()), params.i32());
    let shift = shift.clamp(*SHIFTS.start(), *SHIFTS.end());
    let limits = match to.dtype {
        DType::I16 => super::limits_i16(&mut params).map(i64::from),
        _ => super::limits_i8(&mut params).map(i64::from),
    };
    let most = -2 * i64::from(T::SMALLEST) - 1;
    let combine = |x: i32, y: i32| {
        let dividend = (i64::from(x) - i64::from(a.zero_point)) * multiplier;
        let divisor = (i64::from(y) - i64::from(b.zero_point)) << shift;
        if divisor == 0 {
            return dividend.signum() * most;
        }
        let size = (dividend.abs() + divisor.abs() / 2) / divisor.abs();
        size.min(most) * dividend.signum() * divisor.signum()
    };
    let (x, y, output) = (run.input::<T>(0), run.input::<T>(1), run.output::<T>(0));
    let mut pairs = Places::new([&a.shape, &b.shape], to.shape);
    for cell in output {
        let [at_x, at_y] = pairs.advance();
        let value = combine(x.get(at_x).into(), y.get(at_y).into()) + i64::from(to.zero_point);
        cell.set(T::from_clamped(value.clamp(limits[0], limits[1]) as i32));
    }
}

#[cfg(feature = "host")]
pub(crate) use host::params;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Activation, Operand, activation_limits};
    use format::fixed::quantize_multiplier;
    use format::{DType, ParamsWriter};
    use std::string::String;
    use std::vec::Vec;

    /// Ratios of scales are below this, and shifts above 0.
    const MOST: f64 = (1u64 << 30) as f64;

    /// Factor, shift and limits of a node.
    pub(crate) fn params(
        [a, b]: [&Operand<'_>; 2],
        output: &Operand<'_>,
        activation: Activation,
    ) -> Result<Vec<u8>, String> {
        let [a, b, to] =
            [a.affine()?, b.affine()?, output.affine()?].map(|(scale, _)| f64::from(scale));
        let ratio = a / (b * to);
        if ratio >= MOST {
            return Err("the scale of its dividend is too far above the others".into());
        }
        let (multiplier, exponent) = quantize_multiplier(ratio);
        let shift = 31 - exponent;
        let [low, high] = activation_limits(activation, output)?;
        let mut params = ParamsWriter::default();
        params.i32(multiplier).i32(shift.min(*super::SHIFTS.end()));
        match output.dtype {
            DType::I16 => params.i16(low).i16(high),
            _ => params.u8(low as i8 as u8).u8(high as i8 as u8),
        };
        Ok(params.finish())
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use crate::host::{Activation, Data, Quantization, Tensor, evaluate};
    use crate::ops::binary::tests::of_rows;
    use crate::ops::binary::{Binary, Function};
    use format::Shape;
    use format::fixed::Rounding;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    fn quotients(a: (&[i8], (f32, i32)), b: (&[i8], (f32, i32)), to: (f32, i32)) -> Vec<i8> {
        of_rows(Function::Div, a, b, to)
    }

    /// 0.5 (q - 1) by 0.25 (q + 3), in quarters from -10.
    #[test]
    fn zero_divides_to_the_limits() {
        let made = quotients(
            (&[5, -3, 1, 5, -3, 1], (0.5, 1)),
            (&[5, 5, 5, -3, -3, -3], (0.25, -3)),
            (0.25, -10),
        );
        // 2 / 2, -2 / 2, 0 / 2, then all by 0.
        assert_eq!(made, [-6, -14, -10, 127, -128, -10]);
    }

    proptest! {
        #[test]
        fn quotients_are_the_rounded_real_ones(
            pairs in prop::collection::vec(any::<(i8, i8)>(), 1..40),
            scales in (1e-4f32..10.0, 1e-4f32..10.0, 1e-4f32..10.0),
            zeros in any::<(i8, i8, i8)>(),
        ) {
            let (a, b): (Vec<i8>, Vec<i8>) = pairs.into_iter().unzip();
            let zeros = [zeros.0, zeros.1, zeros.2].map(i32::from);
            let made = quotients(
                (&a, (scales.0, zeros[0])),
                (&b, (scales.1, zeros[1])),
                (scales.2, zeros[2]),
            );
            let ratio = f64::from(scales.0) / f64::from(scales.1) / f64::from(scales.2);
            for ((&x, &y), got) in a.iter().zip(&b).zip(made) {
                let (x, y) = (i32::from(x) - zeros[0], i32::from(y) - zeros[1]);
                if y == 0 {
                    continue;
                }
                let exact = ratio * f64::from(x) / f64::from(y) + f64::from(zeros[2]);
                let near = (f64::from(got) - exact.clamp(-128.0, 127.0)).abs() <= 0.5 + 1e-6;
                prop_assert!(near, "{x} by {y}: {got}, not {exact}");
            }
        }
    }

    proptest! {
        #[test]
        fn int16_quotients_are_the_rounded_real_ones(
            pairs in prop::collection::vec(any::<(i16, i16)>(), 1..40),
            scales in (1e-4f32..10.0, 1e-4f32..10.0, 1e-4f32..10.0),
        ) {
            let (a, b): (Vec<i16>, Vec<i16>) = pairs.into_iter().unzip();
            let tensor = |values: &[i16], scale| {
                let shape = Shape::new(&[values.len() as u32]).unwrap();
                let tensor = Tensor { shape, data: Data::I16(values.to_vec()) };
                Some((tensor, Some(Quantization::per_tensor(scale, 0))))
            };
            let binary = Binary { function: Function::Div, activation: Activation::None };
            let inputs = [tensor(&a, scales.0), tensor(&b, scales.1)];
            let output = [Some(Quantization::per_tensor(scales.2, 0))];
            let made = evaluate(&binary, &inputs, &output, Rounding::High).unwrap().remove(0).data;
            let ratio = f64::from(scales.0) / f64::from(scales.1) / f64::from(scales.2);
            for ((&x, &y), got) in a.iter().zip(&b).zip(made.to_i64().unwrap()) {
                let exact = match y {
                    0 => f64::from(x.signum()) * 1e9,
                    _ => ratio * f64::from(x) / f64::from(y),
                };
                let exact = exact.clamp(-32_768.0, 32_767.0);
                prop_assert!((got as f64 - exact).abs() <= 0.501, "{x} by {y}: {got}, not {exact}");
            }
        }
    }

    #[test]
    fn scales_that_are_far_apart_are_refused_or_give_zero() {
        assert_eq!(
            quotients((&[127], (1e-30, 0)), (&[1], (1.0, 0)), (1.0, 3)),
            vec![3]
        );
        let tensor = |scale| {
            let tensor = Tensor {
                shape: Shape::new(&[1]).unwrap(),
                data: Data::I8(vec![1]),
            };
            Some((tensor, Some(Quantization::per_tensor(scale, 0))))
        };
        let binary = Binary {
            function: Function::Div,
            activation: Activation::None,
        };
        let output = [Some(Quantization::per_tensor(1e-9, 0))];
        let far = evaluate(
            &binary,
            &[tensor(1e9), tensor(1.0)],
            &output,
            Rounding::High,
        );
        assert!(far.is_err());
    }
}
