//! Layer normalization over the last axes: `out = (in - mean) / sqrt(variance + epsilon) * gamma + beta`,
//! where mean and variance are those of all elements behind the axes before.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | input | `[…, N]`, the last axes as one | int8, int16, f32 | per tensor |
//! | gamma, beta | N elements | f32; constant for integers | – |
//! | output | the input's | as the input | per tensor |
//!
//! int8 and int16, with `n = N <= 32,768` integers `q` of a row:
//!
//! 1. `sum` of all `q` and `squares` of their squares, exactly; the zero point cancels.
//! 2. `spread = n * squares - sum^2 + E` is `n^2` times the variance, exactly; `E` is
//!    `epsilon * (n / scale)^2` as a whole number.
//! 3. `root = floor(sqrt(spread * 4^k))`, with `k` such that the radicand has 62 or 63 bits, and
//!    `inverse = floor(2^62 / root)`, without its last 7 bits for int16.
//! 4. An element's deviation `(n * q - sum) * inverse`, rounded to 23 binary places (halves up).
//! 5. That times the channel's `gamma`, plus its `beta`, rounded once to a step of the output (halves
//!    up). `gamma` has up to 24 bits, with one shift for all channels; `beta` has 8 binary places.

use crate::{Op, Run};
use format::{DType, Node, Shape};
use kernels::Integer;

/// int8 in, int8 out.
pub static I8: Op = Op::new(61, "layer_norm", |node| check_integer(node, DType::I8), run_i8);

/// int16 in, int16 out.
pub static I16: Op = Op::new(145, "layer_norm_i16", |node| check_integer(node, DType::I16), run_i16);

/// Float in, float out.
pub static F32: Op = Op::new(62, "layer_norm_f32", check_f32, run_f32);

/// The longest row whose sums fit.
pub const LONGEST_ROW: usize = 1 << 15;

/// Binary places of a deviation.
const PLACES: u32 = 23;

/// Binary places of `beta`.
pub const BETA_PLACES: u32 = 8;

/// The largest shift of `gamma`.
const LARGEST_SHIFT: u8 = 24;

/// Bits that the inverse of an int16 row's root gives up, so that deviations times it fit 64 bits.
const DROPPED_I16: u32 = 7;

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

fn check_integer(node: &Node<'_>, dtype: DType) -> Option<()> {
    let size = check(node, [dtype, DType::I32])?;
    let mut params = node.params();
    params.u8();
    (size <= LONGEST_ROW && params.u8() <= LARGEST_SHIFT).then_some(())
}

fn run_i8(run: &Run<'_>) {
    run_integer::<i8>(run, 0);
}

fn run_i16(run: &Run<'_>) {
    run_integer::<i16>(run, DROPPED_I16);
}

fn run_integer<T: Integer>(run: &Run<'_>, dropped: u32) {
    let mut params = run.node.params();
    let (first, shift) = (usize::from(params.u8()), u32::from(params.u8()));
    params.u16();
    let epsilon = u64::from(params.u32()) | u64::from(params.u32()) << 32;
    let (Some(from), Some(to)) = (run.node.input(0), run.node.output(0)) else { return };
    let size = row(&from.shape, first).max(1);
    let (input, output) = (run.input::<T>(0), run.output::<T>(0));
    let (gamma, beta) = (run.input::<i32>(1), run.input::<i32>(2));
    let (places, low) = (PLACES + shift, i64::from(T::SMALLEST));
    let integer = |value: T| -> i64 { Into::<i32>::into(value).into() };
    for (index, cells) in output.chunks_exact(size).enumerate() {
        let values = input.part(index * size, size);
        let (mut sum, mut squares) = (0i64, 0i64);
        for i in 0..size {
            let value = integer(values.get(i));
            sum += value;
            squares += value * value;
        }
        let spread = (size as i64 * squares - sum * sum) as u64;
        let (inverse, k) = inverse_root(spread.saturating_add(epsilon));
        let inverse = inverse >> dropped;
        let right = 62 - PLACES - dropped - k;
        for (i, cell) in cells.iter().enumerate() {
            let deviation = (size as i64 * integer(values.get(i)) - sum) * inverse;
            let normal = (deviation + (1 << (right - 1))) >> right;
            // In a damaged file these may be anything.
            let scaled = normal.wrapping_mul(gamma.get(i).into());
            let offset = i64::from(beta.get(i)).wrapping_shl(places - BETA_PLACES);
            let rounded = scaled.wrapping_add(offset).wrapping_add(1 << (places - 1)) >> places;
            let moved = rounded.saturating_add(to.zero_point.into());
            cell.set(T::from_clamped(moved.clamp(low, -1 - low) as i32));
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
                (DType::I8, DType::I8) => self.lower_integer(super::I8.code, inputs, output),
                (DType::I16, DType::I16) => self.lower_integer(super::I16.code, inputs, output),
                (from, to) => Err(std::format!("there is no layer_norm from {from} to {to}")),
            }
        }
    }

    impl LayerNorm {
        fn lower_integer(
            &self,
            code: u16,
            inputs: &[Option<Operand<'_>>],
            output: &Operand<'_>,
        ) -> Result<Lowered, String> {
            let input = required(inputs, 0)?;
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
            Ok(Lowered { code, operands, params: params.finish() })
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
    use super::{LONGEST_ROW, LayerNorm, inverse_root};
    use crate::host::{Data, Quantization, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    /// Rows of integers of one type through the operator, and what real numbers give in steps of the output.
    fn both(
        values: &[i32],
        (data, low): (Data, f64),
        (gamma, beta): (&[f32], &[f32]),
        [from, to]: [(f32, i32); 2],
    ) -> (Data, Vec<[f64; 2]>) {
        let size = gamma.len();
        let dims = [(values.len() / size) as u32, size as u32];
        let factors = |values: &[f32]| Some((tensor(&[size as u32], Data::F32(values.to_vec())), None));
        let input = Some((tensor(&dims, data), Some(Quantization::per_tensor(from.0, from.1))));
        let inputs = [input, factors(gamma), factors(beta)];
        let output = [Some(Quantization::per_tensor(to.0, to.1))];
        let norm = LayerNorm { first: 1, epsilon: 1e-5 };
        let made = evaluate(&norm, &inputs, &output, Rounding::High).unwrap().remove(0);
        let real = |q: i32| f64::from(q - from.1) * f64::from(from.0);
        let mut exact = Vec::new();
        for row in values.chunks(size) {
            let mean = row.iter().map(|&q| real(q)).sum::<f64>() / size as f64;
            let variance = row.iter().map(|&q| (real(q) - mean).powi(2)).sum::<f64>() / size as f64;
            for (i, &q) in row.iter().enumerate() {
                let normal = (real(q) - mean) / (variance + f64::from(1e-5f32)).sqrt();
                let value = normal * f64::from(gamma[i]) + f64::from(beta[i]);
                let value = (value / f64::from(to.0) + f64::from(to.1)).clamp(low, -1.0 - low);
                // E is a whole number: it counts where rows hardly vary.
                let unit = (size * size) as f64 * (variance + 1e-5) / f64::from(from.0).powi(2);
                let slack = 0.51 + normal.abs() * 3.0 / f64::from(to.0) / unit.max(1.0);
                exact.push([value, slack]);
            }
        }
        (made.data, exact)
    }

    /// The longest row, and the deviations that are largest: all sums fit.
    #[test]
    fn int16_rows_of_any_length_fit() {
        for size in [1usize, 2, 3, 1000, LONGEST_ROW] {
            let (gamma, beta) = (vec![1.0; size], vec![0.25; size]);
            let mut one = vec![-32_768; size];
            one[size - 1] = 32_767;
            let halves: Vec<i32> = (0..size).map(|i| if i % 2 == 0 { 32_767 } else { -32_768 }).collect();
            let flat: Vec<i32> = (0..size).map(|i| i32::from(i == 0)).collect();
            for values in [one, halves, flat] {
                let data = Data::I16(values.iter().map(|&v| v as i16).collect());
                let step = (size as f32).sqrt().max(2.0) / 16_384.0;
                let steps = [(0.001, 0), (step, 0)];
                let (made, exact) = both(&values, (data, -32_768.0), (&gamma, &beta), steps);
                let Data::I16(made) = made else { panic!("int16 stays int16") };
                for (got, [exact, slack]) in made.iter().zip(exact) {
                    assert!((f64::from(*got) - exact).abs() <= slack, "{size}: {got} {exact}");
                }
            }
        }
    }

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
            let wide: Vec<i32> = values.iter().map(|&v| v.into()).collect();
            let data = (Data::I8(values), -128.0);
            let (made, exact) = both(&wide, data, (&gamma, &beta), [(scale, zero), to]);
            let Data::I8(made) = made else { panic!("int8 stays int8") };
            for (got, [exact, slack]) in made.iter().zip(exact) {
                prop_assert!((f64::from(*got) - exact).abs() <= slack, "{got} {exact}");
            }
        }

        /// As those of int8, in finer steps.
        #[test]
        fn int16_rows_are_the_rounded_real_ones(
            rows in prop::collection::vec(any::<i16>(), 1..80),
            factors in prop::collection::vec((-3.0f32..3.0, -2.0f32..2.0), 80),
            scale in 0.00001f32..0.01,
            step in 0.0001f32..0.001,
        ) {
            let (gamma, beta): (Vec<f32>, Vec<f32>) = factors[..rows.len()].iter().copied().unzip();
            let wide: Vec<i32> = rows.iter().map(|&v| v.into()).collect();
            let data = (Data::I16(rows), -32_768.0);
            let (made, exact) = both(&wide, data, (&gamma, &beta), [(scale, 0), (step, 0)]);
            let Data::I16(made) = made else { panic!("int16 stays int16") };
            for (got, [exact, slack]) in made.iter().zip(exact) {
                prop_assert!((f64::from(*got) - exact).abs() <= slack, "{got} {exact}");
            }
        }
    }
}
