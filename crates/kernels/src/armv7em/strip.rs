//! The inner loop of depthwise convolutions: four channels at a time of one pixel after another.
//!
//! A block of four channels is a run of words: four biases, four words for each pair of taps as
//! [`super::dsp::pair`] makes them, four multipliers. With records of three words the last four are
//! the distance in bytes of the first channel's record, and three that nothing reads.

#[cfg(all(armv7em, target_arch = "arm"))]
pub(super) use hardware::{strip_of_taps, strip_of_taps_double, strip_of_taps_single};
#[cfg(not(all(armv7em, target_arch = "arm")))]
pub(super) use model::{strip_of_taps, strip_of_taps_double, strip_of_taps_single};

/// Pairs of taps that the loop takes in one round.
pub(super) const ROUND: usize = 5;

/// Pixels of one row whose taps are equally far from each other. The order is known to the
/// loop's text.
#[repr(C)]
pub(super) struct Strip {
    /// The addresses of the first pixel's taps for channel 0, two for a pair, then a null.
    pub(super) taps: *const *const i8,
    /// Pairs by which the first round is shorter than [`ROUND`].
    pub(super) skipped: usize,
    /// The blocks of all channels. The last one may begin among channels of the one before.
    pub(super) blocks: *const u32,
    /// The output's zero point.
    pub(super) zero_point: i32,
    /// The output's limits, four times each.
    pub(super) low: u32,
    pub(super) high: u32,
    /// Bytes from the taps to the last block of the pixel.
    pub(super) last: usize,
    /// The output, as far before the pixel's as its taps are behind `taps`.
    pub(super) output: *mut i8,
    /// Pixels, not 0.
    pub(super) pixels: usize,
    /// Bytes from a pixel's taps to the next one's.
    pub(super) step: usize,
    /// How much farther a pixel's outputs are from the next one's: modulo 2^32.
    pub(super) output_step: usize,
    /// Bytes from a pixel's last block to the next one's first: modulo 2^32.
    pub(super) back: usize,
    /// The records of all channels, three words each: for rules other than that of the high word.
    pub(super) records: *const u32,
}

#[cfg(all(armv7em, target_arch = "arm"))]
mod hardware {
    use crate::armv7em::finish::{byte_double, byte_single};
    use core::arch::naked_asm;

    /// What turns the sums of a block with multipliers into bytes.
    macro_rules! high {
        () => {
            concat!(
                "ldmia r2!, {{r8, r9, r10, r11}}\n",
                "ldr r12, [r3, #12]\n",
                "smmlar r4, r4, r8, r12\n",
                "smmlar r5, r5, r9, r12\n",
                "smmlar r6, r6, r10, r12\n",
                "smmlar r7, r7, r11, r12\n",
                "ssat r4, #8, r4\n",
                "ssat r5, #8, r5\n",
                "ssat r6, #8, r6\n",
                "ssat r7, #8, r7\n",
            )
        };
    }

    /// The same with records of three words, with the text that makes bytes of sums.
    macro_rules! wide {
        ($byte:ident) => {
            concat!(
                "ldr r8, [r2], #16\n",
                "ldr r9, [r3, #48]\n",
                "ldr r12, [r3, #12]\n",
                "add r8, r9\n",
                // Half steps, and half a step more.
                "lsl.w r12, r12, #1\n",
                "add.w r12, r12, #1\n",
                wide!($byte "r4", "4"),
                wide!($byte "r5", "16"),
                wide!($byte "r6", "28"),
                wide!($byte "r7", "40"),
            )
        };
        ($byte:ident $sum:literal, $record:literal) => {
            concat!(
                "ldrd r9, r10, [r8, #", $record, "]\n",
                "mvn.w r10, r10\n",
                $byte!($sum, "r9", "r10", "r12"),
            )
        };
    }
    macro_rules! single {
        () => {
            wide!(byte_single)
        };
    }
    macro_rules! double {
        () => {
            wide!(byte_double)
        };
    }

    /// The text that joins four bytes, and keeps them within the limits.
    macro_rules! join {
        () => {
            concat!(
                "bfi r4, r5, #8, #8\n",
                "bfi r6, r7, #8, #8\n",
                "pkhbt r4, r4, r6, lsl #16\n",
                "add.w r12, r3, #16\n",
                "ldmia r12, {{r8, r9, r10, r11}}\n",
                "ssub8 r5, r4, r8\n",
                "sel r4, r4, r8\n",
                "ssub8 r5, r9, r4\n",
                "sel r4, r4, r9\n",
            )
        };
    }

    /// The text of one pair.
    macro_rules! one_pair {
        () => {
            concat!(
                // One pair: each tap's four bytes, paired and widened.
                ".macro strip_pair\n",
                "ldrd r3, r12, [r0], #8\n",
                "ldr r3, [r3, r1]\n",
                "ldr.w r12, [r12, r1]\n",
                "ldmia r2!, {{r8, r9, r10, r11}}\n",
                "pkhbt lr, r3, r12, lsl #16\n",
                "pkhtb r12, r12, r3, asr #16\n",
                "sxtb16 r3, lr\n",
                "sxtb16 lr, lr, ror #8\n",
                "smlad r4, r3, r8, r4\n",
                "smlad r5, lr, r9, r5\n",
                "sxtb16 r3, r12\n",
                "sxtb16 r12, r12, ror #8\n",
                "smlad r6, r3, r10, r6\n",
                "smlad r7, r12, r11, r7\n",
                ".endm\n",
            )
        };
    }

    /// Every channel of every pixel, by the rule of the blocks.
    macro_rules! strip {
        ($(#[$doc:meta])* $name:ident, $rule:ident) => {
            $(#[$doc])*
            ///
            /// # Safety
            ///
            /// The taps have four readable bytes for every block of every pixel, `blocks` has as
            /// many blocks as a pixel, and the outputs are writable.
            #[unsafe(naked)]
        pub(in crate::armv7em) unsafe extern "C" fn $name(strip: &mut super::Strip) {
            naked_asm!(
                env!("KERNELS_CPU"),
                one_pair!(),
                "push {{r0, r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
                "mov r3, r0",
                "movs r1, #0",
                // A pixel.
                "2:",
                "ldr r2, [r3, #8]",
                // A block.
                "3:",
                "ldrd r0, r12, [r3]",
                "ldmia r2!, {{r4, r5, r6, r7}}",
                "tbb [pc, r12]",
                "4:",
                ".byte (5f - 4b) / 2",
                ".byte (6f - 4b) / 2",
                ".byte (7f - 4b) / 2",
                ".byte (8f - 4b) / 2",
                ".byte (9f - 4b) / 2",
                ".byte 0",
                "5:",
                "strip_pair",
                "6:",
                "strip_pair",
                "7:",
                "strip_pair",
                "8:",
                "strip_pair",
                "9:",
                "strip_pair",
                "ldr r3, [r0]",
                "cmp r3, #0",
                "bne 5b",
                "ldr r3, [sp]",
                $rule!(),
                join!(),
                "str r4, [r11, r1]",
                "subs r5, r10, r1",
                "beq 12f",
                "cmp r5, #4",
                "it hi",
                "movhi r5, #4",
                "add r1, r5",
                "b 3b",
                // The next pixel.
                "12:",
                "add.w r12, r3, #32",
                "ldmia r12, {{r4, r5, r6, r7}}",
                "add r10, r5",
                "add r11, r6",
                "add r1, r7",
                "strd r10, r11, [r3, #24]",
                "subs r4, #1",
                "str r4, [r3, #32]",
                "bne 2b",
                "pop {{r0, r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
                ".purgem strip_pair",
            )
        }
        };
    }

    strip!(
        /// Computes every channel of every pixel.
        strip_of_taps, high
    );
    strip!(
        /// As [`strip_of_taps`], with [`super::super::finish::Rule::Single`].
        strip_of_taps_single, single
    );
    strip!(
        /// As [`strip_of_taps`], with [`super::super::finish::Rule::Double`].
        strip_of_taps_double, double
    );
}

#[cfg(not(all(armv7em, target_arch = "arm")))]
mod model {
    use crate::armv7em::dsp::sums_of_taps;
    use crate::armv7em::finish::{Rule, high_output, wide_output};

    /// Computes every channel of every pixel.
    ///
    /// # Safety
    ///
    /// The taps have four readable bytes for every block of every pixel, `blocks` has as many
    /// blocks as a pixel, and the outputs are writable.
    pub(in crate::armv7em) unsafe fn strip_of_taps(strip: &mut super::Strip) {
        // SAFETY: the caller's promise.
        unsafe { strip_by(strip, Rule::High) }
    }

    /// As [`strip_of_taps`], with [`Rule::Single`].
    ///
    /// # Safety
    ///
    /// As there; blocks have distances of records.
    pub(in crate::armv7em) unsafe fn strip_of_taps_single(strip: &mut super::Strip) {
        // SAFETY: the caller's promise.
        unsafe { strip_by(strip, Rule::Single) }
    }

    /// As [`strip_of_taps`], with [`Rule::Double`].
    ///
    /// # Safety
    ///
    /// As there; blocks have distances of records.
    pub(in crate::armv7em) unsafe fn strip_of_taps_double(strip: &mut super::Strip) {
        // SAFETY: the caller's promise.
        unsafe { strip_by(strip, Rule::Double) }
    }

    /// # Safety
    ///
    /// As [`strip_of_taps`], with blocks of the rule.
    unsafe fn strip_by(strip: &mut super::Strip, rule: Rule) {
        let mut at = 0usize;
        for _ in 0..strip.pixels {
            let mut words = strip.blocks;
            loop {
                // SAFETY: the caller's promise.
                unsafe {
                    let mut sums = words.cast::<[i32; 4]>().read();
                    words = sums_of_taps(strip.taps, at, words.add(4), &mut sums);
                    for (i, &sum) in sums.iter().enumerate() {
                        let limits = [strip.low, strip.high];
                        let value = match rule {
                            Rule::High => {
                                let multiplier = words.add(i).read();
                                high_output(sum, multiplier, strip.zero_point, limits)
                            }
                            Rule::Single | Rule::Double => {
                                let first = strip.records.byte_add(words.read() as usize);
                                let record = first.cast::<[u32; 3]>().add(i).read();
                                wide_output(rule, sum, record, strip.zero_point, limits)
                            }
                        };
                        strip.output.wrapping_add(at).add(i).write(value);
                    }
                    words = words.add(4);
                }
                if at == strip.last {
                    break;
                }
                at += (strip.last - at).min(4);
            }
            strip.last = strip.last.wrapping_add(strip.step);
            strip.output = strip.output.wrapping_add(strip.output_step);
            at = at.wrapping_add(strip.back);
        }
    }
}
