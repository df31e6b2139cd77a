//! Images in a `.tar` or `.tar.gz`, read in the archive's order and never unpacked to the disk. The
//! folder that holds an image is its class.

use super::{Reader, Samples, is_image, picture};
use crate::error::{Error, Problem};
use crate::source::{Expected, Sample, Wanted};
use flate2::read::MultiGzDecoder;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// The largest image file.
const IMAGE_BYTES_MAX: u64 = 64 << 20;

/// An archive of images.
pub(crate) struct Archive {
    path: PathBuf,
    /// The class of every image, in the archive's order.
    labels: Vec<Option<usize>>,
    classes: Vec<String>,
    sizes: [usize; 3],
    channels_first: bool,
}

fn archive(path: &Path) -> Result<tar::Archive<Box<dyn Read>>, Error> {
    let is_packed = super::start(path)?.starts_with(&[0x1f, 0x8b]);
    let file = BufReader::with_capacity(
        1 << 16,
        File::open(path).map_err(|error| Error::new(path, error))?,
    );
    let file: Box<dyn Read> = if is_packed {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    Ok(tar::Archive::new(file))
}

/// Sees the name, the content and the size of an image; `false` ends the visit.
type Visit<'a> = dyn FnMut(String, &mut dyn Read, u64) -> Result<bool, Error> + 'a;

/// Calls `visit` with the name and the content of every image, until it returns `false`.
fn visit(path: &Path, visit: &mut Visit<'_>) -> Result<(), Error> {
    let mut archive = archive(path)?;
    for entry in archive
        .entries()
        .map_err(|error| Error::corrupt(path, error))?
    {
        let mut entry = entry.map_err(|error| Error::corrupt(path, error))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let size = entry.size();
        if entry.header().entry_type().is_file()
            && is_image(&name)
            && !visit(name, &mut entry, size)?
        {
            break;
        }
    }
    Ok(())
}

/// Lists an archive's images and their classes.
pub(crate) fn open(path: &Path, expected: &Expected) -> Result<Archive, Error> {
    let sizes = picture::dimensions(path, expected)?;
    let mut folders: Vec<Option<String>> = Vec::new();
    visit(path, &mut |name, _, _| {
        let folder = name
            .rsplit('/')
            .nth(1)
            .filter(|folder| !folder.is_empty() && *folder != ".");
        folders.push(folder.map(String::from));
        Ok(true)
    })?;
    if folders.is_empty() {
        return Err(Error::new(
            path,
            Problem::Empty("put .png, .jpg or .bmp images into class folders"),
        ));
    }
    if folders.iter().any(Option::is_none) && folders.iter().any(Option::is_some) {
        let message =
            "there are images beside class folders; move each into the folder of its class".into();
        return Err(Error::new(path, Problem::Labels(message)));
    }
    let classes: BTreeSet<String> = folders.iter().flatten().cloned().collect();
    let classes: Vec<String> = classes.into_iter().collect();
    let labels = folders
        .iter()
        .map(|folder| {
            folder
                .as_ref()
                .and_then(|folder| classes.binary_search(folder).ok())
        })
        .collect();
    Ok(Archive {
        path: path.to_path_buf(),
        labels,
        classes,
        sizes,
        channels_first: expected.channels_first,
    })
}

impl Archive {
    /// Sends the wanted images, still packed, in order.
    fn send(&self, wanted: Wanted, sender: &std::sync::mpsc::SyncSender<Result<Packed, Error>>) {
        let (mut index, mut next) = (0, 0);
        let outcome = visit(&self.path, &mut |name, content, size| {
            if wanted.get(next) == Some(index) {
                if size > IMAGE_BYTES_MAX {
                    return Err(Error::corrupt(
                        &self.path,
                        format!("'{name}' has {size} bytes"),
                    ));
                }
                let mut bytes = Vec::new();
                content
                    .take(size)
                    .read_to_end(&mut bytes)
                    .map_err(|error| Error::corrupt(&self.path, error))?;
                next += 1;
                if sender.send(Ok(Packed { index, name, bytes })).is_err() {
                    return Ok(false);
                }
            }
            index += 1;
            Ok(wanted.get(next).is_some())
        });
        if let Err(error) = outcome {
            // The receiver may be gone already.
            let _ = sender.send(Err(error));
        }
    }
}

/// An image as it is in the archive.
struct Packed {
    index: usize,
    name: String,
    bytes: Vec<u8>,
}

impl Reader for Archive {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn read(&self, wanted: Wanted) -> Result<Samples<'_>, Error> {
        // Entries borrow the archive, so a thread reads it, a few images ahead.
        let (sender, receiver) = std::sync::mpsc::sync_channel(16);
        let own = Archive {
            path: self.path.clone(),
            labels: Vec::new(),
            classes: Vec::new(),
            ..*self
        };
        std::thread::spawn(move || own.send(wanted, &sender));
        Ok(Box::new(receiver.into_iter().map(|packed| {
            let Packed { index, name, bytes } = packed?;
            let values =
                picture::values(&self.path, &name, &bytes, self.sizes, self.channels_first)?;
            Ok(Sample {
                values,
                label: self.labels.get(index).copied().flatten(),
                name,
            })
        })))
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }

    fn class_names(&self) -> &[String] {
        &self.classes
    }
}

#[cfg(test)]
mod tests {
    use super::super::picture::tests::png;
    use crate::{Expected, Options, Sample, Source};

    fn packed(names: &[&str]) -> Vec<u8> {
        let file = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut builder = tar::Builder::new(file);
        for (index, name) in names.iter().enumerate() {
            let image = png(2, 1 + index as u32);
            let mut header = tar::Header::new_gnu();
            header.set_size(image.len() as u64);
            header.set_mode(0o644);
            builder
                .append_data(&mut header, name, image.as_slice())
                .unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn folders_in_archives_are_classes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tar.gz");
        let bytes = packed(&[
            "test/dog/0.png",
            "test/cat/0.png",
            "test/cat/._1.png",
            "test/cat/1.png",
            "test/notes.txt",
        ]);
        std::fs::write(&path, &bytes).unwrap();
        let expected = [Expected {
            name: "x".into(),
            shape: vec![1, 2, 3],
            channels_first: false,
            channel: None,
        }];
        let source = Source::open(
            &path,
            &expected,
            &Options {
                limit: Some(2),
                ..Options::default()
            },
        )
        .unwrap();
        assert_eq!(source.class_names(), ["cat", "dog"]);
        let samples: Vec<Sample> = source.samples().unwrap().map(Result::unwrap).collect();
        assert_eq!(
            (samples[0].name.as_str(), samples[0].label),
            ("test/dog/0.png", Some(1))
        );
        assert_eq!(
            (samples[1].name.as_str(), samples[1].label),
            ("test/cat/0.png", Some(0))
        );
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let error = Source::open(&path, &expected, &Options::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains("truncated or corrupt"), "{error}");
    }
}
