//! What can go wrong between the host and a device.

use evaluate::PredictError;
use std::fmt;
use std::path::PathBuf;
use wire::{FrameError, Refusal};

/// Why a device cannot be used. Its text is [`Error::what`] and [`Error::remedy`].
#[derive(Debug)]
pub enum Error {
    /// There is no such board or kind of link.
    Unknown {
        /// What was asked for.
        spec: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The emulator is not installed.
    NoEmulator {
        /// The program.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// The board's image has not been built.
    NoImage {
        /// The board.
        board: String,
        /// Where images are looked for.
        searched: Vec<PathBuf>,
        /// What builds it.
        command: String,
    },
    /// The image is no image.
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The operating system refused something.
    System {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A board's description is wrong.
    Description(String),
    /// The model is larger than the board's memory for models.
    ModelTooLarge {
        /// The model's length.
        bytes: usize,
        /// The board.
        board: String,
        /// The room in bytes.
        room: usize,
    },
    /// The host itself refuses the model.
    Model(format::Error),
    /// The values for an input do not fit it.
    Input {
        /// The input's name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// No answer came in time.
    Timeout {
        /// The device.
        device: String,
        /// What was asked.
        request: &'static str,
        /// The limit.
        seconds: u64,
    },
    /// The program on the device ended, or the link closed.
    Stopped {
        /// The device.
        device: String,
        /// What it said last; empty when it said nothing.
        said: String,
    },
    /// What arrived is no reply, or what is to be sent fits no frame.
    Frame {
        /// The device.
        device: String,
        /// What is wrong.
        reason: FrameError,
    },
    /// The reply is not one that the request has.
    Unexpected {
        /// The device.
        device: String,
        /// What was asked.
        request: &'static str,
    },
    /// The firmware speaks another version of the protocol.
    Version {
        /// The device.
        device: String,
        /// The firmware's version.
        theirs: u16,
        /// This program's version.
        ours: u16,
    },
    /// The device refused the request.
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

    /// What is wrong, and where.
    pub fn what(&self) -> String {
        match self {
            Error::Unknown { spec, .. } => format!("there is no device '{spec}'"),
            Error::NoEmulator { program, .. } => format!("{program} is not installed"),
            Error::NoImage {
                board, searched, ..
            } => {
                let paths: Vec<String> = searched
                    .iter()
                    .map(|path| path.display().to_string())
                    .collect();
                let paths = paths.join(", ");
                format!("there is no firmware image for {board} (looked for {paths})")
            }
            Error::Image { path, reason } => {
                format!("{} is no firmware image: {reason}", path.display())
            }
            Error::System { what, source } => format!("cannot {what}: {source}"),
            Error::Description(reason) => format!("the description of a board is wrong: {reason}"),
            Error::ModelTooLarge { bytes, board, room } => {
                format!("the model has {bytes} bytes, but {board} has room for {room}")
            }
            Error::Model(error) => error.to_string(),
            Error::Input { name, reason } => format!("input '{name}' {reason}"),
            Error::Timeout {
                device,
                request,
                seconds,
            } => format!("{device} has not answered to {request} within {seconds} s"),
            Error::Stopped { device, said } if said.is_empty() => format!("{device} has stopped"),
            Error::Stopped { device, said } => format!("{device} has stopped: {said}"),
            Error::Frame { device, reason } => {
                format!("the link to {device} is out of step: {reason}")
            }
            Error::Unexpected { device, request } => {
                format!("{device} gave an unexpected answer to {request}")
            }
            Error::Version {
                device,
                theirs,
                ours,
            } => format!(
                "the firmware of {device} speaks version {theirs} of the protocol, this program \
                 version {ours}"
            ),
            Error::Refused {
                device,
                request,
                reason,
            } => format!("{device} refused {request}: {reason}"),
        }
    }

    /// What helps.
    pub fn remedy(&self) -> String {
        match self {
            Error::Unknown { known, .. } => format!("devices are {}", known.join(", ")),
            Error::NoEmulator { package, .. } => {
                format!("install it with `apt-get install {package}`")
            }
            Error::NoImage { command, .. } => {
                format!("build it with `{command}`, or name its folder in MODELOPT_FIRMWARE")
            }
            Error::System { .. } => "see that there is room and permission for it".into(),
            Error::ModelTooLarge { .. } => "take a smaller model or another board".into(),
            Error::Model(error) => format!("`modelopt explain M{}` tells more", error.code()),
            Error::Input { .. } => "pass as many values as its shape has".into(),
            Error::Timeout { .. } => "take a smaller model, or a faster machine".into(),
            Error::Image { .. }
            | Error::Description(_)
            | Error::Stopped { .. }
            | Error::Frame { .. }
            | Error::Unexpected { .. }
            | Error::Version { .. } => "build the firmware of this version again".into(),
            Error::Refused { reason, .. } => refusal_remedy(*reason),
        }
    }
}

fn refusal_remedy(reason: Refusal) -> String {
    match (reason, reason.model_error()) {
        (_, Some(error)) => format!("`modelopt explain M{}` tells more", error.code()),
        (Refusal::TooLarge { .. }, _) => "take a smaller model or another board".into(),
        (Refusal::ReadOnly, _) => "flash the model together with the firmware".into(),
        (Refusal::NoModel | Refusal::OutOfOrder, _) => "load the model again".into(),
        _ => "build the firmware of this version again".into(),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what(), self.remedy())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::System { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<format::Error> for Error {
    fn from(error: format::Error) -> Self {
        Error::Model(error)
    }
}

impl From<Error> for PredictError {
    fn from(error: Error) -> Self {
        PredictError {
            what: error.what(),
            remedy: error.remedy(),
        }
    }
}
