//! What can go wrong between the host and a device.

use std::path::PathBuf;
use wire::{FrameError, Refusal};

/// Why a device cannot be used. Every text says what to do where something can be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such board or kind of link.
    #[error("there is no device '{spec}'; devices are {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        spec: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The emulator is not installed.
    #[error("{program} is not installed; install it with `apt-get install {package}`")]
    NoEmulator {
        /// The program.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// The board's image has not been built.
    #[error(
        "there is no firmware image for {board} (looked for {}); build it with `{command}`, or \
         name the folder of images in MODELOPT_FIRMWARE",
        searched.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    NoImage {
        /// The board.
        board: String,
        /// Where images are looked for.
        searched: Vec<PathBuf>,
        /// What builds it.
        command: String,
    },
    /// The image is no image.
    #[error("{path} is no firmware image: {reason}; build it again")]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The operating system refused something.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A board's description is wrong.
    #[error("the description of a board is wrong: {0}")]
    Description(String),
    /// The model is larger than the board's memory for models.
    #[error("the model has {bytes} bytes, but {board} has room for {room}")]
    ModelTooLarge {
        /// The model's length.
        bytes: usize,
        /// The board.
        board: String,
        /// The room in bytes.
        room: usize,
    },
    /// No answer came in time.
    #[error("{device} has not answered to {request} within {seconds} s")]
    Timeout {
        /// The device.
        device: String,
        /// What was asked.
        request: &'static str,
        /// The limit.
        seconds: u64,
    },
    /// The program on the device ended, or the link closed.
    #[error("{device} has stopped{}", if said.is_empty() { String::new() } else { format!(": {said}") })]
    Stopped {
        /// The device.
        device: String,
        /// What it said last.
        said: String,
    },
    /// What arrived is no reply, or what is to be sent fits no frame.
    #[error("the link to {device} is out of step: {reason}; is its firmware of this version?")]
    Frame {
        /// The device.
        device: String,
        /// What is wrong.
        reason: FrameError,
    },
    /// The reply is not one that the request has.
    #[error("{device} gave an unexpected answer to {request}; is its firmware of this version?")]
    Unexpected {
        /// The device.
        device: String,
        /// What was asked.
        request: &'static str,
    },
    /// The firmware speaks another version of the protocol.
    #[error(
        "the firmware of {device} speaks version {theirs} of the protocol and this program \
         version {ours}; build the firmware again"
    )]
    Version {
        /// The device.
        device: String,
        /// The firmware's version.
        theirs: u16,
        /// This program's version.
        ours: u16,
    },
    /// The device refused the request.
    #[error("{device} refused {request}: {reason}")]
    Refused {
        /// The device.
        device: String,
        /// What was asked.
        request: &'static str,
        /// Why.
        reason: Refusal,
    },
}

impl Error {
    /// Names what was tried when the operating system refused it.
    pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
        let what = what.into();
        move |source| Error::System { what, source }
    }
}
