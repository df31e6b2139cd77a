//! Chooses between two tensors: `out = condition ? a : b`.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | condition | broadcast as in ONNX | bool | |
//! | a, b | broadcast as in ONNX | any, both the same | both the same |
//! | output | the broadcast shape | as a and b | as a and b |

use super::broadcast::{Places, broadcast};
use crate::{Op, Run};
use format::{DType, Node};

/// Elements of any size.
pub static ANY: Op = Op::new(52, "choose", check, run);

fn check(node: &Node<'_>) -> Option<()> {
    let (condition, a, b) = (node.input(0)?, node.input(1)?, node.input(2)?);
    let output = node.output(0)?;
    let types = condition.dtype == DType::Bool && [a.dtype, b.dtype] == [output.dtype; 2];
    let shape = broadcast(&broadcast(&a.shape, &b.shape)?, &condition.shape)?;
    (types && shape == output.shape).then_some(())
}

fn run(run: &Run<'_>) {
    let (Some(condition), Some(a), Some(b)) =
        (run.node.input(0), run.node.input(1), run.node.input(2))
    else {
        return;
    };
    let Some(to) = run.node.output(0) else { return };
    let width = to.dtype.bytes();
    let mut places = Places::new([&condition.shape, &a.shape, &b.shape], to.shape);
    let [truth, a, b] = [0, 1, 2].map(|index| run.input::<u8>(index));
    for element in run.output::<u8>(0).chunks_exact(width) {
        let [place, x, y] = places.advance();
        let (from, at) = if truth.get(place) != 0 { (&a, x) } else { (&b, y) };
        for (byte, cell) in element.iter().enumerate() {
            cell.set(from.get(at * width + byte));
        }
    }
}

#[cfg(feature = "host")]
pub use host::Choose;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use crate::ops::broadcast::broadcast;
    use format::DType;
    use format::fixed::Rounding;
    use std::string::String;
    use std::vec::Vec;

    /// A choice has no attributes.
    #[derive(Clone, Copy, Debug, Default, PartialEq)]
    pub struct Choose;

    impl Operator for Choose {
        fn name(&self) -> &'static str {
            "choose"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let (condition, a, b) = (required(inputs, 0)?, required(inputs, 1)?, required(inputs, 2)?);
            if condition.dtype != DType::Bool || a.dtype != b.dtype {
                let types = [condition.dtype, a.dtype, b.dtype];
                return Err(std::format!("there is no choice of {types:?}"));
            }
            let shape = broadcast(&a.shape, &b.shape);
            let shape = shape.and_then(|shape| broadcast(&shape, &condition.shape));
            let shape = shape.ok_or_else(|| {
                std::format!("{}, {} and {} do not broadcast", condition.shape, a.shape, b.shape)
            })?;
            Ok(std::vec![(a.dtype, shape)])
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            let output = outputs.first().ok_or("there is no output")?;
            for index in [1, 2] {
                if required(inputs, index)?.quantization != output.quantization {
                    return Err("a choice keeps the scale and the zero point".into());
                }
            }
            let operands = (0..3).map(LoweredOperand::Input).collect();
            Ok(Lowered { code: super::ANY.code, operands, params: Vec::new() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::Choose;
    use crate::host::{Data, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    #[test]
    fn a_column_of_conditions_chooses_rows() {
        let tensor = |dims: &[u32], data| {
            Some((Tensor { shape: Shape::new(dims).unwrap(), data }, None))
        };
        let inputs = [
            tensor(&[2, 1], Data::Bool(vec![1, 0])),
            tensor(&[2], Data::I64(vec![1, 1 << 40])),
            tensor(&[], Data::I64(vec![-3])),
        ];
        let outputs = evaluate(&Choose, &inputs, &[], Rounding::High).unwrap();
        assert_eq!(outputs[0].data, Data::I64(vec![1, 1 << 40, -3, -3]));
        let mixed = [inputs[0].clone(), inputs[1].clone(), tensor(&[], Data::I32(vec![1]))];
        assert!(evaluate(&Choose, &mixed, &[], Rounding::High).is_err());
    }
}
