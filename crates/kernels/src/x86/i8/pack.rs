//! Weights packed as pairs of 16 bits for `vpmaddwd`.
//!
//! * Pointwise and general: `[groups][blocks][runs][pairs of taps][8 or 16 outputs][2]`. A run
//!   of odd length ends with a weight of zero.
//! * Depthwise: `[blocks][pairs of taps][16 channels][2]`.
//!
//! The 16 outputs of a block are in the order 0-3, 8-11, 4-7, 12-15: packing the sums to bytes
//! works on halves of vectors and brings them into sequence.

use crate::Geometry;
use crate::x86::plan::{Kind, Runs, blocks, padded_outputs};

/// The output at `position` of a block of `width`.
fn output_at(position: usize, width: usize) -> usize {
    let (vector, lane) = (position / 8, position % 8);
    if width == 16 {
        lane / 4 * 8 + vector * 4 + lane % 4
    } else {
        position
    }
}

/// 16-bit weights of every output of a block of a pointwise or general convolution.
pub(super) fn weights_per_output(geometry: &Geometry, runs: &Runs) -> usize {
    geometry.window.kernel[0] * runs.per_row * runs.length.next_multiple_of(2)
}

/// Bytes that [`prepare_conv_2d`] writes.
pub(crate) fn conv_2d_prepared_bytes(geometry: &Geometry) -> usize {
    let elements = match Kind::of(geometry) {
        Some(Kind::Pointwise(_) | Kind::General(_)) => {
            let outputs = padded_outputs(geometry) * geometry.groups;
            outputs.saturating_mul(weights_per_output(geometry, &Runs::of(geometry)))
        }
        Some(Kind::Depthwise(_)) => {
            let channels = geometry.output[2].next_multiple_of(16);
            channels.saturating_mul(geometry.taps().next_multiple_of(2))
        }
        Some(Kind::Vector) | None => 0,
    };
    elements.saturating_mul(2)
}

/// Packs the file's weights.
pub(crate) fn prepare_conv_2d(geometry: &Geometry, weights: &[i8], prepared: &mut [u8]) {
    let mut to = prepared.chunks_exact_mut(2);
    let mut put = |weight: Option<&i8>| {
        if let Some(bytes) = to.next() {
            bytes.copy_from_slice(&i16::from(*weight.unwrap_or(&0)).to_ne_bytes());
        }
    };
    match Kind::of(geometry) {
        Some(Kind::Pointwise(_) | Kind::General(_)) => pack_blocks(geometry, weights, &mut put),
        Some(Kind::Depthwise(_)) => pack_channels(geometry, weights, &mut put),
        Some(Kind::Vector) | None => {}
    }
}

fn pack_blocks(geometry: &Geometry, weights: &[i8], put: &mut impl FnMut(Option<&i8>)) {
    let runs = Runs::of(geometry);
    let (taps, count) = (geometry.taps(), geometry.window.kernel[0] * runs.per_row);
    let outputs = geometry.output[2] / geometry.groups;
    for group in 0..geometry.groups {
        for (first, width) in blocks(outputs) {
            for run in 0..count {
                for pair in 0..runs.length.div_ceil(2) {
                    for i in 0..width * 2 {
                        let output = first + output_at(i / 2, width);
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

fn pack_channels(geometry: &Geometry, weights: &[i8], put: &mut impl FnMut(Option<&i8>)) {
    let (taps, channels) = (geometry.taps(), geometry.output[2]);
    for first in (0..channels).step_by(16) {
        for pair in 0..taps.div_ceil(2) {
            for i in 0..32 {
                let (channel, tap) = (first + output_at(i / 2, 16), pair * 2 + i % 2);
                let exists = channel < channels && tap < taps;
                put(weights.get(tap * channels + channel).filter(|_| exists));
            }
        }
    }
}
