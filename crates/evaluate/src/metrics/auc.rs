//! The area under the ROC curve of two classes.

/// Bins of the scores' histograms.
const BINS: usize = 1 << 16;

/// Histograms of the scores of both classes. The area is that of scores rounded to `2^-15` after
/// the map `s / (1 + |s|)`, which keeps their order: exact but for pairs that share a bin, which
/// count one half. Differences of probabilities are told apart from about `6e-5` on.
#[derive(Clone, Debug, PartialEq)]
pub struct Auc {
    counts: [Vec<u64>; 2],
}

impl Default for Auc {
    fn default() -> Self {
        Auc {
            counts: [vec![0; BINS], vec![0; BINS]],
        }
    }
}

impl Auc {
    /// Adds a sample: whether it is of the second class, and how much it looks like it.
    pub fn add(&mut self, is_positive: bool, score: f32) {
        let score = f64::from(score.clamp(f32::MIN, f32::MAX));
        let mapped = score / (1.0 + score.abs());
        let bin = ((mapped + 1.0) * 0.5 * BINS as f64) as usize;
        self.counts[usize::from(is_positive)][bin.min(BINS - 1)] += 1;
    }

    /// Adds what another shard has counted.
    pub fn merge(&mut self, other: &Auc) {
        for (own, other) in self.counts.iter_mut().zip(&other.counts) {
            own.iter_mut()
                .zip(other)
                .for_each(|(count, other)| *count += other);
        }
    }

    /// The chance that a sample of the second class has a larger score than one of the first.
    /// `None` while a class has no samples.
    pub fn area(&self) -> Option<f64> {
        let [negatives, positives] = &self.counts;
        let (mut below, mut wins) = (0u64, 0.0);
        for (&negative, &positive) in negatives.iter().zip(positives) {
            wins += positive as f64 * (below as f64 + 0.5 * negative as f64);
            below += negative;
        }
        let pairs = below as f64 * positives.iter().sum::<u64>() as f64;
        (pairs > 0.0).then(|| wins / pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_in_order_are_counted() {
        let mut auc = Auc::default();
        assert_eq!(auc.area(), None);
        // Of the four pairs, (0.1, 0.8), (0.1, 0.35) and (0.4, 0.8) are in order.
        for (is_positive, score) in [(false, 0.1), (false, 0.4), (true, 0.35), (true, 0.8)] {
            auc.add(is_positive, score);
        }
        assert_eq!(auc.area(), Some(0.75));
        let mut twice = auc.clone();
        twice.merge(&auc);
        assert_eq!(twice.area(), Some(0.75));
    }

    #[test]
    fn equal_scores_count_one_half() {
        let mut auc = Auc::default();
        auc.add(true, 0.5);
        auc.add(false, 0.5);
        assert_eq!(auc.area(), Some(0.5));
    }
}
