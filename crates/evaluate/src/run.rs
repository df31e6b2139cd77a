//! One model, or two, over samples.

use crate::metrics::Agreement;
use crate::predict::{Input, Predict, PredictError, Prediction};
use crate::totals::{Sample, Task, Totals, task};
use serde_json::{Value, json};

/// A sample to be judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Case {
    /// Raw values of every input, one after the other, before preprocessing.
    pub values: Vec<f32>,
    /// The index of the right class, where it is known.
    pub label: Option<usize>,
    /// Where the sample comes from, for messages.
    pub name: String,
}

/// Why an evaluation ends early. `E` is what the source of samples fails with.
#[derive(Debug, thiserror::Error)]
pub enum Error<E> {
    /// The data cannot be read.
    #[error("{0}")]
    Data(E),
    /// The model's place fails.
    #[error(transparent)]
    Predict(#[from] PredictError),
    /// A sample does not fit the model.
    #[error("{0}")]
    Case(String),
}

/// One class of a classifier.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClassRow {
    /// Its name.
    pub name: String,
    /// Labelled samples of it.
    pub samples: u64,
    /// See [`crate::metrics::Classification`].
    pub precision: f64,
    /// See [`crate::metrics::Classification`].
    pub recall: f64,
    /// Their harmonic mean.
    pub f1: f64,
}

/// Counts of predicted classes (columns) per right class (rows).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Confusion {
    /// Row by row.
    pub counts: Vec<Vec<u64>>,
}

/// What is known of a model after its run over data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// What ran where.
    pub name: String,
    /// Values under stable names, in the order of tables.
    pub metrics: Vec<(String, f64)>,
    /// The classes, where samples had labels.
    pub classes: Vec<ClassRow>,
    /// The confusion matrix, where samples had labels.
    pub confusion: Option<Confusion>,
}

/// Two models over the same data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// The baseline.
    pub a: Evaluation,
    /// The model that is judged; its metrics include its agreement with the baseline.
    pub b: Evaluation,
}

impl Evaluation {
    /// A metric by its name.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| *value)
    }

    /// Metrics under their names, `classes`, and `confusion` with right classes as rows.
    pub fn to_json(&self) -> Value {
        let mut value = json!({ "name": self.name });
        for (name, metric) in &self.metrics {
            // Counts print as whole numbers.
            let is_count = metric.fract() == 0.0 && metric.abs() < 9e15 && *metric >= 0.0;
            value[name.as_str()] = if is_count && !is_share(name) {
                json!(*metric as u64)
            } else {
                json!(metric)
            };
        }
        if let Some(confusion) = &self.confusion {
            let row = |row: &ClassRow| {
                json!({
                    "name": row.name, "samples": row.samples, "precision": row.precision,
                    "recall": row.recall, "f1": row.f1,
                })
            };
            value["classes"] = Value::from(self.classes.iter().map(row).collect::<Vec<_>>());
            value["confusion"] = json!(confusion.counts);
        }
        value
    }
}

/// Metrics that are real numbers even where they happen to be whole.
fn is_share(name: &str) -> bool {
    !matches!(
        name,
        "samples" | "bytes" | "ram_bytes" | "macs" | "nodes" | "instructions_max" | "code_bytes"
    ) && !name.ends_with("_bytes")
}

impl Comparison {
    /// `a` and `b`, each as [`Evaluation::to_json`].
    pub fn to_json(&self) -> Value {
        json!({ "a": self.a.to_json(), "b": self.b.to_json() })
    }
}

/// Splits, preprocesses and relabels a sample.
fn sample(case: Case, inputs: &[Input], classes: &[usize]) -> Result<Sample, String> {
    let Case {
        values,
        label,
        name,
    } = case;
    let elements: usize = inputs
        .iter()
        .map(|input| input.shape.iter().product::<usize>())
        .sum();
    if values.len() != elements {
        let has = values.len();
        return Err(format!(
            "sample '{name}' has {has} values, but the model takes {elements}; pass data of the model's input shape"
        ));
    }
    let mut rest = values.as_slice();
    let inputs = inputs
        .iter()
        .map(|input| {
            let (own, after) = rest.split_at(input.shape.iter().product());
            rest = after;
            let mut own = own.to_vec();
            crate::predict::prepare(input, &mut own);
            own
        })
        .collect();
    let label = label.map(|label| classes.get(label).copied().unwrap_or(label));
    Ok(Sample {
        inputs,
        label,
        name,
    })
}

fn samples<E>(
    cases: Vec<Case>,
    inputs: &[Input],
    classes: &[usize],
) -> Result<Vec<Sample>, Error<E>> {
    let each = |case| sample(case, inputs, classes).map_err(Error::Case);
    cases.into_iter().map(each).collect()
}

/// For every class of the data, the class of the model: by name where both have names, otherwise in
/// alphabetical order, which is known only where all of a classifier's classes are there.
fn class_map(data: &[String], model: &[String], task: Task) -> Result<Vec<usize>, String> {
    if model.is_empty() {
        return match task {
            Task::Classes(count) if !data.is_empty() && data.len() < count => Err(format!(
                "the data names {} classes, but the model has {count} without names, and which of them these \
                 are is not known; pass class numbers with --labels, leave labels out with --no-labels, or \
                 quantize with --class-names",
                data.len()
            )),
            _ => Ok((0..data.len()).collect()),
        };
    }
    data.iter().map(|name| {
        model.iter().position(|other| other == name).ok_or_else(|| {
            format!("the data has a class '{name}', but the model has {}; rename the folder, or quantize with --class-names", model.join(", "))
        })
    }).collect()
}

/// Names for tables: the model's own, or the data's.
fn names<'a>(predict: &'a dyn Predict, data: &'a [String]) -> &'a [String] {
    match predict.outputs().first() {
        Some(output) if !output.labels.is_empty() => &output.labels,
        _ => data,
    }
}

fn run(predict: &mut dyn Predict, samples: &[Sample]) -> Result<Vec<Prediction>, PredictError> {
    let mut inputs: Vec<Vec<&[f32]>> = Vec::new();
    for sample in samples {
        inputs.push(sample.inputs.iter().map(Vec::as_slice).collect());
    }
    predict.predict_all(&inputs)
}

/// The next cases, `count` at most; none behind the last.
fn next<E>(
    cases: &mut dyn Iterator<Item = Result<Case, E>>,
    count: usize,
) -> Result<Vec<Case>, Error<E>> {
    cases
        .take(count)
        .map(|case| case.map_err(Error::Data))
        .collect()
}

/// Runs a model over samples. `class_names` are the data's, where it has any; `progress` is told
/// the number of samples seen.
pub fn evaluate<E>(
    predict: &mut dyn Predict,
    cases: &mut dyn Iterator<Item = Result<Case, E>>,
    class_names: &[String],
    progress: &mut dyn FnMut(usize),
) -> Result<Evaluation, Error<E>> {
    let task = task(predict);
    let labels = predict
        .outputs()
        .first()
        .map_or(Vec::new(), |output| output.labels.clone());
    let classes = class_map(class_names, &labels, task).map_err(Error::Case)?;
    let mut totals = Totals::new(task);
    let mut count = 0;
    loop {
        let cases = next(cases, predict.at_once())?;
        if cases.is_empty() {
            break;
        }
        let samples = samples(cases, predict.inputs(), &classes)?;
        let predictions = run(predict, &samples)?;
        for (sample, prediction) in samples.iter().zip(&predictions) {
            totals.add(task, sample, prediction)?;
        }
        count += samples.len();
        progress(count);
    }
    Ok(totals.evaluation(task, predict, names(predict, class_names)))
}

/// Runs two models over the same samples, each with its own preprocessing.
pub fn compare<E>(
    a: &mut dyn Predict,
    b: &mut dyn Predict,
    cases: &mut dyn Iterator<Item = Result<Case, E>>,
    class_names: &[String],
    progress: &mut dyn FnMut(usize),
) -> Result<Comparison, Error<E>> {
    let (task_a, task_b) = (task(a), task(b));
    if task_a != task_b {
        return Err(Error::Case(
            "the two models' inputs and outputs differ; compare models of the same task".into(),
        ));
    }
    let labels = names(b, &[]).to_vec();
    let classes = class_map(class_names, &labels, task_b).map_err(Error::Case)?;
    let (mut totals_a, mut totals_b) = (Totals::new(task_a), Totals::new(task_b));
    let mut agreement = Agreement::default();
    let mut count = 0;
    loop {
        let cases = next(cases, a.at_once().max(b.at_once()))?;
        if cases.is_empty() {
            break;
        }
        let of_a = samples(cases.clone(), a.inputs(), &classes)?;
        let of_b = samples(cases, b.inputs(), &classes)?;
        let answers_a = run(a, &of_a)?;
        let answers_b = run(b, &of_b)?;
        let (pairs_a, pairs_b) = (of_a.iter().zip(&answers_a), of_b.iter().zip(&answers_b));
        for ((sample_a, answer_a), (sample_b, answer_b)) in pairs_a.zip(pairs_b) {
            let errors = (
                totals_a.add(task_a, sample_a, answer_a)?,
                totals_b.add(task_b, sample_b, answer_b)?,
            );
            agreement.add(answer_a, answer_b);
            if let (Some(error_a), Some(error_b)) = errors {
                agreement.add_reconstruction(error_a, error_b);
            }
        }
        count += of_a.len();
        progress(count);
    }
    let shown = if labels.is_empty() {
        class_names
    } else {
        &labels
    };
    let mut judged = totals_b.evaluation(task_b, b, shown);
    add_agreement(&mut judged, task_b, &agreement);
    Ok(Comparison {
        a: totals_a.evaluation(task_a, a, shown),
        b: judged,
    })
}

/// Adds what only a comparison knows. The signal of the ratio is the baseline's output.
fn add_agreement(judged: &mut Evaluation, task: Task, agreement: &Agreement) {
    let mut add = |name: &str, value: f64| {
        judged.metrics.retain(|(other, _)| other != name);
        judged.metrics.push((name.to_string(), value));
    };
    if matches!(task, Task::Classes(_)) {
        add("agreement", agreement.same_class());
    }
    // An autoencoder's own ratio is that of its input to its error.
    let ratio = if task == Task::Reconstruction {
        "difference_sqnr_db"
    } else {
        "sqnr_db"
    };
    if let Some(db) = agreement.errors().sqnr_db() {
        add(ratio, db);
    }
    add("difference_mean", agreement.errors().mae());
    add("difference_max", agreement.errors().largest());
    if task == Task::Reconstruction {
        let [mean, largest] = agreement.reconstruction_deviation();
        add("reconstruction_deviation_mean", mean);
        add("reconstruction_deviation_max", largest);
    }
    if let Some(share) = agreement.same_bits() {
        add("identical", share);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Facts, Output};

    /// Answers with its input times a factor.
    struct Scaled {
        factor: f32,
        inputs: Vec<Input>,
        outputs: Vec<Output>,
    }

    impl Scaled {
        fn new(factor: f32, input: &[usize], output: &[usize]) -> Self {
            let input = Input {
                shape: input.to_vec(),
                ..Input::default()
            };
            let output = Output {
                shape: output.to_vec(),
                ..Output::default()
            };
            Scaled {
                factor,
                inputs: vec![input],
                outputs: vec![output],
            }
        }
    }

    impl Predict for Scaled {
        fn name(&self) -> String {
            "scaled".into()
        }
        fn inputs(&self) -> &[Input] {
            &self.inputs
        }
        fn outputs(&self) -> &[Output] {
            &self.outputs
        }
        fn facts(&self) -> Facts {
            vec![("bytes", 7.0)]
        }
        fn predict(&mut self, inputs: &[&[f32]]) -> Result<Prediction, PredictError> {
            let count: usize = self.outputs[0].shape.iter().product();
            let output: Vec<f32> = inputs[0]
                .iter()
                .take(count)
                .map(|value| value * self.factor)
                .collect();
            let raw = vec![
                output
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect(),
            ];
            Ok(Prediction {
                outputs: vec![output],
                raw,
                instructions: Some(100),
            })
        }
    }

    fn cases(samples: &[(&[f32], Option<usize>)]) -> Vec<Result<Case, String>> {
        let case = |(values, label): &(&[f32], Option<usize>)| {
            Ok(Case {
                values: values.to_vec(),
                label: *label,
                name: "s".into(),
            })
        };
        samples.iter().map(case).collect()
    }

    #[test]
    fn a_classifier_is_counted() {
        let mut model = Scaled::new(1.0, &[1, 3], &[1, 2]);
        let cases = cases(&[(&[1.0, 0.0, 9.0], Some(0)), (&[1.0, 0.0, 9.0], Some(1))]);
        let evaluation = evaluate(&mut model, &mut cases.into_iter(), &[], &mut |_| ()).unwrap();
        assert_eq!(evaluation.metric("top1"), Some(0.5));
        assert_eq!(evaluation.metric("auc"), Some(0.5));
        assert_eq!(evaluation.metric("bytes"), Some(7.0));
        assert_eq!(evaluation.metric("instructions"), Some(100.0));
        assert_eq!(
            evaluation.confusion.as_ref().unwrap().counts,
            [[1, 0], [1, 0]]
        );
        assert_eq!(evaluation.to_json()["bytes"], json!(7));
    }

    #[test]
    fn an_autoencoder_is_measured_against_its_input() {
        let (mut a, mut b) = (
            Scaled::new(0.5, &[1, 2], &[1, 2]),
            Scaled::new(0.6, &[1, 2], &[1, 2]),
        );
        let cases = cases(&[(&[2.0, 4.0], None)]);
        let comparison = compare(&mut a, &mut b, &mut cases.into_iter(), &[], &mut |_| ()).unwrap();
        assert_eq!(comparison.a.metric("mse"), Some(2.5));
        let deviation = comparison.b.metric("reconstruction_deviation_max").unwrap();
        assert!((deviation - 0.36).abs() < 1e-6, "{deviation}");
        assert_eq!(comparison.b.metric("identical"), Some(0.0));
    }

    #[test]
    fn samples_that_do_not_fit_are_named() {
        let refused = |samples: &[(&[f32], Option<usize>)]| {
            let mut model = Scaled::new(1.0, &[1, 3], &[1, 2]);
            evaluate(
                &mut model,
                &mut cases(samples).into_iter(),
                &[],
                &mut |_| (),
            )
            .unwrap_err()
            .to_string()
        };
        assert!(
            refused(&[(&[1.0, 0.0, 0.0], Some(2))])
                .contains("has label 2, but the model has 2 classes")
        );
        assert!(refused(&[(&[1.0], Some(0))]).contains("has 1 values, but the model takes 3"));
        assert!(refused(&[(&[f32::NAN, 0.0, 0.0], None)]).contains("not a number"));
    }

    #[test]
    fn classes_are_matched_by_name() {
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|name| name.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            class_map(&names(&["b", "a"]), &names(&["a", "b"]), Task::Classes(2)),
            Ok(vec![1, 0])
        );
        assert!(
            class_map(&names(&["c"]), &names(&["a"]), Task::Classes(1))
                .unwrap_err()
                .contains("class 'c'")
        );
        let unnamed = |data: &[&str], task| class_map(&names(data), &[], task);
        assert_eq!(unnamed(&["x", "y"], Task::Classes(2)), Ok(vec![0, 1]));
        assert_eq!(unnamed(&["x", "y"], Task::Number), Ok(vec![0, 1]));
        let some = unnamed(&["x", "y"], Task::Classes(3)).unwrap_err();
        assert!(
            some.contains("names 2 classes, but the model has 3"),
            "{some}"
        );
    }
}
