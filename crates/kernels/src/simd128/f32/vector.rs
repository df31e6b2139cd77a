//! One pixel: a vector times the file's weights `[O, I]` in place.

use crate::Conv2dF32;
use core::arch::wasm32::*;

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
    let mut sums = [[f32x4_splat(0.0); 2]; R];
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
    unsafe {
        for k in (0..inputs / 8).map(|block| block * 8) {
            let at = input.add(k);
            let values = [v128_load(at.cast()), v128_load(at.add(4).cast())];
            for (r, sum) in sums.iter_mut().enumerate() {
                let row = weights.add(r * inputs + k);
                let weights = [v128_load(row.cast()), v128_load(row.add(4).cast())];
                sum[0] = f32x4_add(sum[0], f32x4_mul(values[0], weights[0]));
                sum[1] = f32x4_add(sum[1], f32x4_mul(values[1], weights[1]));
            }
        }
        for k in inputs / 8 * 8..inputs {
            for (r, tail) in tails.iter_mut().enumerate() {
                *tail += input.add(k).read() * weights.add(r * inputs + k).read();
            }
        }
    }
    let [low, high] = operands.limits;
    for (r, (sum, tail)) in sums.iter().zip(tails).enumerate() {
        let bias = operands.bias.get(first + r).copied().unwrap_or(0.0);
        let value = bias + tail + horizontal_sum(f32x4_add(sum[0], sum[1]));
        if let Some(cell) = operands.output.get(first + r) {
            cell.set(value.max(low).min(high));
        }
    }
}

fn horizontal_sum(values: v128) -> f32 {
    let two = f32x4_add(values, i32x4_shuffle::<2, 3, 2, 3>(values, values));
    f32x4_extract_lane::<0>(two) + f32x4_extract_lane::<1>(two)
}
