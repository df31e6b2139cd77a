//! Multipliers of sums with which executors that multiply in single precision, and round halves to even
//! numbers, make the integers that the file's rule makes.
//!
//! An odd multiplier puts few sums half way between two outputs, but others come so close that a product of
//! 24 bits cannot tell them from a half. There are a handful for each channel, and other ones for the next
//! multiplier: one of the next few has none.

use format::fixed::Rounding;
use runtime::host::{exact_weight_scale, served_weight_scale, weight_scale};
use std::ops::Range;

/// The largest multiplier of the file.
const LARGEST: u32 = 4_095;

/// Multipliers move by at most one part in so many: weights lose less than a hundredth of a bit by it.
const SHARE: u32 = 128;

/// Multipliers from here on lose less than a part in a hundred by becoming odd.
pub(crate) const FINE: u32 = 128;

/// The multipliers of a layer: all are shifted by `shift` to the left of 32 binary places.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit {
    /// 0..=19.
    pub shift: u8,
    /// The scales of the layer's input and output.
    pub scales: [f32; 2],
    /// The rule of sums.
    pub rounding: Rounding,
}

impl Unit {
    /// The scale of weights for the multiplier nearest to `wanted` that is exact elsewhere, too, and with which
    /// none of `steps` is missed. Where there is none, the best one for `wanted`.
    ///
    /// Where sums have a factor of their own beside the scales, the first scale that serves all steps comes
    /// before that.
    pub(crate) fn clearest(&self, wanted: u32, steps: &Range<i32>) -> f32 {
        let furthest = wanted / SHARE;
        // Odd ones remain odd.
        let stride = if wanted < FINE { 1 } else { 2 };
        let distances = (0..=furthest).step_by(stride);
        let near = distances.flat_map(|distance| [wanted + distance, wanted - distance]);
        let mut near = near.filter(|&multiplier| multiplier <= LARGEST);
        let factor = |multiplier| f64::from(multiplier) * 2f64.powi(i32::from(self.shift) - 32);
        let exact = |multiplier| exact_weight_scale(factor(multiplier), self.scales, steps);
        let found = near.find_map(exact);
        found.unwrap_or_else(|| {
            let scale = weight_scale(factor(wanted), self.scales, steps);
            match self.rounding {
                Rounding::Single => served_weight_scale(scale, self.scales, steps),
                Rounding::High | Rounding::Double => scale,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Unit;
    use format::fixed::{Rounding, requantize_high};

    /// The multiplier that a scale of weights stands for.
    fn multiplier(unit: &Unit, scale: f32) -> u32 {
        let [input, output] = unit.scales.map(f64::from);
        let factor = f64::from(scale) * input / output;
        (factor * 2f64.powi(32 - i32::from(unit.shift))).round() as u32
    }

    /// Sums of which single precision makes something else, up to 127 steps.
    fn differing(unit: &Unit, multiplier: u32, scale: f32) -> usize {
        let factor = unit.scales[0] * scale / unit.scales[1];
        let shifted = multiplier << unit.shift;
        let most = (127.0 / factor) as i32;
        let differs = |sum: &i32| {
            let elsewhere = (*sum as f32 * factor).round_ties_even() as i32;
            requantize_high(*sum, shifted) != elsewhere
        };
        (-most..most).filter(differs).count()
    }

    #[test]
    fn no_sum_is_rounded_in_another_way() {
        let unit = Unit {
            shift: 10,
            scales: [0.023_6, 0.031_1],
            rounding: Rounding::High,
        };
        let mut changed = 0;
        for wanted in (2_001..3_601).step_by(100) {
            let scale = unit.clearest(wanted, &(-127..127));
            let found = multiplier(&unit, scale);
            assert_eq!(differing(&unit, found, scale), 0, "{wanted}");
            assert!(
                found % 2 == 1 && found.abs_diff(wanted) <= wanted / 128,
                "{found}"
            );
            changed += usize::from(found != wanted);
        }
        assert!(changed > 2, "{changed}");
    }

    /// What sums do not reach does not count, and where no multiplier near by serves, it stays.
    #[test]
    fn steps_that_are_not_reached_are_left_out() {
        let unit = |shift: u8| Unit {
            shift,
            scales: [1.0, 1.0],
            rounding: Rounding::High,
        };
        let mut moved = 0;
        for wanted in (2_001..2_401).step_by(20) {
            let unit = unit(10);
            let found =
                [0..255, 0..1].map(|steps| multiplier(&unit, unit.clearest(wanted, &steps)));
            assert_eq!(found[1], wanted);
            moved += usize::from(found[0] != wanted);
        }
        assert!(moved > 5, "{moved}");
        let unit = unit(18);
        let found = [2, 129].map(|wanted| multiplier(&unit, unit.clearest(wanted, &(-255..255))));
        assert_eq!(found, [2, 129]);
    }
}
