//! Threads that compute a convolution together, each a part of the output that no other touches.
//!
//! There are none unless a caller makes a [`ThreadPool`]: microcontrollers and WebAssembly have only
//! [`Threads::ALONE`], which is nothing at all. Integer and float results are the same to the bit
//! for any number of threads: every output is computed as it would be by one.

#[cfg(any(test, feature = "std"))]
mod divide;
#[cfg(any(test, feature = "std"))]
mod layer;
#[cfg(any(test, feature = "std"))]
mod pool;

use core::marker::PhantomData;
use core::ops::Range;

#[cfg(any(test, feature = "std"))]
pub use layer::{Layer, Series};
#[cfg(any(test, feature = "std"))]
pub use pool::{Body, ThreadPool};

/// The threads that help the calling one.
#[derive(Clone, Copy, Debug)]
pub struct Threads<'a> {
    #[cfg(any(test, feature = "std"))]
    pool: Option<&'a ThreadPool>,
    /// Which share of a layer's outputs the calling thread computes, and of how many.
    #[cfg(any(test, feature = "std"))]
    share: [usize; 2],
    life: PhantomData<&'a ()>,
}

impl<'a> Threads<'a> {
    /// None: the calling thread does all there is to do.
    pub const ALONE: Threads<'static> = Threads {
        #[cfg(any(test, feature = "std"))]
        pool: None,
        #[cfg(any(test, feature = "std"))]
        share: [0, 1],
        life: PhantomData,
    };

    /// The threads of a pool.
    #[cfg(any(test, feature = "std"))]
    pub fn of(pool: &'a ThreadPool) -> Self {
        Threads {
            pool: Some(pool),
            ..Threads::ALONE
        }
    }

    /// None, for a kernel that is to compute share number `index` of `count` of its outputs.
    #[cfg(any(test, feature = "std"))]
    pub(crate) fn share(index: usize, count: usize) -> Self {
        Threads {
            share: [index, count],
            ..Threads::ALONE
        }
    }

    /// Those of so many blocks of outputs that the calling thread computes. All of them, but in kernels
    /// that `shares_outputs` speaks of.
    #[cfg_attr(not(any(neon, target_arch = "x86_64")), allow(dead_code))]
    pub(crate) fn own(self, blocks: usize) -> Range<usize> {
        #[cfg(any(test, feature = "std"))]
        return divide::share(blocks, self.share[0], self.share[1]);
        #[cfg(not(any(test, feature = "std")))]
        return 0..blocks;
    }

    /// Whether there are any.
    #[cfg(any(test, feature = "std"))]
    pub fn are_some(self) -> bool {
        self.pool.is_some()
    }
}
