//! One pixel: a vector times the file's weights `[O, I]` in place.

use super::tile::{add_products, load};
use crate::Conv2dF32;
use core::arch::aarch64::*;

/// Floats whose products are added up apart, and at the end as x86 does: sums have the same bits.
const LANES: usize = 16;

/// The floats of a line in four vectors.
type Line = [float32x4_t; 4];

/// Every output of a fully connected layer. The caller has compared the lengths.
pub(super) fn multiply(operands: &Conv2dF32<'_>) {
    let [inputs, outputs] = [operands.geometry.input[2], operands.geometry.output[2]];
    let mut first = 0;
    while first + 4 <= outputs {
        dots::<4>(operands, inputs, first);
        first += 4;
    }
    while first < outputs {
        dots::<1>(operands, inputs, first);
        first += 1;
    }
}

/// Outputs `first..first + R`.
fn dots<const R: usize>(operands: &Conv2dF32<'_>, inputs: usize, first: usize) {
    let rows = operands.weights.get(first * inputs..(first + R) * inputs);
    let Some(weights) = rows.filter(|_| operands.input.len() >= inputs) else {
        return;
    };
    // SAFETY: every line is inside the input and its row.
    let sums = unsafe {
        let input = operands.input.as_ptr();
        let mut sums = [[vdupq_n_f32(0.0); 4]; R];
        let mut at = 0;
        while at + LANES <= inputs {
            let values: Line = load(input.add(at));
            for (r, sum) in sums.iter_mut().enumerate() {
                add_products(sum, values, load(weights.as_ptr().add(r * inputs + at)));
            }
            at += LANES;
        }
        if at < inputs {
            let values = load_part(input.add(at), inputs - at);
            for (r, sum) in sums.iter_mut().enumerate() {
                let row = weights.as_ptr().add(r * inputs + at);
                add_products(sum, values, load_part(row, inputs - at));
            }
        }
        sums.map(total)
    };
    let [low, high] = operands.limits;
    for (r, sum) in sums.into_iter().enumerate() {
        let bias = operands.bias.get(first + r).copied().unwrap_or(0.0);
        if let Some(cell) = operands.output.get(first + r) {
            cell.set((sum + bias).max(low).min(high));
        }
    }
}

/// The first lanes, and zeros.
///
/// # Safety
///
/// So many lanes are readable.
unsafe fn load_part(from: *const f32, valid: usize) -> Line {
    let mut lanes = [0.0; LANES];
    // SAFETY: the caller's promise.
    unsafe {
        for (i, lane) in lanes.iter_mut().enumerate().take(valid) {
            *lane = from.add(i).read();
        }
        load(lanes.as_ptr())
    }
}

/// The sum of all lanes: halves, neighbours, pairs, and the rest.
fn total([a, b, c, d]: Line) -> f32 {
    // SAFETY: this target has the instructions.
    unsafe {
        let pairs = vpaddq_f32(vaddq_f32(a, c), vaddq_f32(b, d));
        let fours = vpaddq_f32(pairs, pairs);
        vgetq_lane_f32::<0>(fours) + vgetq_lane_f32::<1>(fours)
    }
}
