//! The `k` largest or smallest of each line along an axis, in order, and where they were. Equal ones
//! stay in their order.
//!
//! | operand | shape | types |
//! |---|---|---|
//! | input | any | f32, int8, int16, int32, int64 |
//! | values | `k` along the axis | the input's |
//! | indices | as the values | int64 |

use super::mean::parts;
use crate::{Op, Run};
use format::{DType, Node};
use kernels::memory::Plain;

/// Any numbers in, some of them and their positions out.
pub static ANY: Op = Op::new(88, "top_k", check, run);

fn is_number(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::I8 | DType::I16 | DType::I32 | DType::I64)
}

fn check(node: &Node<'_>) -> Option<()> {
    let axis = usize::from(node.params().u8());
    let input = node.input(0)?;
    let (values, indices) = (node.output(0)?, node.output(1)?);
    if axis >= input.shape.rank() || values.shape.rank() != input.shape.rank() {
        return None;
    }
    let [outer, size, inner] = parts(&input.shape, axis, axis);
    let count = values.shape.dim(axis);
    let elements = outer.checked_mul(count)?.checked_mul(inner)?;
    let shapes = elements == values.shape.elements() && values.shape == indices.shape;
    let types = values.dtype == input.dtype && indices.dtype == DType::I64;
    (shapes && types && is_number(input.dtype) && count <= size).then_some(())
}

fn run(run: &Run<'_>) {
    match run.node.input(0).map(|input| input.dtype) {
        Some(DType::F32) => sort::<f32>(run),
        Some(DType::I8) => sort::<i8>(run),
        Some(DType::I16) => sort::<i16>(run),
        Some(DType::I32) => sort::<i32>(run),
        Some(DType::I64) => sort::<i64>(run),
        _ => {}
    }
}

/// Inserts every element where it belongs among those before it: no memory but the outputs.
fn sort<T: Plain + PartialOrd + Default>(run: &Run<'_>) {
    let mut params = run.node.params();
    let (axis, largest) = (usize::from(params.u8()), params.u8() != 0);
    let (Some(from), Some(to)) = (run.node.input(0), run.node.output(0)) else { return };
    let [outer, size, inner] = parts(&from.shape, axis, axis);
    let count = to.shape.dim(axis);
    let input = run.input::<T>(0);
    let (values, indices) = (run.output::<T>(0), run.output::<i64>(1));
    for line in 0..outer * inner {
        let (o, i) = (line / inner, line % inner);
        let place = |rank: usize| (o * count + rank) * inner + i;
        for s in 0..size {
            let value = input.get((o * size + s) * inner + i);
            let mut rank = s.min(count);
            let precedes = |other: T| if largest { value > other } else { value < other };
            while rank > 0 && precedes(values[place(rank - 1)].get()) {
                if rank < count {
                    values[place(rank)].set(values[place(rank - 1)].get());
                    indices[place(rank)].set(indices[place(rank - 1)].get());
                }
                rank -= 1;
            }
            if rank < count {
                values[place(rank)].set(value);
                indices[place(rank)].set(s as i64);
            }
        }
    }
}

#[cfg(feature = "host")]
pub use host::TopK;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::Rounding;
    use format::{DType, ParamsWriter, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// Attributes of a selection of the largest or smallest.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct TopK {
        /// The axis along which elements are chosen.
        pub axis: usize,
        /// How many.
        pub count: usize,
        /// Whether the largest are chosen, or the smallest.
        pub largest: bool,
    }

    impl Operator for TopK {
        fn name(&self) -> &'static str {
            "top_k"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let input = required(inputs, 0)?;
            let mut dims = input.shape.dims().to_vec();
            let axis = self.axis;
            let size = dims.get_mut(axis).ok_or_else(|| std::format!("there is no axis {axis}"))?;
            if self.count > *size as usize {
                return Err(std::format!("{} of {size} elements are asked for", self.count));
            }
            *size = self.count as u32;
            let shape = Shape::new(&dims).ok_or("too many dimensions")?;
            Ok(std::vec![(input.dtype, shape), (DType::I64, shape)])
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            let input = required(inputs, 0)?;
            if !super::is_number(input.dtype) {
                return Err(std::format!("elements of {} are not sorted", input.dtype));
            }
            if outputs.first().is_some_and(|values| values.quantization != input.quantization) {
                return Err("what is chosen keeps its scale and zero point".into());
            }
            let mut params = ParamsWriter::default();
            params.u8(self.axis as u8).u8(self.largest.into());
            let operands = std::vec![LoweredOperand::Input(0)];
            Ok(Lowered { code: super::ANY.code, operands, params: params.finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::TopK;
    use crate::host::{Data, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    #[test]
    fn the_largest_come_first_and_equal_ones_in_order() {
        let data = Data::F32(vec![1.0, 4.0, 2.0, 4.0, 9.0, 7.0, 8.0, 6.0]);
        let input = [Some((Tensor { shape: Shape::new(&[2, 4]).unwrap(), data }, None))];
        let top = |axis, count, largest| {
            let top = TopK { axis, count, largest };
            let outputs = evaluate(&top, &input, &[], Rounding::High).unwrap();
            (outputs[0].data.f32().unwrap().to_vec(), outputs[1].data.to_i64().unwrap())
        };
        assert_eq!(top(1, 3, true).0, [4.0, 4.0, 2.0, 9.0, 8.0, 7.0]);
        assert_eq!(top(1, 3, true).1, [1, 3, 2, 0, 2, 1]);
        assert_eq!(top(1, 1, false), (vec![1.0, 6.0], vec![0, 3]));
        let data = Data::I16(vec![-300, 7, 300]);
        let wide = [Some((Tensor { shape: Shape::new(&[3]).unwrap(), data }, None))];
        let lowest = TopK { axis: 0, count: 2, largest: false };
        let lowest = evaluate(&lowest, &wide, &[], Rounding::High).unwrap();
        assert_eq!(lowest[0].data, Data::I16(vec![-300, 7]));
        assert_eq!(top(0, 1, true), (vec![9.0, 7.0, 8.0, 6.0], vec![1, 1, 1, 1]));
    }
}
