//! Where things are in the checkout.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use cargo_metadata::{Metadata, MetadataCommand};

use crate::process;

/// The checkout that this binary was built from.
pub(crate) struct Workspace {
    /// Absolute path of the repository's root.
    pub(crate) root: PathBuf,
}

impl Workspace {
    /// Finds the repository two folders above this package.
    pub(crate) fn locate() -> Self {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = package.ancestors().nth(2).unwrap_or(package);
        Self {
            root: root.to_path_buf(),
        }
    }

    /// A command that runs in the repository's root.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }

    /// Paths, relative to the root and sorted, of all files that git tracks or would add.
    pub(crate) fn files(&self) -> Result<Vec<String>> {
        let mut git = self.command("git");
        git.args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]);
        let listing = process::capture(&mut git)?;
        let mut files: Vec<String> = listing
            .split('\0')
            .filter(|path| !path.is_empty() && self.root.join(path).is_file())
            .map(str::to_owned)
            .collect();
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// Folders, relative to the root, that hold a file of this name.
    pub(crate) fn folders_with(&self, file_name: &str) -> Result<Vec<PathBuf>> {
        let files = self.files()?;
        let matching = files
            .iter()
            .map(Path::new)
            .filter(|path| path.ends_with(file_name));
        Ok(matching
            .filter_map(Path::parent)
            .map(Path::to_path_buf)
            .collect())
    }

    /// Folders, relative to the root, of the Node packages that are developed here. Rivals are
    /// none of them: the benchmarks install those, apart.
    pub(crate) fn node_packages(&self) -> Result<Vec<PathBuf>> {
        let mut folders = self.folders_with("package-lock.json")?;
        folders.retain(|folder| !folder.starts_with("benches"));
        Ok(folders)
    }

    /// The folders of the Cargo workspaces: the root's, and those of its own that it excludes.
    pub(crate) fn cargo_workspaces(&self) -> Vec<PathBuf> {
        let candidates = [
            self.root.clone(),
            self.root.join("firmware"),
            self.root.join("firmware/one-model"),
            self.root.join("fuzz"),
        ];
        candidates
            .into_iter()
            .filter(|folder| folder.join("Cargo.toml").is_file())
            .collect()
    }

    /// Cargo's description of the workspace in `folder`, which must agree with its lock file.
    pub(crate) fn metadata(&self, folder: &Path) -> Result<Metadata> {
        MetadataCommand::new()
            .current_dir(folder)
            .other_options(vec!["--locked".to_owned()])
            .exec()
            .with_context(|| format!("{}: cargo metadata --locked failed", folder.display()))
    }
}
