//! Sums of two tensors, four elements at a time in 32 bits.

use crate::{AddI8, scalar};
use core::arch::global_asm;

/// What the routine takes. The order is known to its text.
#[repr(C)]
struct Add {
    first: *const i8,
    second: *const i8,
    to: *mut i8,
    /// Elements, not 0.
    count: usize,
    factors: [i32; 2],
    offset: i32,
    /// Not above 0.
    left_shift: i32,
    limits: [i32; 2],
}

global_asm!(
    ".cpu cortex-m55",
    ".thumb",
    ".syntax unified",
    ".section .text.helium_add,\"ax\",%progbits",
    ".global helium_add",
    ".type helium_add,%function",
    ".thumb_func",
    "helium_add:",
    "push {{r4-r10, lr}}",
    "mov r10, r0",
    "ldm r10, {{r0-r9}}",
    "vdup.32 q2, r8",
    "vdup.32 q3, r9",
    "dlstp.32 lr, r3",
    "2:",
    "vldrb.s32 q0, [r0], #4",
    "vldrb.s32 q1, [r1], #4",
    "vmul.i32 q0, q0, r4",
    "vmla.s32 q0, q1, r5",
    "vadd.i32 q0, q0, r6",
    "vshl.s32 q0, r7",
    "vmax.s32 q0, q0, q2",
    "vmin.s32 q0, q0, q3",
    "vstrb.32 q0, [r2], #4",
    "letp lr, 2b",
    "pop {{r4-r10, pc}}",
);

unsafe extern "C" {
    fn helium_add(add: *const Add);
}

/// See [`crate::i8::add`].
pub(crate) fn add(operands: &AddI8<'_>) {
    let [first, second] = operands.inputs;
    let count = operands.output.len();
    if count == 0 || first.len().min(second.len()) < count {
        return scalar::i8::add(operands);
    }
    let add = Add {
        first: first.as_ptr(),
        second: second.as_ptr(),
        to: operands.output.as_ptr().cast_mut().cast(),
        count,
        factors: operands.factors,
        offset: operands.offset,
        left_shift: -i32::from(operands.shift & 31),
        limits: operands.limits.map(i32::from),
    };
    // SAFETY: both inputs and the output have `count` elements, read and written in ascending
    // order, four at most before they are written.
    unsafe { helium_add(&add) };
}
