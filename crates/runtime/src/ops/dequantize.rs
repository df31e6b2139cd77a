//! int8 to real numbers: `out = scale * (in - zero_point)`.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | input | any | int8 | per tensor |
//! | output | the input's | f32 | |

use crate::{Op, Run};
use format::{DType, Node};

/// int8 in, float out.
pub static I8_TO_F32: Op = Op::new(17, "dequantize", check, run);

fn check(node: &Node<'_>) -> Option<()> {
    let (input, output) = (node.input(0)?, node.output(0)?);
    let types = input.dtype == DType::I8 && output.dtype == DType::F32;
    let sizes = input.shape.elements() == output.shape.elements();
    (types && sizes && input.scale > 0.0).then_some(())
}

fn run(run: &Run<'_>) {
    let Some(tensor) = run.node.input(0) else { return };
    let (input, output) = (run.input::<i8>(0), run.output::<f32>(0));
    for (i, cell) in output.iter().enumerate() {
        let steps = i32::from(input.get(i)) - tensor.zero_point;
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

    /// int8 to real numbers; scale and zero point are the input's.
    #[derive(Clone, Copy, Debug, Default, PartialEq)]
    pub struct Dequantize;

    impl Operator for Dequantize {
        fn name(&self) -> &'static str {
            "dequantize"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let input = required(inputs, 0)?;
            if input.dtype != DType::I8 {
                return Err(std::format!("needs {}, not {}", DType::I8, input.dtype));
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
            if (input.dtype, output.dtype) != (DType::I8, DType::F32) {
                return Err(std::format!("there is no dequantize from {} to {}", input.dtype, output.dtype));
            }
            let operands = std::vec![LoweredOperand::Input(0)];
            Ok(Lowered { code: super::I8_TO_F32.code, operands, params: Vec::new() })
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
}
