//! Which loop a convolution takes, and the working memory of it. Pure, so that a host can plan.

use crate::Geometry;
use crate::i8::Conv2dLoops;

/// Taps of a depthwise window: their addresses are on the stack.
pub(super) const DEPTHWISE_TAPS_MAX: usize = 50;

/// Pixels of a tile.
pub(super) const PIXELS: usize = 4;

/// The loop of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Windows are gathered, unless they are pixels of the input, and multiplied with the
    /// weights of one channel after another.
    Gathered,
    /// Each channel on its own.
    Depthwise,
    /// Plain Rust.
    Scalar,
}

impl Kind {
    pub(super) fn of(geometry: &Geometry) -> Kind {
        let [_, _, channels] = geometry.input;
        let taps = geometry.window.kernel[0] * geometry.window.kernel[1];
        if !(geometry.groups > 1 && geometry.is_depthwise()) {
            // The last weights of a channel are read as a word.
            let has_word = geometry.taps() >= 4;
            return if has_word {
                Kind::Gathered
            } else {
                Kind::Scalar
            };
        }
        let fits = channels >= 4 && geometry.output[2] == channels && taps <= DEPTHWISE_TAPS_MAX;
        if fits { Kind::Depthwise } else { Kind::Scalar }
    }
}

/// See [`Conv2dLoops`].
pub(crate) fn conv_2d_loops(geometry: &Geometry) -> Conv2dLoops {
    match Kind::of(geometry) {
        Kind::Gathered => Conv2dLoops::Dense,
        Kind::Depthwise => Conv2dLoops::Depthwise,
        Kind::Scalar => Conv2dLoops::Any,
    }
}

/// Bytes of the window of one pixel and group, in whole words.
pub(super) fn window_bytes(geometry: &Geometry) -> usize {
    geometry.taps().next_multiple_of(4)
}

/// Pairs of taps of a depthwise window.
pub(super) fn tap_pairs(geometry: &Geometry) -> usize {
    let [rows, columns] = geometry.window.kernel;
    (rows * columns).div_ceil(2)
}

/// Words of four channels of a depthwise convolution: biases, weights widened to 16 bits,
/// multipliers.
pub(super) fn block_words(geometry: &Geometry) -> usize {
    tap_pairs(geometry) * 4 + 8
}

/// Channels that a depthwise convolution of one pixel takes at a time. Blocks serve one pixel then,
/// so that keeping all of them would be of no use.
const PART: usize = 16;

/// Channels that are computed for the whole image before others.
pub(super) fn part_channels(geometry: &Geometry) -> usize {
    match geometry.output {
        [1, 1, _] => geometry.input[2].min(PART),
        _ => geometry.input[2],
    }
}

/// Bytes of the blocks of as many channels.
pub(super) fn blocks_bytes(geometry: &Geometry) -> usize {
    part_channels(geometry).div_ceil(4) * block_words(geometry) * 4
}

/// Whether the window of a pixel is the same pixel of the input.
pub(super) fn is_in_place(geometry: &Geometry) -> bool {
    let ([rows, columns, _], [output_rows, output_columns, _]) = (geometry.input, geometry.output);
    geometry.is_pointwise() && rows == output_rows && columns == output_columns
}

/// Windows that are widened at once.
pub(super) fn places(geometry: &Geometry) -> usize {
    let pixels = geometry.output[0] * geometry.output[1];
    let outputs = geometry.output[2] / geometry.groups.max(1);
    if pixels == 1 && outputs >= 4 {
        1
    } else {
        PIXELS
    }
}

/// Taps of the one window of a vector's product up to which it is widened once for all channels. A
/// longer one is widened where it is used, which takes two more instructions in 21 and no memory.
const WIDENED_TAPS_MAX: usize = 256;

/// Whether the window of a vector's product is used as it is.
pub(super) fn is_narrow(geometry: &Geometry) -> bool {
    let taps = geometry.taps();
    let is_long = taps > WIDENED_TAPS_MAX && taps.is_multiple_of(4);
    places(geometry) == 1 && is_in_place(geometry) && is_long
}

/// Bytes of working memory.
pub(crate) fn conv_2d_scratch_bytes(geometry: &Geometry) -> usize {
    match Kind::of(geometry) {
        Kind::Scalar => 0,
        Kind::Depthwise => blocks_bytes(geometry) + part_channels(geometry).next_multiple_of(4),
        Kind::Gathered if is_narrow(geometry) => 0,
        Kind::Gathered => {
            let window = window_bytes(geometry);
            let gathered = if is_in_place(geometry) { 0 } else { window };
            window * 2 * places(geometry) + gathered
        }
    }
}
