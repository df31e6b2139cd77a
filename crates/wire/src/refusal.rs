//! Why a device does not carry out a request.

use core::fmt;
use format::{Error, Reason};
use serde::{Deserialize, Serialize};

/// Why a device does not carry out a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The model, an input or an output is wrong: a [`format::Error`] by its numbers.
    Model {
        /// [`Error::code`].
        code: u16,
        /// [`Error::at`].
        at: u32,
    },
    /// A frame arrived damaged.
    Damaged,
    /// A frame or a model is larger than the device's memory for it, in bytes.
    TooLarge {
        /// The memory that there is.
        bytes: u32,
    },
    /// The request needs a model, and none is ready.
    NoModel,
    /// A part of a model came without its beginning, or in the wrong place.
    OutOfOrder,
    /// The device's model memory is not writable: the model must be flashed.
    ReadOnly,
}

const REASONS: [Reason; 12] = [
    Reason::NotAModel,
    Reason::Version,
    Reason::Truncated,
    Reason::Checksum,
    Reason::Alignment,
    Reason::Tensor,
    Reason::Node,
    Reason::UnknownOperator,
    Reason::Operand,
    Reason::Memory,
    Reason::Meta,
    Reason::Port,
];

impl Refusal {
    /// The model's error, where that is the reason and this version knows its number.
    pub fn model_error(self) -> Option<Error> {
        let Refusal::Model { code, at } = self else {
            return None;
        };
        let reason = REASONS.into_iter().find(|&reason| reason as u16 == code)?;
        Some(Error { reason, at })
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Refusal::Model {
            code: error.code(),
            at: error.at,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.model_error()) {
            (_, Some(error)) => error.fmt(f),
            (Refusal::Model { code, at }, None) => write!(f, "error {code} at {at}"),
            (Refusal::Damaged, _) => f.write_str("a frame arrived damaged"),
            (Refusal::TooLarge { bytes }, _) => {
                write!(f, "the device has room for {bytes} bytes only")
            }
            (Refusal::NoModel, _) => f.write_str("no model is loaded"),
            (Refusal::OutOfOrder, _) => f.write_str("the parts of the model are out of order"),
            (Refusal::ReadOnly, _) => {
                f.write_str("the device keeps its model in flash; write it there")
            }
        }
    }
}

impl core::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_a_model_comes_back_as_it_was() {
        for (i, reason) in REASONS.into_iter().enumerate() {
            assert_eq!(reason as usize, i + 1);
            let error = Error { reason, at: 77 };
            assert_eq!(Refusal::from(error).model_error(), Some(error));
        }
        assert_eq!(Refusal::Model { code: 900, at: 0 }.model_error(), None);
        assert_eq!(Refusal::NoModel.model_error(), None);
    }
}
