//! Tables: one sample a row. With a heading, a column `label` holds labels. A first row is a heading if no
//! cell of it is a number, or one is `label`: a slip in a row of numbers is to be told, not skipped.

use super::{Reader, Samples};
use crate::error::{Error, Problem};
use crate::labels::{self, Labels};
use crate::source::{Expected, Sample, Wanted};
use std::fs::File;
use std::path::{Path, PathBuf};

/// A table.
pub(crate) struct Csv {
    path: PathBuf,
    samples: usize,
    elements: usize,
    has_heading: bool,
    label_column: Option<usize>,
}

fn reader(path: &Path, has_heading: bool) -> Result<::csv::Reader<File>, Error> {
    let file = File::open(path).map_err(|error| Error::new(path, error))?;
    Ok(::csv::ReaderBuilder::new()
        .has_headers(has_heading)
        .trim(::csv::Trim::All)
        .from_reader(file))
}

/// Opens a table and counts its rows.
pub(crate) fn open(path: &Path, expected: &Expected) -> Result<Csv, Error> {
    let first = reader(path, false)?.into_records().next();
    let first = first.ok_or_else(|| Error::new(path, Problem::Empty("write one sample a row")))?;
    let first = first.map_err(|error| Error::corrupt(path, error))?;
    let is_label = |cell: &str| cell.eq_ignore_ascii_case("label");
    let label_column = first.iter().position(is_label);
    let has_heading =
        label_column.is_some() || !first.iter().any(|cell| cell.parse::<f32>().is_ok());
    let columns = first.len() - usize::from(label_column.is_some());
    if columns != expected.elements() {
        return Err(Error::new(
            path,
            Problem::Shape {
                has: format!("a row has {columns} values"),
                input: expected.name.clone(),
                takes: expected.describe(),
                remedy: "write all values of a sample in a row; give labels a column headed 'label'",
            },
        ));
    }
    let mut samples = 0;
    for row in reader(path, has_heading)?.into_byte_records() {
        row.map_err(|error| Error::corrupt(path, error))?;
        samples += 1;
    }
    Ok(Csv {
        path: path.to_path_buf(),
        samples,
        elements: columns,
        has_heading,
        label_column,
    })
}

impl Reader for Csv {
    fn len(&self) -> usize {
        self.samples
    }

    fn read(&self, wanted: Wanted) -> Result<Samples<'_>, Error> {
        let mut rows = reader(&self.path, self.has_heading)?.into_records();
        let mut next = 0;
        Ok(Box::new(wanted.iter().map(move |index| {
            let row = rows.nth(index - next);
            next = index + 1;
            let row = row.ok_or_else(|| Error::corrupt(&self.path, "the table became shorter"))?;
            let row = row.map_err(|error| Error::corrupt(&self.path, error))?;
            let mut values = Vec::with_capacity(self.elements);
            for (column, cell) in row
                .iter()
                .enumerate()
                .filter(|(column, _)| Some(*column) != self.label_column)
            {
                let value = cell.parse();
                values.push(value.map_err(|_| {
                    Error::corrupt(
                        &self.path,
                        format!("row {index}, column {column}: '{cell}' is not a number"),
                    )
                })?);
            }
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

    fn labels(&self) -> Result<Option<Labels>, Error> {
        let Some(column) = self.label_column else {
            return Ok(None);
        };
        let mut texts = Vec::new();
        for row in reader(&self.path, self.has_heading)?.into_records() {
            let row = row.map_err(|error| Error::corrupt(&self.path, error))?;
            texts.push(row.get(column).unwrap_or_default().to_string());
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        labels::from_texts(&self.path, &texts).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Expected, Options, Sample, Source};

    fn samples(text: &str) -> Result<Vec<Sample>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        std::fs::write(&path, text).unwrap();
        let expected = [Expected {
            name: "x".into(),
            shape: vec![2],
            channels_first: false,
            channel: None,
        }];
        let source = Source::open(&path, &expected, &Options::default())
            .map_err(|error| error.to_string())?;
        source
            .samples()
            .map_err(|error| error.to_string())?
            .map(|sample| sample.map_err(|error| error.to_string()))
            .collect()
    }

    #[test]
    fn rows_are_samples() {
        let plain = samples("1,2\n3,4.5\n").unwrap();
        assert_eq!(plain[1].values, [3.0, 4.5]);
        let labelled = samples("a,label,b\n1,cat,2\n3,ant,4\n").unwrap();
        assert_eq!(
            (labelled[0].values.as_slice(), labelled[0].label),
            (&[1.0, 2.0][..], Some(1))
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        assert!(
            samples("1,2,3\n")
                .unwrap_err()
                .contains("a row has 3 values")
        );
        assert!(
            samples("1,2\n3,x\n")
                .unwrap_err()
                .contains("row 1, column 1: 'x' is not a number")
        );
        let first = samples("1,x\n3,4\n").unwrap_err();
        assert!(
            first.contains("row 0, column 1: 'x' is not a number"),
            "{first}"
        );
        assert_eq!(samples("x,y\n3,4\n").unwrap().len(), 1);
        assert_eq!(samples("1,2,label\n3,4,0\n").unwrap().len(), 1);
        assert!(samples("").unwrap_err().contains("no samples"));
    }
}
