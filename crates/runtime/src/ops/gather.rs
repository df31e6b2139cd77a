//! Picks along one axis: `out[o, j, i] = data[o, indices[j], i]`.
//!
//! An index below zero counts from the end. One outside the axis picks zeros, which are zero points in
//! quantized tensors: so a table that is known beforehand may also insert, stretch and cut.
//!
//! | operand | shape | types |
//! |---|---|---|
//! | data | any | any |
//! | indices | any | int32, int64 |
//! | output | the data's, with the indices' in place of the axis | the data's, its scale too |

use super::indices::{Indices, Zero, is_index};
use super::mean::parts;
use crate::{Op, Run};
use format::Node;

/// Elements of any size.
pub static ANY: Op = Op::new(80, "gather", check, run);

fn check(node: &Node<'_>) -> Option<()> {
    let axis = usize::from(node.params().u8());
    let (data, indices, output) = (node.input(0)?, node.input(1)?, node.output(0)?);
    if axis >= data.shape.rank() || !is_index(&indices) || data.dtype != output.dtype {
        return None;
    }
    let [outer, _, inner] = parts(&data.shape, axis, axis);
    let picked = outer
        .checked_mul(indices.shape.elements())?
        .checked_mul(inner)?;
    (picked == output.shape.elements()).then_some(())
}

fn run(run: &Run<'_>) {
    let axis = usize::from(run.node.params().u8());
    let (Some(data), Some(table)) = (run.node.input(0), run.node.input(1)) else {
        return;
    };
    let [_, size, inner] = parts(&data.shape, axis, axis);
    let (count, bytes) = (table.shape.elements(), inner * data.dtype.bytes());
    let indices = Indices::of(run, 1);
    let zero = Zero::of(&data);
    let (input, output) = (run.input::<u8>(0), run.output::<u8>(0));
    for (block, cells) in output.chunks_exact(bytes.max(1)).enumerate() {
        let (o, j) = (block / count.max(1), block % count.max(1));
        match indices.position(j, size) {
            Some(at) => {
                let start = (o * size + at) * bytes;
                cells
                    .iter()
                    .enumerate()
                    .for_each(|(i, cell)| cell.set(input.get(start + i)));
            }
            None => zero.fill(cells),
        }
    }
}

#[cfg(feature = "host")]
pub use host::Gather;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::Rounding;
    use format::{DType, ParamsWriter, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// Attributes of a gather.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Gather {
        /// The axis that indices pick from.
        pub axis: usize,
    }

    impl Operator for Gather {
        fn name(&self) -> &'static str {
            "gather"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let (data, indices) = (required(inputs, 0)?, required(inputs, 1)?);
            if self.axis >= data.shape.rank() {
                return Err(std::format!(
                    "there is no axis {} in {}",
                    self.axis,
                    data.shape
                ));
            }
            if !matches!(indices.dtype, DType::I32 | DType::I64) {
                return Err(std::format!(
                    "indices of {} are not supported",
                    indices.dtype
                ));
            }
            let dims = data.shape.dims();
            let dims = [
                &dims[..self.axis],
                indices.shape.dims(),
                &dims[self.axis + 1..],
            ]
            .concat();
            Ok(std::vec![(
                data.dtype,
                Shape::new(&dims).ok_or("too many dimensions")?
            )])
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
            Ok(Lowered {
                code: super::ANY.code,
                operands,
                params: params.finish(),
            })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::Gather;
    use crate::host::{Data, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    #[test]
    fn columns_are_picked_from_both_ends_and_outside() {
        let data = Data::I16(vec![1, 2, 3, 4, 5, 6]);
        let data = Tensor {
            shape: Shape::new(&[2, 3]).unwrap(),
            data,
        };
        let indices = Data::I64(vec![2, 0, -2, 3]);
        let indices = Tensor {
            shape: Shape::new(&[2, 2]).unwrap(),
            data: indices,
        };
        let inputs = [Some((data, None)), Some((indices, None))];
        let picked = evaluate(&Gather { axis: 1 }, &inputs, &[], Rounding::High).unwrap();
        assert_eq!(picked[0].shape, Shape::new(&[2, 2, 2]).unwrap());
        assert_eq!(picked[0].data, Data::I16(vec![3, 1, 2, 0, 6, 4, 5, 0]));
        assert!(evaluate(&Gather { axis: 2 }, &inputs, &[], Rounding::High).is_err());
    }
}
