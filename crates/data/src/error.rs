//! Why data cannot be used.

use std::path::{Path, PathBuf};

/// A problem with a file or a folder.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", .path.display())]
pub struct Error {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong with it, where, and what helps.
    #[source]
    pub problem: Problem,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It cannot be read.
    #[error("{0}")]
    Read(#[from] std::io::Error),
    /// Its kind is not known.
    #[error(
        "this kind of file is not known; pass .npy, .npz, .csv, idx, .bin, .wav, an image, \
         or a folder or .tar(.gz) of class folders with images"
    )]
    Unknown,
    /// It is broken or not what it says.
    #[error("{0}: the file is truncated or corrupt; make or copy it again")]
    Corrupt(String),
    /// It holds nothing.
    #[error("there are no samples in it; {0}")]
    Empty(&'static str),
    /// Its samples do not fit the model's input.
    #[error("{has}, but the input '{input}' takes {takes}; {remedy}")]
    Shape {
        /// What there is.
        has: String,
        /// The model's input.
        input: String,
        /// What it takes.
        takes: String,
        /// What helps.
        remedy: &'static str,
    },
    /// Its elements are no numbers.
    #[error("elements of type {0} cannot be used; save the array as float32, int8 or uint8")]
    Type(String),
    /// Its elements do not follow one another by rows.
    #[error("the array is in Fortran order; save it after `numpy.ascontiguousarray`")]
    Order,
    /// A value is not finite.
    #[error(
        "sample '{sample}', value {position} is {value}; remove the sample or repair its values"
    )]
    NotFinite {
        /// The sample's name.
        sample: String,
        /// Where in it.
        position: usize,
        /// NaN or an infinity.
        value: f32,
    },
    /// Labels do not fit the samples.
    #[error("{0}")]
    Labels(String),
    /// An option is for data of another kind.
    #[error("{0}; leave it out for this data")]
    Option(&'static str),
    /// A model of several inputs needs other data.
    #[error(
        "the model has {0} inputs; pass an .npz with one array for each, under the inputs' names"
    )]
    ManyInputs(usize),
}

impl Error {
    pub(crate) fn new(path: &Path, problem: impl Into<Problem>) -> Self {
        Error {
            path: path.to_path_buf(),
            problem: problem.into(),
        }
    }

    pub(crate) fn corrupt(path: &Path, what: impl std::fmt::Display) -> Self {
        Error::new(path, Problem::Corrupt(what.to_string()))
    }

    /// Whether the file could not be read at all.
    pub fn is_io(&self) -> bool {
        matches!(self.problem, Problem::Read(_))
    }
}
