//! Product of two matrices, or of two stacks of them, that are both computed at run time:
//! `out[…, m, n] = sum over k of a[…, m, k] b[…, k, n]`.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | a | `[…, M, K]` | int8, int16, f32 | per tensor, int16 symmetric |
//! | b | `[…, K, N]` | as a | per tensor |
//! | output | the leading axes broadcast, `[…, M, N]` | as a | per tensor |
//!
//! int8: sums of products without zero points, `K` of them and 32,768 at most, in 32 bits; each is
//! requantized once with one 31-bit multiplier, by the rounding of the file. int16: sums of 64 bits times
//! a multiplier of 15, halves up, as TensorFlow Lite has them.

use crate::{Op, Run};
use format::fixed::{Rounding, requantize_double, requantize_single};
use format::{DType, MAX_RANK, Node, Shape};

/// int8 in, int8 out.
pub static I8: Op = Op::new(60, "mat_mul", check_i8, run_i8);

/// int16 in, int16 out.
pub static I16: Op = Op::new(135, "mat_mul_i16", check_i16, run_i16);

/// Float in, float out.
pub static F32: Op = Op::new(84, "mat_mul_f32", |node| check(node, DType::F32), run);

/// The most products in an int8 sum: 2^15 of them, each below 2^16, fit 32 bits.
pub const MOST_PRODUCTS: usize = 1 << 15;

/// Columns whose sums are built side by side.
const COLUMNS: usize = 16;

/// The stack that two shapes broadcast to, with `[M, N]` behind.
fn product_shape(a: &Shape, b: &Shape) -> Option<Shape> {
    if a.rank() < 2 || b.rank() < 2 || a.last() != b.dim(b.rank() - 2) {
        return None;
    }
    let rank = a.rank().max(b.rank());
    let mut dims = [1u32; MAX_RANK];
    for (axis, size) in dims.iter_mut().enumerate().take(rank - 2) {
        let of = |shape: &Shape| (axis + shape.rank()).checked_sub(rank).map_or(1, |own| shape.dim(own));
        *size = match (of(a), of(b)) {
            (x, y) if x == y || y == 1 => x as u32,
            (1, y) => y as u32,
            _ => return None,
        };
    }
    dims[rank - 2] = a.dim(a.rank() - 2) as u32;
    dims[rank - 1] = b.last() as u32;
    Shape::new(dims.get(..rank)?)
}

fn check(node: &Node<'_>, dtype: DType) -> Option<()> {
    let (a, b, output) = (node.input(0)?, node.input(1)?, node.output(0)?);
    let types = [a.dtype, b.dtype, output.dtype] == [dtype; 3];
    (types && product_shape(&a.shape, &b.shape)? == output.shape).then_some(())
}

/// The matrix of a stack that belongs to matrix `index` of the output's.
fn matrix_of(stack: &Shape, output: &Shape, mut index: usize) -> usize {
    let (mut at, mut step) = (0, 1);
    for axis in (0..output.rank().saturating_sub(2)).rev() {
        let coordinate = index % output.dim(axis).max(1);
        index /= output.dim(axis).max(1);
        if let Some(own) = (axis + stack.rank()).checked_sub(output.rank()) {
            at += (coordinate % stack.dim(own).max(1)) * step;
            step *= stack.dim(own);
        }
    }
    at
}

fn run(run: &Run<'_>) {
    let (Some(from_a), Some(from_b)) = (run.node.input(0), run.node.input(1)) else { return };
    let Some(to) = run.node.output(0) else { return };
    let (inner, columns) = (from_a.shape.last(), to.shape.last());
    let rows = to.shape.dim(to.shape.rank().saturating_sub(2));
    let (a, b) = (run.input::<f32>(0), run.input::<f32>(1));
    for (index, matrix) in run.output::<f32>(0).chunks_exact((rows * columns).max(1)).enumerate() {
        let a_start = matrix_of(&from_a.shape, &to.shape, index) * rows * inner;
        let b_start = matrix_of(&from_b.shape, &to.shape, index) * inner * columns;
        for (m, row) in matrix.chunks_exact(columns.max(1)).enumerate() {
            row.iter().for_each(|cell| cell.set(0.0));
            for k in 0..inner {
                let factor = a.get(a_start + m * inner + k);
                for (n, cell) in row.iter().enumerate() {
                    cell.set(cell.get() + factor * b.get(b_start + k * columns + n));
                }
            }
        }
    }
}

fn check_i8(node: &Node<'_>) -> Option<()> {
    check(node, DType::I8)?;
    let (a, b) = (node.input(0)?, node.input(1)?);
    let small = [a, b].iter().all(|tensor| (-128..=127).contains(&tensor.zero_point));
    (small && a.shape.last() <= MOST_PRODUCTS).then_some(())
}

fn run_i8(run: &Run<'_>) {
    let (Some(from_a), Some(from_b)) = (run.node.input(0), run.node.input(1)) else { return };
    let Some(to) = run.node.output(0) else { return };
    let mut params = run.node.params();
    let (multiplier, shift) = (params.i32(), params.i32().clamp(-31, 30));
    let requantize = match Rounding::from_code(params.u8()) {
        Some(Rounding::Double) => requantize_double,
        _ => requantize_single,
    };
    let (inner, columns) = (from_a.shape.last(), to.shape.last());
    let rows = to.shape.dim(to.shape.rank().saturating_sub(2));
    let (a, b) = (run.input::<i8>(0), run.input::<i8>(1));
    for (index, matrix) in run.output::<i8>(0).chunks_exact((rows * columns).max(1)).enumerate() {
        let a_start = matrix_of(&from_a.shape, &to.shape, index) * rows * inner;
        let b_start = matrix_of(&from_b.shape, &to.shape, index) * inner * columns;
        for (m, row) in matrix.chunks_exact(columns.max(1)).enumerate() {
            for (block, cells) in row.chunks(COLUMNS).enumerate() {
                let mut sums = [0i32; COLUMNS];
                for k in 0..inner {
                    let factor = i32::from(a.get(a_start + m * inner + k)) - from_a.zero_point;
                    let start = b_start + k * columns + block * COLUMNS;
                    for (n, sum) in sums.iter_mut().enumerate().take(cells.len()) {
                        *sum += factor * (i32::from(b.get(start + n)) - from_b.zero_point);
                    }
                }
                for (cell, sum) in cells.iter().zip(sums) {
                    let scaled = requantize(sum, multiplier, shift);
                    cell.set(scaled.saturating_add(to.zero_point).clamp(-128, 127) as i8);
                }
            }
        }
    }
}

fn check_i16(node: &Node<'_>) -> Option<()> {
    check(node, DType::I16)?;
    let tensors = [node.input(0)?, node.input(1)?, node.output(0)?];
    tensors.iter().all(|tensor| tensor.zero_point == 0).then_some(())
}

fn run_i16(run: &Run<'_>) {
    let (Some(from_a), Some(from_b)) = (run.node.input(0), run.node.input(1)) else { return };
    let Some(to) = run.node.output(0) else { return };
    let mut params = run.node.params();
    let (multiplier, shift) = (i64::from(params.i32()), params.i32().clamp(1, 62));
    let (inner, columns) = (from_a.shape.last(), to.shape.last().max(1));
    let rows = to.shape.dim(to.shape.rank().saturating_sub(2)).max(1);
    let (a, b) = (run.input::<i16>(0), run.input::<i16>(1));
    for (i, cell) in run.output::<i16>(0).iter().enumerate() {
        let (row, n) = (i / columns, i % columns);
        let a_matrix = matrix_of(&from_a.shape, &to.shape, row / rows);
        let a_start = (a_matrix * rows + row % rows) * inner;
        let b_start = matrix_of(&from_b.shape, &to.shape, row / rows) * inner * columns + n;
        let products = (0..inner).map(|k| {
            i64::from(i32::from(a.get(a_start + k)) * i32::from(b.get(b_start + k * columns)))
        });
        let sum = products.fold(0i64, i64::wrapping_add).wrapping_mul(multiplier);
        let scaled = sum.wrapping_add(1 << (shift - 1)) >> shift;
        cell.set(scaled.clamp(-32_768, 32_767) as i16);
    }
}

#[cfg(feature = "host")]
pub use host::MatMul;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::{Rounding, quantize_multiplier, reduced_multiplier};
    use format::{DType, ParamsWriter};
    use std::string::String;
    use std::vec::Vec;

    /// A product of matrices that are both computed; it has no attributes.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct MatMul;

    impl Operator for MatMul {
        fn name(&self) -> &'static str {
            "mat_mul"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let (a, b) = (required(inputs, 0)?, required(inputs, 1)?);
            let shape = super::product_shape(&a.shape, &b.shape);
            let shape = shape.ok_or_else(|| std::format!("{} and {} do not fit", a.shape, b.shape));
            Ok(std::vec![(a.dtype, shape?)])
        }

        fn macs(&self, inputs: &[Option<Operand<'_>>], outputs: &[Operand<'_>]) -> u64 {
            let inner = required(inputs, 0).map_or(0, |a| a.shape.last());
            outputs.iter().map(|output| output.shape.elements() as u64).sum::<u64>() * inner as u64
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            rounding: Rounding,
        ) -> Result<Lowered, String> {
            let (a, b) = (required(inputs, 0)?, required(inputs, 1)?);
            let output = outputs.first().ok_or("no output")?;
            let operands = std::vec![LoweredOperand::Input(0), LoweredOperand::Input(1)];
            let types = [a.dtype, b.dtype, output.dtype];
            if types == [DType::F32; 3] {
                return Ok(Lowered { code: super::F32.code, operands, params: Vec::new() });
            }
            if types != [DType::I8; 3] && types != [DType::I16; 3] {
                return Err(std::format!("there is no product of {} and {}", a.dtype, b.dtype));
            }
            let is_wide = a.dtype == DType::I16;
            if !is_wide && a.shape.last() > super::MOST_PRODUCTS {
                return Err(std::format!("sums of {} products are too long", a.shape.last()));
            }
            let scale = f64::from(a.affine()?.0) * f64::from(b.affine()?.0);
            let (multiplier, shift) = quantize_multiplier(scale / f64::from(output.affine()?.0));
            let mut params = ParamsWriter::default();
            if is_wide {
                let zeros = [a, b, output].map(|operand| operand.affine().map(|affine| affine.1));
                if zeros.iter().any(|zero| *zero != Ok(0)) {
                    return Err("int16 tensors have the zero point 0".into());
                }
                let reduced = reduced_multiplier((multiplier, shift));
                let [multiplier, right] = reduced.ok_or("its output's scale is far too small")?;
                params.i32(multiplier).i32(right);
                return Ok(Lowered { code: super::I16.code, operands, params: params.finish() });
            }
            params.i32(multiplier).i32(shift).u8(rounding as u8);
            Ok(Lowered { code: super::I8.code, operands, params: params.finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::MatMul;
    use crate::host::{Data, Quantization, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn a_matrix_serves_a_whole_stack() {
        let tensor = |dims: &[u32], values| {
            let shape = Shape::new(dims).unwrap();
            Some((Tensor { shape, data: Data::F32(values) }, None))
        };
        let stack = tensor(&[2, 1, 2], vec![1.0, 2.0, 3.0, 4.0]);
        let matrix = tensor(&[2, 2], vec![1.0, 0.5, 10.0, 2.0]);
        let inputs = [stack.clone(), matrix];
        let product = evaluate(&MatMul, &inputs, &[], Rounding::High).unwrap().remove(0);
        assert_eq!(product.shape, Shape::new(&[2, 1, 2]).unwrap());
        assert_eq!(product.data, Data::F32(vec![21.0, 4.5, 43.0, 9.5]));
        let inputs = [stack.clone(), stack];
        assert!(evaluate(&MatMul, &inputs, &[], Rounding::High).is_err());
    }

    proptest! {
        /// Within half a step of the real product, and a little for the multiplier's own rounding.
        #[test]
        fn int8_products_are_the_rounded_real_ones(
            (m, k, n) in (1u32..4, 1u32..20, 1u32..40),
            zeros in [-128i32..128, -128i32..128, -128i32..128],
            seed: u64,
            twice: bool,
        ) {
            let stack = if twice { 2 } else { 1 };
            let bytes = |count: u32, seed: u64| -> Vec<i8> {
                let state = |i| seed.wrapping_add(i).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56;
                (0..u64::from(count)).map(|i| state(i) as i8).collect()
            };
            let (a, b) = (bytes(stack * m * k, seed), bytes(k * n, !seed));
            let tensor = |dims: &[u32], data: &[i8], zero| {
                let shape = Shape::new(dims).unwrap();
                let quantization = Quantization::per_tensor(0.05, zero);
                Some((Tensor { shape, data: Data::I8(data.to_vec()) }, Some(quantization)))
            };
            let inputs = [tensor(&[stack, m, k], &a, zeros[0]), tensor(&[k, n], &b, zeros[1])];
            let output = [Some(Quantization::per_tensor(0.7, zeros[2]))];
            let made = evaluate(&MatMul, &inputs, &output, Rounding::High).unwrap().remove(0);
            let Data::I8(made) = made.data else { panic!("int8 stays int8") };
            let (m, k, n) = ((stack * m) as usize, k as usize, n as usize);
            for row in 0..m {
                for column in 0..n {
                    let real = |byte: i8, zero: i32| f64::from(i32::from(byte) - zero) * 0.05f32 as f64;
                    let products = (0..k).map(|i| {
                        real(a[row * k + i], zeros[0]) * real(b[i * n + column], zeros[1])
                    });
                    let exact = products.sum::<f64>() / f64::from(0.7f32) + f64::from(zeros[2]);
                    let got = f64::from(made[row * n + column]);
                    prop_assert!((got - exact.clamp(-128.0, 127.0)).abs() <= 0.5001, "{} {}", got, exact);
                }
            }
        }
    }
}
