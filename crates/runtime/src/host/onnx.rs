//! Multipliers that round sums as ONNX Runtime does.

use std::vec::Vec;

/// The factor for which sums that are rounded once, halves up, become what ONNX Runtime makes of them, which
/// rounds the product with `factor` to single precision and then halves to even numbers. Outputs, their zero
/// point taken off, are within `limits`. Where no factor serves all sums, it serves those of small outputs,
/// which are more.
pub(crate) fn rounding_factor(factor: f32, limits: [i32; 2]) -> f64 {
    let exact = f64::from(factor);
    let mut outputs: Vec<i32> = (limits[0]..limits[1]).collect();
    outputs.sort_by_key(|output| (2 * output + 1).abs());
    let [mut least, mut below] = [0.0f64, f64::INFINITY];
    for output in outputs {
        let bounds = bounds(factor, output).unwrap_or([0.0, f64::INFINITY]);
        let both = [least.max(bounds[0]), below.min(bounds[1])];
        if both[0] < both[1] {
            [least, below] = both;
        }
    }
    // What 31 bits tell apart.
    let step = exact * 2f64.powi(-30);
    exact.max(least + step).min(below - step)
}

/// From where to below where factors are with which sums become more than `output` that do so in ONNX
/// Runtime, and no others; `None` where sums of 32 bits do not.
fn bounds(factor: f32, output: i32) -> Option<[f64; 2]> {
    let half = f64::from(output) + 0.5;
    let rounded = |sum: i64| (sum as f32 * factor).round_ties_even();
    let near = (half / f64::from(factor)).ceil() as i64;
    let mut sums = near.saturating_sub(1)..=near.saturating_add(1);
    let first = sums.find(|&sum| rounded(sum) > output as f32)?;
    if first.unsigned_abs() >= 1 << 31 {
        return None;
    }
    // first * factor >= half > (first - 1) * factor
    let [of_first, of_last] = [first, first - 1].map(|sum| half / sum as f64);
    Some(match first {
        2.. => [of_first, of_last],
        1 => [of_first, f64::INFINITY],
        0 => [of_last.next_up(), f64::INFINITY],
        _ => [of_last.next_up(), of_first.next_up()],
    })
}

#[cfg(test)]
mod tests {
    use super::rounding_factor;
    use format::fixed::{quantize_multiplier, requantize_single};
    use proptest::prelude::*;

    fn differing(factor: f32, used: f64) -> usize {
        let (multiplier, shift) = quantize_multiplier(used);
        let most = (127.0 / factor) as i32;
        let differs = |sum: &i32| {
            let expected = (*sum as f32 * factor).round_ties_even() as i32;
            requantize_single(*sum, multiplier, shift) != expected
        };
        (-most..most).filter(differs).count()
    }

    /// 5360 times it is 18.5 in single precision, and a little more in truth. Three times that is to be
    /// rounded up, which no factor does.
    #[test]
    fn halves_of_single_precision_go_to_even_numbers() {
        let factor = 0.003_451_492_6f32;
        assert_eq!([5360.0 * factor, 16_080.0 * factor], [18.5, 55.5]);
        let found = rounding_factor(factor, [-128, 127]);
        let (multiplier, shift) = quantize_multiplier(found);
        let rounded = [5360, -5360].map(|sum| requantize_single(sum, multiplier, shift));
        assert_eq!(rounded, [18, -18]);
        assert_eq!(differing(factor, factor.into()), 4);
        assert_eq!(differing(factor, found), 2);
        assert_eq!(differing(factor, rounding_factor(factor, [0, 50])), 2);
    }

    proptest! {
        #[test]
        fn sums_are_rounded_no_worse(factor in 0.0005f32..0.3) {
            let found = rounding_factor(factor, [-128, 127]);
            prop_assert!((found / f64::from(factor) - 1.0).abs() < 1e-6);
            prop_assert!(differing(factor, found) <= differing(factor, factor.into()));
        }
    }
}
