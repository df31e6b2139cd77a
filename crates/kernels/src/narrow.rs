//! Convolutions whose weights are stored in fewer bits than they are multiplied in: int4 for int8, and half
//! for single precision. Nothing is lost or rounded: each stored weight is one of the wider type.
//!
//! Weights are widened once, where there is memory for them when a session is made ([`widen_i4`],
//! [`widen_f16`]), or before each run into scratch memory ([`conv_2d_i4`], [`conv_2d_f16`]), which is in
//! front of what the convolution itself needs. Either way the kernels for wide weights run.

use crate::memory::{In, Plain, cells_as, overlaps};
use crate::{Binding, Conv2dF32, Conv2dI8, f32, i8};
use core::cell::Cell;

/// What the scratch memory behind widened weights starts at a multiple of.
const ALIGNMENT: usize = 16;

/// 2^-24, the smallest half-precision number.
const SMALLEST_HALF: f32 = 1.0 / 16_777_216.0;

/// Bytes of scratch memory for so many weights of `T`.
pub const fn scratch_bytes<T>(weights: usize) -> usize {
    weights
        .saturating_mul(size_of::<T>())
        .saturating_add(ALIGNMENT - 1)
        / ALIGNMENT
        * ALIGNMENT
}

/// Weight `index` of a list of int4, two in a byte, the first in its lower half; 0 past the end.
#[inline(always)]
fn element_i4(packed: &[u8], index: usize) -> i8 {
    let byte = packed.get(index / 2).copied().unwrap_or(0);
    // The half in question goes to the top, and comes back with its sign.
    let upper = if index.is_multiple_of(2) {
        byte << 4
    } else {
        byte
    };
    (upper as i8) >> 4
}

/// A half-precision number in single precision, which has all of them.
#[inline(always)]
fn single(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let magnitude = u32::from(half & 0x7fff);
    let bits = match magnitude {
        // Subnormal numbers are multiples of 2^-24.
        0..0x0400 => (magnitude as f32 * SMALLEST_HALF).to_bits(),
        // The exponent's bias grows from 15 to 127.
        0x0400..0x7c00 => (magnitude << 13) + ((127 - 15) << 23),
        // Infinite, or not a number.
        _ => 0x7f80_0000 | (magnitude & 0x03ff) << 13,
    };
    f32::from_bits(bits | sign)
}

/// int4 weights as int8; 0 where there are fewer of them.
pub fn widen_i4(packed: &[u8], weights: &mut [u8]) {
    for (index, weight) in weights.iter_mut().enumerate() {
        *weight = element_i4(packed, index) as u8;
    }
}

/// Half-precision weights in single precision, as bytes of this machine; 0 where there are fewer.
pub fn widen_f16(halves: &[u16], weights: &mut [u8]) {
    let halves = halves.iter().copied().chain(core::iter::repeat(0));
    for (weight, half) in weights.chunks_exact_mut(4).zip(halves) {
        weight.copy_from_slice(&single(half).to_ne_bytes());
    }
}

/// As [`i8::conv_2d`], with so many int4 weights of `packed`. Nothing is computed where the scratch memory is
/// too small, or shares a byte with the output.
pub fn conv_2d_i4(operands: &Conv2dI8<'_>, packed: &[u8], weights: usize) {
    let element = |index| element_i4(packed, index);
    // SAFETY: the kernel writes the output and its own scratch memory, which is `rest`, and nothing else,
    // and keeps no reference.
    let widened = unsafe { widened(operands.binding, operands.output, weights, element) };
    if let Some((weights, binding)) = widened {
        i8::conv_2d(&Conv2dI8 {
            weights,
            binding,
            ..*operands
        });
    }
}

/// As [`f32::conv_2d`], with half-precision weights. Nothing is computed where the scratch memory is too
/// small, or shares a byte with the output.
pub fn conv_2d_f16(operands: &Conv2dF32<'_>, halves: &[u16]) {
    let element = |index| single(halves.get(index).copied().unwrap_or(0));
    // SAFETY: as in `conv_2d_i4`.
    let widened = unsafe { widened(operands.binding, operands.output, halves.len(), element) };
    if let Some((weights, binding)) = widened {
        f32::conv_2d(&Conv2dF32 {
            weights,
            binding,
            ..*operands
        });
    }
}

/// Writes elements to the front of the scratch memory, and gives them with the rest of it. `None` where they
/// do not fit, or share a byte with `output`.
///
/// # Safety
///
/// As long as the elements are in use, nothing but `output` and the rest of the scratch memory is written.
unsafe fn widened<'a, T: Plain, U>(
    binding: Binding<'a>,
    output: &[Cell<U>],
    count: usize,
    element: impl Fn(usize) -> T,
) -> Option<(&'a [T], Binding<'a>)> {
    let (own, rest) = binding
        .scratch
        .split_at_checked(scratch_bytes::<T>(count))?;
    let cells = cells_as::<T>(own)?.get(..count)?;
    if overlaps(&In::from_cells(cells), output) {
        return None;
    }
    for (index, cell) in cells.iter().enumerate() {
        cell.set(element(index));
    }
    // SAFETY: the cells are `count` elements of `T` that live for 'a. They are outside of `rest` and, as
    // checked, of `output`, and by the caller's promise nothing else is written while the slice is in use.
    let weights = unsafe { core::slice::from_raw_parts(cells.as_ptr().cast(), count) };
    Some((
        weights,
        Binding {
            scratch: rest,
            ..binding
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_numbers_of_four_bits_are_in_a_byte() {
        let mut weights = [9; 5];
        widen_i4(&[0x7f, 0x80], &mut weights);
        assert_eq!(weights.map(|byte| byte as i8), [-1, 7, 0, -8, 0]);
    }

    /// Of each kind some, and around their limits.
    #[test]
    fn half_precision_numbers_keep_their_value() {
        let cases = [
            (0x0000, 0.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
            (0x3c00, 1.0),
            (0xc248, -3.140_625),
            (0x7bff, 65_504.0),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (half, expected) in cases {
            assert_eq!(single(half), expected, "{half:04x}");
        }
        assert!(single(0x7e00).is_nan());
        assert!(single(0x8000).is_sign_negative());
    }

    #[test]
    fn scratch_memory_that_the_output_shares_is_refused() {
        let mut bytes = [0u64; 8];
        let bytes = crate::memory::as_bytes_mut(&mut bytes[..]);
        let cells = Cell::from_mut(bytes).as_slice_of_cells();
        let binding = Binding {
            prepared: &[],
            scratch: &cells[..32],
            threads: crate::Threads::ALONE,
        };
        // SAFETY: nothing is written while the elements are in use.
        let attempt = |output: &[Cell<u8>], count| unsafe {
            widened(binding, output, count, |index| index as i8)
        };
        assert!(attempt(&cells[10..12], 12).is_none());
        assert!(attempt(&cells[40..], 33).is_none());
        let (weights, rest) = attempt(&cells[40..], 5)
            .map_or((&[][..], 0), |(weights, binding)| {
                (weights, binding.scratch.len())
            });
        assert_eq!((weights, rest), (&[0, 1, 2, 3, 4][..], 16));
    }
}
