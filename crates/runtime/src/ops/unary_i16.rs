//! Functions of int16 that need no table of their own: sigmoid and tanh as TensorFlow Lite computes
//! them, and functions of two straight lines that meet at zero, which are exact.

use crate::Run;
use format::fixed::{Rounding, requantize_double, requantize_single};
use format::{DType, Node};

fn is_int16(node: &Node<'_>) -> Option<()> {
    let (input, output) = (node.input(0)?, node.output(0)?);
    let types = [input.dtype, output.dtype] == [DType::I16; 2];
    let zeros = [input.zero_point, output.zero_point] == [0; 2];
    let sizes = input.shape.elements() == output.shape.elements();
    (types && zeros && sizes).then_some(())
}

/// Whether operands fit a function of two lines.
pub(super) fn check_bent(node: &Node<'_>) -> Option<()> {
    is_int16(node)
}

/// `clamp(x * factor)`, with one factor from zero on and one below.
pub(super) fn run_bent(run: &Run<'_>) {
    let mut params = run.node.params();
    let mut factor = || (params.i32(), params.i32().clamp(-31, 30));
    let [above, below] = [factor(), factor()];
    let [low, high] = super::limits_i16(&mut params).map(i32::from);
    let requantize = match Rounding::from_code(params.u8()) {
        Some(Rounding::Double) => requantize_double,
        _ => requantize_single,
    };
    let input = run.input::<i16>(0);
    for (i, cell) in run.output::<i16>(0).iter().enumerate() {
        let value = i32::from(input.get(i));
        let (multiplier, shift) = if value < 0 { below } else { above };
        cell.set(requantize(value, multiplier, shift).clamp(low, high) as i16);
    }
}

/// Whether operands fit a sigmoid or a tanh.
pub(super) fn check_sigmoid(node: &Node<'_>) -> Option<()> {
    is_int16(node)?;
    let table = node.input(1)?;
    let fits = table.dtype == DType::U16 && table.shape.elements() == 256;
    fits.then_some(())
}

/// Computes a sigmoid or a tanh.
pub(super) fn run_sigmoid(run: &Run<'_>) {
    let mut params = run.node.params();
    let (is_tanh, shift) = (params.u8() != 0, u32::from(params.u8() & 31));
    params.u16();
    let multiplier = params.i32();
    let curve = Curve {
        points: run.constant::<u16>(1),
        is_tanh,
        multiplier,
        shift,
    };
    let input = run.input::<i16>(0);
    for (i, cell) in run.output::<i16>(0).iter().enumerate() {
        cell.set(curve.at(input.get(i)));
    }
}

/// Straight lines between 256 points of the sigmoid from 0 to 10.7: those of inputs of Q3.12 times
/// 3 in 2^9 steps for the sigmoid, in 2^8 steps for tanh, which is `2 * sigmoid(2 * x) - 1`.
#[derive(Clone, Copy)]
pub(super) struct Curve<'a> {
    /// The sigmoid at 0, 1/24, 2/24 and so on, times 2^16.
    pub(super) points: &'a [u16],
    pub(super) is_tanh: bool,
    /// With the shift to the right what makes an input Q3.12 times 3.
    pub(super) multiplier: i32,
    /// Below 32.
    pub(super) shift: u32,
}

impl Curve<'_> {
    fn point(&self, index: u32) -> u32 {
        let point = self.points.get(index as usize);
        point.map_or(0, |&point| u32::from(point))
    }

    /// The output of Q0.15 for an input.
    pub(super) fn at(&self, input: i16) -> i16 {
        let half = (1i32 << self.shift) >> 1;
        let bits = if self.is_tanh { 8 } else { 9 };
        let product = i32::from(input).wrapping_mul(self.multiplier);
        let x = product.wrapping_add(half) >> self.shift;
        let (index, between) = (
            x.unsigned_abs() >> bits,
            x.unsigned_abs() & ((1 << bits) - 1),
        );
        let share = match (index, self.is_tanh) {
            (0..255, _) => {
                let from = self.point(index);
                let rise = self.point(index + 1).wrapping_sub(from);
                (from << bits).wrapping_add(between.wrapping_mul(rise)) as i32
            }
            (_, false) => 0x7FFF << 10,
            (_, true) => 0xFFFF << 8,
        };
        let value = match (self.is_tanh, x >= 0) {
            (false, true) => share.wrapping_add(1 << 9) >> 10,
            (false, false) => (1i32 << 25).wrapping_sub(share).wrapping_add((1 << 9) - 1) >> 10,
            (true, true) => share.wrapping_sub(1 << 23).wrapping_add(1 << 7) >> 8,
            (true, false) => (1i32 << 23).wrapping_sub(share).wrapping_add((1 << 7) - 1) >> 8,
        };
        value as i16
    }
}

#[cfg(feature = "host")]
pub(crate) use host::{lower, sigmoid_points};

#[cfg(feature = "host")]
mod host {
    use crate::host::{Activation, Lowered, LoweredOperand, Operand, activation_limits};
    use crate::ops::unary::{BENT_I16, Function, SIGMOID_I16};
    use format::fixed::{Rounding, quantize_multiplier};
    use format::{DType, ParamsWriter, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// Points of the sigmoid, a bit each from the lowest on, at which TensorFlow Lite's table is one
    /// above the rounded real number.
    const ONE_ABOVE: [u64; 4] = [
        0xC046_7BAE_FA7B_D110,
        0x0011_0090_2044_0005,
        0x80,
        0x8000_0000_0000_0000,
    ];

    /// The node of a function that needs no table of its own, where there is one.
    pub(crate) fn lower(
        function: Function,
        input: &Operand<'_>,
        output: &Operand<'_>,
        rounding: Rounding,
    ) -> Result<Option<Lowered>, String> {
        let [(from, zero), (to, output_zero)] = [input.affine()?, output.affine()?];
        if zero != 0 || output_zero != 0 {
            return Err("int16 tensors have the zero point 0".into());
        }
        let is_unit = to == 1.0 / 32_768.0 && rounding != Rounding::High;
        if matches!(function, Function::Sigmoid | Function::Tanh) && is_unit {
            return sigmoid(function == Function::Tanh, from).map(Some);
        }
        let ratio = f64::from(from / to);
        let precise = f64::from(from) / f64::from(to);
        let ([above, below], activation) = match function {
            Function::Relu => ([ratio, 0.0], Activation::Relu),
            Function::LeakyRelu(slope) => ([ratio, f64::from(from * slope / to)], Activation::None),
            // TensorFlow Lite's other ratios are of single precision.
            Function::Abs => ([precise, -precise], Activation::None),
            Function::Neg => ([-ratio; 2], Activation::None),
            Function::Clip(low, high) => ([ratio; 2], Activation::Clip(low, high)),
            _ => return Ok(None),
        };
        let [low, high] = activation_limits(activation, output)?;
        let mut params = ParamsWriter::default();
        for factor in [above, below] {
            let (multiplier, shift) = quantize_multiplier(factor.abs());
            params
                .i32(if factor < 0.0 {
                    -multiplier
                } else {
                    multiplier
                })
                .i32(shift);
        }
        params.i16(low).i16(high).u8(rounding as u8);
        let operands = std::vec![LoweredOperand::Input(0)];
        Ok(Some(Lowered {
            code: BENT_I16.code,
            operands,
            params: params.finish(),
        }))
    }

    /// Multiplier and shift that make an input Q3.12 times 3, and the points of the sigmoid at every 24th.
    fn sigmoid(is_tanh: bool, scale: f32) -> Result<Lowered, String> {
        let log2 = f64::from(scale).log2();
        let is_power = (log2 - log2.round()).abs() < 1e-3;
        let left = 12 + log2.round() as i32;
        let (multiplier, shift) = match (is_power, left, is_tanh) {
            (true, 0, _) => (3, 0),
            (true, 1, true) => (6, 0),
            _ => {
                let (mut multiplier, mut shift) = (f64::from(scale) * 4096.0 * 3.0, 0);
                while multiplier <= 32_767.0 / 2.0 && shift <= 30 {
                    (multiplier, shift) = (multiplier * 2.0, shift + 1);
                }
                (multiplier as i32, shift)
            }
        };
        if shift > 31 || multiplier > 1 << 16 {
            return Err(std::format!("its input's scale {scale} is out of range"));
        }
        let mut params = ParamsWriter::default();
        params
            .u8(u8::from(is_tanh))
            .u8(shift as u8)
            .u16(0)
            .i32(multiplier);
        let operands = std::vec![LoweredOperand::Input(0), sigmoid_points()?];
        Ok(Lowered {
            code: SIGMOID_I16.code,
            operands,
            params: params.finish(),
        })
    }

    /// The sigmoid at every 24th, as TensorFlow Lite's table has it.
    pub(crate) fn sigmoid_points() -> Result<LoweredOperand, String> {
        let points = (0..256u16).map(|index| {
            let sigmoid = 1.0 / (1.0 + libm::exp(-f64::from(index) / 24.0));
            let above = ONE_ABOVE[usize::from(index / 64)] >> (index % 64) & 1;
            (65_536.0 * sigmoid).round() as u16 + above as u16
        });
        let bytes: Vec<u8> = points.flat_map(u16::to_le_bytes).collect();
        let shape = Shape::new(&[256]).ok_or("too many dimensions")?;
        Ok(LoweredOperand::Constant {
            dtype: DType::U16,
            shape,
            bytes,
        })
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use crate::host::{Data, Quantization, Tensor, evaluate};
    use crate::ops::unary::{Function, Unary};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec::Vec;

    fn int16(function: Function, values: &[i16], [from, to]: [f32; 2]) -> Vec<i16> {
        let shape = Shape::new(&[values.len() as u32]).unwrap();
        let tensor = Tensor {
            shape,
            data: Data::I16(values.to_vec()),
        };
        let input = [Some((tensor, Some(Quantization::per_tensor(from, 0))))];
        let output = [Some(Quantization::per_tensor(to, 0))];
        let made = evaluate(&Unary { function }, &input, &output, Rounding::Double);
        match made.unwrap().remove(0).data {
            Data::I16(values) => values,
            other => panic!("{}", other.dtype()),
        }
    }

    #[test]
    fn lines_meet_at_zero() {
        let values = [-32_768, -7, 0, 7, 32_767];
        assert_eq!(
            int16(Function::Relu, &values, [0.5, 0.25]),
            [0, 0, 0, 14, 32_767]
        );
        let leaky = int16(Function::LeakyRelu(0.5), &values, [0.5, 0.5]);
        assert_eq!(leaky, [-16_384, -3, 0, 7, 32_767]);
        assert_eq!(
            int16(Function::Abs, &values, [1.0, 1.0]),
            [32_767, 7, 0, 7, 32_767]
        );
        let clipped = int16(Function::Clip(-1.0, 2.0), &values, [0.5, 0.5]);
        assert_eq!(clipped, [-2, -2, 0, 4, 4]);
    }

    #[test]
    fn sigmoid_and_tanh_are_close_to_the_real_ones() {
        let values: Vec<i16> = (-8..8).map(|i| i * 4_000).collect();
        for (function, most) in [(Function::Sigmoid, 20.0), (Function::Tanh, 40.0)] {
            for scale in [1.0 / 4096.0, 0.000_2] {
                let made = int16(function, &values, [scale, 1.0 / 32_768.0]);
                for (got, x) in made.into_iter().zip(&values) {
                    let real = function.apply(f32::from(*x) * scale) * 32_768.0;
                    assert!(
                        (f32::from(got) - real).abs() < most,
                        "{function:?}: {got} {real}"
                    );
                }
            }
        }
    }
}
