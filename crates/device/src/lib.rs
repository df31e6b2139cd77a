//! Boards as places to run compact models: which there are, how to start and reach them, and the
//! host's side of the protocol.
//!
//! A board is emulated by QEMU, which counts instructions: figures are instructions, never times.
//! Or it is at a serial port, with its firmware flashed before. The WebAssembly module under Node
//! is a place too. Nothing waits for ever: every reply of a board has a time limit, and a process
//! ends with the value that owns it.
#![forbid(unsafe_code)]

mod boards;
mod client;
mod device;
mod error;
mod images;
mod link;
pub mod node;
mod place;
mod qemu;
mod serial;

pub use boards::{Board, boards, find};
pub use client::{Client, DeviceInfo};
pub use device::Device;
pub use error::Error;
pub use images::{ImageSizes, Images};
pub use link::Link;
pub use place::Place;
pub use qemu::{Qemu, emulator_missing};
pub use serial::Serial;
