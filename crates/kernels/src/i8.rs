//! int8 kernels: one function per inner loop, whatever the architecture.
//!
//! `*_scratch_bytes` and `*_prepared_bytes` are pure functions that answer for any architecture,
//! so that a host can plan for a microcontroller.

use crate::memory::In;
#[cfg(all(target_arch = "arm", feature = "helium"))]
use crate::rules;
#[cfg(not(neon))]
use crate::scalar;
#[cfg(any(test, feature = "std"))]
use crate::threads::Layer;
use crate::{
    AddI8, Architecture, Conv2dConstants, Conv2dI8, Geometry, LineI8, PoolI8, QuantizeI8,
    StepwiseAddI8, VectorI8, armv7em, helium, pool_taps,
};
#[cfg(neon)]
use crate::{
    aarch64::{self, Neon, NeonDotprod},
    tiled,
};
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
use crate::{
    simd128::{self, Simd128},
    tiled,
};
#[cfg(target_arch = "x86_64")]
use crate::{tiled, x86};
use format::fixed::Rounding;

/// Bytes of scratch memory that [`conv_2d`] needs.
pub fn conv_2d_scratch_bytes(_geometry: &Geometry, architecture: Architecture) -> usize {
    match architecture {
        #[cfg(target_arch = "x86_64")]
        Architecture::Avx2 => x86::i8::conv_2d_scratch_bytes::<x86::Avx2>(_geometry),
        #[cfg(target_arch = "x86_64")]
        Architecture::AvxVnni => x86::i8::conv_2d_scratch_bytes::<x86::AvxVnni>(_geometry),
        #[cfg(target_arch = "x86_64")]
        Architecture::Avx512Vnni => x86::i8::conv_2d_scratch_bytes::<x86::Avx512Vnni>(_geometry),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Architecture::Simd128 => tiled::i8::conv_2d_scratch_bytes::<Simd128>(_geometry),
        #[cfg(neon)]
        Architecture::Neon => tiled::i8::conv_2d_scratch_bytes::<Neon>(_geometry),
        #[cfg(neon)]
        Architecture::NeonDotprod => tiled::i8::conv_2d_scratch_bytes::<NeonDotprod>(_geometry),
        Architecture::Armv7em => armv7em::conv_2d_scratch_bytes(_geometry),
        Architecture::Helium => helium::conv_2d_scratch_bytes(_geometry),
        _ => 0,
    }
}

/// Bytes that [`prepare_conv_2d`] writes: 0 where kernels use the weights of the file in place.
pub fn conv_2d_prepared_bytes(_geometry: &Geometry, architecture: Architecture) -> usize {
    match architecture {
        #[cfg(target_arch = "x86_64")]
        Architecture::Avx2 => x86::i8::conv_2d_prepared_bytes::<x86::Avx2>(_geometry),
        #[cfg(target_arch = "x86_64")]
        Architecture::AvxVnni => x86::i8::conv_2d_prepared_bytes::<x86::AvxVnni>(_geometry),
        #[cfg(target_arch = "x86_64")]
        Architecture::Avx512Vnni => x86::i8::conv_2d_prepared_bytes::<x86::Avx512Vnni>(_geometry),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Architecture::Simd128 => tiled::i8::conv_2d_prepared_bytes::<Simd128>(_geometry),
        #[cfg(neon)]
        Architecture::Neon => tiled::i8::conv_2d_prepared_bytes::<Neon>(_geometry),
        #[cfg(neon)]
        Architecture::NeonDotprod => tiled::i8::conv_2d_prepared_bytes::<NeonDotprod>(_geometry),
        _ => 0,
    }
}

/// Packs weights and channels for this machine, once per session.
pub fn prepare_conv_2d(_constants: &Conv2dConstants<'_>, _prepared: &mut [u8]) {
    match Architecture::current() {
        #[cfg(target_arch = "x86_64")]
        Architecture::Avx2 => x86::i8::prepare_conv_2d::<x86::Avx2>(_constants, _prepared),
        #[cfg(target_arch = "x86_64")]
        Architecture::AvxVnni => {
            x86::i8::prepare_conv_2d::<x86::AvxVnni>(_constants, _prepared);
        }
        #[cfg(target_arch = "x86_64")]
        Architecture::Avx512Vnni => {
            x86::i8::prepare_conv_2d::<x86::Avx512Vnni>(_constants, _prepared);
        }
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Architecture::Simd128 => {
            tiled::i8::prepare_conv_2d::<Simd128>(_constants, _prepared);
        }
        #[cfg(neon)]
        Architecture::Neon => tiled::i8::prepare_conv_2d::<Neon>(_constants, _prepared),
        #[cfg(neon)]
        Architecture::NeonDotprod => {
            tiled::i8::prepare_conv_2d::<NeonDotprod>(_constants, _prepared)
        }
        _ => {}
    }
}

/// Whether this build has loops for weights that a file carries packed: [`conv_2d_packed`].
pub const TAKES_PACKED: bool = cfg!(armv7em);

/// Bytes of the weights packed for an architecture, which a file may carry beside its own; 0 where
/// there are no loops for such.
pub fn conv_2d_packed_bytes(geometry: &Geometry, architecture: Architecture) -> usize {
    squares(geometry, architecture).map_or(0, |squares| squares.packed_bytes())
}

/// Whether packed weights save time.
pub fn conv_2d_packed_is_worth(geometry: &Geometry, architecture: Architecture) -> bool {
    squares(geometry, architecture).is_some() && armv7em::Squares::is_worth(geometry)
}

/// Writes the [`conv_2d_packed_bytes`] of weights `[O, KH, KW, I]`.
pub fn pack_conv_2d(
    geometry: &Geometry,
    weights: &[i8],
    architecture: Architecture,
    packed: &mut [u8],
) {
    if let Some(squares) = squares(geometry, architecture) {
        squares.pack(weights, packed);
    }
}

/// As [`conv_2d_scratch_bytes`], for [`conv_2d_packed`].
pub fn conv_2d_packed_scratch_bytes(geometry: &Geometry, architecture: Architecture) -> usize {
    match squares(geometry, architecture) {
        Some(squares) => squares.scratch_bytes(geometry),
        None => conv_2d_scratch_bytes(geometry, architecture),
    }
}

fn squares(geometry: &Geometry, architecture: Architecture) -> Option<armv7em::Squares> {
    match architecture {
        Architecture::Armv7em => armv7em::Squares::of(geometry),
        _ => None,
    }
}

/// As [`conv_2d`], with weights that the file has packed for this architecture in
/// [`Binding::prepared`](crate::Binding::prepared), where it [takes](TAKES_PACKED) such.
pub fn conv_2d_packed(operands: &Conv2dI8<'_>) {
    #[cfg(armv7em)]
    if armv7em::i8::conv_2d_packed(operands).is_some() {
        return;
    }
    conv_2d(operands);
}

/// As [`conv_2d_packed`] for outputs that are high words, without loops of other kinds: without
/// packed weights nothing is computed.
pub fn conv_2d_squares(operands: &Conv2dI8<'_>) {
    #[cfg(armv7em)]
    let _ = armv7em::i8::conv_2d_squares(operands);
    #[cfg(not(armv7em))]
    conv_2d(operands);
}

/// A convolution of one image, depthwise ones included.
pub fn conv_2d(operands: &Conv2dI8<'_>) {
    #[cfg(any(test, feature = "std"))]
    if operands.binding.threads.divide(Layer::Conv2dI8, operands) {
        return;
    }
    conv_2d_alone(operands);
}

/// The product of a vector and a matrix: what [`conv_2d`] makes of it, with less to find out.
pub fn vector(operands: &VectorI8<'_>) {
    #[cfg(all(target_arch = "arm", feature = "helium"))]
    if helium::vector::<{ rules::ALL }>(operands) {
        return;
    }
    conv_2d(&operands.convolution());
}

/// Whether threads compute a convolution in shares of its outputs and not of its pixels: each thread those
/// blocks of 16 that are its [own](crate::Threads::own). Nobody shares where memory is missing.
#[cfg(any(test, feature = "std"))]
pub(crate) fn shares_outputs(_operands: &Conv2dI8<'_>) -> bool {
    match Architecture::current() {
        #[cfg(target_arch = "x86_64")]
        Architecture::Avx2 => x86::i8::shares_outputs::<x86::Avx2>(_operands),
        #[cfg(target_arch = "x86_64")]
        Architecture::AvxVnni => x86::i8::shares_outputs::<x86::AvxVnni>(_operands),
        #[cfg(target_arch = "x86_64")]
        Architecture::Avx512Vnni => x86::i8::shares_outputs::<x86::Avx512Vnni>(_operands),
        #[cfg(neon)]
        Architecture::Neon => tiled::i8::shares_outputs::<Neon>(_operands, true),
        #[cfg(neon)]
        Architecture::NeonDotprod => tiled::i8::shares_outputs::<NeonDotprod>(_operands, true),
        _ => false,
    }
}

pub(crate) fn conv_2d_alone(operands: &Conv2dI8<'_>) {
    #[cfg(target_arch = "x86_64")]
    if let Some(vnni) = x86::Avx512Vnni::detect() {
        return x86::i8::conv_2d(vnni, operands);
    } else if let Some(vnni) = x86::AvxVnni::detect() {
        return x86::i8::conv_2d(vnni, operands);
    } else if let Some(avx2) = x86::Avx2::detect() {
        return x86::i8::conv_2d(avx2, operands);
    }
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    if let Some(simd128) = Simd128::detect() {
        return tiled::i8::conv_2d(simd128, operands);
    }
    #[cfg(all(target_arch = "arm", feature = "helium"))]
    helium::conv_2d::<{ rules::ALL }>(operands);
    #[cfg(armv7em)]
    armv7em::i8::conv_2d(operands);
    #[cfg(neon)]
    match NeonDotprod::detect() {
        Some(dotprod) => tiled::i8::conv_2d(dotprod, operands),
        None => tiled::i8::conv_2d(Neon, operands),
    }
    #[cfg(not(any(neon, armv7em, all(target_arch = "arm", feature = "helium"))))]
    crate::portable::conv_2d(operands);
}

/// Which function serves a convolution in a program that knows its shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conv2dLoops {
    /// [`conv_2d_dense`].
    Dense,
    /// [`conv_2d_depthwise`].
    Depthwise,
    /// [`conv_2d_single`].
    Single,
    /// [`conv_2d_double`].
    Double,
    /// [`conv_2d`] alone.
    Any,
}

impl Conv2dLoops {
    /// The function for these shapes and this rule.
    pub fn of(geometry: &Geometry, rounding: Rounding) -> Self {
        match rounding {
            Rounding::High => armv7em::conv_2d_loops(geometry),
            Rounding::Single => Conv2dLoops::Single,
            Rounding::Double => Conv2dLoops::Double,
        }
    }
}

/// As [`conv_2d`], where [`Conv2dLoops::of`] says `Dense`: what it calls is not linked with loops
/// of other kinds and for other rules. `binding` has the scratch memory that the operands need; without it nothing
/// is computed.
pub fn conv_2d_dense(operands: &Conv2dI8<'_>) {
    #[cfg(armv7em)]
    armv7em::i8::conv_2d_dense(operands);
    #[cfg(all(target_arch = "arm", feature = "helium"))]
    helium::conv_2d::<{ rules::HIGH }>(operands);
    #[cfg(not(any(armv7em, all(target_arch = "arm", feature = "helium"))))]
    conv_2d(operands);
}

/// As [`conv_2d_dense`], where [`Conv2dLoops::of`] says `Depthwise`.
pub fn conv_2d_depthwise(operands: &Conv2dI8<'_>) {
    #[cfg(armv7em)]
    armv7em::i8::conv_2d_depthwise(operands);
    #[cfg(all(target_arch = "arm", feature = "helium"))]
    helium::conv_2d::<{ rules::HIGH }>(operands);
    #[cfg(not(any(armv7em, all(target_arch = "arm", feature = "helium"))))]
    conv_2d(operands);
}

/// As [`conv_2d`], where [`Conv2dLoops::of`] says `Single`: loops for other rules are not linked.
pub fn conv_2d_single(operands: &Conv2dI8<'_>) {
    #[cfg(armv7em)]
    armv7em::i8::conv_2d_single(operands);
    #[cfg(all(target_arch = "arm", feature = "helium"))]
    helium::conv_2d::<{ rules::SINGLE }>(operands);
    #[cfg(not(any(armv7em, all(target_arch = "arm", feature = "helium"))))]
    conv_2d(operands);
}

/// As [`conv_2d_single`], where it says `Double`.
pub fn conv_2d_double(operands: &Conv2dI8<'_>) {
    #[cfg(armv7em)]
    armv7em::i8::conv_2d_double(operands);
    #[cfg(all(target_arch = "arm", feature = "helium"))]
    helium::conv_2d::<{ rules::DOUBLE }>(operands);
    #[cfg(not(any(armv7em, all(target_arch = "arm", feature = "helium"))))]
    conv_2d(operands);
}

/// The sum of two tensors.
pub fn add(operands: &AddI8<'_>) {
    #[cfg(any(test, feature = "std"))]
    if operands.threads.divide(Layer::AddI8, operands) {
        return;
    }
    add_alone(operands);
}

pub(crate) fn add_alone(operands: &AddI8<'_>) {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = x86::Avx2::detect() {
        return x86::i8::add(avx2, operands);
    }
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    if Simd128::detect().is_some() {
        return simd128::i8::add(operands);
    }
    #[cfg(all(target_arch = "arm", feature = "helium"))]
    helium::add(operands);
    #[cfg(armv7em)]
    armv7em::i8::add(operands);
    #[cfg(neon)]
    aarch64::i8::add(operands);
    #[cfg(not(any(neon, armv7em, all(target_arch = "arm", feature = "helium"))))]
    scalar::i8::add(operands);
}

/// The sum of two tensors, rounded step by step.
pub fn stepwise_add(operands: &StepwiseAddI8<'_>) {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = x86::Avx2::detect() {
        return x86::i8::stepwise_add(avx2, operands);
    }
    #[cfg(all(target_arch = "arm", feature = "helium"))]
    helium::stepwise_add(operands);
    #[cfg(armv7em)]
    armv7em::i8::stepwise_add(operands);
    #[cfg(neon)]
    aarch64::i8::stepwise_add(operands);
    #[cfg(not(any(neon, armv7em, all(target_arch = "arm", feature = "helium"))))]
    scalar::i8::stepwise_add(operands);
}

/// The mean of each window over the elements inside the image, halves away from zero.
pub fn average_pool_2d(operands: &PoolI8<'_>) {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = x86::Avx2::detect() {
        return x86::i8::average_pool_2d(avx2, operands);
    }
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    if Simd128::detect().is_some() {
        return simd128::i8::average_pool_2d(operands);
    }
    #[cfg(all(target_arch = "arm", feature = "helium"))]
    helium::average_pool_2d(operands);
    #[cfg(neon)]
    aarch64::i8::average_pool_2d(operands);
    #[cfg(not(any(neon, all(target_arch = "arm", feature = "helium"))))]
    scalar::i8::average_pool_2d(operands);
}

/// Channels that [`window_sums`] sums up at a time: as many as vectors make worth while.
pub const WINDOW_SUMS: usize = if cfg!(target_arch = "x86_64") { 64 } else { 8 };

/// The sums of as many channels from `first` on under the window of output pixel `at`; those of
/// channels that there are not are of no use.
pub fn window_sums(
    geometry: &Geometry,
    input: &In<'_, i8>,
    at: [usize; 2],
    first: usize,
) -> [i32; WINDOW_SUMS] {
    #[cfg(all(target_arch = "arm", feature = "helium"))]
    if let Some(sums) = helium::window_sums(geometry, input, at, first) {
        return sums;
    }
    #[cfg(target_arch = "x86_64")]
    if let Some(sums) =
        x86::Avx2::detect().and_then(|avx2| x86::i8::window_sums(avx2, geometry, input, at, first))
    {
        return sums;
    }
    #[cfg(neon)]
    if let Some(sums) = aarch64::i8::window_sums(geometry, input, at, first) {
        return sums;
    }
    let taps = pool_taps(geometry, at[0], at[1]);
    let mut sums = [0; WINDOW_SUMS];
    let (eights, _) = sums.as_chunks_mut::<8>();
    for (block, eight) in eights.iter_mut().enumerate() {
        *eight = taps.sums_i8(input, first + 8 * block);
    }
    sums
}

/// The largest element of each window.
pub fn max_pool_2d(operands: &PoolI8<'_>) {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = x86::Avx2::detect() {
        return x86::i8::max_pool_2d(avx2, operands);
    }
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    if Simd128::detect().is_some() {
        return simd128::i8::max_pool_2d(operands);
    }
    #[cfg(neon)]
    aarch64::i8::max_pool_2d(operands);
    #[cfg(not(neon))]
    scalar::i8::max_pool_2d(operands);
}

/// Real numbers to int8.
pub fn quantize(operands: &QuantizeI8<'_>) {
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    if Simd128::detect().is_some() {
        return simd128::i8::quantize(operands);
    }
    crate::scalar::i8::quantize(operands);
}

/// Every element through a table.
pub fn lookup(operands: &LineI8<'_>) {
    #[cfg(target_arch = "x86_64")]
    if x86::Avx2::detect().is_some() {
        return tiled::i8::lookup(operands);
    }
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    if Simd128::detect().is_some() {
        return tiled::i8::lookup(operands);
    }
    #[cfg(neon)]
    aarch64::i8::lookup(operands);
    #[cfg(not(neon))]
    scalar::i8::lookup(operands);
}
