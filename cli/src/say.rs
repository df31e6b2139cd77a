//! The standard streams. Whoever reads them may leave, as `head` does, and the disk that they go to may be
//! full: neither ends a command before its work is done.

use crate::failure::Failure;
use std::fmt::Arguments;
use std::io::{Error, ErrorKind, Write};
use std::sync::OnceLock;

/// Why the standard output takes no more.
static CLOSED: OnceLock<Error> = OnceLock::new();

/// Prints a line on the standard output, with the arguments of `println!`.
macro_rules! say {
    ($($text:tt)*) => { $crate::say::line(format_args!($($text)*)) };
}
pub(crate) use say;

/// A line on the standard output. What goes wrong is kept for [`finish`].
pub(crate) fn line(text: Arguments<'_>) {
    if CLOSED.get().is_none()
        && let Err(error) = writeln!(std::io::stdout(), "{text}")
    {
        CLOSED.get_or_init(|| error);
    }
}

/// Whether lines still arrive somewhere.
pub(crate) fn is_read() -> bool {
    CLOSED.get().is_none()
}

/// Fails where a line could not be printed, unless the reader has left: then there is nothing to say.
pub(crate) fn finish() -> Result<(), Failure> {
    if let Err(error) = std::io::stdout().flush() {
        CLOSED.get_or_init(|| error);
    }
    match CLOSED.get() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::device(format!("the standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// A message on the standard error stream. Where that is closed, nobody can be told.
pub(crate) fn error(message: &str) {
    let _nobody_listens = writeln!(std::io::stderr(), "error: {message}");
}
