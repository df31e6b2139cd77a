//! Runs a compact model: operators, one file each, and a [`Session`] over a model and memory.
//!
//! Nothing here allocates, blocks, or knows an operator by name: a session is given the list of
//! operators that it may use, and only those are linked into a firmware image. The `host`
//! feature adds each operator's other half: shape rules, lowering from a graph, costs.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "host"))]
extern crate std;

#[cfg(feature = "host")]
pub mod host;
pub mod ops;
pub mod program;
mod run;
mod session;

pub use format::{Error, Model, Reason};
pub use kernels::Architecture;
pub use run::{Op, Run};
pub use session::Session;
