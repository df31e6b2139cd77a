//! The register tile: up to 4 pixels by 8 or 16 outputs.

use super::finish::{Block, Finish, Scale, with_rule};
use super::multiply::Multiply;
use super::{BLOCK, TAPS};
use crate::tiled::i8::{STARTS_MAX, Starts, Strip, Weights, weights_per_output};
use crate::tiled::plan::{Runs, blocks, padded_outputs};
use crate::tiled::unrolled;

/// One block of outputs.
struct Product<'a> {
    weights: *const i8,
    block: Block<'a>,
    starts: Starts<'a, i8>,
    rows: &'a [*const i8],
    /// Elements between the windows of neighbours.
    step: usize,
    /// Elements between a run's start and the group's first channel.
    offset: usize,
    /// Output channels of a pixel.
    channels: usize,
}

/// The thread's own outputs of a fully connected layer: a strip of one pixel whose blocks are all whole.
///
/// # Safety
///
/// As `Tiles::vector`.
pub(super) unsafe fn vector<P: Multiply>(multiply: P, weights: &Weights<'_, i8>, staged: *mut i8) {
    let operands = weights.operands;
    let [count, outputs] = [operands.geometry.input[2], operands.geometry.output[2]];
    let each = count.next_multiple_of(TAPS);
    let finish = Finish::new(operands);
    // SAFETY: the caller's promise; output `first` exists in each turn, and no more are written
    // than exist.
    unsafe {
        core::ptr::copy(operands.input.as_ptr(), staged, count);
        core::ptr::write_bytes(staged.add(count), 0, each - count);
        for index in operands.binding.threads.own(outputs.div_ceil(BLOCK)) {
            let first = BLOCK * index;
            let (rule, record) = weights.records.block(index);
            let product = &Product {
                weights: weights.packed.add(first * each),
                block: Block {
                    finish: &finish,
                    record,
                    valid: (outputs - first).min(BLOCK),
                },
                starts: Starts::Runs(weights.runs),
                rows: &[staged.cast_const()],
                step: 0,
                offset: 0,
                channels: outputs,
            };
            let output = operands.output.as_ptr().cast_mut().cast::<i8>().add(first);
            with_rule!(rule, finish, S => tile::<P, 1, 4, S>(multiply, product, 0, output));
        }
    }
}

/// Computes every output channel of a strip.
///
/// # Safety
///
/// As `Tiles::strip`.
pub(super) unsafe fn strip<P: Multiply>(
    multiply: P,
    weights: &Weights<'_, i8>,
    strip: &Strip<'_, i8>,
) {
    let geometry = &weights.operands.geometry;
    let channels = geometry.output[2];
    let group_outputs = channels / geometry.groups;
    let each = weights_per_output::<P>(geometry, &weights.runs);
    let finish = Finish::new(weights.operands);
    let mut starts = [core::ptr::null(); STARTS_MAX];
    let starts = Starts::of(TAPS, weights.runs, strip.rows, P::STEPS, &mut starts);
    let mut index = 0;
    for group in 0..geometry.groups {
        for (first, width) in blocks(group_outputs, BLOCK) {
            let start = (group * padded_outputs(geometry) + first) * each;
            let channel = group * group_outputs + first;
            // SAFETY: whole groups and whole blocks of 16 lie before this block, and every block
            // has a record; the rest is the caller's promise, as `channel + valid <= channels`.
            unsafe {
                let (rule, record) = weights.records.block(index);
                let product = &Product {
                    weights: weights.packed.add(start),
                    block: Block {
                        finish: &finish,
                        record,
                        valid: width.min(group_outputs - first),
                    },
                    starts,
                    rows: strip.rows,
                    step: strip.step,
                    offset: group * (geometry.input[2] / geometry.groups),
                    channels,
                };
                let output = strip.output.add(channel);
                with_rule!(rule, finish, S => match width {
                    16 => block_tiles::<P, 4, S>(multiply, product, strip, output),
                    _ => block_tiles::<P, 2, S>(multiply, product, strip, output),
                });
            }
            index += 1;
        }
    }
}

/// # Safety
///
/// As [`strip`], for one block of `4 * N` outputs that starts at `output`.
unsafe fn block_tiles<P: Multiply, const N: usize, S: Scale>(
    multiply: P,
    product: &Product<'_>,
    strip: &Strip<'_, i8>,
    output: *mut i8,
) {
    for (from, first, size) in strip.tiles(P::PIXELS) {
        let from = from + product.offset;
        // SAFETY: the pixels of the tile exist, no more than `PIXELS`; the rest is the caller's
        // promise.
        unsafe {
            let to = output.add(first * product.channels);
            match size {
                1 => tile::<P, 1, N, S>(multiply, product, from, to),
                _ if P::PIXELS == 2 => tile::<P, 2, N, S>(multiply, product, from, to),
                2 => tile::<P, 2, N, S>(multiply, product, from, to),
                3 => tile::<P, 3, N, S>(multiply, product, from, to),
                _ => tile::<P, 4, N, S>(multiply, product, from, to),
            }
        }
    }
}

/// `M` pixels by `4 * N` outputs.
///
/// # Safety
///
/// As [`block_tiles`]; `from` is the first pixel's offset in every row.
unsafe fn tile<P: Multiply, const M: usize, const N: usize, S: Scale>(
    multiply: P,
    product: &Product<'_>,
    from: usize,
    output: *mut i8,
) {
    // SAFETY: the record is whole.
    let mut sums = [unsafe { product.block.bias::<N>() }.map(P::start); M];
    let (apart, mut weights) = (product.step, product.weights);
    let step_bytes = N * 4 * TAPS;
    // SAFETY: the caller promises runs at these places for M pixels, up to 3 more elements behind
    // a run, and weights for every step of them.
    unsafe {
        match product.starts {
            Starts::Each(starts) => {
                for start in starts {
                    multiply.step(&mut sums, start.add(from), apart, weights);
                    weights = weights.add(step_bytes);
                }
            }
            Starts::Runs(Runs {
                per_row,
                apart: between,
                length,
            }) => {
                let steps = length.div_ceil(TAPS);
                for (row, run) in product
                    .rows
                    .iter()
                    .flat_map(|row| (0..per_row).map(move |run| (row, run)))
                {
                    let mut start = row.add(from + run * between);
                    for _ in 0..steps / P::STEPS {
                        multiply.steps(&mut sums, start, apart, weights);
                        start = start.add(TAPS * P::STEPS);
                        weights = weights.add(step_bytes * P::STEPS);
                    }
                    for _ in 0..steps % P::STEPS {
                        multiply.step(&mut sums, start, apart, weights);
                        start = start.add(TAPS);
                        weights = weights.add(step_bytes);
                    }
                }
            }
        }
    }
    unrolled!(m in 0..M {
        // SAFETY: the block's outputs of pixel `m` exist from here on.
        unsafe {
            let to = output.add(m * product.channels);
            product.block.store::<N, S>(sums[m].map(P::end), to);
        }
    });
}
