//! `cargo xtask sizes`: what firmware images and WebAssembly modules are made of.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use object::{Architecture, Object, ObjectSection, SectionKind};

use crate::cross::{TARGETS, WASM_TARGET};
use crate::one_model;
use crate::workspace::Workspace;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Files to measure [default: the images and modules that were built in this checkout]
    files: Vec<PathBuf>,
    /// Build images of one model each, for the real models beside the repository, and measure
    /// those against the limits
    #[arg(long, conflicts_with = "files")]
    models: bool,
}

/// Bytes of one image by kind of section.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Instructions.
    code_bytes: u64,
    /// Constants that stay in flash.
    constant_bytes: u64,
    /// Initialized variables: flash and RAM.
    data_bytes: u64,
    /// Variables that start as zero: RAM only.
    zeroed_bytes: u64,
}

impl Sizes {
    pub(crate) fn flash_bytes(&self) -> u64 {
        self.code_bytes + self.constant_bytes + self.data_bytes
    }

    pub(crate) fn ram_bytes(&self) -> u64 {
        self.data_bytes + self.zeroed_bytes
    }
}

/// Prints one line per file.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    if arguments.models {
        return one_model::run(workspace);
    }
    let files = if arguments.files.is_empty() {
        built_images(workspace)?
    } else {
        arguments.files.clone()
    };
    if files.is_empty() {
        bail!("no firmware image or WebAssembly module has been built yet; name the files");
    }
    println!(
        "{:>9} {:>9} {:>9} {:>9} {:>9} {:>9}  file",
        "code", "constants", "data", "zeroed", "flash", "RAM"
    );
    for path in files {
        let content = fs::read(&path).with_context(|| path.display().to_string())?;
        let sizes = measure(&content).with_context(|| path.display().to_string())?;
        let shown = path.strip_prefix(&workspace.root).unwrap_or(&path);
        println!(
            "{:>9} {:>9} {:>9} {:>9} {:>9} {:>9}  {}",
            sizes.code_bytes,
            sizes.constant_bytes,
            sizes.data_bytes,
            sizes.zeroed_bytes,
            sizes.flash_bytes(),
            sizes.ram_bytes(),
            shown.display()
        );
    }
    Ok(())
}

/// Adds up the sections that are loaded; debug information and symbol tables are not.
pub(crate) fn measure(content: &[u8]) -> Result<Sizes> {
    let file = object::File::parse(content)?;
    if file.architecture() == Architecture::Wasm32 {
        return measure_module(&file);
    }
    let mut sizes = Sizes::default();
    for section in file.sections() {
        match section.kind() {
            SectionKind::Text => sizes.code_bytes += section.size(),
            SectionKind::ReadOnlyData | SectionKind::ReadOnlyString => {
                sizes.constant_bytes += section.size();
            }
            SectionKind::Data => sizes.data_bytes += section.size(),
            SectionKind::UninitializedData => sizes.zeroed_bytes += section.size(),
            _ => {}
        }
    }
    Ok(sizes)
}

/// A module's constants and variables are one section, which is initialized memory.
fn measure_module(file: &object::File<'_>) -> Result<Sizes> {
    let mut sizes = Sizes::default();
    for section in file.sections() {
        match section.name()? {
            "<code>" => sizes.code_bytes += section.size(),
            "<data>" => sizes.data_bytes += section.size(),
            _ => {}
        }
    }
    Ok(sizes)
}

/// Linked images and modules in the release folders of every target, sorted.
fn built_images(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let mut images = Vec::new();
    for folder in workspace.cargo_workspaces() {
        let target_folder = workspace.metadata(&folder)?.target_directory;
        for target in TARGETS {
            let release = target_folder
                .join(target)
                .join("release")
                .into_std_path_buf();
            images.extend(images_in(&release, *target == WASM_TARGET)?);
        }
    }
    images.sort();
    images.dedup();
    Ok(images)
}

fn images_in(folder: &Path, is_wasm: bool) -> Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(Vec::new());
    };
    let mut images = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        let is_image = if is_wasm {
            extension == Some("wasm")
        } else {
            extension.is_none()
        };
        if is_image && path.is_file() && !path.ends_with(".cargo-lock") {
            images.push(path);
        }
    }
    Ok(images)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module with one function, `(func)`, whose body is two bytes, and three bytes of data.
    const MODULE: &[u8] = &[
        0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, // "\0asm", version 1
        0x01, 0x04, 0x01, 0x60, 0x00, 0x00, // one type: no parameters, no results
        0x03, 0x02, 0x01, 0x00, // one function of that type
        0x05, 0x03, 0x01, 0x00, 0x01, // one memory of one page
        0x0a, 0x04, 0x01, 0x02, 0x00, 0x0b, // code: one body of two bytes
        0x0b, 0x09, 0x01, 0x00, 0x41, 0x00, 0x0b, 0x03, b'a', b'b', b'c', // data at address 0
    ];

    #[test]
    fn a_module_is_measured_by_its_code_and_data_sections() -> Result<()> {
        let expected = Sizes {
            code_bytes: 4,
            data_bytes: 9,
            ..Sizes::default()
        };
        assert_eq!(measure(MODULE)?, expected);
        Ok(())
    }

    #[test]
    fn what_is_no_image_is_refused() {
        assert!(measure(b"no image at all").is_err());
    }

    #[test]
    fn flash_holds_variables_initial_values_and_ram_the_variables() {
        let sizes = Sizes {
            code_bytes: 1,
            constant_bytes: 2,
            data_bytes: 4,
            zeroed_bytes: 8,
        };
        assert_eq!((sizes.flash_bytes(), sizes.ram_bytes()), (7, 12));
    }
}
