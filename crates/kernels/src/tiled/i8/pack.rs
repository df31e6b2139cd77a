//! Weights packed in pairs or fours of taps, for instructions that multiply them and add the
//! products.
//!
//! * Pointwise and general: `[groups][blocks][runs][steps of taps][8 or 16 outputs][taps]`. The
//!   last step of a run ends with weights of zero.
//! * Fully connected: see [`Tiles::VECTOR_PACK`].
//! * Depthwise: `[blocks][steps of taps][8 or 16 channels][taps]`.
//!
//! The architecture says how many taps are in a step, how wide a block is, in which order its
//! outputs are, and how many bytes a weight has.

use super::Tiles;
use super::records::{self, LoopSums};
use crate::tiled::plan::{Kind, Runs, blocks, padded_outputs};
use crate::{Conv2dConstants, Geometry};

/// What the address of the records is a multiple of, as that of all prepared bytes is.
const RECORD_ALIGNMENT: usize = 16;

/// Weights of every output of a block of a pointwise or general convolution.
pub(crate) fn weights_per_output<T: Tiles>(geometry: &Geometry, runs: &Runs) -> usize {
    geometry.window.kernel[0] * runs.per_row * runs.length.next_multiple_of(T::TAPS)
}

/// Bytes that [`prepare_conv_2d`] writes: weights, and the records behind them.
pub(crate) fn conv_2d_prepared_bytes<T: Tiles>(geometry: &Geometry) -> usize {
    let geometry = &geometry.lying();
    Kind::of(geometry).map_or(0, |kind| prepared_bytes::<T>(geometry, &kind))
}

pub(super) fn prepared_bytes<T: Tiles>(geometry: &Geometry, kind: &Kind) -> usize {
    let records = records::words::<T>(geometry, kind).saturating_mul(4);
    weight_bytes::<T>(geometry, kind).saturating_add(records)
}

/// Bytes of packed weights: where the records start.
pub(super) fn weight_bytes<T: Tiles>(geometry: &Geometry, kind: &Kind) -> usize {
    let elements = match kind {
        Kind::Pointwise(_) | Kind::General(_) => {
            let outputs = padded_outputs(geometry) * geometry.groups;
            outputs.saturating_mul(weights_per_output::<T>(geometry, &Runs::of(geometry)))
        }
        Kind::Depthwise(_) => {
            let channels = geometry.output[2].next_multiple_of(T::CHANNELS);
            channels.saturating_mul(geometry.taps().next_multiple_of(T::CHANNEL_TAPS))
        }
        Kind::Vector => return vector_bytes::<T>(geometry),
    };
    let bytes = elements.saturating_mul(size_of::<T::Weight>());
    bytes
        .checked_next_multiple_of(RECORD_ALIGNMENT)
        .unwrap_or(usize::MAX)
}

/// Packs the file's weights and the records of its channels.
pub(crate) fn prepare_conv_2d<T: Tiles>(constants: &Conv2dConstants<'_>, prepared: &mut [u8]) {
    let constants = &Conv2dConstants {
        geometry: constants.geometry.lying(),
        ..*constants
    };
    let (geometry, weights) = (&constants.geometry, constants.weights);
    let Some(kind) = Kind::of(geometry) else {
        return;
    };
    let packed_bytes = weight_bytes::<T>(geometry, &kind).min(prepared.len());
    let (packed, records) = prepared.split_at_mut(packed_bytes);
    let offset = match kind {
        Kind::Depthwise(_) => T::CHANNEL_OFFSET,
        _ => T::INPUT_OFFSET,
    };
    let sums = LoopSums {
        offset,
        multiple: 1,
    };
    records::records_of::<T>(constants, &kind, sums, records);
    let mut to = packed.chunks_exact_mut(size_of::<T::Weight>());
    let mut put = |weight: Option<&i8>| {
        if let Some(bytes) = to.next() {
            // Tiles are for architectures with the low byte first.
            let wide = i16::from(*weight.unwrap_or(&0)).to_le_bytes();
            bytes.iter_mut().zip(wide).for_each(|(to, byte)| *to = byte);
        }
    };
    match kind {
        Kind::Pointwise(_) | Kind::General(_) => pack_blocks::<T>(geometry, weights, &mut put),
        Kind::Depthwise(_) => pack_channels::<T>(geometry, weights, &mut put),
        Kind::Vector => pack_vector::<T>(geometry, weights, packed),
    }
}

/// Bytes of the weights of a fully connected layer.
fn vector_bytes<T: Tiles>(geometry: &Geometry) -> usize {
    T::VECTOR_PACK.map_or(0, |[outputs, inputs]| {
        let outputs = geometry.output[2].next_multiple_of(outputs);
        let bytes = outputs.saturating_mul(geometry.input[2].next_multiple_of(inputs));
        bytes
            .checked_next_multiple_of(RECORD_ALIGNMENT)
            .unwrap_or(usize::MAX)
    })
}

fn pack_vector<T: Tiles>(geometry: &Geometry, weights: &[i8], packed: &mut [u8]) {
    let Some([outputs, inputs]) = T::VECTOR_PACK else {
        return;
    };
    packed.fill(0);
    let count = geometry.input[2];
    let steps = count.div_ceil(inputs);
    for (output, row) in weights.chunks_exact(count.max(1)).enumerate() {
        for (step, values) in row.chunks(inputs).enumerate() {
            let at = ((output / outputs * steps + step) * outputs + output % outputs) * inputs;
            let to = packed.get_mut(at..at + values.len()).unwrap_or(&mut []);
            to.iter_mut()
                .zip(values)
                .for_each(|(to, &value)| *to = value as u8);
        }
    }
}

fn pack_blocks<T: Tiles>(geometry: &Geometry, weights: &[i8], put: &mut impl FnMut(Option<&i8>)) {
    let runs = Runs::of(geometry);
    let (taps, count) = (geometry.taps(), geometry.window.kernel[0] * runs.per_row);
    let outputs = geometry.output[2] / geometry.groups;
    for group in 0..geometry.groups {
        for (first, width) in blocks(outputs, T::BLOCK) {
            for run in 0..count {
                for step in 0..runs.length.div_ceil(T::TAPS) {
                    let tap = step * T::TAPS;
                    let exist = T::TAPS.min(runs.length - tap);
                    for position in 0..width {
                        let output = first + T::output_at(position, width);
                        let at = (group * outputs + output) * taps + run * runs.length + tap;
                        let count = if output < outputs { exist } else { 0 };
                        let weights = weights.get(at..at + count).unwrap_or(&[]);
                        (0..T::TAPS).for_each(|i| put(weights.get(i)));
                    }
                }
            }
        }
    }
}

fn pack_channels<T: Tiles>(geometry: &Geometry, weights: &[i8], put: &mut impl FnMut(Option<&i8>)) {
    let (taps, channels) = (geometry.taps(), geometry.output[2]);
    for first in (0..channels).step_by(T::CHANNELS) {
        for step in 0..taps.div_ceil(T::CHANNEL_TAPS) {
            for i in 0..T::CHANNELS * T::CHANNEL_TAPS {
                let at = T::channel_at(i / T::CHANNEL_TAPS);
                let tap = step * T::CHANNEL_TAPS + i % T::CHANNEL_TAPS;
                let channel = channel_of::<T>(channels, first, at).filter(|_| tap < taps);
                put(channel.and_then(|channel| weights.get(tap * channels + channel)));
            }
        }
    }
}

/// The channel at a place of the block of a depthwise convolution whose first channel is `first`; `None`
/// behind the last channel, but where channels fill a block several times.
pub(super) fn channel_of<T: Tiles>(channels: usize, first: usize, at: usize) -> Option<usize> {
    let fills = T::CHANNELS.is_multiple_of(channels.max(1));
    let channel = first + if fills { at % channels } else { at };
    (channel < channels).then_some(channel)
}
