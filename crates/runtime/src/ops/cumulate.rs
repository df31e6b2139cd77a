//! Running sums along one axis: `out[o, j, i] = sum over s <= j of in[o, s, i]`; without the element
//! itself where `exclusive`, from the end where `reverse`.
//!
//! | operand | shape | types |
//! |---|---|---|
//! | input | any | int8, int16, f32, int32, int64 |
//! | output | the input's | the input's |
//!
//! int8 and int16: sums, their zero points taken off, are requantized with one 31-bit multiplier, by the
//! rounding of the file. In files that follow TensorFlow Lite Micro every sum begins with the input's zero
//! point taken off once more, as it does there.

use super::mean::parts;
use crate::{Op, Run};
use format::fixed::{Rounding, requantize_double, requantize_single};
use format::{DType, Node};
use kernels::Integer;
use kernels::memory::Plain;

/// int8 in, int8 out.
pub static I8: Op =
    Op::new(147, "cumulative_sum_i8", |node| check_integer(node, DType::I8), run_integer::<i8>);

/// int16 in, int16 out.
pub static I16: Op =
    Op::new(148, "cumulative_sum_i16", |node| check_integer(node, DType::I16), run_integer::<i16>);

/// Sums of the input's type; whole numbers wrap around.
pub static ANY: Op = Op::new(86, "cumulative_sum", check, run);

/// The most elements whose sums fit, in int8 and in int16.
pub const LONGEST_SUM: usize = (1 << 15) - 1;

/// Binary places of the largest sums.
const MOST_BITS: u32 = 30;

fn check(node: &Node<'_>) -> Option<()> {
    let typed = matches!(node.input(0)?.dtype, DType::F32 | DType::I32 | DType::I64);
    check_shapes(node).filter(|()| typed)
}

fn check_shapes(node: &Node<'_>) -> Option<()> {
    let axis = usize::from(node.params().u8());
    let (input, output) = (node.input(0)?, node.output(0)?);
    let alike = input.dtype == output.dtype && input.shape == output.shape;
    (alike && axis < input.shape.rank()).then_some(())
}

fn check_integer(node: &Node<'_>, dtype: DType) -> Option<()> {
    check_shapes(node)?;
    let input = node.input(0)?;
    let zeros = if dtype == DType::I16 { 0..=0 } else { -128..=127 };
    let mut params = node.params();
    let size = input.shape.dim(usize::from(params.u8()));
    params.u16();
    let fits = bits(dtype, size) + u32::from(params.u8()) <= MOST_BITS;
    (input.dtype == dtype && zeros.contains(&input.zero_point) && fits).then_some(())
}

/// Binary places that a sum of so many elements, and one zero point, takes.
fn bits(dtype: DType, size: usize) -> u32 {
    let each = if dtype == DType::I16 { 15 } else { 8 };
    each + (size + 1).next_power_of_two().ilog2()
}

fn run_integer<T: Integer>(run: &Run<'_>) {
    let (Some(from), Some(to)) = (run.node.input(0), run.node.output(0)) else { return };
    let mut params = run.node.params();
    params.u8();
    params.u16();
    let (places, rounding) = (u32::from(params.u8()), Rounding::from_code(params.u8()));
    let (multiplier, shift, start) = (params.i32(), params.i32().clamp(-31, 30), params.i32());
    let requantize = match rounding {
        Some(Rounding::Double) => requantize_double,
        _ => requantize_single,
    };
    let (input, output) = (run.input::<T>(0), run.output::<T>(0));
    let (low, high) = (T::SMALLEST, -1 - T::SMALLEST);
    along(run, |line| {
        let mut sum = start;
        for at in line.places {
            let value: i32 = input.get(at).into();
            let (before, after) = (sum, sum.wrapping_add(value - from.zero_point));
            sum = after;
            let chosen = if line.exclusive { before } else { after };
            let scaled = requantize(chosen.wrapping_shl(places), multiplier, shift);
            if let Some(cell) = output.get(at) {
                cell.set(T::from_clamped(scaled.saturating_add(to.zero_point).clamp(low, high)));
            }
        }
    });
}

/// One line of elements that are added up.
struct Line<I> {
    places: I,
    exclusive: bool,
}

/// Calls `sum` for every line along the axis, with the places of its elements in order.
fn along(run: &Run<'_>, sum: impl Fn(Line<&mut dyn Iterator<Item = usize>>)) {
    let mut params = run.node.params();
    let axis = usize::from(params.u8());
    let (exclusive, reverse) = (params.u8() != 0, params.u8() != 0);
    let Some(from) = run.node.input(0) else { return };
    let [outer, size, inner] = parts(&from.shape, axis, axis);
    for line in 0..outer * inner {
        let start = line / inner * size * inner + line % inner;
        let step = |step: usize| if reverse { size - 1 - step } else { step };
        let mut places = (0..size).map(|index| start + step(index) * inner);
        sum(Line { places: &mut places, exclusive });
    }
}

fn run(run: &Run<'_>) {
    match run.node.input(0).map(|input| input.dtype) {
        Some(DType::F32) => sums::<f32>(run, 0.0, |a, b| a + b),
        Some(DType::I32) => sums::<i32>(run, 0, i32::wrapping_add),
        Some(DType::I64) => sums::<i64>(run, 0, i64::wrapping_add),
        _ => {}
    }
}

fn sums<T: Plain + Default>(run: &Run<'_>, zero: T, add: fn(T, T) -> T) {
    let (input, output) = (run.input::<T>(0), run.output::<T>(0));
    along(run, |line| {
        let mut sum = zero;
        for at in line.places {
            let (before, after) = (sum, add(sum, input.get(at)));
            sum = after;
            if let Some(cell) = output.get(at) {
                cell.set(if line.exclusive { before } else { after });
            }
        }
    });
}

#[cfg(feature = "host")]
pub use host::Cumulate;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::{Rounding, quantize_multiplier};
    use format::{DType, ParamsWriter};
    use std::string::String;
    use std::vec::Vec;

    /// Binary places that TensorFlow Lite gives sums before it rounds them; more change nothing.
    const MOST_PLACES: u32 = 15;

    /// Attributes of a running sum.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Cumulate {
        /// The axis that sums run along.
        pub axis: usize,
        /// Whether an element is left out of its own sum.
        pub exclusive: bool,
        /// Whether sums run from the end.
        pub reverse: bool,
    }

    impl Operator for Cumulate {
        fn name(&self) -> &'static str {
            "cumulative_sum"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let input = required(inputs, 0)?;
            if self.axis >= input.shape.rank() {
                return Err(std::format!("there is no axis {} in {}", self.axis, input.shape));
            }
            Ok(std::vec![(input.dtype, input.shape)])
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            rounding: Rounding,
        ) -> Result<Lowered, String> {
            let (input, output) = (required(inputs, 0)?, outputs.first().ok_or("no output")?);
            let mut params = ParamsWriter::default();
            params.u8(self.axis as u8).u8(self.exclusive.into()).u8(self.reverse.into());
            let code = match input.dtype {
                DType::F32 | DType::I32 | DType::I64 => super::ANY.code,
                DType::I8 | DType::I16 => {
                    self.scaled(&mut params, [input, output], rounding)?;
                    if input.dtype == DType::I16 { super::I16.code } else { super::I8.code }
                }
                dtype => return Err(std::format!("there are no running sums of {dtype}")),
            };
            let operands = std::vec![LoweredOperand::Input(0)];
            Ok(Lowered { code, operands, params: params.finish() })
        }
    }

    impl Cumulate {
        /// How sums become integers of the output.
        fn scaled(
            &self,
            params: &mut ParamsWriter,
            [input, output]: [&Operand<'_>; 2],
            rounding: Rounding,
        ) -> Result<(), String> {
            let ((from, zero), (to, _)) = (input.affine()?, output.affine()?);
            let taken = super::bits(input.dtype, input.shape.dim(self.axis));
            let room = super::MOST_BITS.checked_sub(taken);
            let room = room.ok_or("its sums are too long for 32 bits")?;
            let (places, start) = match rounding {
                Rounding::Double => (room.min(MOST_PLACES), -zero),
                _ => (0, 0),
            };
            let ratio = f64::from(from) / f64::from(to) / f64::from(1 << places);
            let (multiplier, shift) = quantize_multiplier(ratio);
            params.u8(places as u8).u8(rounding as u8);
            params.i32(multiplier).i32(shift).i32(start);
            Ok(())
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::Cumulate;
    use crate::host::{Data, Quantization, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn sums_run_both_ways() {
        let sums = |data: Data, axis, exclusive, reverse| {
            let tensor = Tensor { shape: Shape::new(&[2, 3]).unwrap(), data };
            let cumulate = Cumulate { axis, exclusive, reverse };
            let input = [Some((tensor, None))];
            evaluate(&cumulate, &input, &[], Rounding::High).unwrap().remove(0).data
        };
        let floats = || Data::F32(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let rows = sums(floats(), 1, false, false);
        assert_eq!(rows, Data::F32(vec![1.0, 3.0, 6.0, 4.0, 9.0, 15.0]));
        let rest = sums(floats(), 1, true, true);
        assert_eq!(rest, Data::F32(vec![5.0, 3.0, 0.0, 11.0, 6.0, 0.0]));
        let columns = sums(Data::I64(vec![1, 2, 3, 4, 5, 6]), 0, false, false);
        assert_eq!(columns, Data::I64(vec![1, 2, 3, 5, 7, 9]));
    }

    proptest! {
        /// Half a step from the sums of real numbers, from both ends, in int8 and int16.
        #[test]
        fn integer_sums_are_the_rounded_real_ones(
            values in prop::collection::vec(any::<i8>(), 24),
            zero in any::<i8>(),
            scales in (0.01f32..0.1, 0.05f32..2.0),
            (exclusive, reverse, is_wide) in any::<(bool, bool, bool)>(),
        ) {
            let zero = if is_wide { 0 } else { i32::from(zero) };
            let data = match is_wide {
                true => Data::I16(values.iter().map(|&value| 200 * i16::from(value)).collect()),
                false => Data::I8(values.clone()),
            };
            let unit = if is_wide { 200.0 } else { 1.0 };
            let reals: Vec<f64> = values.iter().map(|&value| {
                (f64::from(value) * unit - f64::from(zero)) * f64::from(scales.0)
            }).collect();
            let q = |scale, zero| Some(Quantization::per_tensor(scale, zero));
            let input = [Some((Tensor { shape: Shape::new(&[3, 8]).unwrap(), data }, q(scales.0, zero)))];
            let output_zero = if is_wide { 0 } else { -5 };
            let cumulate = Cumulate { axis: 1, exclusive, reverse };
            let output = [q(scales.1, output_zero)];
            let made = evaluate(&cumulate, &input, &output, Rounding::High).unwrap().remove(0).data;
            let made = made.to_i64().unwrap();
            let limit = if is_wide { 32_768.0 } else { 128.0 };
            for (at, got) in made.into_iter().enumerate() {
                let (row, i) = (at / 8 * 8, at % 8);
                let range = match (exclusive, reverse) {
                    (false, false) => row..row + i + 1,
                    (true, false) => row..row + i,
                    (false, true) => row + i..row + 8,
                    (true, true) => row + i + 1..row + 8,
                };
                let sum: f64 = reals[range].iter().sum();
                let exact = sum / f64::from(scales.1) + f64::from(output_zero);
                let exact = exact.clamp(-limit, limit - 1.0);
                prop_assert!((got as f64 - exact).abs() <= 0.501, "{got} {exact}");
            }
        }
    }

    #[test]
    fn sums_that_do_not_fit_are_refused() {
        let q = Some(Quantization::per_tensor(0.1, 0));
        let shape = Shape::new(&[1 << 16]).unwrap();
        let data = Data::I16(vec![0; 1 << 16]);
        let input = [Some((Tensor { shape, data }, q.clone()))];
        let cumulate = Cumulate { axis: 0, exclusive: false, reverse: false };
        assert!(evaluate(&cumulate, &input, &[q], Rounding::High).is_err());
    }
}
