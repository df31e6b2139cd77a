//! Files and folders that commands write: never over an input, never by halves.

use crate::failure::Failure;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A file to be written. It is checked before any work is done.
#[derive(Debug)]
pub(crate) struct Output {
    path: PathBuf,
    /// The same, or what it is a link to.
    target: PathBuf,
}

impl Output {
    /// Refuses a path that is one of the inputs or in a folder of them, or that cannot be written.
    /// `option` is the one that names it.
    pub(crate) fn new(path: &Path, option: &str, inputs: &[&Path]) -> Result<Self, Failure> {
        if path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            let message = format!("is a folder; name a file with {option}");
            return Err(Failure::usage(message).of(path));
        }
        if inputs.iter().any(|input| is_within(path, input)) {
            let message = format!(
                "would be overwritten, but it is an input; name another file with {option}"
            );
            return Err(Failure::usage(message).of(path));
        }
        let target = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        if !is_stream(&target) {
            check_folder(path, folder(&target), option)?;
        }
        Ok(Output {
            path: path.to_path_buf(),
            target,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes beside the path, then renames: a reader sees the old file or the new one.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        let write = || -> std::io::Result<()> {
            if is_stream(&self.target) {
                return std::fs::write(&self.target, bytes);
            }
            let mut file = tempfile::Builder::new()
                .prefix(".modelopt-")
                .permissions(permissions())
                .tempfile_in(folder(&self.target))?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(&self.target)?;
            Ok(())
        };
        write().map_err(|error| Failure::file(&self.path, &error))
    }
}

/// Whether a path is of a pipe or a device, which take bytes and are not replaced by a file.
fn is_stream(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// A folder to be written, which is not there before.
#[derive(Debug)]
pub(crate) struct OutputFolder {
    path: PathBuf,
}

impl OutputFolder {
    /// Refuses a path where something is already, or whose own folder does not exist.
    pub(crate) fn new(path: &Path) -> Result<Self, Failure> {
        if path.symlink_metadata().is_ok() {
            let message = "exists already, and is left as it is; name another folder with -o";
            return Err(Failure::usage(message).of(path));
        }
        check_folder(path, folder(path), "-o")?;
        Ok(OutputFolder {
            path: path.to_path_buf(),
        })
    }

    /// Writes files, given by their paths in the folder, beside the path, then renames.
    pub(crate) fn write(&self, files: &[(&Path, &[u8])]) -> Result<(), Failure> {
        let write = || -> std::io::Result<()> {
            let beside = tempfile::Builder::new()
                .prefix(".modelopt-")
                .permissions(folder_permissions())
                .tempdir_in(folder(&self.path))?;
            for (path, bytes) in files {
                let path = beside.path().join(path);
                std::fs::create_dir_all(folder(&path))?;
                std::fs::write(path, bytes)?;
            }
            // Renaming replaces nothing but an empty folder.
            std::fs::rename(beside.path(), &self.path)?;
            let _renamed = beside.keep();
            Ok(())
        };
        write().map_err(|error| Failure::file(&self.path, &error))
    }
}

/// Readable by all, as files made by other programs are; the umask still applies.
#[cfg(unix)]
fn permissions() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(0o666)
}

#[cfg(unix)]
fn folder_permissions() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(0o777)
}

fn check_folder(path: &Path, folder: &Path, option: &str) -> Result<(), Failure> {
    if !folder.is_dir() {
        let message = format!(
            "the folder {} does not exist; create it first",
            folder.display()
        );
        return Err(Failure::device(message).of(path));
    }
    // A file without a name tells whether there can be one.
    let tried = tempfile::tempfile_in(folder);
    tried.map(|_| ()).map_err(|error| {
        let (folder, reason) = (folder.display(), error.kind());
        let message = format!(
            "the folder {folder} cannot be written to: {reason}; name another place with {option}"
        );
        Failure::device(message).of(path)
    })
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Whether a path is an input, or an existing file in a folder that is one.
fn is_within(path: &Path, input: &Path) -> bool {
    match (path.canonicalize(), input.canonicalize()) {
        (Ok(path), Ok(input)) => path.starts_with(input),
        _ => path == input,
    }
}

/// `model.onnx` as `model.mopt`, in the folder where the command runs.
pub(crate) fn default_path(model: &Path, ending: &str) -> PathBuf {
    let stem = model.file_stem().unwrap_or(model.as_os_str());
    PathBuf::from(stem).with_extension(ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("model.onnx");
        std::fs::write(&input, b"model").unwrap();
        let detour = folder.path().join(".").join("model.onnx");
        let failure = Output::new(&detour, "-o", &[&input]).unwrap_err();
        assert!(
            failure.message.contains("it is an input"),
            "{}",
            failure.message
        );
        let other = Output::new(&folder.path().join("model.mopt"), "-o", &[&input]).unwrap();
        other.write(b"new").unwrap();
        assert_eq!(std::fs::read(other.path()).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        let within = Output::new(&input, "--report", &[folder.path()]).unwrap_err();
        assert!(within.message.ends_with("name another file with --report"));
        assert!(Output::new(&folder.path().join("new"), "-o", &[folder.path()]).is_ok());
    }

    #[test]
    fn a_link_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link] = ["v2.mopt", "latest.mopt"].map(|name| folder.path().join(name));
        std::fs::write(&file, b"old").unwrap();
        std::os::unix::fs::symlink("v2.mopt", &link).unwrap();
        let output = Output::new(&link, "-o", &[]).unwrap();
        output.write(b"new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(file).unwrap(), b"new");
    }

    #[test]
    fn a_missing_folder_is_named() {
        let failure = Output::new(Path::new("no/such/folder/x.mopt"), "-o", &[]).unwrap_err();
        assert!(
            failure.message.contains("no/such/folder does not exist"),
            "{}",
            failure.message
        );
    }

    #[test]
    fn the_default_is_in_the_current_folder() {
        assert_eq!(
            default_path(Path::new("a/b.onnx"), "mopt"),
            Path::new("b.mopt")
        );
    }
}
