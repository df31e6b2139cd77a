//! A data set: a reader, labels, and a limit.

use crate::error::{Error, Problem};
use crate::labels::{self, Labels};
use crate::readers::{self, Reader};
use format::meta::Channel;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};

/// What a reader needs to know of a model's input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The input's name.
    pub name: String,
    /// The shape of one sample, without the batch, as the model's caller passes it.
    pub shape: Vec<usize>,
    /// Whether images are passed as channel, height, width.
    pub channels_first: bool,
    /// What the model takes of sound with several channels, where that is known.
    pub channel: Option<Channel>,
}

impl Expected {
    /// Values of one sample.
    pub(crate) fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    pub(crate) fn describe(&self) -> String {
        let sizes: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        format!("[{}] for each sample", sizes.join(", "))
    }
}

/// How a data set is read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A file of labels beside the data.
    pub labels: Option<PathBuf>,
    /// Leaves out the labels and class names that the data brings.
    pub is_unlabelled: bool,
    /// The most samples to use, spread evenly over the set.
    pub limit: Option<usize>,
    /// Takes the first samples instead: each follows the one before, as a model with state needs it.
    pub is_sequence: bool,
    /// For files of plain f32 values: a sample is this many consecutive rows, and the next one
    /// starts one row later. Without it, samples follow one another.
    pub window: Option<usize>,
    /// What is taken of sound, whatever the model takes. Without either, sound with several channels is refused.
    pub channel: Option<Channel>,
}

/// One sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Raw values of every input, one after the other, each in the order of its shape.
    pub values: Vec<f32>,
    /// The index of its class, where it is known.
    pub label: Option<usize>,
    /// Its file or its number.
    pub name: String,
}

/// Which samples are wanted: `count` of the first `total`, spread evenly, in ascending order. It is not a
/// list, because a header may announce any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    total: usize,
    count: usize,
}

impl Wanted {
    /// No more than `count` of them: the first ones of a sequence, else spread as before.
    fn at_most(self, count: usize, is_sequence: bool) -> Wanted {
        let count = count.min(self.count);
        let total = if is_sequence { count } else { self.total };
        Wanted { total, count }
    }

    /// The index of the sample at `position` among those that are wanted.
    pub(crate) fn get(self, position: usize) -> Option<usize> {
        let index = position as u128 * self.total as u128 / self.count.max(1) as u128;
        (position < self.count).then_some(index as usize)
    }

    /// The indices.
    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        (0..self.count).map_while(move |position| self.get(position))
    }
}

/// A data set that has been opened.
pub struct Source {
    path: PathBuf,
    reader: Box<dyn Reader>,
    labels: Option<Labels>,
    labels_path: Option<PathBuf>,
    wanted: Wanted,
    is_sequence: bool,
    is_unlabelled: bool,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("path", &self.path)
            .field("samples", &self.wanted.count)
            .finish()
    }
}

impl Source {
    /// Opens data for a model with these inputs. What can be checked without reading every sample
    /// is checked here.
    pub fn open(path: &Path, expected: &[Expected], options: &Options) -> Result<Source, Error> {
        let reader = readers::open(path, expected, options)?;
        let total = reader.len();
        let labels = match &options.labels {
            Some(file) => Some(labels::read(file)?),
            None if options.is_unlabelled => None,
            None => reader.labels()?,
        };
        if let Some(labels) = &labels
            && labels.indices.len() != total
        {
            let count = labels.indices.len();
            let message = format!(
                "there are {count} labels for the {total} samples of {}; pass the labels of this data",
                path.display()
            );
            return Err(Error::new(
                options.labels.as_deref().unwrap_or(path),
                Problem::Labels(message),
            ));
        }
        let count = options.limit.unwrap_or(total).min(total);
        if count == 0 {
            return Err(Error::new(
                path,
                Problem::Empty("pass a set with samples, and a --limit above 0"),
            ));
        }
        let all = Wanted {
            total,
            count: total,
        };
        let wanted = all.at_most(count, options.is_sequence);
        Ok(Source {
            path: path.to_path_buf(),
            reader,
            labels,
            labels_path: options.labels.clone(),
            wanted,
            is_sequence: options.is_sequence,
            is_unlabelled: options.is_unlabelled,
        })
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.wanted.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.wanted.count == 0
    }

    /// Names of the classes that labels count: class folders in alphabetical order, or the texts
    /// of a file of labels. Empty where labels are numbers.
    pub fn class_names(&self) -> &[String] {
        match &self.labels {
            Some(labels) => &labels.names,
            None if self.is_unlabelled => &[],
            None => self.reader.class_names(),
        }
    }

    /// SHA-256 of the data's and the labels' files.
    pub fn hash(&self) -> Result<[u8; 32], Error> {
        let mut hash = Sha256::new();
        for path in self.reader.files().iter().chain(&self.labels_path) {
            let mut file = std::fs::File::open(path).map_err(|error| Error::new(path, error))?;
            let mut block = vec![0; 1 << 16];
            loop {
                let count = file
                    .read(&mut block)
                    .map_err(|error| Error::new(path, error))?;
                if count == 0 {
                    break;
                }
                hash.update(&block[..count]);
            }
        }
        Ok(hash.finalize().into())
    }

    /// The samples, from the first on; may be called again.
    pub fn samples(&self) -> Result<impl Iterator<Item = Result<Sample, Error>> + '_, Error> {
        self.some_samples(self.wanted.count)
    }

    /// At most `count` samples, spread evenly over the set, or the first ones of a sequence.
    pub fn some_samples(
        &self,
        count: usize,
    ) -> Result<impl Iterator<Item = Result<Sample, Error>> + '_, Error> {
        let wanted = self.wanted.at_most(count, self.is_sequence);
        let samples = self.reader.read(wanted)?;
        Ok(samples.zip(wanted.iter()).map(|(sample, index)| {
            let mut sample = sample?;
            if self.is_unlabelled {
                sample.label = None;
            }
            if let Some(labels) = &self.labels {
                sample.label = labels.indices.get(index).copied();
            }
            match sample.values.iter().position(|value| !value.is_finite()) {
                None => Ok(sample),
                Some(position) => {
                    let value = sample.values[position];
                    Err(Error::new(
                        &self.path,
                        Problem::NotFinite {
                            sample: sample.name,
                            position,
                            value,
                        },
                    ))
                }
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_spread_or_the_first() {
        let all = Wanted { total: 9, count: 9 };
        let some = |count, is_sequence| -> Vec<usize> {
            let six = all.at_most(6, is_sequence);
            six.at_most(count, is_sequence).iter().collect()
        };
        assert_eq!(some(3, false), [0, 3, 6]);
        assert_eq!(some(3, true), [0, 1, 2]);
        assert_eq!(some(100, true), [0, 1, 2, 3, 4, 5]);
    }
}
