//! int8 convolutions: sizes and the loop over rows. Neighbouring taps are multiplied and added by
//! one instruction: pairs of inputs that are widened to 16 bits while they are staged, which is
//! exact for every pair of int8 products, or fours of inputs that stay as they are.

mod bands;
#[cfg(not(neon))]
mod lookup;
mod pack;
// Lines are for loops that add with one rounding.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod ramps;
mod records;
mod stage;
#[cfg(any(neon, target_arch = "x86_64"))]
mod starts;

use super::plan::{Kind, Runs, Staging, tiles};
use crate::memory::{Plain, cells_as, slice_as};
use crate::{Channels, Conv2dI8, Geometry, scalar};
use bands::Bands;
#[cfg(not(neon))]
pub(crate) use lookup::lookup;
pub(crate) use pack::{conv_2d_prepared_bytes, prepare_conv_2d, weights_per_output};
pub(crate) use ramps::Follows;
#[cfg(target_arch = "x86_64")]
pub(crate) use ramps::Points;
#[cfg(all(test, target_arch = "x86_64"))]
pub(crate) use ramps::{Floor, Ramp};
#[cfg(target_arch = "x86_64")]
pub(crate) use records::{LoopSums, records_of, words as record_words};
pub(crate) use records::{Records, Rule};
#[cfg(any(neon, target_arch = "x86_64"))]
pub(crate) use starts::{STARTS_MAX, Starts};

/// Consecutive pixels of an output row, or of several whole rows.
pub(crate) struct Strip<'a, I = i16> {
    /// The first pixel's staged row under each row of the window.
    pub(crate) rows: &'a [*const I],
    /// Elements between the windows of neighbours.
    pub(crate) step: usize,
    /// Pixels of a row.
    pub(crate) pixels: usize,
    /// Output rows.
    pub(crate) lines: usize,
    /// Elements between the windows of pixels below each other.
    pub(crate) line_step: usize,
    /// The first pixel's outputs.
    pub(crate) output: *mut i8,
}

impl<I> Strip<'_, I> {
    /// Tiles of no more than `most` pixels of a row: the elements before the first window, the
    /// pixels before its outputs, and the size.
    #[inline]
    pub(crate) fn tiles(&self, most: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        (0..self.lines).flat_map(move |line| {
            tiles(self.pixels, most).map(move |(first, size)| {
                let from = line * self.line_step + first * self.step;
                (from, line * self.pixels + first, size)
            })
        })
    }

    /// The elements before a pixel's window.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    #[inline]
    pub(crate) fn place(&self, pixel: usize) -> usize {
        pixel / self.pixels * self.line_step + pixel % self.pixels * self.step
    }
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
    /// A staged input: as wide as the loops want it.
    type Input: Plain + From<i8>;
    /// A packed weight, likewise.
    type Weight: Plain;
    /// What staged inputs exceed inputs by in products of everything but depthwise convolutions.
    const INPUT_OFFSET: i32 = 0;
    /// The same in those of depthwise convolutions.
    const CHANNEL_OFFSET: i32 = 0;
    /// Neighbouring taps of a run that are multiplied together.
    const TAPS: usize;
    /// Taps of a channel that are multiplied together by depthwise loops.
    const CHANNEL_TAPS: usize;
    /// Outputs of a block, 8 or 16. The last block of a group has 8 where those are enough.
    const BLOCK: usize;
    /// Channels of a block of a depthwise convolution, which has a record for every [`Tiles::BLOCK`] of
    /// them. Where whole numbers of pixels fill a block, it holds the channels once for each pixel.
    const CHANNELS: usize = Self::BLOCK;
    /// Whether there are shifts by another distance in every lane.
    const SHIFTS_LANES: bool;
    /// Outputs and inputs that fully connected layers multiply at a time: their weights are
    /// packed as `[O / outputs][I / inputs][outputs][inputs]` bytes. `None` for those that use
    /// the file's.
    const VECTOR_PACK: Option<[usize; 2]>;

    /// The rules of straight and of bent lines, where loops have them.
    const LINES: Option<(Rule, Rule, Follows)> = None;

    /// The output at `position` of a block of `width`.
    fn output_at(position: usize, width: usize) -> usize;

    /// The channel at `position` of packed weights of a depthwise convolution's block.
    fn channel_at(position: usize) -> usize {
        Self::output_at(position, Self::BLOCK)
    }

    /// The channel whose sum is at `position` of such a block.
    fn sum_at(position: usize) -> usize {
        Self::output_at(position, Self::BLOCK)
    }

    /// Stages `count` elements.
    ///
    /// # Safety
    ///
    /// `from` is readable and `to` writable for `count` elements.
    unsafe fn widen(self, from: *const i8, to: *mut Self::Input, count: usize);

    /// Every output of a fully connected layer; with NEON and on x86-64 those that are the thread's
    /// [own](crate::Threads::own).
    ///
    /// # Safety
    ///
    /// Input, output and weights have the sizes of the geometry; `staged` has room for the
    /// inputs, rounded up to a multiple of 32; the packed weights are what [`prepare_conv_2d`]
    /// wrote for the geometry.
    unsafe fn vector(self, weights: &Weights<'_, Self::Weight>, staged: *mut Self::Input);

    /// Every output channel of a strip of a pointwise or general convolution.
    ///
    /// # Safety
    ///
    /// For every row and line, `row + line * line_step + (pixels - 1) * step` starts a window's
    /// runs of readable elements, `TAPS - 1` elements behind them included; `output` has room for
    /// all channels of the pixels of all lines; the weights are what [`prepare_conv_2d`] wrote for the geometry.
    unsafe fn strip(self, weights: &Weights<'_, Self::Weight>, strip: &Strip<'_, Self::Input>);

    /// Every channel of a strip of a depthwise convolution.
    ///
    /// # Safety
    ///
    /// The windows of all pixels, with `SLACK` elements behind them, are readable in every row;
    /// `output` has room for all channels of the pixels; the weights are what
    /// [`prepare_conv_2d`] wrote for the geometry.
    unsafe fn depthwise(self, weights: &Weights<'_, Self::Weight>, strip: &Strip<'_, Self::Input>);
}

/// Bytes of staged input.
pub(crate) fn conv_2d_scratch_bytes<T: Tiles>(geometry: &Geometry) -> usize {
    let geometry = &geometry.lying();
    Kind::of(geometry).map_or(0, |kind| {
        staged_elements(geometry, &kind) * size_of::<T::Input>()
    })
}

/// Staged elements: those of a band of rows, or of a chunk of pixels.
fn staged_elements(geometry: &Geometry, kind: &Kind) -> usize {
    match kind {
        Kind::Depthwise(staging) | Kind::General(staging) => {
            Bands::of(geometry, staging).elements()
        }
        _ => kind.staged_elements(geometry),
    }
}

/// Operands whose sizes were compared with the geometry.
struct Checked<'a, T: Tiles> {
    operands: &'a Conv2dI8<'a>,
    /// As [`pack`] lays it out.
    weights: Weights<'a, T::Weight>,
    /// Room for [`staged_elements`].
    staged: *mut T::Input,
}

impl<'a, T: Tiles> Checked<'a, T> {
    fn new(operands: &'a Conv2dI8<'a>, kind: &Kind) -> Option<Self> {
        let geometry = &operands.geometry;
        let scratch = cells_as::<T::Input>(operands.binding.scratch)?;
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
            && scratch.len() >= staged_elements(geometry, kind);
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

/// Whether [`Tiles::vector`] computes it in shares; see [`crate::i8::shares_outputs`]. Some loops do not
/// take weights of -128.
#[cfg(any(test, feature = "std"))]
#[cfg_attr(target_arch = "wasm32", allow(dead_code))]
pub(crate) fn shares_outputs<T: Tiles>(operands: &Conv2dI8<'_>, takes_lowest: bool) -> bool {
    // Every part of every layer asks: most are told by their outputs alone.
    if operands.geometry.output[..2] != [1, 1] {
        return false;
    }
    let Some(kind @ Kind::Vector) = Kind::of(&operands.geometry) else {
        return false;
    };
    // SAFETY: the sizes were compared with the geometry, for which there are records.
    Checked::<T>::new(operands, &kind).is_some_and(|checked| unsafe {
        takes_lowest || !checked.weights.records.has_lowest_weight()
    })
}

fn run<T: Tiles>(tiles: T, kind: Kind, checked: &Checked<'_, T>) {
    match kind {
        // SAFETY: `Checked` compared the sizes with the geometry.
        Kind::Vector => unsafe { tiles.vector(&checked.weights, checked.staged) },
        Kind::Pointwise(chunk) => pointwise(tiles, checked, chunk),
        Kind::Depthwise(staging) => windows(tiles, checked, &staging, true),
        Kind::General(staging) => windows(tiles, checked, &staging, false),
    }
}

fn windows<T: Tiles>(tiles: T, checked: &Checked<'_, T>, staging: &Staging, depthwise: bool) {
    Bands::of(&checked.operands.geometry, staging).run(tiles, checked, staging, depthwise);
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
                    lines: 1,
                    line_step: 0,
                    output: to,
                },
            );
        }
    }
}
