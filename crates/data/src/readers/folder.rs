//! Images in a folder: class folders of them, or images alone.

use super::{Reader, Samples, is_image, picture};
use crate::error::{Error, Problem};
use crate::source::{Expected, Sample, Wanted};
use std::fs;
use std::path::{Path, PathBuf};

/// Images on the disk.
pub(crate) struct Folder {
    path: PathBuf,
    images: Vec<(PathBuf, Option<usize>)>,
    classes: Vec<String>,
    sizes: [usize; 3],
    channels_first: bool,
}

/// One image file.
pub(crate) fn single(path: &Path, expected: &Expected) -> Result<Folder, Error> {
    let sizes = picture::dimensions(path, expected)?;
    let images = vec![(path.to_path_buf(), None)];
    Ok(Folder {
        path: path.to_path_buf(),
        images,
        classes: Vec::new(),
        sizes,
        channels_first: expected.channels_first,
    })
}

/// Entries of a folder in alphabetical order: folders, and images.
fn entries(path: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), Error> {
    let (mut folders, mut images) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(path).map_err(|error| Error::new(path, error))? {
        let entry = entry.map_err(|error| Error::new(path, error))?.path();
        let name = entry
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.starts_with('.') {
            continue;
        }
        if entry.is_dir() {
            folders.push(entry);
        } else if is_image(&name) {
            images.push(entry);
        }
    }
    folders.sort();
    images.sort();
    Ok((folders, images))
}

/// Opens a folder of class folders, or of images.
pub(crate) fn open(path: &Path, expected: &Expected) -> Result<Folder, Error> {
    let (folders, alone) = entries(path)?;
    let sizes = picture::dimensions(path, expected)?;
    let mut images: Vec<(PathBuf, Option<usize>)> = Vec::new();
    let mut classes = Vec::new();
    if !folders.is_empty() && !alone.is_empty() {
        let message =
            "there are images beside class folders; move each into the folder of its class".into();
        return Err(Error::new(path, Problem::Labels(message)));
    }
    for (class, folder) in folders.iter().enumerate() {
        let (_, own) = entries(folder)?;
        if own.is_empty() {
            return Err(Error::new(
                folder,
                Problem::Empty("a class folder holds .png, .jpg or .bmp images; fill or remove it"),
            ));
        }
        images.extend(own.into_iter().map(|image| (image, Some(class))));
        classes.push(
            folder
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
        );
    }
    images.extend(alone.into_iter().map(|image| (image, None)));
    if images.is_empty() {
        return Err(Error::new(
            path,
            Problem::Empty("put .png, .jpg or .bmp images into class folders"),
        ));
    }
    Ok(Folder {
        path: path.to_path_buf(),
        images,
        classes,
        sizes,
        channels_first: expected.channels_first,
    })
}

impl Reader for Folder {
    fn len(&self) -> usize {
        self.images.len()
    }

    fn read(&self, wanted: Wanted) -> Result<Samples<'_>, Error> {
        let images = wanted.iter().filter_map(|index| self.images.get(index));
        Ok(Box::new(images.map(|(image, label)| {
            let bytes = fs::read(image).map_err(|error| Error::new(image, error))?;
            let name = image
                .strip_prefix(&self.path)
                .ok()
                .filter(|name| !name.as_os_str().is_empty());
            let name = name.unwrap_or(image).display().to_string();
            let values = picture::values(image, &name, &bytes, self.sizes, self.channels_first)?;
            Ok(Sample {
                values,
                label: *label,
                name,
            })
        })))
    }

    fn files(&self) -> Vec<PathBuf> {
        self.images.iter().map(|(path, _)| path.clone()).collect()
    }

    fn class_names(&self) -> &[String] {
        &self.classes
    }
}

#[cfg(test)]
mod tests {
    use super::super::picture::tests::png;
    use crate::{Expected, Options, Sample, Source};
    use std::fs;

    fn expected() -> [Expected; 1] {
        [Expected {
            name: "x".into(),
            shape: vec![2, 2, 3],
            channels_first: false,
            channel: None,
        }]
    }

    #[test]
    fn class_folders_count_in_alphabetical_order() {
        let folder = tempfile::tempdir().unwrap();
        for (class, count) in [("dog", 1), ("cat", 2)] {
            fs::create_dir(folder.path().join(class)).unwrap();
            for index in 0..count {
                fs::write(
                    folder.path().join(class).join(format!("{index}.png")),
                    png(2, 2),
                )
                .unwrap();
            }
        }
        fs::write(folder.path().join("cat/._0.png"), b"left behind").unwrap();
        let source = Source::open(folder.path(), &expected(), &Options::default()).unwrap();
        assert_eq!(source.class_names(), ["cat", "dog"]);
        let samples: Vec<Sample> = source.samples().unwrap().map(Result::unwrap).collect();
        let labels: Vec<Option<usize>> = samples.iter().map(|sample| sample.label).collect();
        assert_eq!(labels, [Some(0), Some(0), Some(1)]);
        assert!(samples[2].name.starts_with("dog"));
        fs::create_dir(folder.path().join("empty")).unwrap();
        let error = Source::open(folder.path(), &expected(), &Options::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("empty") && error.contains("fill or remove"),
            "{error}"
        );
    }

    #[test]
    fn empty_and_mixed_folders_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refused = || {
            Source::open(folder.path(), &expected(), &Options::default())
                .unwrap_err()
                .to_string()
        };
        assert!(refused().contains("there are no samples"));
        fs::create_dir(folder.path().join("cat")).unwrap();
        fs::write(folder.path().join("0.png"), png(2, 2)).unwrap();
        assert!(refused().contains("beside class folders"));
    }
}
