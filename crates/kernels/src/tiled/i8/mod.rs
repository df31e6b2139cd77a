//! int8 convolutions: sizes and the loop over rows. Inputs are widened to 16 bits while they
//! are staged, and pairs of taps are multiplied and added by one instruction, which is exact for
//! every pair of int8 products.

mod lookup;
mod pack;
mod records;
mod stage;

use super::plan::{KERNEL_ROWS_MAX, Kind, Runs, Staging};
use crate::memory::{Plain, cells_as, slice_as};
use crate::{Channels, Conv2dI8, Geometry, scalar};
pub(crate) use lookup::lookup;
pub(crate) use pack::{conv_2d_prepared_bytes, prepare_conv_2d, weights_per_output};
pub(crate) use records::{Records, Rule};

/// Consecutive pixels of one output row.
pub(crate) struct Strip<'a> {
    /// The first pixel's staged row under each row of the window.
    pub(crate) rows: &'a [*const i16],
    /// Elements between the windows of neighbours.
    pub(crate) step: usize,
    /// Pixels.
    pub(crate) pixels: usize,
    /// The first pixel's outputs.
    pub(crate) output: *mut i8,
}

/// Packed weights of a convolution and what they belong to.
pub(crate) struct Weights<'a, W> {
    /// As [`prepare_conv_2d`] lays them out.
    pub(crate) packed: *const W,
    /// What turns sums into outputs.
    pub(crate) records: Records,
    pub(crate) operands: &'a Conv2dI8<'a>,
    pub(crate) runs: Runs,
}

/// The inner loops of an architecture; a value proves that this machine has it.
pub(crate) trait Tiles: Copy {
    /// A packed weight: as wide as the loops want it.
    type Weight: Plain;
    /// Outputs of a block, 8 or 16. The last block of a group has 8 where those are enough.
    const BLOCK: usize;
    /// Whether there are shifts by another distance in every lane.
    const SHIFTS_LANES: bool;
    /// Outputs and inputs that fully connected layers multiply at a time: their weights are
    /// packed as `[O / outputs][I / inputs][outputs][inputs]` bytes. `None` for those that use
    /// the file's.
    const VECTOR_PACK: Option<[usize; 2]>;

    /// The output at `position` of a block of `width`.
    fn output_at(position: usize, width: usize) -> usize;

    /// Widens `count` elements.
    ///
    /// # Safety
    ///
    /// `from` is readable and `to` writable for `count` elements.
    unsafe fn widen(self, from: *const i8, to: *mut i16, count: usize);

    /// Every output of a fully connected layer.
    ///
    /// # Safety
    ///
    /// Input, output and weights have the sizes of the geometry; `staged` has room for the
    /// inputs, rounded up to a multiple of 32; the packed weights are what [`prepare_conv_2d`]
    /// wrote for the geometry.
    unsafe fn vector(self, weights: &Weights<'_, Self::Weight>, staged: *mut i16);

    /// Every output channel of a strip of a pointwise or general convolution.
    ///
    /// # Safety
    ///
    /// For every row, `row + (pixels - 1) * step` starts a window's runs of readable elements,
    /// one element behind them included; `output` has room for all channels of the pixels;
    /// the weights are what [`prepare_conv_2d`] wrote for the geometry.
    unsafe fn strip(self, weights: &Weights<'_, Self::Weight>, strip: &Strip<'_>);

    /// Every channel of a strip of a depthwise convolution.
    ///
    /// # Safety
    ///
    /// The windows of all pixels, with `SLACK` elements behind them, are readable in every row;
    /// `output` has room for all channels of the pixels; the weights are what
    /// [`prepare_conv_2d`] wrote for the geometry.
    unsafe fn depthwise(self, weights: &Weights<'_, Self::Weight>, strip: &Strip<'_>);
}

/// Bytes of staged input.
pub(crate) fn conv_2d_scratch_bytes(geometry: &Geometry) -> usize {
    let geometry = &geometry.lying();
    Kind::of(geometry).map_or(0, |kind| kind.staged_elements(geometry) * 2)
}

/// Operands whose sizes were compared with the geometry.
struct Checked<'a, T: Tiles> {
    operands: &'a Conv2dI8<'a>,
    /// As [`pack`] lays it out.
    weights: Weights<'a, T::Weight>,
    /// Room for `Kind::staged_elements`.
    staged: *mut i16,
}

impl<'a, T: Tiles> Checked<'a, T> {
    fn new(operands: &'a Conv2dI8<'a>, kind: &Kind) -> Option<Self> {
        let geometry = &operands.geometry;
        let scratch = cells_as::<i16>(operands.binding.scratch)?;
        let prepared = slice_as::<i32>(operands.binding.prepared)?;
        let [input, output] = [geometry.input, geometry.output].map(|n| n[0] * n[1] * n[2]);
        let requantize = &operands.requantize;
        let channels = match operands.channels {
            Channels::High(words) => words.len(),
            Channels::Wide(words) => words.len() / 3,
        };
        let fits = operands.input.len() >= input
            && operands.output.len() >= output
            && operands.weights.len() >= geometry.output[2].checked_mul(geometry.taps())?
            && channels >= geometry.output[2]
            && requantize.bias_shift <= 11
            && requantize.multiplier_shift <= 19
            && size_of_val(prepared) >= pack::prepared_bytes::<T>(geometry, kind)
            && scratch.len() >= kind.staged_elements(geometry);
        let start = prepared.as_ptr();
        let records = start.wrapping_byte_add(pack::weight_bytes::<T>(geometry, kind));
        let weights = Weights {
            packed: start.cast(),
            records: Records::at::<T>(records, geometry, kind),
            operands,
            runs: Runs::of(geometry),
        };
        fits.then_some(Checked {
            operands,
            weights,
            staged: scratch.as_ptr().cast_mut().cast(),
        })
    }
}

/// See [`crate::i8::conv_2d`].
pub(crate) fn conv_2d<T: Tiles>(tiles: T, operands: &Conv2dI8<'_>) {
    let operands = &Conv2dI8 {
        geometry: operands.geometry.lying(),
        ..*operands
    };
    let kind = Kind::of(&operands.geometry);
    let checked = kind.and_then(|kind| Some((kind, Checked::new(operands, &kind)?)));
    match checked {
        Some((kind, checked)) => run(tiles, kind, &checked),
        None => scalar::i8::conv_2d(operands),
    }
}

fn run<T: Tiles>(tiles: T, kind: Kind, checked: &Checked<'_, T>) {
    match kind {
        // SAFETY: `Checked` compared the sizes with the geometry.
        Kind::Vector => unsafe { tiles.vector(&checked.weights, checked.staged) },
        Kind::Pointwise(chunk) => pointwise(tiles, checked, chunk),
        Kind::Depthwise(staging) => rows(tiles, checked, staging, true),
        Kind::General(staging) => rows(tiles, checked, staging, false),
    }
}

/// A matrix product over pixels, chunk by chunk. A chunk's pixels are staged before any of them
/// is written, and the row contract keeps later pixels whole.
fn pointwise<T: Tiles>(tiles: T, checked: &Checked<'_, T>, chunk: usize) {
    let Conv2dI8 {
        geometry,
        input,
        output,
        ..
    } = *checked.operands;
    let [channels, outputs] = [geometry.input[2], geometry.output[2]];
    let pixels = geometry.output[0] * geometry.output[1];
    let weights = &checked.weights;
    for first in (0..pixels).step_by(chunk) {
        let count = chunk.min(pixels - first);
        // SAFETY: `first + count <= pixels`, and `Checked` compared the views' lengths with the
        // geometry; the staged chunk holds `chunk * channels` elements and slack.
        unsafe {
            let from = input.as_ptr().add(first * channels);
            tiles.widen(from, checked.staged, count * channels);
            let rows = [checked.staged.cast_const()];
            let to = output.as_ptr().cast_mut().cast::<i8>().add(first * outputs);
            tiles.strip(
                weights,
                &Strip {
                    rows: &rows,
                    step: channels,
                    pixels: count,
                    output: to,
                },
            );
        }
    }
}

/// Output row by output row over staged input rows.
fn rows<T: Tiles>(tiles: T, checked: &Checked<'_, T>, mut staging: Staging, depthwise: bool) {
    let Conv2dI8 {
        geometry,
        input,
        output,
        input_zero_point,
        ..
    } = *checked.operands;
    let [rows, columns, outputs] = geometry.output;
    let channels = geometry.input[2] * staging.repeat;
    let weights = &checked.weights;
    let mut pointers = [core::ptr::null::<i16>(); KERNEL_ROWS_MAX];
    let pointers = &mut pointers[..geometry.window.kernel[0]];
    let input_row = geometry.input[1] * geometry.input[2];
    let zero = i16::from(input_zero_point);
    // SAFETY: the staged memory holds `staging.elements()` (`Checked`), of which the padding row
    // is the first part; every slot and every start that `staging` gives leaves room for a whole
    // row. Input row `row` is below `geometry.input[0]`, so it is inside the input. Output row
    // `y` is inside the output.
    unsafe {
        stage::fill(checked.staged, staging.row_elements, zero);
        for y in 0..rows {
            let stage = staging;
            staging.advance(&geometry, y, |slot, row| {
                let from = input.as_ptr().add(row * input_row);
                stage::row(
                    tiles,
                    &stage,
                    geometry.input[2],
                    from,
                    checked.staged.add(slot),
                    zero,
                );
            });
            for (tap, pointer) in pointers.iter_mut().enumerate() {
                *pointer = checked.staged.add(staging.start(&geometry, y, tap));
            }
            let to = output
                .as_ptr()
                .cast_mut()
                .cast::<i8>()
                .add(y * columns * outputs);
            let step = geometry.window.stride[1] * channels;
            let strip = Strip {
                rows: pointers,
                step,
                pixels: columns,
                output: to,
            };
            if depthwise {
                tiles.depthwise(weights, &strip);
            } else {
                tiles.strip(weights, &strip);
            }
        }
    }
}
