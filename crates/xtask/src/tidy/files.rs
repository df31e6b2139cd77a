//! What the rules look at, and what they return.

use std::fmt;
use std::fs;

use anyhow::{Context, Result};

use crate::workspace::Workspace;

/// One file of the repository.
pub(super) struct SourceFile {
    /// Path from the repository's root, with `/` between its parts.
    pub(super) path: String,
    /// Size in bytes.
    pub(super) size_bytes: u64,
    /// Its content, unless that is not UTF-8.
    pub(super) text: Option<String>,
}

impl SourceFile {
    /// Whether the file's name ends in this extension, given without a dot.
    pub(super) fn has_extension(&self, extension: &str) -> bool {
        self.path
            .rsplit_once('.')
            .is_some_and(|(_, found)| found == extension)
    }

    /// The lines of a text file with their numbers, counted from 1; none of a binary file.
    pub(super) fn numbered_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .iter()
            .flat_map(|text| text.lines())
            .enumerate()
            .map(|(i, line)| (i + 1, line))
    }

    /// Something wrong at a line of this file.
    pub(super) fn finding(&self, line: usize, message: impl Into<String>) -> Finding {
        Finding {
            path: self.path.clone(),
            line,
            message: message.into(),
        }
    }
}

/// Something wrong, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// Path from the repository's root, or the name of a package.
    pub(super) path: String,
    /// Line, counted from 1; 0 for the whole file.
    pub(super) line: usize,
    /// What is wrong, and what to do.
    pub(super) message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            line,
            message,
        } = self;
        match line {
            0 => write!(formatter, "{path}: {message}"),
            _ => write!(formatter, "{path}:{line}: {message}"),
        }
    }
}

/// Reads every file that git tracks or would add.
pub(super) fn read(workspace: &Workspace) -> Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    for path in workspace.files()? {
        let content = fs::read(workspace.root.join(&path)).with_context(|| path.clone())?;
        let size_bytes = content.len() as u64;
        files.push(SourceFile {
            path,
            size_bytes,
            text: String::from_utf8(content).ok(),
        });
    }
    Ok(files)
}

/// A text file for the rules' own tests.
#[cfg(test)]
pub(super) fn sample(path: &str, text: &str) -> SourceFile {
    let size_bytes = text.len() as u64;
    SourceFile {
        path: path.to_owned(),
        size_bytes,
        text: Some(text.to_owned()),
    }
}
