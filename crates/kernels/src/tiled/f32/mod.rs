//! Float convolutions: sizes, packing, staging, and the loop over rows.

mod squares;

use super::plan::{KERNEL_ROWS_MAX, Kind, Runs, Staging, blocks, padded_outputs};
use crate::memory::{cells_as, overlaps, slice_as};
use crate::{Conv2dF32, Geometry, scalar};
use squares::Squares;
pub(crate) use squares::{PRODUCTS, SquareOutputs, Vector, square_inputs, square_outputs};

/// Consecutive pixels of one output row.
pub(crate) struct Strip<'a> {
    /// The first pixel's staged row under each row of the window.
    pub(crate) rows: &'a [*const f32],
    /// The runs in every row.
    pub(crate) runs: Runs,
    /// Elements between the windows of neighbours.
    pub(crate) step: usize,
    /// Pixels.
    pub(crate) pixels: usize,
    /// The first pixel's outputs.
    pub(crate) output: *mut f32,
}

/// What a convolution multiplies by and ends with.
pub(crate) struct Weights<'a> {
    /// `[groups][blocks][taps][outputs of the block]`.
    pub(crate) packed: *const f32,
    pub(crate) geometry: &'a Geometry,
    /// One per output channel; empty for none.
    pub(crate) bias: &'a [f32],
    pub(crate) limits: [f32; 2],
}

/// The inner loops of an architecture; a value proves that this machine has it.
pub(crate) trait Tiles: Copy {
    /// Outputs of a block: 8, 16 or 32. The last block of a group has as many times 8 as are left.
    const BLOCK: usize;

    /// Every output of a fully connected layer, with the file's weights in place.
    ///
    /// # Safety
    ///
    /// Input, output and weights have the sizes of the geometry.
    unsafe fn vector(self, operands: &Conv2dF32<'_>);

    /// Every output channel of a strip of a pointwise or general convolution.
    ///
    /// # Safety
    ///
    /// For every row, `row + (pixels - 1) * step` starts a window's runs (`runs` of one group
    /// at each group's offset) of readable floats; `output` has room for all channels of the
    /// pixels; the weights are what [`prepare_conv_2d`] wrote for the geometry.
    unsafe fn strip(self, weights: &Weights<'_>, strip: &Strip<'_>);

    /// Every channel of a strip of a depthwise convolution with weights `[KH, KW, O]` in place,
    /// and what else `convolution` says.
    ///
    /// # Safety
    ///
    /// The windows of all pixels, with `SLACK` elements behind them, are readable in every row;
    /// `strip.output` has room for all channels of the pixels; `weights` holds all taps.
    unsafe fn depthwise(self, convolution: &Weights<'_>, weights: &[f32], strip: &Strip<'_>);

    /// [`square_inputs`].
    ///
    /// # Safety
    ///
    /// As there.
    unsafe fn square_inputs(
        self,
        pixels: &[*const f32; PRODUCTS],
        channels: usize,
        to: *mut f32,
        apart: usize,
    );

    /// [`square_outputs`].
    ///
    /// # Safety
    ///
    /// As there.
    unsafe fn square_outputs(self, outputs: &SquareOutputs<'_>, to: *mut f32);
}

/// Rows of the output at whose multiples an image may be cut so that parts of it have the bits of
/// the whole.
#[cfg(any(test, feature = "std"))]
pub(crate) fn row_multiple(geometry: &Geometry) -> usize {
    Squares::of(geometry).map_or(1, |_| squares::SIDE)
}

/// Bytes of staged input.
pub(crate) fn conv_2d_scratch_bytes(geometry: &Geometry) -> usize {
    if let Some(squares) = Squares::of(geometry) {
        return squares.elements() * 4;
    }
    match Kind::of(geometry) {
        Some(Kind::Vector) | None => 0,
        Some(kind) => kind.staged_elements(geometry) * 4,
    }
}

/// Bytes of packed weights: `[groups][blocks][taps][outputs of the block]`, or those of [`Squares`].
pub(crate) fn conv_2d_prepared_bytes(geometry: &Geometry) -> usize {
    if let Some(squares) = Squares::of(geometry) {
        return squares.weights().saturating_mul(4);
    }
    match Kind::of(geometry) {
        Some(Kind::Pointwise(_) | Kind::General(_)) => {
            let outputs = padded_outputs(geometry) * geometry.groups;
            outputs.saturating_mul(geometry.taps()).saturating_mul(4)
        }
        _ => 0,
    }
}

/// Packs `[O, taps]`.
pub(crate) fn prepare_conv_2d<T: Tiles>(geometry: &Geometry, weights: &[f32], prepared: &mut [u8]) {
    if conv_2d_prepared_bytes(geometry) == 0 {
        return;
    }
    if let Some(squares) = Squares::of(geometry) {
        return squares.prepare::<T>(weights, prepared);
    }
    let taps = geometry.taps();
    let outputs = geometry.output[2] / geometry.groups;
    let mut to = prepared.chunks_exact_mut(4);
    for group in 0..geometry.groups {
        for (first, width) in blocks(outputs, T::BLOCK) {
            for tap in 0..taps {
                for output in first..first + width {
                    let at = (group * outputs + output) * taps + tap;
                    let inside = output < outputs;
                    let weight = weights.get(at).copied().filter(|_| inside).unwrap_or(0.0);
                    if let Some(bytes) = to.next() {
                        bytes.copy_from_slice(&weight.to_ne_bytes());
                    }
                }
            }
        }
    }
}

/// Operands whose sizes were compared with the geometry.
struct Checked<'a> {
    operands: &'a Conv2dF32<'a>,
    prepared: *const f32,
    /// Room for `Kind::staged_elements`.
    staged: *mut f32,
}

impl<'a> Checked<'a> {
    fn new(operands: &'a Conv2dF32<'a>) -> Option<Self> {
        let geometry = &operands.geometry;
        let scratch = cells_as::<f32>(operands.binding.scratch)?;
        let prepared = slice_as::<f32>(operands.binding.prepared)?;
        let [input, output] = [geometry.input, geometry.output].map(|n| n[0] * n[1] * n[2]);
        let fits = operands.input.len() >= input
            && operands.output.len() >= output
            && operands.weights.len() >= geometry.output[2].checked_mul(geometry.taps())?
            && prepared.len() * 4 >= conv_2d_prepared_bytes(geometry)
            && scratch.len() * 4 >= conv_2d_scratch_bytes(geometry);
        fits.then_some(Checked {
            operands,
            prepared: prepared.as_ptr(),
            staged: scratch.as_ptr().cast_mut().cast(),
        })
    }
}

/// See [`crate::f32::conv_2d`].
pub(crate) fn conv_2d<T: Tiles>(tiles: T, operands: &Conv2dF32<'_>) {
    let geometry = &operands.geometry;
    let Some((kind, checked)) = Kind::of(geometry).zip(Checked::new(operands)) else {
        return scalar::f32::conv_2d(operands);
    };
    match Squares::of(geometry) {
        Some(squares) => squares.run(tiles, &checked),
        None => run(tiles, kind, &checked),
    }
}

fn run(tiles: impl Tiles, kind: Kind, checked: &Checked<'_>) {
    match kind {
        // SAFETY: `Checked` compared the sizes with the geometry.
        Kind::Vector => unsafe { tiles.vector(checked.operands) },
        Kind::Pointwise(chunk) => pointwise(tiles, checked, chunk),
        Kind::Depthwise(staging) => rows(tiles, checked, staging, true),
        Kind::General(staging) => rows(tiles, checked, staging, false),
    }
}

/// A matrix product over pixels: in place, or chunk by chunk where the output overwrites the
/// input. A chunk's pixels are read before any of them is written, and the row contract keeps
/// later pixels whole.
fn pointwise(tiles: impl Tiles, checked: &Checked<'_>, chunk: usize) {
    let Conv2dF32 {
        geometry,
        input,
        output,
        bias,
        limits,
        ..
    } = *checked.operands;
    let [channels, outputs] = [geometry.input[2], geometry.output[2]];
    let pixels = geometry.output[0] * geometry.output[1];
    let weights = Weights {
        packed: checked.prepared,
        geometry: &geometry,
        bias,
        limits,
    };
    let staged = overlaps(&input, output);
    let size = if staged { chunk } else { pixels };
    for first in (0..pixels).step_by(size) {
        let count = size.min(pixels - first);
        // SAFETY: `first + count <= pixels`, and `Checked` compared the views' lengths with the
        // geometry; the staged chunk holds `chunk * channels` elements. `ptr::copy` allows any
        // overlap, and no reference to the elements exists.
        unsafe {
            let mut from = input.as_ptr().add(first * channels);
            if staged {
                core::ptr::copy(from, checked.staged, count * channels);
                from = checked.staged;
            }
            let rows = [from];
            let to = output
                .as_ptr()
                .cast_mut()
                .cast::<f32>()
                .add(first * outputs);
            let runs = Runs::of(&geometry);
            tiles.strip(
                &weights,
                &Strip {
                    rows: &rows,
                    runs,
                    step: channels,
                    pixels: count,
                    output: to,
                },
            );
        }
    }
}

/// Output row by output row over staged input rows.
fn rows(tiles: impl Tiles, checked: &Checked<'_>, mut staging: Staging, depthwise: bool) {
    let Conv2dF32 {
        geometry,
        input,
        output,
        weights,
        bias,
        limits,
        ..
    } = *checked.operands;
    let [rows, columns, outputs] = geometry.output;
    let channels = geometry.input[2] * staging.repeat;
    let packed = Weights {
        packed: checked.prepared,
        geometry: &geometry,
        bias,
        limits,
    };
    let runs = Runs::of(&geometry);
    let mut pointers = [core::ptr::null::<f32>(); KERNEL_ROWS_MAX];
    let pointers = &mut pointers[..geometry.window.kernel[0]];
    let input_row = geometry.input[1] * geometry.input[2];
    // SAFETY: the staged memory holds `staging.elements()` (`Checked`), of which the padding row
    // is the first part; every slot and every start that `staging` gives leaves room for a whole
    // row. Input row `row` is below `geometry.input[0]`, so it is inside the input. Output row
    // `y` is inside the output.
    unsafe {
        // Between what is copied into the slots, zeros stay for all rows.
        core::ptr::write_bytes(checked.staged, 0, staging.elements());
        for y in 0..rows {
            let stage = staging;
            staging.advance(&geometry, y, |slot, row| {
                let from = input.as_ptr().add(row * input_row);
                stage_row(&stage, &geometry, from, checked.staged.add(slot));
            });
            for (tap, pointer) in pointers.iter_mut().enumerate() {
                *pointer = checked.staged.add(staging.start(&geometry, y, tap));
            }
            let to = output
                .as_ptr()
                .cast_mut()
                .cast::<f32>()
                .add(y * columns * outputs);
            let step = geometry.window.stride[1] * channels;
            let strip = Strip {
                rows: pointers,
                runs,
                step,
                pixels: columns,
                output: to,
            };
            if depthwise {
                tiles.depthwise(&packed, weights, &strip);
            } else {
                tiles.strip(&packed, &strip);
            }
        }
    }
}

/// Copies one input row behind the zeros at the left.
///
/// # Safety
///
/// `from` has a row of `geometry.input`, `to` has room for `staging.row_elements`.
unsafe fn stage_row(staging: &Staging, geometry: &Geometry, from: *const f32, to: *mut f32) {
    let (left, repeat) = (staging.left_elements, staging.repeat);
    let copied = staging.copied_columns * geometry.input[2];
    // SAFETY: `left + copied * repeat <= used_elements <= row_elements`, and no more columns are
    // copied than the input has.
    unsafe {
        if repeat == 1 {
            core::ptr::copy(from, to.add(left), copied);
        } else {
            for i in 0..copied * repeat {
                to.add(left + i).write(from.add(i / repeat).read());
            }
        }
    }
}
