//! The register tile: up to 4 pixels by 8 outputs.

use super::finish::{Block, Finish, Scale, with_rule};
use crate::simd128::Simd128;
use crate::tiled::i8::{Strip, Weights, weights_per_output};
use crate::tiled::plan::{Runs, blocks, padded_outputs};
use crate::tiled::unrolled;
use core::arch::wasm32::*;

/// One block of outputs.
struct Product<'a> {
    weights: *const i8,
    block: Block<'a>,
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
pub(super) unsafe fn strip(weights: &Weights<'_, i8>, strip: &Strip<'_>) {
    let geometry = &weights.operands.geometry;
    let channels = geometry.output[2];
    let group_outputs = channels / geometry.groups;
    let each = weights_per_output::<Simd128>(geometry, &weights.runs);
    let finish = Finish::new(weights.operands);
    let mut index = 0;
    for group in 0..geometry.groups {
        for (first, _) in blocks(group_outputs, 8) {
            let start = (group * padded_outputs(geometry) + first) * each;
            let channel = group * group_outputs + first;
            // SAFETY: whole groups and whole blocks of 8 lie before this block, and every block
            // has a record; the rest is the caller's promise, as `channel + valid <= channels`.
            unsafe {
                let (rule, record) = weights.records.block(index);
                let product = &Product {
                    weights: weights.packed.add(start),
                    block: Block {
                        finish: &finish,
                        record,
                        valid: (group_outputs - first).min(8),
                    },
                    runs: weights.runs,
                    offset: group * (geometry.input[2] / geometry.groups),
                    channels,
                };
                let output = strip.output.add(channel);
                with_rule!(rule, S => block_tiles::<S>(strip, product, output));
            }
            index += 1;
        }
    }
}

/// # Safety
///
/// As [`strip`], for one block of 8 outputs that starts at `output`.
unsafe fn block_tiles<S: Scale>(strip: &Strip<'_>, product: &Product<'_>, output: *mut i8) {
    for (from, first, size) in strip.tiles(4) {
        let from = from + product.offset;
        // SAFETY: the pixels of the tile exist; the rest is the caller's promise.
        unsafe {
            let to = output.add(first * product.channels);
            match size {
                1 => tile::<1, S>(strip, product, from, to),
                2 => tile::<2, S>(strip, product, from, to),
                3 => tile::<3, S>(strip, product, from, to),
                _ => tile::<4, S>(strip, product, from, to),
            }
        }
    }
}

/// `M` pixels by 8 outputs.
///
/// # Safety
///
/// As [`block_tiles`]; `from` is the first pixel's offset in every row.
unsafe fn tile<const M: usize, S: Scale>(
    strip: &Strip<'_>,
    product: &Product<'_>,
    from: usize,
    output: *mut i8,
) {
    // SAFETY: the record is whole.
    let mut sums = [unsafe { product.block.bias() }; M];
    let Runs {
        per_row,
        apart,
        length,
    } = product.runs;
    let mut weights = product.weights;
    for &row in strip.rows {
        for run in 0..per_row {
            // SAFETY: the caller promises runs at these places for M pixels, one more element
            // behind a run of odd length, and weights for every pair of taps.
            unsafe {
                let mut start = row.add(from + run * apart);
                for _ in 0..length.div_ceil(2) {
                    let w = [
                        i16x8_load_extend_i8x8(weights),
                        i16x8_load_extend_i8x8(weights.add(8)),
                    ];
                    weights = weights.add(16);
                    unrolled!(m in 0..M {
                        let value = v128_load32_splat(start.add(m * strip.step).cast());
                        let [first, second] = sums[m];
                        sums[m] = [
                            i32x4_add(first, i32x4_dot_i16x8(value, w[0])),
                            i32x4_add(second, i32x4_dot_i16x8(value, w[1])),
                        ];
                    });
                    start = start.add(2);
                }
            }
        }
    }
    unrolled!(m in 0..M {
        // SAFETY: the block's outputs of pixel `m` exist from here on.
        unsafe {
            product.block.store::<S>(sums[m], output.add(m * product.channels));
        }
    });
}
