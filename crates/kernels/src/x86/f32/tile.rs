//! The register tile: a few pixels by one or two vectors of outputs.

use super::lanes::Lanes;
use crate::tiled::f32::{Strip, Weights};
use crate::tiled::plan::{Runs, blocks, padded_outputs, tiles};
use crate::tiled::unrolled;

/// The most outputs of a block: two vectors of 512 bits.
const OUTPUTS_MAX: usize = 32;

/// One block of outputs.
pub(super) struct Block {
    weights: *const f32,
    bias: [f32; OUTPUTS_MAX],
    limits: [f32; 2],
    /// Elements between a run's start and the group's first channel.
    offset: usize,
    /// Weights of a tap.
    width: usize,
    /// Outputs of this block that exist.
    valid: usize,
    /// Output channels of a pixel.
    channels: usize,
}

/// Computes every output channel of a strip.
///
/// # Safety
///
/// As `Tiles::strip`, with weights in blocks of two vectors.
pub(super) unsafe fn strip<V: Lanes>(weights: &Weights<'_>, strip: &Strip<'_>) {
    let geometry = weights.geometry;
    let (taps, channels) = (geometry.taps(), geometry.output[2]);
    let group_outputs = channels / geometry.groups;
    for group in 0..geometry.groups {
        for (first, width) in blocks(group_outputs, 2 * V::LANES) {
            let mut block = Block {
                // SAFETY: whole groups and whole blocks lie before this block.
                weights: unsafe {
                    weights
                        .packed
                        .add((group * padded_outputs(geometry) + first) * taps)
                },
                bias: [0.0; OUTPUTS_MAX],
                limits: weights.limits,
                offset: group * (geometry.input[2] / geometry.groups),
                width,
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
                if width > V::LANES {
                    block_tiles::<V, 2>(strip, &block, output);
                } else {
                    block_tiles::<V, 1>(strip, &block, output);
                }
            }
        }
    }
}

/// # Safety
///
/// As [`strip`], for one block of no more than `N` vectors that starts at `output`.
unsafe fn block_tiles<V: Lanes, const N: usize>(
    strip: &Strip<'_>,
    block: &Block,
    output: *mut f32,
) {
    for (first, size) in tiles(strip.pixels, V::TILE_PIXELS) {
        let from = first * strip.step + block.offset;
        // SAFETY: `first + size <= pixels`; the rest is the caller's promise.
        unsafe {
            let to = output.add(first * block.channels);
            match size {
                1 => V::tile::<1, N>(strip, block, from, to),
                2 => V::tile::<2, N>(strip, block, from, to),
                3 => V::tile::<3, N>(strip, block, from, to),
                4 => V::tile::<4, N>(strip, block, from, to),
                5 => V::tile::<5, N>(strip, block, from, to),
                6 => V::tile::<6, N>(strip, block, from, to),
                7 => V::tile::<7, N>(strip, block, from, to),
                8 => V::tile::<8, N>(strip, block, from, to),
                9 => V::tile::<9, N>(strip, block, from, to),
                10 => V::tile::<10, N>(strip, block, from, to),
                11 => V::tile::<11, N>(strip, block, from, to),
                _ => V::tile::<12, N>(strip, block, from, to),
            }
        }
    }
}

/// `M` pixels by `N` vectors of outputs, the last of which may be half a vector.
///
/// # Safety
///
/// As [`block_tiles`]; `from` is the first pixel's offset in every row.
#[inline(always)]
pub(super) unsafe fn tile<V: Lanes, const M: usize, const N: usize>(
    strip: &Strip<'_>,
    block: &Block,
    from: usize,
    output: *mut f32,
) {
    let Runs {
        per_row,
        apart,
        length,
    } = strip.runs;
    let mut weights = block.weights;
    // SAFETY: the bias has two vectors of 512 bits. The caller promises runs at these places for M
    // pixels, and `width` weights for every tap of them, which is where the last vector ends;
    // `valid` outputs of every pixel exist.
    unsafe {
        let last = block.width - (N - 1) * V::LANES;
        let mut sums = [[V::splat(0.0); N]; M];
        for n in 0..N {
            let bias = V::load(block.bias.as_ptr().add(V::LANES * n));
            for sum in &mut sums {
                sum[n] = bias;
            }
        }
        for &row in strip.rows {
            for run in 0..per_row {
                let start = row.add(from + run * apart);
                for k in 0..length {
                    let mut lines = [V::load_eights(weights.add((N - 1) * V::LANES), last); N];
                    if N > 1 {
                        lines[0] = V::load(weights);
                    }
                    weights = weights.add(block.width);
                    for (m, sum) in sums.iter_mut().enumerate() {
                        let value = V::splat(start.add(m * strip.step + k).read());
                        for n in 0..N {
                            sum[n] = sum[n].add_product(value, lines[n]);
                        }
                    }
                }
            }
        }
        unrolled!(m in 0..M {
            for (n, values) in sums[m].iter().enumerate() {
                let valid = block.valid.saturating_sub(V::LANES * n);
                let to = output.add(m * block.channels + V::LANES * n);
                values.limit(block.limits).store_first(to, valid);
            }
        });
    }
}
