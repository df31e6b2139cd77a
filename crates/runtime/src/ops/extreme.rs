//! Where the largest or smallest of each line along an axis is: `out[o, i] = argmax over s of
//! in[o, s, i]`. Of equal ones the first, or the last where asked for; a NaN is never chosen before a
//! number.
//!
//! | operand | shape | types |
//! |---|---|---|
//! | input | any | f32, int8, uint8, int16, int32, int64 |
//! | output | the axis is 1 | int64 |

use super::mean::parts;
use crate::{Op, Run};
use format::{DType, Node};
use kernels::memory::Plain;

/// Any numbers in, positions out.
pub static ANY: Op = Op::new(87, "extreme", check, run);

fn check(node: &Node<'_>) -> Option<()> {
    let axis = usize::from(node.params().u8());
    let (input, output) = (node.input(0)?, node.output(0)?);
    if axis >= input.shape.rank() || output.dtype != DType::I64 || !is_number(input.dtype) {
        return None;
    }
    let [outer, size, inner] = parts(&input.shape, axis, axis);
    (size > 0 && output.shape.elements() == outer.checked_mul(inner)?).then_some(())
}

fn is_number(dtype: DType) -> bool {
    use DType::{F32, I8, I16, I32, I64, U8};
    matches!(dtype, F32 | I8 | U8 | I16 | I32 | I64)
}

fn run(run: &Run<'_>) {
    match run.node.input(0).map(|input| input.dtype) {
        Some(DType::F32) => find::<f32>(run),
        Some(DType::I8) => find::<i8>(run),
        Some(DType::U8) => find::<u8>(run),
        Some(DType::I16) => find::<i16>(run),
        Some(DType::I32) => find::<i32>(run),
        Some(DType::I64) => find::<i64>(run),
        _ => {}
    }
}

fn find<T: Plain + PartialOrd + Default>(run: &Run<'_>) {
    let mut params = run.node.params();
    let axis = usize::from(params.u8());
    let (largest, last) = (params.u8() != 0, params.u8() != 0);
    let Some(from) = run.node.input(0) else { return };
    let [_, size, inner] = parts(&from.shape, axis, axis);
    let input = run.input::<T>(0);
    for (line, cell) in run.output::<i64>(0).iter().enumerate() {
        let start = line / inner * size * inner + line % inner;
        let at = |s: usize| input.get(start + s * inner);
        let better = |a: T, b: T| if largest { a > b } else { a < b };
        let is_number = |a: T| a.partial_cmp(&a).is_some();
        let mut best = 0;
        for s in 1..size {
            let (new, old) = (at(s), at(best));
            if better(new, old) || (last && new == old) || (is_number(new) && !is_number(old)) {
                best = s;
            }
        }
        cell.set(best as i64);
    }
}

#[cfg(feature = "host")]
pub use host::Extreme;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::Rounding;
    use format::{DType, ParamsWriter, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// Attributes of a search for extremes.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Extreme {
        /// The axis that is searched.
        pub axis: usize,
        /// Whether the largest is looked for, or the smallest.
        pub largest: bool,
        /// Whether the last of equal ones counts.
        pub last: bool,
    }

    impl Operator for Extreme {
        fn name(&self) -> &'static str {
            if self.largest { "arg_max" } else { "arg_min" }
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let input = required(inputs, 0)?;
            let mut dims = input.shape.dims().to_vec();
            let axis = self.axis;
            let size = dims.get_mut(axis).ok_or_else(|| std::format!("there is no axis {axis}"))?;
            *size = 1;
            Ok(std::vec![(DType::I64, Shape::new(&dims).ok_or("too many dimensions")?)])
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            _outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            let dtype = required(inputs, 0)?.dtype;
            if !super::is_number(dtype) {
                return Err(std::format!("there is no {} of {dtype}", self.name()));
            }
            let mut params = ParamsWriter::default();
            params.u8(self.axis as u8).u8(self.largest.into()).u8(self.last.into());
            let operands = std::vec![LoweredOperand::Input(0)];
            Ok(Lowered { code: super::ANY.code, operands, params: params.finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::Extreme;
    use crate::host::{Data, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;
    use std::vec::Vec;

    fn places(data: Data, largest: bool, last: bool) -> Vec<i64> {
        let tensor = Tensor { shape: Shape::new(&[2, 3]).unwrap(), data };
        let extreme = Extreme { axis: 1, largest, last };
        let input = [Some((tensor, None))];
        let found = evaluate(&extreme, &input, &[], Rounding::High).unwrap().remove(0);
        assert_eq!(found.shape, Shape::new(&[2, 1]).unwrap());
        found.data.to_i64().unwrap()
    }

    #[test]
    fn of_equal_ones_the_first_or_the_last() {
        let bytes = || Data::I8(vec![3, 1, 3, -5, -5, -6]);
        assert_eq!(places(bytes(), true, false), [0, 0]);
        assert_eq!(places(bytes(), true, true), [2, 1]);
        assert_eq!(places(bytes(), false, false), [1, 2]);
        let floats = || Data::F32(vec![f32::NAN, 1.0, 2.0, 0.5, f32::NAN, 0.5]);
        assert_eq!(places(floats(), true, false), [2, 0]);
        assert_eq!(places(floats(), false, true), [1, 2]);
    }
}
