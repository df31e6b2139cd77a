//! WebAssembly with 128-bit SIMD: a module either has it or does not load, so it is chosen when
//! the module is built.
//!
//! Engines on x86-64 have 16 vector registers: 4 pixels by 8 outputs leave room for the weights
//! and an input.

pub(crate) mod f32;
pub(crate) mod i8;

/// Proof that 128-bit SIMD is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Simd128(());

impl Simd128 {
    /// The proof, which every module that was built with these loops has.
    #[inline]
    pub(crate) const fn detect() -> Option<Self> {
        Some(Simd128(()))
    }
}
