//! Copies and fills with predicated tails.

use core::arch::global_asm;

global_asm!(
    ".cpu cortex-m55",
    ".thumb",
    ".syntax unified",
    ".section .text.helium_copy_rows,\"ax\",%progbits",
    ".global helium_copy_rows",
    ".type helium_copy_rows,%function",
    ".thumb_func",
    "helium_copy_rows:",
    "push {{r4-r7, lr}}",
    "ldrd r4, r5, [sp, #20]",
    "1:",
    "mov r6, r0",
    "mov r7, r1",
    "dlstp.8 lr, r2",
    "2:",
    "vldrb.u8 q0, [r7], #16",
    "vstrb.8 q0, [r6], #16",
    "letp lr, 2b",
    "add r0, r3",
    "add r1, r4",
    "subs r5, #1",
    "bne 1b",
    "pop {{r4-r7, pc}}",
    ".section .text.helium_fill,\"ax\",%progbits",
    ".global helium_fill",
    ".type helium_fill,%function",
    ".thumb_func",
    "helium_fill:",
    "push {{r7, lr}}",
    "vdup.8 q0, r1",
    "dlstp.8 lr, r2",
    "2:",
    "vstrb.8 q0, [r0], #16",
    "letp lr, 2b",
    "pop {{r7, pc}}",
);

unsafe extern "C" {
    /// Copies `rows` rows of `bytes` bytes each; `rows` and `bytes` are not 0.
    pub(super) fn helium_copy_rows(
        to: *mut i8,
        from: *const i8,
        bytes: usize,
        to_step: usize,
        from_step: usize,
        rows: usize,
    );

    /// Sets `bytes` bytes; not 0 of them.
    pub(super) fn helium_fill(to: *mut i8, value: i32, bytes: usize);
}
