//! The words of eight depthwise channels, as blocks have them: even channels before odd ones.

use core::arch::global_asm;

global_asm!(
    ".cpu cortex-m55",
    ".thumb",
    ".syntax unified",
    ".section .text.helium_high_parameters,\"ax\",%progbits",
    ".global helium_high_parameters",
    ".type helium_high_parameters,%function",
    ".thumb_func",
    "helium_high_parameters:",
    "push {{r4, lr}}",
    "ldr r12, [sp, #8]",
    "movs r4, #0",
    "vidup.u32 q2, r4, #8",
    "vldrw.u32 q0, [r2, q2]",
    "adds r2, #4",
    "vldrw.u32 q1, [r2, q2]",
    "vshr.s32 q3, q0, #12",
    "vshl.s32 q3, r3",
    "vstrw.32 q3, [r0]",
    "vshr.s32 q3, q1, #12",
    "vshl.s32 q3, r3",
    "vstrw.32 q3, [r0, #16]",
    "vshl.i32 q0, q0, #20",
    "vshl.u32 q0, r12",
    "vstrw.32 q0, [r1]",
    "vshl.i32 q1, q1, #20",
    "vshl.u32 q1, r12",
    "vstrw.32 q1, [r1, #16]",
    "pop {{r4, pc}}",
    ".section .text.helium_double_parameters,\"ax\",%progbits",
    ".global helium_double_parameters",
    ".type helium_double_parameters,%function",
    ".thumb_func",
    "helium_double_parameters:",
    "push {{r4, lr}}",
    "movs r4, #0",
    "vidup.u32 q2, r4, #8",
    "vshl.i32 q3, q2, #1",
    "vadd.i32 q2, q2, q3",
    ".macro helium_word to, at",
    "vldrw.u32 q0, [r2, q2]",
    "vstrw.32 q0, [\\to, #\\at]",
    "adds r2, #4",
    ".endm",
    "helium_word r0, 0",
    "helium_word r1, 0",
    "helium_word r3, 0",
    "helium_word r0, 16",
    "helium_word r1, 16",
    "helium_word r3, 16",
    "pop {{r4, pc}}",
);

unsafe extern "C" {
    /// Biases and multipliers of eight packed channels. Multipliers are shifted to the left by
    /// `multiplier_shift` from the upper end of their words, so that it is not above 0.
    pub(super) fn helium_high_parameters(
        biases: *mut i32,
        multipliers: *mut i32,
        channels: *const u32,
        bias_shift: i32,
        multiplier_shift: i32,
    );

    /// Biases, multipliers and shifts of eight channels with three words each.
    pub(super) fn helium_double_parameters(
        biases: *mut i32,
        multipliers: *mut i32,
        channels: *const i32,
        shifts: *mut i32,
    );
}
