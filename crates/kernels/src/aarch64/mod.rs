//! AArch64: two sets of kernels, the second of which is chosen when the program runs.
//!
//! There are 32 vector registers. 16 hold sums; the rest is for weights, inputs and products.

pub(crate) mod f32;
pub(crate) mod i8;

/// What every processor that this target is for has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neon;

/// Proof that dot products of bytes (`SDOT`) are there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NeonDotprod(());

impl NeonDotprod {
    /// The proof, where this machine has them. The standard library keeps the answer.
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        #[cfg(any(test, feature = "std"))]
        if std::arch::is_aarch64_feature_detected!("dotprod") {
            return Some(NeonDotprod(()));
        }
        cfg!(target_feature = "dotprod").then_some(NeonDotprod(()))
    }
}
