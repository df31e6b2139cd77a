//! Mean of each window over the elements inside the image.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | input | `[N, H, W, C]` | int8, int16, f32 | per tensor |
//! | output | `[N, OH, OW, C]` | as the input | the input's, or its own |
//!
//! int8: the sum divided by the count, halves away from zero or as asked for: up, as means of unsigned
//! bytes are rounded; to even numbers of steps from the zero point; or where floats would go, as files say
//! that take the mean of real numbers and quantize it. Without padding the output may
//! have a scale of its own, as a mean has a smaller range than its parts: the sum is then
//! requantized with one 31-bit multiplier (single rounding). f32 can count padding as zeros
//! instead (`count_include_pad`).

use super::window;
use crate::{Op, Run};
use format::fixed::requantize_single;
use format::{DType, Node, Params};
use kernels::i8::WINDOW_SUMS;
use kernels::memory::In;
use kernels::{Geometry, Integer, PoolInteger, Taps};

/// int8 in, int8 out.
pub static I8: Op = Op::new(5, "average_pool_2d", |node| check(node, DType::I8), run_i8);

/// int16 in, int16 out.
pub static I16: Op =
    Op::new(132, "average_pool_2d_i16", |node| check(node, DType::I16), run_i16);

/// Float in, float out.
pub static F32: Op = Op::new(6, "average_pool_2d_f32", |node| check(node, DType::F32), run_f32);

/// int8 in, int8 out with a scale of its own; no padding.
pub static SCALED_I8: Op =
    Op::new(18, "average_pool_2d_scaled", |node| check(node, DType::I8), run_scaled);

/// int16 in, int16 out with a scale of its own; no padding.
pub static SCALED_I16: Op = Op::new(
    141,
    "average_pool_2d_scaled_i16",
    |node| check(node, DType::I16),
    run_scaled_i16,
);

/// int8 in, int8 out; halves go up.
pub static UP_I8: Op =
    Op::new(142, "average_pool_2d_up", |node| check(node, DType::I8), run_up);

/// int8 in, int8 out; halves go to even numbers of steps from the zero point.
pub static EVEN_I8: Op =
    Op::new(155, "average_pool_2d_even", |node| check(node, DType::I8), run_even);

/// int8 in, int8 out; halves go where the mean of real numbers goes in single precision.
pub static REAL_I8: Op =
    Op::new(156, "average_pool_2d_real", |node| check(node, DType::I8), run_real);

fn run_up(run: &Run<'_>) {
    run_divided(run, |mean| (mean.sum + mean.count() / 2).div_euclid(mean.count()));
}

fn run_even(run: &Run<'_>) {
    let zero_point = run.node.input(0).map_or(0, |tensor| tensor.zero_point);
    run_divided(run, |mean| {
        let (up, is_half) = mean.rounded_up(zero_point);
        up - (i32::from(is_half) & up & 1) + zero_point
    });
}

fn run_real(run: &Run<'_>) {
    let Some(from) = run.node.input(0) else { return };
    let (scale, zero_point) = (from.scale, from.zero_point);
    run_divided(run, |mean| {
        let (up, is_half) = mean.rounded_up(zero_point);
        if !is_half {
            return up + zero_point;
        }
        // Sums of floats are a little off, and that decides. They are the same everywhere: one addition
        // after the other, in the window's order.
        let sum = mean.taps.fold(mean.image, mean.channel, 0.0, |sum, element| {
            sum + (element - zero_point) as f32 * scale
        });
        let (steps, half) = (sum / mean.count() as f32 / scale, up as f32 - 0.5);
        let is_down = if steps == half { up & 1 == 1 } else { steps < half };
        up - i32::from(is_down) + zero_point
    });
}

/// A window of int8, and the sum of its elements.
struct Mean<'a> {
    image: &'a In<'a, i8>,
    taps: &'a Taps<'a>,
    channel: usize,
    sum: i32,
}

impl Mean<'_> {
    /// Elements of the window; 1 for one that lies in the padding alone.
    fn count(&self) -> i32 {
        self.taps.count().max(1) as i32
    }

    /// The mean's distance from the zero point, rounded, halves up, and whether it was half way.
    fn rounded_up(&self, zero_point: i32) -> (i32, bool) {
        let count = self.count();
        let twice = 2 * (self.sum - count * zero_point) + count;
        let up = twice.div_euclid(2 * count);
        (up, up * 2 * count == twice)
    }
}

/// Runs a pool without a scale of its own whose means are rounded by `round`.
fn run_divided(run: &Run<'_>, round: impl Fn(&Mean<'_>) -> i32) {
    let mut params = run.node.params();
    let Some(geometry) = window::geometry(&run.node, window::decode(&mut params), 1) else {
        return;
    };
    let [low, high] = super::limits_i8(&mut params).map(i32::from);
    let (input, output) = (run.input::<i8>(0), run.output::<i8>(0));
    let [_, columns, channels] = geometry.output.map(|size| size.max(1));
    for (start, length, range) in images(&run.node, &geometry) {
        let (image, cells) = (input.part(start, length), output.get(range).unwrap_or(&[]));
        for (at, pixel) in cells.chunks(channels).enumerate() {
            let at = [at / columns, at % columns];
            let taps = &kernels::pool_taps(&geometry, at[0], at[1]);
            for (block, cells) in pixel.chunks(WINDOW_SUMS).enumerate() {
                let sums = kernels::i8::window_sums(&geometry, &image, at, block * WINDOW_SUMS);
                for (i, (cell, sum)) in cells.iter().zip(sums).enumerate() {
                    let mean = Mean { image: &image, taps, channel: block * 8 + i, sum };
                    cell.set(round(&mean).clamp(low, high) as i8);
                }
            }
        }
    }
}

fn run_scaled_i16(run: &Run<'_>) {
    let mut params = run.node.params();
    let Some(geometry) = window::geometry(&run.node, window::decode(&mut params), 1) else {
        return;
    };
    let (multiplier, shift) = (params.i32(), params.i32().clamp(-31, 30));
    let [low, high] = super::limits_i16(&mut params).map(i32::from);
    let (input, output) = (run.input::<i16>(0), run.output::<i16>(0));
    let [_, columns, channels] = geometry.output.map(|size| size.max(1));
    for (start, length, range) in images(&run.node, &geometry) {
        let (image, cells) = (input.part(start, length), output.get(range).unwrap_or(&[]));
        for (i, cell) in cells.iter().enumerate() {
            let (pixel, channel) = (i / channels, i % channels);
            let taps = kernels::pool_taps(&geometry, pixel / columns, pixel % columns);
            let scaled = requantize_single(taps.sum(&image, channel), multiplier, shift);
            cell.set(scaled.clamp(low, high) as i16);
        }
    }
}

fn run_scaled(run: &Run<'_>) {
    let mut params = run.node.params();
    let Some(geometry) = window::geometry(&run.node, window::decode(&mut params), 1) else {
        return;
    };
    let (multiplier, shift) = (params.i32(), params.i32().clamp(-31, 30));
    let low = i32::from(params.i16());
    let high = i32::from(params.i16()).max(low);
    let (Some(from), Some(to)) = (run.node.input(0), run.node.output(0)) else { return };
    let (input, output) = (run.input::<i8>(0), run.output::<i8>(0));
    let [rows, columns, channels] = geometry.output;
    for (start, length, range) in images(&run.node, &geometry) {
        let (image, cells) = (input.part(start, length), output.get(range).unwrap_or(&[]));
        for at in 0..rows * columns {
            let (start, at) = (at * channels, [at / columns, at % columns]);
            let taps = kernels::pool_taps(&geometry, at[0], at[1]).count();
            let offset = taps as i32 * from.zero_point;
            let pixel = cells.get(start..start + channels).unwrap_or(&[]);
            for (block, cells) in pixel.chunks(WINDOW_SUMS).enumerate() {
                let sums = kernels::i8::window_sums(&geometry, &image, at, block * WINDOW_SUMS);
                for (cell, sum) in cells.iter().zip(sums) {
                    let scaled = requantize_single(sum - offset, multiplier, shift);
                    cell.set(scaled.saturating_add(to.zero_point).clamp(low, high) as i8);
                }
            }
        }
    }
}

pub(crate) fn check(node: &Node<'_>, dtype: DType) -> Option<()> {
    let geometry = geometry(node)?;
    window::check(node, &geometry)?;
    let types = node.input(0)?.dtype == dtype && node.output(0)?.dtype == dtype;
    // 2^16 * 128 stays far below 2^31, as 2^15 * 2^15 does.
    let most = if dtype == DType::I16 { 1 << 15 } else { 1 << 16 };
    let small = geometry.window.kernel[0].checked_mul(geometry.window.kernel[1])? <= most;
    (types && small && geometry.input[2] == geometry.output[2]).then_some(())
}

pub(crate) fn geometry(node: &Node<'_>) -> Option<Geometry> {
    window::geometry(node, window::decode(&mut node.params()), 1)
}

/// The parts of every image in the batch: `(input offset, input elements, output range)`.
pub(crate) fn images(
    node: &Node<'_>,
    geometry: &Geometry,
) -> impl Iterator<Item = (usize, usize, core::ops::Range<usize>)> + use<> {
    let input: usize = geometry.input.iter().product();
    let output: usize = geometry.output.iter().product();
    let batches = node.input(0).map_or(0, |tensor| window::image(&tensor.shape)[0]);
    (0..batches).map(move |b| (b * input, input, b * output..(b + 1) * output))
}

fn run_i8(run: &Run<'_>) {
    run_pool(run, kernels::i8::average_pool_2d, super::limits_i8);
}

fn run_i16(run: &Run<'_>) {
    run_pool(run, kernels::i16::average_pool_2d, super::limits_i16);
}

/// Runs an integer pool over every image.
pub(crate) fn run_pool<T: Integer>(
    run: &Run<'_>,
    pool: fn(&PoolInteger<'_, T>),
    limits: fn(&mut Params<'_>) -> [T; 2],
) {
    let mut params = run.node.params();
    let Some(geometry) = window::geometry(&run.node, window::decode(&mut params), 1) else {
        return;
    };
    let limits = limits(&mut params);
    let (input, output) = (run.input::<T>(0), run.output::<T>(0));
    for (start, length, range) in images(&run.node, &geometry) {
        let output = output.get(range).unwrap_or(&[]);
        pool(&PoolInteger { geometry, input: input.part(start, length), output, limits });
    }
}

fn run_f32(run: &Run<'_>) {
    run_pool_f32(run, 0.0, |sum, value| sum + value, |sum, count| sum / count);
}

/// Runs a float pool over every image: `finish(fold of the window, count)`, then the limits.
pub(crate) fn run_pool_f32(
    run: &Run<'_>,
    first: f32,
    fold: impl Fn(f32, f32) -> f32 + Copy,
    finish: impl Fn(f32, f32) -> f32,
) {
    let mut params = run.node.params();
    let Some(geometry) = window::geometry(&run.node, window::decode(&mut params), 1) else {
        return;
    };
    params.u16();
    let counts_padding = params.u16() != 0;
    let limits = [params.f32(), params.f32()];
    let bottom_right = [usize::from(params.u16()), usize::from(params.u16())];
    let (input, output) = (run.input::<f32>(0), run.output::<f32>(0));
    let [rows, columns, channels] = geometry.output;
    for (start, length, range) in images(&run.node, &geometry) {
        let (image, output) = (input.part(start, length), output.get(range).unwrap_or(&[]));
        for y in 0..rows {
            for x in 0..columns {
                let taps = kernels::pool_taps(&geometry, y, x);
                let count = if counts_padding {
                    kernels::padded_taps(&geometry, bottom_right, y, x)
                } else {
                    taps.count()
                };
                let pixel = (y * columns + x) * channels;
                let output = output.get(pixel..pixel + channels).unwrap_or(&[]);
                for (block, cells) in output.chunks(8).enumerate() {
                    let folded = taps.fold_f32(&image, 8 * block, first, fold);
                    for (cell, folded) in cells.iter().zip(folded) {
                        let value = finish(folded, count as f32);
                        cell.set(value.max(limits[0]).min(limits[1]));
                    }
                }
            }
        }
    }
}

#[cfg(feature = "host")]
pub use host::{AveragePool2d, Halves};

#[cfg(feature = "host")]
pub(crate) mod host {
    use crate::host::{
        Activation, Inferred, Lowered, LoweredOperand, Operand, Operator, activation_limits,
        required,
    };
    use crate::ops::Window2d;
    use format::fixed::{Rounding, quantize_multiplier};
    use format::{DType, ParamsWriter, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// Where halves of int8 means go.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub enum Halves {
        /// Away from the integer zero, as in TensorFlow Lite.
        #[default]
        Away,
        /// Up, as those of unsigned bytes do there.
        Up,
        /// To even numbers of steps from the zero point, as in ONNX Runtime's pool of integers.
        Even,
        /// Where the mean of real numbers in single precision goes, and to even numbers of steps where
        /// that is half way: as dequantized elements are added, divided and quantized.
        Real,
    }

    /// Attributes of an average pool.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct AveragePool2d {
        /// The sliding window.
        pub window: Window2d,
        /// Whether padding counts as zeros.
        pub count_include_pad: bool,
        /// Where halves of int8 means go that have their input's scale.
        pub halves: Halves,
        /// Fused activation.
        pub activation: Activation,
    }

    impl Operator for AveragePool2d {
        fn name(&self) -> &'static str {
            "average_pool_2d"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            infer_pool(&self.window, inputs)
        }

        fn overlap(
            &self,
            index: usize,
            inputs: &[Option<Operand<'_>>],
            output: &Operand<'_>,
        ) -> Option<usize> {
            let input = required(inputs, 0).ok().filter(|_| index == 0)?;
            self.window.overlap(input, output)
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            let padded = self.window.padding != [0; 4];
            let input = required(inputs, 0)?;
            if input.dtype != DType::F32 && self.count_include_pad && padded {
                return Err("count_include_pad with padding has no integer form".into());
            }
            let output = outputs.first().ok_or("there is no output")?;
            let is_integer = input.dtype != DType::F32 && input.dtype == output.dtype;
            let is_up = self.halves == Halves::Up;
            if is_integer && !padded && !is_up && input.affine()? != output.affine()? {
                return self.lower_scaled(input, output);
            }
            let of_bytes = match self.halves {
                Halves::Away => super::I8.code,
                Halves::Up => super::UP_I8.code,
                Halves::Even => super::EVEN_I8.code,
                Halves::Real => super::REAL_I8.code,
            };
            let codes = [of_bytes, super::I16.code, super::F32.code];
            lower_pool(&self.window, input, outputs, self.activation, self.count_include_pad, codes)
        }
    }

    impl AveragePool2d {
        /// The mean with a scale of its own.
        fn lower_scaled(
            &self,
            input: &Operand<'_>,
            output: &Operand<'_>,
        ) -> Result<Lowered, String> {
            self.window.fits_u16()?;
            let ((from, _), (to, _)) = (input.affine()?, output.affine()?);
            let count = (self.window.kernel[0] * self.window.kernel[1]) as f64;
            let factor = f64::from(from) / f64::from(to) / count;
            let (multiplier, shift) = quantize_multiplier(factor);
            let [low, high] = activation_limits(self.activation, output)?;
            let mut params = ParamsWriter::default();
            self.window.encode(&mut params);
            params.i32(multiplier).i32(shift).i16(low).i16(high);
            let operands = std::vec![LoweredOperand::Input(0)];
            let is_wide = input.dtype == DType::I16;
            let code = if is_wide { super::SCALED_I16.code } else { super::SCALED_I8.code };
            Ok(Lowered { code, operands, params: params.finish() })
        }
    }

    pub(crate) fn infer_pool(
        window: &Window2d,
        inputs: &[Option<Operand<'_>>],
    ) -> Result<Vec<Inferred>, String> {
        let input = required(inputs, 0)?;
        if input.shape.rank() != 4 {
            return Err("needs an input [N, H, W, C]".into());
        }
        let rows = window.output_size(0, input.shape.dim(1))? as u32;
        let columns = window.output_size(1, input.shape.dim(2))? as u32;
        let dims = [input.shape.dim(0) as u32, rows, columns, input.shape.dim(3) as u32];
        Ok(std::vec![(input.dtype, Shape::new(&dims).ok_or("too many dimensions")?)])
    }

    /// `codes` are those of the int8, the int16 and the float operator.
    pub(crate) fn lower_pool(
        window: &Window2d,
        input: &Operand<'_>,
        outputs: &[Operand<'_>],
        activation: Activation,
        count_include_pad: bool,
        codes: [u16; 3],
    ) -> Result<Lowered, String> {
        let output = outputs.first().ok_or("there is no output")?;
        window.fits_u16()?;
        let mut params = ParamsWriter::default();
        window.encode(&mut params);
        let code = match (input.dtype, output.dtype) {
            (DType::I8, DType::I8) => {
                if input.affine()? != output.affine()? {
                    return Err("an int8 pool keeps its input's scale and zero point".into());
                }
                let [low, high] = activation_limits(activation, output)?;
                params.u8(low as i8 as u8).u8(high as i8 as u8).u16(0);
                codes[0]
            }
            (DType::I16, DType::I16) => {
                if input.affine()? != output.affine()? {
                    return Err("an int16 pool keeps its input's scale".into());
                }
                let [low, high] = activation_limits(activation, output)?;
                params.i16(low).i16(high);
                codes[1]
            }
            (DType::F32, DType::F32) => {
                let [low, high] = activation.limits();
                params.u16(0).u16(u16::from(count_include_pad)).f32(low).f32(high);
                let [_, _, bottom, right] = window.padding;
                params.u16(bottom as u16).u16(right as u16);
                codes[2]
            }
            (from, to) => return Err(std::format!("there is no pool from {from} to {to}")),
        };
        let operands = std::vec![LoweredOperand::Input(0)];
        Ok(Lowered { code, operands, params: params.finish() })
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::{AveragePool2d, Halves};
    use crate::host::{Activation, Data, Quantization, Tensor, evaluate};
    use crate::ops::Window2d;
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    #[test]
    fn padding_counts_only_when_asked() {
        let shape = Shape::new(&[1, 1, 2, 1]).unwrap();
        let input = [Some((Tensor { shape, data: Data::F32(vec![2.0, 4.0]) }, None))];
        let window = Window2d { padding: [0, 1, 0, 0], ..Window2d::dense([1, 2]) };
        for (count_include_pad, first) in [(false, 2.0), (true, 1.0)] {
            let pool =
                AveragePool2d { window, count_include_pad, halves: Halves::Away, activation: Activation::None };
            let outputs = evaluate(&pool, &input, &[], Rounding::High).unwrap();
            assert_eq!(outputs[0].data, Data::F32(vec![first, 3.0]));
        }
    }

    /// Means 1.5 and -1.5 in steps of 0.25 around 10: 16 and 4.
    #[test]
    fn int8_means_may_have_a_finer_scale() {
        let shape = Shape::new(&[1, 1, 4, 1]).unwrap();
        let tensor = Tensor { shape, data: Data::I8(vec![8, 9, 5, 6]) };
        let input = [Some((tensor, Some(Quantization::per_tensor(1.0, 7))))];
        let window = Window2d { stride: [1, 2], ..Window2d::dense([1, 2]) };
        let pool =
            AveragePool2d { window, count_include_pad: false, halves: Halves::Away, activation: Activation::None };
        let output = [Some(Quantization::per_tensor(0.25, 10))];
        let outputs = evaluate(&pool, &input, &output, Rounding::High).unwrap();
        assert_eq!(outputs[0].data, Data::I8(vec![16, 4]));
        // Of int16 around zero: 1.5 and -1.5 are 6 and -6 quarters.
        let tensor = Tensor { shape, data: Data::I16(vec![1, 2, -1, -2]) };
        let input = [Some((tensor, Some(Quantization::per_tensor(1.0, 0))))];
        let output = [Some(Quantization::per_tensor(0.25, 0))];
        let outputs = evaluate(&pool, &input, &output, Rounding::High).unwrap();
        assert_eq!(outputs[0].data, Data::I16(vec![6, -6]));
    }

    /// The means 1.5, -1.5 and 2.5 around 7: 5.5, 8.5 and 4.5 steps below zero.
    #[test]
    fn int8_halves_go_where_they_are_sent() {
        let shape = Shape::new(&[1, 1, 6, 1]).unwrap();
        let q = Some(Quantization::per_tensor(0.1, 7));
        let input = [Some((Tensor { shape, data: Data::I8(vec![1, 2, -1, -2, 2, 3]) }, q.clone()))];
        let window = Window2d { stride: [1, 2], ..Window2d::dense([1, 2]) };
        for (halves, expected) in [
            (Halves::Away, [2, -2, 3]),
            (Halves::Up, [2, -1, 3]),
            (Halves::Even, [1, -1, 3]),
            // 0.1 is not exact in single precision, but sums of two are.
            (Halves::Real, [1, -1, 3]),
        ] {
            let pool = AveragePool2d { window, count_include_pad: false, halves, activation: Activation::None };
            let outputs = evaluate(&pool, &input, core::slice::from_ref(&q), Rounding::High).unwrap();
            assert_eq!(outputs[0].data, Data::I8(expected.to_vec()));
        }
    }

    /// Eight elements whose mean is 0.5: the floats' sum in steps of 0.1 is below 4, and that in steps
    /// of 0.7 above 4 * 0.7, as it happens.
    #[test]
    fn halves_of_reals_follow_their_sums() {
        let shape = Shape::new(&[1, 1, 8, 1]).unwrap();
        let elements = [97, -120, 33, 5, -61, 11, 70, -31];
        let window = Window2d::dense([1, 8]);
        let mean = |halves, scale: f32| {
            let tensor = Tensor { shape, data: Data::I8(elements.to_vec()) };
            let q = Some(Quantization::per_tensor(scale, 0));
            let pool = AveragePool2d { window, count_include_pad: false, halves, activation: Activation::None };
            let outputs = evaluate(&pool, &[Some((tensor, q.clone()))], &[q], Rounding::High).unwrap();
            let sum: f32 = elements.iter().map(|&e| f32::from(e) * scale).sum();
            (outputs[0].data.clone(), sum / 8.0 / scale)
        };
        assert_eq!(elements.iter().map(|&e| i32::from(e)).sum::<i32>(), 4);
        for scale in [0.1, 0.7, 0.013, 0.25] {
            let (made, steps) = mean(Halves::Real, scale);
            assert_eq!(made, Data::I8(vec![i8::from(steps > 0.5)]), "{scale}");
            assert_eq!(mean(Halves::Even, scale).0, Data::I8(vec![0]));
        }
        let ups = [0.1, 0.7, 0.013, 0.25].map(|scale| mean(Halves::Real, scale).1 > 0.5);
        assert!(ups.contains(&true) && ups.contains(&false), "{ups:?}");
    }
}
