//! Inner loops per architecture, behind safe functions over slices. ALL unsafe code is here.
//!
//! An operator calls one function of [`i8`], [`i16`] or [`f32`](mod@f32); which architecture's loop runs is
//! decided in `select.rs` and nowhere else, and [`Architecture::name`] tells which it was. The
//! scalar loops are always there, work everywhere, and judge the others in tests.
//!
//! # The row contract
//!
//! Where input and output overlap (see [`memory`]), a kernel computes output rows in ascending
//! order; while it computes row `y` it writes only row `y` and reads only input rows from the
//! first that row `y` needs. The planner relies on exactly this. A kernel may do what it likes
//! when they do not overlap.
#![no_std]

#[cfg(any(test, feature = "std"))]
extern crate std;

#[cfg(neon)]
mod aarch64;
mod armv7em;
pub mod f32;
mod helium;
pub mod i16;
pub mod i8;
mod loops;
pub mod memory;
pub mod narrow;
mod operands;
#[cfg(any(
    test,
    not(any(neon, armv7em, all(target_arch = "arm", feature = "helium")))
))]
mod portable;
mod rules;
mod scalar;
mod select;
#[cfg(any(test, feature = "self-test"))]
pub mod self_test;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod simd128;
pub mod spectrum;
mod squares;
pub mod threads;
#[cfg(any(
    neon,
    target_arch = "x86_64",
    all(target_arch = "wasm32", target_feature = "simd128")
))]
mod tiled;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use loops::loops;
pub use operands::{
    AddI8, AddI16, Binding, Channels, Conv2dConstants, Conv2dF32, Conv2dI8, Conv2dI16,
    Conv2dInteger, Conv2dLong, Geometry, Integer, LineI8, LineI16, PoolI8, PoolI16, PoolInteger,
    QuantizeI8, StepwiseAddI8, VectorI8, Window,
};
pub use scalar::{Taps, padded_taps, pool_taps};
pub use select::Architecture;
pub use threads::Threads;
