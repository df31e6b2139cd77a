//! `modelopt explain`: what a code means and what helps.

use crate::failure::Failure;
use crate::say::say;
use serde_json::{Value, json};

/// What a code of a message means.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  modelopt explain M4")]
pub(crate) struct Arguments {
    /// A code such as M4, an exit code such as 2, or nothing for the list
    code: Option<String>,
}

/// A code, what it means, what helps.
const ENTRIES: [(&str, &str, &str); 17] = [
    ("0", "The command did what it was asked.", ""),
    (
        "1",
        "A gate did not hold: a metric is missing or out of its bounds.",
        "The table of gates names the metric, its value and its bound.",
    ),
    (
        "2",
        "What was asked is not possible with these options, this model or this data.",
        "The message names the option, node or sample, and the remedy.",
    ),
    (
        "3",
        "A file or a device cannot be read, written or reached.",
        "The message names it and what is missing.",
    ),
    (
        "4",
        "A mistake in modelopt.",
        "Keep the message and the files that led to it, and report both.",
    ),
    (
        "M1",
        "The file does not start with MOPT, so it is no compact model.",
        "Make one with `modelopt quantize` or `modelopt optimize`.",
    ),
    (
        "M2",
        "The file's format version is newer than this reader.",
        "Update modelopt, the firmware or the npm package that reads it.",
    ),
    (
        "M3",
        "The file is shorter or longer than its header says.",
        "It was cut off on its way: copy or send it again.",
    ),
    (
        "M4",
        "The checksum does not match: a byte has changed.",
        "Copy the file again; on a device, check the flash and the link.",
    ),
    (
        "M5",
        "The model does not start at an address that is a multiple of 16.",
        "Align the array or the flash section that holds it to 16 bytes.",
    ),
    (
        "M6",
        "A tensor record is malformed or lies outside its region.",
        "The file is damaged or was not written by modelopt: make it again.",
    ),
    (
        "M7",
        "A node record is malformed.",
        "The file is damaged or was not written by modelopt: make it again.",
    ),
    (
        "M8",
        "The program that runs the model does not contain one of its operators.",
        "Build the image with the operator's feature, or with the default features.",
    ),
    (
        "M9",
        "A node's operands do not fit its operator.",
        "The file is damaged or was not written by modelopt: make it again.",
    ),
    (
        "M10",
        "The memory handed over is smaller than the model needs.",
        "`modelopt inspect FILE` prints the RAM needed; enlarge the arena, or take a smaller model.",
    ),
    (
        "M11",
        "The signature or the manifest cannot be read.",
        "The file is damaged: make it again.",
    ),
    (
        "M12",
        "An input or output was asked for by an index, type or size that it does not have.",
        "`modelopt inspect FILE` prints the signature.",
    ),
];

pub(crate) fn run(arguments: &Arguments, json: bool) -> Result<(), Failure> {
    let wanted = arguments.code.as_deref().map(str::to_uppercase);
    let fits = |code: &str| wanted.as_deref().is_none_or(|wanted| wanted == code);
    let found: Vec<_> = ENTRIES.iter().filter(|(code, ..)| fits(code)).collect();
    if found.is_empty() {
        let code = wanted.unwrap_or_default();
        let message = format!("there is no code '{code}'; `modelopt explain` lists them");
        return Err(Failure::usage(message));
    }
    if json {
        let entry = |(code, meaning, remedy): &(&str, &str, &str)| json!({ "code": code, "meaning": meaning, "remedy": remedy });
        let entries: Vec<Value> = found.into_iter().map(entry).collect();
        say!("{}", Value::from(entries));
        return Ok(());
    }
    for (code, meaning, remedy) in found {
        say!("{code:4} {meaning} {remedy}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::ENTRIES;

    /// Every reason of the format has its entry.
    #[test]
    fn every_reason_is_explained() {
        for code in 1..=format::Reason::Port as u16 {
            assert!(
                ENTRIES.iter().any(|(name, ..)| *name == format!("M{code}")),
                "M{code}"
            );
        }
    }
}
