//! Working memory of the Helium kernels: pure functions, for hosts that plan for such a processor.

use crate::Geometry;

/// Pixels that one pass over the weights serves.
pub(super) const PIXELS: usize = 3;
/// Bytes of a vector.
pub(super) const VECTOR_BYTES: usize = 16;
/// Bytes of an address on every processor with these instructions.
const ADDRESS_BYTES: usize = 4;

/// Which loop computes a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Dot products of whole windows.
    Product,
    /// Channel by channel.
    Depthwise,
}

impl Kind {
    /// `None` for what the scalar loops compute: groups of several channels, and depthwise
    /// convolutions with several outputs for a channel.
    pub(super) fn of(geometry: &Geometry) -> Option<Self> {
        let taps = geometry.taps();
        if geometry.groups == 1 {
            return (taps > 0).then_some(Kind::Product);
        }
        let is_depthwise = geometry.is_depthwise() && geometry.output[2] == geometry.input[2];
        (is_depthwise && taps > 0).then_some(Kind::Depthwise)
    }
}

/// Bytes from one staged window to the next.
pub(super) fn window_bytes(geometry: &Geometry) -> usize {
    geometry.taps().next_multiple_of(VECTOR_BYTES)
}

/// Bytes of the addresses of the taps of one window.
pub(super) fn table_bytes(geometry: &Geometry) -> usize {
    (geometry.taps() * ADDRESS_BYTES).next_multiple_of(VECTOR_BYTES)
}

/// Bytes of a pixel of zero points.
pub(super) fn zeros_bytes(geometry: &Geometry) -> usize {
    geometry.input[2].next_multiple_of(VECTOR_BYTES)
}

/// Channels of a whole block of a depthwise convolution; the last ones are in blocks of half.
pub(super) const BLOCK: usize = 16;

/// Words of a channel's parameters in a block, at most: bias, multiplier, shift.
pub(super) const WORDS_MAX: usize = 3;

/// Bytes of a block of so many channels: biases, weights, multipliers, for some rules shifts.
pub(super) fn block_bytes(geometry: &Geometry, channels: usize, words: usize) -> usize {
    (geometry.taps() + words * size_of::<u32>()) * channels
}

/// Bytes of all blocks.
fn blocks_bytes(geometry: &Geometry) -> usize {
    let channels = geometry.input[2];
    let last = (channels % BLOCK).next_multiple_of(BLOCK / 2);
    block_bytes(geometry, channels / BLOCK * BLOCK + last, WORDS_MAX)
}

/// Whether output pixels read input pixels where they are: nothing to stage.
pub(super) fn is_in_place(geometry: &Geometry) -> bool {
    let last = |axis: usize| {
        geometry.output[axis].saturating_sub(1) * geometry.window.stride[axis]
            < geometry.input[axis]
    };
    geometry.window.kernel == [1, 1] && geometry.window.padding == [0, 0] && last(0) && last(1)
}

/// See [`crate::i8::conv_2d_scratch_bytes`].
pub(crate) fn conv_2d_scratch_bytes(geometry: &Geometry) -> usize {
    match Kind::of(geometry) {
        // One row never overlaps what it still reads.
        Some(Kind::Product) if is_in_place(geometry) && geometry.output[0] == 1 => 0,
        Some(Kind::Product) => {
            let pixels = (geometry.output[0] * geometry.output[1]).min(PIXELS);
            window_bytes(geometry) * pixels
        }
        Some(Kind::Depthwise) => {
            table_bytes(geometry) + zeros_bytes(geometry) + blocks_bytes(geometry)
        }
        None => 0,
    }
}
