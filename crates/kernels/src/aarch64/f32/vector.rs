//! One pixel: a vector times the file's weights `[O, I]` in place.

use crate::Conv2dF32;
use core::arch::aarch64::*;

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
    let mut tails = [0.0f32; R];
    let weights = operands
        .weights
        .get(first * inputs..(first + R) * inputs)
        .unwrap_or(&[]);
    if weights.len() != R * inputs || operands.input.len() < inputs {
        return;
    }
    let (input, weights) = (operands.input.as_ptr(), weights.as_ptr());
    // SAFETY: every index is below `inputs`, and the lengths were compared above.
    let sums = unsafe {
        let mut sums = [[vdupq_n_f32(0.0); 2]; R];
        for k in (0..inputs / 8).map(|block| block * 8) {
            let values = [vld1q_f32(input.add(k)), vld1q_f32(input.add(k + 4))];
            for (r, sum) in sums.iter_mut().enumerate() {
                let row = weights.add(r * inputs + k);
                sum[0] = vfmaq_f32(sum[0], values[0], vld1q_f32(row));
                sum[1] = vfmaq_f32(sum[1], values[1], vld1q_f32(row.add(4)));
            }
        }
        for k in inputs / 8 * 8..inputs {
            for (r, tail) in tails.iter_mut().enumerate() {
                *tail += input.add(k).read() * weights.add(r * inputs + k).read();
            }
        }
        sums.map(|[first, second]| vaddvq_f32(vaddq_f32(first, second)))
    };
    let [low, high] = operands.limits;
    for (r, (sum, tail)) in sums.into_iter().zip(tails).enumerate() {
        let bias = operands.bias.get(first + r).copied().unwrap_or(0.0);
        if let Some(cell) = operands.output.get(first + r) {
            cell.set((bias + tail + sum).max(low).min(high));
        }
    }
}
