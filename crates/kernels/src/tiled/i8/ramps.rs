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
        let zero_point = f64::from(requantize.zero_point);
        let [guess_below, guess] = floor.starts().map(|start| (start + zero_point) as f32);
        // To look for a start takes long, so that the guess is tried with all slopes first.
        let line = |points: &Points, (looks, slope), guess| match looks {
            true => points.start_of(slope, follows),
            false => follows(slope, guess, points).then_some(guess),
        };
        let with_slopes = |looks| slopes.map(|slope| (looks, slope));
        let mut ways = [false, true].into_iter().flat_map(with_slopes);
        let is_bent = floor.half[0] != floor.half[1] && requantize.min < requantize.zero_point;
        let [slope, start, start_below_zero] = if is_bent {
            let below = Points::of(floor, requantize, -sum_max..=-1, multiple);
            let points = Points::of(floor, requantize, 0..=sum_max, multiple);
            ways.find_map(|way| {
                let start = line(&points, way, guess)?;
                Some([way.1, start, line(&below, way, guess_below)?])
            })?
        } else {
            let points = Points::of(floor, requantize, -sum_max..=sum_max, multiple);
            let one = |way| line(&points, way, guess).map(|start| [way.1, start, start]);
            ways.find_map(one)?
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

/// The largest shift: 256 steps of it then fit 64 bits, and a few more.
const SHIFT_MAX: u32 = 53;

/// Steps that are taken at once, as each hangs on the one so many before it.
const STRIDES: usize = 4;

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

    /// Lines of which each step is taken half way between the product that takes it and the one before, for
    /// sums below zero and for others: nearly all that are rounded to floats still take them at their sums.
    fn starts(&self) -> [f64; 2] {
        let step = (1u64 << self.shift) as f64;
        self.half.map(|half| (half as f64 - 0.5) / step - 0.5)
    }

    fn output(&self, sum: i64) -> i64 {
        (sum * self.multiplier + self.half[usize::from(sum >= 0)]) >> self.shift
    }

    /// So many times the smallest sums with outputs from `first` on, which are on one side of zero.
    fn steps(&self, first: i64, multiple: i64, to: &mut [i32]) {
        let apart = (STRIDES as i64) << self.shift;
        let (quotient, remainder) = (apart / self.multiplier, apart % self.multiplier);
        let half = self.half[usize::from(first > 0)];
        let (mut sums, mut overs) = ([0; STRIDES], [0; STRIDES]);
        for (output, (sum, over)) in (first..).zip(sums.iter_mut().zip(&mut overs)) {
            let reach = (output << self.shift) - half;
            *sum = -(-reach).div_euclid(self.multiplier);
            *over = *sum * self.multiplier - reach - remainder;
        }
        for to in to.chunks_mut(STRIDES) {
            for (to, (sum, over)) in to.iter_mut().zip(sums.iter_mut().zip(&mut overs)) {
                *to = (*sum * multiple) as i32;
                // Without branches, which would go either way.
                let is_below = *over >> 63;
                *sum += quotient - is_below;
                *over += (is_below & self.multiplier) - remainder;
            }
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
        // Rules never fall: steps between the ends are those of the outputs between theirs.
        let first = floor.output(*sums.start()).max(low) + 1;
        let last = floor.output(*sums.end()).min(high);
        let count = |from: i64, to: i64| usize::try_from(to + 1 - from).unwrap_or(0).min(STEPS_MAX);
        let below = count(first, last.min(0));
        points.count = count(first, last);
        let (not_above, above) = points.sums[..points.count].split_at_mut(below);
        floor.steps(first, multiple, not_above);
        floor.steps(first.max(1), multiple, above);
        for (output, value) in points.outputs.iter_mut().zip(first + zero_point..) {
            *output = value as i32;
        }
        if let Some(end) = points.count.checked_sub(1) {
            let (sum, output) = (points.sums[end], points.outputs[end]);
            points.sums[end..].fill(sum);
            points.outputs[end..].fill(output);
        }
        points
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
        // Eight of each, which do not wait for one another.
        let (mut lows, mut highs) = ([f64::MIN; 8], [f64::MAX; 8]);
        for (sums, outputs) in self.steps() {
            for i in 0..8 {
                let start = f64::from(outputs[i]) - 0.5 - wide * f64::from(sums[i]);
                lows[i] = if start > lows[i] { start } else { lows[i] };
                highs[i] = if start < highs[i] { start } else { highs[i] };
            }
        }
        let low = lows.into_iter().fold(f64::MIN, f64::max);
        let high = highs.into_iter().fold(f64::MAX, f64::min);
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
        is_plain: false,
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
