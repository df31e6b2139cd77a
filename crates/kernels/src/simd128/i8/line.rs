//! Element by element: sums, and real numbers to integers.

use crate::{AddI8, QuantizeI8, scalar};
use core::arch::wasm32::*;

/// See [`crate::i8::add`].
pub(crate) fn add(operands: &AddI8<'_>) {
    let [a, b] = operands.inputs;
    let whole = operands.output.len().min(a.len()).min(b.len()) / 16 * 16;
    // SAFETY: `whole` is within all three operands.
    unsafe { add_whole(operands, whole) };
    scalar::i8::add(&operands.behind(whole));
}

/// # Safety
///
/// `whole` is a multiple of 16 and no more than any operand's length.
unsafe fn add_whole(operands: &AddI8<'_>, whole: usize) {
    let [a, b] = operands.inputs.map(|input| input.as_ptr());
    let to: *mut i8 = operands.output.as_ptr().cast_mut().cast();
    let [fa, fb] = operands.factors;
    let is_narrow = [fa, fb].iter().all(|&factor| i16::try_from(factor).is_ok());
    let factors = i32x4_splat(fa & 0xFFFF | fb << 16);
    let wide = [i32x4_splat(fa), i32x4_splat(fb)];
    let offset = i32x4_splat(operands.offset);
    let shift = u32::from(operands.shift);
    let [low, high] = operands.limits.map(|limit| i8x16_splat(limit));
    let sum = |pairs: v128| {
        let products = match is_narrow {
            true => i32x4_dot_i16x8(pairs, factors),
            false => {
                let first = i32x4_shr(i32x4_shl(pairs, 16), 16);
                let second = i32x4_shr(pairs, 16);
                i32x4_add(i32x4_mul(first, wide[0]), i32x4_mul(second, wide[1]))
            }
        };
        i32x4_shr(i32x4_add(products, offset), shift)
    };
    let eight = |x: v128, y: v128| {
        let first = i16x8_shuffle::<0, 8, 1, 9, 2, 10, 3, 11>(x, y);
        let second = i16x8_shuffle::<4, 12, 5, 13, 6, 14, 7, 15>(x, y);
        i16x8_narrow_i32x4(sum(first), sum(second))
    };
    for i in (0..whole).step_by(16) {
        // SAFETY: `i + 16 <= whole`. Elements are read before any of them is written, so inputs
        // that start at or behind the output's start may overlap it, as in plain Rust.
        unsafe {
            let (x, y) = (v128_load(a.add(i).cast()), v128_load(b.add(i).cast()));
            let first = eight(i16x8_extend_low_i8x16(x), i16x8_extend_low_i8x16(y));
            let second = eight(i16x8_extend_high_i8x16(x), i16x8_extend_high_i8x16(y));
            let bytes = i8x16_narrow_i16x8(first, second);
            let limited = i8x16_min(i8x16_max(bytes, low), high);
            v128_store(to.add(i).cast(), limited);
        }
    }
}

/// See [`crate::i8::quantize`].
pub(crate) fn quantize(operands: &QuantizeI8<'_>) {
    let whole = operands.output.len().min(operands.input.len()) / 8 * 8;
    // SAFETY: `whole` is within both operands.
    unsafe {
        match operands.halves_to_even {
            true => quantize_whole(operands, whole, rounded_to_even),
            false => quantize_whole(operands, whole, rounded_away),
        }
    }
    scalar::i8::quantize(&QuantizeI8 {
        input: operands.input.part(whole, operands.input.len()),
        output: operands.output.get(whole..).unwrap_or(&[]),
        ..*operands
    });
}

/// # Safety
///
/// `whole` is a multiple of 8 and no more than either operand's length.
#[inline(always)]
unsafe fn quantize_whole(operands: &QuantizeI8<'_>, whole: usize, rounded: fn(v128) -> v128) {
    let from = operands.input.as_ptr();
    let to: *mut i8 = operands.output.as_ptr().cast_mut().cast();
    let scale = f32x4_splat(operands.scale);
    let zero_point = i32x4_splat(operands.zero_point);
    for i in (0..whole).step_by(8) {
        // SAFETY: `i + 8 <= whole`. Elements are read before any of them is written, and those
        // behind them lie behind what is written.
        unsafe {
            let [first, second] = [
                v128_load(from.add(i).cast()),
                v128_load(from.add(i + 4).cast()),
            ]
            .map(|values| i32x4_add(rounded(f32x4_div(values, scale)), zero_point));
            let wide = i16x8_narrow_i32x4(first, second);
            v128_store64_lane::<0>(i8x16_narrow_i16x8(wide, wide), to.add(i).cast());
        }
    }
}

/// The nearest integers, even ones for halves, within 2^24, and that limit beyond; 0 for NaN.
#[inline(always)]
fn rounded_to_even(values: v128) -> v128 {
    i32x4_trunc_sat_f32x4(f32x4_nearest(bounded(values)))
}

/// Within 2^24, beyond which every step is an integer and limits of outputs decide. NaN fails both
/// comparisons, and so stays.
#[inline(always)]
fn bounded(values: v128) -> v128 {
    let limit = f32x4_splat(16_777_216.0);
    f32x4_pmin(f32x4_pmax(values, f32x4_neg(limit)), limit)
}

/// The nearest integers, halves away from zero, where they are within 2^24, and that limit beyond;
/// 0 for NaN: step by step what [`format::fixed::quantize_half_away`] does.
#[inline(always)]
fn rounded_away(values: v128) -> v128 {
    let bounded = bounded(values);
    let truncated = i32x4_trunc_sat_f32x4(bounded);
    let fraction = f32x4_sub(bounded, f32x4_convert_i32x4(truncated));
    // True is -1.
    let up = f32x4_ge(fraction, f32x4_splat(0.5));
    let down = f32x4_le(fraction, f32x4_splat(-0.5));
    i32x4_add(i32x4_sub(truncated, up), down)
}
