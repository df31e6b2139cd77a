//! The sum of several int8 tensors of one scale, rounded as TensorFlow Lite Micro rounds it: once, with 19
//! binary places of a step. Sums of floats are [`super::binary`] ones, one after the other.
//!
//! In files that follow it, sums start as there, not at zero but at what the integer 0 stands for.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | inputs | all the same, 2 to 15 of them | int8 | per tensor, all the same |
//! | output | the inputs' | int8 | per tensor |

use crate::{Op, Run};
use format::fixed::requantize_double;
use format::{DType, Node};

/// int8 in, int8 out.
pub static I8: Op = Op::new(164, "add_n", check, run);

/// Binary places of a sum.
const PLACES: u32 = 19;

/// More inputs, and one more zero point, could leave what 32 bits hold.
const MOST: usize = 15;

fn check(node: &Node<'_>) -> Option<()> {
    let output = node.output(0)?;
    for index in 0..node.input_count() {
        let input = node.input(index)?;
        let fits = input.dtype == DType::I8 && (-128..=127).contains(&input.zero_point);
        let sizes = input.shape.elements() == output.shape.elements();
        (fits && sizes).then_some(())?;
    }
    let count = (1..=MOST).contains(&node.input_count());
    (count && output.dtype == DType::I8).then_some(())
}

fn run(run: &Run<'_>) {
    let mut params = run.node.params();
    let (multiplier, shift) = (params.i32(), params.i32().clamp(-31, 30));
    let (Some(from), Some(to)) = (run.node.input(0), run.node.output(0)) else { return };
    let count = run.node.input_count();
    let starts_at_zero = params.u8() != 0;
    let zeros = (count as i32 + i32::from(!starts_at_zero)) * from.zero_point;
    for (i, cell) in run.output::<i8>(0).iter().enumerate() {
        let sum: i32 = (0..count).map(|index| i32::from(run.input::<i8>(index).get(i))).sum();
        let scaled = requantize_double((sum - zeros) << PLACES, multiplier, shift);
        cell.set(scaled.saturating_add(to.zero_point).clamp(-128, 127) as i8);
    }
}

#[cfg(feature = "host")]
pub use host::AddN;

#[cfg(feature = "host")]
mod host {
    use super::{MOST, PLACES};
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::{Rounding, quantize_multiplier};
    use format::{DType, ParamsWriter};
    use std::string::String;
    use std::vec::Vec;

    /// The sum of several tensors.
    #[derive(Clone, Copy, Debug, Default, PartialEq)]
    pub struct AddN;

    impl Operator for AddN {
        fn name(&self) -> &'static str {
            "add_n"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let first = required(inputs, 0)?;
            for index in 1..inputs.len() {
                let input = required(inputs, index)?;
                if (input.dtype, input.shape) != (first.dtype, first.shape) {
                    let (a, b) = (first.shape, input.shape);
                    return Err(std::format!("{b} is not added to {a}"));
                }
            }
            Ok(std::vec![(first.dtype, first.shape)])
        }

        fn overlap(
            &self,
            _index: usize,
            _inputs: &[Option<Operand<'_>>],
            _output: &Operand<'_>,
        ) -> Option<usize> {
            // Element by element in ascending order.
            Some(0)
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            rounding: Rounding,
        ) -> Result<Lowered, String> {
            let (first, output) = (required(inputs, 0)?, outputs.first().ok_or("no output")?);
            if (first.dtype, output.dtype) != (DType::I8, DType::I8) {
                let (from, to) = (first.dtype, output.dtype);
                return Err(std::format!("there is no add_n from {from} to {to}"));
            }
            if inputs.len() > MOST {
                return Err(std::format!("{} tensors are added, {MOST} can be", inputs.len()));
            }
            if inputs.iter().flatten().any(|input| input.quantization != first.quantization) {
                return Err("all that is added needs one scale and zero point".into());
            }
            let (from, to) = (first.affine()?.0, output.affine()?.0);
            let factor = 2.0 * f64::from(from) / (f64::from(1u32 << (PLACES + 1)) * f64::from(to));
            let (multiplier, shift) = quantize_multiplier(factor);
            let mut params = ParamsWriter::default();
            params.i32(multiplier).i32(shift).u8(u8::from(rounding != Rounding::Double));
            let operands = (0..inputs.len()).map(LoweredOperand::Input).collect();
            Ok(Lowered { code: super::I8.code, operands, params: params.finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::AddN;
    use crate::host::{Data, Quantization, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    /// Halves around 1, in thirds around -2.
    #[test]
    fn sums_are_rounded_once() {
        let shape = Shape::new(&[3]).unwrap();
        let tensor = |values: [i8; 3], scale| {
            let tensor = Tensor { shape, data: Data::I8(values.to_vec()) };
            Some((tensor, Some(Quantization::per_tensor(scale, 1))))
        };
        let sum = |last: f32, rounding| {
            let inputs = [
                tensor([127, 2, 1], 0.5),
                tensor([127, 2, 0], 0.5),
                tensor([127, 3, 1], last),
            ];
            let output = [Some(Quantization::per_tensor(1.0 / 3.0, -2))];
            let made = evaluate(&AddN, &inputs, &output, rounding);
            made.map(|mut outputs| outputs.remove(0).data)
        };
        // 189, 2 and -0.5 in thirds: 6 and -1.5, which goes away from zero.
        assert_eq!(sum(0.5, Rounding::High), Ok(Data::I8(vec![127, 4, -4])));
        // A half less: 4.5 and -3.
        assert_eq!(sum(0.5, Rounding::Double), Ok(Data::I8(vec![127, 3, -5])));
        assert!(sum(0.25, Rounding::Double).is_err());
    }
}
