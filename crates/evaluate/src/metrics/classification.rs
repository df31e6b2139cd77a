//! Counts of a classifier: the confusion matrix and all that follows from it.

use super::{ratio, top};

/// Counts over labelled samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Classification {
    classes: usize,
    /// `counts[label * classes + predicted]`.
    counts: Vec<u64>,
    among_five: u64,
}

/// One class against the others.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClassScores {
    /// Samples of this class.
    pub samples: u64,
    /// The share of those predicted as this class that are of it; 0 where none were.
    pub precision: f64,
    /// The share of those of this class that were predicted as it; 0 where there are none.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
}

impl Classification {
    /// No samples yet of a number of classes.
    pub fn new(classes: usize) -> Self {
        Classification {
            classes,
            counts: vec![0; classes * classes],
            among_five: 0,
        }
    }

    /// Adds a sample. A label without a class is left out and returns `false`.
    pub fn add(&mut self, label: usize, scores: &[f32]) -> bool {
        let Some(predicted) =
            top(scores).filter(|&best| best < self.classes && label < self.classes)
        else {
            return false;
        };
        self.counts[label * self.classes + predicted] += 1;
        let own = scores[label];
        let better = scores
            .iter()
            .enumerate()
            .filter(|&(index, &score)| score > own || score == own && index < label);
        self.among_five += u64::from(better.count() < 5);
        true
    }

    /// Adds what another shard has counted.
    pub fn merge(&mut self, other: &Classification) {
        self.counts
            .iter_mut()
            .zip(&other.counts)
            .for_each(|(count, other)| *count += other);
        self.among_five += other.among_five;
    }

    /// Samples of `label` that were predicted as `predicted`.
    pub fn count(&self, label: usize, predicted: usize) -> u64 {
        self.counts
            .get(label * self.classes + predicted)
            .copied()
            .unwrap_or(0)
    }

    /// Samples counted.
    pub fn samples(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The share that was predicted right.
    pub fn top1(&self) -> f64 {
        let right: u64 = (0..self.classes)
            .map(|class| self.count(class, class))
            .sum();
        ratio(right as f64, self.samples() as f64)
    }

    /// The share whose class is among the five largest scores.
    pub fn top5(&self) -> f64 {
        ratio(self.among_five as f64, self.samples() as f64)
    }

    /// Precision, recall and F1 of a class.
    pub fn class(&self, class: usize) -> ClassScores {
        let right = self.count(class, class) as f64;
        let samples: u64 = (0..self.classes)
            .map(|predicted| self.count(class, predicted))
            .sum();
        let predicted: u64 = (0..self.classes)
            .map(|label| self.count(label, class))
            .sum();
        let (precision, recall) = (ratio(right, predicted as f64), ratio(right, samples as f64));
        let f1 = ratio(2.0 * precision * recall, precision + recall);
        ClassScores {
            samples,
            precision,
            recall,
            f1,
        }
    }

    /// The mean recall of the classes that have samples.
    pub fn balanced_accuracy(&self) -> f64 {
        let scores = (0..self.classes).map(|class| self.class(class));
        let present: Vec<f64> = scores
            .filter(|scores| scores.samples > 0)
            .map(|scores| scores.recall)
            .collect();
        ratio(present.iter().sum(), present.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three samples of class 0 (two right), one of class 1 (right).
    fn four() -> Classification {
        let mut counts = Classification::new(2);
        for (label, scores) in [
            (0, [0.9, 0.1]),
            (0, [0.6, 0.4]),
            (0, [0.2, 0.8]),
            (1, [0.3, 0.7]),
        ] {
            assert!(counts.add(label, &scores));
        }
        counts
    }

    #[test]
    fn shares_follow_from_counts() {
        let counts = four();
        assert_eq!(counts.top1(), 0.75);
        assert_eq!(counts.count(0, 1), 1);
        assert_eq!(counts.class(0).recall, 2.0 / 3.0);
        assert_eq!(counts.class(0).precision, 1.0);
        assert_eq!(counts.class(1).precision, 0.5);
        assert_eq!(counts.balanced_accuracy(), (2.0 / 3.0 + 1.0) / 2.0);
    }

    #[test]
    fn shards_merge() {
        let (mut a, b) = (four(), four());
        a.merge(&b);
        assert_eq!(a.samples(), 8);
        assert_eq!(a.top1(), 0.75);
    }

    #[test]
    fn five_largest_scores() {
        let mut counts = Classification::new(7);
        counts.add(2, &[9.0, 8.0, 1.0, 7.0, 6.0, 0.0, 0.0]);
        counts.add(5, &[9.0, 8.0, 1.0, 7.0, 6.0, 0.5, 0.0]);
        assert_eq!(counts.top5(), 0.5);
        assert_eq!(counts.top1(), 0.0);
    }

    #[test]
    fn labels_without_a_class_are_told() {
        assert!(!Classification::new(2).add(2, &[0.0, 1.0]));
    }
}
