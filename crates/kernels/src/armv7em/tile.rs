//! The inner loops of convolutions over widened windows: four pixels at a time, channel after
//! channel, or four channels at a time of one pixel.
//!
//! A step is four weights of a channel. Where the number of weights is no multiple of four, the
//! last step has the last four, and zeros for the inputs that another step has had.

#[cfg(all(armv7em, target_arch = "arm"))]
pub(super) use hardware::{
    tile_of_channels, tile_of_channels_double, tile_of_channels_single, tile_of_narrow_channels,
    tile_of_narrow_channels_double, tile_of_narrow_channels_single, tile_of_pixels,
    tile_of_pixels_double, tile_of_pixels_single,
};
#[cfg(not(all(armv7em, target_arch = "arm")))]
mod model;
#[cfg(not(all(armv7em, target_arch = "arm")))]
pub(super) use model::{
    tile_of_channels, tile_of_channels_double, tile_of_channels_single, tile_of_narrow_channels,
    tile_of_narrow_channels_double, tile_of_narrow_channels_single, tile_of_pixels,
    tile_of_pixels_double, tile_of_pixels_single,
};

/// Four pixels. The order is known to the loop's text.
#[repr(C)]
pub(super) struct Pixels {
    /// Where the first channel of each pixel goes. Pixels that there are not repeat the last.
    pub(super) outputs: [*mut i8; 4],
    /// Eight words a step: for each pixel, even and odd elements.
    pub(super) inputs: *const u32,
    /// Whole steps, not 0.
    pub(super) steps: usize,
    /// Bytes to the last step's weights, modulo 2^32; 0 where all steps are whole.
    pub(super) back: usize,
    /// Left shift of biases.
    pub(super) bias_shift: u32,
    /// Left shift of multipliers.
    pub(super) multiplier_shift: u32,
    pub(super) zero_point: i32,
    /// The output's limits, as signed bytes at the lower end.
    pub(super) low: u32,
    pub(super) high: u32,
    /// Whether the limits are narrower than the type's: 0 or 1.
    pub(super) is_limited: u32,
    /// The end of the channels' records.
    pub(super) end: *const u32,
    /// Rows of weights, one for each channel, one behind the other.
    pub(super) weights: *const i8,
    /// Records, one for each channel, at least one: packed ones, or three words each for
    /// [`tile_of_pixels_single`] and [`tile_of_pixels_double`].
    pub(super) records: *const u32,
}

/// One pixel. The order is known to the loops' text.
#[repr(C)]
pub(super) struct Channels<T> {
    /// Two words a step, even and odd elements; or four bytes as they are.
    pub(super) inputs: *const T,
    /// Whole steps, not 0.
    pub(super) steps: usize,
    /// Bytes of a channel's weights.
    pub(super) taps: usize,
    /// See [`Pixels`].
    pub(super) back: usize,
    /// What biases are multiplied with: a power of two.
    pub(super) bias_factor: u32,
    /// Left shift of multipliers.
    pub(super) multiplier_shift: u32,
    pub(super) zero_point: i32,
    /// The output's limits, four times each.
    pub(super) low: u32,
    pub(super) high: u32,
    /// Rows of weights, one for each channel, one behind the other.
    pub(super) weights: *const i8,
    /// Records, one for each channel, at least four: packed ones, or three words each for
    /// [`tile_of_channels_single`] and [`tile_of_channels_double`].
    pub(super) records: *const u32,
    /// Where the first channel goes.
    pub(super) output: *mut i8,
    /// Channels behind the first four. The last four may begin among those before.
    pub(super) left: usize,
}

impl<T> Channels<T> {
    /// The same pixel with other inputs.
    pub(super) fn with<U>(&self, inputs: *const U) -> Channels<U> {
        Channels {
            inputs,
            steps: self.steps,
            taps: self.taps,
            back: self.back,
            bias_factor: self.bias_factor,
            multiplier_shift: self.multiplier_shift,
            zero_point: self.zero_point,
            low: self.low,
            high: self.high,
            weights: self.weights,
            records: self.records,
            output: self.output,
            left: self.left,
        }
    }
}

#[cfg(all(armv7em, target_arch = "arm"))]
mod hardware {
    use crate::armv7em::finish::{byte_double, byte_single};
    use core::arch::naked_asm;

    /// What a channel of packed records begins with, and what turns its sums into bytes.
    macro_rules! high {
        (bias) => {
            concat!(
                "ldr r4, [lr], #4\n",
                "ldrd r0, r2, [r3, #16]\n",
                "ldr r12, [r3, #28]\n",
                "asrs r4, r4, #12\n",
                "lsl.w r4, r4, r12\n",
            )
        };
        (bytes) => {
            concat!(
                "ldr r12, [lr, #-4]\n",
                "ldrd r2, r0, [r3, #32]\n",
                "ubfx r12, r12, #0, #12\n",
                "lsl.w r12, r12, r2\n",
                "smmlar r4, r4, r12, r0\n",
                "smmlar r5, r5, r12, r0\n",
                "smmlar r6, r6, r12, r0\n",
                "smmlar r7, r7, r12, r0\n",
                "ssat r4, #8, r4\n",
                "ssat r5, #8, r5\n",
                "ssat r6, #8, r6\n",
                "ssat r7, #8, r7\n",
            )
        };
    }

    /// The same for records of three words, with the text that makes bytes of sums.
    macro_rules! wide {
        ($byte:ident bias) => {
            concat!("ldr r4, [lr], #12\n", "ldrd r0, r2, [r3, #16]\n")
        };
        ($byte:ident bytes) => {
            concat!(
                "ldrd r12, r2, [lr, #-8]\n",
                "ldr r0, [r3, #36]\n",
                "mvns r2, r2\n",
                // Half steps, and half a step more.
                "lsls r0, r0, #1\n",
                "adds r0, #1\n",
                $byte!("r4", "r12", "r2", "r0"),
                $byte!("r5", "r12", "r2", "r0"),
                $byte!("r6", "r12", "r2", "r0"),
                $byte!("r7", "r12", "r2", "r0"),
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

    /// The text of one step, and of limits.
    macro_rules! one_step {
        () => {
            concat!(
                ".macro tile_step\n",
                "ldr r12, [r1], #4\n",
                "ldmia r0!, {{r8, r9, r10, r11}}\n",
                "sxtb16 r3, r12\n",
                "sxtb16 r12, r12, ror #8\n",
                "smlad r4, r3, r8, r4\n",
                "smlad r5, r3, r10, r5\n",
                "smlad r4, r12, r9, r4\n",
                "smlad r5, r12, r11, r5\n",
                "ldmia r0!, {{r8, r9, r10, r11}}\n",
                "smlad r6, r3, r8, r6\n",
                "smlad r7, r3, r10, r7\n",
                "smlad r6, r12, r9, r6\n",
                "smlad r7, r12, r11, r7\n",
                ".endm\n",
                ".macro tile_limit sum\n",
                "ssub8 r2, \\sum, r8\n",
                "sel \\sum, \\sum, r8\n",
                "ssub8 r2, r9, \\sum\n",
                "sel \\sum, \\sum, r9\n",
                ".endm\n",
            )
        };
    }

    /// Every channel of four pixels, by the rule of the records.
    macro_rules! pixels {
        ($(#[$doc:meta])* $name:ident, $rule:ident) => {
            $(#[$doc])*
            ///
            /// # Safety
            ///
            /// All that `tile` points to has the sizes that it tells; there are at least four
            /// weights in a row, and outputs for all channels of all pixels.
            #[unsafe(naked)]
        pub(in crate::armv7em) unsafe extern "C" fn $name(tile: &mut super::Pixels) {
            naked_asm!(
                env!("KERNELS_CPU"),
                one_step!(),
                "push {{r0, r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
                "mov r3, r0",
                "ldrd r1, lr, [r3, #56]",
                // A channel: its bias four times.
                "2:",
                $rule!(bias),
                "mov r5, r4",
                "mov r6, r4",
                "mov r7, r4",
                "subs r2, #4",
                "blo 4f",
                "3:",
                "tile_step",
                "tile_step",
                "tile_step",
                "tile_step",
                "subs r2, #4",
                "bhs 3b",
                "4:",
                "adds r2, #4",
                "beq 6f",
                "5:",
                "tile_step",
                "subs r2, #1",
                "bne 5b",
                "6:",
                "ldr r3, [sp]",
                "ldr r12, [r3, #24]",
                "cmp r12, #0",
                "beq 7f",
                "add r1, r12",
                "tile_step",
                "ldr r3, [sp]",
                // Sums become bytes.
                "7:",
                $rule!(bytes),
                "ldrd r2, r0, [r3, #48]",
                "cbz r2, 8f",
                "ldrd r8, r9, [r3, #40]",
                "tile_limit r4",
                "tile_limit r5",
                "tile_limit r6",
                "tile_limit r7",
                "8:",
                // In an order in which a pixel that there is not does no harm.
                "ldm r3, {{r8, r9, r10, r11}}",
                "strb r7, [r11], #1",
                "strb r6, [r10], #1",
                "strb r5, [r9], #1",
                "strb r4, [r8], #1",
                "stm r3, {{r8, r9, r10, r11}}",
                "cmp lr, r0",
                "bne.w 2b",
                "pop {{r0, r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
                ".purgem tile_step",
                ".purgem tile_limit",
            )
        }
        };
    }

    pixels!(
        /// Every channel of four pixels.
        tile_of_pixels, high
    );
    pixels!(
        /// As [`tile_of_pixels`], with [`super::super::finish::Rule::Single`].
        tile_of_pixels_single, single
    );
    pixels!(
        /// As [`tile_of_pixels`], with [`super::super::finish::Rule::Double`].
        tile_of_pixels_double, double
    );

    /// What turns the sums of four channels with packed records at r12 into bytes, and what moves
    /// r1 on by the records of r5 channels.
    macro_rules! high_channels {
        (bytes) => {
            concat!(
                // Bias, multiplier and zero point of one sum.
                ".macro row_finish sum, record\n",
                "asr.w lr, \\record, #12\n",
                "mla \\sum, lr, r0, \\sum\n",
                "ubfx \\record, \\record, #0, #12\n",
                "lsl.w \\record, \\record, r1\n",
                "smmlar \\sum, \\sum, \\record, r2\n",
                "ssat \\sum, #8, \\sum\n",
                ".endm\n",
                "ldm r12, {{r8, r9, r10, r11}}\n",
                "ldrd r0, r1, [r3, #16]\n",
                "ldr r2, [r3, #24]\n",
                "row_finish r4, r8\n",
                "row_finish r5, r9\n",
                "row_finish r6, r10\n",
                "row_finish r7, r11\n",
                ".purgem row_finish\n",
            )
        };
        (advance) => {
            "add.w r1, r1, r5, lsl #2\n"
        };
    }

    /// The same for records of three words, with the text that makes bytes of sums.
    macro_rules! wide_channels {
        ($byte:ident bytes) => {
            concat!(
                ".macro row_finish sum\n",
                "ldm r12!, {{r8, r9, r10}}\n",
                "add \\sum, r8\n",
                "mvn.w r10, r10\n",
                $byte!("\\sum", "r9", "r10", "r2"),
                ".endm\n",
                "ldr r2, [r3, #24]\n",
                // Half steps, and half a step more.
                "lsls r2, r2, #1\n",
                "adds r2, #1\n",
                "row_finish r4\n",
                "row_finish r5\n",
                "row_finish r6\n",
                "row_finish r7\n",
                ".purgem row_finish\n",
            )
        };
        ($byte:ident advance) => {
            "add.w r1, r1, r5, lsl #2\nadd.w r1, r1, r5, lsl #3\n"
        };
    }
    macro_rules! single_channels {
        ($part:ident) => {
            wide_channels!(byte_single $part)
        };
    }
    macro_rules! double_channels {
        ($part:ident) => {
            wide_channels!(byte_double $part)
        };
    }

    /// A product of one pixel and four channels after four, by the rule of the records and the
    /// instructions that load the inputs of a step from r0 on, even ones into r10 and odd ones
    /// into r11.
    macro_rules! channels {
        ($(#[$doc:meta])* $name:ident, $input:ty, $rule:ident, $($load:literal),+) => {
            $(#[$doc])*
            ///
            /// # Safety
            ///
            /// All that `tile` points to has the sizes that it tells; there are at least four
            /// weights in a row.
            #[unsafe(naked)]
            pub(in crate::armv7em) unsafe extern "C" fn $name(
                tile: &mut super::Channels<$input>,
            ) {
                naked_asm!(
                    env!("KERNELS_CPU"),
                    ".macro row_step",
                    $($load,)+
                    "ldr r12, [r1, r8]",
                    "ldr lr, [r1, r8, lsl #1]",
                    "sxtb16 r3, r12",
                    "sxtb16 r12, r12, ror #8",
                    "smlad r5, r3, r10, r5",
                    "smlad r5, r12, r11, r5",
                    "sxtb16 r3, lr",
                    "sxtb16 lr, lr, ror #8",
                    "smlad r6, r3, r10, r6",
                    "smlad r6, lr, r11, r6",
                    "ldr r12, [r1, r9]",
                    "ldr lr, [r1], #4",
                    "sxtb16 r3, r12",
                    "sxtb16 r12, r12, ror #8",
                    "smlad r7, r3, r10, r7",
                    "smlad r7, r12, r11, r7",
                    "sxtb16 r3, lr",
                    "sxtb16 lr, lr, ror #8",
                    "smlad r4, r3, r10, r4",
                    "smlad r4, lr, r11, r4",
                    ".endm",
                    "push {{r0, r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
                    "mov r3, r0",
                    // Four channels.
                    "2:",
                    "ldr r1, [r3, #36]",
                    "ldm r3, {{r0, r2, r8}}",
                    "movs r4, #0",
                    "movs r5, #0",
                    "movs r6, #0",
                    "movs r7, #0",
                    "add r9, r8, r8, lsl #1",
                    "subs r2, #4",
                    "blo 8f",
                    "3:",
                    "row_step",
                    "row_step",
                    "row_step",
                    "row_step",
                    "subs r2, #4",
                    "bhs 3b",
                    "8:",
                    "adds r2, #4",
                    "beq 5f",
                    "4:",
                    "row_step",
                    "subs r2, #1",
                    "bne 4b",
                    "5:",
                    "ldr r3, [sp]",
                    "ldr r12, [r3, #12]",
                    "cmp r12, #0",
                    "beq 6f",
                    "add r1, r12",
                    "row_step",
                    "ldr r3, [sp]",
                    // Sums become bytes, within the limits.
                    "6:",
                    "ldr r12, [r3, #40]",
                    $rule!(bytes),
                    "bfi r4, r5, #8, #8",
                    "bfi r6, r7, #8, #8",
                    "pkhbt r4, r4, r6, lsl #16",
                    "ldrd r8, r9, [r3, #28]",
                    "ssub8 r5, r4, r8",
                    "sel r4, r4, r8",
                    "ssub8 r5, r9, r4",
                    "sel r4, r4, r9",
                    "add.w r12, r3, #36",
                    "ldm r12, {{r0, r1, r2, r8}}",
                    "str r4, [r2]",
                    // On by four channels, or by as many as there are.
                    "cmp r8, #0",
                    "beq 7f",
                    "mov r5, r8",
                    "cmp r5, #4",
                    "it hi",
                    "movhi r5, #4",
                    "ldr r6, [r3, #8]",
                    "mla r0, r5, r6, r0",
                    $rule!(advance),
                    "add r2, r5",
                    "sub.w r8, r8, r5",
                    "stm r12, {{r0, r1, r2, r8}}",
                    "b 2b",
                    "7:",
                    "pop {{r0, r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
                    ".purgem row_step",
                )
            }
        };
    }

    channels!(
        /// Every channel of one pixel.
        tile_of_channels, u32, high_channels, "ldrd r10, r11, [r0], #8"
    );
    channels!(
        /// As [`tile_of_channels`], with [`super::super::finish::Rule::Single`].
        tile_of_channels_single, u32, single_channels, "ldrd r10, r11, [r0], #8"
    );
    channels!(
        /// As [`tile_of_channels`], with [`super::super::finish::Rule::Double`].
        tile_of_channels_double, u32, double_channels, "ldrd r10, r11, [r0], #8"
    );
    channels!(
        /// As [`tile_of_channels`], with inputs as they are. All steps are whole.
        tile_of_narrow_channels, i8, high_channels,
        "ldr r11, [r0], #4", "sxtb16 r10, r11", "sxtb16 r11, r11, ror #8"
    );
    channels!(
        /// As [`tile_of_narrow_channels`], with [`super::super::finish::Rule::Single`].
        tile_of_narrow_channels_single, i8, single_channels,
        "ldr r11, [r0], #4", "sxtb16 r10, r11", "sxtb16 r11, r11, ror #8"
    );
    channels!(
        /// As [`tile_of_narrow_channels`], with [`super::super::finish::Rule::Double`].
        tile_of_narrow_channels_double, i8, double_channels,
        "ldr r11, [r0], #4", "sxtb16 r10, r11", "sxtb16 r11, r11, ror #8"
    );
}
