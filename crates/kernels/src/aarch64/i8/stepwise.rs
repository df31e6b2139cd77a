//! Sums that are rounded step by step.

use crate::{StepwiseAddI8, scalar};
use core::arch::aarch64::*;

/// Elements that are added at once.
const STEP: usize = 8;

/// Binary places of operands, as instructions take it.
const PLACES: i32 = StepwiseAddI8::PLACES as i32;

/// See [`crate::i8::stepwise_add`].
pub(crate) fn stepwise_add(operands: &StepwiseAddI8<'_>) {
    let [a, b] = operands.inputs;
    let elements = operands.output.len().min(a.len()).min(b.len());
    let whole = elements / STEP * STEP;
    // SAFETY: `whole` is within all three operands.
    unsafe { add_whole(operands, whole) };
    scalar::i8::stepwise_add(&operands.behind(whole));
}

/// The rounded high words of twice the products, shifted, halves away from zero.
#[inline(always)]
unsafe fn rounded(values: int32x4_t, (multiplier, shift): (i32, u8)) -> int32x4_t {
    // SAFETY: every 64-bit Arm has these instructions.
    unsafe {
        let left = vdupq_n_s32(-i32::from(shift & 31));
        let high = vqrdmulhq_n_s32(values, multiplier);
        // Negative values that are shifted are lowered, so that their halves are rounded down.
        let lowered = vshrq_n_s32::<31>(vandq_s32(high, left));
        vrshlq_s32(vaddq_s32(high, lowered), left)
    }
}

/// # Safety
///
/// `whole` is a multiple of [`STEP`] and no more than any operand's length.
unsafe fn add_whole(operands: &StepwiseAddI8<'_>, whole: usize) {
    let [from_a, from_b] = operands.inputs.map(|input| input.as_ptr());
    let to: *mut i8 = operands.output.as_ptr().cast_mut().cast();
    let [low, high] = operands.limits;
    // SAFETY: `i + STEP <= whole`; inputs are read before the output is written.
    unsafe {
        let [zero_a, zero_b] = operands
            .input_zero_points
            .map(|zero| vdup_n_s16(zero as i16));
        let zero_point = vdupq_n_s32(operands.output_zero_point);
        for i in (0..whole).step_by(STEP) {
            let a = vmovl_s8(vld1_s8(from_a.add(i)));
            let b = vmovl_s8(vld1_s8(from_b.add(i)));
            let four = |a: int16x4_t, b: int16x4_t| {
                let a = vshlq_n_s32::<{ PLACES - 1 }>(vsubl_s16(a, zero_a));
                let b = vshlq_n_s32::<PLACES>(vsubl_s16(b, zero_b));
                let sum = vaddq_s32(a, rounded(b, operands.factor));
                vqmovn_s32(vaddq_s32(rounded(sum, operands.output_factor), zero_point))
            };
            let words = vcombine_s16(
                four(vget_low_s16(a), vget_low_s16(b)),
                four(vget_high_s16(a), vget_high_s16(b)),
            );
            let bytes = vmax_s8(vqmovn_s16(words), vdup_n_s8(low));
            vst1_s8(to.add(i), vmin_s8(bytes, vdup_n_s8(high)));
        }
    }
}
