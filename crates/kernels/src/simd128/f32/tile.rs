//! The register tile: up to 4 pixels by 8 outputs.

use crate::tiled::f32::{Strip, Weights};
use crate::tiled::plan::{Runs, blocks, padded_outputs, tiles};
use crate::tiled::unrolled;
use core::arch::wasm32::*;

/// One block of outputs.
struct Block {
    weights: *const f32,
    bias: [v128; 2],
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
        for (first, _) in blocks(group_outputs, 8) {
            let channel = group * group_outputs + first;
            let start = (group * padded_outputs(geometry) + first) * taps;
            let bias = weights.bias.get(channel..).unwrap_or(&[]);
            let block = Block {
                // SAFETY: whole groups and whole blocks of 8 lie before this block.
                weights: unsafe { weights.packed.add(start) },
                bias: [four(bias), four(bias.get(4..).unwrap_or(&[]))],
                limits: weights.limits,
                offset: group * (geometry.input[2] / geometry.groups),
                valid: (group_outputs - first).min(8),
                channels,
            };
            // SAFETY: the caller's promise; `channel + valid <= channels`.
            unsafe { block_tiles(strip, &block, strip.output.add(channel)) };
        }
    }
}

/// The first 4 elements, and zeros for those that do not exist.
pub(super) fn four(elements: &[f32]) -> v128 {
    let at = |index: usize| elements.get(index).copied().unwrap_or(0.0);
    f32x4(at(0), at(1), at(2), at(3))
}

/// # Safety
///
/// As [`strip`], for one block of 8 outputs that starts at `output`.
unsafe fn block_tiles(strip: &Strip<'_>, block: &Block, output: *mut f32) {
    for (first, size) in tiles(strip.pixels, 4) {
        let from = first * strip.step + block.offset;
        // SAFETY: `first + size <= pixels`; the rest is the caller's promise.
        unsafe {
            let to = output.add(first * block.channels);
            match size {
                1 => tile::<1>(strip, block, from, to),
                2 => tile::<2>(strip, block, from, to),
                3 => tile::<3>(strip, block, from, to),
                _ => tile::<4>(strip, block, from, to),
            }
        }
    }
}

/// `M` pixels by 8 outputs.
///
/// # Safety
///
/// As [`block_tiles`]; `from` is the first pixel's offset in every row.
unsafe fn tile<const M: usize>(strip: &Strip<'_>, block: &Block, from: usize, output: *mut f32) {
    let mut sums = [block.bias; M];
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
                for _ in 0..length {
                    let w = [v128_load(weights.cast()), v128_load(weights.add(4).cast())];
                    weights = weights.add(8);
                    unrolled!(m in 0..M {
                        let value = v128_load32_splat(start.add(m * strip.step).cast());
                        let [first, second] = sums[m];
                        sums[m] = [
                            f32x4_add(first, f32x4_mul(value, w[0])),
                            f32x4_add(second, f32x4_mul(value, w[1])),
                        ];
                    });
                    start = start.add(1);
                }
            }
        }
    }
    unrolled!(m in 0..M {
        // SAFETY: `valid` outputs of pixel `m` exist from here on.
        unsafe {
            let to = output.add(m * block.channels);
            let [first, second] = sums[m].map(|values| limit(values, block.limits));
            store(to, first, block.valid);
            if block.valid > 4 {
                store(to.add(4), second, block.valid - 4);
            }
        }
    });
}

/// Applies the fused activation; NaN becomes the lower limit, as in plain Rust.
#[inline(always)]
pub(super) fn limit(values: v128, limits: [f32; 2]) -> v128 {
    let raised = f32x4_pmax(f32x4_splat(limits[0]), values);
    f32x4_pmin(f32x4_splat(limits[1]), raised)
}

/// Stores the first `valid` lanes.
///
/// # Safety
///
/// As many elements may be written at `to`.
#[inline(always)]
pub(super) unsafe fn store(to: *mut f32, values: v128, valid: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if valid >= 4 {
            v128_store(to.cast(), values);
        } else {
            let mut copy = [0.0f32; 4];
            v128_store(copy.as_mut_ptr().cast(), values);
            core::ptr::copy_nonoverlapping(copy.as_ptr(), to, valid);
        }
    }
}
