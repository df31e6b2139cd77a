//! The register tile: pixels by 16 outputs, or by the 8 that are left.

use super::finish::{parts, pixels};
use super::lanes::Lanes;
use super::{Fours, Raised};
use crate::tiled::i8::{STARTS_MAX, Starts, Strip, Weights, weights_per_output};
use crate::tiled::plan::{Runs, padded_outputs};
use crate::tiled::unrolled;
use crate::x86::i8::finish::{Block, Finish, Scale, with_rule};
use core::arch::x86_64::*;

/// A block of outputs, or neighbouring ones of 16.
#[derive(Clone, Copy)]
pub(crate) struct Product<'a> {
    weights: *const i8,
    /// Bytes between the weights of neighbouring blocks.
    block_bytes: usize,
    finish: &'a Finish,
    /// The first block's record, behind which are the others'.
    record: *const i32,
    /// Outputs that exist of the last block.
    valid: usize,
    /// Where the steps of taps are.
    steps: Starts<'a, Raised>,
    /// Elements between a run's start and the group's first channel.
    offset: usize,
    /// Bytes of a pixel's outputs.
    channels: usize,
}

/// Taps of a step.
const TAPS: usize = 4;

/// Words of a record of 16 outputs.
const RECORD_WORDS: usize = 64;

/// The fewest steps of a run that needs no list of starts.
const RUN_STEPS_MIN: usize = 12;

/// Pixels of a tile of 8 outputs.
const NARROW_PIXELS: usize = 8;

/// Computes every output channel of a strip.
///
/// # Safety
///
/// As `Tiles::strip`.
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn strip<P: Fours>(weights: &Weights<'_, i8>, strip: &Strip<'_, Raised>) {
    let geometry = &weights.operands.geometry;
    let channels = geometry.output[2];
    let group_outputs = channels / geometry.groups;
    let each = weights_per_output::<P>(geometry, &weights.runs);
    let finish = Finish::new(weights.operands);
    let mut starts = [core::ptr::null(); STARTS_MAX];
    let steps = Starts::of(TAPS, weights.runs, strip.rows, RUN_STEPS_MIN, &mut starts);
    for group in 0..geometry.groups {
        let mut first = 0;
        while first < group_outputs {
            let left = group_outputs - first;
            let index = group * group_outputs.div_ceil(16) + first / 16;
            let start = (group * padded_outputs(geometry) + first) * each;
            let channel = group * group_outputs + first;
            // SAFETY: whole groups and whole blocks of 16 lie before this block, and every block
            // has a record; the rest is the caller's promise, as the outputs are those of the group.
            unsafe {
                let (rule, record) = weights.records.block(index);
                let is_pair = P::Lanes::BLOCKS == 2
                    && left > 24
                    && weights.records.block(index + 1).0 == rule;
                let width = match left {
                    _ if is_pair => 32,
                    9.. => 16,
                    _ => 8,
                };
                let product = &Product {
                    weights: weights.packed.add(start),
                    block_bytes: 16 * each,
                    finish: &finish,
                    record,
                    valid: 16.min(left - if is_pair { 16 } else { 0 }),
                    steps,
                    offset: group * (geometry.input[2] / geometry.groups),
                    channels,
                };
                let output = strip.output.add(channel);
                match width {
                    32 => with_rule!(rule, S => P::wide::<2, S>(strip, product, output)),
                    16 => with_rule!(rule, S => P::wide::<1, S>(strip, product, output)),
                    _ => with_rule!(rule, S => P::narrow::<S>(strip, product, output)),
                }
                first += width;
            }
        }
    }
}

/// Tiles of `most`, 4 and 1 pixels of a row: the first pixel, and the size. Those of 4 begin earlier
/// where fewer are left: outputs that are written twice are the same.
#[inline]
pub(in crate::x86::i8) fn tiles(
    pixels: usize,
    most: usize,
) -> impl Iterator<Item = (usize, usize)> {
    let mut next = 0;
    core::iter::from_fn(move || {
        let left = pixels - next;
        let (first, size) = match left {
            0 => return None,
            _ if left >= most => (next, most),
            _ if pixels >= 4 => (next.min(pixels - 4), 4),
            _ => (next, 1),
        };
        next = first + size;
        Some((first, size))
    })
}

/// All pixels by `16 * N` outputs.
///
/// # Safety
///
/// As [`strip`], for blocks that start at `output`; the machine has what `P` needs.
#[inline(always)]
pub(super) unsafe fn wide<P: Fours, const N: usize, S: Scale>(
    strip: &Strip<'_, Raised>,
    product: &Product<'_>,
    output: *mut i8,
) {
    for line in 0..strip.lines {
        for (pixel, size) in tiles(strip.pixels, P::Lanes::PIXELS_MAX[N - 1]) {
            let from = line * strip.line_step + pixel * strip.step + product.offset;
            let first = line * strip.pixels + pixel;
            // SAFETY: the pixels of the tile exist; the rest is the caller's promise.
            unsafe {
                let to = output.add(first * product.channels);
                match size {
                    1 => tile::<P, 1, N, S>(strip, product, from, to),
                    4 => tile::<P, 4, N, S>(strip, product, from, to),
                    8 => tile::<P, 8, N, S>(strip, product, from, to),
                    _ => tile::<P, 12, N, S>(strip, product, from, to),
                }
            }
        }
    }
}

/// All pixels by 8 outputs.
///
/// # Safety
///
/// As [`wide`].
#[inline(always)]
pub(super) unsafe fn narrow<P: Fours, S: Scale>(
    strip: &Strip<'_, Raised>,
    product: &Product<'_>,
    output: *mut i8,
) {
    for line in 0..strip.lines {
        for (pixel, size) in tiles(strip.pixels, NARROW_PIXELS) {
            let from = line * strip.line_step + pixel * strip.step + product.offset;
            let first = line * strip.pixels + pixel;
            // SAFETY: the pixels of the tile exist; the rest is the caller's promise.
            unsafe {
                let to = output.add(first * product.channels);
                match size {
                    1 => narrow_tile::<P, 1, S>(strip, product, from, to),
                    4 => narrow_tile::<P, 4, S>(strip, product, from, to),
                    _ => narrow_tile::<P, NARROW_PIXELS, S>(strip, product, from, to),
                }
            }
        }
    }
}

/// Runs a body for every step of taps of a tile's first pixel. A function would take it as a closure,
/// which is compiled without the features of the set.
macro_rules! each_step {
    ($strip:ident, $product:ident, $from:ident, $taps:ident => $body:block) => {
        match $product.steps {
            Starts::Each(starts) => {
                for start in starts {
                    let $taps = start.add($from);
                    $body
                }
            }
            Starts::Runs(Runs {
                per_row,
                apart,
                length,
            }) => {
                for &row in $strip.rows {
                    for run in 0..per_row {
                        let start = row.add($from + run * apart);
                        for step in 0..length.div_ceil(TAPS) {
                            let $taps = start.add(TAPS * step);
                            $body
                        }
                    }
                }
            }
        }
    };
}

/// `M` pixels by `16 * N` outputs.
///
/// # Safety
///
/// As [`wide`]; `from` is the first pixel's offset in every row.
#[inline(always)]
unsafe fn tile<P: Fours, const M: usize, const N: usize, S: Scale>(
    strip: &Strip<'_, Raised>,
    product: &Product<'_>,
    from: usize,
    output: *mut i8,
) {
    // SAFETY: the caller promises runs at these places for M pixels, elements behind a run for its
    // last step, and weights for every step of taps; the records are whole, and outputs of M pixels
    // exist from `output` on.
    unsafe {
        let mut bias = [P::Lanes::load(product.record); N];
        if N == 2 {
            bias[N - 1] = P::Lanes::load(product.record.add(RECORD_WORDS));
        }
        let mut sums = [bias; M];
        let mut weights = product.weights;
        each_step!(strip, product, from, taps => {
            let first = P::Lanes::load(weights);
            let last = match N {
                1 => first,
                _ => P::Lanes::load(weights.add(product.block_bytes)),
            };
            for (m, sums) in sums.iter_mut().enumerate() {
                let inputs = P::Lanes::broadcast(taps.add(m * strip.step));
                sums[0] = sums[0].add_products(inputs, first);
                if N == 2 {
                    sums[N - 1] = sums[N - 1].add_products(inputs, last);
                }
            }
            weights = weights.add(16 * TAPS);
        });
        let last = Block {
            finish: product.finish,
            record: product.record.add((N - 1) * RECORD_WORDS),
            valid: product.valid,
        };
        if N == 2 {
            let first = Block {
                record: product.record,
                valid: 16,
                ..last
            };
            store::<P, M, N, S>(&first, 0, &sums, output, product.channels);
        }
        let output = output.add((N - 1) * 16);
        store::<P, M, N, S>(&last, N - 1, &sums, output, product.channels);
    }
}

/// Writes the outputs of `M` pixels, `apart` bytes between them, from sums of block `n` of `N`.
///
/// # Safety
///
/// The record is whole and of the rule `S`, and the outputs of the block that exist may be written
/// from `output` on for every pixel; the machine has what `P` needs.
#[inline(always)]
pub(super) unsafe fn store<P: Fours, const M: usize, const N: usize, S: Scale>(
    block: &Block<'_>,
    n: usize,
    sums: &[[P::Lanes; N]; M],
    output: *mut i8,
    apart: usize,
) {
    let last = M - 1;
    let is_joined = apart == 16 && block.valid >= 16;
    // SAFETY: the caller's promise.
    unsafe {
        let parts = parts::<P::Lanes>(block.record);
        unrolled!(q in 0..M {
            let first = 4 * q;
            if first < M {
                let four = [
                    sums[first][n],
                    sums[last.min(first + 1)][n],
                    sums[last.min(first + 2)][n],
                    sums[last.min(first + 3)][n],
                ];
                let outputs = match M {
                    1 => pixels::<P::Lanes, S, true>(block.finish, four, parts),
                    _ => pixels::<P::Lanes, S, false>(block.finish, four, parts),
                };
                let to = output.add(first * apart);
                match is_joined && first + 4 <= M {
                    true => outputs.store(to),
                    false => {
                        let quarters = outputs.quarters().into_iter().enumerate();
                        for (i, outputs) in quarters.take(M - first) {
                            write::<P>(block, outputs, to.add(i * apart));
                        }
                    }
                }
            }
        });
    }
}

/// Writes those of 16 outputs that exist.
///
/// # Safety
///
/// They may be written.
#[inline(always)]
unsafe fn write<P: Fours>(block: &Block<'_>, outputs: __m128i, to: *mut i8) {
    // SAFETY: the caller's promise.
    unsafe {
        match block.valid {
            16.. => _mm_storeu_si128(to.cast(), outputs),
            valid => P::Lanes::write_first(outputs, to, valid),
        }
    }
}

/// `M` pixels by 8 outputs.
///
/// # Safety
///
/// As [`tile`].
#[inline(always)]
unsafe fn narrow_tile<P: Fours, const M: usize, S: Scale>(
    strip: &Strip<'_, Raised>,
    product: &Product<'_>,
    from: usize,
    output: *mut i8,
) {
    let block = Block {
        finish: product.finish,
        record: product.record,
        valid: product.valid,
    };
    // SAFETY: as for [`tile`]; records of 8 outputs have room for 16.
    unsafe {
        let mut sums = [block.bias::<1>()[0]; M];
        let mut weights = product.weights;
        each_step!(strip, product, from, taps => {
            let w = _mm256_loadu_si256(weights.cast());
            for (m, sum) in sums.iter_mut().enumerate() {
                let taps = taps.add(m * strip.step).cast::<i32>().read_unaligned();
                *sum = P::add_fours(*sum, [_mm256_set1_epi32(taps); 2], w);
            }
            weights = weights.add(8 * TAPS);
        });
        let [a, b, c] = block.parts::<1>()[0];
        let parts = [
            P::Lanes::join(a, a),
            P::Lanes::join(b, b),
            P::Lanes::join(c, c),
        ];
        let last = M - 1;
        let pairs = [
            P::Lanes::join(sums[0], sums[last.min(1)]),
            P::Lanes::join(sums[last.min(2)], sums[last.min(3)]),
            P::Lanes::join(sums[last.min(4)], sums[last.min(5)]),
            P::Lanes::join(sums[last.min(6)], sums[last.min(7)]),
        ];
        let outputs = pixels::<P::Lanes, S, false>(block.finish, pairs, parts);
        if M == NARROW_PIXELS && product.channels == 8 && block.valid >= 8 {
            return outputs.store(output);
        }
        let quarters = outputs.quarters();
        for m in 0..M {
            let outputs = quarters[m / 2];
            let outputs = if m % 2 == 0 {
                outputs
            } else {
                _mm_unpackhi_epi64(outputs, outputs)
            };
            let to = output.add(m * product.channels);
            match block.valid {
                8.. => _mm_storel_epi64(to.cast(), outputs),
                valid => P::Lanes::write_first(outputs, to, valid),
            }
        }
    }
}
