//! Sound of one channel, or what is taken of several, cut into samples of the input's length.

use super::{Reader, Samples};
use crate::error::{Error, Problem};
use crate::source::{Expected, Sample, Wanted};
use format::meta::Channel;
use hound::{SampleFormat, WavReader};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// A file of sound. Values are from -1 to 1.
pub(crate) struct Wav {
    path: PathBuf,
    samples: usize,
    elements: usize,
    channels: u16,
    taken: Channel,
}

fn reader(path: &Path) -> Result<WavReader<BufReader<File>>, Error> {
    WavReader::open(path).map_err(|error| match error {
        hound::Error::IoError(error) => Error::new(path, error),
        other => Error::corrupt(path, other),
    })
}

/// Opens a file of sound.
pub(crate) fn open(
    path: &Path,
    expected: &Expected,
    channel: Option<Channel>,
) -> Result<Wav, Error> {
    let reader = reader(path)?;
    let (channels, values) = (reader.spec().channels, reader.duration() as usize);
    let elements = expected.elements().max(1);
    let refused = |remedy: &'static str| {
        let shape = Problem::Shape {
            has: format!("there are {values} values of {channels} channels"),
            input: expected.name.clone(),
            takes: expected.describe(),
            remedy,
        };
        Err(Error::new(path, shape))
    };
    if values < elements {
        return refused("pass sound of at least that length");
    }
    // What a model takes of several is not asked of one.
    let own = expected.channel.filter(|_| channels > 1);
    let taken = match channel.or(own) {
        Some(Channel::One(index)) if index >= channels => {
            return refused("pass --channel with one of them, counted from 0, or mix");
        }
        Some(taken) => taken,
        None if channels == 1 => Channel::One(0),
        None => return refused("pass --channel with one of them, counted from 0, or mix"),
    };
    Ok(Wav {
        path: path.to_path_buf(),
        samples: values / elements,
        elements,
        channels,
        taken,
    })
}

impl Wav {
    /// What is taken of values of all channels in turn.
    fn taken(&self, values: &[f32]) -> Vec<f32> {
        let frames = values.chunks_exact(usize::from(self.channels.max(1)));
        let value = |frame: &[f32]| match self.taken {
            Channel::One(index) => frame.get(usize::from(index)).copied().unwrap_or(0.0),
            Channel::Mix => frame.iter().sum::<f32>() / frame.len() as f32,
        };
        frames.map(value).collect()
    }
}

impl Reader for Wav {
    fn len(&self) -> usize {
        self.samples
    }

    fn read(&self, wanted: Wanted) -> Result<Samples<'_>, Error> {
        let mut reader = reader(&self.path)?;
        let spec = reader.spec();
        let scale = 1.0 / (1i64 << (spec.bits_per_sample.clamp(1, 32) - 1)) as f32;
        Ok(Box::new(wanted.iter().map(move |index| {
            let start = (index * self.elements) as u32;
            reader
                .seek(start)
                .map_err(|error| Error::new(&self.path, error))?;
            let count = self.elements * usize::from(self.channels);
            let values: Result<Vec<f32>, hound::Error> = match spec.sample_format {
                SampleFormat::Float => reader.samples::<f32>().take(count).collect(),
                SampleFormat::Int => {
                    let values = reader.samples::<i32>().take(count);
                    values.map(|value| Ok(value? as f32 * scale)).collect()
                }
            };
            let values = values.map_err(|error| Error::corrupt(&self.path, error))?;
            Ok(Sample {
                values: self.taken(&values),
                label: None,
                name: index.to_string(),
            })
        })))
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }
}

#[cfg(test)]
mod tests {
    use crate::{Channel, Expected, Options, Source};

    /// A file of sound, and the samples of two values that are read of it.
    fn samples(
        channels: u16,
        values: &[i16],
        channel: Option<Channel>,
    ) -> Result<Vec<Vec<f32>>, String> {
        samples_for(None, channels, values, channel)
    }

    /// The same for a model that takes a channel of its own.
    fn samples_for(
        own: Option<Channel>,
        channels: u16,
        values: &[i16],
        channel: Option<Channel>,
    ) -> Result<Vec<Vec<f32>>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.wav");
        let spec = hound::WavSpec {
            channels,
            sample_rate: 16_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        for &value in values {
            writer.write_sample(value).unwrap();
        }
        writer.finalize().unwrap();
        let expected = [Expected {
            name: "x".into(),
            shape: vec![2],
            channels_first: false,
            channel: own,
        }];
        let options = Options {
            channel,
            ..Options::default()
        };
        let source = Source::open(&path, &expected, &options).map_err(|error| error.to_string())?;
        let samples = source.samples().unwrap();
        Ok(samples.map(|sample| sample.unwrap().values).collect())
    }

    #[test]
    fn sound_is_cut_into_samples() {
        let values = samples(1, &[0, 16_384, -32_768, 8_192, 1], None);
        assert_eq!(values.unwrap(), [[0.0, 0.5], [-1.0, 0.25]]);
    }

    #[test]
    fn several_channels_are_chosen_from_or_mixed() {
        let both = [0, 16_384, -32_768, 8_192, 8_192, 0, 16_384, 16_384];
        let of = |channel| samples(2, &both, channel);
        assert_eq!(
            of(Some(Channel::One(0))).unwrap(),
            [[0.0, -1.0], [0.25, 0.5]]
        );
        assert_eq!(
            of(Some(Channel::One(1))).unwrap(),
            [[0.5, 0.25], [0.0, 0.5]]
        );
        assert_eq!(
            of(Some(Channel::Mix)).unwrap(),
            [[0.25, -0.375], [0.125, 0.5]]
        );
        for channel in [None, Some(Channel::One(2))] {
            let said = of(channel).unwrap_err();
            assert!(said.contains("of 2 channels"), "{said}");
            assert!(said.contains("--channel"), "{said}");
        }
    }

    #[test]
    fn a_model_has_a_channel_of_its_own() {
        let both = [0, 16_384, -32_768, 8_192];
        let own = Some(Channel::One(1));
        assert_eq!(samples_for(own, 2, &both, None).unwrap(), [[0.5, 0.25]]);
        let other = samples_for(own, 2, &both, Some(Channel::One(0)));
        assert_eq!(other.unwrap(), [[0.0, -1.0]]);
        // Of one there is nothing to choose from.
        let one = samples_for(own, 1, &both[..2], None);
        assert_eq!(one.unwrap(), [[0.0, 0.5]]);
        let said = samples_for(Some(Channel::One(2)), 2, &both, None).unwrap_err();
        assert!(said.contains("--channel"), "{said}");
    }

    #[test]
    fn channels_are_numbers_or_the_mix() {
        assert_eq!("mix".parse(), Ok(Channel::Mix));
        assert_eq!("1".parse(), Ok(Channel::One(1)));
        assert!("-1".parse::<Channel>().is_err());
    }
}
