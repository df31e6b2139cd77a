//! Products of int8 or int16 elements over neighbouring axes, for [`super::reduce`]: zero points are taken
//! off, and of what the product becomes 31 bits and an exponent are kept, so that only the end is rounded
//! to a step of the output.

use super::mean::geometry;
use crate::Run;
use format::fixed::requantize_single;
use format::{DType, Node};
use kernels::Integer;

/// Bits of a product that are kept.
const KEPT: u32 = 31;

/// Whether operands fit.
pub(super) fn check(node: &Node<'_>, dtype: DType) -> Option<()> {
    let (input, output) = (node.input(0)?, node.output(0)?);
    let [outer, size, inner] = geometry(node, &mut node.params())?;
    let types = [input.dtype, output.dtype] == [dtype; 2];
    let zeros = if dtype == DType::I16 {
        0..=0
    } else {
        -128..=127
    };
    let small = size > 0 && zeros.contains(&input.zero_point);
    (types && small && output.shape.elements() == outer.checked_mul(inner)?).then_some(())
}

/// Computes the output.
pub(super) fn run<T: Integer>(run: &Run<'_>) {
    let mut params = run.node.params();
    let Some([_, size, inner]) = geometry(&run.node, &mut params) else {
        return;
    };
    let (multiplier, exponent) = (params.i32(), params.i32());
    let (Some(from), Some(to)) = (run.node.input(0), run.node.output(0)) else {
        return;
    };
    let (input, output) = (run.input::<T>(0), run.output::<T>(0));
    let (low, high) = (T::SMALLEST, -1 - T::SMALLEST);
    for (i, cell) in output.iter().enumerate() {
        let start = i / inner.max(1) * size * inner + i % inner.max(1);
        let (mut product, mut places) = (1i64, 0i32);
        for s in 0..size {
            let value: i32 = input.get(start + s * inner).into();
            product *= i64::from(value - from.zero_point);
            let excess = (64 - product.unsigned_abs().leading_zeros()).saturating_sub(KEPT);
            if excess > 0 {
                product = (product + (1 << (excess - 1))) >> excess;
                places = places.saturating_add(excess as i32);
            }
        }
        let scaled = scaled(product, multiplier, exponent.saturating_add(places));
        cell.set(T::from_clamped(
            scaled.saturating_add(to.zero_point).clamp(low, high),
        ));
    }
}

/// `product * multiplier * 2^(shift - 31)`, rounded, halves up; what is beyond every output is one that is.
fn scaled(product: i64, multiplier: i32, shift: i32) -> i32 {
    let size = (64 - product.unsigned_abs().leading_zeros()) as i32;
    match size.saturating_add(shift) {
        // Below half a step, and far above all steps.
        ..0 => 0,
        20.. if product != 0 => product.signum() as i32 * (1 << 20),
        // Rounding above may have made it 2^31.
        _ => match i32::try_from(product) {
            Ok(product) => requantize_single(product, multiplier, shift.clamp(-31, 30)),
            Err(_) => requantize_single(
                (product >> 1) as i32,
                multiplier,
                (shift + 1).clamp(-31, 30),
            ),
        },
    }
}

#[cfg(feature = "host")]
pub(crate) use host::factor;

#[cfg(feature = "host")]
mod host {
    use format::fixed::quantize_multiplier;

    /// `scale^count / to` as a multiplier of 31 bits and an exponent.
    pub(crate) fn factor(scale: f32, count: usize, to: f32) -> (i32, i32) {
        let (mut factor, mut exponent) = (1.0 / f64::from(to), 0i32);
        for _ in 0..count {
            factor *= f64::from(scale);
            // A power of two more or less keeps it where it has all its bits.
            let places = (factor.to_bits() >> 52) as i32 - 1023;
            factor *= 2f64.powi(-places);
            exponent = exponent.saturating_add(places);
        }
        let (multiplier, shift) = quantize_multiplier(factor);
        (multiplier, exponent.saturating_add(shift))
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use crate::host::{Data, Quantization, Tensor, evaluate};
    use crate::ops::reduce::{Function, Reduce};
    use format::Shape;
    use format::fixed::Rounding;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    fn products(data: Data, rows: u32, from: (f32, i32), to: (f32, i32)) -> Vec<i64> {
        let shape = Shape::new(&[rows, data.len() as u32 / rows]).unwrap();
        let q = |(scale, zero)| Some(Quantization::per_tensor(scale, zero));
        let input = [Some((Tensor { shape, data }, q(from)))];
        let reduce = Reduce {
            function: Function::Product,
            first: 1,
            last: 1,
        };
        let made = evaluate(&reduce, &input, &[q(to)], Rounding::High)
            .unwrap()
            .remove(0);
        made.data.to_i64().unwrap()
    }

    /// Far below and above what fits, and back.
    #[test]
    fn long_rows_neither_vanish_nor_overflow() {
        // 101 steps of 0.01 from -1 are 1.01; 100 of them 2.7048.
        let made = products(Data::I8(vec![100; 100]), 1, (0.01, -1), (0.03, -10));
        assert_eq!(made, [80]);
        // 200 factors of 2.55 and 200 of 0.39 are 0.34.
        let mut bytes = vec![127; 200];
        bytes.extend(vec![-89; 200]);
        let exact = (2.55f64.powi(200) * 0.39f64.powi(200) / 0.001).min(127.0);
        let made = products(Data::I8(bytes), 1, (0.01, -128), (0.001, 0));
        assert_eq!(made, [exact.round() as i64]);
        assert_eq!(
            products(Data::I8(vec![127; 200]), 1, (0.01, -128), (1.0, 0)),
            [127]
        );
        assert_eq!(
            products(Data::I8(vec![-128; 200]), 1, (0.01, 127), (1.0, 3)),
            [127]
        );
        assert_eq!(
            products(Data::I8(vec![-127; 201]), 1, (0.01, 127), (1.0, 3)),
            [-128]
        );
        assert_eq!(
            products(Data::I8(vec![-128; 300]), 1, (0.01, -128), (1.0, 3)),
            [3]
        );
        assert_eq!(
            products(Data::I8(vec![-127; 300]), 1, (0.01, -128), (1.0, 3)),
            [3]
        );
    }

    proptest! {
        #[test]
        fn products_are_the_rounded_real_ones(
            values in prop::collection::vec(any::<i8>(), 12),
            zero in any::<i8>(),
            scales in (0.005f32..0.05, 0.01f32..1.0),
            is_wide: bool,
        ) {
            let zero = if is_wide { 0 } else { i32::from(zero) };
            let unit = if is_wide { 250.0 } else { 1.0 };
            let data = match is_wide {
                true => Data::I16(values.iter().map(|&value| 250 * i16::from(value)).collect()),
                false => Data::I8(values.clone()),
            };
            let from = if is_wide { scales.0 / 250.0 } else { scales.0 };
            let to_zero = if is_wide { 0 } else { 5 };
            let made = products(data, 3, (from, zero), (scales.1, to_zero));
            let limit = if is_wide { 32_768.0 } else { 128.0 };
            for (row, got) in values.chunks(4).zip(made) {
                let real = |&value: &i8| (f64::from(value) * unit - f64::from(zero)) * f64::from(from);
                let exact = row.iter().map(real).product::<f64>() / f64::from(scales.1);
                let exact = (exact + f64::from(to_zero)).clamp(-limit, limit - 1.0);
                prop_assert!((got as f64 - exact).abs() <= 0.502, "{row:?}: {got} {exact}");
            }
        }
    }
}
