//! One pixel: a vector times the file's weights `[O, I]` in place.

use super::lanes::{Lanes, eight_numbers};
use crate::Conv2dF32;
use crate::tiled::f32::Vector;
use core::arch::x86_64::*;
use core::ops::Range;

/// Floats whose products are added up apart, in one vector or in two, so that sums have the same order
/// whichever a machine has: a line.
pub(super) const LINE: usize = 16;

/// Outputs whose sums are finished together: a vector of 256 bits.
const OUTPUTS: usize = 8;

/// Every output of a fully connected layer, by lines of `PARTS` vectors of `ROWS` rows at once.
///
/// # Safety
///
/// The machine has such vectors; input, weights and output have the sizes of the geometry.
#[inline(always)]
pub(super) unsafe fn multiply<V: Lanes, const PARTS: usize, const ROWS: usize>(
    operands: &Conv2dF32<'_>,
) {
    let [inputs, outputs] = [operands.geometry.input[2], operands.geometry.output[2]];
    let output = operands.output.as_ptr().cast_mut().cast::<f32>();
    for first in (0..outputs).step_by(OUTPUTS) {
        // The last row stands for those behind it.
        let row = |output: usize| output.min(outputs - 1) * inputs;
        // SAFETY: the rows are inside the weights, and so many outputs exist.
        unsafe {
            let exist = outputs - first;
            let mut sums = [_mm256_setzero_ps(); OUTPUTS];
            for (part, sums) in sums.as_chunks_mut::<ROWS>().0.iter_mut().enumerate() {
                let at = first + part * ROWS;
                let rows = core::array::from_fn(|r| operands.weights.as_ptr().add(row(at + r)));
                *sums = dots::<V, PARTS, ROWS>(operands.input.as_ptr(), rows, inputs);
            }
            let mut sums = totals(sums);
            if operands.bias.len() >= outputs {
                let bias = operands.bias.as_ptr().add(first);
                sums = sums.add(__m256::load_first(bias, exist));
            }
            let limited = sums.limit(operands.limits);
            limited.store_first(output.add(first), exist);
        }
    }
}

/// The products of the input and some rows: those of element `i` are added up in order in lane
/// `i % LINE`, wherever rows are in memory, and then the halves of lines are added up.
///
/// # Safety
///
/// Input and rows hold so many elements.
#[inline(always)]
unsafe fn dots<V: Lanes, const PARTS: usize, const ROWS: usize>(
    input: *const f32,
    rows: [*const f32; ROWS],
    inputs: usize,
) -> [__m256; ROWS] {
    // A vector that two lines of the cache share costs two loads. Where rows are whole lines, all of
    // them begin so far behind the start of a line.
    let past = rows[0] as usize / size_of::<f32>() % LINE;
    let (input, rows) = (
        input.wrapping_sub(past),
        rows.map(|row| row.wrapping_sub(past)),
    );
    let end = past + inputs;
    // SAFETY: the elements from `past` to `end` are those of input and rows; others are masked.
    unsafe {
        let mut sums = [[V::splat(0.0); PARTS]; ROWS];
        let mut at = 0;
        if past > 0 {
            add_lanes(&mut sums, input, rows, past..end.min(LINE));
            at = LINE;
        }
        while at + LINE <= end {
            for part in 0..PARTS {
                let at = at + part * V::LANES;
                let values = V::load(input.wrapping_add(at));
                for (sum, row) in sums.iter_mut().zip(rows) {
                    let weights = V::load(row.wrapping_add(at));
                    sum[part] = sum[part].add_product(values, weights);
                }
            }
            at += LINE;
        }
        if at < end {
            let (input, rows) = (input.wrapping_add(at), rows.map(|row| row.wrapping_add(at)));
            add_lanes(&mut sums, input, rows, 0..end - at);
        }
        halves(sums, past)
    }
}

/// Adds the products of some lanes of a line.
///
/// # Safety
///
/// Input and rows hold the elements of these lanes.
#[inline(always)]
unsafe fn add_lanes<V: Lanes, const PARTS: usize, const ROWS: usize>(
    sums: &mut [[V; PARTS]; ROWS],
    input: *const f32,
    rows: [*const f32; ROWS],
    lanes: Range<usize>,
) {
    for part in 0..PARTS {
        let before = part * V::LANES;
        let lanes = lanes.start.saturating_sub(before)..lanes.end.saturating_sub(before);
        // SAFETY: the caller's promise.
        unsafe {
            let values = V::load_between(input.wrapping_add(before), lanes.clone());
            for (sum, row) in sums.iter_mut().zip(rows) {
                let weights = V::load_between(row.wrapping_add(before), lanes.clone());
                sum[part] = sum[part].add_product(values, weights);
            }
        }
    }
}

/// The halves of lines, added up; lane `past` comes first. Which half is which does not matter.
///
/// # Safety
///
/// The machine has such vectors.
#[inline(always)]
unsafe fn halves<V: Lanes, const PARTS: usize, const ROWS: usize>(
    lines: [[V; PARTS]; ROWS],
    past: usize,
) -> [__m256; ROWS] {
    // SAFETY: the features contain those of vectors of 256 bits.
    unsafe {
        let mut halves = [_mm256_setzero_ps(); ROWS];
        // Of a lane's number three bits count.
        let order = _mm256_add_epi32(eight_numbers(), _mm256_set1_epi32(past as i32));
        for (half, line) in halves.iter_mut().zip(lines) {
            let mut sum = line[0];
            for &part in &line[1..] {
                sum = sum.add(part);
            }
            *half = _mm256_permutevar8x32_ps(sum.eight_sums(), order);
        }
        halves
    }
}

/// The sum of all lanes of each: neighbours, then pairs, then halves.
///
/// # Safety
///
/// The machine has AVX2.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn totals(vectors: [__m256; OUTPUTS]) -> __m256 {
    let [a, b, c, d, e, f, g, h] = vectors;
    // Halves of vectors are added up apart.
    let pairs = [_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d)];
    let first = _mm256_hadd_ps(pairs[0], pairs[1]);
    let pairs = [_mm256_hadd_ps(e, f), _mm256_hadd_ps(g, h)];
    let last = _mm256_hadd_ps(pairs[0], pairs[1]);
    _mm256_add_ps(
        _mm256_permute2f128_ps::<0x20>(first, last),
        _mm256_permute2f128_ps::<0x31>(first, last),
    )
}

#[cfg(test)]
mod tests {
    use crate::memory::In;
    use crate::{Binding, Conv2dF32, Geometry, Threads, Window};
    use core::cell::Cell;
    use std::vec::Vec;

    /// Threads and copies of a file have weights elsewhere in a line of the cache.
    #[test]
    fn sums_do_not_depend_on_where_weights_are() {
        for inputs in [3, 16, 37, 64] {
            let geometry = Geometry {
                input: [1, 1, inputs],
                output: [1, 1, 11],
                window: Window {
                    kernel: [1, 1],
                    stride: [1, 1],
                    dilation: [1, 1],
                    padding: [0, 0],
                },
                groups: 1,
            };
            let number = |i: usize| ((i * 7919 % 1000) as f32 - 500.0) / 300.0;
            let input: Vec<f32> = (0..inputs).map(number).collect();
            let answers = |start: usize| {
                let mut memory = std::vec![f32::NAN; start];
                memory.extend((0..11 * inputs).map(|i| number(3 * i + 1)));
                let output = [const { Cell::new(0.0) }; 11];
                crate::f32::conv_2d(&Conv2dF32 {
                    geometry,
                    input: In::from_slice(&input),
                    output: &output,
                    weights: &memory[start..],
                    bias: &[],
                    limits: [-1e9, 1e9],
                    binding: Binding {
                        prepared: &[],
                        scratch: &[],
                        threads: Threads::ALONE,
                    },
                });
                output.map(|cell| cell.get().to_bits())
            };
            let first = answers(0);
            assert!((1..16).all(|start| answers(start) == first), "{inputs}");
        }
    }
}
