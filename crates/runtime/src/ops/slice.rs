//! A part of a tensor: from `start` on every `step`-th index of each axis.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | input | any | any | any |
//! | output | `sizes` | the input's | the input's |

use super::walk::Walk;
use crate::{Op, Run};
use format::{MAX_RANK, Node};

/// Elements of any size.
pub static ANY: Op = Op::new(43, "slice", check, run);

/// Start and step of every axis.
fn ranges(node: &Node<'_>) -> [[usize; 2]; MAX_RANK] {
    let mut params = node.params();
    let mut ranges = [[0, 1]; MAX_RANK];
    for range in &mut ranges {
        *range = [params.u32() as usize, params.u32() as usize];
    }
    ranges
}

fn check(node: &Node<'_>) -> Option<()> {
    let (input, output) = (node.input(0)?, node.output(0)?);
    let fits = |(axis, [start, step]): (usize, [usize; 2])| {
        let last = output.shape.dim(axis).checked_sub(1);
        let end = last.and_then(|last| last.checked_mul(step)?.checked_add(start));
        end.is_some_and(|end| end < input.shape.dim(axis))
    };
    let rank = input.shape.rank();
    let inside = ranges(node).into_iter().enumerate().take(rank).all(fits);
    let alike = input.dtype == output.dtype && output.shape.rank() == rank;
    (inside && alike).then_some(())
}

fn run(run: &Run<'_>) {
    let (Some(from), Some(to)) = (run.node.input(0), run.node.output(0)) else { return };
    let width = from.dtype.bytes();
    let rank = from.shape.rank();
    let mut walk = Walk { dims: [1; MAX_RANK], strides: [0; MAX_RANK], rank, start: 0 };
    let mut bytes = width;
    for (axis, [start, step]) in ranges(&run.node).into_iter().enumerate().take(rank).rev() {
        walk.dims[axis] = to.shape.dim(axis);
        walk.strides[axis] = bytes * step;
        walk.start += bytes * start;
        bytes *= from.shape.dim(axis);
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
pub use host::Slice;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::Rounding;
    use format::{MAX_RANK, ParamsWriter, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// Attributes of a slice, an entry per axis.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Slice {
        /// The first index.
        pub starts: Vec<usize>,
        /// From one index to the next.
        pub steps: Vec<usize>,
        /// How many indices.
        pub sizes: Vec<usize>,
    }

    impl Operator for Slice {
        fn name(&self) -> &'static str {
            "slice"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let input = required(inputs, 0)?;
            let rank = input.shape.rank();
            let counts = [self.starts.len(), self.steps.len(), self.sizes.len()];
            let fits = |axis: usize| {
                let reach = self.sizes[axis].checked_sub(1)?.checked_mul(self.steps[axis])?;
                let last = reach.checked_add(self.starts[axis])?;
                (last < input.shape.dim(axis) && self.steps[axis] > 0).then_some(())
            };
            if counts != [rank; 3] || !(0..rank).all(|axis| fits(axis).is_some()) {
                return Err(std::format!("{self:?} is no part of {}", input.shape));
            }
            let dims: Vec<u32> = self.sizes.iter().map(|&size| size as u32).collect();
            Ok(std::vec![(input.dtype, Shape::new(&dims).ok_or("too many dimensions")?)])
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            let (input, output) = (required(inputs, 0)?, outputs.first().ok_or("no output")?);
            if input.quantization != output.quantization {
                return Err("a part keeps the whole's scale and zero point".into());
            }
            let mut params = ParamsWriter::default();
            for axis in 0..MAX_RANK {
                params.u32(self.starts.get(axis).copied().unwrap_or(0) as u32);
                params.u32(self.steps.get(axis).copied().unwrap_or(1) as u32);
            }
            let operands = std::vec![LoweredOperand::Input(0)];
            Ok(Lowered { code: super::ANY.code, operands, params: params.finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::Slice;
    use crate::host::{Data, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    #[test]
    fn every_second_column_of_the_last_row() {
        let shape = Shape::new(&[2, 4]).unwrap();
        let input = |shape| {
            let data = Data::I16(vec![1, 2, 3, 4, 5, 6, 7, 8]);
            [Some((Tensor { shape, data }, None))]
        };
        let slice = Slice { starts: vec![1, 1], steps: vec![1, 2], sizes: vec![1, 2] };
        let outputs = evaluate(&slice, &input(shape), &[], Rounding::High).unwrap();
        assert_eq!(outputs[0].data, Data::I16(vec![6, 8]));
        let beyond = Slice { sizes: vec![1, 3], ..slice };
        assert!(evaluate(&beyond, &input(shape), &[], Rounding::High).is_err());
    }
}
