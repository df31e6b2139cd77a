//! The runtime as a WebAssembly module: models behind handles, elements handed over by address.
//!
//! [`exports`] is the whole interface to JavaScript, integers only. A caller reserves room for a
//! file, writes it there, and loads it; then for every run it writes an input's elements to the
//! model's exchange memory, hands it over, runs, and takes each output from the same memory.
//! Nothing is copied that is not needed, and releasing a model gives all its memory back.

mod aligned;
mod describe;
pub mod exports;
mod layout;
mod loaded;
