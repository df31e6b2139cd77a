//! Plain little-endian f32 values without a header.

use super::{Reader, Samples};
use crate::error::{Error, Problem};
use crate::source::{Expected, Sample, Wanted};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A file of values.
pub(crate) struct Bin {
    path: PathBuf,
    samples: usize,
    elements: usize,
    /// Values from the start of one sample to that of the next.
    step: usize,
}

/// Opens a file of values; with `window` rows to a sample, samples overlap by all rows but one.
pub(crate) fn open(path: &Path, expected: &Expected, window: Option<usize>) -> Result<Bin, Error> {
    let size = std::fs::metadata(path)
        .map_err(|error| Error::new(path, error))?
        .len();
    let (elements, values) = (expected.elements(), (size / 4) as usize);
    let rows = window.unwrap_or(1);
    let misfit = |has: String, remedy| {
        let (input, takes) = (expected.name.clone(), expected.describe());
        Error::new(
            path,
            Problem::Shape {
                has,
                input,
                takes,
                remedy,
            },
        )
    };
    if elements == 0 || rows == 0 || elements % rows != 0 {
        return Err(misfit(
            format!("a window is {rows} rows"),
            "pass a --window that divides the input's size",
        ));
    }
    let step = elements / rows;
    if size % 4 != 0 || values % step != 0 || values < elements {
        return Err(misfit(
            format!("there are {size} bytes"),
            "pass whole samples of f32 values, or --window for rows",
        ));
    }
    let samples = (values - elements) / step + 1;
    Ok(Bin {
        path: path.to_path_buf(),
        samples,
        elements,
        step,
    })
}

impl Reader for Bin {
    fn len(&self) -> usize {
        self.samples
    }

    fn read(&self, wanted: Wanted) -> Result<Samples<'_>, Error> {
        let file = File::open(&self.path).map_err(|error| Error::new(&self.path, error))?;
        let mut file = BufReader::new(file);
        Ok(Box::new(wanted.iter().map(move |index| {
            let mut bytes = vec![0; self.elements * 4];
            let start = SeekFrom::Start(index as u64 * self.step as u64 * 4);
            let read = file.seek(start).and_then(|_| file.read_exact(&mut bytes));
            read.map_err(|error| Error::new(&self.path, error))?;
            let value = |bytes: &[u8]| {
                f32::from_bits(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
            };
            Ok(Sample {
                values: bytes.chunks_exact(4).map(value).collect(),
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
    fn windows_overlap_by_all_rows_but_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.bin");
        let bytes: Vec<u8> = (0..6)
            .flat_map(|value| (value as f32).to_le_bytes())
            .collect();
        std::fs::write(&path, &bytes).unwrap();
        let expected = [Expected {
            name: "x".into(),
            shape: vec![4],
            channels_first: false,
            channel: None,
        }];
        let options = |window| Options {
            window,
            ..Options::default()
        };
        let source = Source::open(&path, &expected, &options(Some(2))).unwrap();
        let values: Vec<Vec<f32>> = source
            .samples()
            .unwrap()
            .map(|sample| sample.unwrap().values)
            .collect();
        assert_eq!(values, [[0.0, 1.0, 2.0, 3.0], [2.0, 3.0, 4.0, 5.0]]);
        assert!(
            Source::open(&path, &expected, &options(None))
                .unwrap_err()
                .to_string()
                .contains("24 bytes")
        );
        assert!(
            Source::open(&path, &expected, &options(Some(3)))
                .unwrap_err()
                .to_string()
                .contains("--window")
        );
    }

    #[test]
    fn values_that_are_not_finite_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.bin");
        std::fs::write(&path, [1f32.to_le_bytes(), f32::NAN.to_le_bytes()].concat()).unwrap();
        let expected = [Expected {
            name: "x".into(),
            shape: vec![1],
            channels_first: false,
            channel: None,
        }];
        let source = Source::open(&path, &expected, &Options::default()).unwrap();
        let error = source
            .samples()
            .unwrap()
            .nth(1)
            .unwrap()
            .unwrap_err()
            .to_string();
        assert!(error.contains("sample '1', value 0 is NaN"), "{error}");
    }
}
