//! Lines in float that give, rounded to the nearest integer, what a channel's rule makes of every sum.
//! A line and its rounding never fall from one sum to the next, as the rule does not: where they agree
//! on both sides of every step of the outputs and at the ends, they agree everywhere. So a line is
//! proved by a few hundred sums before it is used.

use core::ops::RangeInclusive;
use format::fixed::{Requantize, Rounding};

/// `slope * sum + start`, of which the sum is rounded to a float first and the result once. The zero
/// point is in the start. The two roundings of a rule part the lines for sums below zero and for
/// others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ramp {
    pub(crate) slope: f32,
    /// Of sums from zero on.
    pub(crate) start: f32,
    pub(crate) start_below_zero: f32,
}

/// Tells whether a line, of a slope and a start, gives the outputs of all points as loops compute it.
pub(crate) type Follows = fn(f32, f32, &Points) -> bool;

/// Neighbours, in units of the last place, that are tried for a slope and for a start.
const NEIGHBOURS: [i32; 5] = [0, 1, -1, 2, -2];

fn neighbours(of: f32) -> [f32; 5] {
    NEIGHBOURS.map(|distance| f32::from_bits(of.to_bits().wrapping_add_signed(distance)))
}

impl Ramp {
    /// For sums of no more than a magnitude, that come so many times as large. Outputs below the zero
    /// point take a line of their own where the rule rounds them otherwise.
    pub(crate) fn of(
        floor: &Floor,
        requantize: &Requantize,
        [sum_max, multiple]: [i64; 2],
        follows: Follows,
    ) -> Option<Self> {
        let slopes = neighbours((floor.slope() / multiple as f64) as f32);
        let line = |points: &Points, slope| points.start_of(slope, follows);
        let is_bent = floor.half[0] != floor.half[1] && requantize.min < requantize.zero_point;
        let [slope, start, start_below_zero] = if is_bent {
            let below = Points::of(floor, requantize, -sum_max..=-1, multiple);
            let points = Points::of(floor, requantize, 0..=sum_max, multiple);
            let both = |slope| Some([slope, line(&points, slope)?, line(&below, slope)?]);
            slopes.into_iter().find_map(both)?
        } else {
            let points = Points::of(floor, requantize, -sum_max..=sum_max, multiple);
            let one = |slope| line(&points, slope).map(|start| [slope, start, start]);
            slopes.into_iter().find_map(one)?
        };
        Some(Ramp {
            slope,
            start,
            start_below_zero,
        })
    }

    pub(crate) fn is_straight(&self) -> bool {
        self.start == self.start_below_zero
    }
}

/// A rule as `floor((sum * multiplier + half) / 2^shift)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floor {
    multiplier: i64,
    shift: u32,
    /// What is added for sums below zero, and for others.
    half: [i64; 2],
}

/// The largest shift: 256 steps of it then fit 64 bits.
const SHIFT_MAX: u32 = 53;

impl Floor {
    /// A rule with its multiplier and its shift; high has none beside its multiplier.
    pub(crate) fn of(rounding: Rounding, multiplier: i32, shift: i32) -> Option<Self> {
        match rounding {
            Rounding::High => Self::high(i64::from(multiplier)),
            Rounding::Single => Self::single(multiplier, shift),
            Rounding::Double => Self::double(multiplier, shift),
        }
    }

    /// [`format::fixed::requantize_high`].
    fn high(multiplier: i64) -> Option<Self> {
        Self::rounded_once(multiplier, 32)
    }

    /// [`format::fixed::requantize_single`].
    fn single(multiplier: i32, shift: i32) -> Option<Self> {
        Self::rounded_once(i64::from(multiplier), u32::try_from(31 - shift).ok()?)
    }

    fn rounded_once(multiplier: i64, shift: u32) -> Option<Self> {
        Self::checked(multiplier, shift, |half| [half; 2])
    }

    /// [`format::fixed::requantize_double`]: the first rounding takes halves up, the second, of at least
    /// one bit, away from zero. A floor of a floor is one floor, so that both halves are added at once;
    /// what the second takes off below zero is one of its units.
    fn double(multiplier: i32, shift: i32) -> Option<Self> {
        let shift = u32::try_from(31 - shift).ok().filter(|&shift| shift > 31)?;
        Self::checked(i64::from(multiplier), shift, |half| {
            [half - (1 << 30), half + (1 << 30)]
        })
    }

    /// Slopes between nothing and one: each output is then one above the output before it.
    fn checked(multiplier: i64, shift: u32, half: impl Fn(i64) -> [i64; 2]) -> Option<Self> {
        let fits = multiplier > 0 && shift <= SHIFT_MAX && multiplier < 1 << shift;
        fits.then(|| Floor {
            multiplier,
            shift,
            half: half(1 << (shift - 1)),
        })
    }

    fn slope(&self) -> f64 {
        self.multiplier as f64 / (1u64 << self.shift) as f64
    }

    fn output(&self, sum: i64) -> i64 {
        (sum * self.multiplier + self.half[usize::from(sum >= 0)]) >> self.shift
    }

    /// The smallest sums with outputs from `first` to `last`, which are on one side of zero.
    fn steps(&self, first: i64, last: i64, mut each: impl FnMut(i64, i64)) {
        let step = 1i64 << self.shift;
        let (quotient, remainder) = (step / self.multiplier, step % self.multiplier);
        let reach = first * step - self.half[usize::from(first > 0)];
        let mut sum = -(-reach).div_euclid(self.multiplier);
        let mut over = sum * self.multiplier - reach - remainder;
        for output in first..=last {
            each(output, sum);
            // Without branches, which would go either way.
            let is_below = over >> 63;
            sum += quotient - is_below;
            over += (is_below & self.multiplier) - remainder;
        }
    }
}

/// Steps of 8-bit outputs, rounded up to what vectors hold.
const STEPS_MAX: usize = 256;

/// Multiples of sums and what a channel's rule makes of the sums.
pub(crate) struct Points {
    /// What all are multiples of.
    pub(crate) multiple: i32,
    /// Of the smallest sum for each output, and the outputs. Behind them the last one is repeated.
    sums: [i32; STEPS_MAX],
    outputs: [i32; STEPS_MAX],
    count: usize,
    /// Those of the smallest and the largest sum, and their outputs.
    pub(crate) ends: [[i32; 2]; 2],
    pub(crate) limits: [i32; 2],
}

impl Points {
    fn of(
        floor: &Floor,
        requantize: &Requantize,
        sums: RangeInclusive<i64>,
        multiple: i64,
    ) -> Self {
        let zero_point = i64::from(requantize.zero_point);
        let limits = [requantize.min, requantize.max].map(i64::from);
        let [low, high] = limits.map(|limit| limit - zero_point);
        let end = |sum: i64| {
            let output = floor.output(sum) + zero_point;
            [
                (sum * multiple) as i32,
                output.clamp(limits[0], limits[1]) as i32,
            ]
        };
        let mut points = Points {
            multiple: multiple as i32,
            sums: [0; STEPS_MAX],
            outputs: [0; STEPS_MAX],
            count: 0,
            ends: [end(*sums.start()), end(*sums.end())],
            limits: limits.map(|limit| limit as i32),
        };
        let mut step = |output: i64, sum: i64| {
            if sum > *sums.start() && sum <= *sums.end() {
                points.push(sum * multiple, output + zero_point);
            }
        };
        floor.steps(low + 1, high.min(0), &mut step);
        floor.steps((low + 1).max(1), high, &mut step);
        if let Some(last) = points.count.checked_sub(1) {
            let (sum, output) = (points.sums[last], points.outputs[last]);
            points.sums[last..].fill(sum);
            points.outputs[last..].fill(output);
        }
        points
    }

    fn push(&mut self, sum: i64, output: i64) {
        if let (Some(to), Some(value)) = (
            self.sums.get_mut(self.count),
            self.outputs.get_mut(self.count),
        ) {
            (*to, *value) = (sum as i32, output as i32);
            self.count += 1;
        }
    }

    /// Eights of multiples of the smallest sums for outputs, and these outputs. The sum before gives one
    /// less.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (&[i32; 8], &[i32; 8])> {
        let steps = self.count.next_multiple_of(8).min(STEPS_MAX);
        let (sums, outputs) = (
            self.sums[..steps].as_chunks(),
            self.outputs[..steps].as_chunks(),
        );
        sums.0.iter().zip(outputs.0)
    }

    /// The start of a line of the slope that gives the outputs: one in the middle of those with which
    /// every step is taken at its sum, or next to it.
    fn start_of(&self, slope: f32, follows: Follows) -> Option<f32> {
        let wide = f64::from(slope);
        let step = wide * f64::from(self.multiple);
        let (mut low, mut high) = (f64::MIN, f64::MAX);
        for (&sum, &output) in self.sums.iter().zip(&self.outputs).take(self.count) {
            let start = f64::from(output) - 0.5 - wide * f64::from(sum);
            low = if start > low { start } else { low };
            high = if start < high { start } else { high };
        }
        let middle = match self.count {
            0 => f64::from(self.ends[0][1]) - wide * f64::from(self.ends[0][0]),
            _ if low >= high + step => return None,
            _ => (low + high + step) / 2.0,
        };
        let starts = neighbours(middle as f32);
        starts
            .into_iter()
            .find(|&start| follows(slope, start, self))
    }
}

#[cfg(test)]
mod tests {
    use super::{Floor, Points};
    use format::fixed::{
        Requantize, Rounding, requantize_double, requantize_high, requantize_single,
    };
    use proptest::prelude::*;

    const REQUANTIZE: Requantize = Requantize {
        rounding: Rounding::Double,
        bias_shift: 0,
        multiplier_shift: 0,
        zero_point: -3,
        min: -128,
        max: 127,
    };

    /// Every output begins at its step.
    fn check(floor: Floor, sum_max: i64, rule: impl Fn(i32) -> i32) {
        let points = Points::of(&floor, &REQUANTIZE, -sum_max..=sum_max, 1);
        let output = |sum: i32| (rule(sum) - 3).clamp(-128, 127);
        for (sums, outputs) in points.steps() {
            for (&sum, &expected) in sums.iter().zip(outputs) {
                let found = [output(sum - 1), output(sum)];
                assert!(
                    points.count == 0 || found == [expected - 1, expected],
                    "{floor:?}: {sum}"
                );
            }
        }
        let [low, high] = [-sum_max, sum_max].map(|sum| output(sum as i32));
        assert_eq!(points.ends.map(|end| end[1]), [low, high]);
        assert_eq!(points.count as i32, high - low, "{floor:?}");
    }

    proptest! {
        #[test]
        fn points_are_those_of_the_rules(
            multiplier in (1i32 << 30)..i32::MAX,
            shift in -22i32..=-1,
            short in 1i64..4096,
            left in 0u32..20,
            sum_max in 1i64..(1 << 24),
        ) {
            let floor = Floor::double(multiplier, shift).unwrap();
            check(floor, sum_max, |sum| requantize_double(sum, multiplier, shift));
            let floor = Floor::single(multiplier, shift).unwrap();
            check(floor, sum_max, |sum| requantize_single(sum, multiplier, shift));
            let scaled = short << left;
            let floor = Floor::high(scaled).unwrap();
            check(floor, sum_max, |sum| requantize_high(sum, scaled as u32));
        }
    }

    /// 2^30 halves exactly: every second sum is half way between two outputs.
    #[test]
    fn points_are_those_of_halves() {
        for shift in [-1, -4] {
            let floor = Floor::double(1 << 30, shift).unwrap();
            check(floor, 5000, |sum| requantize_double(sum, 1 << 30, shift));
        }
        assert!(Floor::double(1 << 30, 0).is_none());
        assert!(Floor::single(i32::MAX, 0).is_some());
        assert!(Floor::single(0, -3).is_none());
    }
}
