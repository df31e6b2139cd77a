//! One pixel: a vector times the file's weights `[O, I]` in place.

use crate::Conv2dF32;
use core::arch::x86_64::*;

/// Every output of a fully connected layer. The caller has compared the lengths.
#[target_feature(enable = "avx2,fma")]
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
#[target_feature(enable = "avx2,fma")]
fn dots<const R: usize>(operands: &Conv2dF32<'_>, inputs: usize, first: usize) {
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
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
        for k in (0..inputs / 16).map(|block| block * 16) {
            let values = [
                _mm256_loadu_ps(input.add(k)),
                _mm256_loadu_ps(input.add(k + 8)),
            ];
            for (r, sum) in sums.iter_mut().enumerate() {
                let row = weights.add(r * inputs + k);
                sum[0] = _mm256_fmadd_ps(values[0], _mm256_loadu_ps(row), sum[0]);
                sum[1] = _mm256_fmadd_ps(values[1], _mm256_loadu_ps(row.add(8)), sum[1]);
            }
        }
        for k in inputs / 16 * 16..inputs {
            for (r, tail) in tails.iter_mut().enumerate() {
                *tail += input.add(k).read() * weights.add(r * inputs + k).read();
            }
        }
    }
    let [low, high] = operands.limits;
    for (r, (sum, tail)) in sums.iter().zip(tails).enumerate() {
        let bias = operands.bias.get(first + r).copied().unwrap_or(0.0);
        let value = bias + tail + horizontal_sum(_mm256_add_ps(sum[0], sum[1]));
        if let Some(cell) = operands.output.get(first + r) {
            cell.set(value.max(low).min(high));
        }
    }
}

#[target_feature(enable = "avx2,fma")]
fn horizontal_sum(values: __m256) -> f32 {
    let four = _mm_add_ps(
        _mm256_castps256_ps128(values),
        _mm256_extractf128_ps::<1>(values),
    );
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
}
