//! The register tile: up to 4 pixels by 8 or 16 outputs.

use crate::tiled::f32::{Strip, Weights};
use crate::tiled::plan::{Runs, blocks, padded_outputs, tiles};
use crate::tiled::unrolled;
use core::arch::aarch64::*;

/// One block of outputs.
struct Block {
    weights: *const f32,
    bias: [f32; 16],
    limits: [f32; 2],
    /// Elements between a run's start and the group's first channel.
    offset: usize,
    /// Outputs of this block that exist.
    valid: usize,
    /// Output channels of a pixel.
    channels: usize,
}

/// Computes every output channel of a strip.
///
/// # Safety
///
/// As `Tiles::strip`.
pub(super) unsafe fn strip(weights: &Weights<'_>, strip: &Strip<'_>) {
    let geometry = weights.geometry;
    let (taps, channels) = (geometry.taps(), geometry.output[2]);
    let group_outputs = channels / geometry.groups;
    for group in 0..geometry.groups {
        for (first, width) in blocks(group_outputs, 16) {
            let channel = group * group_outputs + first;
            let start = (group * padded_outputs(geometry) + first) * taps;
            let block = Block {
                // SAFETY: whole groups and whole blocks of 16 lie before this block.
                weights: unsafe { weights.packed.add(start) },
                bias: first_of(weights.bias.get(channel..).unwrap_or(&[])),
                limits: weights.limits,
                offset: group * (geometry.input[2] / geometry.groups),
                valid: width.min(group_outputs - first),
                channels,
            };
            // SAFETY: the caller's promise; `channel + valid <= channels`.
            unsafe {
                let output = strip.output.add(channel);
                match width {
                    16 => block_tiles::<4>(strip, &block, output),
                    _ => block_tiles::<2>(strip, &block, output),
                }
            }
        }
    }
}

/// The first elements, and zeros for those that do not exist.
pub(super) fn first_of<const COUNT: usize>(elements: &[f32]) -> [f32; COUNT] {
    core::array::from_fn(|index| elements.get(index).copied().unwrap_or(0.0))
}

/// # Safety
///
/// As [`strip`], for one block of `4 * N` outputs that starts at `output`.
unsafe fn block_tiles<const N: usize>(strip: &Strip<'_>, block: &Block, output: *mut f32) {
    for (first, size) in tiles(strip.pixels, 4) {
        let from = first * strip.step + block.offset;
        // SAFETY: `first + size <= pixels`; the rest is the caller's promise.
        unsafe {
            let to = output.add(first * block.channels);
            match size {
                1 => tile::<1, N>(strip, block, from, to),
                2 => tile::<2, N>(strip, block, from, to),
                3 => tile::<3, N>(strip, block, from, to),
                _ => tile::<4, N>(strip, block, from, to),
            }
        }
    }
}

/// `M` pixels by `4 * N` outputs.
///
/// # Safety
///
/// As [`block_tiles`]; `from` is the first pixel's offset in every row.
unsafe fn tile<const M: usize, const N: usize>(
    strip: &Strip<'_>,
    block: &Block,
    from: usize,
    output: *mut f32,
) {
    // SAFETY: 16 elements of bias, N <= 4.
    let bias = core::array::from_fn(|n| unsafe { vld1q_f32(block.bias.as_ptr().add(4 * n)) });
    let mut sums: [[float32x4_t; N]; M] = [bias; M];
    let Runs {
        per_row,
        apart,
        length,
    } = strip.runs;
    let mut weights = block.weights;
    for &row in strip.rows {
        for run in 0..per_row {
            // SAFETY: the caller promises runs at these places for M pixels, and weights for
            // every tap of them.
            unsafe {
                let mut start = row.add(from + run * apart);
                for _ in 0..length / 4 {
                    four_taps(&mut sums, start, strip.step, weights);
                    start = start.add(4);
                    weights = weights.add(16 * N);
                }
                for _ in 0..length % 4 {
                    let w = load::<N>(weights);
                    for (m, sums) in sums.iter_mut().enumerate() {
                        let x = start.add(m * strip.step).read();
                        for n in 0..N {
                            sums[n] = vfmaq_n_f32(sums[n], w[n], x);
                        }
                    }
                    start = start.add(1);
                    weights = weights.add(4 * N);
                }
            }
        }
    }
    unrolled!(m in 0..M {
        for (n, &values) in sums[m].iter().enumerate() {
            // SAFETY: `valid` outputs of pixel `m` exist from here on.
            unsafe {
                let to = output.add(m * block.channels + 4 * n);
                let valid = block.valid.saturating_sub(4 * n);
                store(to, limit(values, block.limits), valid);
            }
        }
    });
}

/// Adds the products of four taps.
///
/// # Safety
///
/// 4 inputs of every pixel, `step` elements apart, and 4 weights of every output are readable.
#[inline(always)]
unsafe fn four_taps<const M: usize, const N: usize>(
    sums: &mut [[float32x4_t; N]; M],
    start: *const f32,
    step: usize,
    weights: *const f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let x: [float32x4_t; M] = core::array::from_fn(|m| vld1q_f32(start.add(m * step)));
        macro_rules! tap {
            ($($tap:literal)*) => {$({
                let w = load::<N>(weights.add($tap * 4 * N));
                for (sums, &x) in sums.iter_mut().zip(&x) {
                    for n in 0..N {
                        sums[n] = vfmaq_laneq_f32::<$tap>(sums[n], w[n], x);
                    }
                }
            })*};
        }
        tap!(0 1 2 3);
    }
}

/// # Safety
///
/// `4 * N` elements are readable.
#[inline(always)]
pub(super) unsafe fn load<const N: usize>(from: *const f32) -> [float32x4_t; N] {
    // SAFETY: the caller's promise.
    core::array::from_fn(|n| unsafe { vld1q_f32(from.add(4 * n)) })
}

/// Adds products, each rounded once with its sum.
#[inline(always)]
pub(super) fn add_products<const N: usize>(
    sums: &mut [float32x4_t; N],
    values: [float32x4_t; N],
    weights: [float32x4_t; N],
) {
    for ((sum, values), weights) in sums.iter_mut().zip(values).zip(weights) {
        // SAFETY: this target has the instruction.
        *sum = unsafe { vfmaq_f32(*sum, values, weights) };
    }
}

/// Applies the fused activation; NaN becomes the lower limit, as in plain Rust.
#[inline(always)]
pub(super) fn limit(values: float32x4_t, limits: [f32; 2]) -> float32x4_t {
    // SAFETY: this target has the instructions, of which the first gives the number where the
    // other operand is NaN.
    unsafe {
        let raised = vmaxnmq_f32(values, vdupq_n_f32(limits[0]));
        vminnmq_f32(raised, vdupq_n_f32(limits[1]))
    }
}

/// Stores the first `valid` lanes.
///
/// # Safety
///
/// As many elements may be written at `to`.
#[inline(always)]
pub(super) unsafe fn store(to: *mut f32, values: float32x4_t, valid: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if valid >= 4 {
            vst1q_f32(to, values);
        } else {
            let mut copy = [0.0f32; 4];
            vst1q_f32(copy.as_mut_ptr(), values);
            core::ptr::copy_nonoverlapping(copy.as_ptr(), to, valid);
        }
    }
}
