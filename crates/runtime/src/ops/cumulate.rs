//! Running sums along one axis: `out[o, j, i] = sum over s <= j of in[o, s, i]`; without the element
//! itself where `exclusive`, from the end where `reverse`.
//!
//! | operand | shape | types |
//! |---|---|---|
//! | input | any | f32, int32, int64 |
//! | output | the input's | the input's |

use super::mean::parts;
use crate::{Op, Run};
use format::{DType, Node};
use kernels::memory::Plain;

/// Sums of the input's type; whole numbers wrap around.
pub static ANY: Op = Op::new(86, "cumulative_sum", check, run);

fn check(node: &Node<'_>) -> Option<()> {
    let axis = usize::from(node.params().u8());
    let (input, output) = (node.input(0)?, node.output(0)?);
    let typed = matches!(input.dtype, DType::F32 | DType::I32 | DType::I64);
    let alike = input.dtype == output.dtype && input.shape == output.shape;
    (typed && alike && axis < input.shape.rank()).then_some(())
}

fn run(run: &Run<'_>) {
    match run.node.input(0).map(|input| input.dtype) {
        Some(DType::F32) => sums::<f32>(run, 0.0, |a, b| a + b),
        Some(DType::I32) => sums::<i32>(run, 0, i32::wrapping_add),
        Some(DType::I64) => sums::<i64>(run, 0, i64::wrapping_add),
        _ => {}
    }
}

fn sums<T: Plain + Default>(run: &Run<'_>, zero: T, add: fn(T, T) -> T) {
    let mut params = run.node.params();
    let axis = usize::from(params.u8());
    let (exclusive, reverse) = (params.u8() != 0, params.u8() != 0);
    let Some(from) = run.node.input(0) else { return };
    let [outer, size, inner] = parts(&from.shape, axis, axis);
    let (input, output) = (run.input::<T>(0), run.output::<T>(0));
    for line in 0..outer * inner {
        let start = line / inner * size * inner + line % inner;
        let mut sum = zero;
        for step in 0..size {
            let along = if reverse { size - 1 - step } else { step };
            let at = start + along * inner;
            let (before, after) = (sum, add(sum, input.get(at)));
            sum = after;
            if let Some(cell) = output.get(at) {
                cell.set(if exclusive { before } else { after });
            }
        }
    }
}

#[cfg(feature = "host")]
pub use host::Cumulate;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::Rounding;
    use format::{DType, ParamsWriter};
    use std::string::String;
    use std::vec::Vec;

    /// Attributes of a running sum.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Cumulate {
        /// The axis that sums run along.
        pub axis: usize,
        /// Whether an element is left out of its own sum.
        pub exclusive: bool,
        /// Whether sums run from the end.
        pub reverse: bool,
    }

    impl Operator for Cumulate {
        fn name(&self) -> &'static str {
            "cumulative_sum"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let input = required(inputs, 0)?;
            if self.axis >= input.shape.rank() {
                return Err(std::format!("there is no axis {} in {}", self.axis, input.shape));
            }
            Ok(std::vec![(input.dtype, input.shape)])
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            _outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            let dtype = required(inputs, 0)?.dtype;
            if !matches!(dtype, DType::F32 | DType::I32 | DType::I64) {
                return Err(std::format!("there are no running sums of {dtype}"));
            }
            let mut params = ParamsWriter::default();
            params.u8(self.axis as u8).u8(self.exclusive.into()).u8(self.reverse.into());
            let operands = std::vec![LoweredOperand::Input(0)];
            Ok(Lowered { code: super::ANY.code, operands, params: params.finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::Cumulate;
    use crate::host::{Data, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    #[test]
    fn sums_run_both_ways() {
        let sums = |data: Data, axis, exclusive, reverse| {
            let tensor = Tensor { shape: Shape::new(&[2, 3]).unwrap(), data };
            let cumulate = Cumulate { axis, exclusive, reverse };
            let input = [Some((tensor, None))];
            evaluate(&cumulate, &input, &[], Rounding::High).unwrap().remove(0).data
        };
        let floats = || Data::F32(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let rows = sums(floats(), 1, false, false);
        assert_eq!(rows, Data::F32(vec![1.0, 3.0, 6.0, 4.0, 9.0, 15.0]));
        let rest = sums(floats(), 1, true, true);
        assert_eq!(rest, Data::F32(vec![5.0, 3.0, 0.0, 11.0, 6.0, 0.0]));
        let columns = sums(Data::I64(vec![1, 2, 3, 4, 5, 6]), 0, false, false);
        assert_eq!(columns, Data::I64(vec![1, 2, 3, 5, 7, 9]));
    }
}
