//! x86-64 with AVX2 and FMA, detected when the program runs.
//!
//! Convolutions move over rows of input that are staged in scratch memory: padded on both
//! sides, so that a window is a few runs of contiguous elements and no tap is a special case.
//! Weights are packed once into blocks of 8 or 16 outputs, and a register tile holds the sums
//! of up to 6 pixels for one block.

/// Runs a body for the constants 0 to 5 that are below a constant. A loop that the compiler does
/// not unroll would index the sums of a tile, and so keep them in memory all the time.
macro_rules! unrolled {
    ($m:ident in 0..$count:ident $body:block) => {
        unrolled!($m $count $body; 0 1 2 3 4 5)
    };
    ($m:ident $count:ident $body:block; $($constant:literal)*) => {
        $({
            let $m: usize = $constant;
            if $m < $count $body
        })*
    };
}

pub(crate) mod f32;
pub(crate) mod i8;
mod plan;

#[cfg(test)]
mod tests;

/// Proof that AVX2 and FMA are there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// The proof, where this machine has them. The standard library keeps the answer.
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        #[cfg(any(test, feature = "std"))]
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
        {
            return Some(Avx2(()));
        }
        None
    }
}
