//! x86-64 with AVX2 and FMA, detected when the program runs.

pub(crate) mod f32;
pub(crate) mod i8;

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
