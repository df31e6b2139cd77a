//! Everything that is summed over samples, and the metrics that follow from it.

use crate::metrics::{Auc, Classification, Errors};
use crate::predict::{Predict, Prediction};
use crate::run::{ClassRow, Confusion, Error, Evaluation};

/// A sample as the models see it.
pub(crate) struct Sample {
    pub inputs: Vec<Vec<f32>>,
    pub label: Option<usize>,
    pub name: String,
}

/// Everything that is summed over samples.
pub(crate) struct Totals {
    samples: u64,
    classification: Classification,
    labelled: u64,
    auc: Auc,
    targets: Errors,
    reconstruction: Errors,
    reconstruction_max: f64,
    instructions: u64,
    instructions_max: u64,
    counted: u64,
}

/// How a model's first output is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// Scores of this many classes.
    Classes(usize),
    /// One number.
    Number,
    /// The input again.
    Reconstruction,
    /// Anything else.
    Other,
}

pub(crate) fn task(predict: &dyn Predict) -> Task {
    let elements = |shape: &[usize]| shape.iter().product::<usize>();
    let Some(output) = predict.outputs().first() else {
        return Task::Other;
    };
    let count = elements(&output.shape);
    let is_vector = output.shape.iter().filter(|&&size| size > 1).count() <= 1;
    match predict.inputs() {
        [input] if count > 1 && elements(&input.shape) == count => Task::Reconstruction,
        _ if count == 1 => Task::Number,
        _ if is_vector && count <= 4096 => Task::Classes(count),
        _ => Task::Other,
    }
}

impl Totals {
    pub(crate) fn new(task: Task) -> Self {
        let classes = match task {
            Task::Classes(classes) => classes,
            Task::Number => 2,
            _ => 0,
        };
        Totals {
            samples: 0,
            classification: Classification::new(classes),
            labelled: 0,
            auc: Auc::default(),
            targets: Errors::default(),
            reconstruction: Errors::default(),
            reconstruction_max: 0.0,
            instructions: 0,
            instructions_max: 0,
            counted: 0,
        }
    }

    /// Adds a sample; returns its reconstruction error, where there is one.
    pub(crate) fn add<E>(
        &mut self,
        task: Task,
        sample: &Sample,
        prediction: &Prediction,
    ) -> Result<Option<f64>, Error<E>> {
        self.samples += 1;
        if let Some(instructions) = prediction.instructions {
            self.instructions += instructions;
            self.instructions_max = self.instructions_max.max(instructions);
            self.counted += 1;
        }
        let Some(output) = prediction.outputs.first() else {
            return Ok(None);
        };
        if output.iter().any(|value| value.is_nan()) {
            return Err(Error::Case(format!(
                "sample '{}': the output is not a number; check the preprocessing and the model",
                sample.name
            )));
        }
        match (task, sample.label) {
            (Task::Reconstruction, _) => {
                let input = sample.inputs.first().map_or(&[][..], Vec::as_slice);
                let mut own = Errors::default();
                own.add(output, input);
                self.reconstruction.merge(&own);
                self.reconstruction_max = self.reconstruction_max.max(own.mse());
                return Ok(Some(own.mse()));
            }
            (Task::Classes(classes), Some(label)) => {
                if !self.classification.add(label, output) {
                    return Err(Error::Case(format!(
                        "sample '{}' has label {label}, but the model has {classes} classes, 0 to {}; check the labels, or leave them out with --no-labels",
                        sample.name,
                        classes - 1
                    )));
                }
                self.labelled += 1;
                if let &[no, yes] = output.as_slice() {
                    self.auc.add(label == 1, yes - no);
                }
            }
            (Task::Number, Some(label)) => {
                self.labelled += 1;
                self.targets.add(output, &[label as f32]);
                self.auc
                    .add(label > 0, output.first().copied().unwrap_or(0.0));
            }
            _ => {}
        }
        Ok(None)
    }

    fn metrics(&self, task: Task, predict: &dyn Predict) -> Vec<(String, f64)> {
        let mut metrics = vec![("samples", self.samples as f64)];
        match task {
            Task::Classes(classes) if self.labelled > 0 => {
                metrics.push(("top1", self.classification.top1()));
                if classes > 5 {
                    metrics.push(("top5", self.classification.top5()));
                }
                metrics.push(("balanced_accuracy", self.classification.balanced_accuracy()));
                metrics.extend(self.auc.area().map(|area| ("auc", area)));
            }
            Task::Number if self.labelled > 0 => {
                metrics.extend(errors(&self.targets));
                metrics.extend(self.auc.area().map(|area| ("auc", area)));
            }
            Task::Reconstruction => {
                metrics.extend(errors(&self.reconstruction));
                metrics.extend(self.reconstruction.sqnr_db().map(|db| ("sqnr_db", db)));
                metrics.push(("reconstruction_error_max", self.reconstruction_max));
            }
            _ => {}
        }
        metrics.extend(predict.facts());
        if self.counted > 0 {
            metrics.push((
                "instructions",
                self.instructions as f64 / self.counted as f64,
            ));
            metrics.push(("instructions_max", self.instructions_max as f64));
        }
        metrics
            .into_iter()
            .map(|(name, value)| (name.to_string(), value))
            .collect()
    }

    pub(crate) fn evaluation(
        &self,
        task: Task,
        predict: &dyn Predict,
        names: &[String],
    ) -> Evaluation {
        let mut evaluation = Evaluation {
            name: predict.name(),
            metrics: self.metrics(task, predict),
            ..Evaluation::default()
        };
        if let (Task::Classes(classes), true) = (task, self.labelled > 0) {
            evaluation.classes = (0..classes)
                .map(|class| {
                    let scores = self.classification.class(class);
                    let name = names
                        .get(class)
                        .cloned()
                        .unwrap_or_else(|| class.to_string());
                    ClassRow {
                        name,
                        samples: scores.samples,
                        precision: scores.precision,
                        recall: scores.recall,
                        f1: scores.f1,
                    }
                })
                .collect();
            let row = |label| {
                (0..classes)
                    .map(|predicted| self.classification.count(label, predicted))
                    .collect()
            };
            evaluation.confusion = Some(Confusion {
                counts: (0..classes).map(row).collect(),
            });
        }
        evaluation
    }
}

fn errors(errors: &Errors) -> [(&'static str, f64); 3] {
    [
        ("mae", errors.mae()),
        ("mse", errors.mse()),
        ("rmse", errors.mse().sqrt()),
    ]
}
