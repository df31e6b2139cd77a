//! Integers to real numbers: `out = scale * (in - zero_point)`.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | input | any | int8, int16 | per tensor |
//! | output | the input's | f32 | |

use crate::{Op, Run};
use format::{DType, Node};
use kernels::Integer;

/// int8 in, float out.
pub static I8_TO_F32: Op =
    Op::new(17, "dequantize", |node| check(node, DType::I8), run::<i8>);

/// int16 in, float out.
pub static I16_TO_F32: Op =
    Op::new(23, "dequantize_i16", |node| check(node, DType::I16), run::<i16>);

fn check(node: &Node<'_>, from: DType) -> Option<()> {
    let (input, output) = (node.input(0)?, node.output(0)?);
    let types = input.dtype == from && output.dtype == DType::F32;
    let sizes = input.shape.elements() == output.shape.elements();
    (types && sizes && input.scale > 0.0).then_some(())
}

fn run<T: Integer>(run: &Run<'_>) {
    let Some(tensor) = run.node.input(0) else { return };
    let (input, output) = (run.input::<T>(0), run.output::<f32>(0));
    for (i, cell) in output.iter().enumerate() {
        let steps = input.get(i).into() - tensor.zero_point;
        cell.set(steps as f32 * tensor.scale);
    }
}

#[cfg(feature = "host")]
pub use host::Dequantize;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::DType;
    use format::fixed::Rounding;
    use std::string::String;
    use std::vec::Vec;

    /// Integers to real numbers; scale and zero point are the input's.
    #[derive(Clone, Copy, Debug, Default, PartialEq)]
    pub struct Dequantize;

    impl Operator for Dequantize {
        fn name(&self) -> &'static str {
            "dequantize"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let input = required(inputs, 0)?;
            if !matches!(input.dtype, DType::I8 | DType::I16) {
                return Err(std::format!("needs int8 or int16, not {}", input.dtype));
            }
            Ok(std::vec![(DType::F32, input.shape)])
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            let (input, output) = (required(inputs, 0)?, outputs.first().ok_or("no output")?);
            input.affine()?;
            let code = match (input.dtype, output.dtype) {
                (DType::I8, DType::F32) => super::I8_TO_F32.code,
                (DType::I16, DType::F32) => super::I16_TO_F32.code,
                (from, to) => {
                    return Err(std::format!("there is no dequantize from {from} to {to}"));
                }
            };
            let operands = std::vec![LoweredOperand::Input(0)];
            Ok(Lowered { code, operands, params: Vec::new() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::Dequantize;
    use crate::host::{Data, Quantization, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    #[test]
    fn steps_of_a_half_from_three() {
        let tensor = Tensor { shape: Shape::new(&[3]).unwrap(), data: Data::I8(vec![5, 3, -128]) };
        let input = [Some((tensor, Some(Quantization::per_tensor(0.5, 3))))];
        let outputs = evaluate(&Dequantize, &input, &[], Rounding::High).unwrap();
        assert_eq!(outputs[0].data, Data::F32(vec![1.0, 0.0, -65.5]));
    }

    #[test]
    fn int16_steps_of_a_thousandth() {
        let shape = Shape::new(&[2]).unwrap();
        let tensor = Tensor { shape, data: Data::I16(vec![1000, -32_768]) };
        let input = [Some((tensor, Some(Quantization::per_tensor(0.001, 0))))];
        let outputs = evaluate(&Dequantize, &input, &[], Rounding::High).unwrap();
        assert_eq!(outputs[0].data, Data::F32(vec![1.0, -32.768]));
    }
}
