//! Which kernels run: the only place that asks about the target.

/// A set of kernels. Every set gives bit-identical integer results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Plain Rust, for every target.
    Scalar,
    /// Cortex-M with the DSP extension (M4, M7, M33): `SMLAD` on pairs of 16 bits.
    Armv7em,
    /// Cortex-M with the M-profile vector extension (M55, M85).
    Helium,
    /// AArch64: products of pairs, added up in 16 bits.
    Neon,
    /// AArch64 with products of fours (`SDOT`), detected when the program runs.
    NeonDotprod,
    /// WebAssembly with 128-bit SIMD.
    Simd128,
    /// x86-64 with AVX2 and FMA, detected when the program runs.
    Avx2,
    /// The same with products of four bytes (`VPDPBUSD`), as AVX-VNNI encodes them.
    AvxVnni,
    /// The same as AVX-512 encodes them.
    Avx512Vnni,
}

impl Architecture {
    /// Every set, for planning and tables.
    pub const ALL: [Architecture; 9] = [
        Architecture::Scalar,
        Architecture::Armv7em,
        Architecture::Helium,
        Architecture::Neon,
        Architecture::NeonDotprod,
        Architecture::Simd128,
        Architecture::Avx2,
        Architecture::AvxVnni,
        Architecture::Avx512Vnni,
    ];

    /// The name that sessions, benchmarks and device tests report.
    pub const fn name(self) -> &'static str {
        match self {
            Architecture::Scalar => "scalar",
            Architecture::Armv7em => "armv7em",
            Architecture::Helium => "helium",
            Architecture::Neon => "neon",
            Architecture::NeonDotprod => "neon-dotprod",
            Architecture::Simd128 => "simd128",
            Architecture::Avx2 => "avx2",
            Architecture::AvxVnni => "avx-vnni",
            Architecture::Avx512Vnni => "avx512-vnni",
        }
    }

    /// The set that this build uses on this machine.
    #[inline]
    pub fn current() -> Architecture {
        if cfg!(all(target_arch = "arm", feature = "helium")) {
            return Architecture::Helium;
        }
        #[cfg(target_arch = "x86_64")]
        if crate::x86::Avx512Vnni::detect().is_some() {
            return Architecture::Avx512Vnni;
        } else if crate::x86::AvxVnni::detect().is_some() {
            return Architecture::AvxVnni;
        } else if crate::x86::Avx2::detect().is_some() {
            return Architecture::Avx2;
        }
        #[cfg(neon)]
        if crate::aarch64::NeonDotprod::detect().is_some() {
            return Architecture::NeonDotprod;
        }
        if cfg!(neon) {
            return Architecture::Neon;
        }
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        if crate::simd128::Simd128::detect().is_some() {
            return Architecture::Simd128;
        }
        if cfg!(armv7em) {
            return Architecture::Armv7em;
        }
        Architecture::Scalar
    }
}

#[cfg(all(test, neon))]
mod tests {
    use super::Architecture;

    /// Whoever starts the tests on an emulated processor says what it has.
    #[test]
    fn the_set_is_that_of_the_processor() {
        match std::env::var("EXPECTED_KERNELS") {
            Ok(expected) => assert_eq!(Architecture::current().name(), expected),
            Err(_) => std::println!("skipped: EXPECTED_KERNELS names no set of kernels"),
        }
    }
}
