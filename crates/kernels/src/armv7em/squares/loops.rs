//! The loops over two squares in assembly.
//!
//! [`Products`]: two squares by four channels are eight sums in registers. Where three numbers of a
//! row sum up to one column and three to the other, sums go on from number to number: with the
//! second one added to the first, the one less the other is twice the first less that.

use super::{Inputs, Products};
use crate::armv7em::finish::{byte_double, byte_single};
use core::arch::naked_asm;

/// The text of a column under two squares from the pixels at r0 on, and of a row of both of them.
macro_rules! numbers {
    () => {
        concat!(
            // Numbers 1, 0, 2, 3 of channels from r1 on, even channels and odd ones, to r12 on.
            ".macro square_pixels\n",
            "ldmia.w r0!, {{r4, r6, r8, r10}}\n",
            "ldr r4, [r4, r1]\n",
            "ldr r6, [r6, r1]\n",
            "ldr.w r8, [r8, r1]\n",
            "ldr.w r10, [r10, r1]\n",
            "sxtb16 r5, r4, ror #8\n",
            "sxtb16 r4, r4\n",
            "sxtb16 r7, r6, ror #8\n",
            "sxtb16 r6, r6\n",
            "sxtb16 r9, r8, ror #8\n",
            "sxtb16 r8, r8\n",
            "sxtb16 r11, r10, ror #8\n",
            "sxtb16 r10, r10\n",
            "sadd16 r2, r6, r8\n",
            "sadd16 r3, r7, r9\n",
            "ssub16 r4, r4, r8\n",
            "ssub16 r5, r5, r9\n",
            "ssub16 r8, r8, r6\n",
            "ssub16 r9, r9, r7\n",
            "ssub16 r10, r10, r6\n",
            "ssub16 r11, r11, r7\n",
            "stmia.w r12!, {{r2, r3, r4, r5, r8, r9, r10, r11}}\n",
            ".endm\n",
            // A number of two squares, of even channels and of odd ones, and the way to the next.
            ".macro square_number operation, a, b, c, d, e, f, g, h\n",
            "\\operation r10, \\a, \\b\n",
            "\\operation r11, \\c, \\d\n",
            "strd r10, r11, [r12]\n",
            "\\operation r10, \\e, \\f\n",
            "\\operation r11, \\g, \\h\n",
            "strd r10, r11, [r12, #8]\n",
            "add r12, r1\n",
            ".endm\n",
            // Numbers 1, 2, 0, 3 of columns that are 32 bytes apart.
            ".macro square_row\n",
            "ldrd r2, r3, [r0, #32]\n",
            "ldrd r4, r5, [r0, #64]\n",
            "ldrd r6, r7, [r0, #96]\n",
            "ldrd r8, r9, [r0, #128]\n",
            "square_number sadd16, r2, r4, r6, r8, r3, r5, r7, r9\n",
            "square_number ssub16, r4, r2, r8, r6, r5, r3, r9, r7\n",
            "ldrd r10, r11, [r0]\n",
            "ssub16 r10, r10, r4\n",
            "ssub16 r4, r4, r8\n",
            "strd r10, r4, [r12]\n",
            "ssub16 r11, r11, r5\n",
            "ssub16 r5, r5, r9\n",
            "strd r11, r5, [r12, #8]\n",
            "add r12, r1\n",
            "ldrd r10, r11, [r0, #160]\n",
            "ssub16 r2, r6, r2\n",
            "ssub16 r10, r10, r6\n",
            "strd r2, r10, [r12]\n",
            "ssub16 r3, r7, r3\n",
            "ssub16 r11, r11, r7\n",
            "strd r3, r11, [r12, #8]\n",
            "add r12, r1\n",
            ".endm\n",
        )
    };
}

/// Transforms all channels of the pixels under two squares: four channels at a time, columns and then
/// rows, on the stack in between.
///
/// # Safety
///
/// Pixels are readable, and `to` is writable for all numbers of all channels.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn transform(inputs: &Inputs) {
    naked_asm!(
        env!("KERNELS_CPU"),
        numbers!(),
        "push {{r0, r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        "sub sp, #196",
        "movs r1, #0",
        // Four channels.
        "2:",
        "ldr r0, [sp, #196]",
        "str r1, [sp, #192]",
        "mov r12, sp",
        "add.w lr, sp, #192",
        "3:",
        "square_pixels",
        "cmp r12, lr",
        "bne 3b",
        "ldr.w lr, [sp, #196]",
        "ldr.w r12, [lr, #96]",
        "add.w r12, r12, r1, lsl #2",
        "ldr.w r1, [lr, #100]",
        // The last row first.
        "add r0, sp, #24",
        "4:",
        "square_row",
        "cmp r0, sp",
        "sub.w r0, r0, #8",
        "bne 4b",
        "ldr r1, [sp, #192]",
        "ldr.w r0, [lr, #104]",
        "adds r1, #4",
        "cmp r1, r0",
        "bne.w 2b",
        "add sp, #196",
        "pop {{r0, r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
        ".purgem square_pixels",
        ".purgem square_number",
        ".purgem square_row",
    )
}

/// What is loaded for the packed record of a channel, and what turns sums with bias into bytes.
macro_rules! high {
    (record) => {
        concat!(
            "ldr r12, [lr], #4\n",
            "ldrd r4, r5, [r3, #44]\n",
            "asr.w r2, r12, #12\n",
            "lsl.w r2, r2, r4\n",
            "ubfx r12, r12, #0, #12\n",
            "lsl.w r12, r12, r5\n",
        )
    };
    (bytes) => {
        concat!(
            "ldr.w r8, [r3, #52]\n",
            "smmlar r4, r4, r12, r8\n",
            "smmlar r5, r5, r12, r8\n",
            "smmlar r6, r6, r12, r8\n",
            "smmlar r7, r7, r12, r8\n",
            "ssat r4, #8, r4\n",
            "ssat r5, #8, r5\n",
            "ssat r6, #8, r6\n",
            "ssat r7, #8, r7\n",
        )
    };
}

/// The same for a record of three words, with the text that makes bytes of sums.
macro_rules! wide {
    ($byte:ident record) => {
        "ldrd r2, r12, [lr], #12\n"
    };
    ($byte:ident bytes) => {
        concat!(
            "ldr r8, [lr, #-4]\n",
            "ldr.w r9, [r3, #52]\n",
            "mvn.w r8, r8\n",
            // Half steps, and half a step more.
            "lsl.w r9, r9, #1\n",
            "add.w r9, r9, #1\n",
            $byte!("r4", "r12", "r8", "r9"),
            $byte!("r5", "r12", "r8", "r9"),
            $byte!("r6", "r12", "r8", "r9"),
            $byte!("r7", "r12", "r8", "r9"),
        )
    };
}
macro_rules! single {
    ($part:ident) => {
        wide!(byte_single $part)
    };
}
macro_rules! double {
    ($part:ident) => {
        wide!(byte_double $part)
    };
}

/// The text of a pair of inputs, and of limits.
macro_rules! steps {
    () => {
        concat!(
            ".macro square_step\n",
            "ldmia r0!, {{r2, r3}}\n",
            "ldrd r12, lr, [r1], #8\n",
            "smlad r4, r12, r2, r4\n",
            "smlad r8, r12, r3, r8\n",
            "smlad r5, lr, r2, r5\n",
            "smlad r9, lr, r3, r9\n",
            "ldrd r12, lr, [r1], #8\n",
            "smlad r6, r12, r2, r6\n",
            "smlad r10, r12, r3, r10\n",
            "smlad r7, lr, r2, r7\n",
            "smlad r11, lr, r3, r11\n",
            ".endm\n",
            // Twice two sums of the first number, less what they are with the second one added.
            ".macro square_less a, b, at\n",
            "ldrd r2, r3, [sp, #\\at]\n",
            "rsb.w \\a, \\a, r2, lsl #1\n",
            "rsb.w \\b, \\b, r3, lsl #1\n",
            ".endm\n",
            // Two pixels of a column from the sums of its rows 3, 2, 0, 1.
            ".macro square_column upper, lower, at\n",
            "ldr.w r8, [r1, #(192 + \\at)]\n",
            "ldr.w r9, [r1, #(64 + \\at)]\n",
            "ldr.w r10, [r1, #(128 + \\at)]\n",
            "ldr.w r11, [r1, #\\at]\n",
            "add.w \\upper, r8, r9\n",
            "sub.w \\lower, r8, r9\n",
            "add \\upper, r10\n",
            "add \\lower, r11\n",
            "add.w \\upper, r2, \\upper, asr #2\n",
            "add.w \\lower, r2, \\lower, asr #2\n",
            ".endm\n",
            ".macro square_limit sum\n",
            "ssub8 r10, \\sum, r8\n",
            "sel \\sum, \\sum, r8\n",
            "ssub8 r10, r9, \\sum\n",
            "sel \\sum, \\sum, r9\n",
            ".endm\n",
        )
    };
}

/// A channel of one square, by the rule of its record: `$at` is where its sums and pixels are.
macro_rules! square {
    ($rule:ident, $at:literal) => {
        concat!(
            "square_column r4, r6, ",
            $at,
            "\n",
            "square_column r5, r7, (32 + ",
            $at,
            ")\n",
            $rule!(bytes),
            "ldr.w r9, [r3, #64]\n",
            "cmp.w r9, #0\n",
            "beq 6f\n",
            "ldrd r8, r9, [r3, #56]\n",
            "square_limit r4\n",
            "square_limit r5\n",
            "square_limit r6\n",
            "square_limit r7\n",
            // In an order in which a pixel that there is not does no harm.
            "6:\n",
            "ldrd r8, r9, [r3, #",
            $at,
            "]\n",
            "ldrd r10, r11, [r3, #(8 + ",
            $at,
            ")]\n",
            "strb.w r7, [r11, r0]\n",
            "strb.w r6, [r10, r0]\n",
            "strb.w r5, [r9, r0]\n",
            "strb.w r4, [r8, r0]\n",
        )
    };
}

/// All channels of two squares, by the rule of the records.
macro_rules! products {
    ($(#[$doc:meta])* $name:ident, $rule:ident) => {
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// All that `task` points to has the sizes that it tells.
        #[unsafe(naked)]
        pub(super) unsafe extern "C" fn $name(task: &mut Products) {
            naked_asm!(
                env!("KERNELS_CPU"),
                steps!(),
                // The stack: where the inputs of a number end, bytes from number to number, the way
                // back; where sums go, and end; sums of the first number and of the first two.
                "push {{r0, r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
                "sub sp, #84",
                "ldr r2, [r0, #40]",
                "str r2, [sp, #4]",
                // Four channels.
                "2:",
                "ldr r3, [sp, #84]",
                "ldr r1, [r3, #68]",
                "ldrd r0, r2, [r3, #32]",
                "str r0, [sp]",
                "add.w r12, r2, #256",
                "strd r2, r12, [sp, #12]",
                // A row of numbers.
                "3:",
                "movs r4, #0",
                "movs r5, #0",
                "movs r6, #0",
                "movs r7, #0",
                "mov r8, r4",
                "mov r9, r4",
                "mov r10, r4",
                "mov r11, r4",
                "bl 8f",
                "add r2, sp, #20",
                "stm.w r2, {{r4, r5, r6, r7, r8, r9, r10, r11}}",
                "bl 8f",
                "add r2, sp, #52",
                "stm.w r2, {{r4, r5, r6, r7, r8, r9, r10, r11}}",
                "bl 8f",
                "ldr r2, [sp, #12]",
                "stmia.w r2!, {{r4, r5, r6, r7, r8, r9, r10, r11}}",
                "str r2, [sp, #12]",
                "add r2, sp, #52",
                "ldm.w r2, {{r4, r5, r6, r7, r8, r9, r10, r11}}",
                "square_less r4, r5, 20",
                "square_less r6, r7, 28",
                "square_less r8, r9, 36",
                "square_less r10, r11, 44",
                "bl 8f",
                "ldrd r2, r3, [sp, #12]",
                "stmia.w r2!, {{r4, r5, r6, r7, r8, r9, r10, r11}}",
                "str r2, [sp, #12]",
                "cmp r2, r3",
                "bne 3b",
                // Sums become bytes.
                "ldr r3, [sp, #84]",
                "str r1, [r3, #68]",
                "ldr r1, [r3, #36]",
                "ldr.w lr, [r3, #72]",
                "ldr r0, [r3, #76]",
                "5:",
                $rule!(record),
                square!($rule, "16"),
                square!($rule, "0"),
                "adds r0, #1",
                "adds r1, #4",
                "tst.w r0, #3",
                "bne.w 5b",
                "str.w lr, [r3, #72]",
                "str r0, [r3, #76]",
                "ldr r2, [r3, #80]",
                "cmp r0, r2",
                "bne.w 2b",
                "add sp, #84",
                "pop {{r0, r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
                // One number of all inputs.
                "8:",
                "ldrd r2, r3, [sp]",
                "add r2, r3",
                "str r2, [sp]",
                "str.w lr, [sp, #8]",
                "9:",
                "square_step",
                "square_step",
                "square_step",
                "square_step",
                "ldr r2, [sp]",
                "cmp r0, r2",
                "bne 9b",
                "ldr pc, [sp, #8]",
                ".purgem square_step",
                ".purgem square_less",
                ".purgem square_column",
                ".purgem square_limit",
            )
        }
    };
}

products!(
    /// All channels of two squares.
    products, high
);
products!(
    /// As [`products`], with [`super::super::finish::Rule::Single`].
    products_single, single
);
products!(
    /// As [`products`], with [`super::super::finish::Rule::Double`].
    products_double, double
);
