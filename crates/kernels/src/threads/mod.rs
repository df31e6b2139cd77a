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

#[cfg(any(test, feature = "std"))]
pub use layer::{Layer, Series};
#[cfg(any(test, feature = "std"))]
pub use pool::{Body, ThreadPool};

/// The threads that help the calling one.
#[derive(Clone, Copy, Debug)]
pub struct Threads<'a> {
    #[cfg(any(test, feature = "std"))]
    pool: Option<&'a ThreadPool>,
    life: PhantomData<&'a ()>,
}

impl<'a> Threads<'a> {
    /// None: the calling thread does all there is to do.
    pub const ALONE: Threads<'static> = Threads {
        #[cfg(any(test, feature = "std"))]
        pool: None,
        life: PhantomData,
    };

    /// The threads of a pool.
    #[cfg(any(test, feature = "std"))]
    pub fn of(pool: &'a ThreadPool) -> Self {
        Threads {
            pool: Some(pool),
            life: PhantomData,
        }
    }

    /// Whether there are any.
    #[cfg(any(test, feature = "std"))]
    pub fn are_some(self) -> bool {
        self.pool.is_some()
    }
}
