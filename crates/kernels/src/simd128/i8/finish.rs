//! From 32-bit sums to int8 outputs, 8 at a time: exactly [`format::fixed`].

use crate::Conv2dI8;
use core::arch::wasm32::*;
use format::fixed::{Requantize, Rounding, requantize_double, requantize_single};

/// What is the same for all blocks of a convolution.
#[derive(Clone, Copy)]
pub(super) struct Finish {
    zero_point: v128,
    min: v128,
    max: v128,
    near_half: v128,
    near_shift: u32,
    rounding: Rounding,
}

impl Finish {
    pub(super) fn new(operands: &Conv2dI8<'_>) -> Self {
        let Requantize {
            rounding,
            multiplier_shift,
            zero_point,
            min,
            max,
            ..
        } = operands.requantize;
        let near_shift = 32 - u32::from(multiplier_shift);
        Finish {
            zero_point: i16x8_splat(zero_point),
            min: i8x16_splat(min as i8),
            max: i8x16_splat(max as i8),
            near_half: i32x4_splat(1i32.wrapping_shl(near_shift - 1)),
            near_shift,
            rounding,
        }
    }
}

/// A block of 8 outputs: its record has parts of 8 words (see `tiled::i8::Records`).
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    pub(super) finish: &'a Finish,
    pub(super) record: *const i32,
    /// Outputs that exist.
    pub(super) valid: usize,
}

impl Block<'_> {
    /// A part of the record.
    ///
    /// # Safety
    ///
    /// The record is whole, and `part < 4`.
    #[inline(always)]
    unsafe fn part(&self, part: usize) -> [v128; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            let at = self.record.add(part * 8);
            [v128_load(at.cast()), v128_load(at.add(4).cast())]
        }
    }

    /// The first value of the sums.
    ///
    /// # Safety
    ///
    /// The record is whole.
    #[inline(always)]
    pub(super) unsafe fn bias(&self) -> [v128; 2] {
        // SAFETY: the caller's promise.
        unsafe { self.part(0) }
    }

    /// Writes the 8 outputs of one pixel.
    ///
    /// # Safety
    ///
    /// The record is whole and of the rule `S`, and the outputs of the block that exist may be
    /// written at `to`.
    #[inline(always)]
    pub(super) unsafe fn store<S: Scale>(&self, sums: [v128; 2], to: *mut i8) {
        // SAFETY: the caller's promise.
        let parts = unsafe { [self.part(1), self.part(2), self.part(3)] };
        let half = |i: usize| S::scale(self.finish, sums[i], parts.map(|part| part[i]));
        let words = i16x8_narrow_i32x4(half(0), half(1));
        let words = i16x8_add_sat(words, self.finish.zero_point);
        let mut bytes = i8x16_narrow_i16x8(words, words);
        if !S::IS_LIMITED {
            bytes = i8x16_min(i8x16_max(bytes, self.finish.min), self.finish.max);
        }
        // SAFETY: a whole store only where the whole block exists; otherwise the bytes that do.
        unsafe {
            if self.valid == 8 {
                v128_store64_lane::<0>(bytes, to.cast());
            } else {
                let mut copy = [0i8; 16];
                v128_store(copy.as_mut_ptr().cast(), bytes);
                core::ptr::copy_nonoverlapping(copy.as_ptr(), to, self.valid.min(8));
            }
        }
    }
}

/// A rule of `tiled::i8::Rule`: loops are compiled for each.
pub(super) trait Scale {
    /// Whether the scaled sums are within the limits of the outputs.
    const IS_LIMITED: bool = false;

    /// Scales sums by the record's parts behind the bias.
    fn scale(finish: &Finish, sums: v128, parts: [v128; 3]) -> v128;
}

pub(super) struct Near;
pub(super) struct High;
pub(super) struct Lanes;

impl Scale for Near {
    const IS_LIMITED: bool = true;

    #[inline(always)]
    fn scale(finish: &Finish, sums: v128, [multiplier, low, high]: [v128; 3]) -> v128 {
        let limited = i32x4_min(i32x4_max(sums, low), high);
        let products = i32x4_mul(limited, multiplier);
        i32x4_shr(i32x4_add(products, finish.near_half), finish.near_shift)
    }
}

/// The rounded high words of the products. Multipliers have 31 bits: they are not negative.
impl Scale for High {
    #[inline(always)]
    fn scale(_: &Finish, sums: v128, [multiplier, ..]: [v128; 3]) -> v128 {
        let half = i64x2_splat(1 << 31);
        let low = i64x2_add(i64x2_extmul_low_i32x4(sums, multiplier), half);
        let high = i64x2_add(i64x2_extmul_high_i32x4(sums, multiplier), half);
        i32x4_shuffle::<1, 3, 5, 7>(low, high)
    }
}

/// Lane by lane: shifts differ between lanes, and there is no instruction for that. Never
/// inlined: it would crowd the loops' registers.
impl Scale for Lanes {
    #[inline(never)]
    fn scale(finish: &Finish, sums: v128, [multiplier, _, shift]: [v128; 3]) -> v128 {
        let mut scaled = words(sums);
        let (multiplier, shift) = (words(multiplier), words(shift));
        for ((sum, multiplier), shift) in scaled.iter_mut().zip(multiplier).zip(shift) {
            *sum = match finish.rounding {
                Rounding::Double => requantize_double(*sum, multiplier, shift),
                _ => requantize_single(*sum, multiplier, shift),
            };
        }
        let [a, b, c, d] = scaled;
        i32x4(a, b, c, d)
    }
}

fn words(vector: v128) -> [i32; 4] {
    // SAFETY: both are 16 bytes in which every bit pattern is a value.
    unsafe { core::mem::transmute(vector) }
}

/// Evaluates an expression in which a name stands for the type of a rule.
macro_rules! with_rule {
    ($rule:expr, $scale:ident => $body:expr) => {
        match $rule {
            $crate::tiled::i8::Rule::Near => {
                type $scale = $crate::simd128::i8::finish::Near;
                $body
            }
            $crate::tiled::i8::Rule::High => {
                type $scale = $crate::simd128::i8::finish::High;
                $body
            }
            // The others are not packed where lanes are not shifted apart.
            _ => {
                type $scale = $crate::simd128::i8::finish::Lanes;
                $body
            }
        }
    };
}
pub(super) use with_rule;
