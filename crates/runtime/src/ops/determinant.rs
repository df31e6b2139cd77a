//! Determinants of small square matrices, by elimination with the largest pivot of each column.
//!
//! | operand | shape | types |
//! |---|---|---|
//! | input | `[…, M, M]`, `M` up to 8 | f32 |
//! | output | the leading axes | f32 |

use crate::{Op, Run};
use format::{DType, Node};
use kernels::memory::In;

/// Float in, float out.
pub static F32: Op = Op::new(93, "determinant_f32", check, run);

/// Larger matrices do not fit the stack of a small device.
const LARGEST: usize = 8;

fn check(node: &Node<'_>) -> Option<()> {
    let (input, output) = (node.input(0)?, node.output(0)?);
    let size = input.shape.last();
    let square = input.shape.rank() >= 2 && input.shape.dim(input.shape.rank() - 2) == size;
    let types = input.dtype == DType::F32 && output.dtype == DType::F32;
    let fits = (1..=LARGEST).contains(&size);
    let matrices = output.shape.elements().checked_mul(size * size)?;
    (square && types && fits && matrices == input.shape.elements()).then_some(())
}

fn run(run: &Run<'_>) {
    let size = run.node.input(0).map_or(0, |input| input.shape.last()).min(LARGEST);
    let input = run.input::<f32>(0);
    for (index, cell) in run.output::<f32>(0).iter().enumerate() {
        cell.set(determinant(&input.part(index * size * size, size * size), size));
    }
}

fn determinant(matrix: &In<'_, f32>, size: usize) -> f32 {
    let mut rows = [[0.0f32; LARGEST]; LARGEST];
    for at in 0..size * size {
        rows[at / size][at % size] = matrix.get(at);
    }
    let mut result = 1.0;
    for column in 0..size {
        let mut pivot = column;
        for row in column + 1..size {
            if libm::fabsf(rows[row][column]) > libm::fabsf(rows[pivot][column]) {
                pivot = row;
            }
        }
        if pivot != column {
            rows.swap(pivot, column);
            result = -result;
        }
        let divisor = rows[column][column];
        result *= divisor;
        if divisor == 0.0 {
            return result;
        }
        let eliminated = rows[column];
        for row in rows.iter_mut().take(size).skip(column + 1) {
            let factor = row[column] / divisor;
            row.iter_mut().zip(eliminated).for_each(|(cell, other)| *cell -= factor * other);
        }
    }
    result
}

#[cfg(feature = "host")]
pub use host::Determinant;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::Rounding;
    use format::{DType, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// Determinants; they have no attributes.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Determinant;

    impl Operator for Determinant {
        fn name(&self) -> &'static str {
            "determinant"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let input = required(inputs, 0)?;
            let [outer @ .., rows, columns] = input.shape.dims() else {
                return Err(std::format!("{} is no matrix", input.shape));
            };
            if rows != columns || !(1..=super::LARGEST as u32).contains(rows) {
                let most = super::LARGEST;
                return Err(std::format!("{rows} x {columns} is no square of up to {most} rows"));
            }
            Ok(std::vec![(input.dtype, Shape::new(outer).ok_or("too many dimensions")?)])
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            _outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            if required(inputs, 0)?.dtype != DType::F32 {
                return Err("determinants are computed in f32 only".into());
            }
            let operands = std::vec![LoweredOperand::Input(0)];
            Ok(Lowered { code: super::F32.code, operands, params: Vec::new() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::Determinant;
    use crate::host::{Data, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    #[test]
    fn rows_change_places_where_a_pivot_is_zero() {
        let of = |dims: &[u32], values| {
            let tensor = Tensor { shape: Shape::new(dims).unwrap(), data: Data::F32(values) };
            let input = [Some((tensor, None))];
            evaluate(&Determinant, &input, &[], Rounding::High)
        };
        let stack = of(&[2, 2, 2], vec![0.0, 2.0, 3.0, 4.0, 1.0, 2.0, 2.0, 4.0]).unwrap();
        assert_eq!(stack[0].data, Data::F32(vec![-6.0, 0.0]));
        let three = of(&[3, 3], vec![2.0, 0.0, 0.0, 0.0, 3.0, 0.0, 1.0, 1.0, 4.0]).unwrap();
        assert_eq!(three[0].data, Data::F32(vec![24.0]));
        assert!(of(&[1, 2], vec![1.0, 2.0]).is_err());
    }
}
