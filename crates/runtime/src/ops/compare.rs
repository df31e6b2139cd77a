//! Comparisons of two tensors: `out = a ∘ b` for `∘` in `==`, `!=`, `<`, `<=`. Every comparison with
//! NaN is false, but for `!=`.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | a, b | broadcast as in ONNX | f32; whole numbers; bool | both the same, but for [`SCALED_I8`] |
//! | output | the broadcast shape | bool | |

use super::broadcast::{Places, broadcast};
use super::whole::{is_whole, with_whole};
use crate::{Op, Run};
use format::fixed::requantize_double;
use format::{DType, Node};
use kernels::memory::Plain;

/// Operands of any type.
pub static ANY: Op = Op::new(51, "compare", check, run);

/// int8 of any scales as TensorFlow Lite compares them: real numbers in 8 binary places, so that what is
/// less than a place apart may be equal.
pub static SCALED_I8: Op = Op::new(153, "compare_scaled", check_scaled, run_scaled);

/// Binary places of what [`SCALED_I8`] compares.
const PLACES: u32 = 8;

fn check_scaled(node: &Node<'_>) -> Option<()> {
    let (a, b) = (node.input(0)?, node.input(1)?);
    let small = [a, b].iter().all(|tensor| (-128..=127).contains(&tensor.zero_point));
    check(node).filter(|()| small && a.dtype == DType::I8)
}

fn run_scaled(run: &Run<'_>) {
    let (Some(a), Some(b)) = (run.node.input(0), run.node.input(1)) else { return };
    let mut params = run.node.params();
    params.u8();
    let mut factor = || (params.i32(), params.i32().clamp(-31, 30));
    let factors = [factor(), factor()];
    let scaled = |value: i8, zero: i32, (multiplier, shift): (i32, i32)| {
        requantize_double((i32::from(value) - zero) << PLACES, multiplier, shift)
    };
    let places = move |x: i8, y: i8| {
        (scaled(x, a.zero_point, factors[0]), scaled(y, b.zero_point, factors[1]))
    };
    each::<i8, i32>(run, places);
}

fn check(node: &Node<'_>) -> Option<()> {
    let (a, b, output) = (node.input(0)?, node.input(1)?, node.output(0)?);
    let comparable = is_whole(a.dtype) || a.dtype == DType::F32;
    let types = a.dtype == b.dtype && output.dtype == DType::Bool && comparable;
    let shape = broadcast(&a.shape, &b.shape)?;
    (types && node.params().u8() < 4 && shape == output.shape).then_some(())
}

fn run(run: &Run<'_>) {
    fn plain<T: Plain + Default + PartialOrd>(run: &Run<'_>) {
        each::<T, T>(run, |x, y| (x, y));
    }
    match run.node.input(0).map(|a| a.dtype) {
        Some(DType::F32) => plain::<f32>(run),
        Some(dtype) => with_whole!(dtype, plain(run), ()),
        None => {}
    }
}

/// Compares what `pair` makes of the elements.
fn each<T: Plain + Default, C: PartialOrd>(run: &Run<'_>, pair: impl Fn(T, T) -> (C, C)) {
    let (Some(a), Some(b), Some(to)) = (run.node.input(0), run.node.input(1), run.node.output(0))
    else {
        return;
    };
    let function = run.node.params().u8();
    let mut places = Places::new([&a.shape, &b.shape], to.shape);
    let (a, b) = (run.input::<T>(0), run.input::<T>(1));
    for cell in run.output::<u8>(0) {
        let [x, y] = places.advance();
        let (x, y) = pair(a.get(x), b.get(y));
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
    use format::fixed::{Rounding, quantize_multiplier};
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
            rounding: Rounding,
        ) -> Result<Lowered, String> {
            let (a, b) = (required(inputs, 0)?, required(inputs, 1)?);
            let mut params = ParamsWriter::default();
            params.u8(self.relation as u8);
            let is_alike = a.quantization == b.quantization;
            let code = match (a.dtype, &a.quantization, &b.quantization) {
                (DType::I8, Some(of_a), Some(of_b)) if rounding != Rounding::High => {
                    for scale in [of_a.scale(0), of_b.scale(0)] {
                        let (multiplier, shift) = quantize_multiplier(f64::from(scale));
                        params.i32(multiplier).i32(shift);
                    }
                    super::SCALED_I8.code
                }
                _ if is_alike => super::ANY.code,
                _ => return Err("a comparison needs one scale and one zero point".into()),
            };
            let operands = std::vec![LoweredOperand::Input(0), LoweredOperand::Input(1)];
            Ok(Lowered { code, operands, params: params.finish() })
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

    /// As TensorFlow Lite has it, any scales compare: steps of 1/1024 are less than a place apart.
    #[test]
    fn scaled_numbers_compare_in_eight_places() {
        let compared = |relation, of_a, of_b, rounding| {
            let tensor = |values: &[i8], (scale, zero)| {
                let shape = Shape::new(&[3]).unwrap();
                let tensor = Tensor { shape, data: Data::I8(values.to_vec()) };
                Some((tensor, Some(Quantization::per_tensor(scale, zero))))
            };
            let inputs = [tensor(&[-3, 5, 9], of_a), tensor(&[-7, 2, 8], of_b)];
            let compare = Compare { relation };
            evaluate(&compare, &inputs, &[], rounding).map(|mut outputs| outputs.remove(0).data)
        };
        // -2, 2, 4 and -1, 1.25, 2.75.
        let (a, b) = ((0.5, 1), (0.25, -3));
        let less = compared(Relation::Less, a, b, Rounding::Double).unwrap();
        assert_eq!(less, Data::Bool(vec![1, 0, 0]));
        assert!(compared(Relation::Less, a, b, Rounding::High).is_err());
        let fine = (1.0 / 1024.0, 0);
        let equal = |rounding| compared(Relation::Equal, fine, fine, rounding).unwrap();
        // -0.75 and -1.75 places, 1.25 and 0.5, 2.25 and 2.
        assert_eq!(equal(Rounding::Single), Data::Bool(vec![0, 1, 1]));
        assert_eq!(equal(Rounding::High), Data::Bool(vec![0, 0, 0]));
    }

    #[test]
    fn signs_belong_to_the_type() {
        let less = of(Relation::Less, Data::I8(vec![-1]), Data::I8(vec![1]));
        assert_eq!(less, Data::Bool(vec![1]));
        let less = of(Relation::Less, Data::U64(vec![u64::MAX]), Data::U64(vec![1]));
        assert_eq!(less, Data::Bool(vec![0]));
    }
}
