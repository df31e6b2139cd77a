//! Sound of one channel, cut into samples of the input's length.

use super::{Reader, Samples};
use crate::error::{Error, Problem};
use crate::source::{Expected, Sample, Wanted};
use hound::{SampleFormat, WavReader};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// A file of sound. Values are from -1 to 1.
pub(crate) struct Wav {
    path: PathBuf,
    samples: usize,
    elements: usize,
}

fn reader(path: &Path) -> Result<WavReader<BufReader<File>>, Error> {
    WavReader::open(path).map_err(|error| match error {
        hound::Error::IoError(error) => Error::new(path, error),
        other => Error::corrupt(path, other),
    })
}

/// Opens a file of sound.
pub(crate) fn open(path: &Path, expected: &Expected) -> Result<Wav, Error> {
    let reader = reader(path)?;
    let (channels, values) = (reader.spec().channels, reader.duration() as usize);
    let elements = expected.elements().max(1);
    if channels != 1 || values < elements {
        return Err(Error::new(
            path,
            Problem::Shape {
                has: format!("there are {values} values of {channels} channels"),
                input: expected.name.clone(),
                takes: expected.describe(),
                remedy: "pass sound of one channel and at least that length",
            },
        ));
    }
    Ok(Wav {
        path: path.to_path_buf(),
        samples: values / elements,
        elements,
    })
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
            let values: Result<Vec<f32>, hound::Error> = match spec.sample_format {
                SampleFormat::Float => reader.samples::<f32>().take(self.elements).collect(),
                SampleFormat::Int => {
                    let values = reader.samples::<i32>().take(self.elements);
                    values.map(|value| Ok(value? as f32 * scale)).collect()
                }
            };
            let values = values.map_err(|error| Error::corrupt(&self.path, error))?;
            Ok(Sample {
                values,
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
    use crate::{Expected, Options, Source};

    #[test]
    fn sound_is_cut_into_samples() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.wav");
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 16_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        for value in [0i16, 16_384, -32_768, 8_192, 1] {
            writer.write_sample(value).unwrap();
        }
        writer.finalize().unwrap();
        let expected = [Expected {
            name: "x".into(),
            shape: vec![2],
            channels_first: false,
        }];
        let source = Source::open(&path, &expected, &Options::default()).unwrap();
        let values: Vec<Vec<f32>> = source
            .samples()
            .unwrap()
            .map(|sample| sample.unwrap().values)
            .collect();
        assert_eq!(values, [[0.0, 0.5], [-1.0, 0.25]]);
    }
}
