//! Tensor data in files beside the model.

use rten_onnx::onnx::StringStringEntryProto;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

/// Where external data may be read from.
pub(super) struct External<'a> {
    folder: Option<&'a Path>,
}

impl<'a> External<'a> {
    /// The model's own folder.
    pub(super) fn beside(model: &'a Path) -> Self {
        let folder = model.parent().map(|parent| {
            if parent.as_os_str().is_empty() {
                Path::new(".")
            } else {
                parent
            }
        });
        External { folder }
    }

    /// Nowhere: the model is bytes.
    pub(super) fn none() -> Self {
        External { folder: None }
    }

    /// The `needed` bytes of a tensor.
    pub(super) fn read(
        &self,
        entries: &[StringStringEntryProto],
        needed: u64,
    ) -> Result<Vec<u8>, String> {
        let entry = |key: &str| {
            let found = entries
                .iter()
                .find(|entry| entry.key.as_deref() == Some(key));
            found.and_then(|entry| entry.value.as_deref())
        };
        let number = |key: &str| match entry(key) {
            None => Ok(None),
            Some(text) => text
                .parse::<u64>()
                .map(Some)
                .map_err(|e| format!("{key} '{text}': {e}")),
        };
        let location = entry("location").ok_or("names no file for its external data")?;
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        if let Some(length) = length.filter(|&length| length != needed) {
            return Err(format!(
                "has {length} external bytes where its shape needs {needed}"
            ));
        }
        let path = self.path(location)?;
        let read = || -> std::io::Result<Result<Vec<u8>, String>> {
            let mut file = File::open(&path)?;
            let size = file.metadata()?.len();
            if offset.checked_add(needed).is_none_or(|end| end > size) {
                let range = format!("{needed} bytes at {offset} of '{location}'");
                return Ok(Err(format!(
                    "needs {range}, which has {size}; is it truncated?"
                )));
            }
            file.seek(SeekFrom::Start(offset))?;
            let mut bytes = Vec::new();
            file.take(needed).read_to_end(&mut bytes)?;
            Ok(Ok(bytes))
        };
        read().map_err(|e| format!("external data '{location}': {e}; put it beside the model"))?
    }

    /// The file at `location`, which must lie in the model's folder even through links.
    fn path(&self, location: &str) -> Result<PathBuf, String> {
        let folder = self
            .folder
            .ok_or("keeps its data in another file; import by path")?;
        let relative = Path::new(location);
        let outside = || format!("external data '{location}' is outside the model's folder");
        if !relative
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        {
            return Err(outside());
        }
        let path = folder.join(relative);
        let resolve = |path: &Path| {
            let shown = location;
            path.canonicalize()
                .map_err(|e| format!("external data '{shown}': {e}; put it beside the model"))
        };
        let (root, target) = (resolve(folder)?, resolve(&path)?);
        if target.starts_with(root) {
            Ok(target)
        } else {
            Err(outside())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(pairs: &[(&str, &str)]) -> Vec<StringStringEntryProto> {
        let text = |s: &str| Some(s.to_owned());
        pairs
            .iter()
            .map(|(key, value)| StringStringEntryProto {
                key: text(key),
                value: text(value),
            })
            .collect()
    }

    #[test]
    fn only_files_beside_the_model_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("model.onnx");
        std::fs::write(folder.path().join("weights.bin"), [1, 2, 3, 4, 5, 6]).unwrap();
        let external = External::beside(&model);
        let read = |pairs: &[(&str, &str)]| external.read(&entries(pairs), 4);

        let data = [
            ("location", "weights.bin"),
            ("offset", "2"),
            ("length", "4"),
        ];
        assert_eq!(read(&data), Ok(vec![3, 4, 5, 6]));
        let short = read(&[("location", "weights.bin"), ("offset", "3")]).unwrap_err();
        assert!(short.contains("which has 6"), "{short}");
        for location in ["../weights.bin", "/etc/passwd", "a/../../weights.bin"] {
            let refused = read(&[("location", location)]).unwrap_err();
            assert!(refused.contains("outside the model's folder"), "{refused}");
        }
        assert!(
            read(&[("location", "none.bin")])
                .unwrap_err()
                .contains("beside the model")
        );
        assert!(read(&[]).unwrap_err().contains("names no file"));
        assert!(
            External::none()
                .read(&entries(&data), 4)
                .unwrap_err()
                .contains("by path")
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_link_does_not_lead_outside() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::NamedTempFile::new().unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("link.bin")).unwrap();
        let model = folder.path().join("model.onnx");
        let refused = External::beside(&model)
            .read(&entries(&[("location", "link.bin")]), 0)
            .unwrap_err();
        assert!(refused.contains("outside"), "{refused}");
    }
}
