//! Progress bars: on a terminal only, on the standard error stream.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over `length` steps; hidden when the standard error stream is no terminal.
pub(crate) fn bar(what: &'static str, length: usize) -> ProgressBar {
    let bar =
        ProgressBar::with_draw_target(Some(length as u64), ProgressDrawTarget::stderr_with_hz(10));
    let style = ProgressStyle::with_template("{msg:12} {bar:32} {pos}/{len} {eta:>4}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar
}
