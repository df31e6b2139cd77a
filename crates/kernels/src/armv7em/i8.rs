//! int8 kernels: sizes are compared with the geometry before any loop runs.

pub(crate) use super::add::add;
use super::packing::Squares;
use super::plan::{Kind, conv_2d_scratch_bytes};
pub(crate) use super::stepwise::stepwise_add;
use super::{conv, depthwise, squares};
use crate::memory::{cells_as, slice_as};
use crate::{Channels, Conv2dI8, rules, scalar};

/// The working memory, where input, output and channels have the geometry's sizes, and weights and
/// memory those that are told.
#[inline(always)]
fn scratch(
    operands: &Conv2dI8<'_>,
    weights: bool,
    bytes: impl FnOnce() -> usize,
) -> Option<*mut u32> {
    let geometry = &operands.geometry;
    let scratch = cells_as::<u32>(operands.binding.scratch)?;
    let [input, output] = [geometry.input, geometry.output].map(|[a, b, c]| a * b * c);
    let requantize = &operands.requantize;
    let channels = match operands.channels {
        Channels::High(words) => words.len(),
        Channels::Wide(words) => words.len() / 3,
    };
    let fits = operands.input.len() >= input
        && operands.output.len() >= output
        && geometry.groups > 0
        && weights
        && channels >= geometry.output[2]
        && requantize.bias_shift <= 11
        && requantize.multiplier_shift <= 19
        && scratch.len() * 4 >= bytes();
    fits.then_some(scratch.as_ptr().cast_mut().cast())
}

/// The kind of loop and its working memory, where all operands have the geometry's sizes.
fn check(operands: &Conv2dI8<'_>) -> Option<(Kind, *mut u32)> {
    let geometry = &operands.geometry;
    let weights = geometry.output[2].checked_mul(geometry.taps())?;
    let has_weights = operands.weights.len() >= weights;
    let scratch = scratch(operands, has_weights, || conv_2d_scratch_bytes(geometry))?;
    Some((Kind::of(geometry), scratch))
}

/// See [`crate::i8::conv_2d_dense`].
pub(crate) fn conv_2d_dense(operands: &Conv2dI8<'_>) {
    if let Some((Kind::Gathered, scratch)) = check(operands) {
        // SAFETY: `check` compared the sizes with the geometry.
        unsafe { conv::multiply::<{ rules::HIGH }>(operands, scratch) };
    }
}

/// See [`crate::i8::conv_2d_depthwise`].
pub(crate) fn conv_2d_depthwise(operands: &Conv2dI8<'_>) {
    if let Some((Kind::Depthwise, scratch)) = check(operands) {
        // SAFETY: `check` compared the sizes with the geometry.
        unsafe { depthwise::multiply::<{ rules::HIGH }>(operands, scratch) };
    }
}

/// See [`crate::i8::conv_2d`].
pub(crate) fn conv_2d(operands: &Conv2dI8<'_>) {
    conv_2d_by::<{ rules::ALL }>(operands);
}

/// See [`crate::i8::conv_2d_single`].
pub(crate) fn conv_2d_single(operands: &Conv2dI8<'_>) {
    conv_2d_by::<{ rules::SINGLE }>(operands);
}

/// See [`crate::i8::conv_2d_double`].
pub(crate) fn conv_2d_double(operands: &Conv2dI8<'_>) {
    conv_2d_by::<{ rules::DOUBLE }>(operands);
}

fn conv_2d_by<const RULES: u8>(operands: &Conv2dI8<'_>) {
    // SAFETY: `check` compared the sizes with the geometry.
    unsafe {
        match check(operands) {
            Some((Kind::Gathered, scratch)) => conv::multiply::<RULES>(operands, scratch),
            Some((Kind::Depthwise, scratch)) => depthwise::multiply::<RULES>(operands, scratch),
            _ => scalar::i8::conv_2d(operands),
        }
    }
}

/// See [`crate::i8::conv_2d_packed`]. `None` where there is no such loop.
pub(crate) fn conv_2d_packed(operands: &Conv2dI8<'_>) -> Option<()> {
    conv_2d_squares_by::<{ rules::ALL }>(operands)
}

/// See [`crate::i8::conv_2d_squares`]. `None` where there is no such loop.
pub(crate) fn conv_2d_squares(operands: &Conv2dI8<'_>) -> Option<()> {
    conv_2d_squares_by::<{ rules::HIGH }>(operands)
}

fn conv_2d_squares_by<const RULES: u8>(operands: &Conv2dI8<'_>) -> Option<()> {
    let geometry = &operands.geometry;
    let squares = Squares::of(geometry)?;
    let packed = slice_as::<u32>(operands.binding.prepared)?;
    let has_weights = packed.len() * 4 >= squares.packed_bytes();
    let scratch = scratch(operands, has_weights, || squares.scratch_bytes(geometry))?;
    // SAFETY: the sizes are those of the geometry, as compared above.
    unsafe { squares::multiply::<RULES>(operands, &squares, packed.as_ptr(), scratch) }
        .then_some(())
}
