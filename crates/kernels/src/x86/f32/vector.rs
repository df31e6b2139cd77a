//! One pixel: a vector times the file's weights `[O, I]` in place.

use super::lanes::Lanes;
use super::line::{LANES, Line};
use crate::Conv2dF32;
use crate::tiled::f32::Vector;
use core::arch::x86_64::*;
use core::ops::Range;

/// Outputs whose sums are finished together: a vector of 256 bits.
const OUTPUTS: usize = 8;

/// Every output of a fully connected layer.
///
/// # Safety
///
/// The machine has such lines; input, weights and output have the sizes of the geometry.
#[inline(always)]
pub(super) unsafe fn multiply<L: Line>(operands: &Conv2dF32<'_>) {
    let [inputs, outputs] = [operands.geometry.input[2], operands.geometry.output[2]];
    let output = operands.output.as_ptr().cast_mut().cast::<f32>();
    for first in (0..outputs).step_by(OUTPUTS) {
        // The last row stands for those behind it.
        let row = |r: usize| (first + r).min(outputs - 1) * inputs;
        let rows: [_; OUTPUTS] =
            core::array::from_fn(|r| operands.weights.as_ptr().wrapping_add(row(r)));
        // SAFETY: the rows are inside the weights, and so many outputs exist.
        unsafe {
            let exist = outputs - first;
            let mut sums = L::sums(operands.input.as_ptr(), rows, inputs);
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
/// `i % LANES`, wherever rows are in memory, and then the halves of lanes are added up.
///
/// # Safety
///
/// Input and rows hold so many elements.
#[inline(always)]
pub(super) unsafe fn dots<L: Line, const ROWS: usize>(
    input: *const f32,
    rows: [*const f32; ROWS],
    inputs: usize,
) -> [__m256; ROWS] {
    // A vector that two lines of the cache share costs two loads. Where rows are whole lines, all of
    // them begin so far behind the start of a line.
    let past = rows[0] as usize / size_of::<f32>() % LANES;
    let (input, rows) = (
        input.wrapping_sub(past),
        rows.map(|row| row.wrapping_sub(past)),
    );
    let end = past + inputs;
    // SAFETY: the elements from `past` to `end` are those of input and rows; others are masked.
    unsafe {
        let mut sums = [L::zero(); ROWS];
        let mut at = 0;
        if past > 0 {
            add_part(&mut sums, input, rows, past..end.min(LANES));
            at = LANES;
        }
        while at + LANES <= end {
            let values = L::load(input.wrapping_add(at));
            for (sum, row) in sums.iter_mut().zip(rows) {
                *sum = sum.add_product(values, L::load(row.wrapping_add(at)));
            }
            at += LANES;
        }
        if at < end {
            let (input, rows) = (input.wrapping_add(at), rows.map(|row| row.wrapping_add(at)));
            add_part(&mut sums, input, rows, 0..end - at);
        }
        halves(sums, past)
    }
}

/// Adds the products of some lanes.
///
/// # Safety
///
/// Input and rows hold the elements of these lanes.
#[inline(always)]
unsafe fn add_part<L: Line, const ROWS: usize>(
    sums: &mut [L; ROWS],
    input: *const f32,
    rows: [*const f32; ROWS],
    lanes: Range<usize>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let values = L::load_part(input, lanes.clone());
        for (sum, row) in sums.iter_mut().zip(rows) {
            *sum = sum.add_product(values, L::load_part(row, lanes.clone()));
        }
    }
}

/// The halves of lines, added up; lane `past` comes first. Which half is which does not matter.
///
/// # Safety
///
/// The machine has such lines.
#[inline(always)]
unsafe fn halves<L: Line, const ROWS: usize>(lines: [L; ROWS], past: usize) -> [__m256; ROWS] {
    // SAFETY: the features of lines contain those of vectors of 256 bits.
    unsafe {
        let mut halves = [_mm256_setzero_ps(); ROWS];
        // Of a lane's number three bits count.
        let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        let order = _mm256_add_epi32(lanes, _mm256_set1_epi32(past as i32));
        for (half, line) in halves.iter_mut().zip(lines) {
            *half = _mm256_permutevar8x32_ps(line.added_halves(), order);
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
pub(super) unsafe fn totals(vectors: [__m256; OUTPUTS]) -> __m256 {
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
