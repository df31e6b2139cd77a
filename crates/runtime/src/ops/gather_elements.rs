//! Picks each element by an index of its own: `out[o, j, i] = data[o', indices[o, j, i], i']`, where
//! `o'` and `i'` are the coordinates `o` and `i` in the data, which may be larger.
//!
//! An index below zero counts from the end; one outside the axis picks zero.
//!
//! | operand | shape | types |
//! |---|---|---|
//! | data | any | any |
//! | indices | as many axes, none longer but the one picked from | int32, int64 |
//! | output | the indices' | the data's |

use super::indices::{Indices, is_index, Zero};
use super::walk::Walk;
use crate::{Op, Run};
use format::{MAX_RANK, Node, Shape};

/// Elements of any size.
pub static ANY: Op = Op::new(81, "gather_elements", check, run);

/// Whether indices lie inside the data along all axes but one.
fn covers(data: &Shape, indices: &Shape, axis: usize) -> bool {
    let inside = |a: usize| a == axis || indices.dim(a) <= data.dim(a);
    data.rank() == indices.rank() && axis < data.rank() && (0..data.rank()).all(inside)
}

fn check(node: &Node<'_>) -> Option<()> {
    let axis = usize::from(node.params().u8());
    let (data, indices, output) = (node.input(0)?, node.input(1)?, node.output(0)?);
    let alike = output.shape == indices.shape && data.dtype == output.dtype;
    (alike && is_index(&indices) && covers(&data.shape, &indices.shape, axis)).then_some(())
}

fn run(run: &Run<'_>) {
    let axis = usize::from(run.node.params().u8());
    let (Some(data), Some(to)) = (run.node.input(0), run.node.output(0)) else { return };
    let (width, rank) = (data.dtype.bytes(), data.shape.rank());
    let mut walk = Walk { dims: [1; MAX_RANK], strides: [0; MAX_RANK], rank, start: 0 };
    let (mut bytes, mut step) = (width, 0);
    for a in (0..rank).rev() {
        walk.dims[a] = to.shape.dim(a);
        if a == axis {
            step = bytes;
        } else {
            walk.strides[a] = bytes;
        }
        bytes *= data.shape.dim(a);
    }
    let indices = Indices::of(run, 1);
    let zero = Zero::of(&data);
    let (input, output) = (run.input::<u8>(0), run.output::<u8>(0));
    let mut elements = output.chunks_exact(width).enumerate();
    walk.each(|start| {
        let Some((index, cells)) = elements.next() else { return };
        let at = indices.position(index, data.shape.dim(axis));
        let Some(at) = at else { return zero.fill(cells) };
        for (byte, cell) in cells.iter().enumerate() {
            cell.set(input.get(start + at * step + byte));
        }
    });
}

#[cfg(feature = "host")]
pub use host::GatherElements;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::Rounding;
    use format::{DType, ParamsWriter};
    use std::string::String;
    use std::vec::Vec;

    /// Attributes of a gather of single elements.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct GatherElements {
        /// The axis that indices pick from.
        pub axis: usize,
    }

    impl Operator for GatherElements {
        fn name(&self) -> &'static str {
            "gather_elements"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let (data, indices) = (required(inputs, 0)?, required(inputs, 1)?);
            if !matches!(indices.dtype, DType::I32 | DType::I64) {
                return Err(std::format!("indices of {} are not supported", indices.dtype));
            }
            if !super::covers(&data.shape, &indices.shape, self.axis) {
                return Err(std::format!("{} does not pick from {}", indices.shape, data.shape));
            }
            Ok(std::vec![(data.dtype, indices.shape)])
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            let (data, output) = (required(inputs, 0)?, outputs.first().ok_or("no output")?);
            if data.quantization != output.quantization {
                return Err("what is picked keeps its scale and zero point".into());
            }
            let mut params = ParamsWriter::default();
            params.u8(self.axis as u8);
            let operands = std::vec![LoweredOperand::Input(0), LoweredOperand::Input(1)];
            Ok(Lowered { code: super::ANY.code, operands, params: params.finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::GatherElements;
    use crate::host::{Data, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    #[test]
    fn each_element_has_its_index() {
        let shape = Shape::new(&[2, 3]).unwrap();
        let data = Tensor { shape, data: Data::I8(vec![1, 2, 3, 4, 5, 6]) };
        let shape = Shape::new(&[2, 2]).unwrap();
        let indices = Tensor { shape, data: Data::I32(vec![2, -3, 1, 7]) };
        let inputs = [Some((data, None)), Some((indices, None))];
        let picked = evaluate(&GatherElements { axis: 1 }, &inputs, &[], Rounding::High).unwrap();
        assert_eq!(picked[0].data, Data::I8(vec![3, 1, 5, 0]));
        let rows = evaluate(&GatherElements { axis: 0 }, &inputs, &[], Rounding::High).unwrap();
        assert_eq!(rows[0].data, Data::I8(vec![0, 0, 4, 0]));
    }
}
