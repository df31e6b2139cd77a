//! The register tile: up to 6 pixels by 8 or 16 outputs.

use crate::tiled::f32::{Strip, Weights};
use crate::tiled::plan::{Runs, blocks, padded_outputs, tiles};
use crate::tiled::unrolled;
use core::arch::x86_64::*;

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
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn strip(weights: &Weights<'_>, strip: &Strip<'_>) {
    let geometry = weights.geometry;
    let (taps, channels) = (geometry.taps(), geometry.output[2]);
    let group_outputs = channels / geometry.groups;
    for group in 0..geometry.groups {
        for (first, width) in blocks(group_outputs, 16) {
            let mut block = Block {
                // SAFETY: whole groups and whole blocks of 16 lie before this block.
                weights: unsafe {
                    weights
                        .packed
                        .add((group * padded_outputs(geometry) + first) * taps)
                },
                bias: [0.0; 16],
                limits: weights.limits,
                offset: group * (geometry.input[2] / geometry.groups),
                valid: width.min(group_outputs - first),
                channels,
            };
            let channel = group * group_outputs + first;
            let known = weights.bias.get(channel..).unwrap_or(&[]);
            block
                .bias
                .iter_mut()
                .zip(known)
                .for_each(|(to, &from)| *to = from);
            // SAFETY: the caller's promise; `channel + valid <= channels`.
            unsafe {
                let output = strip.output.add(channel);
                match width {
                    16 => block_tiles::<2>(strip, &block, output),
                    _ => block_tiles::<1>(strip, &block, output),
                }
            }
        }
    }
}
/// # Safety
///
/// As [`strip`], for one block of `8 * N` outputs that starts at `output`.
#[target_feature(enable = "avx2,fma")]
unsafe fn block_tiles<const N: usize>(strip: &Strip<'_>, block: &Block, output: *mut f32) {
    for (first, size) in tiles(strip.pixels, 6) {
        let from = first * strip.step + block.offset;
        // SAFETY: `first + size <= pixels`; the rest is the caller's promise.
        unsafe {
            let to = output.add(first * block.channels);
            match size {
                1 => tile::<1, N>(strip, block, from, to),
                2 => tile::<2, N>(strip, block, from, to),
                3 => tile::<3, N>(strip, block, from, to),
                4 => tile::<4, N>(strip, block, from, to),
                5 => tile::<5, N>(strip, block, from, to),
                _ => tile::<6, N>(strip, block, from, to),
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
unsafe fn tile<const M: usize, const N: usize>(
    strip: &Strip<'_>,
    block: &Block,
    from: usize,
    output: *mut f32,
) {
    let mut sums = [[_mm256_setzero_ps(); N]; M];
    for n in 0..N {
        // SAFETY: 16 elements of bias, N <= 2.
        let bias = unsafe { _mm256_loadu_ps(block.bias.as_ptr().add(8 * n)) };
        for sum in &mut sums {
            sum[n] = bias;
        }
    }
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
                let start = row.add(from + run * apart);
                for k in 0..length {
                    let mut w = [_mm256_setzero_ps(); N];
                    for (n, w) in w.iter_mut().enumerate() {
                        *w = _mm256_loadu_ps(weights.add(8 * n));
                    }
                    weights = weights.add(8 * N);
                    for (m, sum) in sums.iter_mut().enumerate() {
                        let value = _mm256_set1_ps(start.add(m * strip.step + k).read());
                        for n in 0..N {
                            sum[n] = _mm256_fmadd_ps(value, w[n], sum[n]);
                        }
                    }
                }
            }
        }
    }
    unrolled!(m in 0..M {
        for (n, &values) in sums[m].iter().enumerate() {
            let valid = block.valid.saturating_sub(8 * n);
            // SAFETY: `valid` outputs of pixel `m` exist from here on.
            unsafe {
                let to = output.add(m * block.channels + 8 * n);
                store(to, limit(values, block.limits), valid);
            }
        }
    });
}

/// Applies the fused activation; NaN becomes the lower limit, as in plain Rust.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn limit(values: __m256, limits: [f32; 2]) -> __m256 {
    let raised = _mm256_max_ps(values, _mm256_set1_ps(limits[0]));
    _mm256_min_ps(raised, _mm256_set1_ps(limits[1]))
}

/// The mask of the first `valid` lanes.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn first_lanes(valid: usize) -> __m256i {
    let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_cmpgt_epi32(_mm256_set1_epi32(valid.min(8) as i32), lanes)
}

/// Stores the first `valid` lanes.
///
/// # Safety
///
/// As many elements may be written at `to`.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn store(to: *mut f32, values: __m256, valid: usize) {
    // SAFETY: the caller's promise; masked lanes are not touched.
    unsafe {
        if valid >= 8 {
            _mm256_storeu_ps(to, values);
        } else {
            _mm256_maskstore_ps(to, first_lanes(valid), values);
        }
    }
}
