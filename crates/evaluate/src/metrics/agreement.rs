//! How far two models agree on the same samples, whatever is right.

use super::{Errors, ratio, top};
use crate::Prediction;

/// Counts over pairs of predictions: those of a baseline and those of the model that is judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Agreement {
    samples: u64,
    same_class: u64,
    comparable_bits: u64,
    same_bits: u64,
    errors: Errors,
    deviation_sum: f64,
    deviation_max: f64,
}

impl Agreement {
    /// Adds a sample.
    pub fn add(&mut self, baseline: &Prediction, judged: &Prediction) {
        self.samples += 1;
        let first =
            |prediction: &Prediction| prediction.outputs.first().and_then(|scores| top(scores));
        self.same_class += u64::from(first(baseline) == first(judged));
        if !baseline.raw.is_empty() && !judged.raw.is_empty() {
            self.comparable_bits += 1;
            self.same_bits += u64::from(baseline.raw == judged.raw);
        }
        for (base, own) in baseline.outputs.iter().zip(&judged.outputs) {
            self.errors.add(own, base);
        }
    }

    /// Adds the reconstruction errors of a sample: by how much of the baseline's own error the
    /// judged one's deviates.
    pub fn add_reconstruction(&mut self, baseline: f64, judged: f64) {
        let difference = (judged - baseline).abs();
        // Any difference from a perfect reconstruction is a whole one.
        let deviation = if difference == 0.0 {
            0.0
        } else {
            (difference / baseline).min(1e9)
        };
        self.deviation_sum += deviation;
        self.deviation_max = self.deviation_max.max(deviation);
    }

    /// Adds what another shard has counted.
    pub fn merge(&mut self, other: &Agreement) {
        self.samples += other.samples;
        self.same_class += other.same_class;
        self.comparable_bits += other.comparable_bits;
        self.same_bits += other.same_bits;
        self.errors.merge(&other.errors);
        self.deviation_sum += other.deviation_sum;
        self.deviation_max = self.deviation_max.max(other.deviation_max);
    }

    /// The share of samples with the same largest score.
    pub fn same_class(&self) -> f64 {
        ratio(self.same_class as f64, self.samples as f64)
    }

    /// The share of samples whose stored outputs are equal to the bit; `None` where one of both
    /// has none.
    pub fn same_bits(&self) -> Option<f64> {
        (self.comparable_bits > 0)
            .then(|| ratio(self.same_bits as f64, self.comparable_bits as f64))
    }

    /// The differences of all outputs, the baseline's being the targets.
    pub fn errors(&self) -> &Errors {
        &self.errors
    }

    /// Mean and largest deviation of the reconstruction error, as a share of the baseline's.
    pub fn reconstruction_deviation(&self) -> [f64; 2] {
        [
            ratio(self.deviation_sum, self.samples as f64),
            self.deviation_max,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction(scores: &[f32], raw: &[u8]) -> Prediction {
        Prediction {
            outputs: vec![scores.to_vec()],
            raw: vec![raw.to_vec()],
            instructions: None,
        }
    }

    #[test]
    fn classes_and_bits_are_counted() {
        let mut agreement = Agreement::default();
        agreement.add(
            &prediction(&[0.0, 1.0], &[0, 1]),
            &prediction(&[0.0, 1.0], &[0, 1]),
        );
        agreement.add(
            &prediction(&[0.0, 1.0], &[0, 1]),
            &prediction(&[1.0, 0.5], &[2, 1]),
        );
        assert_eq!(agreement.same_class(), 0.5);
        assert_eq!(agreement.same_bits(), Some(0.5));
        assert_eq!(agreement.errors().largest(), 1.0);
        let mut twice = agreement.clone();
        twice.merge(&agreement);
        assert_eq!(twice.same_class(), 0.5);
    }

    #[test]
    fn reconstruction_errors_deviate_by_a_share() {
        let mut agreement = Agreement {
            samples: 2,
            ..Agreement::default()
        };
        agreement.add_reconstruction(2.0, 2.1);
        agreement.add_reconstruction(1.0, 1.0);
        let [mean, largest] = agreement.reconstruction_deviation();
        assert!((mean - 0.025).abs() < 1e-12 && (largest - 0.05).abs() < 1e-12);
    }
}
