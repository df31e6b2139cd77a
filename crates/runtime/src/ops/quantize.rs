//! Real numbers to integers: `out = clamp(round(in / scale) + zero_point)`; and integers to integers
//! of another type or scale, exactly rounded. Real numbers half way between two integers become the
//! even one, as in ONNX and in LiteRT's default kernels, where the node's only parameter is 1, and
//! otherwise the one further from 0, as in TensorFlow Lite Micro.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | input | any | f32, int8, int16 | per tensor |
//! | output | the input's | int8, int16 | per tensor, int16 symmetric |
//!
//! Between integers `out = clamp(requantize(in - in_zero_point) + zero_point)`, with a 31-bit
//! multiplier and the rounding of the file: see [`format::fixed`].

use crate::{Op, Run};
use format::fixed::{Rounding, requantize_double, requantize_single};
use format::{DType, Node, fixed};
use kernels::QuantizeI8;

/// Float in, int8 out.
pub static F32_TO_I8: Op =
    Op::new(16, "quantize", |node| check(node, DType::I8), run_i8);

/// Float in, int16 out.
pub static F32_TO_I16: Op =
    Op::new(22, "quantize_i16", |node| check(node, DType::I16), run_i16);

/// The parameter of nodes that take real numbers; files before it have none.
const HALVES_TO_EVEN: u8 = 1;

/// Integers in, integers out, of the same or another type.
pub static RESCALE: Op = Op::new(24, "rescale", check_rescale, run_rescale);

fn check(node: &Node<'_>, to: DType) -> Option<()> {
    let (input, output) = (node.input(0)?, node.output(0)?);
    let types = input.dtype == DType::F32 && output.dtype == to;
    let sizes = input.shape.elements() == output.shape.elements();
    (types && sizes && output.scale > 0.0).then_some(())
}

fn run_i8(run: &Run<'_>) {
    let Some(tensor) = run.node.output(0) else { return };
    kernels::i8::quantize(&QuantizeI8 {
        input: run.input(0),
        output: run.output(0),
        scale: tensor.scale,
        zero_point: tensor.zero_point,
        halves_to_even: run.node.params().u8() == HALVES_TO_EVEN,
    });
}

fn run_i16(run: &Run<'_>) {
    let Some(tensor) = run.node.output(0) else { return };
    let (input, output) = (run.input::<f32>(0), run.output::<i16>(0));
    let (scale, zero) = (tensor.scale, tensor.zero_point);
    let rounded = match run.node.params().u8() {
        HALVES_TO_EVEN => fixed::quantize,
        _ => fixed::quantize_half_away,
    };
    for (i, cell) in output.iter().enumerate() {
        cell.set(rounded(input.get(i), scale, zero, -32_768, 32_767) as i16);
    }
}

fn is_integer(dtype: DType) -> bool {
    matches!(dtype, DType::I8 | DType::I16)
}

fn check_rescale(node: &Node<'_>) -> Option<()> {
    let (input, output) = (node.input(0)?, node.output(0)?);
    let types = is_integer(input.dtype) && is_integer(output.dtype);
    let sizes = input.shape.elements() == output.shape.elements();
    let small = [input, output].iter().all(|tensor| tensor.zero_point.unsigned_abs() <= 1 << 15);
    (types && sizes && small).then_some(())
}

fn run_rescale(run: &Run<'_>) {
    let mut params = run.node.params();
    let (multiplier, shift) = (params.i32(), params.i32().clamp(-31, 30));
    let rounding = Rounding::from_code(params.u8());
    let (Some(from), Some(to)) = (run.node.input(0), run.node.output(0)) else { return };
    let requantize = match rounding {
        Some(Rounding::Double) => requantize_double,
        _ => requantize_single,
    };
    let scaled = |integer: i32| {
        let moved = requantize(integer - from.zero_point, multiplier, shift);
        moved.saturating_add(to.zero_point)
    };
    let (narrow, wide) = (run.input::<i8>(0), run.input::<i16>(0));
    let input = |i: usize| match from.dtype {
        DType::I16 => i32::from(wide.get(i)),
        _ => i32::from(narrow.get(i)),
    };
    match to.dtype {
        DType::I16 => {
            for (i, cell) in run.output::<i16>(0).iter().enumerate() {
                cell.set(scaled(input(i)).clamp(-32_768, 32_767) as i16);
            }
        }
        _ => {
            for (i, cell) in run.output::<i8>(0).iter().enumerate() {
                cell.set(scaled(input(i)).clamp(-128, 127) as i8);
            }
        }
    }
}

#[cfg(feature = "host")]
pub use host::Quantize;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::{Rounding, quantize_multiplier};
    use format::{DType, ParamsWriter};
    use std::string::String;
    use std::vec::Vec;

    /// Real numbers or integers to integers; scale and zero point are the output's.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Quantize {
        /// The output's type: int8 or int16.
        pub dtype: DType,
    }

    impl Operator for Quantize {
        fn name(&self) -> &'static str {
            "quantize"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let input = required(inputs, 0)?;
            if input.dtype != DType::F32 && !super::is_integer(input.dtype) {
                return Err(std::format!("needs f32, int8 or int16, not {}", input.dtype));
            }
            Ok(std::vec![(self.dtype, input.shape)])
        }

        fn overlap(
            &self,
            index: usize,
            inputs: &[Option<Operand<'_>>],
            output: &Operand<'_>,
        ) -> Option<usize> {
            let input = inputs.get(index)?.as_ref()?;
            // Element by element in ascending order, and none grows.
            (output.dtype.bytes() <= input.dtype.bytes()).then_some(0)
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            rounding: Rounding,
        ) -> Result<Lowered, String> {
            let (input, output) = (required(inputs, 0)?, outputs.first().ok_or("no output")?);
            let (to, _) = output.affine()?;
            let mut params = ParamsWriter::default();
            let code = match (input.dtype, output.dtype) {
                (DType::F32, DType::I8 | DType::I16) => {
                    if rounding != Rounding::Double {
                        params.u8(super::HALVES_TO_EVEN);
                    }
                    match output.dtype {
                        DType::I16 => super::F32_TO_I16.code,
                        _ => super::F32_TO_I8.code,
                    }
                }
                (from, into) if super::is_integer(from) && super::is_integer(into) => {
                    let factor = f64::from(input.affine()?.0) / f64::from(to);
                    let (multiplier, shift) = quantize_multiplier(factor);
                    params.i32(multiplier).i32(shift).u8(rounding as u8);
                    super::RESCALE.code
                }
                (from, into) => {
                    return Err(std::format!("there is no quantize from {from} to {into}"));
                }
            };
            let operands = std::vec![LoweredOperand::Input(0)];
            Ok(Lowered { code, operands, params: params.finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::Quantize;
    use crate::host::{Data, Quantization, Tensor, evaluate};
    use format::fixed::Rounding;
    use format::{DType, Shape};
    use std::vec;

    fn quantized(data: Data, from: Option<Quantization>, dtype: DType, to: (f32, i32)) -> Data {
        rounded(data, from, dtype, to, Rounding::High)
    }

    fn rounded(
        data: Data,
        from: Option<Quantization>,
        dtype: DType,
        to: (f32, i32),
        rounding: Rounding,
    ) -> Data {
        let tensor = Tensor { shape: Shape::new(&[data.len() as u32]).unwrap(), data };
        let output = [Some(Quantization::per_tensor(to.0, to.1))];
        let input = [Some((tensor, from))];
        let outputs = evaluate(&Quantize { dtype }, &input, &output, rounding);
        outputs.unwrap().remove(0).data
    }

    #[test]
    fn steps_of_a_half_from_three() {
        let reals = Data::F32(vec![1.0, -0.26, 100.0]);
        let int8 = quantized(reals.clone(), None, DType::I8, (0.5, 3));
        assert_eq!(int8, Data::I8(vec![5, 2, 127]));
        let int16 = quantized(reals, None, DType::I16, (0.001, 0));
        assert_eq!(int16, Data::I16(vec![1000, -260, 32_767]));
    }

    #[test]
    fn halves_go_where_the_file_sends_them() {
        let reals = Data::F32(vec![0.25, 0.75, -0.25, -1.25]);
        for (rounding, expected) in [
            (Rounding::High, [0, 2, 0, -2]),
            (Rounding::Single, [0, 2, 0, -2]),
            (Rounding::Double, [1, 2, -1, -3]),
        ] {
            let int8 = rounded(reals.clone(), None, DType::I8, (0.5, 0), rounding);
            assert_eq!(int8, Data::I8(expected.to_vec()), "{rounding:?}");
            let int16 = rounded(reals.clone(), None, DType::I16, (0.5, 0), rounding);
            assert_eq!(int16, Data::I16(expected.map(i16::from).to_vec()), "{rounding:?}");
        }
    }

    /// Steps of 0.001 to steps of 0.5 from -2, and back.
    #[test]
    fn integers_become_integers() {
        let fine = Some(Quantization::per_tensor(0.001, 0));
        let int16 = Data::I16(vec![1000, -740, 249, 32_767]);
        let int8 = quantized(int16, fine, DType::I8, (0.5, -2));
        assert_eq!(int8, Data::I8(vec![0, -3, -2, 64]));
        let coarse = Some(Quantization::per_tensor(0.5, -2));
        let back = quantized(int8, coarse, DType::I16, (0.001, 0));
        assert_eq!(back, Data::I16(vec![1000, -500, 0, 32_767]));
    }
}
