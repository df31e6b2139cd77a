//! Element by element: sums and tables.

use crate::{AddI8, LineI8, scalar};
use core::arch::aarch64::*;

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
    // SAFETY: `i + 16 <= whole`. Elements are read before any of them is written, so inputs that
    // start at or behind the output's start may overlap it, as in plain Rust.
    unsafe {
        let [fa, fb] = operands.factors.map(|factor| vdupq_n_s32(factor));
        let offset = vdupq_n_s32(operands.offset);
        let left = vdupq_n_s32(-i32::from(operands.shift));
        let [low, high] = operands.limits.map(|limit| vdupq_n_s8(limit));
        let sum = |x: int16x4_t, y: int16x4_t| {
            let products = vmlaq_s32(vmlaq_s32(offset, vmovl_s16(x), fa), vmovl_s16(y), fb);
            vshlq_s32(products, left)
        };
        let eight = |x: int16x8_t, y: int16x8_t| {
            let first = sum(vget_low_s16(x), vget_low_s16(y));
            let second = sum(vget_high_s16(x), vget_high_s16(y));
            vqmovn_s16(vqmovn_high_s32(vqmovn_s32(first), second))
        };
        for i in (0..whole).step_by(16) {
            let (x, y) = (vld1q_s8(a.add(i)), vld1q_s8(b.add(i)));
            let first = eight(vmovl_s8(vget_low_s8(x)), vmovl_s8(vget_low_s8(y)));
            let second = eight(vmovl_high_s8(x), vmovl_high_s8(y));
            let limited = vminq_s8(vmaxq_s8(vcombine_s8(first, second), low), high);
            vst1q_s8(to.add(i), limited);
        }
    }
}

/// See [`crate::i8::lookup`]. A table of 64 bytes is in registers; there are four of them, and
/// indices beyond one are left to the next.
pub(crate) fn lookup(operands: &LineI8<'_>) {
    let Some(Ok(table)) = operands.table.get(..256).map(<&[i8; 256]>::try_from) else {
        return scalar::i8::lookup(operands);
    };
    let whole = operands.output.len().min(operands.input.len()) / 16 * 16;
    // SAFETY: `whole` is within both operands.
    unsafe { lookup_whole(operands, table, whole) };
    scalar::i8::lookup(&LineI8 {
        input: operands.input.part(whole, operands.input.len()),
        output: operands.output.get(whole..).unwrap_or(&[]),
        ..*operands
    });
}

/// # Safety
///
/// `whole` is a multiple of 16 and no more than any operand's length.
unsafe fn lookup_whole(operands: &LineI8<'_>, table: &[i8; 256], whole: usize) {
    let from = operands.input.as_ptr().cast::<u8>();
    let to: *mut i8 = operands.output.as_ptr().cast_mut().cast();
    // SAFETY: `i + 16 <= whole`, and the quarters are inside the table. Elements are read before
    // any of them is written, so that the output may start at or before the input.
    unsafe {
        let quarter = |index: usize| vld1q_s8_x4(table.as_ptr().add(index * 64));
        let quarters = [quarter(0), quarter(1), quarter(2), quarter(3)];
        let next = vdupq_n_u8(64);
        for i in (0..whole).step_by(16) {
            let mut index = vld1q_u8(from.add(i));
            let mut found = vqtbl4q_s8(quarters[0], index);
            for &quarter in &quarters[1..] {
                index = vsubq_u8(index, next);
                found = vqtbx4q_s8(found, quarter, index);
            }
            vst1q_s8(to.add(i), found);
        }
    }
}
