//! One small error for everything that can be wrong with a model file.

use core::fmt;

/// Why a model is refused. The numbers are stable; `modelopt explain` tells the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Reason {
    /// The first bytes are not `MOPT`.
    NotAModel = 1,
    /// The format version is newer than this reader.
    Version = 2,
    /// The file is shorter or longer than its header says.
    Truncated = 3,
    /// The checksum does not match the content.
    Checksum = 4,
    /// The bytes do not start at an address that is a multiple of 16.
    Alignment = 5,
    /// A tensor record is malformed or lies outside its region.
    Tensor = 6,
    /// A node record is malformed.
    Node = 7,
    /// No linked operator has this code.
    UnknownOperator = 8,
    /// A node's operands or parameters do not fit its operator.
    Operand = 9,
    /// The memory handed over is smaller than the model needs.
    Memory = 10,
    /// The signature or the manifest cannot be read.
    Meta = 11,
    /// An input or output was asked for by an index or a type that it does not have.
    Port = 12,
}

/// A reason and the place: a byte offset for the file, a node's index for an operator,
/// the bytes needed for [`Reason::Memory`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub reason: Reason,
    /// Where, in the unit that the reason names.
    pub at: u32,
}

impl Error {
    /// An error with its place.
    pub const fn new(reason: Reason, at: usize) -> Self {
        Error {
            reason,
            at: at as u32,
        }
    }

    /// The stable number of the reason.
    pub const fn code(self) -> u16 {
        self.reason as u16
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at;
        match self.reason {
            Reason::NotAModel => f.write_str("this is not a compact model (no MOPT at its start)"),
            Reason::Version => write!(f, "format version {at} is newer than this reader"),
            Reason::Truncated => write!(f, "the file is cut off or has bytes to spare: {at} bytes"),
            Reason::Checksum => f.write_str("the checksum does not match: the file is corrupt"),
            Reason::Alignment => f.write_str("the model must start at a multiple of 16 bytes"),
            Reason::Tensor => write!(f, "malformed tensor at byte {at}"),
            Reason::Node => write!(f, "malformed node {at}"),
            Reason::UnknownOperator => write!(f, "node {at} needs an operator not linked here"),
            Reason::Operand => write!(f, "the operands of node {at} do not fit its operator"),
            Reason::Memory => write!(f, "the model needs {at} bytes of memory"),
            Reason::Meta => f.write_str("the signature or the manifest cannot be read"),
            Reason::Port => write!(f, "there is no input or output {at} of that type and size"),
        }
    }
}

impl core::error::Error for Error {}
