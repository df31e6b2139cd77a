//! Compact models on emulated boards.

mod boards;
mod network;
mod serial;
