//! Where firmware images are, and how large their parts are.

use crate::{Board, Error};
use object::{Object, ObjectSection, SectionFlags, SectionKind, elf};
use std::path::{Path, PathBuf};

/// The folders in which images are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Images {
    folders: Vec<PathBuf>,
}

/// What an image takes of a board's memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageSizes {
    /// Instructions and constants, the initial values of variables among them: flash.
    pub code_bytes: u64,
    /// Variables, the buffers of the link among them, without arena and stack: RAM.
    pub variable_bytes: u64,
}

impl Images {
    /// One folder: of images themselves, or of `TARGET/release/BOARD` as Cargo builds them.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Images {
            folders: vec![folder.into()],
        }
    }

    /// The folder that MODELOPT_FIRMWARE names; otherwise where Cargo builds the images of this
    /// program's own source.
    pub fn locate() -> Self {
        if let Some(folder) = std::env::var_os("MODELOPT_FIRMWARE") {
            return Self::in_folder(folder);
        }
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware/target");
        let usual = source.components().fold(PathBuf::new(), |mut path, part| {
            if part == std::path::Component::ParentDir {
                path.pop();
            } else {
                path.push(part);
            }
            path
        });
        // Cargo puts every workspace's output where this says, if anything does.
        let elsewhere = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        Images {
            folders: elsewhere.into_iter().chain([usual]).collect(),
        }
    }

    /// The image of a board.
    pub fn find(&self, board: &Board) -> Result<PathBuf, Error> {
        let built = Path::new(&board.target).join("release").join(&board.name);
        let searched: Vec<PathBuf> = self
            .folders
            .iter()
            .flat_map(|folder| [folder.join(&built), folder.join(&board.name)])
            .collect();
        match searched.iter().find(|path| path.is_file()) {
            Some(path) => Ok(path.clone()),
            None => Err(Error::NoImage {
                board: board.name.clone(),
                command: board.build_command(),
                searched,
            }),
        }
    }
}

impl ImageSizes {
    /// Measures an image by the sections that are loaded.
    pub fn of(path: &Path) -> Result<Self, Error> {
        let what = format!("read {}", path.display());
        let bytes = std::fs::read(path).map_err(Error::system(what))?;
        let wrong = |error: object::Error| Error::Image {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let file = object::File::parse(bytes.as_slice()).map_err(wrong)?;
        let mut sizes = ImageSizes::default();
        for section in file.sections() {
            let SectionFlags::Elf { sh_flags, .. } = section.flags() else {
                continue;
            };
            if !sh_flags.contains(elf::SHF_ALLOC) {
                continue;
            }
            let is_zeroed = section.kind() == SectionKind::UninitializedData;
            if !is_zeroed {
                sizes.code_bytes += section.size();
            }
            if is_zeroed || section.kind() == SectionKind::Data {
                sizes.variable_bytes += section.size();
            }
        }
        Ok(sizes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_image_names_what_builds_it() {
        let board = crate::find("qemu:mps2-an386").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let images = Images::in_folder(folder.path());
        let error = images.find(&board).unwrap_err().to_string();
        assert!(
            error.contains("--package modelopt-firmware-mps2-an386 --target thumbv7em-none-eabihf"),
            "{error}"
        );
        std::fs::write(folder.path().join("mps2-an386"), "no image").unwrap();
        let path = images.find(&board).unwrap();
        assert!(matches!(ImageSizes::of(&path), Err(Error::Image { .. })));
    }
}
