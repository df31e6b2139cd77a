//! The standard streams. Whoever reads them may leave, as `head` does, and the disk that they go to may be
//! full: neither ends a command before its work is done. Names come from files that anybody may have made,
//! and a terminal obeys the control characters in them: they are printed escaped, as JSON has them.

use crate::failure::Failure;
use std::fmt::{Arguments, Write as _};
use std::io::{Error, ErrorKind, Write};
use std::sync::OnceLock;

/// Why the standard output takes no more.
static CLOSED: OnceLock<Error> = OnceLock::new();

/// Prints a line on the standard output, with the arguments of `println!`.
macro_rules! say {
    ($($text:tt)*) => { $crate::say::line(format_args!($($text)*)) };
}
pub(crate) use say;

/// Text, or a value in JSON, whose control characters are escaped, except for the ends of lines.
fn lines(text: &str) -> String {
    escaped(text, |character| character == '\n')
}

/// A name whose control characters are escaped, so that it takes one line and changes no other.
pub(crate) fn name(text: &str) -> String {
    escaped(text, |_| false)
}

fn escaped(text: &str, is_kept: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && !is_kept(character) {
            // Writing to a string does not fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// A line on the standard output. What goes wrong is kept for [`finish`].
pub(crate) fn line(text: Arguments<'_>) {
    if CLOSED.get().is_none()
        && let Err(error) = writeln!(std::io::stdout(), "{}", lines(&text.to_string()))
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

/// A message on the standard error stream, with its details in lines of their own. Where that is closed,
/// nobody can be told.
pub(crate) fn error(message: &str, details: &[String]) {
    let details = details.iter().map(|line| format!("\n  {}", name(line)));
    let (message, details) = (name(message), details.collect::<String>());
    let _nobody_listens = writeln!(std::io::stderr(), "error: {message}{details}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(lines("Größe 3×3\n…"), "Größe 3×3\n…");
        let (bell, delete, clear) = ("a\u{7}", "\u{7f}\r", "\u{9b}2J\u{1b}[2J");
        assert_eq!(lines(bell), "a\\u0007");
        assert_eq!(lines(delete), "\\u007f\\u000d");
        assert_eq!(lines(clear), "\\u009b2J\\u001b[2J");
        assert_eq!(name("a\nb"), "a\\u000ab");
        let value = serde_json::json!([bell, delete, clear]);
        let read: serde_json::Value = serde_json::from_str(&lines(&value.to_string())).unwrap();
        assert_eq!(read, value);
    }
}
