//! From 32-bit sums to int8 outputs, 8 at a time: exactly [`format::fixed`].

use crate::{Channels, Conv2dI8};
use core::arch::wasm32::*;
use format::fixed::{Rounding, requantize_double, requantize_single};

/// Parameters of a block of 8 outputs.
#[derive(Clone, Copy)]
pub(super) struct Finish {
    rounding: Rounding,
    pub(super) bias: [v128; 2],
    multiplier: [v128; 2],
    shift: [v128; 2],
    /// Limits before the zero point is added.
    low: v128,
    high: v128,
    zero_point: v128,
    /// Outputs that exist.
    valid: usize,
}

impl Finish {
    /// The block of 8 outputs from `channel` on, of which `valid` exist.
    pub(super) fn new(operands: &Conv2dI8<'_>, channel: usize, valid: usize) -> Self {
        let requantize = &operands.requantize;
        let zero = i32::from(requantize.zero_point);
        let none = [i32x4_splat(0); 2];
        let mut finish = Finish {
            rounding: requantize.rounding,
            bias: none,
            multiplier: none,
            shift: none,
            low: i32x4_splat(i32::from(requantize.min) - zero),
            high: i32x4_splat(i32::from(requantize.max) - zero),
            zero_point: i32x4_splat(zero),
            valid,
        };
        let mut block = [[0i32; 8]; 3];
        match operands.channels {
            Channels::High(words) => {
                let known = words.get(channel..).unwrap_or(&[]);
                for (to, &word) in block[0].iter_mut().zip(known) {
                    *to = word as i32;
                }
                for (vector, words) in vectors(&block[0]).into_iter().enumerate() {
                    let bias = i32x4_shr(words, 12);
                    finish.bias[vector] = i32x4_shl(bias, u32::from(requantize.bias_shift));
                    let multiplier = v128_and(words, i32x4_splat(0xFFF));
                    let shift = u32::from(requantize.multiplier_shift);
                    finish.multiplier[vector] = i32x4_shl(multiplier, shift);
                }
            }
            Channels::Wide(words) => {
                finish.rounding = match finish.rounding {
                    Rounding::Double => Rounding::Double,
                    _ => Rounding::Single,
                };
                let records = words.get(channel * 3..).unwrap_or(&[]).chunks_exact(3);
                for (i, record) in records.take(valid).enumerate() {
                    for (part, &word) in block.iter_mut().zip(record) {
                        part[i] = word;
                    }
                }
                let [bias, multiplier, shift] = block;
                finish.bias = vectors(&bias);
                finish.multiplier = vectors(&multiplier);
                finish.shift = vectors(&shift);
            }
        }
        finish
    }

    /// Whether the rule is the high word: loops are compiled for it separately, as it needs far
    /// fewer registers than the other two.
    pub(super) fn is_high(&self) -> bool {
        self.rounding == Rounding::High
    }

    /// Sums scaled by one of the other rules, lane by lane: shifts differ between lanes, and
    /// there is no instruction for that. Never inlined: it would crowd the loops' registers.
    #[inline(never)]
    fn scale_wide(&self, sums: [v128; 2]) -> [v128; 2] {
        let mut scaled = words(sums);
        let (multiplier, shift) = (words(self.multiplier), words(self.shift));
        for ((sum, multiplier), shift) in scaled.iter_mut().zip(multiplier).zip(shift) {
            *sum = match self.rounding {
                Rounding::Double => requantize_double(*sum, multiplier, shift),
                _ => requantize_single(*sum, multiplier, shift),
            };
        }
        vectors(&scaled)
    }

    /// Writes the 8 outputs of one pixel. `HIGH` is [`Finish::is_high`].
    ///
    /// # Safety
    ///
    /// The outputs of the block that exist may be written at `to`.
    #[inline(always)]
    pub(super) unsafe fn store<const HIGH: bool>(&self, mut sums: [v128; 2], to: *mut i8) {
        if HIGH {
            sums = [
                high(sums[0], self.multiplier[0]),
                high(sums[1], self.multiplier[1]),
            ];
        } else {
            sums = self.scale_wide(sums);
        }
        let [first, second] = sums.map(|sum| {
            let limited = i32x4_min(i32x4_max(sum, self.low), self.high);
            i32x4_add(limited, self.zero_point)
        });
        let wide = i16x8_narrow_i32x4(first, second);
        let bytes = i8x16_narrow_i16x8(wide, wide);
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

fn vectors(words: &[i32; 8]) -> [v128; 2] {
    let [a, b, c, d, e, f, g, h] = *words;
    [i32x4(a, b, c, d), i32x4(e, f, g, h)]
}

fn words(vectors: [v128; 2]) -> [i32; 8] {
    // SAFETY: both are 32 bytes in which every bit pattern is a value.
    unsafe { core::mem::transmute(vectors) }
}

/// The rounded high words of the products. Multipliers have 31 bits: they are not negative.
#[inline(always)]
fn high(sums: v128, multiplier: v128) -> v128 {
    let half = i64x2_splat(1 << 31);
    let low = i64x2_add(i64x2_extmul_low_i32x4(sums, multiplier), half);
    let high = i64x2_add(i64x2_extmul_high_i32x4(sums, multiplier), half);
    i32x4_shuffle::<1, 3, 5, 7>(low, high)
}
