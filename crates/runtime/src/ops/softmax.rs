//! Softmax over the last axis: `out[i] = exp(in[i]) / sum over j of exp(in[j])`.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | input | `[..., C]` | int8, int16, f32 | per tensor |
//! | output | the input's | as the input | per tensor; of int16 1/32768 and 0 |
//!
//! int8 uses the fixed-point exponential of gemmlowp, as TensorFlow Lite Micro does: no table, no float,
//! the same bits everywhere. In steps of 1/256 from -128 it uses the reciprocal of gemmlowp, too. To all
//! other scales the exponentials are divided by their exact sum, and the quotients are rounded once,
//! halves up.

use super::softmax_i16;
use crate::{Op, Run};
use format::fixed::{doubling_high_multiply as multiply, rounding_divide_by_power_of_two as divide};
use core::cell::Cell;
use format::{DType, Node, Params};
use kernels::memory::In;

/// Shares have up to 2^15 steps.
const MOST_SHIFT: u8 = 15;

/// int8 in, int8 out.
pub static I8: Op = Op::new(11, "softmax", |node| check(node, DType::I8), run_i8);

/// int8 in, int8 out, to any scale.
pub static SCALED_I8: Op =
    Op::new(154, "softmax_scaled", |node| check(node, DType::I8), run_scaled);

/// int16 in, int16 out.
pub static I16: Op = Op::new(140, "softmax_i16", softmax_i16::check, softmax_i16::run);

/// Float in, float out.
pub static F32: Op = Op::new(12, "softmax_f32", |node| check(node, DType::F32), run_f32);

fn check(node: &Node<'_>, dtype: DType) -> Option<()> {
    let (input, output) = (node.input(0)?, node.output(0)?);
    let types = input.dtype == dtype && output.dtype == dtype;
    let sizes = input.shape.elements() == output.shape.elements() && input.shape.last() > 0;
    // The sum of up to 4,096 ones fits the accumulator's 12 integer bits.
    (types && sizes && (dtype != DType::I8 || input.shape.last() <= 4096)).then_some(())
}

fn run_f32(run: &Run<'_>) {
    let (input, output) = (run.input::<f32>(0), run.output::<f32>(0));
    let row = run.node.input(0).map_or(1, |tensor| tensor.shape.last()).max(1);
    for (start, cells) in output.chunks(row).enumerate() {
        let values = input.part(start * row, row);
        let largest = (0..row).fold(f32::NEG_INFINITY, |m, i| m.max(values.get(i)));
        let mut sum = 0.0;
        for (i, cell) in cells.iter().enumerate() {
            let value = libm::expf(values.get(i) - largest);
            sum += value;
            cell.set(value);
        }
        cells.iter().for_each(|cell| cell.set(cell.get() / sum));
    }
}

/// How differences of int8 elements become exponentials.
#[derive(Clone, Copy)]
pub(crate) struct Exponential {
    multiplier: i32,
    shift: i32,
    /// The smallest difference that counts.
    pub(crate) least: i32,
}

impl Exponential {
    pub(crate) fn read(params: &mut Params<'_>) -> Self {
        Exponential { multiplier: params.i32(), shift: params.i32() & 31, least: params.i32() }
    }

    /// A difference in Q5.26.
    #[inline(always)]
    pub(crate) fn scaled(&self, difference: i32) -> i32 {
        multiply(difference << self.shift, self.multiplier)
    }
}

/// A row of int8 elements.
struct Row<'a> {
    values: In<'a, i8>,
    largest: i32,
    exponential: Exponential,
}

impl Row<'_> {
    /// The exponential of an element's difference from the largest as Q0.31; 0 where it is too small to
    /// count.
    #[inline(always)]
    fn exponential(&self, index: usize) -> i32 {
        let difference = i32::from(self.values.get(index)) - self.largest;
        if difference < self.exponential.least {
            return 0;
        }
        exp_of_negative::<5>(self.exponential.scaled(difference))
    }
}

/// Hands every row of an int8 tensor and the cells for its shares to `share`.
#[inline(always)]
fn for_each_row(run: &Run<'_>, exponential: Exponential, share: impl Fn(&Row<'_>, &[Cell<i8>])) {
    let (input, output) = (run.input::<i8>(0), run.output::<i8>(0));
    let size = run.node.input(0).map_or(1, |tensor| tensor.shape.last()).max(1);
    for (index, cells) in output.chunks(size).enumerate() {
        let values = input.part(index * size, size);
        let largest = (0..size).map(|i| i32::from(values.get(i))).max().unwrap_or(0);
        share(&Row { values, largest, exponential }, cells);
    }
}

fn run_i8(run: &Run<'_>) {
    let exponential = Exponential::read(&mut run.node.params());
    for_each_row(run, exponential, |row, cells| {
        let sum: i32 = (0..cells.len()).map(|i| divide(row.exponential(i), 12)).sum();
        let (reciprocal, bits_over_unit) = reciprocal(sum);
        for (i, cell) in cells.iter().enumerate() {
            let share = divide(multiply(reciprocal, row.exponential(i)), bits_over_unit + 31 - 8);
            cell.set((share - 128).clamp(-128, 127) as i8);
        }
    });
}

fn run_scaled(run: &Run<'_>) {
    let mut params = run.node.params();
    let exponential = Exponential::read(&mut params);
    // Steps of the output in 1.
    let (multiplier, shift) = (params.i32().max(0) as u64, params.u8().min(MOST_SHIFT));
    let zero_point = run.node.output(0).map_or(0, |tensor| tensor.zero_point);
    for_each_row(run, exponential, |row, cells| {
        // Up to 4,096 times 2^31, and that times 2^15: below 2^58.
        let sum: u64 = (0..cells.len()).map(|i| row.exponential(i) as u64).sum();
        let unit = (sum << (MOST_SHIFT - shift)).max(1);
        for (i, cell) in cells.iter().enumerate() {
            let steps = (((row.exponential(i) as u64 * multiplier) >> 16) + unit / 2) / unit;
            cell.set((steps as i32).saturating_add(zero_point).clamp(-128, 127) as i8);
        }
    });
}

/// `exp(a)` for `a <= 0` with so many integer bits, 5 at most; the result is Q0.31.
pub(crate) fn exp_of_negative<const INTEGER_BITS: usize>(a: i32) -> i32 {
    /// exp(-2^k) as Q0.31 for k = -2..=4.
    const FACTORS: [i32; 7] =
        [1_672_461_947, 1_302_514_674, 790_015_084, 290_630_308, 39_332_535, 720_401, 242];
    if a == 0 {
        return i32::MAX;
    }
    let quarter = 1 << (29 - INTEGER_BITS);
    let below_quarter = (a & (quarter - 1)) - quarter;
    let mut result = exp_between_minus_quarter_and_0(below_quarter << INTEGER_BITS);
    let remainder = below_quarter.wrapping_sub(a);
    for (k, factor) in FACTORS.into_iter().enumerate().take(INTEGER_BITS + 2) {
        if remainder & (quarter << k) != 0 {
            result = multiply(result, factor);
        }
    }
    result
}

/// `exp(a)` for `-1/4 <= a < 0` in Q0.31: a Taylor polynomial around -1/8.
fn exp_between_minus_quarter_and_0(a: i32) -> i32 {
    const EXP_OF_MINUS_EIGHTH: i32 = 1_895_147_668;
    const THIRD: i32 = 715_827_883;
    let x = a.wrapping_add(1 << 28);
    let x2 = multiply(x, x);
    let x3 = multiply(x2, x);
    let x4_over_4 = divide(multiply(x2, x2), 2);
    let tail = divide(multiply(x4_over_4.wrapping_add(x3), THIRD).wrapping_add(x2), 1);
    let scaled = multiply(EXP_OF_MINUS_EIGHTH, x.wrapping_add(tail));
    EXP_OF_MINUS_EIGHTH.saturating_add(scaled)
}

/// `1 / sum` for a sum in Q12.19: a Q0.31 number in `(1/2, 1]`, and the power of two by which
/// the sum exceeds the unit that was inverted.
fn reciprocal(sum: i32) -> (i32, i32) {
    let headroom = (sum as u32).leading_zeros();
    let normalised = ((sum as u32) << headroom).wrapping_sub(1 << 31) as i32;
    (one_over_one_plus(normalised), 12 - headroom as i32)
}

/// `1 / (1 + a)` for `0 <= a < 1` in Q0.31.
pub(crate) fn one_over_one_plus(a: i32) -> i32 {
    saturating_shift_left(two_over_one_plus(a), 1)
}

/// `2 / (1 + a)` for `0 <= a < 1` in Q0.31; the result is Q2.29. Newton and Raphson, three steps.
pub(crate) fn two_over_one_plus(a: i32) -> i32 {
    const FORTY_EIGHT_SEVENTEENTHS: i32 = 1_515_870_810;
    const MINUS_THIRTY_TWO_SEVENTEENTHS: i32 = -1_010_580_540;
    let half_denominator = ((i64::from(a) + i64::from(i32::MAX) + 1) / 2) as i32;
    let slope = multiply(half_denominator, MINUS_THIRTY_TWO_SEVENTEENTHS);
    let mut x = FORTY_EIGHT_SEVENTEENTHS.wrapping_add(slope);
    for _ in 0..3 {
        let error = (1i32 << 29).wrapping_sub(multiply(half_denominator, x));
        x = x.wrapping_add(saturating_shift_left(multiply(x, error), 2));
    }
    x
}

pub(crate) fn saturating_shift_left(value: i32, bits: u32) -> i32 {
    (i64::from(value) << bits).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

#[cfg(feature = "host")]
pub use host::Softmax;
#[cfg(feature = "host")]
pub(crate) use host::exponential;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use crate::ops::softmax_i16;
    use format::fixed::{Rounding, quantize_multiplier};
    use format::{DType, ParamsWriter};
    use std::string::String;
    use std::vec::Vec;

    /// Softmax over the last axis.
    #[derive(Clone, Copy, Debug, Default, PartialEq)]
    pub struct Softmax;

    impl Operator for Softmax {
        fn name(&self) -> &'static str {
            "softmax"
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
                    exponential(&mut params, input.affine()?.0);
                    if output.affine()? == (1.0 / 256.0, -128) {
                        super::I8.code
                    } else {
                        let (multiplier, shift) = quantize_multiplier(1.0 / f64::from(output.affine()?.0));
                        if !(0..=i32::from(super::MOST_SHIFT)).contains(&shift) {
                            return Err("int8 softmax has 1 to 32,768 steps in 1".into());
                        }
                        params.i32(multiplier).u8(shift as u8).u8(0).u16(0);
                        super::SCALED_I8.code
                    }
                }
                (DType::I16, DType::I16) => return softmax_i16::lower(input, output),
                (from, to) => return Err(std::format!("there is no softmax from {from} to {to}")),
            };
            Ok(Lowered { code, operands, params: params.finish() })
        }
    }

    /// Writes what [`super::Exponential`] reads for inputs of a scale: the factor from their steps to Q5.26,
    /// and the smallest difference that counts. Returns the factor's multiplier and shift.
    pub(crate) fn exponential(params: &mut ParamsWriter, scale: f32) -> (i32, i32) {
        let real = f64::from(scale) * f64::from(1u32 << 26);
        let (multiplier, shift) = quantize_multiplier(real.min(2_147_483_647.0));
        let radius = 31.0 * f64::from(1u32 << 26) / 2f64.powi(shift);
        params.i32(multiplier).i32(shift.max(0)).i32(-(radius.floor() as i32));
        (multiplier, shift)
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::{Softmax, exp_of_negative, one_over_one_plus};
    use crate::host::{Data, Quantization, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    #[test]
    fn fixed_point_functions_are_close_to_real_ones() {
        for real in [-0.01f64, -0.2, -1.0, -3.7, -10.0] {
            let fixed = exp_of_negative::<5>((real * f64::from(1 << 26)) as i32);
            assert!((f64::from(fixed) / 2f64.powi(31) - real.exp()).abs() < 1e-6, "{real}");
        }
        for real in [0.0f64, 0.3, 0.99] {
            let fixed = one_over_one_plus((real * 2f64.powi(31)) as i32);
            assert!((f64::from(fixed) / 2f64.powi(31) - 1.0 / (1.0 + real)).abs() < 1e-6);
        }
    }

    /// exp(0) : exp(-ln 3) = 3 : 1.
    #[test]
    fn int8_shares_follow_the_exponentials() {
        let shape = Shape::new(&[1, 2]).unwrap();
        let tensor = Tensor { shape, data: Data::I8(vec![100, 0]) };
        let input = [Some((tensor, Some(Quantization::per_tensor(0.010_986_123, 5))))];
        let output = [Some(Quantization::per_tensor(1.0 / 256.0, -128))];
        let outputs = evaluate(&Softmax, &input, &output, Rounding::High).unwrap();
        assert_eq!(outputs[0].data, Data::I8(vec![64, -64]));
    }

    #[test]
    fn float_rows_sum_to_one() {
        let shape = Shape::new(&[2, 2]).unwrap();
        let tensor = Tensor { shape, data: Data::F32(vec![0.0, 0.0, 1000.0, 0.0]) };
        let outputs = evaluate(&Softmax, &[Some((tensor, None))], &[], Rounding::High).unwrap();
        assert_eq!(outputs[0].data, Data::F32(vec![0.5, 0.5, 1.0, 0.0]));
    }
}
