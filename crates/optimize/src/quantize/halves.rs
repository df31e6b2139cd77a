//! Multipliers of sums with which executors that multiply in single precision, and round halves to even
//! numbers, make the integers that the file's rule makes.
//!
//! An odd multiplier puts few sums half way between two outputs, but others come so close that a product of
//! 24 bits cannot tell them from a half. There are a handful for each channel, and other ones for the next
//! multiplier: one of the next few has none.

use runtime::host::{single_factor, weight_scale};
use std::ops::Range;

/// The largest multiplier of the file.
const LARGEST: u32 = 4_095;

/// Multipliers grow by at most one part in so many: weights lose less than a hundredth of a bit by it.
const GROWTH: u32 = 64;

/// Multipliers from here on lose less than a part in a hundred by becoming odd.
pub(crate) const FINE: u32 = 128;

/// The multipliers of a layer: all are shifted by `shift` to the left of 32 binary places.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit {
    /// 0..=19.
    pub shift: u8,
    /// The scales of the layer's input and output.
    pub scales: [f32; 2],
}

impl Unit {
    /// The scale of weights that a multiplier stands for.
    pub(crate) fn weight_scale(&self, multiplier: u32) -> f32 {
        let factor = f64::from(multiplier) * 2f64.powi(i32::from(self.shift) - 32);
        weight_scale(factor, self.scales)
    }

    /// The multiplier from `least` on, and little larger, with which the fewest of `steps` are missed.
    pub(crate) fn clearest(&self, least: u32, steps: &Range<i32>) -> u32 {
        let most = LARGEST.min(least + least / GROWTH);
        // Odd ones remain odd.
        let stride = if least < FINE { 1 } else { 2 };
        let mut best = (least, usize::MAX);
        for multiplier in (least..=most).step_by(stride) {
            let missed = self.missed(multiplier, steps.clone()).take(best.1).count();
            if missed < best.1 {
                best = (multiplier, missed);
            }
            if missed == 0 {
                break;
            }
        }
        best.0
    }

    /// The outputs, their zero point taken off, behind which the next does not begin at the same sum there.
    /// Neither way of rounding falls from one sum to the next, so that the sums on both sides of a step
    /// decide it for all.
    fn missed(&self, multiplier: u32, steps: Range<i32>) -> impl Iterator<Item = i32> {
        let factor = single_factor(self.weight_scale(multiplier), self.scales);
        let places = 32 - u32::from(self.shift);
        let multiplier = i64::from(multiplier);
        steps.filter(move |&output| {
            let half = (2 * i64::from(output) + 1) << (places - 1);
            // The first sum that the file's rule rounds up.
            let first = half.div_euclid(multiplier) + i64::from(half.rem_euclid(multiplier) > 0);
            let rounded = |sum: i64| (sum as f32 * factor).round_ties_even();
            rounded(first) <= output as f32 || rounded(first - 1) > output as f32
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Unit;
    use format::fixed::requantize_high;

    /// Sums of which single precision makes something else, up to 127 steps.
    fn differing(unit: &Unit, multiplier: u32) -> Vec<i32> {
        let factor = super::single_factor(unit.weight_scale(multiplier), unit.scales);
        let shifted = multiplier << unit.shift;
        let most = (127.0 / factor) as i32;
        let differs = |sum: &i32| {
            let elsewhere = (*sum as f32 * factor).round_ties_even() as i32;
            requantize_high(*sum, shifted) != elsewhere
        };
        (-most..most).filter(differs).collect()
    }

    #[test]
    fn no_sum_is_rounded_in_another_way() {
        let unit = Unit {
            shift: 10,
            scales: [0.023_6, 0.031_1],
        };
        let mut changed = 0;
        for least in (2_001..3_601).step_by(200) {
            let found = unit.clearest(least, &(-127..127));
            let [before, after] = [least, found].map(|m| differing(&unit, m).len());
            assert_eq!(before > 0, found != least, "{least}");
            assert_eq!(after, 0, "{found}");
            assert!(found % 2 == 1 && found <= least + least / 64, "{found}");
            changed += usize::from(found != least);
        }
        assert!(changed > 2, "{changed}");
    }

    /// What sums do not reach does not count.
    #[test]
    fn steps_that_are_not_reached_are_left_out() {
        let unit = Unit {
            shift: 11,
            scales: [1.0, 1.0],
        };
        let far = unit.missed(403, 0..255).next().unwrap();
        assert_ne!(unit.clearest(403, &(0..255)), 403);
        assert_eq!(unit.clearest(403, &(0..far)), 403);
    }

    /// None serves: halves of small multipliers are reached.
    #[test]
    fn the_least_bad_stays_near() {
        let unit = Unit {
            shift: 18,
            scales: [1.0, 1.0],
        };
        assert_eq!(unit.clearest(2, &(-255..255)), 2);
        let found = unit.clearest(130, &(-255..255));
        assert!((130..=132).contains(&found), "{found}");
    }
}
