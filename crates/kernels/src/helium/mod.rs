//! The M-profile vector extension (Cortex-M55, M85): loops in assembly, which stable Rust has no
//! intrinsics for. Everything is bit-identical to the scalar loops.

#[cfg(all(target_arch = "arm", feature = "helium"))]
mod add;
#[cfg(all(target_arch = "arm", feature = "helium"))]
mod channelwise;
#[cfg(all(target_arch = "arm", feature = "helium"))]
mod convolve;
#[cfg(all(target_arch = "arm", feature = "helium"))]
mod copy;
#[cfg(all(target_arch = "arm", feature = "helium"))]
mod depthwise;
#[cfg(all(target_arch = "arm", feature = "helium"))]
mod parameters;
mod plan;
#[cfg(all(target_arch = "arm", feature = "helium"))]
mod pool;
#[cfg(all(target_arch = "arm", feature = "helium"))]
mod product;
#[cfg(all(target_arch = "arm", feature = "helium"))]
mod stepwise;

#[cfg(all(target_arch = "arm", feature = "helium"))]
pub(crate) use add::add;
#[cfg(all(target_arch = "arm", feature = "helium"))]
pub(crate) use convolve::{conv_2d, vector};
pub(crate) use plan::conv_2d_scratch_bytes;
#[cfg(all(target_arch = "arm", feature = "helium"))]
pub(crate) use pool::{average_pool_2d, window_sums};
#[cfg(all(target_arch = "arm", feature = "helium"))]
pub(crate) use stepwise::stepwise_add;
