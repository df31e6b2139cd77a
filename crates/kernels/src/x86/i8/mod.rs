//! int8 convolutions: sizes and the loop over rows. Inputs are widened to 16 bits while they
//! are staged, and pairs of taps are multiplied and added by one instruction (`vpmaddwd`),
//! which is exact for every pair of int8 products.

mod depthwise;
mod finish;
mod line;
mod pack;
mod pool;
mod stage;
mod tile;
mod vector;

use super::Avx2;
use super::plan::{KERNEL_ROWS_MAX, Kind, Runs, Staging};
use crate::memory::{cells_as, slice_as};
use crate::{Channels, Conv2dI8, Geometry, scalar};
pub(crate) use line::{add, lookup};
pub(crate) use pack::{conv_2d_prepared_bytes, prepare_conv_2d};
pub(crate) use pool::{average_pool_2d, max_pool_2d};
use tile::{Strip, Weights};

/// Bytes of staged input.
pub(crate) fn conv_2d_scratch_bytes(geometry: &Geometry) -> usize {
    Kind::of(geometry).map_or(0, |kind| kind.staged_elements(geometry) * 2)
}

/// Operands whose sizes were compared with the geometry.
struct Checked<'a> {
    operands: &'a Conv2dI8<'a>,
    /// As [`pack`] lays it out.
    prepared: *const i16,
    /// Room for `Kind::staged_elements`.
    staged: *mut i16,
}

impl<'a> Checked<'a> {
    fn new(operands: &'a Conv2dI8<'a>) -> Option<Self> {
        let geometry = &operands.geometry;
        let scratch = cells_as::<i16>(operands.binding.scratch)?;
        let prepared = slice_as::<i16>(operands.binding.prepared)?;
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
            && prepared.len() * 2 >= conv_2d_prepared_bytes(geometry)
            && scratch.len() * 2 >= conv_2d_scratch_bytes(geometry);
        fits.then_some(Checked {
            operands,
            prepared: prepared.as_ptr(),
            staged: scratch.as_ptr().cast_mut().cast(),
        })
    }
}

/// See [`crate::i8::conv_2d`].
pub(crate) fn conv_2d(_avx2: Avx2, operands: &Conv2dI8<'_>) {
    let kind = Kind::of(&operands.geometry);
    let checked = kind.and_then(|kind| Some((kind, Checked::new(operands)?)));
    match checked {
        // SAFETY: `_avx2` proves the features.
        Some((kind, checked)) => unsafe { run(kind, &checked) },
        None => scalar::i8::conv_2d(operands),
    }
}

#[target_feature(enable = "avx2,fma")]
fn run(kind: Kind, checked: &Checked<'_>) {
    match kind {
        // SAFETY: `Checked` compared the sizes with the geometry.
        Kind::Vector => unsafe { vector::multiply(checked.operands, checked.staged) },
        Kind::Pointwise(chunk) => pointwise(checked, chunk),
        Kind::Depthwise(staging) => rows(checked, staging, true),
        Kind::General(staging) => rows(checked, staging, false),
    }
}

/// A matrix product over pixels, chunk by chunk. A chunk's pixels are staged before any of them
/// is written, and the row contract keeps later pixels whole.
#[target_feature(enable = "avx2,fma")]
fn pointwise(checked: &Checked<'_>, chunk: usize) {
    let Conv2dI8 {
        geometry,
        input,
        output,
        ..
    } = *checked.operands;
    let [channels, outputs] = [geometry.input[2], geometry.output[2]];
    let pixels = geometry.output[0] * geometry.output[1];
    let runs = Runs::of(&geometry);
    let weights = Weights {
        packed: checked.prepared,
        operands: checked.operands,
        runs,
    };
    for first in (0..pixels).step_by(chunk) {
        let count = chunk.min(pixels - first);
        // SAFETY: `first + count <= pixels`, and `Checked` compared the views' lengths with the
        // geometry; the staged chunk holds `chunk * channels` elements and slack.
        unsafe {
            let from = input.as_ptr().add(first * channels);
            stage::widen(from, checked.staged, count * channels);
            let rows = [checked.staged.cast_const()];
            let to = output.as_ptr().cast_mut().cast::<i8>().add(first * outputs);
            weights.strip(&Strip {
                rows: &rows,
                step: channels,
                pixels: count,
                output: to,
            });
        }
    }
}

/// Output row by output row over staged input rows.
#[target_feature(enable = "avx2,fma")]
fn rows(checked: &Checked<'_>, mut staging: Staging, depthwise: bool) {
    let Conv2dI8 {
        geometry,
        input,
        output,
        input_zero_point,
        ..
    } = *checked.operands;
    let [rows, columns, outputs] = geometry.output;
    let channels = geometry.input[2] * staging.repeat;
    let runs = Runs::of(&geometry);
    let weights = Weights {
        packed: checked.prepared,
        operands: checked.operands,
        runs,
    };
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
                depthwise::strip(&strip, checked.operands, checked.prepared);
            } else {
                weights.strip(&strip);
            }
        }
    }
}
