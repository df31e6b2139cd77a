//! Sums that are rounded step by step, four elements at a time in 32 bits.

use crate::{StepwiseAddI8, scalar};
use core::arch::global_asm;

/// What the routine takes. The order is known to its text.
#[repr(C)]
struct Add {
    limits: [i32; 2],
    /// Not above 0; that of the second operand, and that of the sum.
    left_shifts: [i32; 2],
    first: *const i8,
    second: *const i8,
    to: *mut i8,
    /// Elements, not 0.
    count: usize,
    multipliers: [i32; 2],
    /// Those of the operands, and that of the sum.
    zero_points: [i32; 3],
}

// A value times a multiplier is doubled, its high word rounded. Negative values that are shifted after that
// are lowered, so that their halves are rounded down: both they and their shift are negative.
global_asm!(
    ".cpu cortex-m55",
    ".thumb",
    ".syntax unified",
    ".section .text.helium_stepwise_add,\"ax\",%progbits",
    ".global helium_stepwise_add",
    ".type helium_stepwise_add,%function",
    ".thumb_func",
    "helium_stepwise_add:",
    "push {{r4-r10, lr}}",
    "vpush {{d8-d15}}",
    "ldm r0!, {{r1-r4}}",
    "vdup.32 q2, r1",
    "vdup.32 q3, r2",
    "vdup.32 q4, r3",
    "vdup.32 q5, r4",
    "ldm r0, {{r0-r8}}",
    "dlstp.32 lr, r3",
    "2:",
    "vldrb.s32 q0, [r0], #4",
    "vldrb.s32 q1, [r1], #4",
    "vsub.i32 q0, q0, r6",
    "vsub.i32 q1, q1, r7",
    "vshl.i32 q0, q0, #19",
    "vshl.i32 q1, q1, #20",
    "vqrdmulh.s32 q1, q1, r4",
    "vand q7, q1, q4",
    "vshr.s32 q7, q7, #31",
    "vadd.i32 q1, q1, q7",
    "vrshl.s32 q1, q1, q4",
    "vadd.i32 q0, q0, q1",
    "vqrdmulh.s32 q0, q0, r5",
    "vand q7, q0, q5",
    "vshr.s32 q7, q7, #31",
    "vadd.i32 q0, q0, q7",
    "vrshl.s32 q0, q0, q5",
    "vadd.i32 q0, q0, r8",
    "vmax.s32 q0, q0, q2",
    "vmin.s32 q0, q0, q3",
    "vstrb.32 q0, [r2], #4",
    "letp lr, 2b",
    "vpop {{d8-d15}}",
    "pop {{r4-r10, pc}}",
);

unsafe extern "C" {
    fn helium_stepwise_add(add: *const Add);
}

/// See [`crate::i8::stepwise_add`].
pub(crate) fn stepwise_add(operands: &StepwiseAddI8<'_>) {
    let [first, second] = operands.inputs;
    let count = operands.output.len();
    if count == 0 || first.len().min(second.len()) < count {
        return scalar::i8::stepwise_add(operands);
    }
    let factors = [operands.factor, operands.output_factor];
    let [zero_a, zero_b] = operands.input_zero_points;
    let add = Add {
        limits: operands.limits.map(i32::from),
        left_shifts: factors.map(|(_, shift)| -i32::from(shift & 31)),
        first: first.as_ptr(),
        second: second.as_ptr(),
        to: operands.output.as_ptr().cast_mut().cast(),
        count,
        multipliers: factors.map(|(multiplier, _)| multiplier),
        zero_points: [zero_a, zero_b, operands.output_zero_point],
    };
    // SAFETY: both inputs and the output have `count` elements, read and written in ascending
    // order, four at most before they are written.
    unsafe { helium_stepwise_add(&add) };
}
