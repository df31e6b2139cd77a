//! The protocol between a device and its host: [`Request`]s one way, [`Reply`]s the other.
//!
//! A message is encoded with postcard, followed by its CRC-32 (little endian), and framed with
//! COBS: a zero byte ends a frame and occurs nowhere else, so that either side finds the next
//! frame again after noise. The device answers every request with exactly one reply, in order;
//! a host whose link holds bytes back (an emulator's pipe) may send several requests at once.
//!
//! Nothing here allocates. Buffers are the caller's, and messages borrow from them.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod frame;
mod message;
mod refusal;

pub use frame::{FrameError, Receiver, data_bytes_max, decode, encode, encoded_bytes_max};
pub use message::{Hello, Loaded, PROFILE_NODES, PROTOCOL_VERSION, Reply, Request, Stats};
pub use refusal::Refusal;

/// CRC-32 (IEEE 802.3) of a message or of a whole model.
pub use format::crc32;
