//! Checks passes on samples: after each change a graph is compiled and run, and its answers are compared
//! with those before.

use crate::dataset;
use crate::failure::Failure;
use crate::place::{self, Device};
use ::evaluate::Input;
use compile::Options;
use data::Source;
use graph::Graph;
use std::collections::HashMap;

/// What floats may differ by, as a share of an output's largest number: sums in another order, and scales
/// that are multiplied before instead of after.
const TOLERANCE: f64 = 1e-3;

/// As [`TOLERANCE`], for models of floats that are rounded to steps on the way: the last bit of a sum
/// decides about a step, and integers decide about halves in another way. Softmax at the end makes up to
/// a sixth of one such step in the middle.
const TOLERANCE_OF_STEPS: f64 = 0.25;

/// All outputs of every sample.
type Answers = Vec<Vec<Vec<f32>>>;

/// The answers of a graph that passes change.
pub(crate) struct Check {
    options: Options,
    samples: Vec<Vec<Vec<f32>>>,
    /// None where the graph cannot run yet, as its parts are not folded.
    answers: Option<Answers>,
    differences: HashMap<&'static str, f64>,
    tolerance: f64,
}

impl Check {
    /// Reads samples and runs the graph over them; `has_steps` says whether it is of floats that are rounded
    /// to steps.
    pub(crate) fn new(
        graph: &Graph,
        has_steps: bool,
        source: &Source,
        inputs: &[Input],
        options: &Options,
    ) -> Result<Self, Failure> {
        let mut samples = Vec::new();
        for sample in source.samples()? {
            samples.push(dataset::prepare(&sample?.values, inputs));
        }
        let mut check = Check {
            options: options.clone(),
            samples,
            answers: None,
            differences: HashMap::new(),
            tolerance: match has_steps {
                true => TOLERANCE_OF_STEPS,
                false => TOLERANCE,
            },
        };
        check.answers = check.run(graph)?;
        Ok(check)
    }

    /// The samples that are compared.
    pub(crate) fn samples(&self) -> usize {
        self.samples.len()
    }

    /// The largest difference that a pass made, as a share of an output's largest number.
    pub(crate) fn difference(&self, pass: &str) -> Option<f64> {
        self.differences.get(pass).copied()
    }

    /// Compares a graph that a pass has changed with what it was.
    pub(crate) fn observe(&mut self, pass: &'static str, graph: &Graph) -> Result<(), Failure> {
        let now = self.run(graph)?;
        if let (Some(before), Some(now)) = (&self.answers, &now) {
            let difference = difference(before, now);
            let worst = self.differences.entry(pass).or_default();
            *worst = worst.max(difference);
            if difference.is_nan() || difference > self.tolerance {
                return Err(Failure::internal(format!(
                    "the pass '{pass}' changes an output by {difference:.2e} of its largest number; \
                     leave it out with --without {pass}"
                )));
            }
        }
        self.answers = now;
        Ok(())
    }

    fn run(&self, graph: &Graph) -> Result<Option<Answers>, Failure> {
        let Ok(compiled) = compile::compile(graph, &self.options) else {
            return Ok(None);
        };
        let mut host = place::compact(&compiled.bytes, &Device::Host)?;
        let one = |sample: &Vec<Vec<f32>>| {
            let inputs: Vec<&[f32]> = sample.iter().map(Vec::as_slice).collect();
            let prediction = host.predict(&inputs).map_err(place::failure)?;
            Ok(prediction.outputs)
        };
        self.samples
            .iter()
            .map(one)
            .collect::<Result<_, _>>()
            .map(Some)
    }
}

/// The largest difference between outputs, as a share of the larger one's largest number.
fn difference(before: &Answers, now: &Answers) -> f64 {
    let outputs = before.iter().flatten().zip(now.iter().flatten());
    let share = |(a, b): (&Vec<f32>, &Vec<f32>)| {
        if a.len() != b.len() {
            return f64::INFINITY;
        }
        let all = a.iter().chain(b).filter(|value| value.is_finite());
        let largest = all.fold(0.0f32, |largest, value| largest.max(value.abs()));
        let is_same = |a: f32, b: f32| a == b || (a.is_nan() && b.is_nan());
        let pairs = a.iter().zip(b).filter(|(a, b)| !is_same(**a, **b));
        let gaps = pairs.map(|(&a, &b)| f64::from(a - b).abs() / f64::from(largest));
        gaps.fold(
            0.0,
            |worst: f64, gap| if gap.is_nan() { gap } else { worst.max(gap) },
        )
    };
    outputs.map(share).fold(0.0, |worst: f64, next| {
        if next.is_nan() {
            f64::INFINITY
        } else {
            worst.max(next)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn differences_are_shares_of_the_largest_number() {
        let answers = |values: &[f32]| vec![vec![values.to_vec()]];
        assert_eq!(
            difference(&answers(&[1.0, 4.0]), &answers(&[1.0, 4.0])),
            0.0
        );
        assert_eq!(
            difference(&answers(&[1.0, 4.0]), &answers(&[2.0, 4.0])),
            0.25
        );
        let odd = answers(&[f32::NAN, 4.0]);
        assert_eq!(difference(&odd, &odd), 0.0);
        assert_eq!(difference(&odd, &answers(&[1.0, 4.0])), f64::INFINITY);
        assert_eq!(difference(&odd, &answers(&[4.0])), f64::INFINITY);
    }
}
