//! Multipliers that round sums as ONNX Runtime does, and factors as it computes them.

use format::fixed::{quantize_multiplier, requantize_single};
use std::ops::Range;
use std::vec::Vec;

/// How far the scale of weights may be from the nearest one, in last places.
const NEIGHBOURS: u32 = 2;

/// More, as a share, than what a product loses in single precision, its sum included.
const CLOSE_PRODUCTS: f64 = 1.0 / ((1 << 22) as f64);

/// More than what is lost where its factor is that of a neighbour.
const CLOSE_FACTORS: f64 = 1.0 / ((1 << 20) as f64);

/// How far it may be for the sake of all steps, and between two that are tried: a channel of weights loses a
/// thousandth of a step by it.
const FURTHEST: u32 = 1 << 13;
const APART: usize = 8;

/// Beside this, numbers have no binary places.
const WHOLE: f64 = 1.5 * ((1u64 << 52) as f64);

/// The factor of a layer's sums from the scale of its weights and those of its input and output, as ONNX
/// Runtime computes it.
pub(crate) fn single_factor(weights: f32, [input, output]: [f32; 2]) -> f32 {
    input * weights / output
}

/// The scale of weights that makes `factor` of the scales of input and output there, to the bit, where there
/// is one and none of `steps` is missed with it.
///
/// A step is an output with its zero point taken off, from which sums lead to the next. It is missed where the
/// next output begins at another sum than where halves are rounded up. Neither way of rounding falls from one
/// sum to the next, so that two sums decide about a step. `factor` has 12 bits and is positive.
pub fn exact_weight_scale(factor: f64, scales: [f32; 2], steps: &Range<i32>) -> Option<f32> {
    let is_exact = |scale: &f32| f64::from(single_factor(*scale, scales)) == factor;
    let scale = neighbours(factor, scales).find(is_exact)?;
    let mut steps = close(steps, factor, CLOSE_PRODUCTS);
    let is_met = |step: i32| !is_missed(step, factor, factor as f32);
    steps.all(is_met).then_some(scale)
}

/// The scale of weights near the one that makes `factor` with which the fewest of `steps` are missed, as
/// [`exact_weight_scale`] has them; one that makes it to the bit, if with that none is.
pub fn weight_scale(factor: f64, scales: [f32; 2], steps: &Range<i32>) -> f32 {
    if let Some(scale) = exact_weight_scale(factor, scales, steps) {
        return scale;
    }
    let close: Vec<i32> = close(steps, factor, CLOSE_FACTORS).collect();
    let missed = |scale: &f32| {
        let single = single_factor(*scale, scales);
        let is_missed = |step: &&i32| is_missed(**step, factor, single);
        close.iter().filter(is_missed).count()
    };
    let found = neighbours(factor, scales).min_by_key(missed);
    found.unwrap_or(factor as f32)
}

/// Whether none of `steps` is missed with a scale of weights, as [`exact_weight_scale`] has them.
pub fn is_served(scale: f32, factor: f64, scales: [f32; 2], steps: &Range<i32>) -> bool {
    let single = single_factor(scale, scales);
    let mut close = close(steps, factor, CLOSE_FACTORS);
    close.all(|step| !is_missed(step, factor, single))
}

/// The first scale of weights from `scale` on for which there is a factor that takes all of `steps`, as
/// [`exact_weight_scale`] has them, at the sums at which ONNX Runtime takes them; `scale` where there is none.
pub fn served_weight_scale(scale: f32, scales: [f32; 2], steps: &Range<i32>) -> f32 {
    let moved = |distance: u32| f32::from_bits(scale.to_bits().saturating_add(distance));
    let distances = (0..FURTHEST).step_by(APART).map(moved);
    let mut served = distances.filter(|&scale| {
        let factor = single_factor(scale, scales);
        let exact = f64::from(factor);
        let close = close(steps, exact, CLOSE_FACTORS);
        let bounds = close.filter_map(|output| Some(Step::of(factor, output)?.bounds()));
        let [least, below] = bounds.fold([0.0, f64::INFINITY], |both: [f64; 2], bounds| {
            [both[0].max(bounds[0]), both[1].min(bounds[1])]
        });
        let step = told_apart(exact);
        least + step < below - step
    });
    served.next().unwrap_or(scale)
}

/// What 31 bits tell apart of a factor.
fn told_apart(factor: f64) -> f64 {
    factor * 2f64.powi(-30)
}

/// Scales of weights that make about `factor`, the nearest first.
fn neighbours(factor: f64, [input, output]: [f32; 2]) -> impl Iterator<Item = f32> {
    let nearest = (factor * f64::from(output) / f64::from(input)) as f32;
    (0..=NEIGHBOURS).flat_map(move |distance| {
        let bits = nearest.to_bits();
        [bits.saturating_add(distance), bits.saturating_sub(distance)].map(f32::from_bits)
    })
}

/// The steps at which a sum is so close to a half, as a share of it, that they may be missed; the furthest up,
/// where numbers have the fewest places, come first.
fn close(steps: &Range<i32>, factor: f64, share: f64) -> impl Iterator<Item = i32> {
    let inverse = 1.0 / factor;
    steps.clone().rev().filter(move |&step| {
        let sum = half_above(step) * inverse;
        // The nearest whole number: sums have less than 52 bits.
        let whole = (sum + WHOLE) - WHOLE;
        (sum - whole).abs() <= sum.abs() * share
    })
}

fn is_missed(step: i32, factor: f64, single: f32) -> bool {
    // The first sum that is rounded up here.
    let first = (half_above(step) / factor).ceil() as i64;
    rounded(first, single) <= step as f32 || rounded(first - 1, single) > step as f32
}

/// What ONNX Runtime makes of a sum.
fn rounded(sum: i64, factor: f32) -> f32 {
    (sum as f32 * factor).round_ties_even()
}

/// The factor for which sums that are rounded once, halves up, become what ONNX Runtime makes of them, which
/// rounds the product with `factor` to single precision and then halves to even numbers. Outputs, their zero
/// point taken off, are within `limits`. Where no factor serves all sums, it serves those of small outputs,
/// which are more, unless `factor` itself serves as many.
pub(crate) fn rounding_factor(factor: f32, limits: [i32; 2]) -> f64 {
    let exact = f64::from(factor);
    let mut outputs: Vec<i32> = (limits[0]..limits[1]).collect();
    outputs.sort_by_key(|output| (2 * output + 1).abs());
    let steps = outputs
        .iter()
        .filter_map(|&output| Step::of(factor, output));
    let steps: Vec<Step> = steps.collect();
    let [mut least, mut below] = [0.0f64, f64::INFINITY];
    for step in &steps {
        let bounds = step.bounds();
        let both = [least.max(bounds[0]), below.min(bounds[1])];
        if both[0] < both[1] {
            [least, below] = both;
        }
    }
    let step = told_apart(exact);
    let found = exact.max(least + step).min(below - step);
    match served(&steps, found) > served(&steps, exact) {
        true => found,
        false => exact,
    }
}

/// How many steps are taken at their sums.
fn served(steps: &[Step], factor: f64) -> usize {
    let (multiplier, shift) = quantize_multiplier(factor);
    let rounded = |sum: i32| requantize_single(sum, multiplier, shift);
    let is_served = |step: &&Step| {
        rounded(step.first) > step.output && rounded(step.first.wrapping_sub(1)) <= step.output
    };
    steps.iter().filter(is_served).count()
}

/// The first sum of which ONNX Runtime makes more than an output.
struct Step {
    output: i32,
    first: i32,
}

impl Step {
    /// `None` where sums of 32 bits do not become more.
    fn of(factor: f32, output: i32) -> Option<Self> {
        let near = (half_above(output) / f64::from(factor)).ceil() as i64;
        let mut sums = near.saturating_sub(1)..=near.saturating_add(1);
        let first = sums.find(|&sum| rounded(sum, factor) > output as f32)?;
        let first = i32::try_from(first).ok()?;
        Some(Step { output, first })
    }

    /// From where to below where factors are with which the step is taken at its sum.
    fn bounds(&self) -> [f64; 2] {
        // first * factor >= half > (first - 1) * factor
        let half = half_above(self.output);
        let first = f64::from(self.first);
        let [of_first, of_last] = [first, first - 1.0].map(|sum| half / sum);
        match self.first {
            2.. => [of_first, of_last],
            1 => [of_first, f64::INFINITY],
            0 => [of_last.next_up(), f64::INFINITY],
            _ => [of_last.next_up(), of_first.next_up()],
        }
    }
}

/// Half way to the next output.
fn half_above(output: i32) -> f64 {
    f64::from(output) + 0.5
}

#[cfg(test)]
mod tests {
    use super::{
        exact_weight_scale, rounding_factor, served_weight_scale, single_factor, weight_scale,
    };
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

    /// Odd multiples of 8,192 become halves. A factor that is a little larger takes positive ones up, as they
    /// are here.
    #[test]
    fn halves_of_positive_outputs_go_up() {
        let scales = [0.1f32, 0.7];
        let factor = 21.0 / 16_384.0;
        assert_eq!(exact_weight_scale(factor, scales, &(0..255)), None);
        let found = weight_scale(factor, scales, &(0..255));
        for sum in [8_192, 3 * 8_192, 5 * 8_192] {
            let up = (f64::from(sum) * factor + 0.5).floor();
            let elsewhere = (sum as f32 * single_factor(found, scales)).round_ties_even();
            assert_eq!(f64::from(elsewhere), up);
        }
    }

    /// Outputs of sums up to `most` that are others with a scale of weights.
    fn missed(factor: f64, scale: f32, scales: [f32; 2], most: i32) -> usize {
        let single = single_factor(scale, scales);
        let differs = |sum: &i32| {
            let up = (f64::from(*sum) * factor + 0.5).floor();
            f64::from((*sum as f32 * single).round_ties_even()) != up
        };
        (0..(f64::from(most) / factor) as i32)
            .filter(differs)
            .count()
    }

    #[test]
    fn scales_of_weights_miss_few_steps() {
        let scales = [0.1f32, 0.7];
        let mut moved = 0;
        for multiplier in (2_001..3_001).step_by(50) {
            let factor = f64::from(multiplier) / f64::from(1 << 20);
            let nearest = (factor * f64::from(scales[1]) / f64::from(scales[0])) as f32;
            let found = weight_scale(factor, scales, &(0..127));
            let [before, after] = [nearest, found].map(|scale| missed(factor, scale, scales, 127));
            assert!(after <= before, "{multiplier}: {after} of {before}");
            moved += usize::from(before > 0 && after == 0);
            let exact = exact_weight_scale(factor, scales, &(0..127));
            assert!(exact.is_none_or(|scale| scale == found && after == 0));
        }
        assert!(moved > 3, "{moved}");
    }

    proptest! {
        #[test]
        fn scales_of_weights_are_near(multiplier in 1u32..4_096, a in 0.001f32..4.0, b in 0.001f32..4.0) {
            let factor = f64::from(multiplier) / f64::from(1 << 20);
            let found = f64::from(weight_scale(factor, [a, b], &(-128..127)));
            let back = found * f64::from(a) / f64::from(b);
            prop_assert!((back / factor - 1.0).abs() < 1e-6);
        }

        /// All outputs, but for those of factors so small that most sums come close to a half.
        #[test]
        fn scales_that_serve_all_steps_are_near(scale in 0.0005f32..0.01, a in 0.1f32..1.0, b in 0.1f32..1.0) {
            let found = served_weight_scale(scale, [a, b], &(-128..127));
            prop_assert!(found >= scale && found / scale < 1.001);
            let factor = single_factor(found, [a, b]);
            let used = rounding_factor(factor, [-128, 127]);
            prop_assert_eq!(differing(factor, used), 0);
        }

        #[test]
        fn sums_are_rounded_no_worse(factor in 0.0005f32..0.3) {
            let found = rounding_factor(factor, [-128, 127]);
            prop_assert!((found / f64::from(factor) - 1.0).abs() < 1e-6);
            prop_assert!(differing(factor, found) <= differing(factor, factor.into()));
        }
    }
}
