//! Labels that stand in a file of their own: an array of integers, an idx file, or text with one
//! number or one class name a line.

use crate::error::{Error, Problem};
use crate::readers::{array, idx};
use std::collections::BTreeSet;
use std::path::Path;

/// The label of every sample.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Labels {
    /// Class indices.
    pub indices: Vec<usize>,
    /// The names that they count, in alphabetical order; empty where the file holds numbers.
    pub names: Vec<String>,
}

/// Reads a file of labels, told apart by its content.
pub(crate) fn read(path: &Path) -> Result<Labels, Error> {
    if path.is_dir() {
        let message = "is a folder; pass a file of labels".into();
        return Err(Error::new(path, Problem::Labels(message)));
    }
    let start = crate::readers::start(path)?;
    if start.starts_with(b"\x93NUMPY") {
        return from_numbers(path, &array::numbers(path)?);
    }
    if start.starts_with(&[0x1f, 0x8b]) || start.starts_with(&[0, 0]) {
        return from_numbers(path, &idx::numbers(path)?);
    }
    if start.starts_with(b"PK") {
        let message = "is an archive of arrays; pass the labels as .npy, or name the array 'labels' in the data's .npz".into();
        return Err(Error::new(path, Problem::Labels(message)));
    }
    let bytes = std::fs::read(path).map_err(|error| Error::new(path, error))?;
    let text = String::from_utf8(bytes).map_err(|_| {
        let message = "is neither .npy, idx nor text; write a class number or name a line".into();
        Error::new(path, Problem::Labels(message))
    })?;
    from_lines(path, &text)
}

/// Class indices from numbers, which must be whole.
pub(crate) fn from_numbers(path: &Path, numbers: &[f32]) -> Result<Labels, Error> {
    let mut indices = Vec::with_capacity(numbers.len());
    for (index, &number) in numbers.iter().enumerate() {
        if number < 0.0 || number.fract() != 0.0 || number > 16_777_215.0 {
            let message = format!("label {index} is {number}; labels are class numbers from 0 on");
            return Err(Error::new(path, Problem::Labels(message)));
        }
        indices.push(number as usize);
    }
    Ok(Labels {
        indices,
        names: Vec::new(),
    })
}

/// Class indices or class names, one a line; a first line `label` is a heading.
fn from_lines(path: &Path, text: &str) -> Result<Labels, Error> {
    let mut lines: Vec<&str> = text.lines().map(str::trim).collect();
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    if lines
        .first()
        .is_some_and(|line| line.eq_ignore_ascii_case("label"))
    {
        lines.remove(0);
    }
    from_texts(path, &lines)
}

/// Class indices, or class names, of which there are none empty.
pub(crate) fn from_texts(path: &Path, texts: &[&str]) -> Result<Labels, Error> {
    if let Some(index) = texts.iter().position(|text| text.is_empty()) {
        let message =
            format!("label {index} is empty; write a class number or name for every sample");
        return Err(Error::new(path, Problem::Labels(message)));
    }
    // Numbers as any program writes them, `3.0` and `3.000e+00` as well: as names they would be out of order.
    let numbers: Result<Vec<f32>, _> = texts.iter().map(|text| text.parse()).collect();
    if let Ok(numbers) = numbers {
        return from_numbers(path, &numbers);
    }
    let names: BTreeSet<&str> = texts.iter().copied().collect();
    let names: Vec<String> = names.into_iter().map(String::from).collect();
    let place = |text: &&str| {
        names
            .binary_search_by(|name| name.as_str().cmp(text))
            .unwrap_or(0)
    };
    let indices = texts.iter().map(place).collect();
    Ok(Labels { indices, names })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Result<Labels, String> {
        from_lines(Path::new("l.txt"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn lines_are_numbers_or_names() {
        assert_eq!(lines("1\n0\n").unwrap().indices, [1, 0]);
        let named = lines("label\nyes\nno\nyes\n").unwrap();
        assert_eq!(
            (named.indices, named.names),
            (vec![1, 0, 1], vec!["no".into(), "yes".into()])
        );
        assert!(lines("1\n\n2\n").unwrap_err().contains("label 1 is empty"));
        let written = lines("1.0e+01\n2.0e+00\n").unwrap();
        assert_eq!((written.indices, written.names), (vec![10, 2], vec![]));
        assert!(lines("1\n-1\n").unwrap_err().contains("label 1 is -1"));
    }

    #[test]
    fn what_is_no_text_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("photo.jpg");
        std::fs::write(&path, [0xff, 0xd8, 0xff]).unwrap();
        let error = read(&path).unwrap_err();
        assert!(
            !error.is_io() && error.to_string().contains("nor text"),
            "{error}"
        );
    }

    #[test]
    fn fractions_are_no_labels() {
        let error = from_numbers(Path::new("l.npy"), &[0.0, 1.5])
            .unwrap_err()
            .to_string();
        assert!(error.contains("label 1 is 1.5"), "{error}");
        assert!(from_numbers(Path::new("l.npy"), &[-1.0]).is_err());
    }
}
