//! x86-64: sets of kernels that are chosen when the program runs. All have AVX2 and FMA; two more
//! have products of four bytes that are added up in one instruction, which differ in how they
//! encode it.

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

/// Proof that AVX2, FMA and AVX-VNNI are there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AvxVnni(());

impl AvxVnni {
    /// As [`Avx2::detect`].
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        #[cfg(any(test, feature = "std"))]
        if std::arch::is_x86_feature_detected!("avxvnni") {
            return Avx2::detect().map(|_| AvxVnni(()));
        }
        None
    }
}

/// Proof that AVX2, FMA, and AVX512-VNNI with what its vectors of 512 bits take are there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512Vnni(());

impl Avx512Vnni {
    /// As [`Avx2::detect`].
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        #[cfg(any(test, feature = "std"))]
        if std::arch::is_x86_feature_detected!("avx512vnni")
            && std::arch::is_x86_feature_detected!("avx512vl")
            && std::arch::is_x86_feature_detected!("avx512bw")
        {
            return Avx2::detect().map(|_| Avx512Vnni(()));
        }
        None
    }
}
