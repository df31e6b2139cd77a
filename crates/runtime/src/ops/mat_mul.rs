//! Product of two matrices, or of two stacks of them, that are both computed at run time:
//! `out[…, m, n] = sum over k of a[…, m, k] b[…, k, n]`.
//!
//! | operand | shape | types |
//! |---|---|---|
//! | a | `[…, M, K]` | f32 |
//! | b | `[…, K, N]` | f32 |
//! | output | the leading axes broadcast, `[…, M, N]` | f32 |

use crate::{Op, Run};
use format::{DType, MAX_RANK, Node, Shape};

/// Float in, float out.
pub static F32: Op = Op::new(84, "mat_mul_f32", check, run);

/// The stack that two shapes broadcast to, with `[M, N]` behind.
fn product_shape(a: &Shape, b: &Shape) -> Option<Shape> {
    if a.rank() < 2 || b.rank() < 2 || a.last() != b.dim(b.rank() - 2) {
        return None;
    }
    let rank = a.rank().max(b.rank());
    let mut dims = [1u32; MAX_RANK];
    for (axis, size) in dims.iter_mut().enumerate().take(rank - 2) {
        let of = |shape: &Shape| (axis + shape.rank()).checked_sub(rank).map_or(1, |own| shape.dim(own));
        *size = match (of(a), of(b)) {
            (x, y) if x == y || y == 1 => x as u32,
            (1, y) => y as u32,
            _ => return None,
        };
    }
    dims[rank - 2] = a.dim(a.rank() - 2) as u32;
    dims[rank - 1] = b.last() as u32;
    Shape::new(dims.get(..rank)?)
}

fn check(node: &Node<'_>) -> Option<()> {
    let (a, b, output) = (node.input(0)?, node.input(1)?, node.output(0)?);
    let types = [a.dtype, b.dtype, output.dtype] == [DType::F32; 3];
    (types && product_shape(&a.shape, &b.shape)? == output.shape).then_some(())
}

/// The matrix of a stack that belongs to matrix `index` of the output's.
fn matrix_of(stack: &Shape, output: &Shape, mut index: usize) -> usize {
    let (mut at, mut step) = (0, 1);
    for axis in (0..output.rank().saturating_sub(2)).rev() {
        let coordinate = index % output.dim(axis).max(1);
        index /= output.dim(axis).max(1);
        if let Some(own) = (axis + stack.rank()).checked_sub(output.rank()) {
            at += (coordinate % stack.dim(own).max(1)) * step;
            step *= stack.dim(own);
        }
    }
    at
}

fn run(run: &Run<'_>) {
    let (Some(from_a), Some(from_b)) = (run.node.input(0), run.node.input(1)) else { return };
    let Some(to) = run.node.output(0) else { return };
    let (inner, columns) = (from_a.shape.last(), to.shape.last());
    let rows = to.shape.dim(to.shape.rank().saturating_sub(2));
    let (a, b) = (run.input::<f32>(0), run.input::<f32>(1));
    for (index, matrix) in run.output::<f32>(0).chunks_exact((rows * columns).max(1)).enumerate() {
        let a_start = matrix_of(&from_a.shape, &to.shape, index) * rows * inner;
        let b_start = matrix_of(&from_b.shape, &to.shape, index) * inner * columns;
        for (m, row) in matrix.chunks_exact(columns.max(1)).enumerate() {
            row.iter().for_each(|cell| cell.set(0.0));
            for k in 0..inner {
                let factor = a.get(a_start + m * inner + k);
                for (n, cell) in row.iter().enumerate() {
                    cell.set(cell.get() + factor * b.get(b_start + k * columns + n));
                }
            }
        }
    }
}

#[cfg(feature = "host")]
pub use host::MatMul;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::DType;
    use format::fixed::Rounding;
    use std::string::String;
    use std::vec::Vec;

    /// A product of matrices that are both computed; it has no attributes.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct MatMul;

    impl Operator for MatMul {
        fn name(&self) -> &'static str {
            "mat_mul"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let (a, b) = (required(inputs, 0)?, required(inputs, 1)?);
            let shape = super::product_shape(&a.shape, &b.shape);
            let shape = shape.ok_or_else(|| std::format!("{} and {} do not fit", a.shape, b.shape));
            Ok(std::vec![(a.dtype, shape?)])
        }

        fn macs(&self, inputs: &[Option<Operand<'_>>], outputs: &[Operand<'_>]) -> u64 {
            let inner = required(inputs, 0).map_or(0, |a| a.shape.last());
            outputs.iter().map(|output| output.shape.elements() as u64).sum::<u64>() * inner as u64
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            let types = inputs.iter().flatten().chain(outputs).all(|x| x.dtype == DType::F32);
            if !types {
                return Err("two computed matrices are multiplied in f32 only".into());
            }
            let operands = std::vec![LoweredOperand::Input(0), LoweredOperand::Input(1)];
            Ok(Lowered { code: super::F32.code, operands, params: Vec::new() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::MatMul;
    use crate::host::{Data, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    #[test]
    fn a_matrix_serves_a_whole_stack() {
        let tensor = |dims: &[u32], values| {
            let shape = Shape::new(dims).unwrap();
            Some((Tensor { shape, data: Data::F32(values) }, None))
        };
        let stack = tensor(&[2, 1, 2], vec![1.0, 2.0, 3.0, 4.0]);
        let matrix = tensor(&[2, 2], vec![1.0, 0.5, 10.0, 2.0]);
        let inputs = [stack.clone(), matrix];
        let product = evaluate(&MatMul, &inputs, &[], Rounding::High).unwrap().remove(0);
        assert_eq!(product.shape, Shape::new(&[2, 1, 2]).unwrap());
        assert_eq!(product.data, Data::F32(vec![21.0, 4.5, 43.0, 9.5]));
        let inputs = [stack.clone(), stack];
        assert!(evaluate(&MatMul, &inputs, &[], Rounding::High).is_err());
    }
}
