//! Float convolutions: sizes, packing, staging, and the loop over rows.

mod depthwise;
mod tile;
mod vector;

use super::Avx2;
use super::plan::{KERNEL_ROWS_MAX, Kind, Runs, Staging, blocks, padded_outputs};
use crate::memory::{cells_as, overlaps, slice_as};
use crate::{Conv2dF32, Geometry, scalar};
use tile::{Strip, Weights};

/// Bytes of staged input.
pub(crate) fn conv_2d_scratch_bytes(geometry: &Geometry) -> usize {
    match Kind::of(geometry) {
        Some(Kind::Vector) | None => 0,
        Some(kind) => kind.staged_elements(geometry) * 4,
    }
}

/// Bytes of packed weights: `[groups][blocks][taps][8 or 16]`.
pub(crate) fn conv_2d_prepared_bytes(geometry: &Geometry) -> usize {
    match Kind::of(geometry) {
        Some(Kind::Pointwise(_) | Kind::General(_)) => {
            let outputs = padded_outputs(geometry) * geometry.groups;
            outputs.saturating_mul(geometry.taps()).saturating_mul(4)
        }
        _ => 0,
    }
}

/// Packs `[O, taps]`.
pub(crate) fn prepare_conv_2d(geometry: &Geometry, weights: &[f32], prepared: &mut [u8]) {
    if conv_2d_prepared_bytes(geometry) == 0 {
        return;
    }
    let taps = geometry.taps();
    let outputs = geometry.output[2] / geometry.groups;
    let mut to = prepared.chunks_exact_mut(4);
    for group in 0..geometry.groups {
        for (first, width) in blocks(outputs) {
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
pub(crate) fn conv_2d(_avx2: Avx2, operands: &Conv2dF32<'_>) {
    let kind = Kind::of(&operands.geometry);
    let checked = kind.and_then(|kind| Some((kind, Checked::new(operands)?)));
    match checked {
        // SAFETY: `_avx2` proves the features.
        Some((kind, checked)) => unsafe { run(kind, &checked) },
        None => scalar::f32::conv_2d(operands),
    }
}

#[target_feature(enable = "avx2,fma")]
fn run(kind: Kind, checked: &Checked<'_>) {
    match kind {
        Kind::Vector => vector::multiply(checked.operands),
        Kind::Pointwise(chunk) => pointwise(checked, chunk),
        Kind::Depthwise(staging) => rows(checked, staging, true),
        Kind::General(staging) => rows(checked, staging, false),
    }
}

/// A matrix product over pixels: in place, or chunk by chunk where the output overwrites the
/// input. A chunk's pixels are read before any of them is written, and the row contract keeps
/// later pixels whole.
#[target_feature(enable = "avx2,fma")]
fn pointwise(checked: &Checked<'_>, chunk: usize) {
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
            weights.strip(&Strip {
                rows: &rows,
                runs,
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
        core::ptr::write_bytes(checked.staged, 0, staging.row_elements);
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
                depthwise::strip(&strip, &geometry, weights, bias, limits);
            } else {
                packed.strip(&strip);
            }
        }
    }
}

/// Copies one input row between zeros.
///
/// # Safety
///
/// `from` has a row of `geometry.input`, `to` has room for `staging.row_elements`.
unsafe fn stage_row(staging: &Staging, geometry: &Geometry, from: *const f32, to: *mut f32) {
    let (left, repeat) = (staging.left_elements, staging.repeat);
    let copied = staging.copied_columns * geometry.input[2];
    let right = left + copied * repeat;
    // SAFETY: `left + copied * repeat <= used_elements <= row_elements`, and no more columns are
    // copied than the input has.
    unsafe {
        core::ptr::write_bytes(to, 0, left);
        if repeat == 1 {
            core::ptr::copy(from, to.add(left), copied);
        } else {
            for i in 0..copied * repeat {
                to.add(left + i).write(from.add(i / repeat).read());
            }
        }
        core::ptr::write_bytes(to.add(right), 0, staging.used_elements - right);
    }
}
