//! Weights packed in pairs of taps, for instructions that multiply pairs and add the products.
//!
//! * Pointwise and general: `[groups][blocks][runs][pairs of taps][8 or 16 outputs][2]`. A run
//!   of odd length ends with a weight of zero.
//! * Depthwise: `[blocks][pairs of taps][8 or 16 channels][2]`.
//!
//! The architecture says how wide a block is, in which order its outputs are, and how many bytes
//! a weight has.

use super::Tiles;
use crate::Geometry;
use crate::tiled::plan::{Kind, Runs, blocks, padded_outputs};

/// Weights of every output of a block of a pointwise or general convolution.
pub(crate) fn weights_per_output(geometry: &Geometry, runs: &Runs) -> usize {
    geometry.window.kernel[0] * runs.per_row * runs.length.next_multiple_of(2)
}

/// Bytes that [`prepare_conv_2d`] writes.
pub(crate) fn conv_2d_prepared_bytes<T: Tiles>(geometry: &Geometry) -> usize {
    let geometry = &geometry.lying();
    let elements = match Kind::of(geometry) {
        Some(Kind::Pointwise(_) | Kind::General(_)) => {
            let outputs = padded_outputs(geometry) * geometry.groups;
            outputs.saturating_mul(weights_per_output(geometry, &Runs::of(geometry)))
        }
        Some(Kind::Depthwise(_)) => {
            let channels = geometry.output[2].next_multiple_of(T::BLOCK);
            channels.saturating_mul(geometry.taps().next_multiple_of(2))
        }
        Some(Kind::Vector) | None => 0,
    };
    elements.saturating_mul(size_of::<T::Weight>())
}

/// Packs the file's weights.
pub(crate) fn prepare_conv_2d<T: Tiles>(geometry: &Geometry, weights: &[i8], prepared: &mut [u8]) {
    let geometry = &geometry.lying();
    let width = size_of::<T::Weight>();
    let mut to = prepared.chunks_exact_mut(width);
    let mut put = |weight: Option<&i8>| {
        if let Some(bytes) = to.next() {
            // Tiles are for architectures with the low byte first.
            let wide = i16::from(*weight.unwrap_or(&0)).to_le_bytes();
            bytes.iter_mut().zip(wide).for_each(|(to, byte)| *to = byte);
        }
    };
    match Kind::of(geometry) {
        Some(Kind::Pointwise(_) | Kind::General(_)) => {
            pack_blocks::<T>(geometry, weights, &mut put);
        }
        Some(Kind::Depthwise(_)) => pack_channels::<T>(geometry, weights, &mut put),
        Some(Kind::Vector) | None => {}
    }
}

fn pack_blocks<T: Tiles>(geometry: &Geometry, weights: &[i8], put: &mut impl FnMut(Option<&i8>)) {
    let runs = Runs::of(geometry);
    let (taps, count) = (geometry.taps(), geometry.window.kernel[0] * runs.per_row);
    let outputs = geometry.output[2] / geometry.groups;
    for group in 0..geometry.groups {
        for (first, width) in blocks(outputs, T::BLOCK) {
            for run in 0..count {
                for pair in 0..runs.length.div_ceil(2) {
                    for i in 0..width * 2 {
                        let output = first + T::output_at(i / 2, width);
                        let tap = pair * 2 + i % 2;
                        let exists = output < outputs && tap < runs.length;
                        let row = (group * outputs + output) * taps;
                        put(weights
                            .get(row + run * runs.length + tap)
                            .filter(|_| exists));
                    }
                }
            }
        }
    }
}

fn pack_channels<T: Tiles>(geometry: &Geometry, weights: &[i8], put: &mut impl FnMut(Option<&i8>)) {
    let (taps, channels) = (geometry.taps(), geometry.output[2]);
    for first in (0..channels).step_by(T::BLOCK) {
        for pair in 0..taps.div_ceil(2) {
            for i in 0..T::BLOCK * 2 {
                let (channel, tap) = (first + T::output_at(i / 2, T::BLOCK), pair * 2 + i % 2);
                let exists = channel < channels && tap < taps;
                put(weights.get(tap * channels + channel).filter(|_| exists));
            }
        }
    }
}
