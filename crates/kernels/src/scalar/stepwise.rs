//! Sums that are rounded step by step, in plain Rust.

use crate::StepwiseAddI8;

/// Binary places of operands.
const PLACES: u32 = 20;

/// The rounded high word of twice a product. `value` is below 2^30 in magnitude.
#[inline(always)]
fn doubling_high(value: i32, multiplier: i32) -> i32 {
    // One instruction where there is one for rounded high words.
    let product = i64::from(value << 1) * i64::from(multiplier);
    ((product + (1 << 31)) >> 32) as i32
}

/// A shift to the right that rounds halves away from zero.
#[derive(Clone, Copy)]
struct RoundedShift {
    shift: u8,
    half: i32,
    /// What negative values are lowered by: where nothing is shifted out, nothing.
    lowered_by: i32,
}

impl RoundedShift {
    fn new(shift: u8) -> Self {
        let shift = shift & 31;
        RoundedShift {
            shift,
            half: (1i32.wrapping_shl(shift.into()) as u32 >> 1) as i32,
            lowered_by: i32::from(shift > 0),
        }
    }

    #[inline(always)]
    fn of(self, value: i32) -> i32 {
        (value + self.half + ((value >> 31) & -self.lowered_by)) >> self.shift
    }
}

/// See [`crate::i8::stepwise_add`].
pub(crate) fn stepwise_add(operands: &StepwiseAddI8<'_>) {
    let [low, high] = operands.limits.map(i32::from);
    let [a, b] = operands.inputs;
    let [zero_a, zero_b] = operands.input_zero_points;
    let [(factor_a, shift_a), (factor_b, shift_b)] = operands.factors;
    let [shift_a, shift_b] = [shift_a, shift_b].map(RoundedShift::new);
    let (factor, shift) = operands.output_factor;
    let shift = RoundedShift::new(shift);
    let zero = operands.output_zero_point;
    for (i, cell) in operands.output.iter().enumerate() {
        let a = (i32::from(a.get(i)) - zero_a) << PLACES;
        let b = (i32::from(b.get(i)) - zero_b) << PLACES;
        let sum = shift_a.of(doubling_high(a, factor_a)) + shift_b.of(doubling_high(b, factor_b));
        let output = shift.of(doubling_high(sum, factor)) + zero;
        cell.set(output.max(low).min(high) as i8);
    }
}

#[cfg(test)]
mod tests {
    use super::stepwise_add;
    use crate::StepwiseAddI8;
    use crate::memory::In;
    use core::cell::Cell;
    use format::fixed::requantize_double;
    use proptest::prelude::*;

    proptest! {
        /// The steps as gemmlowp defines them.
        #[test]
        fn sums_are_those_of_the_steps(
            pairs in prop::collection::vec(any::<(i8, i8)>(), 1..30),
            zeros in any::<(i8, i8, i8)>(),
            factors in prop::array::uniform3((0i32..=i32::MAX, 0u8..=31)),
            limits in any::<(i8, i8)>(),
        ) {
            let (a, b): (std::vec::Vec<i8>, std::vec::Vec<i8>) = pairs.into_iter().unzip();
            let output: std::vec::Vec<Cell<i8>> = a.iter().map(|_| Cell::new(0)).collect();
            let limits = [limits.0.min(limits.1), limits.0.max(limits.1)];
            let [of_a, of_b, of_output] = factors;
            stepwise_add(&StepwiseAddI8 {
                inputs: [In::from_slice(&a), In::from_slice(&b)],
                output: &output,
                input_zero_points: [zeros.0.into(), zeros.1.into()],
                factors: [of_a, of_b],
                output_factor: of_output,
                output_zero_point: zeros.2.into(),
                limits,
            });
            let rounded = |x, (factor, shift)| requantize_double(x, factor, -i32::from(shift));
            for ((&a, &b), output) in a.iter().zip(&b).zip(&output) {
                let a = rounded((i32::from(a) - i32::from(zeros.0)) << 20, of_a);
                let b = rounded((i32::from(b) - i32::from(zeros.1)) << 20, of_b);
                let sum = rounded(a + b, of_output) + i32::from(zeros.2);
                let expected = sum.clamp(limits[0].into(), limits[1].into());
                prop_assert_eq!(i32::from(output.get()), expected);
            }
        }
    }
}
