//! Joins tensors along an axis.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | inputs | equal but for `axis` | any, all the same | per tensor, all the same |
//! | output | the sizes along `axis` added | the inputs' | the inputs' |

use crate::{Op, Run};
use format::Node;

/// Elements of any size.
pub static ANY: Op = Op::new(14, "concat", check, run);

fn check(node: &Node<'_>) -> Option<()> {
    let output = node.output(0)?;
    let axis = usize::from(node.params().u8());
    let mut along = 0usize;
    for index in 0..node.input_count() {
        let input = node.input(index)?;
        let equal = (0..output.shape.rank())
            .all(|a| a == axis || input.shape.dim(a) == output.shape.dim(a));
        if !equal || input.dtype != output.dtype || input.shape.rank() != output.shape.rank() {
            return None;
        }
        along = along.checked_add(input.shape.dim(axis))?;
    }
    (axis < output.shape.rank() && along == output.shape.dim(axis)).then_some(())
}

fn run(run: &Run<'_>) {
    let Some(tensor) = run.node.output(0) else { return };
    let axis = usize::from(run.node.params().u8());
    let outer: usize = tensor.shape.dims().iter().take(axis).map(|&d| d as usize).product();
    let output = run.output::<u8>(0);
    let row = output.len() / outer.max(1);
    let mut start = 0;
    for index in 0..run.node.input_count() {
        let input = run.input::<u8>(index);
        let part = input.len() / outer.max(1);
        for line in 0..outer {
            let from = line * row + start;
            let cells = output.get(from..from + part).unwrap_or(&[]);
            for (i, cell) in cells.iter().enumerate() {
                cell.set(input.get(line * part + i));
            }
        }
        start += part;
    }
}

#[cfg(feature = "host")]
pub use host::Concat;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::Rounding;
    use format::{ParamsWriter, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// Attributes of a concatenation.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Concat {
        /// The dimension along which tensors are joined.
        pub axis: usize,
    }

    impl Operator for Concat {
        fn name(&self) -> &'static str {
            "concat"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let first = required(inputs, 0)?;
            let mut dims = first.shape.dims().to_vec();
            let axis = self.axis;
            *dims.get_mut(axis).ok_or_else(|| std::format!("there is no axis {axis}"))? = 0;
            for index in 0..inputs.len() {
                let input = required(inputs, index)?;
                let equal = input.shape.rank() == dims.len()
                    && (0..dims.len())
                        .all(|a| a == axis || input.shape.dim(a) == first.shape.dim(a));
                if !equal || input.dtype != first.dtype {
                    return Err(std::format!("{} does not join {}", input.shape, first.shape));
                }
                dims[axis] += input.shape.dim(axis) as u32;
            }
            Ok(std::vec![(first.dtype, Shape::new(&dims).ok_or("too many dimensions")?)])
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            let output = outputs.first().ok_or("there is no output")?;
            let same = inputs.iter().flatten().all(|x| x.quantization == output.quantization);
            if !same {
                return Err("all parts of a concat need one scale and zero point".into());
            }
            let mut params = ParamsWriter::default();
            params.u8(self.axis as u8);
            let operands = (0..inputs.len()).map(LoweredOperand::Input).collect();
            Ok(Lowered { code: super::ANY.code, operands, params: params.finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::Concat;
    use crate::host::{Data, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    #[test]
    fn parts_alternate_along_the_last_axis() {
        let tensor = |dims: &[u32], values: vec::Vec<i8>| {
            Some((Tensor { shape: Shape::new(dims).unwrap(), data: Data::I8(values) }, None))
        };
        let inputs = [tensor(&[2, 1], vec![1, 2]), tensor(&[2, 2], vec![3, 4, 5, 6])];
        let outputs = evaluate(&Concat { axis: 1 }, &inputs, &[], Rounding::High).unwrap();
        assert_eq!(outputs[0].data, Data::I8(vec![1, 3, 4, 2, 5, 6]));
    }
}
