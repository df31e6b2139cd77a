//! Compact models on emulated boards.

mod boards;
mod layers;
mod network;
mod one_model;
mod serial;
