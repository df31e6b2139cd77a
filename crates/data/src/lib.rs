//! Data sets as samples of raw values.
//!
//! Readers stream: memory does not grow with the number of samples. Nothing is invented, guessed
//! or skipped in silence: what does not fit is an error that names the file, the place and the
//! remedy.

mod error;
mod labels;
mod readers;
mod source;

pub use error::{Error, Problem};
pub use format::meta::Channel;
pub use source::{Expected, Options, Sample, Source};
