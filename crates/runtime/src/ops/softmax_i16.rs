//! Softmax of int16 as TensorFlow Lite has it: exponentials from -10 to 0 and the reciprocal of
//! their sum are straight lines between 513 points each.

use crate::Run;
use format::fixed::requantize_double;
use format::{DType, Node};
use kernels::i16::interpolated;

/// Whether operands fit.
pub(super) fn check(node: &Node<'_>) -> Option<()> {
    let (input, output) = (node.input(0)?, node.output(0)?);
    let (exponentials, reciprocals) = (node.input(1)?, node.input(2)?);
    let tensors = [input, exponentials, reciprocals, output];
    let types = tensors.iter().all(|tensor| tensor.dtype == DType::I16);
    let tables = [exponentials, reciprocals]
        .iter()
        .all(|table| table.shape.elements() == 513);
    let sizes = input.shape.elements() == output.shape.elements();
    // Sums of up to 2^15 ones of 2^15 fit 32 bits.
    let rows = (1..=1 << 15).contains(&input.shape.last());
    (types && tables && sizes && rows).then_some(())
}

/// Computes the output.
pub(super) fn run(run: &Run<'_>) {
    let mut params = run.node.params();
    let (multiplier, shift) = (params.i32(), params.i32().clamp(-31, 14));
    let (exponentials, reciprocals) = (run.constant::<i16>(1), run.constant::<i16>(2));
    let (input, output) = (run.input::<i16>(0), run.output::<i16>(0));
    let row = run
        .node
        .input(0)
        .map_or(1, |tensor| tensor.shape.last())
        .max(1);
    for (start, cells) in output.chunks(row).enumerate() {
        let values = input.part(start * row, row);
        let largest = (0..row)
            .map(|i| i32::from(values.get(i)))
            .max()
            .unwrap_or(0);
        let mut sum = 0i32;
        for (i, cell) in cells.iter().enumerate() {
            let difference = i32::from(values.get(i)) - largest;
            let scaled = requantize_double(difference, multiplier, shift);
            let place = scaled.saturating_add(32_767).clamp(-32_768, 32_767);
            let exponential = interpolated(exponentials, place as i16);
            sum = sum.wrapping_add(exponential.into());
            cell.set(exponential);
        }
        let headroom = sum.leading_zeros().clamp(1, 30);
        // 1 + x in [1, 2), of which the table takes x.
        let shifted = ((i64::from(sum) << (headroom - 1)) + (1 << 13)) >> 14;
        let place = (shifted - (3 << 15)).clamp(-32_768, 32_767);
        let reciprocal = i64::from(interpolated(reciprocals, place as i16));
        let right = 31 - headroom;
        for cell in cells {
            let share = (i64::from(cell.get()) * reciprocal + (1 << (right - 1))) >> right;
            cell.set(share.clamp(0, 32_767) as i16);
        }
    }
}

#[cfg(feature = "host")]
pub(crate) use host::lower;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Lowered, LoweredOperand, Operand};
    use format::fixed::quantize_multiplier;
    use format::{DType, ParamsWriter, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// Lowers the operator.
    pub(crate) fn lower(input: &Operand<'_>, output: &Operand<'_>) -> Result<Lowered, String> {
        if output.affine()? != (1.0 / 32_768.0, 0) {
            return Err("int16 softmax has scale 1/32768 and zero point 0".into());
        }
        let factor = f64::from(input.affine()?.0) / (10.0 / 65_535.0);
        let (multiplier, shift) = quantize_multiplier(factor);
        if shift > 14 {
            return Err("its input's scale is too large".into());
        }
        let mut params = ParamsWriter::default();
        params.i32(multiplier).i32(shift);
        let exponential = |x: f32| libm::exp(x.into()) as f32;
        let reciprocal = |x: f32| 1.0 / (1.0 + x);
        let operands = std::vec![
            LoweredOperand::Input(0),
            table(10.0, [-65_535.0, 0.0], exponential)?,
            table(1.0, [0.0, 65_535.0], reciprocal)?,
        ];
        Ok(Lowered {
            code: crate::ops::softmax::I16.code,
            operands,
            params: params.finish(),
        })
    }

    /// 513 points of a function over 65,535 steps of `range / 65,535`, in steps of `2 / 65,535`: each
    /// is moved so that the line to the next is as far off at its ends as in its middle.
    fn table(
        range: f32,
        [first, last]: [f32; 2],
        function: fn(f32) -> f32,
    ) -> Result<LoweredOperand, String> {
        let (unit, to_unit) = (range / 65_535.0, 2.0f32 / 65_535.0);
        let (smallest, largest) = (unit * first, unit * last);
        let step = (largest - smallest) / 512.0;
        let inverse = 65_536.0 / (to_unit * 32_767.0 - to_unit * -32_768.0);
        let limited = |value: f32| value.clamp(-32_768.0, 32_767.0) as i16;
        let point = |index: u16| {
            let start = smallest + f32::from(index) * step;
            let value = (function(start) * inverse).round();
            let next = function(smallest + f32::from(index + 1) * step) * inverse;
            let between = ((next + value) / 2.0).round();
            let middle = (function(start + step / 2.0) * inverse).round();
            limited(value - ((between - middle) / 2.0).round())
        };
        let mut points: Vec<i16> = (0..512).map(point).collect();
        points.push(limited((function(largest) * inverse).round()));
        Ok(LoweredOperand::Constant {
            dtype: DType::I16,
            shape: Shape::new(&[513]).ok_or("too many dimensions")?,
            bytes: points.into_iter().flat_map(i16::to_le_bytes).collect(),
        })
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use crate::host::{Data, Quantization, Tensor, evaluate};
    use crate::ops::softmax::Softmax;
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    /// exp(0) : exp(-ln 3) = 3 : 1, and what is far below counts for nothing.
    #[test]
    fn shares_follow_the_exponentials() {
        let shape = Shape::new(&[2, 2]).unwrap();
        let tensor = Tensor {
            shape,
            data: Data::I16(vec![10_986, 0, 32_767, -32_768]),
        };
        let input = [Some((tensor, Some(Quantization::per_tensor(1e-4, 0))))];
        let output = [Some(Quantization::per_tensor(1.0 / 32_768.0, 0))];
        let made = evaluate(&Softmax, &input, &output, Rounding::High)
            .unwrap()
            .remove(0);
        let Data::I16(shares) = made.data else {
            panic!("int16 stays int16")
        };
        let expected = [24_576.0, 8_192.0, 32_721.0, 46.6];
        for (got, real) in shares.iter().zip(expected) {
            assert!((f32::from(*got) - real).abs() < 6.0, "{shares:?}");
        }
    }
}
