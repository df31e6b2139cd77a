//! Sums that are rounded step by step: a product's rounded high word is one instruction.

use super::dsp::{limit_bytes, multiply_high, saturate_byte};
use super::finish::packed;
use crate::scalar::i8::Factor;
use crate::{StepwiseAddI8, scalar};

/// Elements that are added at once: those of a word.
const STEP: usize = 4;

/// See [`crate::i8::stepwise_add`].
pub(crate) fn stepwise_add(operands: &StepwiseAddI8<'_>) {
    const PLACES: u32 = StepwiseAddI8::PLACES;
    let [a, b] = operands.inputs;
    let count = operands.output.len().min(a.len()).min(b.len());
    let whole = count / STEP * STEP;
    let [a, b] = [a.as_ptr(), b.as_ptr()];
    let [zero_a, zero_b] = operands.input_zero_points;
    let [of_b, of_sum] = [operands.factor, operands.output_factor].map(Factor::new);
    let [low, high] = operands.limits.map(|limit| packed(limit.into()));
    let output: *mut i8 = operands.output.as_ptr().cast_mut().cast();
    // Twice a value, whose product with a multiplier is doubled.
    let scaled = |factor: Factor, twice: i32| {
        let high = multiply_high(twice as u32, factor.multiplier as u32);
        factor.shifted(high as i32)
    };
    for at in (0..whole).step_by(STEP) {
        let mut bytes = 0;
        for i in 0..STEP {
            // SAFETY: `at + STEP <= whole`, which is within all operands.
            let [a, b] = [a, b].map(|from| i32::from(unsafe { from.add(at + i).read() }));
            let sum = ((a - zero_a) << (PLACES - 1)) + scaled(of_b, (b - zero_b) << (PLACES + 1));
            let sum = scaled(of_sum, sum << 1) + operands.output_zero_point;
            bytes |= (saturate_byte(sum) & 0xFF) << (8 * i);
        }
        let bytes = limit_bytes(bytes, low, high);
        // SAFETY: as above. Inputs were read before.
        unsafe { output.add(at).cast::<u32>().write_unaligned(bytes) };
    }
    scalar::i8::stepwise_add(&operands.behind(whole));
}
