//! The second half of a layer of singular value decomposition filters (SVDF): filters along time, and
//! sums of as many of them as the rank for each unit,
//! `out[b, u] = bias[u] + sum over r, m of state[b, u R + r, m] weights[u R + r, m]`.
//! For what the state holds see [`super::svdf_features`].
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | state | `[B, U R, M]` | int16 | per tensor, zero point 0 |
//! | weights | `[U R, M]` | int16 | per tensor, zero point 0 |
//! | bias | `[U]` | int32 | the product of these scales |
//! | output | `[B, U]` | int8 | per tensor |
//!
//! Sums wrap in 32 bits, as in TensorFlow Lite, and are requantized once with one 31-bit multiplier, by
//! the rounding of the file.

use crate::{Op, Run};
use format::fixed::{Rounding, requantize_double, requantize_single};
use format::{DType, Node};

/// int16 in, int8 out.
pub static I16: Op = Op::new(68, "svdf_time", check, run);

fn check(node: &Node<'_>) -> Option<()> {
    let (state, weights, output) = (node.input(0)?, node.input(1)?, node.output(0)?);
    let bias = node.input(2)?;
    let types = [state.dtype, weights.dtype, bias.dtype, output.dtype]
        == [DType::I16, DType::I16, DType::I32, DType::I8];
    let ranks = [state.shape.rank(), weights.shape.rank(), output.shape.rank()] == [3, 2, 2];
    if !types || !ranks {
        return None;
    }
    let units = output.shape.dim(1);
    let sizes = state.shape.dim(1) == weights.shape.dim(0)
        && state.shape.dim(2) == weights.shape.dim(1)
        && output.shape.dim(0) == state.shape.dim(0)
        && bias.shape.elements() == units;
    (sizes && units > 0 && weights.shape.dim(0).is_multiple_of(units)).then_some(())
}

fn run(run: &Run<'_>) {
    let (Some(filters), Some(to)) = (run.node.input(1), run.node.output(0)) else { return };
    let mut params = run.node.params();
    let (multiplier, shift) = (params.i32(), params.i32().clamp(-31, 30));
    let requantize = match Rounding::from_code(params.u8()) {
        Some(Rounding::Double) => requantize_double,
        _ => requantize_single,
    };
    let limits = super::limits_i8(&mut params).map(i32::from);
    let units = to.shape.dim(1).max(1);
    // All steps of all filters of a unit are one behind the other.
    let row = filters.shape.elements() / units;
    let (state, weights, bias) = (run.input::<i16>(0), run.input::<i16>(1), run.input::<i32>(2));
    for (index, cell) in run.output::<i8>(0).iter().enumerate() {
        let (start, unit) = (index * row, index % units);
        let sum = (0..row).fold(bias.get(unit), |sum: i32, i| {
            let product = i32::from(state.get(start + i)) * i32::from(weights.get(unit * row + i));
            sum.wrapping_add(product)
        });
        let scaled = requantize(sum, multiplier, shift).saturating_add(to.zero_point);
        cell.set(scaled.clamp(limits[0], limits[1]) as i8);
    }
}

#[cfg(feature = "host")]
pub use host::SvdfTime;

#[cfg(feature = "host")]
mod host {
    use crate::host::{
        Activation, Inferred, Lowered, LoweredOperand, Operand, Operator, activation_limits, required,
    };
    use format::fixed::{Rounding, quantize_multiplier};
    use format::{DType, ParamsWriter, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// Attributes of filters along time.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct SvdfTime {
        /// Filters of each unit.
        pub rank: usize,
        /// Fused activation.
        pub activation: Activation,
    }

    impl Operator for SvdfTime {
        fn name(&self) -> &'static str {
            "svdf_time"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let (state, weights) = (required(inputs, 0)?, required(inputs, 1)?);
            let bias = required(inputs, 2)?;
            let (&[batch, filters, steps], &[rows, columns]) = (state.shape.dims(), weights.shape.dims())
            else {
                return Err(std::format!("{} is no state of filters", state.shape));
            };
            let units = filters as usize / self.rank.max(1);
            let fits = [filters, steps] == [rows, columns]
                && units * self.rank == filters as usize
                && bias.shape.elements() == units
                && state.dtype == DType::I16;
            if !fits {
                let rank = self.rank;
                return Err(std::format!("weights {} of rank {rank} do not fit {}", weights.shape, state.shape));
            }
            let shape = Shape::new(&[batch, units as u32]).ok_or("too many dimensions")?;
            Ok(std::vec![(DType::I8, shape)])
        }

        fn macs(&self, inputs: &[Option<Operand<'_>>], _outputs: &[Operand<'_>]) -> u64 {
            required(inputs, 0).map_or(0, |state| state.shape.elements() as u64)
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            rounding: Rounding,
        ) -> Result<Lowered, String> {
            let (state, weights) = (required(inputs, 0)?.affine()?, required(inputs, 1)?.affine()?);
            let output = outputs.first().ok_or("no output")?;
            if (state.1, weights.1) != (0, 0) {
                return Err("int16 tensors have the zero point 0".into());
            }
            // TensorFlow Lite multiplies scales in single precision here.
            let factor = state.0 * weights.0 / output.affine()?.0;
            let (multiplier, shift) = quantize_multiplier(factor.into());
            let [low, high] = activation_limits(self.activation, output)?;
            let mut params = ParamsWriter::default();
            params.i32(multiplier).i32(shift).u8(rounding as u8);
            params.u8(low as i8 as u8).u8(high as i8 as u8);
            let operands = (0..3).map(LoweredOperand::Input).collect();
            Ok(Lowered { code: super::I16.code, operands, params: params.finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::SvdfTime;
    use crate::host::{Activation, Data, Quantization, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    /// Two units of rank 2 over two steps; the second is below zero.
    #[test]
    fn filters_of_a_unit_are_added() {
        let scale = |scale| Some(Quantization::per_tensor(scale, 0));
        let tensor = |dims: &[u32], data| Tensor { shape: Shape::new(dims).unwrap(), data };
        let state = Data::I16(vec![1, 2, 3, 4, 5, 6, 7, 8]);
        let weights = Data::I16(vec![1, 1, 1, -1, -1, 0, 0, -1]);
        let inputs = [
            Some((tensor(&[1, 4, 2], state), scale(0.5))),
            Some((tensor(&[4, 2], weights), scale(0.5))),
            Some((tensor(&[2], Data::I32(vec![10, 1])), None)),
        ];
        let output = [Some(Quantization::per_tensor(0.25, -100))];
        let made = |activation| {
            let filters = SvdfTime { rank: 2, activation };
            let made = evaluate(&filters, &inputs, &output, Rounding::Double).unwrap();
            made[0].data.clone()
        };
        assert_eq!(made(Activation::None), Data::I8(vec![-88, -112]));
        assert_eq!(made(Activation::Relu), Data::I8(vec![-88, -100]));
        let odd = SvdfTime { rank: 3, activation: Activation::None };
        assert!(evaluate(&odd, &inputs, &output, Rounding::Double).is_err());
    }
}
