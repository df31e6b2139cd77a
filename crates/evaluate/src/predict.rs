//! The only thing that the evaluator knows of a model.

use format::Model;
use format::meta::{Meta, Port, Preprocess};
use std::fmt;

/// An input as the caller sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Input {
    /// The name in the source model.
    pub name: String,
    /// Dimensions in the caller's order; the batch is 1.
    pub shape: Vec<usize>,
    /// What is done to raw data before it becomes this input.
    pub preprocess: Preprocess,
}

/// An output as the caller sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// The name in the source model.
    pub name: String,
    /// Dimensions in the caller's order; the batch is 1.
    pub shape: Vec<usize>,
    /// Names of the classes, where the output is a vector of scores; otherwise empty.
    pub labels: Vec<String>,
}

/// What is known of a model besides its answers, under the stable names of metrics: `bytes`,
/// `ram_bytes`, `macs`, `nodes`, `code_bytes`, …
pub type Facts = Vec<(&'static str, f64)>;

/// The answer to one sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prediction {
    /// Real numbers of every output, in the caller's layout.
    pub outputs: Vec<Vec<f32>>,
    /// The outputs as they are stored, for comparison bit by bit; empty where there is no such
    /// thing.
    pub raw: Vec<Vec<u8>>,
    /// Instructions that the run took, where they are counted.
    pub instructions: Option<u64>,
}

/// A model at a place where it runs.
pub trait Predict {
    /// What runs where, for tables.
    fn name(&self) -> String;

    /// The inputs, in order.
    fn inputs(&self) -> &[Input];

    /// The outputs, in order.
    fn outputs(&self) -> &[Output];

    /// What is known besides answers.
    fn facts(&self) -> Facts;

    /// Whether an answer depends on the samples before, which therefore follow one another.
    fn keeps_state(&self) -> bool {
        false
    }

    /// Runs one sample: preprocessed values of every input, in the caller's layout.
    fn predict(&mut self, inputs: &[&[f32]]) -> Result<Prediction, PredictError>;

    /// Samples that [`Predict::predict_all`] is best given at once.
    fn at_once(&self) -> usize {
        1
    }

    /// Runs samples, each as [`Predict::predict`] takes it, and gives their answers in order.
    fn predict_all(&mut self, samples: &[Vec<&[f32]>]) -> Result<Vec<Prediction>, PredictError> {
        samples.iter().map(|inputs| self.predict(inputs)).collect()
    }
}

/// A place did not answer, or refuses the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PredictError {
    /// What is wrong, and where.
    pub what: String,
    /// What helps.
    pub remedy: String,
}

impl fmt::Display for PredictError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

impl std::error::Error for PredictError {}

/// The inputs and outputs of a compact model, as its caller sees them.
pub fn signature(meta: &Meta, model: &Model<'_>) -> (Vec<Input>, Vec<Output>) {
    let shape = |port: &Port, tensor: Option<format::Tensor>| -> Vec<usize> {
        if port.shape.is_empty() {
            let dims = tensor.map(|tensor| tensor.shape.dims().to_vec());
            return dims
                .unwrap_or_default()
                .iter()
                .map(|&size| size as usize)
                .collect();
        }
        port.shape.iter().map(|&size| size as usize).collect()
    };
    let inputs = meta.inputs.iter().enumerate().map(|(index, port)| Input {
        name: port.name.clone(),
        shape: shape(port, model.input(index)),
        preprocess: port.preprocess.clone(),
    });
    let outputs = meta.outputs.iter().enumerate().map(|(index, port)| Output {
        name: port.name.clone(),
        shape: shape(port, model.output(index)),
        labels: port.labels.clone(),
    });
    (inputs.collect(), outputs.collect())
}

/// Turns raw values of one input into what the model takes:
/// `(value * scale - mean[c]) / std[c]`, `c` being the channel that the layout says.
pub fn prepare(input: &Input, values: &mut [f32]) {
    let how = &input.preprocess;
    let dims = input.shape.get(1..).unwrap_or(&[]);
    let (channels, run) = match (how.channels_first, dims) {
        (true, [channels, rest @ ..]) => (*channels, rest.iter().product::<usize>().max(1)),
        (false, [.., channels]) => (*channels, 1),
        _ => (1, 1),
    };
    let of = |list: &[f32], channel: usize, otherwise: f32| {
        list.get(channel)
            .or(list.first())
            .copied()
            .unwrap_or(otherwise)
    };
    for (index, value) in values.iter_mut().enumerate() {
        let channel = index / run % channels.max(1);
        *value = (*value * how.scale - of(&how.mean, channel, 0.0)) / of(&how.std, channel, 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_prepared_apart() {
        let preprocess = Preprocess {
            scale: 0.5,
            mean: vec![1.0, 2.0],
            std: vec![1.0, 4.0],
            channels_first: false,
            channel: None,
        };
        let mut input = Input {
            name: "x".into(),
            shape: vec![1, 2, 2],
            preprocess,
        };
        let mut values = [4.0, 4.0, 8.0, 8.0];
        prepare(&input, &mut values);
        assert_eq!(values, [1.0, 0.0, 3.0, 0.5]);
        input.preprocess.channels_first = true;
        let mut values = [4.0, 4.0, 8.0, 8.0];
        prepare(&input, &mut values);
        assert_eq!(values, [1.0, 1.0, 0.5, 0.5]);
    }
}
