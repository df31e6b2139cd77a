//! One pixel: a vector times the file's weights `[O, I]` in place.

use super::lanes::Lanes;
use crate::Conv2dF32;
use crate::tiled::f32::Vector;
use core::arch::x86_64::__m256;
use core::ops::Range;

/// Rows of weights that are multiplied together, and the outputs that they make.
pub(super) const ROWS: usize = 8;

/// Every output of a fully connected layer.
///
/// # Safety
///
/// The machine has such vectors; input, weights and output have the sizes of the geometry.
#[inline(always)]
pub(super) unsafe fn multiply<V: Lanes>(operands: &Conv2dF32<'_>) {
    let [inputs, outputs] = [operands.geometry.input[2], operands.geometry.output[2]];
    let whole = outputs / ROWS * ROWS;
    // SAFETY: the rows of all outputs are inside the weights.
    unsafe {
        let row = |output: usize| operands.weights.as_ptr().add(output * inputs);
        for first in (0..whole).step_by(ROWS) {
            let start = row(first);
            let rows = core::array::from_fn(|r| start.add(r * inputs));
            outputs_of::<V>(operands, rows, first);
        }
        if whole < outputs {
            // The last row stands for those behind it.
            let rows = core::array::from_fn(|r| row((whole + r).min(outputs - 1)));
            outputs_of::<V>(operands, rows, whole);
        }
    }
}

/// The outputs of rows, of which the first is `first`.
///
/// # Safety
///
/// As [`multiply`]; these are rows of the weights.
#[inline(always)]
unsafe fn outputs_of<V: Lanes>(operands: &Conv2dF32<'_>, rows: [*const f32; ROWS], first: usize) {
    let [inputs, outputs] = [operands.geometry.input[2], operands.geometry.output[2]];
    let output = operands.output.as_ptr().cast_mut().cast::<f32>();
    // SAFETY: the mask has those outputs that exist.
    unsafe {
        let exists = __m256::first(outputs - first);
        let mut sums = V::sums(dots::<V>(operands.input.as_ptr(), rows, inputs));
        if operands.bias.len() >= outputs {
            let bias = operands.bias.as_ptr().add(first);
            sums = sums.add(__m256::load_masked(bias, exists));
        }
        let limited = sums.limit(operands.limits);
        limited.store_masked(output.add(first), exists);
    }
}

/// The products of the input and rows, lane by lane: those of element `i` in lane `i % LANES`, in order,
/// wherever rows are in memory.
///
/// # Safety
///
/// Input and rows hold so many elements.
#[inline(always)]
unsafe fn dots<V: Lanes>(input: *const f32, rows: [*const f32; ROWS], inputs: usize) -> [V; ROWS] {
    // A vector that two lines of the cache share costs two loads. Where rows are whole lines, all of
    // them begin so far behind the start of a vector that is on one.
    let past = rows[0] as usize / size_of::<f32>() % V::LANES;
    let (input, rows) = (
        input.wrapping_sub(past),
        rows.map(|row| row.wrapping_sub(past)),
    );
    let end = past + inputs;
    // SAFETY: the elements from `past` to `end` are those of input and rows; others are masked.
    unsafe {
        let mut sums = [V::splat(0.0); ROWS];
        let mut at = 0;
        if past > 0 {
            add_part(&mut sums, input, rows, past..end.min(V::LANES));
            at = V::LANES;
        }
        while at + V::LANES <= end {
            let values = V::load(input.add(at));
            for (sum, row) in sums.iter_mut().zip(rows) {
                *sum = sum.add_product(values, V::load(row.add(at)));
            }
            at += V::LANES;
        }
        if at < end {
            let (input, rows) = (input.add(at), rows.map(|row| row.add(at)));
            add_part(&mut sums, input, rows, 0..end - at);
        }
        if past > 0 {
            for sum in &mut sums {
                *sum = sum.rotated(past);
            }
        }
        sums
    }
}

/// Adds the products of some lanes of a vector.
///
/// # Safety
///
/// Input and rows hold the elements of these lanes.
#[inline(always)]
unsafe fn add_part<V: Lanes>(
    sums: &mut [V; ROWS],
    input: *const f32,
    rows: [*const f32; ROWS],
    lanes: Range<usize>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mask = V::between(lanes);
        let values = V::load_masked(input, mask);
        for (sum, row) in sums.iter_mut().zip(rows) {
            *sum = sum.add_product(values, V::load_masked(row, mask));
        }
    }
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
