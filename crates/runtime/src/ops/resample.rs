//! Weighted means along one axis: `out[o, j, i] = sum over k of weights[j, k] in[o, positions[j, k], i]`.
//! Interpolation of any kind, one axis after the other; the tables are made when a model is imported.
//!
//! | operand | shape | types |
//! |---|---|---|
//! | input | any | int8, int16, f32 |
//! | positions | `[J, K]`, constant, inside the axis | int32 |
//! | weights | `[J, K]`, constant | f32; int16 on the device for integers |
//! | output | the input's, with `J` along the axis | the input's, its scale too |
//!
//! Integers: weights have 10 binary places, and those of a row add up to exactly 1, so that zero points need
//! no care; the sum is rounded once, halves away from zero.

use super::mean::parts;
use crate::{Op, Run};
use format::fixed::rounding_divide_by_power_of_two;
use format::{DType, Node};
use kernels::Integer;

/// int8 in, int8 out.
pub static I8: Op = Op::new(63, "resample", |node| check(node, [DType::I8, DType::I16]), run_integer::<i8>);

/// int16 in, int16 out.
pub static I16: Op =
    Op::new(136, "resample_i16", |node| check(node, [DType::I16; 2]), run_integer::<i16>);

/// Float in, float out.
pub static F32: Op = Op::new(85, "resample_f32", |node| check(node, [DType::F32; 2]), run);

/// Binary places of int16 weights.
pub(crate) const PLACES: u8 = 10;

fn check(node: &Node<'_>, [activation, weight]: [DType; 2]) -> Option<()> {
    let axis = usize::from(node.params().u8());
    let (input, output) = (node.input(0)?, node.output(0)?);
    let (positions, weights) = (node.input(1)?, node.input(2)?);
    let types = [input.dtype, weights.dtype, output.dtype] == [activation, weight, activation];
    let tables = positions.dtype == DType::I32 && positions.shape == weights.shape;
    if !types || !tables || positions.shape.rank() != 2 || axis >= input.shape.rank() {
        return None;
    }
    let [outer, _, inner] = parts(&input.shape, axis, axis);
    let elements = outer.checked_mul(positions.shape.dim(0))?.checked_mul(inner)?;
    (elements == output.shape.elements()).then_some(())
}

fn run(run: &Run<'_>) {
    let axis = usize::from(run.node.params().u8());
    let (Some(from), Some(table)) = (run.node.input(0), run.node.input(1)) else { return };
    let [_, size, inner] = parts(&from.shape, axis, axis);
    let (count, taps) = (table.shape.dim(0), table.shape.dim(1));
    let (positions, weights) = (run.input::<i32>(1), run.input::<f32>(2));
    let input = run.input::<f32>(0);
    for (row, cells) in run.output::<f32>(0).chunks_exact(inner.max(1)).enumerate() {
        let (o, j) = (row / count.max(1), row % count.max(1));
        cells.iter().for_each(|cell| cell.set(0.0));
        for k in j * taps..(j + 1) * taps {
            let weight = weights.get(k);
            // A damaged table must not reach outside.
            let Some(at) = usize::try_from(positions.get(k)).ok().filter(|&at| at < size) else {
                continue;
            };
            let start = (o * size + at) * inner;
            for (i, cell) in cells.iter().enumerate() {
                cell.set(cell.get() + weight * input.get(start + i));
            }
        }
    }
}

fn run_integer<T: Integer>(run: &Run<'_>) {
    let axis = usize::from(run.node.params().u8());
    let (Some(from), Some(table)) = (run.node.input(0), run.node.input(1)) else { return };
    let [_, size, inner] = parts(&from.shape, axis, axis);
    let (count, taps) = (table.shape.dim(0), table.shape.dim(1));
    let (positions, weights) = (run.input::<i32>(1), run.input::<i16>(2));
    let (low, high) = (T::SMALLEST, -1 - T::SMALLEST);
    let input = run.input::<T>(0);
    for (row, cells) in run.output::<T>(0).chunks_exact(inner.max(1)).enumerate() {
        let (o, j) = (row / count.max(1), row % count.max(1));
        for (i, cell) in cells.iter().enumerate() {
            let product = |k: usize| {
                // A damaged table must not reach outside.
                let at = usize::try_from(positions.get(k)).ok().filter(|&at| at < size);
                let value = at.map_or(0, |at| input.get((o * size + at) * inner + i).into());
                i32::from(weights.get(k)) * value
            };
            let sum = (j * taps..(j + 1) * taps).fold(0, |sum: i32, k| sum.wrapping_add(product(k)));
            let rounded = rounding_divide_by_power_of_two(sum, PLACES.into());
            cell.set(T::from_clamped(rounded.clamp(low, high)));
        }
    }
}

#[cfg(feature = "host")]
pub use host::Resample;
#[cfg(feature = "host")]
pub(crate) use host::fixed_weights;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::Rounding;
    use format::{DType, ParamsWriter, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// Real weights `[J, K]` as int16 ones; what rounding leaves of a row's sum goes to its largest.
    pub(crate) fn fixed_weights(weights: &Operand<'_>) -> Result<LoweredOperand, String> {
        let reals = weights.data.ok_or("the weights must be constant")?.f32()?;
        let unit = f32::from(1i16 << super::PLACES);
        let mut bytes = Vec::new();
        for row in reals.chunks(weights.shape.last().max(1)) {
            let mut fixed: Vec<i64> = row.iter().map(|w| (w * unit).round() as i64).collect();
            let rest = (unit as i64).saturating_sub(fixed.iter().sum());
            // The first of equals.
            if let Some(largest) = fixed.iter_mut().rev().max_by_key(|weight| **weight) {
                *largest = largest.saturating_add(rest);
            }
            for weight in fixed {
                let weight = i16::try_from(weight).map_err(|_| "a weight is too large")?;
                bytes.extend(weight.to_le_bytes());
            }
        }
        Ok(LoweredOperand::Constant { dtype: DType::I16, shape: weights.shape, bytes })
    }

    /// Attributes of an interpolation.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Resample {
        /// The axis along which elements are mixed.
        pub axis: usize,
    }

    impl Operator for Resample {
        fn name(&self) -> &'static str {
            "resample"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let (input, positions) = (required(inputs, 0)?, required(inputs, 1)?);
            let mut dims = input.shape.dims().to_vec();
            let axis = self.axis;
            let size = dims.get_mut(axis).ok_or_else(|| std::format!("there is no axis {axis}"))?;
            *size = positions.shape.dim(0) as u32;
            Ok(std::vec![(input.dtype, Shape::new(&dims).ok_or("too many dimensions")?)])
        }

        fn macs(&self, inputs: &[Option<Operand<'_>>], outputs: &[Operand<'_>]) -> u64 {
            let taps = required(inputs, 1).map_or(0, |positions| positions.shape.last());
            outputs.iter().map(|output| output.shape.elements() as u64).sum::<u64>() * taps as u64
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            let (input, output) = (required(inputs, 0)?, outputs.first().ok_or("no output")?);
            let mut operands: Vec<LoweredOperand> = (0..3).map(LoweredOperand::Input).collect();
            let code = match input.dtype {
                DType::F32 => super::F32.code,
                DType::I8 | DType::I16 if input.quantization == output.quantization => {
                    operands[2] = fixed_weights(required(inputs, 2)?)?;
                    if input.dtype == DType::I16 { super::I16.code } else { super::I8.code }
                }
                DType::I8 | DType::I16 => return Err("an interpolation keeps scale and zero point".into()),
                other => return Err(std::format!("there is no interpolation of {other}")),
            };
            let mut params = ParamsWriter::default();
            params.u8(self.axis as u8);
            Ok(Lowered { code, operands, params: params.finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::Resample;
    use crate::host::{Data, Quantization, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    #[test]
    fn columns_are_mixed_as_tables_say() {
        let tensor = |dims: &[u32], data| {
            Some((Tensor { shape: Shape::new(dims).unwrap(), data }, None))
        };
        let inputs = [
            tensor(&[2, 2], Data::F32(vec![1.0, 3.0, 10.0, 20.0])),
            tensor(&[3, 2], Data::I32(vec![0, 0, 0, 1, 1, 1])),
            tensor(&[3, 2], Data::F32(vec![1.0, 0.0, 0.5, 0.5, 0.25, 0.75])),
        ];
        let wide = evaluate(&Resample { axis: 1 }, &inputs, &[], Rounding::High).unwrap();
        assert_eq!(wide[0].shape, Shape::new(&[2, 3]).unwrap());
        assert_eq!(wide[0].data, Data::F32(vec![1.0, 2.0, 3.0, 10.0, 15.0, 20.0]));
    }

    /// Weights of a third are 341, 341 and 342 of 1,024; halves go away from zero.
    #[test]
    fn int8_weights_add_up_to_one() {
        let tensor = |dims: &[u32], data| Tensor { shape: Shape::new(dims).unwrap(), data };
        let scale = || Some(Quantization::per_tensor(0.5, -3));
        let inputs = [
            Some((tensor(&[3], Data::I8(vec![127, 127, -128])), scale())),
            Some((tensor(&[3, 3], Data::I32(vec![0, 0, 1, 0, 1, 2, 1, 2, 2])), None)),
            Some((tensor(&[3, 3], Data::F32(vec![1.0 / 3.0; 9])), None)),
        ];
        let made = evaluate(&Resample { axis: 0 }, &inputs, &[scale()], Rounding::High).unwrap();
        assert_eq!(made[0].data, Data::I8(vec![127, 42, -43]));
        let other = [Some(Quantization::per_tensor(0.25, -3))];
        assert!(evaluate(&Resample { axis: 0 }, &inputs, &other, Rounding::High).is_err());
    }
}
