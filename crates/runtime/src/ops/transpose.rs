//! Permutes dimensions: `out` axis `i` is `in` axis `permutation[i]`.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | input | any | any | any |
//! | output | permuted | the input's | the input's |

use super::walk::Walk;
use crate::{Op, Run};
use format::{MAX_RANK, Node};

/// Elements of any size.
pub static ANY: Op = Op::new(13, "transpose", check, run);

fn permutation(node: &Node<'_>) -> Option<([usize; MAX_RANK], usize)> {
    let rank = node.input(0)?.shape.rank();
    let mut params = node.params();
    let mut axes = [0; MAX_RANK];
    for axis in axes.get_mut(..rank)? {
        *axis = usize::from(params.u8());
    }
    Some((axes, rank))
}

fn check(node: &Node<'_>) -> Option<()> {
    let (input, output) = (node.input(0)?, node.output(0)?);
    let (axes, rank) = permutation(node)?;
    let mut seen = 0u32;
    for (to, &from) in axes.get(..rank)?.iter().enumerate() {
        if from >= rank || output.shape.dim(to) != input.shape.dim(from) {
            return None;
        }
        seen |= 1 << from;
    }
    let whole = seen == (1 << rank) - 1 && output.shape.rank() == rank;
    (whole && input.dtype == output.dtype).then_some(())
}

fn run(run: &Run<'_>) {
    let (Some(tensor), Some((axes, rank))) = (run.node.input(0), permutation(&run.node)) else {
        return;
    };
    let width = tensor.dtype.bytes();
    let mut input_strides = [0usize; MAX_RANK];
    let mut step = width;
    for axis in (0..rank).rev() {
        input_strides[axis] = step;
        step *= tensor.shape.dim(axis);
    }
    let mut walk = Walk { dims: [1; MAX_RANK], strides: [0; MAX_RANK], rank, start: 0 };
    for (to, &from) in axes.iter().take(rank).enumerate() {
        walk.strides[to] = input_strides[from];
        walk.dims[to] = tensor.shape.dim(from);
    }
    let (input, output) = (run.input::<u8>(0), run.output::<u8>(0));
    let mut elements = output.chunks_exact(width);
    walk.each(|at| {
        for (byte, cell) in elements.next().unwrap_or(&[]).iter().enumerate() {
            cell.set(input.get(at + byte));
        }
    });
}

#[cfg(feature = "host")]
pub use host::Transpose;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::Rounding;
    use format::{ParamsWriter, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// Attributes of a permutation.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Transpose {
        /// Output axis `i` is input axis `permutation[i]`.
        pub permutation: Vec<usize>,
    }

    impl Operator for Transpose {
        fn name(&self) -> &'static str {
            "transpose"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let input = required(inputs, 0)?;
            let mut sorted = self.permutation.clone();
            sorted.sort_unstable();
            if sorted != (0..input.shape.rank()).collect::<Vec<_>>() {
                return Err(std::format!("{:?} does not permute {}", self.permutation, input.shape));
            }
            let dims: Vec<u32> =
                self.permutation.iter().map(|&axis| input.shape.dim(axis) as u32).collect();
            Ok(std::vec![(input.dtype, Shape::new(&dims).ok_or("too many dimensions")?)])
        }

        fn lower(
            &self,
            _inputs: &[Option<Operand<'_>>],
            _outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            let mut params = ParamsWriter::default();
            for &axis in &self.permutation {
                params.u8(axis as u8);
            }
            let operands = std::vec![LoweredOperand::Input(0)];
            Ok(Lowered { code: super::ANY.code, operands, params: params.finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::Transpose;
    use crate::host::{Data, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    #[test]
    fn columns_become_rows() {
        let tensor = Tensor {
            shape: Shape::new(&[1, 2, 3]).unwrap(),
            data: Data::I32(vec![1, 2, 3, 4, 5, 6]),
        };
        let transpose = Transpose { permutation: vec![2, 0, 1] };
        let outputs = evaluate(&transpose, &[Some((tensor, None))], &[], Rounding::High).unwrap();
        assert_eq!(outputs[0].data, Data::I32(vec![1, 4, 2, 5, 3, 6]));
    }
}
