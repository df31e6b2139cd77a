//! The register tile: up to 6 pixels by 8 or 16 outputs.

use super::finish::Finish;
use crate::tiled::i8::{Strip, Weights, weights_per_output};
use crate::tiled::plan::{Runs, blocks, padded_outputs, tiles};
use crate::tiled::unrolled;
use core::arch::x86_64::*;

/// One block of outputs.
struct Block {
    weights: *const i16,
    finish: Finish,
    runs: Runs,
    /// Elements between a run's start and the group's first channel.
    offset: usize,
    /// Output channels of a pixel.
    channels: usize,
}

/// Computes every output channel of a strip.
///
/// # Safety
///
/// As `Tiles::strip`.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn strip(weights: &Weights<'_, i16>, strip: &Strip<'_>) {
    let geometry = &weights.operands.geometry;
    let channels = geometry.output[2];
    let group_outputs = channels / geometry.groups;
    let each = weights_per_output(geometry, &weights.runs);
    for group in 0..geometry.groups {
        for (first, width) in blocks(group_outputs, 16) {
            let channel = group * group_outputs + first;
            let valid = width.min(group_outputs - first);
            let start = (group * padded_outputs(geometry) + first) * each;
            let block = Block {
                // SAFETY: whole groups and whole blocks of 16 lie before this block.
                weights: unsafe { weights.packed.add(start) },
                finish: Finish::new(weights.operands, channel, width, valid),
                runs: weights.runs,
                offset: group * (geometry.input[2] / geometry.groups),
                channels,
            };
            // SAFETY: the caller's promise; `channel + valid <= channels`.
            unsafe {
                let output = strip.output.add(channel);
                match (width, block.finish.is_high()) {
                    (16, true) => block_tiles::<2, true>(strip, &block, output),
                    (_, true) => block_tiles::<1, true>(strip, &block, output),
                    (16, false) => block_tiles::<2, false>(strip, &block, output),
                    (_, false) => block_tiles::<1, false>(strip, &block, output),
                }
            }
        }
    }
}
/// # Safety
///
/// As [`strip`], for one block of `8 * N` outputs that starts at `output`.
#[target_feature(enable = "avx2,fma")]
unsafe fn block_tiles<const N: usize, const HIGH: bool>(
    strip: &Strip<'_>,
    block: &Block,
    output: *mut i8,
) {
    for (first, size) in tiles(strip.pixels, 6) {
        let from = first * strip.step + block.offset;
        // SAFETY: `first + size <= pixels`; the rest is the caller's promise.
        unsafe {
            let to = output.add(first * block.channels);
            match size {
                1 => tile::<1, N, HIGH>(strip, block, from, to),
                2 => tile::<2, N, HIGH>(strip, block, from, to),
                3 => tile::<3, N, HIGH>(strip, block, from, to),
                4 => tile::<4, N, HIGH>(strip, block, from, to),
                5 => tile::<5, N, HIGH>(strip, block, from, to),
                _ => tile::<6, N, HIGH>(strip, block, from, to),
            }
        }
    }
}

/// `M` pixels by `8 * N` outputs.
///
/// # Safety
///
/// As [`block_tiles`]; `from` is the first pixel's offset in every row.
#[target_feature(enable = "avx2,fma")]
unsafe fn tile<const M: usize, const N: usize, const HIGH: bool>(
    strip: &Strip<'_>,
    block: &Block,
    from: usize,
    output: *mut i8,
) {
    let mut sums = [[_mm256_setzero_si256(); N]; M];
    for sum in &mut sums {
        sum.copy_from_slice(&block.finish.bias[..N]);
    }
    let Runs {
        per_row,
        apart,
        length,
    } = block.runs;
    let mut weights = block.weights;
    for &row in strip.rows {
        for run in 0..per_row {
            // SAFETY: the caller promises runs at these places for M pixels, one more element
            // behind a run of odd length, and weights for every pair of taps.
            unsafe {
                let start = row.add(from + run * apart);
                for pair in 0..length.div_ceil(2) {
                    let mut w = [_mm256_setzero_si256(); N];
                    for (n, w) in w.iter_mut().enumerate() {
                        *w = _mm256_loadu_si256(weights.add(16 * n).cast());
                    }
                    weights = weights.add(16 * N);
                    for (m, sum) in sums.iter_mut().enumerate() {
                        let at = start.add(m * strip.step + 2 * pair).cast::<i32>();
                        let value = _mm256_set1_epi32(at.read_unaligned());
                        for n in 0..N {
                            let products = _mm256_madd_epi16(value, w[n]);
                            sum[n] = _mm256_add_epi32(sum[n], products);
                        }
                    }
                }
            }
        }
    }
    unrolled!(m in 0..M {
        // SAFETY: the block's outputs of pixel `m` exist from here on.
        unsafe {
            let to = output.add(m * block.channels);
            block.finish.store::<N, HIGH>(sums[m], to);
        }
    });
}
