//! The logarithm of softmax over the last axis: `out[i] = in[i] - log(sum over j of exp(in[j]))`.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | input | `[..., C]` | int8, f32 | per tensor |
//! | output | the input's | as the input | of int8 scale 1/16, zero point 127 |
//!
//! int8 uses the fixed-point exponential and logarithm of gemmlowp, as TensorFlow Lite Micro does: no
//! table, no float, the same bits everywhere.

use super::softmax::{Exponential, exp_of_negative, one_over_one_plus, saturating_shift_left};
use crate::{Op, Run};
use format::fixed::{
    doubling_high_multiply as multiply, requantize_double, rounding_divide_by_power_of_two as divide,
};
use format::{DType, Node};

/// int8 in, int8 out.
pub static I8: Op = Op::new(160, "log_softmax", |node| check(node, DType::I8), run_i8);

/// Float in, float out.
pub static F32: Op = Op::new(161, "log_softmax_f32", |node| check(node, DType::F32), run_f32);

/// Integer bits of sums of exponentials, so that up to 2^12 ones fit.
const SUM_BITS: i32 = 12;

/// The longest row of int8.
const LONGEST_ROW: usize = 1 << SUM_BITS;

fn check(node: &Node<'_>, dtype: DType) -> Option<()> {
    let (input, output) = (node.input(0)?, node.output(0)?);
    let types = input.dtype == dtype && output.dtype == dtype;
    let row = input.shape.last();
    let sizes = input.shape.elements() == output.shape.elements() && row > 0;
    (types && sizes && (dtype != DType::I8 || row <= LONGEST_ROW)).then_some(())
}

fn run_f32(run: &Run<'_>) {
    let (input, output) = (run.input::<f32>(0), run.output::<f32>(0));
    let row = run.node.input(0).map_or(1, |tensor| tensor.shape.last()).max(1);
    for (start, cells) in output.chunks(row).enumerate() {
        let values = input.part(start * row, row);
        let largest = (0..row).fold(f32::NEG_INFINITY, |m, i| m.max(values.get(i)));
        let sum: f32 = (0..row).map(|i| libm::expf(values.get(i) - largest)).sum();
        let logarithm = libm::logf(sum);
        for (i, cell) in cells.iter().enumerate() {
            cell.set(values.get(i) - largest - logarithm);
        }
    }
}

fn run_i8(run: &Run<'_>) {
    let mut params = run.node.params();
    let exponential = Exponential::read(&mut params);
    let (to_steps, to_steps_shift) = (params.i32(), params.i32().clamp(-31, 0));
    let (input, output) = (run.input::<i8>(0), run.output::<i8>(0));
    let row = run.node.input(0).map_or(1, |tensor| tensor.shape.last()).max(1);
    for (start, cells) in output.chunks(row).enumerate() {
        let values = input.part(start * row, row);
        let largest = (0..row).map(|i| i32::from(values.get(i))).max().unwrap_or(0);
        let difference = |i: usize| i32::from(values.get(i)) - largest;
        let counted = (0..row).map(difference).filter(|&difference| difference >= exponential.least);
        let sum = counted.fold(0i32, |sum, difference| {
            sum.wrapping_add(divide(exp_of_negative::<5>(exponential.scaled(difference)), SUM_BITS))
        });
        let logarithm = logarithm(sum.max(1));
        // Differences that less the logarithm leave what 32 bits hold.
        let lowest = requantize_double(logarithm.wrapping_add(i32::MIN), to_steps, to_steps_shift);
        let lowest = lowest.max(exponential.least.saturating_sub(1));
        for (i, cell) in cells.iter().enumerate() {
            let difference = difference(i);
            cell.set(match difference > lowest {
                true => {
                    let value = exponential.scaled(difference).wrapping_sub(logarithm);
                    (divide(value, 31 - 5 - 4) + 127).clamp(-128, 127) as i8
                }
                false => -128,
            });
        }
    }
}

/// The natural logarithm of a number from 1 on in Q12.19, in Q5.26: that of a power of two, and of what is
/// left around one by a quotient of polynomials.
fn logarithm(x: i32) -> i32 {
    const LN_2: i32 = 1_488_522_236;
    const ROOT_OF_HALF: i32 = 1_518_500_250;
    const FOURTH_ROOT_OF_HALF: i32 = 1_805_811_301;
    // 11/240, 1/20 and 1/4 of the fourth root of 2, and twice its inverse less it.
    const NUMERATOR: i32 = 117_049_297;
    const SQUARE: i32 = 127_690_142;
    const LINE: i32 = 638_450_708;
    const CONSTANT: i32 = 1_057_819_769;
    /// Integer bits of sums on the way, one more than those of the result.
    const BITS: u32 = 6;
    const QUARTER: i32 = 1 << (29 - BITS);
    let power = |exponent: i32| saturating_shift_left(exponent, 31 - BITS);
    let headroom = |x: i32| (x.max(1) as u32).leading_zeros();
    // The number as it is and times the root of a half: the smaller remainder is the one to take.
    let whole = headroom(x);
    let normal = saturating_shift_left(x, whole - 1);
    let of_whole = saturating_shift_left(multiply(normal, ROOT_OF_HALF), 1);
    let power_of_whole = power(SUM_BITS - whole as i32).saturating_add(QUARTER);
    let reduced = headroom(multiply(x, ROOT_OF_HALF)) - 1;
    let of_reduced = saturating_shift_left(x, reduced);
    let power_of_reduced = power(SUM_BITS - reduced as i32).saturating_sub(QUARTER);
    let rest = of_whole.min(of_reduced);
    let exponent = power_of_whole.max(power_of_reduced);
    let middle = half_sum(rest, FOURTH_ROOT_OF_HALF);
    let apart = rest.wrapping_sub(FOURTH_ROOT_OF_HALF).wrapping_mul(2);
    let square = multiply(apart, apart);
    let cube = multiply(multiply(apart, square), NUMERATOR);
    let numerator = multiply(apart, rest).wrapping_add(cube);
    let factor = CONSTANT.wrapping_add(apart).wrapping_add(multiply(SQUARE, square));
    let denominator = multiply(middle, factor).wrapping_add(multiply(LINE, apart));
    let quotient = multiply(divide(numerator, BITS as i32), one_over_one_plus(denominator));
    saturating_shift_left(multiply(exponent, LN_2).wrapping_add(quotient), 1)
}

/// Half the sum, halves away from zero.
fn half_sum(a: i32, b: i32) -> i32 {
    let sum = i64::from(a) + i64::from(b);
    ((sum + if sum >= 0 { 1 } else { -1 }) / 2) as i32
}

#[cfg(feature = "host")]
pub use host::LogSoftmax;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use crate::ops::softmax::exponential;
    use format::fixed::{Rounding, quantize_multiplier};
    use format::{DType, ParamsWriter};
    use std::string::String;
    use std::vec::Vec;

    /// The logarithm of softmax over the last axis.
    #[derive(Clone, Copy, Debug, Default, PartialEq)]
    pub struct LogSoftmax;

    impl Operator for LogSoftmax {
        fn name(&self) -> &'static str {
            "log_softmax"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let input = required(inputs, 0)?;
            Ok(std::vec![(input.dtype, input.shape)])
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            let (input, output) = (required(inputs, 0)?, outputs.first().ok_or("no output")?);
            let operands = std::vec![LoweredOperand::Input(0)];
            let mut params = ParamsWriter::default();
            let code = match (input.dtype, output.dtype) {
                (DType::F32, DType::F32) => super::F32.code,
                (DType::I8, DType::I8) => {
                    if output.affine()? != (1.0 / 16.0, 127) {
                        return Err("int8 log_softmax has scale 1/16 and zero point 127".into());
                    }
                    if input.shape.last() > super::LONGEST_ROW {
                        let most = super::LONGEST_ROW;
                        return Err(std::format!("int8 log_softmax has rows of {most} at most"));
                    }
                    scaling(&mut params, input.affine()?.0)?;
                    super::I8.code
                }
                (from, to) => return Err(std::format!("there is no log_softmax from {from} to {to}")),
            };
            Ok(Lowered { code, operands, params: params.finish() })
        }
    }

    /// What exponentials are made with, and the factor back to steps of the input.
    fn scaling(params: &mut ParamsWriter, scale: f32) -> Result<(), String> {
        let (multiplier, shift) = exponential(params, scale);
        if !(1..=31).contains(&shift) {
            return Err("its input's scale is too small".into());
        }
        let back = f64::from(1u32 << (31 - shift)) / f64::from(multiplier);
        let (to_steps, to_steps_shift) = quantize_multiplier(back);
        params.i32(to_steps).i32(to_steps_shift);
        Ok(())
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::{LogSoftmax, logarithm};
    use crate::host::{Data, Quantization, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    #[test]
    fn fixed_point_logarithms_are_close_to_real_ones() {
        for real in [1.0f64, 1.01, 1.3, 1.999, 2.0, 10.5, 700.0, 4095.9] {
            let fixed = logarithm((real * f64::from(1 << 19)) as i32);
            let got = f64::from(fixed) / f64::from(1 << 26);
            assert!((got - real.ln()).abs() < 3e-6, "{real}: {got}");
        }
    }

    /// Shares of 3/4 and 1/4: logarithms of -0.288 and -1.386, in sixteenths from 127.
    #[test]
    fn int8_logarithms_of_shares() {
        let shape = Shape::new(&[1, 2]).unwrap();
        let of = |scale: f32, values: [i8; 2]| {
            let tensor = Tensor { shape, data: Data::I8(values.to_vec()) };
            let input = [Some((tensor, Some(Quantization::per_tensor(scale, 5))))];
            let output = [Some(Quantization::per_tensor(1.0 / 16.0, 127))];
            evaluate(&LogSoftmax, &input, &output, Rounding::Double).unwrap().remove(0).data
        };
        assert_eq!(of(0.010_986_123, [100, 0]), Data::I8(vec![122, 105]));
        // What is further below than the output's range is its lowest.
        assert_eq!(of(0.5, [127, -128]), Data::I8(vec![127, -128]));
    }

    #[test]
    fn float_logarithms_of_shares() {
        let shape = Shape::new(&[2, 2]).unwrap();
        let tensor = Tensor { shape, data: Data::F32(vec![0.0, 0.0, 1000.0, 0.0]) };
        let outputs = evaluate(&LogSoftmax, &[Some((tensor, None))], &[], Rounding::High).unwrap();
        let half = 0.5f32.ln();
        assert_eq!(outputs[0].data, Data::F32(vec![half, half, 0.0, -1000.0]));
    }
}
