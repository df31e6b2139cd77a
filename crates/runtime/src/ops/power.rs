//! An int8 tensor to the power of another with broadcasting: `2^(b log2 |a|)` in fixed point, so that every
//! target gives the same bits, within a thousandth of a step of the rounded real result.
//!
//! Tables hold the logarithm of every `a` and every `b` as whole numbers. Where `a` is negative, `b` within
//! a thousandth of a whole number is that number, and any other has no power: what is made is zero then, as
//! of whatever is no number.

use super::broadcast::{Places, broadcast};
use crate::Run;
use format::{DType, Node};

/// Binary places of logarithms.
const PLACES: u32 = 24;

/// The logarithm of zero.
const NO_LOGARITHM: i32 = i32::MIN;

/// What a negative number to the power of `b` is.
mod sign {
    /// A positive number.
    pub(super) const EVEN: i8 = 0;
    /// A negative number.
    pub(super) const ODD: i8 = 1;
    /// No number.
    #[cfg(feature = "host")]
    pub(super) const NONE: i8 = 2;
}

/// Those of them that lie between two of [`POWERS`].
const BETWEEN: u32 = PLACES - 5;

/// 2 to the power of 32nds from 0 to 1, with 30 binary places.
const POWERS: [u32; 33] = [
    1_073_741_824,
    1_097_253_708,
    1_121_280_436,
    1_145_833_280,
    1_170_923_762,
    1_196_563_654,
    1_222_764_986,
    1_249_540_052,
    1_276_901_417,
    1_304_861_917,
    1_333_434_672,
    1_362_633_090,
    1_392_470_869,
    1_422_962_010,
    1_454_120_821,
    1_485_961_921,
    1_518_500_250,
    1_551_751_076,
    1_585_730_000,
    1_620_452_965,
    1_655_936_265,
    1_692_196_547,
    1_729_250_827,
    1_767_116_489,
    1_805_811_301,
    1_845_353_420,
    1_885_761_398,
    1_927_054_196,
    1_969_251_188,
    2_012_372_174,
    2_056_437_387,
    2_101_467_502,
    2_147_483_648,
];

/// Whether operands and tables fit.
pub(super) fn check(node: &Node<'_>) -> Option<()> {
    let (a, b, output) = (node.input(0)?, node.input(1)?, node.output(0)?);
    let types = [a.dtype, b.dtype, output.dtype] == [DType::I8; 3];
    let tables = [node.input(2)?, node.input(3)?, node.input(4)?];
    let whole = tables.iter().all(|table| table.shape.elements() == 256);
    let kinds = tables.map(|table| table.dtype) == [DType::I32, DType::I32, DType::I8];
    let zeros = [a, b, output]
        .iter()
        .all(|tensor| (-128..=127).contains(&tensor.zero_point));
    let shape = broadcast(&a.shape, &b.shape)?;
    (types && whole && kinds && zeros && shape == output.shape).then_some(())
}

/// Computes the output.
pub(super) fn run(run: &Run<'_>) {
    let (Some(a), Some(b), Some(to)) = (run.node.input(0), run.node.input(1), run.node.output(0))
    else {
        return;
    };
    let mut params = run.node.params();
    let (shift, step) = (u32::from(params.u8()).min(62), i64::from(params.i32()));
    let limits = super::limits_i8(&mut params).map(i64::from);
    let (logarithms, exponents) = (run.input::<i32>(2), run.input::<i32>(3));
    let signs = run.input::<i8>(4);
    let place = |byte: i8| usize::from(byte as u8);
    let power = |x: i8, y: i8| {
        let (logarithm, exponent) = (logarithms.get(place(x)), exponents.get(place(y)));
        let steps = match (logarithm, exponent.signum()) {
            // Nothing is divided by.
            (NO_LOGARITHM, -1) => LARGEST,
            (NO_LOGARITHM, 1) => 0,
            (NO_LOGARITHM, _) => raised(-step),
            _ => {
                let product = i64::from(logarithm) * i64::from(exponent);
                let half = (1i64 << shift) >> 1;
                raised((product.saturating_add(half) >> shift).saturating_sub(step))
            }
        };
        match signs.get(place(y)) {
            _ if i32::from(x) >= a.zero_point => steps,
            sign::EVEN => steps,
            sign::ODD => -steps,
            _ => 0,
        }
    };
    let (x, y, output) = (run.input::<i8>(0), run.input::<i8>(1), run.output::<i8>(0));
    let mut pairs = Places::new([&a.shape, &b.shape], to.shape);
    for cell in output {
        let [at_x, at_y] = pairs.advance();
        let value = power(x.get(at_x), y.get(at_y)) + i64::from(to.zero_point);
        cell.set(value.clamp(limits[0], limits[1]) as i8);
    }
}

/// Steps beyond those of any output.
const LARGEST: i64 = 512;

/// The nearest whole number to 2 to the power of a number with [`PLACES`].
fn raised(exponent: i64) -> i64 {
    let whole = exponent >> PLACES;
    if whole >= 9 {
        return LARGEST;
    }
    if whole < -1 {
        return 0;
    }
    let fraction = exponent & ((1 << PLACES) - 1);
    let (index, rest) = (fraction >> BETWEEN, fraction & ((1 << BETWEEN) - 1));
    let at = |index: i64| {
        POWERS
            .get(index as usize)
            .map_or(0, |&power| i64::from(power))
    };
    let (low, high) = (at(index), at(index + 1));
    // Between two points the curve lies below the line by a parabola: `(ln(2) / 32)^2 / 2` is 246 / 2^20.
    let parabola = (rest * ((1 << BETWEEN) - rest)) >> BETWEEN;
    let below = (((low * 246) >> 20) * parabola) >> BETWEEN;
    let power = low + (((high - low) * rest) >> BETWEEN) - below;
    let right = 30 - whole;
    (power + (1 << (right - 1))) >> right
}

#[cfg(feature = "host")]
pub(crate) use host::lower;

#[cfg(feature = "host")]
mod host {
    use super::{NO_LOGARITHM, PLACES, sign};
    use crate::host::{Activation, Lowered, LoweredOperand, Operand, activation_limits};
    use format::{DType, ParamsWriter, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// How near an exponent is to a whole number that it stands for.
    const NEAR: f64 = 1e-3;

    /// The node of a power.
    pub(crate) fn lower(
        [a, b]: [&Operand<'_>; 2],
        output: &Operand<'_>,
        activation: Activation,
    ) -> Result<Lowered, String> {
        let of = [a.affine()?, b.affine()?, output.affine()?];
        let reals = |(scale, zero): (f32, i32)| {
            (0..=255u8).map(move |byte| f64::from(i32::from(byte as i8) - zero) * f64::from(scale))
        };
        let unit = f64::from(1u32 << PLACES);
        let logarithm = |real: f64| match real == 0.0 {
            true => NO_LOGARITHM,
            false => (real.abs().log2() * unit).round() as i32,
        };
        let logarithms = reals(of[0]).map(logarithm);
        let largest = reals(of[1]).fold(0.0, |most: f64, real| most.max(real.abs()));
        // Products with logarithms below 2^31 fit 62 bits.
        let fits = |&shift: &u8| largest * 2f64.powi(shift.into()) < 2f64.powi(30);
        let shift = (0..=62u8)
            .rev()
            .find(fits)
            .ok_or("its exponents are too large")?;
        let exponents = reals(of[1]).map(|real| (real * 2f64.powi(shift.into())).round() as i32);
        let signs = reals(of[1]).map(|real| match real.round() {
            whole if (real - whole).abs() > NEAR => sign::NONE,
            whole if whole.rem_euclid(2.0) == 0.0 => sign::EVEN,
            _ => sign::ODD,
        });
        let words = |values: &mut dyn Iterator<Item = i32>| -> Vec<u8> {
            values.flat_map(i32::to_le_bytes).collect()
        };
        let tables = [
            (DType::I32, words(&mut logarithms.into_iter())),
            (DType::I32, words(&mut exponents.into_iter())),
            (DType::I8, signs.map(|sign| sign as u8).collect()),
        ];
        let shape = Shape::new(&[256]).ok_or("too many dimensions")?;
        let mut operands = std::vec![LoweredOperand::Input(0), LoweredOperand::Input(1)];
        operands.extend(tables.map(|(dtype, bytes)| LoweredOperand::Constant {
            dtype,
            shape,
            bytes,
        }));
        let [low, high] = activation_limits(activation, output)?;
        let step = (f64::from(of[2].0).log2() * unit).round() as i32;
        let mut params = ParamsWriter::default();
        params
            .u8(shift)
            .i32(step)
            .u8(low as i8 as u8)
            .u8(high as i8 as u8);
        let code = crate::ops::binary::POWER_I8.code;
        Ok(Lowered {
            code,
            operands,
            params: params.finish(),
        })
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::{PLACES, raised};
    use crate::ops::binary::Function;
    use crate::ops::binary::tests::of_rows;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn curves_between_points_are_followed() {
        for at in -30_000..150_000i64 {
            let exponent = at * 1009;
            let exact = (exponent as f64 / f64::from(1 << PLACES)).exp2();
            let got = raised(exponent) as f64;
            assert!(
                (got - exact.min(512.0)).abs() <= 0.5 + exact * 1e-6,
                "{exponent}: {got} {exact}"
            );
        }
    }

    fn powers(a: (&[i8], (f32, i32)), b: (&[i8], (f32, i32)), to: (f32, i32)) -> Vec<i8> {
        of_rows(Function::Pow, a, b, to)
    }

    /// Halves from -1, by quarters from 3, in eighths from -100.
    #[test]
    fn signs_and_zeros_are_those_of_real_powers() {
        let made = powers(
            (&[5, -5, -5, -5, -1, -1, -1, 3], (0.5, -1)),
            (&[11, 11, 7, 5, 5, 3, -1, 2], (0.25, 3)),
            (0.125, -100),
        );
        // 3^2, (-2)^2, (-2)^1, (-2)^0.5, 0^0.5, 0^0, 0^-1, 2^-0.25.
        assert_eq!(made, [-28, -68, -116, -100, -100, -92, 127, -93]);
    }

    proptest! {
        #[test]
        fn powers_are_near_the_rounded_real_ones(
            pairs in prop::collection::vec((-128i8..=127, any::<i8>()), 1..40),
            scales in (1e-3f32..0.5, 1e-3f32..0.1, 1e-3f32..1.0),
            zeros in any::<(i8, i8)>(),
        ) {
            let (a, b): (Vec<i8>, Vec<i8>) = pairs.into_iter().unzip();
            // Positive numbers, but for zero.
            let made = powers((&a, (scales.0, -128)), (&b, (scales.1, zeros.0.into())), (scales.2, zeros.1.into()));
            for ((&x, &y), got) in a.iter().zip(&b).zip(made) {
                let x = f64::from(i32::from(x) + 128) * f64::from(scales.0);
                let y = f64::from(i32::from(y) - i32::from(zeros.0)) * f64::from(scales.1);
                let exact = x.powf(y) / f64::from(scales.2) + f64::from(zeros.1);
                let exact = exact.clamp(-128.0, 127.0);
                prop_assert!((f64::from(got) - exact).abs() <= 0.502, "{x}^{y}: {got}, not {exact}");
            }
        }
    }
}
