//! Weighted means along two axes at once, as in bilinear and bicubic interpolation of images:
//! `out[o, j, m, l, i] = sum over k, n of first[j, k] second[l, n] in[o, a[j, k], m, b[l, n], i]`.
//!
//! | operand | shape | types |
//! |---|---|---|
//! | input | any | int8, int16, f32 |
//! | positions and weights of the first axis | `[J, K]`, constant, inside the axis | int32; f32, or int16 on the device for integers |
//! | positions and weights of the second axis | `[L, N]`, constant, inside the axis | as those of the first |
//! | output | the input's, with `J` and `L` along the axes | the input's, its scale too |
//!
//! Integers: weights have 10 binary places, and those of a row add up to exactly 1, so that zero points need
//! no care; the sum has 20 places and is rounded once, halves away from zero. With the positions and
//! weights of TensorFlow Lite this is its bilinear resizing.

use super::mean::parts;
use super::resample::PLACES;
use crate::{Op, Run};
use format::fixed::rounding_divide_by_power_of_two;
use format::{DType, Node, Shape, Tensor};
use kernels::memory::In;

/// int8 in, int8 out.
pub static I8: Op = Op::new(64, "resample_2d", |node| check(node, [DType::I8, DType::I16]), run_i8);

/// int16 in, int16 out.
pub static I16: Op =
    Op::new(137, "resample_2d_i16", |node| check(node, [DType::I16; 2]), run_i16);

/// Float in, float out.
pub static F32: Op = Op::new(65, "resample_2d_f32", |node| check(node, [DType::F32; 2]), run_f32);

/// Elements before, along, between, along and behind two axes.
fn spans(shape: &Shape, [first, second]: [usize; 2]) -> Option<[usize; 5]> {
    if first >= second || second >= shape.rank() {
        return None;
    }
    let [outer, rows, _] = parts(shape, first, first);
    let [_, columns, inner] = parts(shape, second, second);
    let between = (first + 1..second).map(|axis| shape.dim(axis)).product();
    Some([outer, rows, between, columns, inner])
}

fn axes(node: &Node<'_>) -> [usize; 2] {
    let mut params = node.params();
    [params.u8(), params.u8()].map(usize::from)
}

fn check(node: &Node<'_>, [activation, weight]: [DType; 2]) -> Option<()> {
    let (input, output) = (node.input(0)?, node.output(0)?);
    let [outer, _, between, _, inner] = spans(&input.shape, axes(node))?;
    let count = |at: usize| {
        let (positions, weights) = (node.input(at)?, node.input(at + 1)?);
        let types = positions.dtype == DType::I32 && weights.dtype == weight;
        let tables = positions.shape == weights.shape && positions.shape.rank() == 2;
        (types && tables).then(|| positions.shape.dim(0))
    };
    let sizes = [outer, count(1)?, between, count(3)?, inner];
    let elements = sizes.into_iter().try_fold(1usize, usize::checked_mul)?;
    let types = [input.dtype, output.dtype] == [activation; 2];
    (types && elements == output.shape.elements()).then_some(())
}

/// The rows of one axis' table.
struct Taps<'a, W> {
    positions: In<'a, i32>,
    weights: In<'a, W>,
    /// Elements that a row mixes.
    taps: usize,
    /// Elements along the axis.
    size: usize,
}

impl<W: kernels::memory::Plain + Default> Taps<'_, W> {
    /// Positions and weights of row `j`; what a damaged table has outside the axis is left out.
    fn row(&self, j: usize) -> impl Iterator<Item = (usize, W)> {
        let range = j * self.taps..(j + 1) * self.taps;
        range.filter_map(|k| {
            let at = usize::try_from(self.positions.get(k)).ok()?;
            (at < self.size).then(|| (at, self.weights.get(k)))
        })
    }
}

/// Calls `mix` for each output element with the two rows of its tables, and with the input's offset of
/// position 0 and the steps along both axes.
fn each<T, W>(run: &Run<'_>, mix: impl Fn(&In<'_, T>, [&Taps<'_, W>; 2], [usize; 5]) -> T)
where
    T: kernels::memory::Plain + Default,
    W: kernels::memory::Plain + Default,
{
    let (Some(from), Some(rows), Some(columns)) =
        (run.node.input(0), run.node.input(1), run.node.input(3))
    else {
        return;
    };
    let Some([_, height, between, width, inner]) = spans(&from.shape, axes(&run.node)) else { return };
    let taps = |table: &Tensor, at: usize, size: usize| Taps::<W> {
        positions: run.input(at),
        weights: run.input(at + 1),
        taps: table.shape.dim(1),
        size,
    };
    let tables = [taps(&rows, 1, height), taps(&columns, 3, width)];
    let counts = [rows.shape.dim(0).max(1), columns.shape.dim(0).max(1)];
    let input = run.input::<T>(0);
    let pixels = run.output::<T>(0).chunks_exact(inner.max(1));
    for (pixel, cells) in pixels.enumerate() {
        let (l, rest) = (pixel % counts[1], pixel / counts[1]);
        let (m, rest) = (rest % between.max(1), rest / between.max(1));
        let (j, o) = (rest % counts[0], rest / counts[0]);
        let start = ((o * height * between + m) * width) * inner;
        for (i, cell) in cells.iter().enumerate() {
            let places = [j, l, start + i, between * width * inner, inner];
            cell.set(mix(&input, [&tables[0], &tables[1]], places));
        }
    }
}

fn run_i8(run: &Run<'_>) {
    each::<i8, i16>(run, |input, [first, second], [j, l, start, row_step, step]| {
        let mut sum = 0i32;
        for (row, above) in first.row(j) {
            let line = second.row(l).fold(0i32, |line, (column, weight)| {
                let value = input.get(start + row * row_step + column * step);
                line.wrapping_add(i32::from(weight) * i32::from(value))
            });
            sum = sum.wrapping_add(line.wrapping_mul(above.into()));
        }
        let rounded = rounding_divide_by_power_of_two(sum, i32::from(2 * PLACES));
        rounded.clamp(-128, 127) as i8
    });
}

fn run_i16(run: &Run<'_>) {
    each::<i16, i16>(run, |input, [first, second], [j, l, start, row_step, step]| {
        let mut sum = 0i64;
        for (row, above) in first.row(j) {
            let line = second.row(l).fold(0i64, |line, (column, weight)| {
                let value = input.get(start + row * row_step + column * step);
                line + i64::from(i32::from(weight) * i32::from(value))
            });
            sum = sum.wrapping_add(line.wrapping_mul(above.into()));
        }
        // Halves away from zero.
        let half = (1i64 << (2 * PLACES - 1)) - i64::from(sum < 0);
        (sum.wrapping_add(half) >> (2 * PLACES)).clamp(-32_768, 32_767) as i16
    });
}

fn run_f32(run: &Run<'_>) {
    each::<f32, f32>(run, |input, [first, second], [j, l, start, row_step, step]| {
        let line = |row: usize| {
            let products = second.row(l).map(|(column, weight)| {
                weight * input.get(start + row * row_step + column * step)
            });
            products.sum::<f32>()
        };
        first.row(j).map(|(row, weight)| weight * line(row)).sum()
    });
}

#[cfg(feature = "host")]
pub use host::Resample2d;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use crate::ops::resample::fixed_weights;
    use format::fixed::Rounding;
    use format::{DType, ParamsWriter, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// Attributes of an interpolation along two axes.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Resample2d {
        /// The axes along which elements are mixed, in ascending order.
        pub axes: [usize; 2],
    }

    impl Operator for Resample2d {
        fn name(&self) -> &'static str {
            "resample_2d"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let input = required(inputs, 0)?;
            if super::spans(&input.shape, self.axes).is_none() {
                return Err(std::format!("there are no axes {:?} in {}", self.axes, input.shape));
            }
            let mut dims = input.shape.dims().to_vec();
            for (axis, table) in self.axes.into_iter().zip([1, 3]) {
                dims[axis] = required(inputs, table)?.shape.dim(0) as u32;
            }
            Ok(std::vec![(input.dtype, Shape::new(&dims).ok_or("too many dimensions")?)])
        }

        fn macs(&self, inputs: &[Option<Operand<'_>>], outputs: &[Operand<'_>]) -> u64 {
            let taps = |index| required(inputs, index).map_or(0, |table| table.shape.last() as u64);
            outputs.iter().map(|output| output.shape.elements() as u64).sum::<u64>() * taps(1) * taps(3)
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            let (input, output) = (required(inputs, 0)?, outputs.first().ok_or("no output")?);
            let mut operands: Vec<LoweredOperand> = (0..5).map(LoweredOperand::Input).collect();
            let code = match input.dtype {
                DType::F32 => super::F32.code,
                DType::I8 | DType::I16 if input.quantization == output.quantization => {
                    operands[2] = fixed_weights(required(inputs, 2)?)?;
                    operands[4] = fixed_weights(required(inputs, 4)?)?;
                    if input.dtype == DType::I16 { super::I16.code } else { super::I8.code }
                }
                DType::I8 | DType::I16 => return Err("an interpolation keeps scale and zero point".into()),
                other => return Err(std::format!("there is no interpolation of {other}")),
            };
            let mut params = ParamsWriter::default();
            params.u8(self.axes[0] as u8).u8(self.axes[1] as u8);
            Ok(Lowered { code, operands, params: params.finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::Resample2d;
    use crate::host::{Data, Quantization, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    fn tensor(dims: &[u32], data: Data) -> Tensor {
        Tensor { shape: Shape::new(dims).unwrap(), data }
    }

    /// Positions and weights of an axis of `size` stretched to `count` elements.
    fn table(size: u32, count: u32) -> [Tensor; 2] {
        let (mut positions, mut weights) = (Vec::new(), Vec::new());
        for j in 0..count {
            let place = j as f32 * (size - 1) as f32 / (count - 1).max(1) as f32;
            let first = (place as i32).min(size as i32 - 1);
            positions.extend([first, (first + 1).min(size as i32 - 1)]);
            weights.extend([1.0 - (place - first as f32), place - first as f32]);
        }
        let dims = [count, 2];
        [tensor(&dims, Data::I32(positions)), tensor(&dims, Data::F32(weights))]
    }

    #[test]
    fn corners_stay_and_the_middle_is_the_mean() {
        let image = tensor(&[2, 2, 1], Data::F32(vec![1.0, 3.0, 5.0, 7.0]));
        let inputs = [image].into_iter().chain(table(2, 3)).chain(table(2, 3));
        let inputs: Vec<_> = inputs.map(|tensor| Some((tensor, None))).collect();
        let made = evaluate(&Resample2d { axes: [0, 1] }, &inputs, &[], Rounding::High).unwrap();
        let expected = vec![1.0, 2.0, 3.0, 3.0, 4.0, 5.0, 5.0, 6.0, 7.0];
        assert_eq!(made[0].data, Data::F32(expected));
        assert!(evaluate(&Resample2d { axes: [1, 0] }, &inputs, &[], Rounding::High).is_err());
        assert!(evaluate(&Resample2d { axes: [1, 3] }, &inputs, &[], Rounding::High).is_err());
    }

    proptest! {
        /// Half a step, and two roundings of weights of 10 places over a range of 255.
        #[test]
        fn int8_images_are_near_real_ones(
            (height, between, width, inner) in (1u32..5, 1u32..3, 1u32..5, 1u32..4),
            (rows, columns) in (1u32..7, 1u32..7),
            bytes in prop::collection::vec(any::<i8>(), 128),
        ) {
            let dims = [1, height, between, width, inner];
            let bytes = &bytes[..dims.iter().product::<u32>() as usize];
            let reals = bytes.iter().map(|&byte| byte.into()).collect();
            let scale = || Some(Quantization::per_tensor(1.0, 7));
            let made = |data: Data, scale: Option<Quantization>| {
                let tables = table(height, rows).into_iter().chain(table(width, columns));
                let tables = tables.map(|tensor| Some((tensor, None)));
                let image = Some((tensor(&dims, data), scale.clone()));
                let inputs: Vec<_> = [image].into_iter().chain(tables).collect();
                let axes = [1, 3];
                evaluate(&Resample2d { axes }, &inputs, &[scale], Rounding::High).unwrap().remove(0)
            };
            let (real, whole) = (made(Data::F32(reals), None), made(Data::I8(bytes.to_vec()), scale()));
            prop_assert_eq!(real.shape, whole.shape);
            let Data::I8(whole) = whole.data else { panic!("int8 stays int8") };
            for (&real, whole) in real.data.f32().unwrap().iter().zip(whole) {
                prop_assert!((real - f32::from(whole)).abs() <= 0.5 + 0.51, "{real} {whole}");
            }
        }
    }
}
