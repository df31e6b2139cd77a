//! Data on the command line: where it is, and what is done to it before a model sees it.

use crate::failure::{Code, Failure};
use clap::{Args, ValueEnum};
use data::{Channel, Expected, Source};
use evaluate::Input;
use format::meta::Preprocess;
use graph::Graph;
use std::path::{Path, PathBuf};

/// How raw values become a model's input. Stored in the compact model.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct PreprocessArguments {
    /// Factor of raw values, such as 0.00392157 for pixels of a model that takes 0..1
    #[arg(long, value_name = "FACTOR", allow_negative_numbers = true)]
    scale: Option<f32>,
    /// Subtracted after scaling: one value, or one per channel
    #[arg(
        long,
        value_name = "M,…",
        value_delimiter = ',',
        allow_hyphen_values = true
    )]
    mean: Vec<f32>,
    /// Divisor after that: one value, or one per channel
    #[arg(
        long,
        value_name = "S,…",
        value_delimiter = ',',
        allow_hyphen_values = true
    )]
    std: Vec<f32>,
    /// Where an image model wants its channels
    #[arg(long, value_enum, default_value_t = ImageLayout::Auto)]
    layout: ImageLayout,
}

/// The order of an image's dimensions in a model's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ImageLayout {
    /// By the input's shape: first where the second dimension is 1 or 3 and the last is not
    #[default]
    Auto,
    /// Height, width, channel
    Hwc,
    /// Channel, height, width
    Chw,
}

impl PreprocessArguments {
    /// Whether the user gave anything.
    pub(crate) fn is_given(&self) -> bool {
        self.scale.is_some()
            || !self.mean.is_empty()
            || !self.std.is_empty()
            || self.layout != ImageLayout::Auto
    }

    /// The preprocessing of an input of `shape`, batch included.
    pub(crate) fn of(&self, shape: &[usize]) -> Result<Preprocess, Failure> {
        let channels_first = match self.layout {
            ImageLayout::Auto => has_channels_first(shape),
            ImageLayout::Hwc => false,
            ImageLayout::Chw => true,
        };
        let axis = if channels_first {
            1
        } else {
            shape.len().saturating_sub(1)
        };
        let channels = shape.get(axis).copied().unwrap_or(1);
        for (name, values) in [("--mean", &self.mean), ("--std", &self.std)] {
            if values.len() > 1 && values.len() != channels {
                let count = values.len();
                let message = format!(
                    "{name} has {count} values, but the input has {channels} channels; give one value, or one per channel"
                );
                return Err(Failure::usage(message));
            }
        }
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        let scale = self.scale.unwrap_or(1.0);
        if !scale.is_finite()
            || scale == 0.0
            || !finite(&self.mean)
            || !finite(&self.std)
            || self.std.contains(&0.0)
        {
            let message = "--scale, --mean and --std take finite numbers, and --scale and --std none that is 0";
            return Err(Failure::usage(message));
        }
        Ok(Preprocess {
            scale,
            mean: self.mean.clone(),
            std: self.std.clone(),
            channels_first,
            channel: None,
        })
    }
}

fn has_channels_first(shape: &[usize]) -> bool {
    matches!(shape, &[_, first, _, last] if matches!(first, 1 | 3) && !matches!(last, 1 | 3))
}

/// The inputs of a graph as its caller sees them.
pub(crate) fn inputs(graph: &Graph, how: &PreprocessArguments) -> Result<Vec<Input>, Failure> {
    graph
        .inputs
        .iter()
        .map(|port| {
            let shape: Vec<usize> = port
                .shape
                .dims()
                .iter()
                .map(|&size| size as usize)
                .collect();
            let preprocess = how.of(&shape)?;
            Ok(Input {
                name: port.name.clone(),
                shape,
                preprocess,
            })
        })
        .collect()
}

/// A number of samples to use at most.
pub(crate) fn parse_limit(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|&count| count > 0);
    count.ok_or_else(|| "write a whole number above 0".into())
}

/// How data is read, besides its path.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ReadArguments {
    /// Labels, where they are in a file of their own
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// Leave out the labels that the data brings, where they are not the model's
    #[arg(long, conflicts_with = "labels")]
    no_labels: bool,
    /// Use at most this many samples, spread evenly over the data; the first ones where a model keeps
    /// state from one to the next
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parse_limit)]
    limit: Option<usize>,
    /// For .bin files: a sample is this many consecutive rows, the next starts one row later
    #[arg(long, value_name = "ROWS")]
    window: Option<usize>,
    /// Whether samples follow one another, which no option says but the model.
    #[arg(skip)]
    is_sequence: bool,
    #[command(flatten)]
    sound: SoundArguments,
}

/// How sound is read.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct SoundArguments {
    /// For .wav files with several channels: the number of the one to take, from 0, or the mean of all. Stored in
    /// the compact model, and needed again only where other data are to be read otherwise
    #[arg(long, value_name = "N|mix")]
    channel: Option<Channel>,
}

impl SoundArguments {
    /// Notes with a model's inputs what it takes of sound, so that its file says so.
    pub(crate) fn note(self, inputs: &mut [Input]) {
        for input in inputs {
            input.preprocess.channel = self.channel;
        }
    }
}

impl ReadArguments {
    /// For commands that name these options otherwise.
    pub(crate) fn new(
        labels: Option<PathBuf>,
        limit: Option<usize>,
        window: Option<usize>,
    ) -> Self {
        ReadArguments {
            labels,
            limit,
            window,
            ..ReadArguments::default()
        }
    }

    /// The same without what is for data of the other one's kind, where a command reads two of different kinds.
    pub(crate) fn beside(mut self, path: &Path, other: Option<&Path>) -> Self {
        let is_for = |ending: &str| {
            let has = |path: &Path| {
                let found = path.extension().unwrap_or_default();
                found.eq_ignore_ascii_case(ending)
            };
            has(path) || !other.is_some_and(has)
        };
        self.window = self.window.filter(|_| is_for("bin"));
        self.sound.channel = self.sound.channel.filter(|_| is_for("wav"));
        self
    }

    /// The same for a model that keeps state, if it does.
    pub(crate) fn in_sequence(self, is_sequence: bool) -> Self {
        ReadArguments {
            is_sequence,
            ..self
        }
    }

    /// The same with sound read in this way.
    pub(crate) fn with_sound(self, sound: SoundArguments) -> Self {
        ReadArguments { sound, ..self }
    }
}

/// Opens data for a model with these inputs.
pub(crate) fn open(path: &Path, inputs: &[Input], how: &ReadArguments) -> Result<Source, Failure> {
    let expected: Vec<Expected> = inputs
        .iter()
        .map(|input| Expected {
            name: input.name.clone(),
            shape: sample_shape(&input.shape).to_vec(),
            channels_first: input.preprocess.channels_first,
            channel: input.preprocess.channel,
        })
        .collect();
    let options = data::Options {
        labels: how.labels.clone(),
        is_unlabelled: how.no_labels,
        limit: how.limit,
        is_sequence: how.is_sequence,
        window: how.window,
        channel: how.sound.channel,
    };
    Ok(Source::open(path, &expected, &options)?)
}

/// The shape of a sample: the input's without its batch, which is 1. An input that starts otherwise,
/// with the steps of a sequence or a fixed batch, is a sample as a whole.
fn sample_shape(shape: &[usize]) -> &[usize] {
    match shape {
        [1, rest @ ..] => rest,
        whole => whole,
    }
}

/// The values of every input, preprocessed, in the caller's layout.
pub(crate) fn prepare(values: &[f32], inputs: &[Input]) -> Vec<Vec<f32>> {
    let mut rest = values;
    inputs
        .iter()
        .map(|input| {
            let (own, after) = rest.split_at(input.shape.iter().product::<usize>().min(rest.len()));
            rest = after;
            let mut own = own.to_vec();
            evaluate::prepare(input, &mut own);
            own
        })
        .collect()
}

impl From<data::Error> for Failure {
    fn from(error: data::Error) -> Self {
        let code = if error.is_io() {
            Code::Device
        } else {
            Code::Usage
        };
        Failure::new(code, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_tells_where_channels_are() {
        assert!(has_channels_first(&[1, 3, 32, 32]));
        assert!(has_channels_first(&[1, 1, 8, 8]));
        assert!(!has_channels_first(&[1, 49, 10, 1]));
        assert!(!has_channels_first(&[1, 3, 3, 3]));
        assert!(!has_channels_first(&[1, 640]));
    }

    #[test]
    fn a_batch_of_one_is_no_part_of_a_sample() {
        assert_eq!(sample_shape(&[1, 8, 3]), [8, 3]);
        assert_eq!(sample_shape(&[5, 1, 4]), [5, 1, 4]);
        assert_eq!(sample_shape(&[7]), [7]);
    }

    #[test]
    fn means_fit_the_channels() {
        let how = PreprocessArguments {
            mean: vec![1.0, 2.0],
            ..Default::default()
        };
        assert!(
            how.of(&[1, 8, 8, 3])
                .unwrap_err()
                .message
                .contains("3 channels")
        );
        assert!(how.of(&[1, 8, 8, 2]).is_ok());
    }
}
