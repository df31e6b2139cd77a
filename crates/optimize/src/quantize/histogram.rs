//! A histogram that grows with its data: constant memory, one pass, any number of samples.
//!
//! The bins cover `[-w, w)` around zero with `w` a power of two times the first value's size.
//! A value outside doubles `w` as often as needed, and every doubling merges pairs of bins. The
//! result does not depend on the order of the samples but for the choice of the first `w`, which
//! is a power of two, so that merged bins always line up.

/// Bins on both sides of zero together.
pub(crate) const BINS: usize = 4096;

/// Counts of values by size, with their exact extremes.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    counts: Vec<u64>,
    /// Half of the covered width; 0 while there is no value but zero.
    width: f32,
    zeros: u64,
    smallest: f32,
    largest: f32,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram {
            counts: vec![0; BINS],
            width: 0.0,
            zeros: 0,
            smallest: 0.0,
            largest: 0.0,
        }
    }
}

impl Histogram {
    /// Counts values. `false`, and nothing counted, where one of them is not finite.
    pub fn add(&mut self, values: &[f32]) -> bool {
        let (mut low, mut high) = (self.smallest, self.largest);
        let mut finite = true;
        for &value in values {
            low = low.min(value);
            high = high.max(value);
            finite &= value.is_finite();
        }
        if !finite {
            return false;
        }
        (self.smallest, self.largest) = (low, high);
        self.cover(high.max(-low));
        if self.width == 0.0 {
            self.zeros += values.len() as u64;
            return true;
        }
        let half = (BINS / 2) as f32;
        let factor = half / self.width;
        for &value in values {
            if value == 0.0 {
                self.zeros += 1;
            } else {
                let bin = (value * factor + half) as usize;
                self.counts[bin.min(BINS - 1)] += 1;
            }
        }
        true
    }

    /// Doubles the width until `size` fits.
    fn cover(&mut self, size: f32) {
        if size == 0.0 || size < self.width {
            return;
        }
        let mut width = self.width;
        if width == 0.0 {
            width = 2f32.powi((size.log2().floor() as i32).clamp(-120, 120) + 1);
        }
        while width <= size && width < 1e37 {
            if self.width > 0.0 {
                self.merge_pairs();
            }
            width *= 2.0;
        }
        self.width = width;
    }

    fn merge_pairs(&mut self) {
        let mut merged = vec![0; BINS];
        for (bin, count) in self.counts.iter().enumerate() {
            merged[BINS / 4 + bin / 2] += count;
        }
        self.counts = merged;
    }

    /// The smallest value, at most 0.
    pub fn smallest(&self) -> f32 {
        self.smallest
    }

    /// The largest value, at least 0.
    pub fn largest(&self) -> f32 {
        self.largest
    }

    /// Values counted.
    pub fn total(&self) -> u64 {
        self.zeros + self.counts.iter().sum::<u64>()
    }

    /// Middles of the bins that hold values, with their counts; exact zeros apart.
    pub fn bins(&self) -> impl Iterator<Item = (f32, u64)> + '_ {
        let step = self.width / (BINS / 2) as f32;
        let middle = move |bin: usize| (bin as f32 + 0.5 - (BINS / 2) as f32) * step;
        let held = self
            .counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0);
        held.map(move |(bin, &count)| (middle(bin), count))
    }

    /// The limits between which all but a share of `1 - percentile / 100` of the values lie, half
    /// of it on each side.
    pub fn percentile(&self, percentile: f32) -> [f32; 2] {
        let total = self.total() as f64;
        let outside = total * (1.0 - f64::from(percentile) / 100.0) / 2.0;
        let bins: Vec<(f32, u64)> = self.bins().collect();
        let reach = |bins: &mut dyn Iterator<Item = &(f32, u64)>| {
            let mut seen = 0.0;
            for &(middle, count) in bins {
                seen += count as f64;
                if seen > outside {
                    return middle;
                }
            }
            0.0
        };
        let low = reach(&mut bins.iter().filter(|b| b.0 < 0.0)).max(self.smallest);
        let high = reach(&mut bins.iter().rev().filter(|b| b.0 > 0.0)).min(self.largest);
        [low.min(0.0), high.max(0.0)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn growing_keeps_every_value() {
        let mut histogram = Histogram::default();
        histogram.add(&[0.0, 1.0, -0.5]);
        histogram.add(&[100.0, -3.0]);
        assert_eq!(histogram.total(), 5);
        assert_eq!((histogram.smallest(), histogram.largest()), (-3.0, 100.0));
        let close = |x: f32| histogram.bins().any(|(m, _)| (m - x).abs() < 0.05);
        assert!([1.0, -0.5, 100.0, -3.0].into_iter().all(close));
    }

    proptest! {
        #[test]
        fn the_order_does_not_matter(values in prop::collection::vec(-1e3f32..1e3, 1..60)) {
            let (mut forwards, mut backwards) = (Histogram::default(), Histogram::default());
            prop_assert!(values.iter().all(|v| forwards.add(&[*v])));
            prop_assert!(values.iter().rev().all(|v| backwards.add(&[*v])));
            prop_assert!(!backwards.add(&[f32::NAN]));
            prop_assert_eq!(forwards.total(), backwards.total());
            let all = forwards.percentile(100.0);
            prop_assert!(all[0] >= forwards.smallest() && all[1] <= forwards.largest());
        }
    }
}
