//! Rows of length one: `out[i] = in[i] / sqrt(sum over j of in[j]^2)` over the last axis. Rows shorter than
//! 10^-6 are divided by that.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | input | `[..., C]` | int8, f32 | per tensor |
//! | output | the input's | as the input | of int8 scale 1/128, zero point 0 |
//!
//! int8 uses the fixed-point inverse root of TensorFlow Lite, rounded twice: the same bits everywhere.

use super::softmax::saturating_shift_left;
use crate::{Op, Run};
use format::fixed::{
    doubling_high_multiply as multiply, requantize_double, rounding_divide_by_power_of_two as divide,
};
use format::{DType, Node};

/// int8 in, int8 out.
pub static I8: Op = Op::new(162, "l2_normalize", check_i8, run_i8);

/// Float in, float out.
pub static F32: Op = Op::new(163, "l2_normalize_f32", |node| check(node, DType::F32), run_f32);

/// The shortest length that a row of floats is divided by.
const SHORTEST: f32 = 1e-6;

/// The longest row of int8 whose squares add up within 31 bits.
const LONGEST_ROW: usize = i32::MAX as usize / (255 * 255);

fn check(node: &Node<'_>, dtype: DType) -> Option<()> {
    let (input, output) = (node.input(0)?, node.output(0)?);
    let types = input.dtype == dtype && output.dtype == dtype;
    let sizes = input.shape.elements() == output.shape.elements() && input.shape.last() > 0;
    (types && sizes).then_some(())
}

fn check_i8(node: &Node<'_>) -> Option<()> {
    let input = node.input(0)?;
    let fits = input.shape.last() <= LONGEST_ROW && (-128..=127).contains(&input.zero_point);
    check(node, DType::I8).filter(|()| fits)
}

fn run_f32(run: &Run<'_>) {
    let (input, output) = (run.input::<f32>(0), run.output::<f32>(0));
    let row = run.node.input(0).map_or(1, |tensor| tensor.shape.last()).max(1);
    for (start, cells) in output.chunks(row).enumerate() {
        let values = input.part(start * row, row);
        let squares: f32 = (0..row).map(|i| values.get(i) * values.get(i)).sum();
        let length = libm::sqrtf(squares).max(SHORTEST);
        for (i, cell) in cells.iter().enumerate() {
            cell.set(values.get(i) / length);
        }
    }
}

fn run_i8(run: &Run<'_>) {
    let Some(tensor) = run.node.input(0) else { return };
    let (input, output) = (run.input::<i8>(0), run.output::<i8>(0));
    let row = tensor.shape.last().max(1);
    for (start, cells) in output.chunks(row).enumerate() {
        let values = input.part(start * row, row);
        let steps = |i: usize| i32::from(values.get(i)) - tensor.zero_point;
        let squares = (0..row).map(|i| steps(i) * steps(i)).sum();
        let (multiplier, shift) = inverse_root(squares);
        for (i, cell) in cells.iter().enumerate() {
            // In steps of 1/128.
            let value = requantize_double(steps(i), multiplier, shift + 7);
            cell.set(value.clamp(-128, 127) as i8);
        }
    }
}

/// `1 / sqrt(x)` of a whole number as a multiplier of 31 bits and an exponent, as TensorFlow Lite computes
/// them: five steps of Newton's method in Q3.28, each product rounded. Of zero it is that of one.
pub(crate) fn inverse_root(mut x: i32) -> (i32, i32) {
    if x <= 1 {
        return (i32::MAX, 0);
    }
    let mut places = 11;
    while x >= 1 << 29 {
        x /= 4;
        places += 1;
    }
    let pairs = (x.leading_zeros() - 1) / 2 - 1;
    places -= pairs as i32;
    let input = (x << (2 * pairs)) >> 1;
    let half = divide(input, 1);
    const THREE_HALVES: i32 = (1 << 28) + (1 << 27);
    let mut root = 1 << 28;
    for _ in 0..5 {
        let cube = saturating_shift_left(multiply(multiply(root, root), root), 6);
        let next = multiply(THREE_HALVES, root) - multiply(half, cube);
        root = saturating_shift_left(next, 3);
    }
    let root = multiply(root, 1_518_500_250);
    match places {
        ..0 => (root << -places, 0),
        _ => (root, -places),
    }
}

#[cfg(feature = "host")]
pub use host::L2Normalize;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::Rounding;
    use format::{DType, ParamsWriter};
    use std::string::String;
    use std::vec::Vec;

    /// Rows of length one.
    #[derive(Clone, Copy, Debug, Default, PartialEq)]
    pub struct L2Normalize;

    impl Operator for L2Normalize {
        fn name(&self) -> &'static str {
            "l2_normalize"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let input = required(inputs, 0)?;
            Ok(std::vec![(input.dtype, input.shape)])
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            let (input, output) = (required(inputs, 0)?, outputs.first().ok_or("no output")?);
            let code = match (input.dtype, output.dtype) {
                (DType::F32, DType::F32) => super::F32.code,
                (DType::I8, DType::I8) => {
                    input.affine()?;
                    if output.affine()? != (1.0 / 128.0, 0) {
                        return Err("int8 l2_normalize has scale 1/128 and zero point 0".into());
                    }
                    if input.shape.last() > super::LONGEST_ROW {
                        let most = super::LONGEST_ROW;
                        return Err(std::format!("int8 l2_normalize has rows of {most} at most"));
                    }
                    super::I8.code
                }
                (from, to) => {
                    return Err(std::format!("there is no l2_normalize from {from} to {to}"));
                }
            };
            let operands = std::vec![LoweredOperand::Input(0)];
            Ok(Lowered { code, operands, params: ParamsWriter::default().finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::{L2Normalize, inverse_root};
    use crate::host::{Data, Quantization, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    #[test]
    fn inverse_roots_are_close_to_real_ones() {
        for x in [1, 2, 3, 99, 4096, (1 << 29) - 1, 1 << 29, i32::MAX] {
            let (multiplier, shift) = inverse_root(x);
            let got = f64::from(multiplier) / 2f64.powi(31 - shift);
            let real = 1.0 / f64::from(x).sqrt();
            assert!((got / real - 1.0).abs() < 2e-6, "{x}: {got}, {real}");
        }
    }

    /// A row of 3 and 4 has the length 5, one of zeros stays.
    #[test]
    fn rows_have_length_one() {
        let shape = Shape::new(&[2, 2]).unwrap();
        let data = Data::F32(vec![3.0, -4.0, 0.0, 0.0]);
        let input = [Some((Tensor { shape, data }, None))];
        let floats = evaluate(&L2Normalize, &input, &[], Rounding::High).unwrap().remove(0).data;
        assert_eq!(floats, Data::F32(vec![0.6, -0.8, 0.0, 0.0]));
        let data = Data::I8(vec![33, -37, 3, 3]);
        let input = [Some((Tensor { shape, data }, Some(Quantization::per_tensor(0.1, 3))))];
        let output = [Some(Quantization::per_tensor(1.0 / 128.0, 0))];
        let integers = evaluate(&L2Normalize, &input, &output, Rounding::Double).unwrap().remove(0);
        // 76.8 and 102.4 steps of 1/128.
        assert_eq!(integers.data, Data::I8(vec![77, -102, 0, 0]));
    }
}
