//! Dot products of windows with the weights of four output channels at a time.
//!
//! `VMLADAVA` multiplies 16 pairs of bytes and adds them to a general register, of which six hold
//! sums: three windows by two channels, so that five loads serve six such instructions. Tails of
//! any length are predicated by the loop. Two passes make four channels, which one vector then
//! scales with their parameters. One window takes four channels in one pass.

use core::arch::global_asm;

/// What the routine for three windows takes. The order is known to its text.
#[repr(C)]
pub(super) struct Pixels {
    /// Zeros for six sums, and between them windows of `taps` bytes each.
    pub(super) begin: [*const i8; 9],
    /// Packed channels, at least four.
    pub(super) channels: *const u32,
    /// Where each window's outputs go, which may be equal where windows are.
    pub(super) to: [*mut i8; 3],
    /// Left shift of biases.
    pub(super) bias_shift: i32,
    /// Left shift of multipliers that are at the upper end of their words: not above 0.
    pub(super) multiplier_shift: i32,
    pub(super) zero_point: i32,
    /// Bytes from the end of a row of weights to the end of its last vector.
    pub(super) behind: usize,
    /// The end of the packed channels.
    pub(super) end: *const u32,
    /// Rows of `taps` bytes, one per output channel.
    pub(super) weights: *const i8,
    /// Not 0.
    pub(super) taps: usize,
    pub(super) min: i32,
    pub(super) max: i32,
    /// How often this is to be done, not 0. 0 afterwards.
    pub(super) groups: usize,
    /// Bytes from a window to that of the next group.
    pub(super) window_step: usize,
    /// Bytes from the end of a window's outputs to those of the next group.
    pub(super) to_step: usize,
    /// The start of the packed channels.
    pub(super) start: *const u32,
}

impl Pixels {
    /// Sets the windows.
    pub(super) fn set_windows(&mut self, windows: [*const i8; 3]) {
        [self.begin[1], self.begin[3], self.begin[5]] = windows;
    }
}

/// What the routine for one window takes. The order is known to its text.
#[repr(C)]
pub(super) struct Product {
    /// A zero, the window of `taps` bytes, three zeros.
    pub(super) begin: [*const i8; 5],
    /// Where the outputs go.
    pub(super) to: *mut i8,
    /// See [`Pixels`].
    pub(super) bias_shift: i32,
    pub(super) multiplier_shift: i32,
    pub(super) zero_point: i32,
    pub(super) behind: usize,
    /// Rows of `taps` bytes, one per output channel.
    pub(super) weights: *const i8,
    /// Not 0.
    pub(super) taps: usize,
    /// Packed channels. Null: `to` is an array of 32-bit sums, which get no bias.
    pub(super) channels: *const u32,
    /// Output channels, not 0.
    pub(super) outputs: usize,
    pub(super) min: i32,
    pub(super) max: i32,
}

global_asm!(
    ".cpu cortex-m55",
    ".thumb",
    ".syntax unified",
    // Three windows by two channels, whose weights r7 and r9 point to.
    ".macro helium_six_sums",
    "ldm r11, {{r0-r6, r8, r10}}",
    "dlstp.8 lr, r12",
    "2:",
    "vldrb.u8 q0, [r7], #16",
    "vldrb.u8 q1, [r9], #16",
    "vldrb.u8 q2, [r1], #16",
    "vmladava.s8 r0, q0, q2",
    "vmladava.s8 r2, q1, q2",
    "vldrb.u8 q2, [r3], #16",
    "vmladava.s8 r4, q0, q2",
    "vmladava.s8 r6, q1, q2",
    "vldrb.u8 q2, [r5], #16",
    "vmladava.s8 r8, q0, q2",
    "vmladava.s8 r10, q1, q2",
    "letp lr, 2b",
    ".endm",
    // Three vectors of sums with bias become bytes, r6 being the zero point.
    ".macro helium_thrice",
    "vadd.i32 q3, q3, q1",
    "vadd.i32 q4, q4, q1",
    "vadd.i32 q5, q5, q1",
    "vrmulh.s32 q3, q3, q0",
    "vrmulh.s32 q4, q4, q0",
    "vrmulh.s32 q5, q5, q0",
    "vadd.i32 q3, q3, r6",
    "vadd.i32 q4, q4, r6",
    "vadd.i32 q5, q5, r6",
    "vmax.s32 q3, q3, q6",
    "vmax.s32 q4, q4, q6",
    "vmax.s32 q5, q5, q6",
    "vmin.s32 q3, q3, q7",
    "vmin.s32 q4, q4, q7",
    "vmin.s32 q5, q5, q7",
    ".endm",
    ".section .text.helium_product_3,\"ax\",%progbits",
    ".global helium_product_3",
    ".type helium_product_3,%function",
    ".thumb_func",
    "helium_product_3:",
    "push {{r4-r11, lr}}",
    "vpush {{d8-d15}}",
    "mov r11, r0",
    "ldrd r0, r1, [r11, #80]",
    "vdup.32 q6, r0",
    "vdup.32 q7, r1",
    "4:",
    "ldrd r7, r12, [r11, #72]",
    "add.w r9, r7, r12, lsl #1",
    "1:",
    // Channels 0 and 2. Behind their weights are those of channels 1 and 3.
    "helium_six_sums",
    "vmov q3[2], q3[0], r0, r2",
    "vmov q4[2], q4[0], r4, r6",
    "vmov q5[2], q5[0], r8, r10",
    "ldr r0, [r11, #64]",
    "sub.w r7, r7, r0",
    "sub.w r9, r9, r0",
    "helium_six_sums",
    "vmov q3[3], q3[1], r0, r2",
    "vmov q4[3], q4[1], r4, r6",
    "vmov q5[3], q5[1], r8, r10",
    // Behind channel 3 is the next channel 0.
    "ldr r0, [r11, #64]",
    "sub.w r7, r9, r0",
    "add.w r9, r7, r12, lsl #1",
    "add.w lr, r11, #36",
    "ldm.w lr, {{r0-r6}}",
    "vldrw.u32 q0, [r0], #16",
    "vshr.s32 q1, q0, #12",
    "vshl.s32 q1, r4",
    "vshl.i32 q0, q0, #20",
    "vshl.u32 q0, r5",
    "helium_thrice",
    "vstrb.32 q3, [r1], #4",
    "vstrb.32 q4, [r2], #4",
    "vstrb.32 q5, [r3], #4",
    "stm.w lr, {{r0-r3}}",
    "ldr r4, [r11, #68]",
    "subs r4, r4, r0",
    "beq 3f",
    "cmp r4, #16",
    "bhs.w 1b",
    // The last four channels begin among those that are done.
    "rsb r4, r4, #16",
    "subs r0, r0, r4",
    "lsrs r4, r4, #2",
    "subs r1, r1, r4",
    "subs r2, r2, r4",
    "subs r3, r3, r4",
    "stm.w lr, {{r0-r3}}",
    "mls r7, r4, r12, r7",
    "add.w r9, r7, r12, lsl #1",
    "b.w 1b",
    // The next group; r1 to r3 are the ends of the outputs.
    "3:",
    "add.w r12, r11, #88",
    "ldm.w r12, {{r4, r5, r6, r8}}",
    "add r1, r6",
    "add r2, r6",
    "add r3, r6",
    "mov r0, r8",
    "stm.w lr, {{r0-r3}}",
    "ldm.w r11, {{r0-r3, r6, r7}}",
    "add r1, r5",
    "add r3, r5",
    "add r7, r5",
    "stm.w r11, {{r0-r3, r6, r7}}",
    "subs r4, #1",
    "str r4, [r11, #88]",
    "bne.w 4b",
    "vpop {{d8-d15}}",
    "pop {{r4-r11, pc}}",
    ".section .text.helium_product_1,\"ax\",%progbits",
    ".global helium_product_1",
    ".type helium_product_1,%function",
    ".thumb_func",
    "helium_product_1:",
    "push {{r4-r11, lr}}",
    "vpush {{d8, d9}}",
    "mov r11, r0",
    "add.w r1, r11, #40",
    "ldm r1, {{r3, r8, r10, r12}}",
    "ldrd r0, r1, [r11, #56]",
    "vdup.32 q2, r0",
    "vdup.32 q3, r1",
    "1:",
    "add.w r5, r3, r8",
    "add.w r7, r5, r8",
    "add.w r9, r7, r8",
    "cmp r12, #4",
    "blt 5f",
    "6:",
    "ldm.w r11, {{r0, r1, r2, r4, r6}}",
    "dlstp.8 lr, r8",
    "2:",
    "vldrb.u8 q0, [r1], #16",
    "vldrb.u8 q1, [r3], #16",
    "vmladava.s8 r0, q0, q1",
    "vldrb.u8 q1, [r5], #16",
    "vmladava.s8 r2, q0, q1",
    "vldrb.u8 q1, [r7], #16",
    "vmladava.s8 r4, q0, q1",
    "vldrb.u8 q1, [r9], #16",
    "vmladava.s8 r6, q0, q1",
    "letp lr, 2b",
    "vmov q0[2], q0[0], r0, r4",
    "vmov q0[3], q0[1], r2, r6",
    "add.w lr, r11, #20",
    "ldm.w lr, {{r0, r1, r2, r4, r6}}",
    // Behind the fourth row is the next first.
    "sub.w r3, r9, r6",
    "vctp.32 r12",
    "cmp.w r10, #0",
    "beq 3f",
    "vpst",
    "vldrwt.u32 q1, [r10], #16",
    "vshr.s32 q4, q1, #12",
    "vshl.s32 q4, r1",
    "vadd.i32 q0, q0, q4",
    "vshl.i32 q1, q1, #20",
    "vshl.u32 q1, r2",
    "vrmulh.s32 q0, q0, q1",
    "vadd.i32 q0, q0, r4",
    "vmax.s32 q0, q0, q2",
    "vmin.s32 q0, q0, q3",
    "vpst",
    "vstrbt.32 q0, [r0], #4",
    "4:",
    "str.w r0, [r11, #20]",
    "subs.w r12, r12, #4",
    "bgt 1b",
    "vpop {{d8, d9}}",
    "pop {{r4-r11, pc}}",
    "3:",
    "vpst",
    "vstrwt.32 q0, [r0], #16",
    "b 4b",
    // The last channels, fewer than four: those that do not exist repeat the first.
    "5:",
    "mov r9, r3",
    "cmp r12, #3",
    "it lt",
    "movlt r7, r3",
    "cmp r12, #2",
    "it lt",
    "movlt r5, r3",
    "b 6b",
);

unsafe extern "C" {
    /// Three windows.
    pub(super) fn helium_product_3(pixels: *mut Pixels);
    /// One window.
    pub(super) fn helium_product_1(product: *mut Product);
}
