//! Graph to plan to compact model.
//!
//! Three steps: every node is [lowered](runtime::host::Operator::lower); every
//! value gets a place in the arena ([`arena`]), which a [`replay`] of all reads and writes proves to
//! be safe; the parts are written ([`emit`]). A finished model
//! can become a Rust library ([`rust`]).

pub mod arena;
mod emit;
mod lifetimes;
mod narrow;
mod pack;
mod replay;
pub mod rust;
mod variables;

pub use emit::{Compiled, Options, PlanNode, compile};

/// Why a graph does not compile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The graph itself is inconsistent.
    #[error(transparent)]
    Graph(#[from] graph::Error),
    /// An operator has no device half for these types.
    #[error("node '{node}' ({operator}) cannot run: {reason}")]
    Lower {
        /// The node's name.
        node: String,
        /// Its operator.
        operator: String,
        /// What is missing.
        reason: String,
    },
    /// Something exceeds a limit of the format.
    #[error("the model does not fit the format: {0}")]
    TooLarge(&'static str),
    /// The model has something that a library cannot have.
    #[error("the model does not fit a Rust library: {0}")]
    Library(String),
    /// The finished file does not pass the reader's checks: a mistake in this program.
    #[error("the compiled model is refused by the runtime: {0}")]
    Refused(String),
}
