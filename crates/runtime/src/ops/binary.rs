//! Element-wise operators of two tensors: `out = activation(a ∘ b)` for
//! `∘` in add, sub, mul, div, min, max, pow, remainder, and the square of a difference.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | a, b | broadcast as in ONNX | f32; int8 but for remainder; int16 but for that, pow and squares | per tensor |
//! | output | the broadcast shape | as the inputs | per tensor |
//!
//! Integer addition of equal shapes is exact: `(a * fa + b * fb + offset) >> shift`, see
//! [`kernels::AddI8`] and [`kernels::AddI16`]. In files that follow TensorFlow Lite, and for everything
//! but additions of equal shapes, every step is rounded as there:
//! `round(round(a * 2^20 * fa) ± round(b * 2^20 * fb)) * f)` with zero points taken off, products in one
//! step, and min and max as they are. With single rounding, as in files quantized here, a sum is `(a * fa + b * fb + offset) >>
//! shift`, with the factors of 21 bits of desktop TensorFlow Lite. For int16 see [`WIDE_I16`], for quotients
//! [`DIVIDE_I8`], for powers [`POWER_I8`]. An int8 tensor and one constant number, of f32, become a table, whatever the function.

use crate::{Op, Run};
use format::{DType, Node};
#[cfg(feature = "host")]
use kernels::threads::Layer;
use kernels::f32::combine;
use kernels::{AddI8, AddI16};

pub use super::broadcast::broadcast;
use super::binary_i16;
use super::broadcast::Places;
use super::divide;
use super::power;
use super::stepwise;
pub use super::stepwise::SINGLE_SUM;

/// int8 addition of equal shapes.
pub static ADD_I8: Op = Op {
    #[cfg(feature = "host")]
    layer: |run| Some(Layer::AddI8(sum(run))),
    ..Op::new(3, "add", check_add, run_add)
};

/// int16 addition of equal shapes.
pub static ADD_I16: Op =
    Op::new(20, "add_i16", |node| check_equal(node, DType::I16), run_add_i16);

/// int16 operators with broadcasting.
pub static WIDE_I16: Op = Op::new(66, "binary_i16", binary_i16::check, binary_i16::run);

/// int8 operators with the rounding of TensorFlow Lite and broadcasting.
pub static STEPWISE_I8: Op = Op::new(
    40,
    "binary_stepwise",
    |node| stepwise::check(node, DType::I8),
    stepwise::run::<i8>,
);

/// int16 operators with the rounding of TensorFlow Lite and broadcasting.
pub static STEPWISE_I16: Op = Op::new(
    131,
    "binary_stepwise_i16",
    |node| stepwise::check(node, DType::I16),
    stepwise::run::<i16>,
);

/// int8 quotients with broadcasting.
pub static DIVIDE_I8: Op =
    Op::new(146, "div", |node| divide::check(node, DType::I8), divide::run::<i8>);

/// int16 quotients with broadcasting.
pub static DIVIDE_I16: Op =
    Op::new(151, "div_i16", |node| divide::check(node, DType::I16), divide::run::<i16>);

/// int8 powers with broadcasting.
pub static POWER_I8: Op = Op::new(152, "pow", power::check, power::run);

/// Float operators with broadcasting.
pub static F32: Op = Op::new(4, "binary_f32", check_f32, run_f32);

fn check_equal(node: &Node<'_>, dtype: DType) -> Option<()> {
    let (a, b, output) = (node.input(0)?, node.input(1)?, node.output(0)?);
    let equal = a.shape == b.shape && a.shape.elements() == output.shape.elements();
    let types = [a.dtype, b.dtype, output.dtype].iter().all(|&t| t == dtype);
    (equal && types).then_some(())
}

fn check_add(node: &Node<'_>) -> Option<()> {
    check_equal(node, DType::I8)?;
    let mut params = node.params();
    let factors = [params.i16(), params.i16()];
    let offset = params.i32();
    // |a * fa + b * fb| <= 2 * 128 * 2^15 = 2^23, so the offset decides about overflow.
    let safe = factors.iter().all(|&f| f != i16::MIN) && offset.unsigned_abs() < 1 << 30;
    safe.then_some(())
}

fn run_add(run: &Run<'_>) {
    kernels::i8::add(&sum(run));
}

/// The operands of a sum.
fn sum<'a>(run: &Run<'a>) -> AddI8<'a> {
    let mut params = run.node.params();
    let factors = [params.i16(), params.i16()].map(i32::from);
    let offset = params.i32();
    let shift = params.u8() & 31;
    let limits = super::limits_i8(&mut params);
    AddI8 {
        inputs: [run.input(0), run.input(1)],
        output: run.output(0),
        factors,
        offset,
        shift,
        limits,
        threads: run.binding().threads,
    }
}

fn run_add_i16(run: &Run<'_>) {
    let mut params = run.node.params();
    // 31-bit factors times 16-bit inputs, and zero points of 0: far from 64 bits.
    let factors = [params.i32(), params.i32()];
    let shift = params.u8() & 31;
    params.u8();
    let limits = super::limits_i16(&mut params);
    kernels::i16::add(&AddI16 {
        inputs: [run.input(0), run.input(1)],
        output: run.output(0),
        factors,
        offset: (1 << shift) >> 1,
        shift,
        limits,
    });
}

fn check_f32(node: &Node<'_>) -> Option<()> {
    let (a, b, output) = (node.input(0)?, node.input(1)?, node.output(0)?);
    let types = [a.dtype, b.dtype, output.dtype].iter().all(|&t| t == DType::F32);
    let shape = broadcast(&a.shape, &b.shape)?;
    let known = function(node.params().u8()).is_some();
    (types && known && shape == output.shape).then_some(())
}

/// The function with a code.
pub(super) fn function(code: u8) -> Option<fn(f32, f32) -> f32> {
    Some(match code {
        0 => |a, b| a + b,
        1 => |a, b| a - b,
        2 => |a, b| a * b,
        3 => |a, b| a / b,
        4 => |a: f32, b: f32| if a.is_nan() || b.is_nan() { f32::NAN } else { a.min(b) },
        5 => |a: f32, b: f32| if a.is_nan() || b.is_nan() { f32::NAN } else { a.max(b) },
        6 => libm::powf,
        7 => libm::fmodf,
        8 => |a, b| (a - b) * (a - b),
        _ => return None,
    })
}

fn run_f32(run: &Run<'_>) {
    let mut params = run.node.params();
    let code = params.u8();
    let Some(function) = function(code) else { return };
    params.u8();
    params.u16();
    let (low, high) = (params.f32(), params.f32());
    let (Some(a), Some(b), Some(to)) = (run.node.input(0), run.node.input(1), run.node.output(0))
    else {
        return;
    };
    let (x, y, output) = (run.input::<f32>(0), run.input::<f32>(1), run.output::<f32>(0));
    if a.shape == b.shape {
        let (inputs, limits) = ([&x, &y], [low, high]);
        // Functions that loops are compiled with.
        return match code {
            0 => combine(inputs, output, limits, |a, b| a + b),
            1 => combine(inputs, output, limits, |a, b| a - b),
            2 => combine(inputs, output, limits, |a, b| a * b),
            _ => combine(inputs, output, limits, function),
        };
    }
    let mut pairs = Places::new([&a.shape, &b.shape], to.shape);
    for cell in output {
        let at = pairs.advance();
        let value = function(x.get(at[0]), y.get(at[1]));
        // NaN passes through: comparisons with it are false.
        let value = if value < low { low } else { value };
        cell.set(if value > high { high } else { value });
    }
}

#[cfg(feature = "host")]
pub use host::{Binary, Function, sum_factors};

#[cfg(feature = "host")]
mod host {
    use crate::host::{
        Activation, Inferred, Lowered, LoweredOperand, Operand, Operator, activation_limits,
        required,
    };
    use crate::ops::{broadcast, stepwise};
    use format::fixed::Rounding;
    use format::{DType, ParamsWriter};
    use std::string::String;
    use std::vec::Vec;

    /// Which function of two numbers.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[repr(u8)]
    pub enum Function {
        /// `a + b`.
        Add = 0,
        /// `a - b`.
        Sub = 1,
        /// `a * b`.
        Mul = 2,
        /// `a / b`.
        Div = 3,
        /// The smaller; NaN if either is.
        Min = 4,
        /// The larger; NaN if either is.
        Max = 5,
        /// `a` to the power of `b`.
        Pow = 6,
        /// What is left of `a` divided by `b`, with the sign of `a`.
        Remainder = 7,
        /// `(a - b)^2`.
        SquaredDifference = 8,
    }

    /// Attributes of an element-wise operator of two tensors.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Binary {
        /// The function.
        pub function: Function,
        /// Fused activation.
        pub activation: Activation,
    }

    impl Operator for Binary {
        fn name(&self) -> &'static str {
            match self.function {
                Function::Add => "add",
                Function::Sub => "sub",
                Function::Mul => "mul",
                Function::Div => "div",
                Function::Min => "min",
                Function::Max => "max",
                Function::Pow => "pow",
                Function::Remainder => "remainder",
                Function::SquaredDifference => "squared_difference",
            }
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let (a, b) = (required(inputs, 0)?, required(inputs, 1)?);
            // One constant number may stand beside int8: see the module `binary_scalar`.
            let is_number = |x: &Operand<'_>, other: &Operand<'_>| {
                x.dtype == DType::F32 && x.shape.elements() == 1 && other.dtype == DType::I8
            };
            if a.dtype != b.dtype && !is_number(a, b) && !is_number(b, a) {
                return Err(std::format!("{} and {} do not mix", a.dtype, b.dtype));
            }
            let dtype = if is_number(a, b) { b.dtype } else { a.dtype };
            let shape = broadcast::infer(&a.shape, &b.shape)?;
            Ok(std::vec![(dtype, shape)])
        }

        fn overlap(
            &self,
            index: usize,
            inputs: &[Option<Operand<'_>>],
            output: &Operand<'_>,
        ) -> Option<usize> {
            let input = inputs.get(index)?.as_ref()?;
            // Element by element in ascending order: in place, where nothing is stretched.
            (input.shape == output.shape && input.dtype == output.dtype).then_some(0)
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            rounding: Rounding,
        ) -> Result<Lowered, String> {
            let output = outputs.first().ok_or("there is no output")?;
            if output.dtype == DType::I8
                && let Some(lowered) = crate::ops::binary_scalar::lower(self, inputs, output)
            {
                return lowered;
            }
            let operands = std::vec![LoweredOperand::Input(0), LoweredOperand::Input(1)];
            match (output.dtype, self.function) {
                (DType::I8 | DType::I16, Function::Div) => {
                    let operands_of = [required(inputs, 0)?, required(inputs, 1)?];
                    let params = crate::ops::divide::params(operands_of, output, self.activation)?;
                    let code = match output.dtype {
                        DType::I16 => super::DIVIDE_I16.code,
                        _ => super::DIVIDE_I8.code,
                    };
                    Ok(Lowered { code, operands, params })
                }
                (DType::I8, Function::Pow) => {
                    let operands_of = [required(inputs, 0)?, required(inputs, 1)?];
                    crate::ops::power::lower(operands_of, output, self.activation)
                }
                (DType::I8, _) if rounding != Rounding::High => {
                    let params = stepwise::params(self, [required(inputs, 0)?, required(inputs, 1)?], output, rounding)?;
                    Ok(Lowered { code: super::STEPWISE_I8.code, operands, params })
                }
                (DType::F32, _) => {
                    let [low, high] = self.activation.limits();
                    let mut params = ParamsWriter::default();
                    params.u8(self.function as u8).u8(0).u16(0).f32(low).f32(high);
                    Ok(Lowered { code: super::F32.code, operands, params: params.finish() })
                }
                (DType::I8, function) if function != Function::Add || !is_plain(inputs) => {
                    let operands_of = [required(inputs, 0)?, required(inputs, 1)?];
                    let params = stepwise::params(self, operands_of, output, Rounding::Single)?;
                    Ok(Lowered { code: super::STEPWISE_I8.code, operands, params })
                }
                (DType::I8, _) => {
                    let (a, b) = (required(inputs, 0)?, required(inputs, 1)?);
                    let params = add_params(a, b, output, self.activation)?;
                    Ok(Lowered { code: super::ADD_I8.code, operands, params })
                }
                (DType::I16, _) if rounding == Rounding::Double => {
                    let operands_of = [required(inputs, 0)?, required(inputs, 1)?];
                    let params = stepwise::params(self, operands_of, output, rounding)?;
                    Ok(Lowered { code: super::STEPWISE_I16.code, operands, params })
                }
                (DType::I16, function) if function != Function::Add || !is_plain(inputs) => {
                    let operands_of = [required(inputs, 0)?, required(inputs, 1)?];
                    let params = crate::ops::binary_i16::params(self, operands_of, output)?;
                    Ok(Lowered { code: super::WIDE_I16.code, operands, params })
                }
                (DType::I16, _) => {
                    let (a, b) = (required(inputs, 0)?, required(inputs, 1)?);
                    let params = add_params_i16(a, b, output, self.activation)?;
                    Ok(Lowered { code: super::ADD_I16.code, operands, params })
                }
                (dtype, _) => Err(std::format!("there is no {} of {dtype}", self.name())),
            }
        }
    }

    /// Whether both operands have one shape.
    fn is_plain(inputs: &[Option<Operand<'_>>]) -> bool {
        matches!(inputs, [Some(a), Some(b)] if a.shape == b.shape)
    }

    /// Integer factors and shift of an int16 addition; zero points are 0.
    fn add_params_i16(
        a: &Operand<'_>,
        b: &Operand<'_>,
        output: &Operand<'_>,
        activation: Activation,
    ) -> Result<Vec<u8>, String> {
        if a.shape != b.shape {
            return Err(std::format!("int16 shapes {} and {} differ", a.shape, b.shape));
        }
        let [a, b, (to, _)] = [a.affine()?, b.affine()?, output.affine()?];
        let ratios = [a.0, b.0].map(|scale| f64::from(scale) / f64::from(to));
        let largest = ratios[0].max(ratios[1]);
        let shift = (0..=30u8)
            .rev()
            .find(|&s| (largest * 2f64.powi(i32::from(s))).round() < 2f64.powi(31))
            .ok_or("the inputs' scales are far above the output's")?;
        let factors = ratios.map(|r| (r * 2f64.powi(i32::from(shift))).round() as i32);
        let [low, high] = activation_limits(activation, output)?;
        let mut params = ParamsWriter::default();
        params.i32(factors[0]).i32(factors[1]).u8(shift).u8(0).i16(low).i16(high);
        Ok(params.finish())
    }

    /// Factors of both operands of an int8 addition, 15 bits of the larger one, and their common shift;
    /// `None` where the scales of operands are far above the output's.
    pub fn sum_factors(operands: [f32; 2], output: f32) -> Option<([i32; 2], u8)> {
        let ratios = operands.map(|scale| f64::from(scale) / f64::from(output));
        let largest = ratios[0].max(ratios[1]);
        // The zero point shifted by 20 still fits 28 bits.
        let fits = |&s: &u8| (largest * 2f64.powi(i32::from(s))).round() <= 32_767.0;
        let shift = (0..=20u8).rev().find(fits)?;
        Some((ratios.map(|r| (r * 2f64.powi(i32::from(shift))).round() as i32), shift))
    }

    /// Integer factors, offset and shift of an int8 addition.
    fn add_params(
        a: &Operand<'_>,
        b: &Operand<'_>,
        output: &Operand<'_>,
        activation: Activation,
    ) -> Result<Vec<u8>, String> {
        if a.shape != b.shape {
            return Err(std::format!("int8 shapes {} and {} differ", a.shape, b.shape));
        }
        let (out_scale, out_zero) = output.affine()?;
        let [(a_scale, a_zero), (b_scale, b_zero)] = [a.affine()?, b.affine()?];
        let (factors, shift) = sum_factors([a_scale, b_scale], out_scale)
            .ok_or("the inputs' scales are far above the output's")?;
        let half = if shift == 0 { 0 } else { 1i64 << (shift - 1) };
        let offset = (i64::from(out_zero) << shift) + half
            - i64::from(a_zero) * i64::from(factors[0])
            - i64::from(b_zero) * i64::from(factors[1]);
        let [low, high] = activation_limits(activation, output)?;
        let mut params = ParamsWriter::default();
        params.i16(factors[0] as i16).i16(factors[1] as i16);
        params.i32(i32::try_from(offset).map_err(|_| "the zero points are out of range")?);
        params.u8(shift).u8(low as i8 as u8).u8(high as i8 as u8);
        Ok(params.finish())
    }
}

#[cfg(all(test, feature = "host"))]
pub(super) mod tests {
    use super::{Binary, Function};
    use crate::host::{Activation, Data, Quantization, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;
    use std::vec::Vec;

    /// What a function makes of two int8 rows, each with its scale and zero point, in int8.
    pub(crate) fn of_rows(
        function: Function,
        (a, of_a): (&[i8], (f32, i32)),
        (b, of_b): (&[i8], (f32, i32)),
        of_output: (f32, i32),
    ) -> Vec<i8> {
        let tensor = |values: &[i8], (scale, zero)| {
            let shape = Shape::new(&[values.len() as u32]).unwrap();
            let tensor = Tensor {
                shape,
                data: Data::I8(values.to_vec()),
            };
            Some((tensor, Some(Quantization::per_tensor(scale, zero))))
        };
        let binary = Binary {
            function,
            activation: Activation::None,
        };
        let output = [Some(Quantization::per_tensor(of_output.0, of_output.1))];
        let inputs = [tensor(a, of_a), tensor(b, of_b)];
        let made = evaluate(&binary, &inputs, &output, Rounding::High)
            .unwrap()
            .remove(0);
        let Data::I8(made) = made.data else {
            panic!("int8 stays int8")
        };
        made
    }

    /// 0.5 (q - 1) times and plus 0.25 (q + 3), in steps of 1 from -10, stretched along rows.
    #[test]
    fn int8_steps_round_as_in_tensorflow_lite() {
        let q = |scale, zero| Some(Quantization::per_tensor(scale, zero));
        let tensor = |dims: &[u32], values: &[i8]| Tensor {
            shape: Shape::new(dims).unwrap(),
            data: Data::I8(values.to_vec()),
        };
        let inputs = [
            Some((tensor(&[2, 2], &[3, 2, -127, 127]), q(0.5, 1))),
            Some((tensor(&[2], &[1, 127]), q(0.25, -3))),
        ];
        let run = |function, rounding| {
            let binary = Binary { function, activation: Activation::None };
            let outputs = evaluate(&binary, &inputs, &[q(1.0, -10)], rounding).unwrap();
            outputs[0].data.clone()
        };
        // 1 + 1, 0.5 + 32.5, -64 + 1, 63 + 32.5 = 95.5 away from zero.
        assert_eq!(run(Function::Add, Rounding::Double), Data::I8(vec![-8, 23, -73, 86]));
        // 1 - 1, 0.5 - 32.5, -64 - 1, 63 - 32.5 = 30.5.
        assert_eq!(run(Function::Sub, Rounding::Double), Data::I8(vec![-10, -42, -75, 21]));
        // The halves go up.
        assert_eq!(run(Function::Add, Rounding::Single), Data::I8(vec![-8, 23, -73, 86]));
        assert_eq!(run(Function::Sub, Rounding::Single), Data::I8(vec![-10, -42, -75, 21]));
        // 1 * 1, 0.5 * 32.5 = 16.25, -64 * 1, far above.
        assert_eq!(run(Function::Mul, Rounding::Single), Data::I8(vec![-9, 6, -74, 127]));
    }

    #[test]
    fn rows_and_columns_broadcast() {
        let tensor = |dims: &[u32], values: &[f32]| {
            let shape = Shape::new(dims).unwrap();
            Some((Tensor { shape, data: Data::F32(values.to_vec()) }, None))
        };
        let binary = Binary { function: Function::Sub, activation: Activation::Relu };
        let inputs = [tensor(&[2, 1], &[1.0, 10.0]), tensor(&[3], &[0.0, 1.0, 2.0])];
        let outputs = evaluate(&binary, &inputs, &[], Rounding::High).unwrap();
        assert_eq!(outputs[0].data, Data::F32(vec![1.0, 0.0, 0.0, 10.0, 9.0, 8.0]));
    }

    /// 0.5 (q - 1) + 0.25 (q + 3) in steps of 1 from -10: halves round up.
    #[test]
    fn int8_sums_in_real_numbers() {
        let q = |scale, zero| Some(Quantization::per_tensor(scale, zero));
        let tensor = |values: &[i8]| Tensor {
            shape: Shape::new(&[1, values.len() as u32]).unwrap(),
            data: Data::I8(values.to_vec()),
        };
        let binary = Binary { function: Function::Add, activation: Activation::None };
        let inputs = [
            Some((tensor(&[3, 2, -127, 127]), q(0.5, 1))),
            Some((tensor(&[1, 1, -128, 127]), q(0.25, -3))),
        ];
        let outputs = evaluate(&binary, &inputs, &[q(1.0, -10)], Rounding::High).unwrap();
        // 1 + 1 = 2; 0.5 + 1 = 1.5 -> 2; -64 - 31.25 = -95.25; 63 + 32.5 = 95.5 -> 96.
        assert_eq!(outputs[0].data, Data::I8(vec![-8, -8, -105, 86]));
    }

    /// 0.001 a + 0.002 b in steps of 0.002: halves round up, and the sum saturates.
    #[test]
    fn int16_sums_in_real_numbers() {
        let q = |scale| Some(Quantization::per_tensor(scale, 0));
        let tensor = |values: &[i16]| Tensor {
            shape: Shape::new(&[values.len() as u32]).unwrap(),
            data: Data::I16(values.to_vec()),
        };
        let binary = Binary { function: Function::Add, activation: Activation::None };
        let inputs = [
            Some((tensor(&[3, -3, 32_767]), q(0.001))),
            Some((tensor(&[1000, 0, 32_767]), q(0.002))),
        ];
        let outputs = evaluate(&binary, &inputs, &[q(0.002)], Rounding::High).unwrap();
        assert_eq!(outputs[0].data, Data::I16(vec![1002, -1, 32_767]));
    }
}
