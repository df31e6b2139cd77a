//! Pools: 16 channels at a time.

use crate::memory::In;
use crate::scalar::{self, position, taps_inside};
use crate::{Geometry, PoolI8};
use core::arch::aarch64::*;
use core::ops::Range;

/// See [`crate::i8::average_pool_2d`].
pub(crate) fn average_pool_2d(operands: &PoolI8<'_>) {
    if fits(operands) {
        // SAFETY: the sizes were compared.
        unsafe { run::<true>(operands) }
    } else {
        scalar::i8::average_pool_2d(operands);
    }
}

/// See [`crate::i8::max_pool_2d`].
pub(crate) fn max_pool_2d(operands: &PoolI8<'_>) {
    if fits(operands) {
        // SAFETY: as above.
        unsafe { run::<false>(operands) }
    } else {
        scalar::i8::max_pool_2d(operands);
    }
}

/// See [`crate::i8::window_sums`]; `None` where the input does not hold the geometry's image.
pub(crate) fn window_sums(
    geometry: &Geometry,
    input: &In<'_, i8>,
    at: [usize; 2],
    first: usize,
) -> Option<[i32; 8]> {
    let view = View {
        geometry,
        input: *input,
        at,
        taps: [0, 1].map(|axis| taps_inside(geometry, axis, at[axis])),
        channel: first,
    };
    let elements = elements(geometry.input)?;
    let mut eight = [0; 8];
    // SAFETY: the sizes were compared, and 8 words are written.
    (input.len() >= elements && first < geometry.input[2]).then(|| unsafe {
        let [low, high, ..] = view.sums();
        vst1q_s32(eight.as_mut_ptr(), low);
        vst1q_s32(eight.as_mut_ptr().add(4), high);
        eight
    })
}

fn elements(shape: [usize; 3]) -> Option<usize> {
    shape[0].checked_mul(shape[1])?.checked_mul(shape[2])
}

/// Whether the views hold the geometry's images.
fn fits(operands: &PoolI8<'_>) -> bool {
    let Geometry { input, output, .. } = operands.geometry;
    input[2] == output[2]
        && elements(input).is_some_and(|count| operands.input.len() >= count)
        && elements(output).is_some_and(|count| operands.output.len() >= count)
}

/// The window of one output pixel and 16 channels of it.
struct View<'a> {
    geometry: &'a Geometry,
    input: In<'a, i8>,
    at: [usize; 2],
    taps: [Range<usize>; 2],
    channel: usize,
}

/// # Safety
///
/// The views hold the geometry's images, whose channels are equal.
unsafe fn run<const AVERAGE: bool>(operands: &PoolI8<'_>) {
    let geometry = &operands.geometry;
    let [rows, columns, channels] = geometry.output;
    let to: *mut i8 = operands.output.as_ptr().cast_mut().cast();
    for y in 0..rows {
        for x in 0..columns {
            let taps = [taps_inside(geometry, 0, y), taps_inside(geometry, 1, x)];
            for channel in (0..channels).step_by(16) {
                let view = View {
                    geometry,
                    input: operands.input,
                    at: [y, x],
                    taps: taps.clone(),
                    channel,
                };
                let valid = (channels - channel).min(16);
                // SAFETY: the caller's promise; `valid` channels of this pixel exist.
                unsafe {
                    let block = if AVERAGE { view.mean() } else { view.largest() };
                    let [low, high] = operands.limits.map(|limit| vdupq_n_s8(limit));
                    let block = vminq_s8(vmaxq_s8(block, low), high);
                    let to = to.add((y * columns + x) * channels + channel);
                    if valid == 16 {
                        vst1q_s8(to, block);
                    } else {
                        let mut bytes = [0i8; 16];
                        vst1q_s8(bytes.as_mut_ptr(), block);
                        core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, valid);
                    }
                }
            }
        }
    }
}

impl View<'_> {
    /// Calls `visit` with 16 channels of every pixel under the window; those that the image
    /// does not have are whatever comes behind it, or zero.
    ///
    /// # Safety
    ///
    /// As [`run`].
    #[inline(always)]
    unsafe fn each(&self, mut visit: impl FnMut(int8x16_t)) {
        let (geometry, input) = (self.geometry, self.input);
        let [_, columns, channels] = geometry.input;
        let apart = geometry.window.dilation[1] * channels;
        let first = position(geometry, 1, self.at[1], self.taps[1].start);
        for row in self.taps[0].clone() {
            let row = position(geometry, 0, self.at[0], row) * columns;
            for column in 0..self.taps[1].len() {
                let start = (row + first) * channels + self.channel + column * apart;
                let left = input.len() - start;
                // SAFETY: taps inside the image are inside the input, which has `left` elements
                // from here on.
                let block = unsafe {
                    let from = input.as_ptr().add(start);
                    if left >= 16 {
                        vld1q_s8(from)
                    } else {
                        let mut copy = [0i8; 16];
                        core::ptr::copy_nonoverlapping(from, copy.as_mut_ptr(), left);
                        vld1q_s8(copy.as_ptr())
                    }
                };
                visit(block);
            }
        }
    }

    /// # Safety
    ///
    /// As [`run`].
    unsafe fn largest(&self) -> int8x16_t {
        // SAFETY: the caller's promise.
        unsafe {
            let mut largest = vdupq_n_s8(i8::MIN);
            self.each(|block| largest = vmaxq_s8(largest, block));
            largest
        }
    }

    /// # Safety
    ///
    /// As [`run`].
    unsafe fn mean(&self) -> int8x16_t {
        let count = (self.taps[0].len() * self.taps[1].len()).max(1) as i32;
        // SAFETY: the caller's promise.
        unsafe {
            let [a, b, c, d] = self.sums().map(|sums| vqmovn_s32(quotient(sums, count)));
            vqmovn_high_s16(vqmovn_s16(vcombine_s16(a, b)), vcombine_s16(c, d))
        }
    }

    /// # Safety
    ///
    /// As [`run`].
    unsafe fn sums(&self) -> [int32x4_t; 4] {
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = [vdupq_n_s32(0); 4];
            self.each(|block| {
                let (low, high) = (vmovl_s8(vget_low_s8(block)), vmovl_high_s8(block));
                sums = [
                    vaddw_s16(sums[0], vget_low_s16(low)),
                    vaddw_high_s16(sums[1], low),
                    vaddw_s16(sums[2], vget_low_s16(high)),
                    vaddw_high_s16(sums[3], high),
                ];
            });
            sums
        }
    }
}

/// `sum / count`, halves away from zero. The quotient of two 32-bit integers in double
/// precision truncates to the exact one.
#[inline(always)]
fn quotient(sums: int32x4_t, count: i32) -> int32x4_t {
    // SAFETY: this target has the instructions.
    unsafe {
        let half = vdupq_n_s32(count / 2);
        let positive = vcgtq_s32(sums, vdupq_n_s32(0));
        let moved = vaddq_s32(sums, vbslq_s32(positive, half, vnegq_s32(half)));
        let count = vdupq_n_f64(f64::from(count));
        let divide = |part: int64x2_t| vcvtq_s64_f64(vdivq_f64(vcvtq_f64_s64(part), count));
        let low = divide(vmovl_s32(vget_low_s32(moved)));
        let high = divide(vmovl_high_s32(moved));
        vmovn_high_s64(vmovn_s64(low), high)
    }
}
