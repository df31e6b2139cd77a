//! Boards as places to run compact models: which there are, how to start and reach them, and the
//! host's side of the protocol.
//!
//! A board here is emulated by QEMU, which counts instructions: figures are instructions, never
//! times. Nothing waits for ever: every reply has a time limit, and an emulator ends with the
//! value that owns it.
#![forbid(unsafe_code)]

mod boards;
mod client;
mod error;
mod images;
mod link;
mod qemu;

pub use boards::{Board, boards, find};
pub use client::{Client, DeviceInfo};
pub use error::Error;
pub use images::{ImageSizes, Images};
pub use link::Link;
pub use qemu::Qemu;
