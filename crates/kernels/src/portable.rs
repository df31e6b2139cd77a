//! int8 convolutions for processors without any vector: four channels at a time, so that an input
//! is read once for four weights, over runs of elements whose addresses are computed once.

use crate::scalar::{position, taps_inside};
use crate::{Channels, Conv2dI8, Geometry, scalar};
use core::ops::Range;

/// Rows of a window, or taps of a depthwise one, whose addresses are on the stack.
const ROWS_MAX: usize = 10;
const TAPS_MAX: usize = 25;

/// Weights that follow each other, and the inputs under them.
#[derive(Clone, Copy)]
struct Run {
    /// Null for padding.
    input: *const i8,
    count: usize,
}

/// See [`crate::i8::conv_2d`].
pub(crate) fn conv_2d(operands: &Conv2dI8<'_>) {
    let geometry = &operands.geometry;
    let [kernel_rows, kernel_columns] = geometry.window.kernel;
    if !fits(operands) || geometry.output[2] < 4 {
        return scalar::i8::conv_2d(operands);
    }
    let is_depthwise = geometry.groups > 1 && geometry.input[2] == geometry.output[2];
    if geometry.groups == 1 && geometry.window.dilation[1] == 1 && kernel_rows <= ROWS_MAX {
        each_pixel(geometry, |at, pixel| dense(operands, at, pixel));
    } else if is_depthwise && geometry.is_depthwise() && kernel_rows * kernel_columns <= TAPS_MAX {
        each_pixel(geometry, |at, pixel| depthwise(operands, at, pixel));
    } else {
        scalar::i8::conv_2d(operands);
    }
}

/// Whether operands have at least the sizes of the geometry.
fn fits(operands: &Conv2dI8<'_>) -> bool {
    let geometry = &operands.geometry;
    let [input, output] = [geometry.input, geometry.output].map(|[a, b, c]| a * b * c);
    let weights = geometry.output[2].checked_mul(geometry.taps());
    operands.input.len() >= input
        && operands.output.len() >= output
        && weights.is_some_and(|weights| operands.weights.len() >= weights)
        && match operands.channels {
            Channels::High(words) => words.len() >= geometry.output[2],
            Channels::Wide(words) => words.len() / 3 >= geometry.output[2],
        }
}

fn each_pixel(geometry: &Geometry, compute: impl Fn([usize; 2], usize)) {
    let [rows, columns, _] = geometry.output;
    for y in 0..rows {
        for x in 0..columns {
            compute([y, x], y * columns + x);
        }
    }
}

/// Calls `sum` for every four channels, the last of which may begin among those that are done,
/// and writes the outputs.
fn each_four(operands: &Conv2dI8<'_>, pixel: usize, sum: impl Fn(usize, &mut [i32; 4])) {
    let outputs = operands.geometry.output[2];
    for block in (0..outputs).step_by(4) {
        let first = block.min(outputs - 4);
        let mut sums =
            [0, 1, 2, 3].map(|i| operands.channels.bias(&operands.requantize, first + i));
        sum(first, &mut sums);
        let at = pixel * outputs + first;
        let cells = operands.output.get(at..at + 4).unwrap_or(&[]);
        for (i, (cell, sum)) in cells.iter().zip(sums).enumerate() {
            cell.set(
                operands
                    .channels
                    .finish(&operands.requantize, first + i, sum),
            );
        }
    }
}

/// One pixel of a convolution of all channels.
#[inline(never)]
fn dense(operands: &Conv2dI8<'_>, at: [usize; 2], pixel: usize) {
    let geometry = &operands.geometry;
    let taps = geometry.taps();
    let mut runs = [Run {
        input: core::ptr::null(),
        count: 0,
    }; ROWS_MAX * 3];
    let count = find_runs(operands, at, &mut runs);
    let runs = runs.get(..count).unwrap_or(&[]);
    each_four(operands, pixel, |first, sums| {
        let mut weights = operands.weights.as_ptr().wrapping_add(first * taps);
        for run in runs {
            // SAFETY: runs have inputs for their count, together as many as a row of weights,
            // and there are rows for channels `first..first + 4`.
            unsafe {
                match run.input.is_null() {
                    true => {
                        let zero_point = &raw const operands.input_zero_point;
                        products::<0>(zero_point, weights, taps, run.count, sums);
                    }
                    false => products::<1>(run.input, weights, taps, run.count, sums),
                }
            }
            weights = weights.wrapping_add(run.count);
        }
    });
}

/// Finds what is under the window of a pixel, in the order of weights, and tells how many runs.
fn find_runs(operands: &Conv2dI8<'_>, at: [usize; 2], runs: &mut [Run]) -> usize {
    let geometry = &operands.geometry;
    let [_, input_columns, channels] = geometry.input;
    let [kernel_rows, kernel_columns] = geometry.window.kernel;
    let (rows, columns) = (
        taps_inside(geometry, 0, at[0]),
        taps_inside(geometry, 1, at[1]),
    );
    let column = position(geometry, 1, at[1], columns.start);
    let mut places = runs.iter_mut();
    let mut found = 0;
    let mut add = |input, taps: Range<usize>| {
        if !taps.is_empty()
            && let Some(place) = places.next()
        {
            *place = Run {
                input,
                count: taps.len() * channels,
            };
            found += 1;
        }
    };
    for row in 0..kernel_rows {
        if !rows.contains(&row) || columns.is_empty() {
            add(core::ptr::null(), 0..kernel_columns);
            continue;
        }
        let pixel = position(geometry, 0, at[0], row) * input_columns + column;
        let input = operands.input.as_ptr().wrapping_add(pixel * channels);
        add(core::ptr::null(), 0..columns.start);
        add(input, columns.clone());
        add(core::ptr::null(), columns.end..kernel_columns);
    }
    found
}

/// Adds the products of inputs, `STEP` apart, and four rows of weights, `taps` apart.
///
/// # Safety
///
/// Inputs and rows are readable for `count` elements.
#[inline(always)]
unsafe fn products<const STEP: usize>(
    input: *const i8,
    weights: *const i8,
    taps: usize,
    count: usize,
    sums: &mut [i32; 4],
) {
    let rows = [0, 1, 2, 3].map(|row| weights.wrapping_add(row * taps));
    let [mut a, mut b, mut c, mut d] = *sums;
    for i in 0..count {
        // SAFETY: the caller's promise.
        unsafe {
            let value = i32::from(input.add(i * STEP).read());
            a = a.wrapping_add(value * i32::from(rows[0].add(i).read()));
            b = b.wrapping_add(value * i32::from(rows[1].add(i).read()));
            c = c.wrapping_add(value * i32::from(rows[2].add(i).read()));
            d = d.wrapping_add(value * i32::from(rows[3].add(i).read()));
        }
    }
    *sums = [a, b, c, d];
}

/// One pixel of a convolution of each channel on its own.
#[inline(never)]
fn depthwise(operands: &Conv2dI8<'_>, at: [usize; 2], pixel: usize) {
    let geometry = &operands.geometry;
    let [_, input_columns, channels] = geometry.input;
    let [kernel_rows, kernel_columns] = geometry.window.kernel;
    let (rows, columns) = (
        taps_inside(geometry, 0, at[0]),
        taps_inside(geometry, 1, at[1]),
    );
    let mut taps = [(core::ptr::null(), core::ptr::null()); TAPS_MAX];
    let mut places = taps.iter_mut();
    for row in rows.clone() {
        let start = position(geometry, 0, at[0], row) * input_columns;
        for column in columns.clone() {
            let pixel = start + position(geometry, 1, at[1], column);
            let weights = (row * kernel_columns + column) * channels;
            if let Some(place) = places.next() {
                let input = operands.input.as_ptr().wrapping_add(pixel * channels);
                *place = (input, operands.weights.as_ptr().wrapping_add(weights));
            }
        }
    }
    let is_padded = rows.len() * columns.len() < kernel_rows * kernel_columns;
    let taps = taps.get(..rows.len() * columns.len()).unwrap_or(&[]);
    each_four(operands, pixel, |first, sums| {
        if is_padded {
            add_padding(operands, [&rows, &columns], first, sums);
        }
        for (input, weights) in taps {
            for (i, sum) in sums.iter_mut().enumerate() {
                // SAFETY: taps are pixels of the input, and have weights for every channel;
                // channels `first..first + 4` exist.
                let product = unsafe {
                    let weight = i32::from(weights.add(first + i).read());
                    i32::from(input.add(first + i).read()) * weight
                };
                *sum = sum.wrapping_add(product);
            }
        }
    });
}

/// Adds the products of zero points for the taps that are outside.
fn add_padding(
    operands: &Conv2dI8<'_>,
    [rows, columns]: [&Range<usize>; 2],
    first: usize,
    sums: &mut [i32; 4],
) {
    let channels = operands.geometry.input[2];
    let [kernel_rows, kernel_columns] = operands.geometry.window.kernel;
    let zero_point = i32::from(operands.input_zero_point);
    for row in 0..kernel_rows {
        for column in 0..kernel_columns {
            if rows.contains(&row) && columns.contains(&column) {
                continue;
            }
            let from = (row * kernel_columns + column) * channels + first;
            let weights = operands.weights.get(from..from + 4).unwrap_or(&[]);
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum = sum.wrapping_add(zero_point * i32::from(*weight));
            }
        }
    }
}
