//! Mean over neighbouring axes: `out[o, i] = sum over s of in[o, s, i] / S`, where the axes before
//! are `o`, those that go are `s`, and those behind are `i`.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | input | any | int8, int16, f32 | per tensor |
//! | output | the axes that go are 1 | as the input | per tensor |
//!
//! int8: the sum, its zero points taken off, is requantized with one 31-bit multiplier, by the
//! rounding of the file.

use crate::{Op, Run};
use format::fixed::{Rounding, requantize_double, requantize_single};
use format::{DType, Node, Shape};
use kernels::Integer;

/// int8 in, int8 out.
pub static I8: Op = Op::new(41, "mean", |node| check(node, DType::I8), run_integer::<i8>);

/// int16 in, int16 out.
pub static I16: Op = Op::new(134, "mean_i16", |node| check(node, DType::I16), run_integer::<i16>);

/// Float in, float out.
pub static F32: Op = Op::new(42, "mean_f32", |node| check(node, DType::F32), run_f32);

/// Elements before, along and behind the axes from `first` to `last`.
pub(crate) fn parts(shape: &Shape, first: usize, last: usize) -> [usize; 3] {
    let product = |from: usize, to: usize| (from..to).map(|axis| shape.dim(axis)).product();
    [product(0, first), product(first, last + 1), product(last + 1, shape.rank())]
}

pub(crate) fn geometry(node: &Node<'_>, params: &mut format::Params<'_>) -> Option<[usize; 3]> {
    let (first, last) = (usize::from(params.u8()), usize::from(params.u8()));
    params.u16();
    let shape = node.input(0)?.shape;
    (first <= last && last < shape.rank()).then(|| parts(&shape, first, last))
}

fn check(node: &Node<'_>, dtype: DType) -> Option<()> {
    let (input, output) = (node.input(0)?, node.output(0)?);
    let [outer, size, inner] = geometry(node, &mut node.params())?;
    let types = input.dtype == dtype && output.dtype == dtype;
    // Sums of up to 2^22 differences below 2^9 fit 32 bits, and so do 2^15 of int16.
    let (most, zero) = if dtype == DType::I16 { (1 << 15, 0) } else { (1 << 22, 128) };
    let small = (1..=most).contains(&size) && input.zero_point.unsigned_abs() <= zero;
    (types && small && output.shape.elements() == outer.checked_mul(inner)?).then_some(())
}

fn run_integer<T: Integer>(run: &Run<'_>) {
    let mut params = run.node.params();
    let Some([_, size, inner]) = geometry(&run.node, &mut params) else { return };
    let (multiplier, shift) = (params.i32(), params.i32().clamp(-31, 30));
    let requantize = match Rounding::from_code(params.u8()) {
        Some(Rounding::Double) => requantize_double,
        _ => requantize_single,
    };
    let (Some(from), Some(to)) = (run.node.input(0), run.node.output(0)) else { return };
    let (input, output) = (run.input::<T>(0), run.output::<T>(0));
    let (low, high) = (T::SMALLEST, -1 - T::SMALLEST);
    for (i, cell) in output.iter().enumerate() {
        let start = i / inner.max(1) * size * inner + i % inner.max(1);
        let sum: i32 = (0..size).map(|s| -> i32 { input.get(start + s * inner).into() }).sum();
        let scaled = requantize(sum - size as i32 * from.zero_point, multiplier, shift);
        cell.set(T::from_clamped(scaled.saturating_add(to.zero_point).clamp(low, high)));
    }
}

fn run_f32(run: &Run<'_>) {
    let Some([_, size, inner]) = geometry(&run.node, &mut run.node.params()) else { return };
    let (input, output) = (run.input::<f32>(0), run.output::<f32>(0));
    for (i, cell) in output.iter().enumerate() {
        let start = i / inner.max(1) * size * inner + i % inner.max(1);
        let sum: f32 = (0..size).map(|s| input.get(start + s * inner)).sum();
        cell.set(sum / size as f32);
    }
}

#[cfg(feature = "host")]
pub use host::Mean;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::{Rounding, quantize_multiplier};
    use format::{DType, ParamsWriter, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// Attributes of a mean.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Mean {
        /// The first axis that goes.
        pub first: usize,
        /// The last one.
        pub last: usize,
    }

    impl Operator for Mean {
        fn name(&self) -> &'static str {
            "mean"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let input = required(inputs, 0)?;
            let (first, last) = (self.first, self.last);
            if first > last || last >= input.shape.rank() {
                return Err(std::format!("there are no axes {first} to {last} in {}", input.shape));
            }
            let mut dims = input.shape.dims().to_vec();
            dims.iter_mut().take(last + 1).skip(first).for_each(|size| *size = 1);
            Ok(std::vec![(input.dtype, Shape::new(&dims).ok_or("too many dimensions")?)])
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            rounding: Rounding,
        ) -> Result<Lowered, String> {
            let (input, output) = (required(inputs, 0)?, outputs.first().ok_or("no output")?);
            let mut params = ParamsWriter::default();
            params.u8(self.first as u8).u8(self.last as u8).u16(0);
            let code = match (input.dtype, output.dtype) {
                (DType::F32, DType::F32) => super::F32.code,
                (DType::I8, DType::I8) | (DType::I16, DType::I16) => {
                    return self.lower_integers(input, output, rounding, true);
                }
                (from, to) => return Err(std::format!("there is no mean from {from} to {to}")),
            };
            let operands = std::vec![LoweredOperand::Input(0)];
            Ok(Lowered { code, operands, params: params.finish() })
        }
    }

    impl Mean {
        /// The integer node of a mean, or of a sum.
        pub(crate) fn lower_integers(
            &self,
            input: &Operand<'_>,
            output: &Operand<'_>,
            rounding: Rounding,
            is_mean: bool,
        ) -> Result<Lowered, String> {
            let code = match [input.dtype, output.dtype] {
                [DType::I8, DType::I8] => super::I8.code,
                [DType::I16, DType::I16] => super::I16.code,
                [from, to] => return Err(std::format!("there is no sum from {from} to {to}")),
            };
            let [_, size, _] = super::parts(&input.shape, self.first, self.last);
            let size = if is_mean { size } else { 1 };
            let ratio = f64::from(input.affine()?.0) / f64::from(output.affine()?.0);
            let (multiplier, shift) = match rounding {
                Rounding::Double => divided(quantize_multiplier(ratio), size),
                _ => quantize_multiplier(ratio / size as f64),
            };
            let mut params = ParamsWriter::default();
            params.u8(self.first as u8).u8(self.last as u8).u16(0);
            params.i32(multiplier).i32(shift).u8(rounding as u8);
            let operands = std::vec![LoweredOperand::Input(0)];
            Ok(Lowered { code, operands, params: params.finish() })
        }
    }

    /// A multiplier divided by a count as TensorFlow Lite Micro does it: truncated, after a shift
    /// that keeps its bits.
    fn divided((multiplier, shift): (i32, i32), count: usize) -> (i32, i32) {
        let left = (count.max(1).ilog2() as i32).min(32).min(31 + shift).max(0);
        let quotient = (i64::from(multiplier) << left) / count.max(1) as i64;
        (quotient as i32, shift - left)
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::Mean;
    use crate::host::{Data, Quantization, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    #[test]
    fn rows_in_the_middle_go() {
        let shape = Shape::new(&[2, 2, 2]).unwrap();
        let data = Data::F32(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        let input = [Some((Tensor { shape, data }, None))];
        let mean = Mean { first: 1, last: 1 };
        let outputs = evaluate(&mean, &input, &[], Rounding::High).unwrap();
        assert_eq!(outputs[0].data, Data::F32(vec![2.0, 3.0, 6.0, 7.0]));
        assert_eq!(outputs[0].shape, Shape::new(&[2, 1, 2]).unwrap());
    }

    /// 0.5 (q - 1): the mean of 1, 2 and 6 is 3, in steps of 0.25 from -4.
    #[test]
    fn int8_means_may_have_another_scale() {
        let tensor = Tensor { shape: Shape::new(&[3]).unwrap(), data: Data::I8(vec![3, 5, 13]) };
        let input = [Some((tensor, Some(Quantization::per_tensor(0.5, 1))))];
        let output = [Some(Quantization::per_tensor(0.25, -4))];
        for rounding in [Rounding::High, Rounding::Double] {
            let mean = Mean { first: 0, last: 0 };
            let outputs = evaluate(&mean, &input, &output, rounding).unwrap();
            assert_eq!(outputs[0].data, Data::I8(vec![8]));
        }
    }
}
