//! Depthwise convolutions: 16 or 8 channels at a time, tap by tap.
//!
//! Elements and weights are widened to 16 bits as they are loaded; products of even and of odd
//! channels are added in vectors of their own. A table has the address of each tap's pixel, so
//! that padded taps can point to a row of zero points.
//!
//! Parameters are in blocks of 16 channels, then of 8: biases, weights tap by tap, multipliers, and
//! for [`Rule::Double`] shifts to the right as negative numbers. All but weights are words, those
//! of the even channels of an eight before the odd ones.

use core::arch::global_asm;

/// What becomes of sums. The numbers are known to the routine's text.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Rule {
    /// [`format::fixed::requantize_high`].
    High = 0,
    /// Nothing: `to` is an array of 32-bit sums, in whole eights.
    Raw = 1,
    /// [`format::fixed::requantize_double`], to the right only.
    Double = 2,
}

/// What the routine takes. The order is known to its text.
#[repr(C)]
pub(super) struct Depthwise {
    /// The addresses of the first window's taps.
    pub(super) table: *const *const i8,
    /// Not 0.
    pub(super) taps: usize,
    /// Blocks of all channels.
    pub(super) blocks: *const i8,
    /// Channels, not 0.
    pub(super) outputs: usize,
    pub(super) zero_point: i32,
    pub(super) min: i32,
    pub(super) max: i32,
    pub(super) to: *mut i8,
    /// Neighbouring windows, not 0, whose outputs follow each other. 0 afterwards.
    pub(super) pixels: usize,
    /// Bytes from one window to the next.
    pub(super) step: usize,
    /// Bytes from the table's addresses to the first channel.
    pub(super) offset: usize,
    pub(super) rule: Rule,
}

global_asm!(
    ".cpu cortex-m55",
    ".thumb",
    ".syntax unified",
    // To the right by the shifts that are next, halves away from zero.
    ".macro helium_shift sums",
    "vldrw.u32 q4, [r1], #16",
    "vand q5, \\sums, q4",
    "vshr.s32 q5, q5, #31",
    "vqadd.s32 \\sums, \\sums, q5",
    "vrshl.s32 \\sums, \\sums, q4",
    ".endm",
    ".section .text.helium_depthwise,\"ax\",%progbits",
    ".global helium_depthwise",
    ".type helium_depthwise,%function",
    ".thumb_func",
    "helium_depthwise:",
    "push {{r4-r11, lr}}",
    "vpush {{d8-d15}}",
    "mov r11, r0",
    "ldrd r4, r5, [r11, #16]",
    "ldrd r7, r6, [r11, #24]",
    "ldrd r9, r8, [r11, #40]",
    "1:",
    "mov r10, r9",
    "ldrd r1, r12, [r11, #8]",
    "cmp r12, #16",
    "blt.w 4f",
    // Sixteen channels.
    "2:",
    "ldrd r0, lr, [r11]",
    "vldrw.u32 q0, [r1], #16",
    "vldrw.u32 q1, [r1], #16",
    "vldrw.u32 q2, [r1], #16",
    "vldrw.u32 q3, [r1], #16",
    "dls lr, lr",
    "3:",
    "ldr r3, [r0], #4",
    "add r3, r10",
    "vldrb.s16 q4, [r3]",
    "vldrb.s16 q5, [r1], #8",
    "vmullb.s16 q6, q4, q5",
    "vmullt.s16 q7, q4, q5",
    "vldrb.s16 q4, [r3, #8]",
    "vadd.i32 q0, q0, q6",
    "vldrb.s16 q5, [r1], #8",
    "vadd.i32 q1, q1, q7",
    "vmullb.s16 q6, q4, q5",
    "vmullt.s16 q7, q4, q5",
    "vadd.i32 q2, q2, q6",
    "vadd.i32 q3, q3, q7",
    "le lr, 3b",
    "vldrw.u32 q4, [r1], #16",
    "vldrw.u32 q5, [r1], #16",
    "vldrw.u32 q6, [r1], #16",
    "vldrw.u32 q7, [r1], #16",
    "cmp.w r8, #0",
    "bne 7f",
    "vrmulh.s32 q0, q0, q4",
    "vrmulh.s32 q1, q1, q5",
    "vrmulh.s32 q2, q2, q6",
    "vrmulh.s32 q3, q3, q7",
    "10:",
    "vdup.16 q6, r5",
    "vdup.16 q7, r7",
    "vqmovnb.s32 q4, q0",
    "vqmovnt.s32 q4, q1",
    "vqmovnb.s32 q5, q2",
    "vqmovnt.s32 q5, q3",
    "vqadd.s16 q4, q4, r4",
    "vqadd.s16 q5, q5, r4",
    "vmax.s16 q4, q4, q6",
    "vmax.s16 q5, q5, q6",
    "vmin.s16 q4, q4, q7",
    "vmin.s16 q5, q5, q7",
    "vstrb.16 q4, [r6], #8",
    "vstrb.16 q5, [r6], #8",
    "8:",
    "add.w r10, r10, #16",
    "sub.w r12, r12, #16",
    "cmp r12, #16",
    "bge.w 2b",
    "4:",
    "cmp r12, #0",
    "ble.w 9f",
    // Up to eight channels.
    "5:",
    "vctp.16 r12",
    "ldrd r0, lr, [r11]",
    "vldrw.u32 q0, [r1], #16",
    "vldrw.u32 q1, [r1], #16",
    "dls lr, lr",
    "6:",
    "ldr r3, [r0], #4",
    "add r3, r10",
    "vldrb.s16 q5, [r1], #8",
    "vpst",
    "vldrbt.s16 q4, [r3]",
    "vmullb.s16 q6, q4, q5",
    "vmullt.s16 q7, q4, q5",
    "vadd.i32 q0, q0, q6",
    "vadd.i32 q1, q1, q7",
    "le lr, 6b",
    "vldrw.u32 q4, [r1], #16",
    "vldrw.u32 q5, [r1], #16",
    "cmp.w r8, #0",
    "bne 12f",
    "vrmulh.s32 q0, q0, q4",
    "vrmulh.s32 q1, q1, q5",
    "11:",
    "vdup.16 q6, r5",
    "vdup.16 q7, r7",
    "vqmovnb.s32 q4, q0",
    "vqmovnt.s32 q4, q1",
    "vqadd.s16 q4, q4, r4",
    "vmax.s16 q4, q4, q6",
    "vmin.s16 q4, q4, q7",
    "vpst",
    "vstrbt.16 q4, [r6]",
    "cmp r12, #8",
    "ite lt",
    "addlt r6, r12",
    "addge r6, #8",
    "13:",
    "add.w r10, r10, #8",
    "subs.w r12, r12, #8",
    "bgt 5b",
    "9:",
    "ldrd r0, r1, [r11, #32]",
    "add r9, r1",
    "subs r0, #1",
    "str r0, [r11, #32]",
    "bne.w 1b",
    "vpop {{d8-d15}}",
    "pop {{r4-r11, pc}}",
    // Rounded twice; or sums as they are.
    "7:",
    "cmp.w r8, #2",
    "bne 14f",
    "vqrdmulh.s32 q0, q0, q4",
    "vqrdmulh.s32 q1, q1, q5",
    "vqrdmulh.s32 q2, q2, q6",
    "vqrdmulh.s32 q3, q3, q7",
    "helium_shift q0",
    "helium_shift q1",
    "helium_shift q2",
    "helium_shift q3",
    "b.w 10b",
    "14:",
    "vst20.32 {{q0, q1}}, [r6]",
    "vst21.32 {{q0, q1}}, [r6]!",
    "vst20.32 {{q2, q3}}, [r6]",
    "vst21.32 {{q2, q3}}, [r6]!",
    "b 8b",
    "12:",
    "cmp.w r8, #2",
    "bne 15f",
    "vqrdmulh.s32 q0, q0, q4",
    "vqrdmulh.s32 q1, q1, q5",
    "helium_shift q0",
    "helium_shift q1",
    "b.w 11b",
    "15:",
    "vst20.32 {{q0, q1}}, [r6]",
    "vst21.32 {{q0, q1}}, [r6]!",
    "b 13b",
);

unsafe extern "C" {
    /// All channels of neighbouring pixels.
    pub(super) fn helium_depthwise(depthwise: *mut Depthwise);
}
