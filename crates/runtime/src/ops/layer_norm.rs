//! Layer normalization over the last axes: `out = (in - mean) / sqrt(variance + epsilon) * gamma + beta`,
//! where mean and variance are those of all elements behind the axes before.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | input | `[…, N]`, the last axes as one | int8, f32 | per tensor |
//! | gamma, beta | N elements | f32; constant for int8 | – |
//! | output | the input's | as the input | per tensor |
//!
//! int8, with `n = N <= 32,768` integers `q` of a row:
//!
//! 1. `sum` of all `q` and `squares` of their squares, exactly; the zero point cancels.
//! 2. `spread = n * squares - sum^2 + E` is `n^2` times the variance, exactly; `E` is
//!    `epsilon * (n / scale)^2` as a whole number.
//! 3. `root = floor(sqrt(spread * 4^k))`, with `k` such that the radicand has 62 or 63 bits, and
//!    `inverse = floor(2^62 / root)`.
//! 4. An element's deviation `(n * q - sum) * inverse`, rounded to 23 binary places (halves up).
//! 5. That times the channel's `gamma`, plus its `beta`, rounded once to a step of the output (halves
//!    up). `gamma` has up to 24 bits, with one shift for all channels; `beta` has 8 binary places.

use crate::{Op, Run};
use format::{DType, Node, Shape};

/// int8 in, int8 out.
pub static I8: Op = Op::new(61, "layer_norm", check_i8, run_i8);

/// Float in, float out.
pub static F32: Op = Op::new(62, "layer_norm_f32", check_f32, run_f32);

/// The longest row whose int8 sums fit.
pub const LONGEST_ROW: usize = 1 << 15;

/// Binary places of a deviation.
const PLACES: u32 = 23;

/// Binary places of `beta`.
const BETA_PLACES: u32 = 8;

/// The largest shift of `gamma`.
const LARGEST_SHIFT: u8 = 24;

/// Elements of one row.
fn row(shape: &Shape, first: usize) -> usize {
    (first..shape.rank()).map(|axis| shape.dim(axis)).product()
}

fn check(node: &Node<'_>, [activation, factor]: [DType; 2]) -> Option<usize> {
    let (input, output) = (node.input(0)?, node.output(0)?);
    let (gamma, beta) = (node.input(1)?, node.input(2)?);
    let first = usize::from(node.params().u8());
    let size = row(&input.shape, first);
    let types = [input.dtype, output.dtype] == [activation; 2] && [gamma.dtype, beta.dtype] == [factor; 2];
    let sizes = gamma.shape.elements() == size && beta.shape.elements() == size;
    let fits = first < input.shape.rank() && size > 0 && input.shape == output.shape;
    (types && sizes && fits).then_some(size)
}

fn check_f32(node: &Node<'_>) -> Option<()> {
    check(node, [DType::F32; 2]).map(|_| ())
}

fn check_i8(node: &Node<'_>) -> Option<()> {
    let size = check(node, [DType::I8, DType::I32])?;
    let mut params = node.params();
    params.u8();
    (size <= LONGEST_ROW && params.u8() <= LARGEST_SHIFT).then_some(())
}

fn run_i8(run: &Run<'_>) {
    let mut params = run.node.params();
    let (first, shift) = (usize::from(params.u8()), u32::from(params.u8()));
    params.u16();
    let epsilon = u64::from(params.u32()) | u64::from(params.u32()) << 32;
    let (Some(from), Some(to)) = (run.node.input(0), run.node.output(0)) else { return };
    let size = row(&from.shape, first).max(1);
    let (input, output) = (run.input::<i8>(0), run.output::<i8>(0));
    let (gamma, beta) = (run.input::<i32>(1), run.input::<i32>(2));
    let places = PLACES + shift;
    for (index, cells) in output.chunks_exact(size).enumerate() {
        let values = input.part(index * size, size);
        let (mut sum, mut squares) = (0i64, 0i64);
        for i in 0..size {
            let value = i64::from(values.get(i));
            sum += value;
            squares += value * value;
        }
        let spread = (size as i64 * squares - sum * sum) as u64;
        let (inverse, k) = inverse_root(spread.saturating_add(epsilon));
        let right = 62 - PLACES - k;
        for (i, cell) in cells.iter().enumerate() {
            let deviation = (size as i64 * i64::from(values.get(i)) - sum) * inverse;
            let normal = (deviation + (1 << (right - 1))) >> right;
            // In a damaged file these may be anything.
            let scaled = normal.wrapping_mul(gamma.get(i).into());
            let offset = i64::from(beta.get(i)).wrapping_shl(places - BETA_PLACES);
            let rounded = scaled.wrapping_add(offset).wrapping_add(1 << (places - 1)) >> places;
            cell.set(rounded.saturating_add(to.zero_point.into()).clamp(-128, 127) as i8);
        }
    }
}

/// `inverse` and `k` such that `inverse / 2^(62 - k)` is `1 / sqrt(radicand)`, just below it.
fn inverse_root(radicand: u64) -> (i64, u32) {
    let radicand = radicand.clamp(1, (1 << 62) - 1);
    let k = (radicand.leading_zeros() - 1) / 2;
    let root = (radicand << (2 * k)).isqrt().max(1);
    (((1u64 << 62) / root) as i64, k)
}

fn run_f32(run: &Run<'_>) {
    let mut params = run.node.params();
    let first = usize::from(params.u8());
    params.u8();
    params.u16();
    let epsilon = params.f32();
    let Some(from) = run.node.input(0) else { return };
    let size = row(&from.shape, first).max(1);
    let (input, output) = (run.input::<f32>(0), run.output::<f32>(0));
    let (gamma, beta) = (run.input::<f32>(1), run.input::<f32>(2));
    for (index, cells) in output.chunks_exact(size).enumerate() {
        let values = input.part(index * size, size);
        let mean = (0..size).map(|i| values.get(i)).sum::<f32>() / size as f32;
        let square = |i: usize| (values.get(i) - mean) * (values.get(i) - mean);
        let variance = (0..size).map(square).sum::<f32>() / size as f32;
        let inverse = 1.0 / libm::sqrtf(variance + epsilon);
        for (i, cell) in cells.iter().enumerate() {
            cell.set((values.get(i) - mean) * inverse * gamma.get(i) + beta.get(i));
        }
    }
}

#[cfg(feature = "host")]
pub use host::LayerNorm;

#[cfg(feature = "host")]
mod host {
    use super::{BETA_PLACES, LARGEST_SHIFT, LONGEST_ROW, row};
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::Rounding;
    use format::{DType, ParamsWriter, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// Attributes of a layer normalization.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct LayerNorm {
        /// The first of the axes that are normalized; they go to the last one.
        pub first: usize,
        /// Added to the variance.
        pub epsilon: f32,
    }

    impl Operator for LayerNorm {
        fn name(&self) -> &'static str {
            "layer_norm"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let input = required(inputs, 0)?;
            if self.first >= input.shape.rank() {
                return Err(std::format!("there is no axis {} in {}", self.first, input.shape));
            }
            let size = row(&input.shape, self.first);
            for index in [1, 2] {
                let factors = required(inputs, index)?.shape;
                if factors.elements() != size {
                    return Err(std::format!("{factors} does not fit rows of {size}"));
                }
            }
            Ok(std::vec![(input.dtype, input.shape)])
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            let (input, output) = (required(inputs, 0)?, outputs.first().ok_or("no output")?);
            let mut params = ParamsWriter::default();
            match (input.dtype, output.dtype) {
                (DType::F32, DType::F32) => {
                    params.u8(self.first as u8).u8(0).u16(0).f32(self.epsilon);
                    let operands = (0..3).map(LoweredOperand::Input).collect();
                    Ok(Lowered { code: super::F32.code, operands, params: params.finish() })
                }
                (DType::I8, DType::I8) => self.lower_i8(input, inputs, output),
                (from, to) => Err(std::format!("there is no layer_norm from {from} to {to}")),
            }
        }
    }

    impl LayerNorm {
        fn lower_i8(
            &self,
            input: &Operand<'_>,
            inputs: &[Option<Operand<'_>>],
            output: &Operand<'_>,
        ) -> Result<Lowered, String> {
            let size = row(&input.shape, self.first);
            if size > LONGEST_ROW {
                return Err(std::format!("rows of {size} are longer than {LONGEST_ROW}"));
            }
            let (step, scale) = (f64::from(output.affine()?.0), f64::from(input.affine()?.0));
            let reals = |index: usize| -> Result<Vec<f64>, String> {
                let data = required(inputs, index)?.data.ok_or("gamma and beta must be constant")?;
                Ok(data.f32()?.iter().map(|&real| f64::from(real) / step).collect())
            };
            let (gamma, beta) = (reals(1)?, reals(2)?);
            let largest = gamma.iter().fold(0.0, |m: f64, g| m.max(g.abs()));
            let room = f64::from(1 << 24);
            let fits = |&shift: &u8| largest * 2f64.powi(shift.into()) < room;
            let shift = (0..=LARGEST_SHIFT).rev().find(fits).ok_or("gamma is too large")?;
            let unit = f64::from(1 << BETA_PLACES);
            if beta.iter().any(|b| b.is_nan() || b.abs() * unit >= f64::from(1 << 23)) {
                return Err("beta is too large for the output's scale".into());
            }
            let rows = size as f64 / scale;
            let epsilon = (f64::from(self.epsilon) * rows * rows).round().clamp(0.0, 2f64.powi(61)) as u64;
            let factor = 2f64.powi(shift.into());
            let operands = std::vec![
                LoweredOperand::Input(0),
                constant(gamma.iter().map(|g| (g * factor).round() as i32))?,
                constant(beta.iter().map(|b| (b * unit).round() as i32))?,
            ];
            let mut params = ParamsWriter::default();
            params.u8(self.first as u8).u8(shift).u16(0);
            params.u32(epsilon as u32).u32((epsilon >> 32) as u32);
            Ok(Lowered { code: super::I8.code, operands, params: params.finish() })
        }
    }

    fn constant(values: impl Iterator<Item = i32>) -> Result<LoweredOperand, String> {
        let bytes: Vec<u8> = values.flat_map(i32::to_le_bytes).collect();
        let shape = Shape::new(&[(bytes.len() / 4) as u32]).ok_or("too many dimensions")?;
        Ok(LoweredOperand::Constant { dtype: DType::I32, shape, bytes })
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::{LayerNorm, inverse_root};
    use crate::host::{Data, Quantization, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    fn tensor(dims: &[u32], data: Data) -> Tensor {
        Tensor { shape: Shape::new(dims).unwrap(), data }
    }

    /// 1 and 3 are one deviation from their mean of 2.
    #[test]
    fn float_rows_get_mean_0_and_deviation_1() {
        let inputs = [
            Some((tensor(&[2, 2], Data::F32(vec![1.0, 3.0, 10.0, 10.0])), None)),
            Some((tensor(&[2], Data::F32(vec![2.0, 2.0])), None)),
            Some((tensor(&[2], Data::F32(vec![0.5, 0.5])), None)),
        ];
        let norm = LayerNorm { first: 1, epsilon: 0.0 };
        let outputs = evaluate(&norm, &inputs, &[], Rounding::High).unwrap();
        let Data::F32(values) = &outputs[0].data else { panic!("floats stay floats") };
        assert_eq!(values[..2], [-1.5, 2.5]);
        let norm = LayerNorm { first: 2, ..norm };
        assert!(evaluate(&norm, &inputs, &[], Rounding::High).is_err());
    }

    #[test]
    fn inverse_roots_are_close_below() {
        for radicand in [0u64, 1, 2, 3, 4, 1000, 123_456_789, 1 << 44, (1 << 62) - 1, u64::MAX] {
            let (inverse, k) = inverse_root(radicand);
            let exact = 1.0 / (radicand.clamp(1, (1 << 62) - 1) as f64).sqrt();
            let got = inverse as f64 / 2f64.powi(62 - k as i32);
            assert!((got / exact - 1.0).abs() < 2e-9, "{radicand}: {got} for {exact}");
        }
    }

    proptest! {
        /// Within half a step of the real result, but for the rounding of factors.
        #[test]
        fn int8_rows_are_the_rounded_real_ones(
            rows in prop::collection::vec(any::<i8>(), 1..80),
            factors in prop::collection::vec((-3.0f32..3.0, -2.0f32..2.0), 80),
            scale in 0.001f32..0.5,
            zero in -128i32..128,
            to in (0.01f32..0.1, -128i32..128),
            repeat: bool,
        ) {
            let size = rows.len();
            let values: Vec<i8> = match repeat {
                true => [&rows[..], &rows.iter().map(|v| v / 4).collect::<Vec<_>>()].concat(),
                false => rows,
            };
            let (gamma, beta): (Vec<f32>, Vec<f32>) = factors[..size].iter().copied().unzip();
            let dims = [(values.len() / size) as u32, size as u32];
            let input = tensor(&dims, Data::I8(values.clone()));
            let inputs = [
                Some((input, Some(Quantization::per_tensor(scale, zero)))),
                Some((tensor(&[size as u32], Data::F32(gamma.clone())), None)),
                Some((tensor(&[size as u32], Data::F32(beta.clone())), None)),
            ];
            let output = [Some(Quantization::per_tensor(to.0, to.1))];
            let norm = LayerNorm { first: 1, epsilon: 1e-5 };
            let made = evaluate(&norm, &inputs, &output, Rounding::High).unwrap().remove(0);
            let Data::I8(made) = made.data else { panic!("int8 stays int8") };
            for (row, got) in values.chunks(size).zip(made.chunks(size)) {
                let real = |q: i8| f64::from(i32::from(q) - zero) * f64::from(scale);
                let mean = row.iter().map(|&q| real(q)).sum::<f64>() / size as f64;
                let variance = row.iter().map(|&q| (real(q) - mean).powi(2)).sum::<f64>() / size as f64;
                for (i, &q) in row.iter().enumerate() {
                    let normal = (real(q) - mean) / (variance + f64::from(1e-5f32)).sqrt();
                    let exact = normal * f64::from(gamma[i]) + f64::from(beta[i]);
                    let exact = (exact / f64::from(to.0) + f64::from(to.1)).clamp(-128.0, 127.0);
                    // E is a whole number: it counts where rows hardly vary.
                    let size = size as f64;
                    let unit = size * size * (variance + 1e-5) / f64::from(scale).powi(2);
                    let slack = 0.51 + normal.abs() * 3.0 / f64::from(to.0) / unit.max(1.0);
                    prop_assert!((f64::from(got[i]) - exact).abs() <= slack, "{} {exact}", got[i]);
                }
            }
        }
    }
}
