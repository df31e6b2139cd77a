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

/// The products of the input and rows, lane by lane.
///
/// # Safety
///
/// Input and rows hold so many elements.
#[inline(always)]
unsafe fn dots<V: Lanes>(input: *const f32, rows: [*const f32; ROWS], inputs: usize) -> [V; ROWS] {
    // A vector that two lines of the cache share costs two loads. Where rows are whole lines, all of
    // them begin at one place in a line, and what is before the next one comes first.
    let past = rows[0] as usize / size_of::<f32>() % V::LANES;
    let head = if past == 0 {
        0
    } else {
        inputs.min(V::LANES - past)
    };
    // SAFETY: every index is below `inputs`.
    unsafe {
        let mut sums = [V::splat(0.0); ROWS];
        add_part(&mut sums, input, rows, 0..head);
        let mut at = head;
        while at + V::LANES <= inputs {
            let values = V::load(input.add(at));
            for (sum, row) in sums.iter_mut().zip(rows) {
                *sum = sum.add_product(values, V::load(row.add(at)));
            }
            at += V::LANES;
        }
        add_part(&mut sums, input, rows, at..inputs);
        sums
    }
}

/// Adds the products of a part of a vector.
///
/// # Safety
///
/// Input and rows hold the range, which is no longer than a vector.
#[inline(always)]
unsafe fn add_part<V: Lanes>(
    sums: &mut [V; ROWS],
    input: *const f32,
    rows: [*const f32; ROWS],
    range: Range<usize>,
) {
    if range.is_empty() {
        return;
    }
    // SAFETY: the caller's promise.
    unsafe {
        let mask = V::first(range.len());
        let values = V::load_masked(input.add(range.start), mask);
        for (sum, row) in sums.iter_mut().zip(rows) {
            *sum = sum.add_product(values, V::load_masked(row.add(range.start), mask));
        }
    }
}
