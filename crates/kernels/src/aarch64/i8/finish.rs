//! From 32-bit sums to int8 outputs, 4 lanes at a time: exactly [`format::fixed`].

use crate::Conv2dI8;
use core::arch::aarch64::*;
use format::fixed::{Requantize, Rounding};

/// What is the same for all blocks of a convolution.
#[derive(Clone, Copy)]
pub(super) struct Finish {
    zero_point: int16x8_t,
    min: int8x16_t,
    max: int8x16_t,
    /// To the right: shifts are to the left, by the instructions' definition.
    near_shift: int32x4_t,
    pub(super) rounding: Rounding,
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
        // SAFETY: this target has the instructions.
        unsafe {
            Finish {
                zero_point: vdupq_n_s16(zero_point),
                min: vdupq_n_s8(min as i8),
                max: vdupq_n_s8(max as i8),
                near_shift: vdupq_n_s32(i32::from(multiplier_shift) - 32),
                rounding,
            }
        }
    }
}

/// A block of 16 outputs: its record has parts of 16 words (see `tiled::i8::Records`).
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    pub(super) finish: &'a Finish,
    pub(super) record: *const i32,
    /// Outputs that exist.
    pub(super) valid: usize,
}

impl Block<'_> {
    /// Vector `n` of a part of the record.
    ///
    /// # Safety
    ///
    /// The record has such a vector: `n < 4`, `part < 4`.
    #[inline(always)]
    unsafe fn part(&self, part: usize, n: usize) -> int32x4_t {
        // SAFETY: the caller's promise.
        unsafe { vld1q_s32(self.record.add(part * 16 + n * 4)) }
    }

    /// The first value of the sums.
    ///
    /// # Safety
    ///
    /// The record is whole, and N <= 4.
    #[inline(always)]
    pub(super) unsafe fn bias<const N: usize>(&self) -> [int32x4_t; N] {
        // SAFETY: the caller's promise, as `n < N`.
        core::array::from_fn(|n| unsafe { self.part(0, n) })
    }

    /// Writes the outputs of one pixel: 8 or 16 sums.
    ///
    /// # Safety
    ///
    /// The record is whole and of the rule `S`, N is 2 or 4, and the outputs of the block that
    /// exist may be written at `to`.
    #[inline(always)]
    pub(super) unsafe fn store<const N: usize, S: Scale>(
        &self,
        mut sums: [int32x4_t; N],
        to: *mut i8,
    ) {
        // SAFETY: the caller's promise, as `n < N`. Whole stores are only where the whole block
        // exists; otherwise the bytes that do are copied.
        unsafe {
            for (n, sums) in sums.iter_mut().enumerate() {
                let parts = [self.part(1, n), self.part(2, n), self.part(3, n)];
                *sums = S::scale(self.finish, *sums, parts);
            }
            let eight = |low: int32x4_t, high: int32x4_t| {
                let words = vqmovn_high_s32(vqmovn_s32(low), high);
                vqmovn_s16(vqaddq_s16(words, self.finish.zero_point))
            };
            let low = eight(sums[0], sums[1]);
            let mut block = vcombine_s8(low, eight(sums[N - 2], sums[N - 1]));
            if !S::IS_LIMITED {
                block = vminq_s8(vmaxq_s8(block, self.finish.min), self.finish.max);
            }
            match (N, self.valid) {
                (4, 16..) => vst1q_s8(to, block),
                (_, 8) => vst1_s8(to, vget_low_s8(block)),
                _ => store_first(block, to, self.valid),
            }
        }
    }
}

/// # Safety
///
/// As many bytes may be written at `to`.
#[inline(never)]
unsafe fn store_first(block: int8x16_t, to: *mut i8, valid: usize) {
    let mut copy = [0i8; 16];
    // SAFETY: 16 bytes, and the caller's promise.
    unsafe {
        vst1q_s8(copy.as_mut_ptr(), block);
        core::ptr::copy_nonoverlapping(copy.as_ptr(), to, valid.min(16));
    }
}

/// A rule of `tiled::i8::Rule`: loops are compiled for each.
pub(super) trait Scale {
    /// Whether the scaled sums are within the limits of the outputs.
    const IS_LIMITED: bool = false;

    /// Scales sums by the record's parts behind the bias.
    fn scale(finish: &Finish, sums: int32x4_t, parts: [int32x4_t; 3]) -> int32x4_t;
}

pub(super) struct Near;
pub(super) struct High;
pub(super) struct Single;
pub(super) struct Double;

/// The shift rounds as adding half of its divisor does, which would not overflow.
impl Scale for Near {
    const IS_LIMITED: bool = true;

    #[inline(always)]
    fn scale(
        finish: &Finish,
        sums: int32x4_t,
        [multiplier, low, high]: [int32x4_t; 3],
    ) -> int32x4_t {
        // SAFETY: this target has the instructions.
        unsafe {
            let limited = vminq_s32(vmaxq_s32(sums, low), high);
            vrshlq_s32(vmulq_s32(limited, multiplier), finish.near_shift)
        }
    }
}

/// The rounded high words of the products. Multipliers have 31 bits: they are not negative.
impl Scale for High {
    #[inline(always)]
    fn scale(_: &Finish, sums: int32x4_t, [multiplier, ..]: [int32x4_t; 3]) -> int32x4_t {
        // SAFETY: this target has the instructions.
        unsafe {
            let [low, high] = products(sums, multiplier);
            vrshrn_high_n_s64::<32>(vrshrn_n_s64::<32>(low), high)
        }
    }
}

/// One rounding shift of the products, by 1 to 62, for any shift of the rule.
impl Scale for Single {
    #[inline(always)]
    fn scale(_: &Finish, sums: int32x4_t, [multiplier, _, shift]: [int32x4_t; 3]) -> int32x4_t {
        // SAFETY: this target has the instructions.
        unsafe {
            let [low, high] = products(sums, multiplier);
            let left = vsubq_s32(shift, vdupq_n_s32(31));
            let low = vrshlq_s64(low, vmovl_s32(vget_low_s32(left)));
            let high = vrshlq_s64(high, vmovl_high_s32(left));
            vqmovn_high_s64(vqmovn_s64(low), high)
        }
    }
}

/// The doubled high word is what one instruction gives. The second rounding is half up; negative
/// values are moved down by one before it, which takes halves away from zero and changes nothing
/// else. For any shift of the rule.
impl Scale for Double {
    #[inline(always)]
    fn scale(_: &Finish, sums: int32x4_t, [multiplier, _, shift]: [int32x4_t; 3]) -> int32x4_t {
        // SAFETY: this target has the instructions.
        unsafe {
            let zero = vdupq_n_s32(0);
            let shifted = vshlq_s32(sums, vmaxq_s32(shift, zero));
            let first = vqrdmulhq_s32(shifted, multiplier);
            let right = vminq_s32(shift, zero);
            let moved = vqaddq_s32(first, vshrq_n_s32::<31>(vandq_s32(first, right)));
            vrshlq_s32(moved, right)
        }
    }
}

#[inline(always)]
fn products(sums: int32x4_t, multiplier: int32x4_t) -> [int64x2_t; 2] {
    // SAFETY: this target has the instructions.
    unsafe {
        let low = vmull_s32(vget_low_s32(sums), vget_low_s32(multiplier));
        [low, vmull_high_s32(sums, multiplier)]
    }
}

/// Evaluates an expression in which a name stands for the type of a rule.
macro_rules! with_rule {
    ($rule:expr, $finish:expr, $scale:ident => $body:expr) => {
        match ($rule, $finish.rounding) {
            ($crate::tiled::i8::Rule::Near, _) => {
                type $scale = $crate::aarch64::i8::finish::Near;
                $body
            }
            ($crate::tiled::i8::Rule::High, _) => {
                type $scale = $crate::aarch64::i8::finish::High;
                $body
            }
            // What is left is packed as `Lanes`.
            (_, format::fixed::Rounding::Double) => {
                type $scale = $crate::aarch64::i8::finish::Double;
                $body
            }
            _ => {
                type $scale = $crate::aarch64::i8::finish::Single;
                $body
            }
        }
    };
}
pub(super) use with_rule;
