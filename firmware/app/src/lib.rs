//! What every board's image does: takes a model and inputs over a link, runs it, answers.
//!
//! A board gives its link and its counter as a [`Board`], its memory as a [`Memory`] and its
//! facts as a [`Profile`]; everything else is here and knows no board. The operators that an
//! image links are this crate's features: see [`OPERATORS`].
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod link;
mod operators;
mod serve;

pub use operators::OPERATORS;
pub use serve::{Board, Memory, Profile, Store, serve};
