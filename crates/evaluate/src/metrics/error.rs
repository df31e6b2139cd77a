//! Differences between real numbers and what they should be.

use super::ratio;

/// Sums over pairs of a number and its target.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Errors {
    count: u64,
    absolute: f64,
    squared: f64,
    signal: f64,
    largest: f64,
}

impl Errors {
    /// Adds numbers and their targets.
    pub fn add(&mut self, values: &[f32], targets: &[f32]) {
        for (&value, &target) in values.iter().zip(targets) {
            let difference = f64::from(value) - f64::from(target);
            self.count += 1;
            self.absolute += difference.abs();
            self.squared += difference * difference;
            self.signal += f64::from(target) * f64::from(target);
            self.largest = self.largest.max(difference.abs());
        }
    }

    /// Adds what another shard has summed.
    pub fn merge(&mut self, other: &Errors) {
        self.count += other.count;
        self.absolute += other.absolute;
        self.squared += other.squared;
        self.signal += other.signal;
        self.largest = self.largest.max(other.largest);
    }

    /// Mean absolute error.
    pub fn mae(&self) -> f64 {
        ratio(self.absolute, self.count as f64)
    }

    /// Mean squared error.
    pub fn mse(&self) -> f64 {
        ratio(self.squared, self.count as f64)
    }

    /// The largest absolute error.
    pub fn largest(&self) -> f64 {
        self.largest
    }

    /// Signal to noise in decibels, the targets being the signal. `None` without an error.
    pub fn sqnr_db(&self) -> Option<f64> {
        (self.squared > 0.0 && self.signal > 0.0)
            .then(|| 10.0 * (self.signal / self.squared).log10())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_become_means() {
        let mut errors = Errors::default();
        errors.add(&[1.0, 2.0], &[1.0, 4.0]);
        assert_eq!(errors.mae(), 1.0);
        assert_eq!(errors.mse(), 2.0);
        assert_eq!(errors.largest(), 2.0);
        // 17 / 4.
        assert!((errors.sqnr_db().unwrap() - 6.284).abs() < 1e-3);
        let mut twice = errors;
        twice.merge(&errors);
        assert_eq!(twice.mse(), 2.0);
    }

    #[test]
    fn no_error_has_no_ratio() {
        let mut errors = Errors::default();
        errors.add(&[1.0], &[1.0]);
        assert_eq!(errors.sqnr_db(), None);
    }
}
