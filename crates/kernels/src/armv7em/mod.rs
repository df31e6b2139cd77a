//! Cortex-M with the DSP extension: two products of 16 bits in one instruction. Weights are used
//! where they lie in flash.

#[cfg(any(armv7em, test))]
mod add;
#[cfg(any(armv7em, test))]
mod conv;
#[cfg(any(armv7em, test))]
mod depthwise;
#[cfg(any(armv7em, test))]
mod dsp;
#[cfg(any(armv7em, test))]
mod finish;
#[cfg(any(armv7em, test))]
mod gather;
#[cfg(any(armv7em, test))]
pub(crate) mod i8;
mod packing;
mod plan;
#[cfg(any(armv7em, test))]
mod squares;
#[cfg(any(armv7em, test))]
mod stepwise;
#[cfg(any(armv7em, test))]
mod strip;
#[cfg(any(armv7em, test))]
mod tile;

pub(crate) use packing::Squares;
pub(crate) use plan::{conv_2d_loops, conv_2d_scratch_bytes};

#[cfg(test)]
mod tests;
