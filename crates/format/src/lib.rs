//! The compact model (`.mopt`): its types, its checked view over bytes, its writer, and the
//! fixed-point arithmetic that defines integer results.
//!
//! `SPEC.md` beside this crate is the normative description of the bytes. The view allocates
//! nothing and copies nothing; [`Model::new`] checks everything once, and no accessor panics.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "meta")]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod checksum;
mod error;
pub mod fixed;
#[cfg(feature = "meta")]
pub mod meta;
mod types;
mod view;
#[cfg(feature = "write")]
mod writer;

pub use checksum::crc32;
pub use error::{Error, Reason};
pub use types::{DType, MAX_RANK, Place, Shape};
pub use view::{Model, Node, Params, ProgramNode, Row, Tensor};
#[cfg(feature = "write")]
pub use writer::{NodeRecord, ParamsWriter, TensorRecord, Writer, with_meta};

/// The first four bytes of every file.
pub const MAGIC: [u8; 4] = *b"MOPT";
/// The format version this crate writes, and the newest that it reads.
pub const VERSION: u16 = 1;
/// Alignment in bytes of the whole file, of its constants and of the arena.
pub const ALIGNMENT: usize = 16;
/// A tensor reference that stands for an operand left out.
pub const ABSENT: u16 = u16::MAX;
/// Bytes of the fixed header.
pub const HEADER_BYTES: usize = 64;
