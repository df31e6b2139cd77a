//! The first half of a layer of singular value decomposition filters (SVDF): what each filter sees in
//! the newest step, `out[b, f, 0] = sum over i of in[b, i] weights[f, i]`. A history of these goes into
//! [`super::svdf_time`].
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | input | `[B, I]` | int8 | per tensor |
//! | weights | `[F, I]` | int8 | per tensor, zero point 0 |
//! | output | `[B, F, 1]` | int16 | per tensor, zero point 0 |
//!
//! Sums without the input's zero point, at most 32,768 products each, are requantized once with one
//! 31-bit multiplier, by the rounding of the file, and limited to 16 bits.

use crate::{Op, Run};
use format::fixed::{Rounding, requantize_double, requantize_single};
use format::{DType, Node};

/// int8 in, int16 out.
pub static I8: Op = Op::new(67, "svdf_features", check, run);

/// The most products in a sum: 2^15 of them, each below 2^16, fit 32 bits.
const MOST_PRODUCTS: usize = 1 << 15;

fn check(node: &Node<'_>) -> Option<()> {
    let (input, weights, output) = (node.input(0)?, node.input(1)?, node.output(0)?);
    let types = [input.dtype, weights.dtype, output.dtype] == [DType::I8, DType::I8, DType::I16];
    let ranks = [input.shape.rank(), weights.shape.rank(), output.shape.rank()] == [2, 2, 3];
    let small = (-128..=127).contains(&input.zero_point) && input.shape.last() <= MOST_PRODUCTS;
    let sizes = input.shape.last() == weights.shape.last()
        && output.shape.dim(0) == input.shape.dim(0)
        && output.shape.dim(1) == weights.shape.dim(0)
        && output.shape.dim(2) == 1;
    (types && ranks && small && sizes).then_some(())
}

fn run(run: &Run<'_>) {
    let (Some(from), Some(filters)) = (run.node.input(0), run.node.input(1)) else { return };
    let mut params = run.node.params();
    let (multiplier, shift) = (params.i32(), params.i32().clamp(-31, 30));
    let requantize = match Rounding::from_code(params.u8()) {
        Some(Rounding::Double) => requantize_double,
        _ => requantize_single,
    };
    let (inputs, count) = (from.shape.last(), filters.shape.dim(0).max(1));
    let (input, weights) = (run.input::<i8>(0), run.input::<i8>(1));
    for (index, cell) in run.output::<i16>(0).iter().enumerate() {
        let (sample, filter) = (index / count * inputs, index % count * inputs);
        let product = |i: usize| {
            let value = i32::from(input.get(sample + i)) - from.zero_point;
            value * i32::from(weights.get(filter + i))
        };
        let scaled = requantize((0..inputs).map(product).sum(), multiplier, shift);
        cell.set(scaled.clamp(-32_768, 32_767) as i16);
    }
}

#[cfg(feature = "host")]
pub use host::SvdfFeatures;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::{Rounding, quantize_multiplier};
    use format::{DType, ParamsWriter, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// What filters see in one step; it has no attributes.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct SvdfFeatures;

    impl Operator for SvdfFeatures {
        fn name(&self) -> &'static str {
            "svdf_features"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let (input, weights) = (required(inputs, 0)?, required(inputs, 1)?);
            let (&[batch, size], &[filters, columns]) = (input.shape.dims(), weights.shape.dims()) else {
                return Err(std::format!("{} and {} are no matrices", input.shape, weights.shape));
            };
            if size != columns || input.dtype != DType::I8 || weights.dtype != DType::I8 {
                return Err(std::format!("weights {} do not fit {}", weights.shape, input.shape));
            }
            let shape = Shape::new(&[batch, filters, 1]).ok_or("too many dimensions")?;
            Ok(std::vec![(DType::I16, shape)])
        }

        fn macs(&self, inputs: &[Option<Operand<'_>>], outputs: &[Operand<'_>]) -> u64 {
            let size = required(inputs, 0).map_or(0, |input| input.shape.last() as u64);
            outputs.iter().map(|output| output.shape.elements() as u64).sum::<u64>() * size
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            rounding: Rounding,
        ) -> Result<Lowered, String> {
            let (input, weights) = (required(inputs, 0)?, required(inputs, 1)?);
            let output = outputs.first().ok_or("no output")?;
            let ((by, zero), (to, _)) = (weights.affine()?, output.affine()?);
            if zero != 0 || input.shape.last() > super::MOST_PRODUCTS {
                return Err("its weights are not symmetric, or its sums are too long".into());
            }
            // TensorFlow Lite multiplies scales in single precision here.
            let factor = input.affine()?.0 * by / to;
            let (multiplier, shift) = quantize_multiplier(factor.into());
            let mut params = ParamsWriter::default();
            params.i32(multiplier).i32(shift).u8(rounding as u8);
            let operands = std::vec![LoweredOperand::Input(0), LoweredOperand::Input(1)];
            Ok(Lowered { code: super::I8.code, operands, params: params.finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::SvdfFeatures;
    use crate::host::{Data, Quantization, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    /// 0.5 (q - 1) with weights of a quarter, in steps of an eighth.
    #[test]
    fn filters_see_the_newest_step() {
        let tensor = |dims: &[u32], values, scale, zero| {
            let tensor = Tensor { shape: Shape::new(dims).unwrap(), data: Data::I8(values) };
            Some((tensor, Some(Quantization::per_tensor(scale, zero))))
        };
        let inputs = [
            tensor(&[1, 2], vec![3, -5], 0.5, 1),
            tensor(&[3, 2], vec![1, 2, -3, 4, 127, -127], 0.25, 0),
        ];
        let output = [Some(Quantization::per_tensor(0.125, 0))];
        let made = evaluate(&SvdfFeatures, &inputs, &output, Rounding::Double).unwrap();
        assert_eq!(made[0].data, Data::I16(vec![-10, -30, 1016]));
        assert_eq!(made[0].shape, Shape::new(&[1, 3, 1]).unwrap());
    }
}
