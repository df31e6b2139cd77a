//! Sums that are rounded step by step, in plain Rust.

use crate::StepwiseAddI8;

/// A multiplier, and a shift to the right that rounds halves away from zero.
#[derive(Clone, Copy)]
pub(crate) struct Factor {
    pub(crate) multiplier: i32,
    pub(crate) shift: u8,
    /// What is added before the shift.
    pub(crate) half: i32,
    /// All bits where something is shifted out: negative values are lowered by 1 then.
    pub(crate) is_shifted: i32,
}

impl Factor {
    pub(crate) fn new((multiplier, shift): (i32, u8)) -> Self {
        let shift = shift & 31;
        Factor {
            multiplier,
            shift,
            half: (1u32.wrapping_shl(shift.into()) >> 1) as i32,
            is_shifted: -i32::from(shift > 0),
        }
    }

    /// The rounded high word of twice the product, shifted; `value` is below 2^30 in magnitude.
    #[inline(always)]
    fn of(self, value: i32) -> i32 {
        let product = i64::from(value << 1) * i64::from(self.multiplier);
        self.shifted(((product + (1 << 31)) >> 32) as i32)
    }

    #[inline(always)]
    pub(crate) fn shifted(self, value: i32) -> i32 {
        (value + self.half + ((value >> 31) & self.is_shifted)) >> self.shift
    }
}

/// See [`crate::i8::stepwise_add`].
pub(crate) fn stepwise_add(operands: &StepwiseAddI8<'_>) {
    const PLACES: u32 = StepwiseAddI8::PLACES;
    let [low, high] = operands.limits.map(i32::from);
    let [a, b] = operands.inputs;
    let [zero_a, zero_b] = operands.input_zero_points;
    let [of_b, of_sum] = [operands.factor, operands.output_factor].map(Factor::new);
    let zero = operands.output_zero_point;
    for (i, cell) in operands.output.iter().enumerate() {
        let a = (i32::from(a.get(i)) - zero_a) << (PLACES - 1);
        let b = of_b.of((i32::from(b.get(i)) - zero_b) << PLACES);
        let output = of_sum.of(a + b) + zero;
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
            factors in prop::array::uniform2((0i32..=i32::MAX, 0u8..=31)),
            limits in any::<(i8, i8)>(),
        ) {
            let (a, b): (std::vec::Vec<i8>, std::vec::Vec<i8>) = pairs.into_iter().unzip();
            let output: std::vec::Vec<Cell<i8>> = a.iter().map(|_| Cell::new(0)).collect();
            let limits = [limits.0.min(limits.1), limits.0.max(limits.1)];
            let [of_b, of_output] = factors;
            stepwise_add(&StepwiseAddI8 {
                inputs: [In::from_slice(&a), In::from_slice(&b)],
                output: &output,
                input_zero_points: [zeros.0.into(), zeros.1.into()],
                factor: of_b,
                output_factor: of_output,
                output_zero_point: zeros.2.into(),
                limits,
            });
            let rounded = |x, (factor, shift)| requantize_double(x, factor, -i32::from(shift));
            for ((&a, &b), output) in a.iter().zip(&b).zip(&output) {
                let a = rounded((i32::from(a) - i32::from(zeros.0)) << 20, (1 << 30, 0));
                let b = rounded((i32::from(b) - i32::from(zeros.1)) << 20, of_b);
                let sum = rounded(a + b, of_output) + i32::from(zeros.2);
                let expected = sum.clamp(limits[0].into(), limits[1].into());
                prop_assert_eq!(i32::from(output.get()), expected);
            }
        }
    }
}
