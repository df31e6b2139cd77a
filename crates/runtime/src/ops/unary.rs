//! Element-wise functions of one tensor.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | input | any | int8, int16, f32 | per tensor, int16 symmetric |
//! | output | the input's | as the input | per tensor |
//!
//! int8: every function is a table of 256 outputs made when the model is compiled, so the result
//! is exact on every target and the function costs nothing on the device. In files that follow
//! TensorFlow Lite Micro the table holds what its fixed-point functions give.
//!
//! int16: functions of two lines that meet at zero are exact. Others are a table of 513 outputs and
//! straight lines between them, equal on every target too, and off where they curve within 1/512 of the
//! range. In files that follow TensorFlow Lite sigmoid and tanh are its own.

use super::unary_i16;
use crate::{Op, Run};
use format::{DType, Node};
use kernels::{LineI8, LineI16};

/// int8 through a table.
pub static I8: Op = Op::new(9, "lookup", check_i8, run_i8);

/// int16 through a table with straight lines.
pub static I16: Op = Op::new(21, "lookup_i16", check_i16, run_i16);

/// int16 sigmoid and tanh as TensorFlow Lite has them.
pub static SIGMOID_I16: Op =
    Op::new(138, "sigmoid_i16", unary_i16::check_sigmoid, unary_i16::run_sigmoid);

/// int16 functions of two lines that meet at zero.
pub static BENT_I16: Op = Op::new(139, "bent_i16", unary_i16::check_bent, unary_i16::run_bent);

/// Float functions.
pub static F32: Op = Op::new(10, "unary_f32", check_f32, run_f32);

fn check_table(node: &Node<'_>, dtype: DType, points: usize) -> Option<()> {
    let (input, table, output) = (node.input(0)?, node.input(1)?, node.output(0)?);
    let types = [input.dtype, table.dtype, output.dtype].iter().all(|&t| t == dtype);
    let sizes = input.shape.elements() == output.shape.elements();
    (types && sizes && table.shape.elements() == points).then_some(())
}

fn check_i8(node: &Node<'_>) -> Option<()> {
    check_table(node, DType::I8, 256)
}

fn check_i16(node: &Node<'_>) -> Option<()> {
    check_table(node, DType::I16, 513)
}

fn run_i16(run: &Run<'_>) {
    kernels::i16::lookup(&LineI16 {
        input: run.input(0),
        output: run.output(0),
        table: run.constant(1),
    });
}

fn run_i8(run: &Run<'_>) {
    kernels::i8::lookup(&LineI8 {
        input: run.input(0),
        output: run.output(0),
        table: run.constant(1),
    });
}

fn check_f32(node: &Node<'_>) -> Option<()> {
    let (input, output) = (node.input(0)?, node.output(0)?);
    let types = input.dtype == DType::F32 && output.dtype == DType::F32;
    let sizes = input.shape.elements() == output.shape.elements();
    let known = Function::decode(&mut node.params()).is_some();
    (types && sizes && known).then_some(())
}

fn run_f32(run: &Run<'_>) {
    let Some(function) = Function::decode(&mut run.node.params()) else { return };
    let input = run.input::<f32>(0);
    for (i, cell) in run.output::<f32>(0).iter().enumerate() {
        cell.set(function.apply(input.get(i)));
    }
}

/// A function of one real number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, low), high)`.
    Clip(f32, f32),
    /// `x` where positive, `slope * x` elsewhere.
    LeakyRelu(f32),
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `max(0, min(1, alpha * x + beta))`.
    HardSigmoid(f32, f32),
    /// `x * max(0, min(1, x / 6 + 1 / 2))`.
    HardSwish,
    /// `x` where positive, `alpha * (exp(x) - 1)` elsewhere.
    Elu(f32),
    /// `x / 2 * (1 + erf(x / sqrt(2)))`.
    Gelu,
    /// The natural exponential.
    Exp,
    /// The natural logarithm.
    Log,
    /// The square root.
    Sqrt,
    /// `1 / x`.
    Reciprocal,
    /// `1 / sqrt(x)`.
    InverseSqrt,
    /// `|x|`.
    Abs,
    /// `-x`.
    Neg,
    /// The error function.
    Erf,
    /// The largest integer not above.
    Floor,
    /// The smallest integer not below.
    Ceil,
    /// The nearest integer, halves to even.
    Round,
    /// -1, 0 or 1.
    Sign,
    /// `log(1 + exp(x))`.
    Softplus,
    /// `x / (1 + |x|)`.
    Softsign,
    /// Sine of an angle in radians.
    Sin,
    /// Cosine of an angle in radians.
    Cos,
    /// Tangent of an angle in radians.
    Tan,
    /// The angle in radians that has this sine.
    Asin,
    /// The angle in radians that has this cosine.
    Acos,
    /// The angle in radians that has this tangent.
    Atan,
    /// Hyperbolic sine.
    Sinh,
    /// Hyperbolic cosine.
    Cosh,
    /// The inverse of the hyperbolic sine.
    Asinh,
    /// The inverse of the hyperbolic cosine.
    Acosh,
    /// The inverse of the hyperbolic tangent.
    Atanh,
    /// `gamma * x` where positive, `gamma * alpha * (exp(x) - 1)` elsewhere.
    Selu(f32, f32),
    /// `x` where positive, `alpha * (exp(x / alpha) - 1)` elsewhere.
    Celu(f32),
    /// `x` above the threshold, 0 elsewhere.
    ThresholdedRelu(f32),
    /// 0 within `limit` of 0, beyond it `x` moved by `bias` towards 0.
    Shrink(f32, f32),
    /// `x * tanh(log(1 + exp(x)))`.
    Mish,
    /// Gelu with its error function approximated by a hyperbolic tangent:
    /// `x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`.
    GeluTanh,
}

impl Function {
    fn decode(params: &mut format::Params<'_>) -> Option<Self> {
        let code = params.u8();
        params.u8();
        params.u16();
        let (a, b) = (params.f32(), params.f32());
        Some(match code {
            0 => Function::Relu,
            1 => Function::Clip(a, b),
            2 => Function::LeakyRelu(a),
            3 => Function::Sigmoid,
            4 => Function::Tanh,
            5 => Function::HardSigmoid(a, b),
            6 => Function::HardSwish,
            7 => Function::Elu(a),
            8 => Function::Gelu,
            9 => Function::Exp,
            10 => Function::Log,
            11 => Function::Sqrt,
            12 => Function::Reciprocal,
            13 => Function::Abs,
            14 => Function::Neg,
            15 => Function::Erf,
            16 => Function::Floor,
            17 => Function::Ceil,
            18 => Function::Round,
            19 => Function::Sign,
            20 => Function::Softplus,
            21 => Function::Softsign,
            22 => Function::Sin,
            23 => Function::Cos,
            24 => Function::Tan,
            25 => Function::Asin,
            26 => Function::Acos,
            27 => Function::Atan,
            28 => Function::Sinh,
            29 => Function::Cosh,
            30 => Function::Asinh,
            31 => Function::Acosh,
            32 => Function::Atanh,
            33 => Function::Selu(a, b),
            34 => Function::Celu(a),
            35 => Function::ThresholdedRelu(a),
            36 => Function::Shrink(a, b),
            37 => Function::Mish,
            38 => Function::GeluTanh,
            39 => Function::InverseSqrt,
            _ => return None,
        })
    }

    /// The function's value.
    pub fn apply(self, x: f32) -> f32 {
        match self {
            Function::Relu => if x < 0.0 { 0.0 } else { x },
            Function::Clip(low, high) => {
                let x = if x < low { low } else { x };
                if x > high { high } else { x }
            }
            Function::LeakyRelu(slope) => if x < 0.0 { slope * x } else { x },
            Function::Sigmoid => 1.0 / (1.0 + libm::expf(-x)),
            Function::Tanh => libm::tanhf(x),
            Function::HardSigmoid(alpha, beta) => (alpha * x + beta).clamp(0.0, 1.0),
            Function::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Function::Elu(alpha) => if x < 0.0 { alpha * libm::expm1f(x) } else { x },
            Function::Gelu => 0.5 * x * (1.0 + libm::erff(x * core::f32::consts::FRAC_1_SQRT_2)),
            Function::Exp => libm::expf(x),
            Function::Log => libm::logf(x),
            Function::Sqrt => libm::sqrtf(x),
            Function::Reciprocal => 1.0 / x,
            Function::InverseSqrt => 1.0 / libm::sqrtf(x),
            Function::Abs => x.abs(),
            Function::Neg => -x,
            Function::Erf => libm::erff(x),
            Function::Floor => libm::floorf(x),
            Function::Ceil => libm::ceilf(x),
            Function::Round => libm::rintf(x),
            Function::Sign if x == 0.0 || x.is_nan() => x,
            Function::Sign => x.signum(),
            Function::Softplus if x > 20.0 => x,
            Function::Softplus => libm::log1pf(libm::expf(x)),
            Function::Softsign => x / (1.0 + x.abs()),
            Function::Sin => libm::sinf(x),
            Function::Cos => libm::cosf(x),
            Function::Tan => libm::tanf(x),
            Function::Asin => libm::asinf(x),
            Function::Acos => libm::acosf(x),
            Function::Atan => libm::atanf(x),
            Function::Sinh => libm::sinhf(x),
            Function::Cosh => libm::coshf(x),
            Function::Asinh => libm::asinhf(x),
            Function::Acosh => libm::acoshf(x),
            Function::Atanh => libm::atanhf(x),
            Function::Selu(alpha, gamma) => gamma * if x > 0.0 { x } else { alpha * libm::expm1f(x) },
            Function::Celu(alpha) => if x > 0.0 { x } else { alpha * libm::expm1f(x / alpha) },
            Function::ThresholdedRelu(threshold) => if x > threshold { x } else { 0.0 },
            Function::Shrink(limit, bias) => match x {
                _ if x < -limit => x + bias,
                _ if x > limit => x - bias,
                _ if x.is_nan() => x,
                _ => 0.0,
            },
            Function::GeluTanh => {
                let inner = 0.797_884_6 * (x + 0.044_715 * x * x * x);
                0.5 * x * (1.0 + libm::tanhf(inner))
            }
            Function::Mish if x > 20.0 => x,
            Function::Mish => x * libm::tanhf(libm::log1pf(libm::expf(x))),
        }
    }
}

#[cfg(feature = "host")]
pub use host::Unary;

#[cfg(feature = "host")]
mod host {
    use super::Function;
    use crate::host::{
        Inferred, Lowered, LoweredOperand, Operand, Operator, required, tflm_unary,
    };
    use format::fixed::{Rounding, quantize};
    use format::{DType, ParamsWriter, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// Attributes of an element-wise function.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Unary {
        /// The function.
        pub function: Function,
    }

    impl Function {
        fn encode(self, params: &mut ParamsWriter) {
            let (code, a, b) = match self {
                Function::Relu => (0, 0.0, 0.0),
                Function::Clip(low, high) => (1, low, high),
                Function::LeakyRelu(slope) => (2, slope, 0.0),
                Function::Sigmoid => (3, 0.0, 0.0),
                Function::Tanh => (4, 0.0, 0.0),
                Function::HardSigmoid(alpha, beta) => (5, alpha, beta),
                Function::HardSwish => (6, 0.0, 0.0),
                Function::Elu(alpha) => (7, alpha, 0.0),
                Function::Gelu => (8, 0.0, 0.0),
                Function::Exp => (9, 0.0, 0.0),
                Function::Log => (10, 0.0, 0.0),
                Function::Sqrt => (11, 0.0, 0.0),
                Function::Reciprocal => (12, 0.0, 0.0),
                Function::Abs => (13, 0.0, 0.0),
                Function::Neg => (14, 0.0, 0.0),
                Function::Erf => (15, 0.0, 0.0),
                Function::Floor => (16, 0.0, 0.0),
                Function::Ceil => (17, 0.0, 0.0),
                Function::Round => (18, 0.0, 0.0),
                Function::Sign => (19, 0.0, 0.0),
                Function::Softplus => (20, 0.0, 0.0),
                Function::Softsign => (21, 0.0, 0.0),
                Function::Sin => (22, 0.0, 0.0),
                Function::Cos => (23, 0.0, 0.0),
                Function::Tan => (24, 0.0, 0.0),
                Function::Asin => (25, 0.0, 0.0),
                Function::Acos => (26, 0.0, 0.0),
                Function::Atan => (27, 0.0, 0.0),
                Function::Sinh => (28, 0.0, 0.0),
                Function::Cosh => (29, 0.0, 0.0),
                Function::Asinh => (30, 0.0, 0.0),
                Function::Acosh => (31, 0.0, 0.0),
                Function::Atanh => (32, 0.0, 0.0),
                Function::Selu(alpha, gamma) => (33, alpha, gamma),
                Function::Celu(alpha) => (34, alpha, 0.0),
                Function::ThresholdedRelu(threshold) => (35, threshold, 0.0),
                Function::Shrink(limit, bias) => (36, limit, bias),
                Function::Mish => (37, 0.0, 0.0),
                Function::GeluTanh => (38, 0.0, 0.0),
                Function::InverseSqrt => (39, 0.0, 0.0),
            };
            params.u8(code).u8(0).u16(0).f32(a).f32(b);
        }

        fn name(self) -> &'static str {
            match self {
                Function::Relu => "relu",
                Function::Clip(..) => "clip",
                Function::LeakyRelu(_) => "leaky_relu",
                Function::Sigmoid => "sigmoid",
                Function::Tanh => "tanh",
                Function::HardSigmoid(..) => "hard_sigmoid",
                Function::HardSwish => "hard_swish",
                Function::Elu(_) => "elu",
                Function::Gelu => "gelu",
                Function::Exp => "exp",
                Function::Log => "log",
                Function::Sqrt => "sqrt",
                Function::Reciprocal => "reciprocal",
                Function::InverseSqrt => "inverse_sqrt",
                Function::Abs => "abs",
                Function::Neg => "neg",
                Function::Erf => "erf",
                Function::Floor => "floor",
                Function::Ceil => "ceil",
                Function::Round => "round",
                Function::Sign => "sign",
                Function::Softplus => "softplus",
                Function::Softsign => "softsign",
                Function::Sin => "sin",
                Function::Cos => "cos",
                Function::Tan => "tan",
                Function::Asin => "asin",
                Function::Acos => "acos",
                Function::Atan => "atan",
                Function::Sinh => "sinh",
                Function::Cosh => "cosh",
                Function::Asinh => "asinh",
                Function::Acosh => "acosh",
                Function::Atanh => "atanh",
                Function::Selu(..) => "selu",
                Function::Celu(..) => "celu",
                Function::ThresholdedRelu(..) => "thresholded_relu",
                Function::Shrink(..) => "shrink",
                Function::Mish => "mish",
                Function::GeluTanh => "gelu_tanh",
            }
        }
    }

    impl Operator for Unary {
        fn name(&self) -> &'static str {
            self.function.name()
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let input = required(inputs, 0)?;
            Ok(std::vec![(input.dtype, input.shape)])
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
            let (input, output) = (required(inputs, 0)?, outputs.first().ok_or("no output")?);
            let mut params = ParamsWriter::default();
            match (input.dtype, output.dtype) {
                (DType::F32, DType::F32) => {
                    self.function.encode(&mut params);
                    let operands = std::vec![LoweredOperand::Input(0)];
                    Ok(Lowered { code: super::F32.code, operands, params: params.finish() })
                }
                (DType::I16, DType::I16) => {
                    let own = crate::ops::unary_i16::lower(self.function, input, output, rounding)?;
                    if let Some(lowered) = own {
                        return Ok(lowered);
                    }
                    let (from, to) = (input.affine()?.0, output.affine()?.0);
                    let table = (0..513).flat_map(|point| {
                        let real = (point as f32 * 128.0 - 32_768.0) * from;
                        let value = quantize(self.function.apply(real), to, 0, -32_768, 32_767);
                        (value as i16).to_le_bytes()
                    });
                    let constant = LoweredOperand::Constant {
                        dtype: DType::I16,
                        shape: Shape::new(&[513]).ok_or("too many dimensions")?,
                        bytes: table.collect(),
                    };
                    let operands = std::vec![LoweredOperand::Input(0), constant];
                    Ok(Lowered { code: super::I16.code, operands, params: params.finish() })
                }
                (DType::I8, DType::I8) => {
                    let (from, to) = (input.affine()?, output.affine()?);
                    let table = (0..=255u8).map(|index| match rounding {
                        Rounding::Double => tflm_unary(self.function, from, to, index as i8) as u8,
                        _ => {
                            let real = (f32::from(index as i8) - from.1 as f32) * from.0;
                            quantize(self.function.apply(real), to.0, to.1, -128, 127) as i8 as u8
                        }
                    });
                    let constant = LoweredOperand::Constant {
                        dtype: DType::I8,
                        shape: Shape::new(&[256]).ok_or("too many dimensions")?,
                        bytes: table.collect(),
                    };
                    let operands = std::vec![LoweredOperand::Input(0), constant];
                    Ok(Lowered { code: super::I8.code, operands, params: params.finish() })
                }
                (from, to) => Err(std::format!("there is no {} from {from} to {to}", self.name())),
            }
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::{Function, Unary};
    use crate::host::{Data, Quantization, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    #[test]
    fn int8_sigmoid_is_a_table_of_the_real_one() {
        let shape = Shape::new(&[3]).unwrap();
        let tensor = Tensor { shape, data: Data::I8(vec![0, 127, -128]) };
        let input = [Some((tensor, Some(Quantization::per_tensor(0.1, 0))))];
        let output = [Some(Quantization::per_tensor(1.0 / 256.0, -128))];
        let sigmoid = Unary { function: Function::Sigmoid };
        let outputs = evaluate(&sigmoid, &input, &output, Rounding::High).unwrap();
        assert_eq!(outputs[0].data, Data::I8(vec![0, 127, -128]));
    }

    #[test]
    fn int16_relu_is_exact_and_tanh_close() {
        let shape = Shape::new(&[4]).unwrap();
        let values = vec![-32_768, -5, 77, 20_000];
        let q = |scale| Some(Quantization::per_tensor(scale, 0));
        let evaluate = |function, to| {
            let tensor = Tensor { shape, data: Data::I16(values.clone()) };
            let input = [Some((tensor, q(0.0001)))];
            let outputs = evaluate(&Unary { function }, &input, &[q(to)], Rounding::High);
            outputs.unwrap().remove(0).data
        };
        assert_eq!(evaluate(Function::Relu, 0.0001), Data::I16(vec![0, 0, 77, 20_000]));
        let Data::I16(tanh) = evaluate(Function::Tanh, 1.0 / 32_768.0) else {
            panic!("tanh is not int16");
        };
        for (got, x) in tanh.iter().zip(&values) {
            let expected = (f64::from(*x) * 0.0001).tanh() * 32_768.0;
            assert!((f64::from(*got) - expected).abs() < 2.0, "{got} for {expected}");
        }
    }

    #[test]
    fn inverses_undo_their_functions() {
        use Function::{Acos, Acosh, Asin, Asinh, Atan, Atanh, Cos, Cosh, Sin, Sinh, Tan, Tanh};
        let pairs = [(Sin, Asin), (Cos, Acos), (Tan, Atan), (Sinh, Asinh), (Cosh, Acosh), (Tanh, Atanh)];
        for (function, inverse) in pairs {
            let back = inverse.apply(function.apply(0.7));
            assert!((back - 0.7).abs() < 1e-6, "{inverse:?}: {back}");
        }
    }

    #[test]
    fn bent_functions_bend_where_they_should() {
        assert_eq!(Function::Selu(2.0, 3.0).apply(2.0), 6.0);
        assert_eq!(Function::Selu(2.0, 3.0).apply(-1.0), 6.0 * (-1f32).exp_m1());
        assert_eq!(Function::Celu(2.0).apply(-1.0), 2.0 * (-0.5f32).exp_m1());
        assert_eq!([1.0, 1.5].map(|x| Function::ThresholdedRelu(1.0).apply(x)), [0.0, 1.5]);
        let shrunk = [-2.0, -1.0, 0.5, 2.0].map(|x| Function::Shrink(1.0, 0.5).apply(x));
        assert_eq!(shrunk, [-1.5, 0.0, 0.0, 1.5]);
        assert!((Function::Mish.apply(1.0) - 0.865_098_4).abs() < 1e-6);
    }

    #[test]
    fn float_functions_have_their_textbook_values() {
        assert_eq!(Function::HardSwish.apply(3.0), 3.0);
        assert_eq!(Function::LeakyRelu(0.1).apply(-2.0), -0.2);
        assert_eq!(Function::Round.apply(2.5), 2.0);
        assert!((Function::Gelu.apply(1.0) - 0.841_345).abs() < 1e-6);
        assert!((Function::GeluTanh.apply(1.0) - 0.841_192).abs() < 1e-6);
        assert_eq!(Function::GeluTanh.apply(-30.0), 0.0);
    }
}
