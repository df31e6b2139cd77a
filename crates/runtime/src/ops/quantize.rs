//! Real numbers to int8: `out = clamp(round_half_away(in / scale) + zero_point)`.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | input | any | f32 | |
//! | output | the input's | int8 | per tensor |

use crate::{Op, Run};
use format::{DType, Node, fixed};

/// Float in, int8 out.
pub static F32_TO_I8: Op = Op::new(16, "quantize", check, run);

fn check(node: &Node<'_>) -> Option<()> {
    let (input, output) = (node.input(0)?, node.output(0)?);
    let types = input.dtype == DType::F32 && output.dtype == DType::I8;
    let sizes = input.shape.elements() == output.shape.elements();
    (types && sizes && output.scale > 0.0).then_some(())
}

fn run(run: &Run<'_>) {
    let Some(tensor) = run.node.output(0) else { return };
    let (input, output) = (run.input::<f32>(0), run.output::<i8>(0));
    for (i, cell) in output.iter().enumerate() {
        let (scale, zero) = (tensor.scale, tensor.zero_point);
        cell.set(fixed::quantize(input.get(i), scale, zero, -128, 127) as i8);
    }
}

#[cfg(feature = "host")]
pub use host::Quantize;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::DType;
    use format::fixed::Rounding;
    use std::string::String;
    use std::vec::Vec;

    /// Real numbers to int8; scale and zero point are the output's.
    #[derive(Clone, Copy, Debug, Default, PartialEq)]
    pub struct Quantize;

    impl Operator for Quantize {
        fn name(&self) -> &'static str {
            "quantize"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let input = required(inputs, 0)?;
            if input.dtype != DType::F32 {
                return Err(std::format!("needs {}, not {}", DType::F32, input.dtype));
            }
            Ok(std::vec![(DType::I8, input.shape)])
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            let (input, output) = (required(inputs, 0)?, outputs.first().ok_or("no output")?);
            output.affine()?;
            if (input.dtype, output.dtype) != (DType::F32, DType::I8) {
                return Err(std::format!("there is no quantize from {} to {}", input.dtype, output.dtype));
            }
            let operands = std::vec![LoweredOperand::Input(0)];
            Ok(Lowered { code: super::F32_TO_I8.code, operands, params: Vec::new() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::Quantize;
    use crate::host::{Data, Quantization, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    #[test]
    fn steps_of_a_half_from_three() {
        let tensor = Tensor { shape: Shape::new(&[3]).unwrap(), data: Data::F32(vec![1.0, -0.26, 100.0]) };
        let input = [Some((tensor, None))];
        let outputs = evaluate(&Quantize, &input, &[Some(Quantization::per_tensor(0.5, 3))], Rounding::High).unwrap();
        assert_eq!(outputs[0].data, Data::I8(vec![5, 2, 127]));
    }
}
