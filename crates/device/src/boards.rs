//! The boards that there is firmware for, from their descriptions, which the firmware's own
//! addresses come from too.

use crate::Error;
use crate::place::unknown;
use serde::Deserialize;

/// The descriptions, as `firmware/boards` has them. A new board is a line here.
const DESCRIPTIONS: &[(&str, &str)] = &[
    (
        "microbit",
        include_str!("../../../firmware/boards/microbit.toml"),
    ),
    (
        "mps2-an385",
        include_str!("../../../firmware/boards/mps2-an385.toml"),
    ),
    (
        "mps2-an386",
        include_str!("../../../firmware/boards/mps2-an386.toml"),
    ),
    (
        "mps2-an500",
        include_str!("../../../firmware/boards/mps2-an500.toml"),
    ),
    (
        "mps2-an505",
        include_str!("../../../firmware/boards/mps2-an505.toml"),
    ),
    (
        "mps3-an547",
        include_str!("../../../firmware/boards/mps3-an547.toml"),
    ),
];

/// A board that there is firmware for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    /// Its name, such as `mps2-an386`: also that of its image.
    pub name: String,
    /// What it is.
    pub description: String,
    /// Its processor, such as `Cortex-M4`.
    pub processor: String,
    /// The Rust target of its image.
    pub target: String,
    /// The frequency in Hz of the counter that measures runs.
    pub clock_hz: u32,
    /// The RAM, in bytes, for variables, arena and stack.
    pub ram_bytes: usize,
    /// The address of the memory for a model.
    pub model_address: u32,
    /// The size of that memory in bytes.
    pub model_bytes: usize,
    /// The name of the machine by which QEMU emulates it.
    pub machine: String,
}

impl Board {
    /// The command that builds its image, for the repository's root.
    pub fn build_command(&self) -> String {
        format!(
            "cd firmware && cargo build --release --package modelopt-firmware-{} --target {}",
            self.name, self.target
        )
    }
}

#[derive(Deserialize)]
struct Description {
    description: String,
    processor: String,
    target: String,
    ram: Ram,
    model: Model,
    counter: Counter,
    qemu: Emulation,
}

#[derive(Deserialize)]
struct Ram {
    bytes: usize,
}

#[derive(Deserialize)]
struct Model {
    address: u32,
    bytes: usize,
}

#[derive(Deserialize)]
struct Counter {
    clock_hz: u32,
}

#[derive(Deserialize)]
struct Emulation {
    machine: String,
}

fn parse(name: &str, text: &str) -> Result<Board, Error> {
    let parsed: Description =
        toml::from_str(text).map_err(|error| Error::Description(format!("{name}: {error}")))?;
    Ok(Board {
        name: name.to_owned(),
        description: parsed.description,
        processor: parsed.processor,
        target: parsed.target,
        clock_hz: parsed.counter.clock_hz,
        ram_bytes: parsed.ram.bytes,
        model_address: parsed.model.address,
        model_bytes: parsed.model.bytes,
        machine: parsed.qemu.machine,
    })
}

/// Every board, sorted by name.
pub fn boards() -> Result<Vec<Board>, Error> {
    DESCRIPTIONS
        .iter()
        .map(|(name, text)| parse(name, text))
        .collect()
}

/// The board of a device such as `qemu:mps2-an386`, or `qemu:an386` for short.
pub fn find(spec: &str) -> Result<Board, Error> {
    let Some(name) = spec.strip_prefix("qemu:") else {
        return Err(unknown(spec)?);
    };
    let is_named = |board: &Board| {
        let short = board.name.split_once('-').map(|(_, short)| short);
        board.name == name || short == Some(name)
    };
    match boards()?.into_iter().find(is_named) {
        Some(board) => Ok(board),
        None => Err(unknown(spec)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_description_is_read() {
        let boards = boards().unwrap();
        assert_eq!(boards.len(), DESCRIPTIONS.len());
        assert!(boards.iter().all(|board| board.clock_hz > 0));
        assert!(boards.is_sorted_by(|a, b| a.name < b.name));
    }

    #[test]
    fn boards_go_by_their_names_and_short_names() {
        assert_eq!(find("qemu:mps2-an386").unwrap().processor, "Cortex-M4");
        assert_eq!(find("qemu:an547").unwrap().name, "mps3-an547");
        for unknown in ["", "qemu:", "mps2-an386", "qemu:mps2", "serial:an386"] {
            let error = find(unknown).unwrap_err().to_string();
            assert!(error.contains("qemu:mps2-an386"), "{error}");
        }
    }

    #[test]
    fn a_wrong_description_names_the_board() {
        let error = parse("mine", "description = 1").unwrap_err().to_string();
        assert!(error.contains("mine"), "{error}");
    }
}
