//! Readers, one file per kind of data. Each knows the number of its samples and streams those that
//! are wanted.

mod archive;
pub(crate) mod array;
mod array_header;
mod bin;
mod csv;
mod folder;
pub(crate) mod idx;
mod picture;
mod wav;

use crate::error::{Error, Problem};
use crate::labels::Labels;
use crate::source::{Expected, Options, Sample, Wanted};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Samples as they are read.
pub(crate) type Samples<'a> = Box<dyn Iterator<Item = Result<Sample, Error>> + 'a>;

/// Data of one kind.
pub(crate) trait Reader {
    /// All samples.
    fn len(&self) -> usize;

    /// The samples at ascending indices.
    fn read(&self, wanted: Wanted) -> Result<Samples<'_>, Error>;

    /// The files that hold the data.
    fn files(&self) -> Vec<PathBuf>;

    /// Labels that stand beside the samples.
    fn labels(&self) -> Result<Option<Labels>, Error> {
        Ok(None)
    }

    /// Names of the classes, where samples bring their own labels.
    fn class_names(&self) -> &[String] {
        &[]
    }
}

/// Endings of image files.
pub(crate) const IMAGES: [&str; 4] = ["png", "jpg", "jpeg", "bmp"];

/// Whether a name ends as images do. Files that some systems leave behind do not count.
pub(crate) fn is_image(name: &str) -> bool {
    let base = name.rsplit('/').next().unwrap_or(name);
    let ending = base
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_ascii_lowercase());
    !base.starts_with('.') && ending.is_some_and(|ending| IMAGES.contains(&ending.as_str()))
}

/// The first bytes of a file.
pub(crate) fn start(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(512).read_to_end(&mut bytes));
    read.map_err(|error| Error::new(path, error))?;
    Ok(bytes)
}

/// Opens data, told apart by its name and its first bytes.
pub(crate) fn open(
    path: &Path,
    expected: &[Expected],
    options: &Options,
) -> Result<Box<dyn Reader>, Error> {
    if path.is_dir() {
        check_options(path, options, b"")?;
        return Ok(Box::new(folder::open(path, only(path, expected)?)?));
    }
    let start = start(path)?;
    check_options(path, options, &start)?;
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_lowercase();
    let ends = |ending: &str| name.ends_with(ending);
    if start.starts_with(b"PK") {
        return Ok(Box::new(array::open_archive(path, expected)?));
    }
    let expected = only(path, expected)?;
    if start.starts_with(b"\x93NUMPY") {
        return Ok(Box::new(array::open(path, expected)?));
    }
    if ends(".tar") || ends(".tar.gz") || ends(".tgz") {
        return Ok(Box::new(archive::open(path, expected)?));
    }
    if is_image(&name) {
        return Ok(Box::new(folder::single(path, expected)?));
    }
    if start.starts_with(b"RIFF") {
        return Ok(Box::new(wav::open(path, expected, options.channel)?));
    }
    if ends(".csv") {
        return Ok(Box::new(csv::open(path, expected)?));
    }
    if is_plain(path) {
        return Ok(Box::new(bin::open(path, expected, options.window)?));
    }
    if name.contains("idx") || start.starts_with(&[0, 0]) {
        return Ok(Box::new(idx::open(path, expected)?));
    }
    if ends(".npy") || ends(".npz") {
        return Err(Error::corrupt(path, "the file does not begin as arrays do"));
    }
    Err(Error::new(path, Problem::Unknown))
}

/// Whether data is plain f32 values, by its name.
fn is_plain(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default();
    ending.eq_ignore_ascii_case("bin")
}

/// Refuses options that would change nothing.
fn check_options(path: &Path, options: &Options, start: &[u8]) -> Result<(), Error> {
    let refused = |option| Err(Error::new(path, Problem::Option(option)));
    if options.window.is_some() && !is_plain(path) {
        return refused("--window is for .bin files");
    }
    if options.channel.is_some() && !start.starts_with(b"RIFF") {
        return refused("--channel is for .wav files");
    }
    Ok(())
}

/// The only input, for kinds of data that hold one value each.
fn only<'a>(path: &Path, expected: &'a [Expected]) -> Result<&'a Expected, Error> {
    match expected {
        [one] => Ok(one),
        _ => Err(Error::new(path, Problem::ManyInputs(expected.len()))),
    }
}

/// Reads past `bytes`; `false` when there are fewer.
pub(crate) fn skip(reader: &mut dyn Read, bytes: u64) -> std::io::Result<bool> {
    Ok(std::io::copy(&mut reader.take(bytes), &mut std::io::sink())? == bytes)
}
