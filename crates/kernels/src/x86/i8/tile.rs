//! The register tile: up to 6 pixels by 8 or 16 outputs.

use super::finish::{Block, Finish, Scale, with_rule};
use crate::tiled::i8::{STARTS_MAX, Starts, Strip, Weights, weights_per_output};
use crate::tiled::plan::{Runs, blocks, padded_outputs};
use crate::tiled::unrolled;
use crate::x86::Avx2;
use core::arch::x86_64::*;

/// One block of outputs.
pub(super) struct Product<'a> {
    pub(super) weights: *const i16,
    pub(super) block: Block<'a>,
    /// Where the steps of taps are.
    pub(super) steps: Starts<'a, i16>,
    /// Elements between a run's start and the group's first channel.
    pub(super) offset: usize,
    /// Bytes of a pixel's outputs.
    pub(super) channels: usize,
}

/// Taps of a step: pairs, for `vpmaddwd`.
const TAPS: usize = 2;

/// The fewest steps of a run that needs no list of starts.
const RUN_STEPS_MIN: usize = 12;

/// Bytes of a vector of weights.
const VECTOR_BYTES: usize = 32;

/// Computes every output channel of a strip.
///
/// # Safety
///
/// As `Tiles::strip`.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn strip(weights: &Weights<'_, i16>, strip: &Strip<'_, i16>) {
    let geometry = &weights.operands.geometry;
    let channels = geometry.output[2];
    let group_outputs = channels / geometry.groups;
    let each = weights_per_output::<Avx2>(geometry, &weights.runs);
    let finish = Finish::new(weights.operands);
    let mut starts = [core::ptr::null(); STARTS_MAX];
    let steps = Starts::of(TAPS, weights.runs, strip.rows, RUN_STEPS_MIN, &mut starts);
    let mut index = 0;
    for group in 0..geometry.groups {
        for (first, width) in blocks(group_outputs, 16) {
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
                    steps,
                    offset: group * (geometry.input[2] / geometry.groups),
                    channels,
                };
                let output = strip.output.add(channel);
                match width {
                    16 => with_rule!(rule, S => block_tiles::<2, S>(strip, product, output)),
                    _ => with_rule!(rule, S => block_tiles::<1, S>(strip, product, output)),
                }
            }
            index += 1;
        }
    }
}

/// # Safety
///
/// As [`strip`], for one block of `8 * N` outputs that starts at `output`.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn block_tiles<const N: usize, S: Scale>(
    strip: &Strip<'_, i16>,
    product: &Product<'_>,
    output: *mut i8,
) {
    for (from, first, size) in strip.tiles(6) {
        let from = from + product.offset;
        // SAFETY: the pixels of the tile exist; the rest is the caller's promise.
        unsafe {
            let to = output.add(first * product.channels);
            match size {
                1 => tile::<1, N, S>(strip, product, from, to),
                2 => tile::<2, N, S>(strip, product, from, to),
                3 => tile::<3, N, S>(strip, product, from, to),
                4 => tile::<4, N, S>(strip, product, from, to),
                5 => tile::<5, N, S>(strip, product, from, to),
                _ => tile::<6, N, S>(strip, product, from, to),
            }
        }
    }
}

/// Adds the products of one step of taps.
///
/// # Safety
///
/// The taps of every pixel, `step` elements apart, and the weights of the block are readable.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn multiply<const M: usize, const N: usize>(
    sums: &mut [[__m256i; N]; M],
    taps: *const i16,
    step: usize,
    weights: *const i16,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut w = [_mm256_setzero_si256(); N];
        for (n, w) in w.iter_mut().enumerate() {
            *w = _mm256_loadu_si256(weights.byte_add(VECTOR_BYTES * n).cast());
        }
        for (m, sum) in sums.iter_mut().enumerate() {
            let inputs = _mm256_set1_epi32(taps.add(m * step).cast::<i32>().read_unaligned());
            for n in 0..N {
                sum[n] = _mm256_add_epi32(sum[n], _mm256_madd_epi16(inputs, w[n]));
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
unsafe fn tile<const M: usize, const N: usize, S: Scale>(
    strip: &Strip<'_, i16>,
    product: &Product<'_>,
    from: usize,
    output: *mut i8,
) {
    // SAFETY: the record is whole.
    let mut sums = [unsafe { product.block.bias::<N>() }; M];
    let mut weights = product.weights;
    // SAFETY: the caller promises runs at these places for M pixels, elements behind a run for its
    // last step, and weights for every step of taps.
    unsafe {
        match product.steps {
            Starts::Each(starts) => {
                for start in starts {
                    multiply::<M, N>(&mut sums, start.add(from), strip.step, weights);
                    weights = weights.byte_add(VECTOR_BYTES * N);
                }
            }
            Starts::Runs(Runs {
                per_row,
                apart,
                length,
            }) => {
                for &row in strip.rows {
                    for run in 0..per_row {
                        let start = row.add(from + run * apart);
                        for step in 0..length.div_ceil(TAPS) {
                            let taps = start.add(TAPS * step);
                            multiply::<M, N>(&mut sums, taps, strip.step, weights);
                            weights = weights.byte_add(VECTOR_BYTES * N);
                        }
                    }
                }
            }
        }
    }
    unrolled!(m in 0..M {
        // SAFETY: the block's outputs of pixel `m` exist from here on.
        unsafe {
            let to = output.add(m * product.channels);
            product.block.store::<N, S>(sums[m], to);
        }
    });
}
