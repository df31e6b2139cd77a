//! Weighted means along one axis: `out[o, j, i] = sum over k of weights[j, k] in[o, positions[j, k], i]`.
//! Interpolation of any kind, one axis after the other; the tables are made when a model is imported.
//!
//! | operand | shape | types |
//! |---|---|---|
//! | input | any | f32 |
//! | positions | `[J, K]`, constant, inside the axis | int32 |
//! | weights | `[J, K]`, constant | f32 |
//! | output | the input's, with `J` along the axis | f32 |

use super::mean::parts;
use crate::{Op, Run};
use format::{DType, Node};

/// Float in, float out.
pub static F32: Op = Op::new(85, "resample_f32", check, run);

fn check(node: &Node<'_>) -> Option<()> {
    let axis = usize::from(node.params().u8());
    let (input, output) = (node.input(0)?, node.output(0)?);
    let (positions, weights) = (node.input(1)?, node.input(2)?);
    let types = [input.dtype, weights.dtype, output.dtype] == [DType::F32; 3];
    let tables = positions.dtype == DType::I32 && positions.shape == weights.shape;
    if !types || !tables || positions.shape.rank() != 2 || axis >= input.shape.rank() {
        return None;
    }
    let [outer, _, inner] = parts(&input.shape, axis, axis);
    let elements = outer.checked_mul(positions.shape.dim(0))?.checked_mul(inner)?;
    (elements == output.shape.elements()).then_some(())
}

fn run(run: &Run<'_>) {
    let axis = usize::from(run.node.params().u8());
    let (Some(from), Some(table)) = (run.node.input(0), run.node.input(1)) else { return };
    let [_, size, inner] = parts(&from.shape, axis, axis);
    let (count, taps) = (table.shape.dim(0), table.shape.dim(1));
    let (positions, weights) = (run.input::<i32>(1), run.input::<f32>(2));
    let input = run.input::<f32>(0);
    for (row, cells) in run.output::<f32>(0).chunks_exact(inner.max(1)).enumerate() {
        let (o, j) = (row / count.max(1), row % count.max(1));
        cells.iter().for_each(|cell| cell.set(0.0));
        for k in j * taps..(j + 1) * taps {
            let weight = weights.get(k);
            // A damaged table must not reach outside.
            let Some(at) = usize::try_from(positions.get(k)).ok().filter(|&at| at < size) else {
                continue;
            };
            let start = (o * size + at) * inner;
            for (i, cell) in cells.iter().enumerate() {
                cell.set(cell.get() + weight * input.get(start + i));
            }
        }
    }
}

#[cfg(feature = "host")]
pub use host::Resample;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::Rounding;
    use format::{DType, ParamsWriter, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// Attributes of an interpolation.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Resample {
        /// The axis along which elements are mixed.
        pub axis: usize,
    }

    impl Operator for Resample {
        fn name(&self) -> &'static str {
            "resample"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let (input, positions) = (required(inputs, 0)?, required(inputs, 1)?);
            let mut dims = input.shape.dims().to_vec();
            let axis = self.axis;
            let size = dims.get_mut(axis).ok_or_else(|| std::format!("there is no axis {axis}"))?;
            *size = positions.shape.dim(0) as u32;
            Ok(std::vec![(input.dtype, Shape::new(&dims).ok_or("too many dimensions")?)])
        }

        fn macs(&self, inputs: &[Option<Operand<'_>>], outputs: &[Operand<'_>]) -> u64 {
            let taps = required(inputs, 1).map_or(0, |positions| positions.shape.last());
            outputs.iter().map(|output| output.shape.elements() as u64).sum::<u64>() * taps as u64
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            _outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            let input = required(inputs, 0)?;
            if input.dtype != DType::F32 {
                return Err(std::format!("there is no interpolation of {}", input.dtype));
            }
            let mut params = ParamsWriter::default();
            params.u8(self.axis as u8);
            let operands = (0..3).map(LoweredOperand::Input).collect();
            Ok(Lowered { code: super::F32.code, operands, params: params.finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::Resample;
    use crate::host::{Data, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    #[test]
    fn columns_are_mixed_as_tables_say() {
        let tensor = |dims: &[u32], data| {
            Some((Tensor { shape: Shape::new(dims).unwrap(), data }, None))
        };
        let inputs = [
            tensor(&[2, 2], Data::F32(vec![1.0, 3.0, 10.0, 20.0])),
            tensor(&[3, 2], Data::I32(vec![0, 0, 0, 1, 1, 1])),
            tensor(&[3, 2], Data::F32(vec![1.0, 0.0, 0.5, 0.5, 0.25, 0.75])),
        ];
        let wide = evaluate(&Resample { axis: 1 }, &inputs, &[], Rounding::High).unwrap();
        assert_eq!(wide[0].shape, Shape::new(&[2, 3]).unwrap());
        assert_eq!(wide[0].data, Data::F32(vec![1.0, 2.0, 3.0, 10.0, 15.0, 20.0]));
    }
}
