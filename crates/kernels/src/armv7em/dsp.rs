//! The instructions of the DSP extension, and sums made of them.
//!
//! [`hardware`] is what runs on a Cortex-M; [`model`] says in plain Rust what each instruction
//! does, so that everything round them is tested on a host.

#[cfg(all(armv7em, target_arch = "arm"))]
pub(super) use hardware::*;
#[cfg(not(all(armv7em, target_arch = "arm")))]
pub(super) use model::*;

#[cfg(all(armv7em, target_arch = "arm"))]
mod hardware {
    use core::arch::asm;

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
        /// The rounded high word of a product.
        multiply_high, "smmulr {}, {}, {}"
    );
    /// The nearest signed byte, as a word.
    #[inline(always)]
    pub(in crate::armv7em) fn saturate_byte(x: i32) -> u32 {
        let result;
        // SAFETY: it reads and writes registers and the sticky Q flag, which nothing reads.
        unsafe {
            asm!(env!("KERNELS_CPU"), "ssat {}, #8, {}", out(reg) result, in(reg) x,
                options(pure, nomem, nostack, preserves_flags));
        }
        result
    }

    /// Four signed bytes, each within the limits at its place.
    #[inline(always)]
    pub(in crate::armv7em) fn limit_bytes(x: u32, low: u32, high: u32) -> u32 {
        let result;
        // SAFETY: it reads and writes registers and the GE flags, which are not kept.
        unsafe {
            asm!(env!("KERNELS_CPU"),
                "ssub8 {scratch}, {x}, {low}",
                "sel {x}, {x}, {low}",
                "ssub8 {scratch}, {high}, {x}",
                "sel {x}, {x}, {high}",
                x = inout(reg) x => result, low = in(reg) low, high = in(reg) high,
                scratch = out(reg) _, options(pure, nomem, nostack));
        }
        result
    }

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

/// Adds the products of one channel's weights and the inputs of four pixels. A step is four
/// weights, and eight words of inputs: for each pixel, even and odd elements.
///
/// # Safety
///
/// `weights` has 4 readable bytes a step and `inputs` 8 words.
pub(super) unsafe fn sums_of_pixels(
    inputs: *const u32,
    weights: *const i8,
    steps: usize,
    sums: &mut [i32; 4],
) {
    for step in 0..steps {
        // SAFETY: the caller's promise.
        unsafe {
            let word = weights.add(step * 4).cast::<u32>().read_unaligned();
            let (even, odd) = (widen_even(word), widen_odd(word));
            for (pixel, sum) in sums.iter_mut().enumerate() {
                let input = inputs.add(step * 8 + pixel * 2);
                *sum = multiply_add(even, input.read(), *sum);
                *sum = multiply_add(odd, input.add(1).read(), *sum);
            }
        }
    }
}

/// Adds the products of one channel's weights and the inputs of one pixel: two words a step, even
/// and odd elements.
///
/// # Safety
///
/// `weights` has 4 readable bytes a step and `inputs` 2 words.
pub(super) unsafe fn sum_of_pixel(
    inputs: *const u32,
    weights: *const i8,
    steps: usize,
    mut sum: i32,
) -> i32 {
    for step in 0..steps {
        // SAFETY: the caller's promise.
        unsafe {
            let word = weights.add(step * 4).cast::<u32>().read_unaligned();
            let input = inputs.add(step * 2);
            sum = multiply_add(widen_even(word), input.read(), sum);
            sum = multiply_add(widen_odd(word), input.add(1).read(), sum);
        }
    }
    sum
}

/// Adds the products of four channels under pairs of taps, up to the first pair whose address is
/// null. Weights are four words a pair, as [`pair`] makes them. Tells where they end.
///
/// # Safety
///
/// Four bytes are readable `at` bytes behind each address; there are weights for each pair.
pub(super) unsafe fn sums_of_taps(
    mut taps: *const *const i8,
    at: usize,
    mut weights: *const u32,
    sums: &mut [i32; 4],
) -> *const u32 {
    // SAFETY: the caller's promise.
    unsafe {
        while !taps.read().is_null() {
            let read = |i: usize| {
                let tap = taps.add(i).read().wrapping_add(at);
                tap.cast::<u32>().read_unaligned()
            };
            let inputs = pair(read(0), read(1));
            for (i, (sum, input)) in sums.iter_mut().zip(inputs).enumerate() {
                *sum = multiply_add(input, weights.add(i).read(), *sum);
            }
            taps = taps.add(2);
            weights = weights.add(4);
        }
    }
    weights
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

    /// `round_half_up(a * b / 2^32)` of signed words: what loops in assembly begin outputs with.
    pub(in crate::armv7em) fn multiply_high(a: u32, b: u32) -> u32 {
        let product = i64::from(a as i32) * i64::from(b as i32);
        ((product + (1 << 31)) >> 32) as u32
    }

    pub(in crate::armv7em) fn saturate_byte(x: i32) -> u32 {
        x.clamp(-128, 127) as u32
    }

    pub(in crate::armv7em) fn limit_bytes(x: u32, low: u32, high: u32) -> u32 {
        let [x, low, high] = [x, low, high].map(u32::to_le_bytes);
        let limited = |i: usize| (x[i] as i8).max(low[i] as i8).min(high[i] as i8) as u8;
        u32::from_le_bytes([0, 1, 2, 3].map(limited))
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
}
