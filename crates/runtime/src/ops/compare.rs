//! Comparisons of two tensors: `out = a ∘ b` for `∘` in `==`, `!=`, `<`, `<=`. Every comparison with
//! NaN is false, but for `!=`.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | a, b | broadcast as in ONNX | f32; whole numbers; bool | both the same |
//! | output | the broadcast shape | bool | |

use super::broadcast::{Places, broadcast};
use super::whole::{is_whole, with_whole};
use crate::{Op, Run};
use format::{DType, Node};
use kernels::memory::Plain;

/// Operands of any type.
pub static ANY: Op = Op::new(51, "compare", check, run);

fn check(node: &Node<'_>) -> Option<()> {
    let (a, b, output) = (node.input(0)?, node.input(1)?, node.output(0)?);
    let comparable = is_whole(a.dtype) || a.dtype == DType::F32;
    let types = a.dtype == b.dtype && output.dtype == DType::Bool && comparable;
    let shape = broadcast(&a.shape, &b.shape)?;
    (types && node.params().u8() < 4 && shape == output.shape).then_some(())
}

fn run(run: &Run<'_>) {
    match run.node.input(0).map(|a| a.dtype) {
        Some(DType::F32) => each::<f32>(run),
        Some(dtype) => with_whole!(dtype, each(run), ()),
        None => {}
    }
}

fn each<T: Plain + Default + PartialOrd>(run: &Run<'_>) {
    let (Some(a), Some(b), Some(to)) = (run.node.input(0), run.node.input(1), run.node.output(0))
    else {
        return;
    };
    let function = run.node.params().u8();
    let mut places = Places::new([&a.shape, &b.shape], to.shape);
    let (a, b) = (run.input::<T>(0), run.input::<T>(1));
    for cell in run.output::<u8>(0) {
        let [x, y] = places.advance();
        let (x, y) = (a.get(x), b.get(y));
        cell.set(u8::from(match function {
            0 => x == y,
            1 => x != y,
            2 => x < y,
            _ => x <= y,
        }));
    }
}

#[cfg(feature = "host")]
pub use host::{Compare, Relation};

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use crate::ops::broadcast;
    use crate::ops::whole::is_whole;
    use format::fixed::Rounding;
    use format::{DType, ParamsWriter};
    use std::string::String;
    use std::vec::Vec;

    /// What is asked of two numbers.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[repr(u8)]
    pub enum Relation {
        /// `a == b`.
        Equal = 0,
        /// `a != b`.
        NotEqual = 1,
        /// `a < b`.
        Less = 2,
        /// `a <= b`.
        LessOrEqual = 3,
    }

    /// Attributes of a comparison.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Compare {
        /// The relation.
        pub relation: Relation,
    }

    impl Operator for Compare {
        fn name(&self) -> &'static str {
            match self.relation {
                Relation::Equal => "equal",
                Relation::NotEqual => "not_equal",
                Relation::Less => "less",
                Relation::LessOrEqual => "less_or_equal",
            }
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let (a, b) = (required(inputs, 0)?, required(inputs, 1)?);
            if a.dtype != b.dtype || !(is_whole(a.dtype) || a.dtype == DType::F32) {
                return Err(std::format!("{} and {} do not compare", a.dtype, b.dtype));
            }
            let shape = broadcast::infer(&a.shape, &b.shape)?;
            Ok(std::vec![(DType::Bool, shape)])
        }

        fn overlap(
            &self,
            index: usize,
            inputs: &[Option<Operand<'_>>],
            output: &Operand<'_>,
        ) -> Option<usize> {
            let input = inputs.get(index)?.as_ref()?;
            // Outputs are no wider than inputs and follow them in ascending order.
            (input.shape == output.shape).then_some(0)
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            _outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            if required(inputs, 0)?.quantization != required(inputs, 1)?.quantization {
                return Err("a comparison needs one scale and one zero point".into());
            }
            let mut params = ParamsWriter::default();
            params.u8(self.relation as u8);
            let operands = std::vec![LoweredOperand::Input(0), LoweredOperand::Input(1)];
            Ok(Lowered { code: super::ANY.code, operands, params: params.finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::{Compare, Relation};
    use crate::host::{Data, Quantization, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    fn of(relation: Relation, a: Data, b: Data) -> Data {
        let tensor = |data: Data| {
            let shape = Shape::new(&[data.len() as u32]).unwrap();
            Some((Tensor { shape, data }, None))
        };
        let inputs = [tensor(a), tensor(b)];
        evaluate(&Compare { relation }, &inputs, &[], Rounding::High).unwrap().remove(0).data
    }

    #[test]
    fn nothing_is_less_or_equal_to_nan() {
        let nan = f32::NAN;
        let floats = |relation| {
            let (a, b) = (vec![1.0, 2.0, nan, -0.0], vec![2.0, 2.0, nan, 0.0]);
            of(relation, Data::F32(a), Data::F32(b))
        };
        assert_eq!(floats(Relation::Less), Data::Bool(vec![1, 0, 0, 0]));
        assert_eq!(floats(Relation::LessOrEqual), Data::Bool(vec![1, 1, 0, 1]));
        assert_eq!(floats(Relation::Equal), Data::Bool(vec![0, 1, 0, 1]));
        assert_eq!(floats(Relation::NotEqual), Data::Bool(vec![1, 0, 1, 0]));
    }

    /// Integers are compared as they are, so both need one scale and one zero point.
    #[test]
    fn quantized_numbers_compare_on_one_scale() {
        let less = |of_a, of_b| {
            let tensor = |values: &[i8], (scale, zero)| {
                let shape = Shape::new(&[2]).unwrap();
                let tensor = Tensor { shape, data: Data::I8(values.to_vec()) };
                Some((tensor, Some(Quantization::per_tensor(scale, zero))))
            };
            let inputs = [tensor(&[-3, 5], of_a), tensor(&[2, 5], of_b)];
            let less = Compare { relation: Relation::Less };
            evaluate(&less, &inputs, &[], Rounding::High).map(|mut outputs| outputs.remove(0).data)
        };
        assert_eq!(less((0.5, 1), (0.5, 1)).unwrap(), Data::Bool(vec![1, 0]));
        assert!(less((0.5, 1), (0.5, 2)).is_err());
        assert!(less((0.5, 1), (0.25, 1)).is_err());
    }

    #[test]
    fn signs_belong_to_the_type() {
        let less = of(Relation::Less, Data::I8(vec![-1]), Data::I8(vec![1]));
        assert_eq!(less, Data::Bool(vec![1]));
        let less = of(Relation::Less, Data::U64(vec![u64::MAX]), Data::U64(vec![1]));
        assert_eq!(less, Data::Bool(vec![0]));
    }
}
