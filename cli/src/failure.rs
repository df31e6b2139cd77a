//! How a command ends when it does not succeed: an exit code and a message.

use serde_json::{Value, json};
use std::fmt::Display;
use std::path::Path;

/// The documented exit codes besides 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// A gate of the evaluation did not hold.
    NotPassed = 1,
    /// What was asked for is not possible with these options, this model or this data.
    Usage = 2,
    /// A file or a device cannot be read, written or reached.
    Device = 3,
    /// A mistake in this program.
    Internal = 4,
}

/// A message for the user, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    /// One line, though names in it may hold ends of lines: these are escaped when it is printed.
    pub(crate) message: String,
    /// Further lines, each about one of several nodes.
    pub(crate) details: Vec<String>,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Display) -> Self {
        Failure {
            code,
            message: message.to_string(),
            details: Vec::new(),
        }
    }

    pub(crate) fn usage(message: impl Display) -> Self {
        Failure::new(Code::Usage, message)
    }

    pub(crate) fn device(message: impl Display) -> Self {
        Failure::new(Code::Device, message)
    }

    pub(crate) fn internal(message: impl Display) -> Self {
        Failure::new(Code::Internal, message)
    }

    /// The same with a line about each of several nodes.
    pub(crate) fn with(self, details: Vec<String>) -> Self {
        Failure { details, ..self }
    }

    /// A file that cannot be read or written.
    pub(crate) fn file(path: &Path, error: &std::io::Error) -> Self {
        Failure::device(format!("{}: {error}", path.display()))
    }

    /// What programs read of it.
    pub(crate) fn as_json(&self) -> Value {
        let details = self.details.iter().map(|line| format!("\n  {line}"));
        let message = self.message.clone() + &details.collect::<String>();
        json!({ "error": { "code": self.code as u8, "message": message } })
    }

    /// The same failure of a file that the message does not name.
    pub(crate) fn of(self, path: &Path) -> Self {
        let message = format!("{}: {}", path.display(), self.message);
        Failure { message, ..self }
    }
}

impl From<import::Error> for Failure {
    fn from(error: import::Error) -> Self {
        let code = match error.problem {
            import::Problem::Read(_) => Code::Device,
            import::Problem::Graph(_) => Code::Internal,
            _ => Code::Usage,
        };
        let import::Problem::Unsupported(nodes) = &error.problem else {
            return Failure::new(code, error);
        };
        let lines: Vec<String> = nodes.iter().map(ToString::to_string).collect();
        match &lines[..] {
            [only] => Failure::new(code, format!("{}: {only}", error.file)),
            _ => {
                let (file, count) = (error.file, lines.len());
                let message = format!("{file}: {count} nodes cannot be imported:");
                Failure::new(code, message).with(lines)
            }
        }
    }
}

impl From<graph::Error> for Failure {
    fn from(error: graph::Error) -> Self {
        Failure::internal(error)
    }
}

impl From<compile::Error> for Failure {
    fn from(error: compile::Error) -> Self {
        let code = match error {
            compile::Error::Lower { .. }
            | compile::Error::TooLarge(_)
            | compile::Error::Library(_) => Code::Usage,
            compile::Error::Graph(_) | compile::Error::Refused(_) => Code::Internal,
        };
        Failure::new(code, error)
    }
}

impl From<optimize::quantize::Error> for Failure {
    fn from(error: optimize::quantize::Error) -> Self {
        use optimize::quantize::Error;
        match error {
            Error::Compile(error) => error.into(),
            Error::Inconsistent(_) | Error::Refused(_) => Failure::internal(error),
            _ => Failure::usage(error),
        }
    }
}
