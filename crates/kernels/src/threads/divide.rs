//! Convolutions in parts: rows of the image, pixels of a matrix product, outputs of a fully
//! connected layer.
//!
//! A part is a convolution itself, of a smaller image, with the same packed weights; but for kernels that
//! share outputs (`i8::shares_outputs`) it is the whole one, of which they compute some. Kernels sum up every
//! output in an order that does not depend on the image's size.

use super::pool::{PARTS_MAX, ThreadPool};
use crate::Geometry;
use core::ops::Range;

/// Multiplications of a part from which on there are more parts than threads, so that one that
/// comes late, or is interrupted, finds less left to do.
const PART_MULTIPLICATIONS: usize = 1 << 22;

/// The most parts for each thread.
const PARTS_PER_THREAD_MAX: usize = 4;

/// What a multiplication of a depthwise convolution takes, in those of others.
const DEPTHWISE_COST: usize = 4;

/// Outputs are cut at multiples of so many: a block of every kernel set.
const OUTPUTS: usize = 16;

/// A part of a convolution of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Its shapes.
    pub(super) geometry: Geometry,
    /// Its input's elements.
    pub(super) input: Range<usize>,
    /// Its output's elements.
    pub(super) output: Range<usize>,
    /// The output channels that it computes.
    pub(super) channels: Range<usize>,
}

/// Along which axis a convolution is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    /// Rows of the output, with the input rows under their windows, so many at a time.
    Rows(usize),
    /// Pixels, in a matrix product.
    Pixels,
    /// Blocks of outputs, where there is one pixel or few.
    Outputs,
}

impl Axis {
    /// For kernels whose parts start at multiples of so many rows.
    pub(super) fn of(geometry: &Geometry, row_multiple: usize) -> Self {
        match (geometry.is_pointwise(), geometry.output) {
            (true, [1, 1, _]) => Axis::Outputs,
            (true, _) => Axis::Pixels,
            _ => Axis::Rows(row_multiple),
        }
    }

    /// The most parts that there can be.
    fn parts_max(self, geometry: &Geometry) -> usize {
        let [rows, columns, outputs] = geometry.output;
        match self {
            Axis::Rows(multiple) => rows.div_ceil(multiple),
            // One pixel alone would be a fully connected layer, with weights in another order.
            Axis::Pixels => rows * columns / 2,
            Axis::Outputs => outputs / OUTPUTS,
        }
    }
}

/// Number `index` of `parts` nearly equal parts of `whole`.
pub(super) fn share(whole: usize, index: usize, parts: usize) -> Range<usize> {
    let (each, longer) = (whole / parts, whole % parts);
    let start = |index: usize| each * index + longer.min(index);
    start(index)..start(index + 1)
}

impl Part {
    /// Number `index` of `parts`. Together they are the whole output.
    pub(super) fn of(geometry: &Geometry, axis: Axis, index: usize, parts: usize) -> Part {
        let [rows, columns, outputs] = geometry.output;
        match axis {
            Axis::Rows(multiple) => {
                let share = share(rows.div_ceil(multiple), index, parts);
                let [start, end] = [share.start, share.end].map(|end| rows.min(end * multiple));
                Part::rows(geometry, start..end)
            }
            Axis::Pixels => {
                let pixels = share(rows * columns, index, parts);
                let inputs = geometry.input[2];
                let mut part = *geometry;
                part.input = [1, pixels.len(), inputs];
                part.output = [1, pixels.len(), outputs];
                Part {
                    geometry: part,
                    input: pixels.start * inputs..pixels.end * inputs,
                    output: pixels.start * outputs..pixels.end * outputs,
                    channels: 0..outputs,
                }
            }
            Axis::Outputs => {
                let blocks = share(outputs / OUTPUTS, index, parts);
                let end = if index + 1 == parts {
                    outputs
                } else {
                    blocks.end * OUTPUTS
                };
                let channels = blocks.start * OUTPUTS..end;
                let mut part = *geometry;
                part.output[2] = channels.len();
                Part {
                    geometry: part,
                    input: 0..geometry.input[2],
                    output: channels.clone(),
                    channels,
                }
            }
        }
    }

    /// Some rows of the output, with the rows of the input that are under their windows.
    fn rows(geometry: &Geometry, rows: Range<usize>) -> Part {
        let window = &geometry.window;
        let [height, width, inputs] = geometry.input;
        let [_, columns, outputs] = geometry.output;
        let start = rows.start.saturating_mul(window.stride[0]);
        let reach = window.kernel[0]
            .saturating_sub(1)
            .saturating_mul(window.dilation[0]);
        let last = (rows.end - 1)
            .saturating_mul(window.stride[0])
            .saturating_add(reach);
        // The row behind the last one that is under a window.
        let end = last
            .saturating_add(1)
            .saturating_sub(window.padding[0])
            .min(height);
        let first = start.saturating_sub(window.padding[0]).min(end);
        let mut part = *geometry;
        part.window.padding[0] = window.padding[0].saturating_sub(start);
        part.input[0] = end - first;
        part.output[0] = rows.len();
        Part {
            geometry: part,
            input: first * width * inputs..end * width * inputs,
            output: rows.start * columns * outputs..rows.end * columns * outputs,
            channels: 0..outputs,
        }
    }
}

/// How many parts a convolution has for so many threads; 1 where more would gain nothing, or where a
/// part would be a matrix product that the whole is not because of the rows above it.
pub(super) fn parts(geometry: &Geometry, axis: Axis, pool: &ThreadPool) -> usize {
    let threads = pool.threads();
    let mut below = *geometry;
    below.window.padding[0] = 0;
    if below.is_pointwise() != geometry.is_pointwise() {
        return 1;
    }
    let outputs: usize = geometry.output.iter().product();
    let cost = if geometry.is_depthwise() {
        DEPTHWISE_COST
    } else {
        1
    };
    let work = outputs.saturating_mul(geometry.taps()).saturating_mul(cost);
    let each = (work / threads / PART_MULTIPLICATIONS).clamp(1, PARTS_PER_THREAD_MAX);
    (threads * each)
        .min(work / pool.part_multiplications_min())
        .min(axis.parts_max(geometry))
        .min(PARTS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Window;
    use std::vec::Vec;

    /// Rows 0 to 3 and 3 to 5 of a 3 x 3 convolution with padding and a step of 2 over 9 rows: the
    /// second part's first window starts at row 5.
    #[test]
    fn rows_take_the_rows_under_their_windows() {
        let window = Window {
            kernel: [3, 3],
            stride: [2, 2],
            dilation: [1, 1],
            padding: [1, 1],
        };
        let geometry = Geometry {
            input: [9, 9, 4],
            output: [5, 5, 7],
            window,
            groups: 1,
        };
        let part = |index| Part::of(&geometry, Axis::Rows(1), index, 2);
        let first = Part {
            geometry: Geometry {
                input: [6, 9, 4],
                output: [3, 5, 7],
                ..geometry
            },
            input: 0..6 * 36,
            output: 0..3 * 35,
            channels: 0..7,
        };
        assert_eq!(part(0), first);
        let mut unpadded = window;
        unpadded.padding[0] = 0;
        let second = Part {
            geometry: Geometry {
                input: [4, 9, 4],
                output: [2, 5, 7],
                window: unpadded,
                groups: 1,
            },
            input: 5 * 36..9 * 36,
            output: 3 * 35..5 * 35,
            channels: 0..7,
        };
        assert_eq!(part(1), second);
    }

    /// Windows of 1 x 1 with a row of padding above: without that row, weights would be packed in
    /// another order.
    #[test]
    fn parts_are_of_the_kind_of_the_whole() {
        let geometry = Geometry {
            input: [7, 1, 27],
            output: [8, 1, 2],
            window: Window {
                kernel: [1, 1],
                stride: [1, 1],
                dilation: [1, 1],
                padding: [1, 0],
            },
            groups: 1,
        };
        let pool = ThreadPool::new(3, 0).unwrap().for_all_layers();
        assert_eq!(parts(&geometry, Axis::of(&geometry, 1), &pool), 1);
        let mut inside = geometry;
        (inside.window.padding, inside.input[0]) = ([0, 0], 8);
        assert_eq!(parts(&inside, Axis::of(&inside, 1), &pool), 3);
    }

    #[test]
    fn parts_are_the_whole() {
        for whole in [1, 2, 7, 64] {
            for parts in 1..=whole {
                let shares: Vec<usize> = (0..parts).flat_map(|i| share(whole, i, parts)).collect();
                assert_eq!(shares, (0..whole).collect::<Vec<_>>());
                assert!((0..parts).all(|i| share(whole, i, parts).len() >= whole / parts));
            }
        }
    }
}
