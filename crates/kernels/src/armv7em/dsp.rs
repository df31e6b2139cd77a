//! The instructions of the DSP extension, and the two inner loops made of them.
//!
//! [`hardware`] is what runs on a Cortex-M; [`model`] says in plain Rust what each instruction
//! does, so that everything round them is tested on a host.

#[cfg(all(armv7em, target_arch = "arm"))]
pub(super) use hardware::*;
#[cfg(not(all(armv7em, target_arch = "arm")))]
pub(super) use model::*;

#[cfg(all(armv7em, target_arch = "arm"))]
mod hardware {
    use core::arch::{asm, naked_asm};

    /// One instruction of two operands.
    macro_rules! instruction {
        ($(#[$doc:meta])* $name:ident, $text:literal) => {
            $(#[$doc])*
            #[inline(always)]
            pub(in crate::armv7em) fn $name(a: u32, b: u32) -> u32 {
                let result;
                // SAFETY: it reads and writes registers only, and every Armv7E-M core has it.
                unsafe {
                    asm!(env!("KERNELS_CPU"), $text, out(reg) result, in(reg) a, in(reg) b,
                        options(pure, nomem, nostack, preserves_flags));
                }
                result
            }
        };
    }

    instruction!(
        /// The lower half of `a` below the lower half of `b`.
        pack_lower, "pkhbt {}, {}, {}, lsl #16"
    );
    instruction!(
        /// The upper half of `b` below the upper half of `a`.
        pack_upper, "pkhtb {}, {}, {}, asr #16"
    );
    instruction!(
        /// `round_half_up(a * b / 2^32)` of signed words.
        multiply_high, "smmulr {}, {}, {}"
    );

    /// Bytes 0 and 2, sign-extended to halves.
    #[inline(always)]
    pub(in crate::armv7em) fn widen_even(x: u32) -> u32 {
        let result;
        // SAFETY: it reads and writes registers only, and every Armv7E-M core has it.
        unsafe {
            asm!(env!("KERNELS_CPU"), "sxtb16 {}, {}", out(reg) result, in(reg) x,
                options(pure, nomem, nostack, preserves_flags));
        }
        result
    }

    /// Bytes 1 and 3, sign-extended to halves.
    #[inline(always)]
    pub(in crate::armv7em) fn widen_odd(x: u32) -> u32 {
        let result;
        // SAFETY: it reads and writes registers only, and every Armv7E-M core has it.
        unsafe {
            asm!(env!("KERNELS_CPU"), "sxtb16 {}, {}, ror #8", out(reg) result, in(reg) x,
                options(pure, nomem, nostack, preserves_flags));
        }
        result
    }

    /// `sum` and both products of the halves.
    #[inline(always)]
    pub(in crate::armv7em) fn multiply_add(a: u32, b: u32, sum: i32) -> i32 {
        let result;
        // SAFETY: it reads and writes registers and the sticky Q flag, which nothing reads.
        unsafe {
            asm!(env!("KERNELS_CPU"), "smlad {}, {}, {}, {}", out(reg) result, in(reg) a, in(reg) b, in(reg) sum,
                options(pure, nomem, nostack, preserves_flags));
        }
        result
    }

    /// See [`super::model::tile_of_pixels`].
    ///
    /// # Safety
    ///
    /// As there.
    #[unsafe(naked)]
    pub(in crate::armv7em) unsafe extern "C" fn tile_of_pixels(
        inputs: *const u32,
        weights: *const i8,
        steps: usize,
        sums: *mut [i32; 4],
    ) {
        naked_asm!(
            env!("KERNELS_CPU"),
            ".macro tile_step",
            "ldr r12, [r1], #4",
            "ldmia r0!, {{r8, r9, r10, r11}}",
            "sxtb16 r3, r12",
            "sxtb16 r12, r12, ror #8",
            "smlad r4, r3, r8, r4",
            "smlad r5, r3, r10, r5",
            "smlad r4, r12, r9, r4",
            "smlad r5, r12, r11, r5",
            "ldmia r0!, {{r8, r9, r10, r11}}",
            "smlad r6, r3, r8, r6",
            "smlad r7, r3, r10, r7",
            "smlad r6, r12, r9, r6",
            "smlad r7, r12, r11, r7",
            ".endm",
            "push {{r3, r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
            "ldm r3, {{r4, r5, r6, r7}}",
            "subs r2, #4",
            "blo 3f",
            "2:",
            "tile_step",
            "tile_step",
            "tile_step",
            "tile_step",
            "subs r2, #4",
            "bhs 2b",
            "3:",
            "adds r2, #4",
            "beq 5f",
            "4:",
            "tile_step",
            "subs r2, #1",
            "bne 4b",
            "5:",
            "ldr r3, [sp]",
            "stm r3, {{r4, r5, r6, r7}}",
            "pop {{r3, r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
            ".purgem tile_step",
        )
    }

    /// A product of one pixel and four channels, by the instructions that load the inputs of a step
    /// from r0 on, even ones into r10 and odd ones into r11.
    macro_rules! channels {
        ($(#[$doc:meta])* $name:ident, $input:ty, $($load:literal),+) => {
            $(#[$doc])*
            ///
            /// # Safety
            ///
            /// As there.
            #[unsafe(naked)]
            pub(in crate::armv7em) unsafe extern "C" fn $name(
                inputs: *const $input,
                weights: *const i8,
                steps: usize,
                row: &mut super::Row,
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
                    "push {{r3, r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
                    "ldm r3, {{r4, r5, r6, r7, r8}}",
                    "add r9, r8, r8, lsl #1",
                    "lsrs r2, r2, #1",
                    "bcc 2f",
                    "row_step",
                    "2:",
                    "cmp r2, #0",
                    "beq 5f",
                    "4:",
                    "row_step",
                    "row_step",
                    "subs r2, #1",
                    "bne 4b",
                    "5:",
                    "ldr r3, [sp]",
                    "stm r3, {{r4, r5, r6, r7}}",
                    "pop {{r3, r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
                    ".purgem row_step",
                )
            }
        };
    }

    channels!(
        /// See [`super::model::tile_of_channels`].
        tile_of_channels, u32, "ldrd r10, r11, [r0], #8"
    );
    channels!(
        /// See [`super::model::tile_of_narrow_channels`].
        tile_of_narrow_channels, i8,
        "ldr r11, [r0], #4", "sxtb16 r10, r11", "sxtb16 r11, r11, ror #8"
    );

    /// See [`super::model::tile_of_taps`].
    ///
    /// # Safety
    ///
    /// As there.
    #[unsafe(naked)]
    pub(in crate::armv7em) unsafe extern "C" fn tile_of_taps(
        taps: *const *const i8,
        at: usize,
        weights: *const u32,
        sums: *mut [i32; 4],
    ) {
        naked_asm!(
            env!("KERNELS_CPU"),
            "push {{r3, r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
            "ldm r3, {{r4, r5, r6, r7}}",
            "2:",
            "ldrd r3, r12, [r0], #8",
            "cmp r3, #0",
            "beq 3f",
            "ldr r3, [r3, r1]",
            "ldr r12, [r12, r1]",
            "ldmia r2!, {{r8, r9, r10, r11}}",
            "pkhbt lr, r3, r12, lsl #16",
            "pkhtb r12, r12, r3, asr #16",
            "sxtb16 r3, lr",
            "sxtb16 lr, lr, ror #8",
            "smlad r4, r3, r8, r4",
            "smlad r5, lr, r9, r5",
            "sxtb16 r3, r12",
            "sxtb16 r12, r12, ror #8",
            "smlad r6, r3, r10, r6",
            "smlad r7, r12, r11, r7",
            "b 2b",
            "3:",
            "ldr r3, [sp]",
            "stm r3, {{r4, r5, r6, r7}}",
            "pop {{r3, r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
        )
    }
}

/// Two taps in a word of each of four channels, from a word of four channels under each tap: the
/// first tap is in the lower half.
#[inline(always)]
pub(super) fn pair(first: u32, second: u32) -> [u32; 4] {
    let lower = pack_lower(first, second);
    let upper = pack_upper(second, first);
    [
        widen_even(lower),
        widen_odd(lower),
        widen_even(upper),
        widen_odd(upper),
    ]
}

/// The sums of four channels whose weights are so many bytes apart.
#[repr(C)]
pub(super) struct Row {
    pub(super) sums: [i32; 4],
    pub(super) apart: usize,
}

#[cfg(not(all(armv7em, target_arch = "arm")))]
mod model {
    fn halves(x: u32) -> [i32; 2] {
        [i32::from(x as i16), (x as i32) >> 16]
    }

    fn join(lower: i32, upper: i32) -> u32 {
        (lower as u32 & 0xFFFF) | (upper as u32) << 16
    }

    pub(in crate::armv7em) fn pack_lower(a: u32, b: u32) -> u32 {
        (a & 0xFFFF) | b << 16
    }

    pub(in crate::armv7em) fn pack_upper(a: u32, b: u32) -> u32 {
        (a & 0xFFFF_0000) | b >> 16
    }

    pub(in crate::armv7em) fn multiply_high(a: u32, b: u32) -> u32 {
        let product = i64::from(a as i32) * i64::from(b as i32);
        ((product + (1 << 31)) >> 32) as u32
    }

    pub(in crate::armv7em) fn widen_even(x: u32) -> u32 {
        let [a, _, c, _] = x.to_le_bytes().map(|byte| i32::from(byte as i8));
        join(a, c)
    }

    pub(in crate::armv7em) fn widen_odd(x: u32) -> u32 {
        widen_even(x.rotate_right(8))
    }

    pub(in crate::armv7em) fn multiply_add(a: u32, b: u32, sum: i32) -> i32 {
        let ([a0, a1], [b0, b1]) = (halves(a), halves(b));
        sum.wrapping_add(a0 * b0).wrapping_add(a1 * b1)
    }

    /// Adds the products of one channel's weights and the inputs of four pixels. A step is four
    /// weights, and eight words of inputs: for each pixel, even and odd elements.
    ///
    /// # Safety
    ///
    /// `weights` has 4 readable bytes a step and `inputs` 8 words.
    pub(in crate::armv7em) unsafe fn tile_of_pixels(
        inputs: *const u32,
        weights: *const i8,
        steps: usize,
        sums: *mut [i32; 4],
    ) {
        for step in 0..steps {
            // SAFETY: the caller's promise.
            unsafe {
                let word = weights.add(step * 4).cast::<u32>().read_unaligned();
                for (pixel, sum) in (*sums).iter_mut().enumerate() {
                    let input = inputs.add(step * 8 + pixel * 2);
                    *sum = multiply_add(widen_even(word), input.read(), *sum);
                    *sum = multiply_add(widen_odd(word), input.add(1).read(), *sum);
                }
            }
        }
    }

    /// Adds the products of four channels' weights and the inputs of one pixel: two words a
    /// step, even and odd elements.
    ///
    /// # Safety
    ///
    /// `weights` has 4 readable bytes a step in each of the rows, `inputs` has 2 words.
    pub(in crate::armv7em) unsafe fn tile_of_channels(
        inputs: *const u32,
        weights: *const i8,
        steps: usize,
        row: &mut super::Row,
    ) {
        for step in 0..steps {
            for (channel, sum) in row.sums.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                unsafe {
                    let from = weights.add(channel * row.apart + step * 4);
                    let word = from.cast::<u32>().read_unaligned();
                    let input = inputs.add(step * 2);
                    *sum = multiply_add(widen_even(word), input.read(), *sum);
                    *sum = multiply_add(widen_odd(word), input.add(1).read(), *sum);
                }
            }
        }
    }

    /// As [`tile_of_channels`], with inputs as they are: four bytes a step.
    ///
    /// # Safety
    ///
    /// `weights` has 4 readable bytes a step in each of the rows, `inputs` has 4.
    pub(in crate::armv7em) unsafe fn tile_of_narrow_channels(
        inputs: *const i8,
        weights: *const i8,
        steps: usize,
        row: &mut super::Row,
    ) {
        for step in 0..steps {
            // SAFETY: the caller's promise.
            unsafe {
                let word = inputs.add(step * 4).cast::<u32>().read_unaligned();
                let widened = [widen_even(word), widen_odd(word)];
                tile_of_channels(widened.as_ptr(), weights.add(step * 4), 1, row);
            }
        }
    }

    /// Adds the products of four channels under pairs of taps, up to the first pair whose address
    /// is null. Weights are four words a pair, as [`super::pair`] makes them.
    ///
    /// # Safety
    ///
    /// Four bytes are readable `at` bytes behind each address; there are weights for each pair.
    pub(in crate::armv7em) unsafe fn tile_of_taps(
        mut taps: *const *const i8,
        at: usize,
        mut weights: *const u32,
        sums: *mut [i32; 4],
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            while !taps.read().is_null() {
                let read = |i: usize| taps.add(i).read().add(at).cast::<u32>().read_unaligned();
                let inputs = super::pair(read(0), read(1));
                for (i, sum) in (*sums).iter_mut().enumerate() {
                    *sum = multiply_add(inputs[i], weights.add(i).read(), *sum);
                }
                taps = taps.add(2);
                weights = weights.add(4);
            }
        }
    }
}
