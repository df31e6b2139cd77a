//! Windows of 3 x 3 by the minimal algorithm F(4 x 4, 3 x 3): Winograd, "Arithmetic Complexity of
//! Computations", 1980, as Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks",
//! 2016, apply it to convolutions.
//!
//! A square of 6 x 6 pixels becomes 36 numbers of every channel. Each of them is multiplied by
//! weights of its own, a matrix product over squares, and the 36 sums of every output channel
//! become a square of 4 x 4 outputs: 36 multiplications where windows take 144.

use super::{Checked, Strip, Tiles, Weights};
use crate::tiled::plan::{Runs, blocks, padded_outputs};
use crate::tiled::squares::pixels;
use crate::{Geometry, Window};

/// Output pixels of a square's side.
pub(crate) const SIDE: usize = 4;

/// Input pixels of a square's side.
const REACH: usize = SIDE + 2;

/// Numbers of a square in every channel.
pub(crate) const PRODUCTS: usize = REACH * REACH;

/// What channels are a multiple of: transforms take no part of a vector.
const CHANNEL_MULTIPLE: usize = 8;

/// The most outputs of a block.
const OUTPUTS_MAX: usize = 32;

/// The fewest pairs of an input and an output channel that are worth the transforms.
const CHANNEL_PAIRS_MIN: usize = 256;

/// Squares that are computed together, at least: tiles of six, and few starts of loops.
const TOGETHER_MIN: usize = 12;

/// Elements between the products' matrices: their lines are not to fall on one set of a cache.
const GAP: usize = 16;

/// Working memory that is too much: wide images are left to loops over windows.
const ELEMENTS_MAX: usize = 1 << 19;

/// How the outputs of a convolution are cut into squares. Nothing in it depends on how many rows
/// an image has, so that rows may be computed in parts that start at multiples of [`SIDE`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Squares {
    /// Squares side by side.
    across: usize,
    /// Rows of squares that are computed together.
    lines: usize,
    inputs: usize,
    outputs: usize,
}

impl Squares {
    /// `None` where windows do not have that form, or are better multiplied one by one.
    pub(crate) fn of(geometry: &Geometry) -> Option<Squares> {
        if !geometry.is_three_by_three() {
            return None;
        }
        let [inputs, outputs] = [geometry.input[2], geometry.output[2]];
        let is_whole = inputs % CHANNEL_MULTIPLE == 0 && outputs % CHANNEL_MULTIPLE == 0;
        let columns = geometry.output[1];
        let is_worth = inputs.checked_mul(outputs)? >= CHANNEL_PAIRS_MIN && columns >= SIDE - 1;
        let across = columns.div_ceil(SIDE);
        let squares = Squares {
            across,
            lines: TOGETHER_MIN.div_ceil(across.max(1)),
            inputs,
            outputs,
        };
        let is_moderate = inputs.max(outputs).max(columns) < 1 << 12;
        let serves = is_whole && is_worth && is_moderate;
        (serves && squares.elements() <= ELEMENTS_MAX).then_some(squares)
    }

    fn together(&self) -> usize {
        self.lines * self.across
    }

    /// Elements between the matrices of products' inputs and between those of their outputs.
    fn apart(&self) -> [usize; 2] {
        [self.inputs, self.outputs].map(|channels| self.together() * channels + GAP)
    }

    /// Elements of working memory: `[products][squares][inputs]`, `[products][squares][outputs]`,
    /// and a pixel of zeros.
    pub(crate) fn elements(&self) -> usize {
        let [input, output] = self.apart();
        PRODUCTS * (input + output) + self.inputs
    }

    /// The matrix product that every number of a square is part of.
    fn product(&self, squares: usize) -> Geometry {
        Geometry {
            input: [1, squares, self.inputs],
            output: [1, squares, self.outputs],
            window: Window {
                kernel: [1, 1],
                stride: [1, 1],
                dilation: [1, 1],
                padding: [0, 0],
            },
            groups: 1,
        }
    }

    /// Elements of packed weights.
    pub(crate) fn weights(&self) -> usize {
        PRODUCTS
            .saturating_mul(padded_outputs(&self.product(1)))
            .saturating_mul(self.inputs)
    }

    /// Packs `[O, 3, 3, I]`, one matrix behind the other.
    pub(super) fn prepare<T: Tiles>(&self, weights: &[f32], prepared: &mut [u8]) {
        let matrix_bytes = padded_outputs(&self.product(1)) * self.inputs * 4;
        let mut start = 0;
        for (first, width) in blocks(self.outputs, T::BLOCK) {
            for input in 0..self.inputs {
                let mut lines = [[[0; 4]; OUTPUTS_MAX]; PRODUCTS];
                for i in 0..width.min(self.outputs - first) {
                    let at = (first + i) * 9 * self.inputs + input;
                    let tap = |tap: usize| weights.get(at + tap * self.inputs).copied();
                    let numbers = transform(core::array::from_fn(|i| tap(i).unwrap_or(0.0)));
                    for (line, number) in lines.iter_mut().zip(numbers) {
                        line[i] = number.to_ne_bytes();
                    }
                }
                let places = prepared.get_mut(start..).unwrap_or(&mut []);
                for (matrix, line) in places.chunks_mut(matrix_bytes).zip(&lines) {
                    let bytes = line[..width].as_flattened();
                    matrix[..bytes.len()].copy_from_slice(bytes);
                }
                start += 4 * width;
            }
        }
    }

    /// Computes all outputs. Rows of squares are read before any of them is written, and what they
    /// overwrite are rows that later squares do not need: this is the row contract, four rows at a
    /// time.
    pub(super) fn run<T: Tiles>(&self, tiles: T, checked: &Checked<'_>) {
        let geometry = &checked.operands.geometry;
        let [input_apart, output_apart] = self.apart();
        let lines = geometry.output[0].div_ceil(SIDE);
        // SAFETY: `Checked` compared the working memory with `elements`, of which these are the
        // parts, and the packed weights with `weights`; input and output hold their images.
        unsafe {
            let transformed = checked.staged;
            let sums = transformed.add(PRODUCTS * input_apart);
            let zeros = sums.add(PRODUCTS * output_apart);
            core::ptr::write_bytes(zeros, 0, self.inputs);
            for first in (0..lines).step_by(self.lines) {
                let squares = self.lines.min(lines - first) * self.across;
                for square in 0..squares {
                    let place = [first + square / self.across, square % self.across];
                    let input = checked.operands.input.as_ptr();
                    let pixels = pixels::<f32, REACH, PRODUCTS>(geometry, input, place, zeros);
                    let to = transformed.add(square * self.inputs);
                    tiles.square_inputs(&pixels, self.inputs, to, input_apart);
                }
                self.multiply(tiles, checked, squares, [transformed, sums]);
                for square in 0..squares {
                    let [y, x] = [first + square / self.across, square % self.across];
                    let outputs = SquareOutputs {
                        sums: sums.add(square * self.outputs),
                        apart: output_apart,
                        pixels: [
                            SIDE.min(geometry.output[0] - SIDE * y),
                            SIDE.min(geometry.output[1] - SIDE * x),
                        ],
                        columns: geometry.output[1],
                        channels: self.outputs,
                        bias: checked.operands.bias,
                        limits: checked.operands.limits,
                    };
                    let pixel = SIDE * (y * geometry.output[1] + x);
                    let output = checked.operands.output.as_ptr().cast_mut().cast::<f32>();
                    tiles.square_outputs(&outputs, output.add(pixel * self.outputs));
                }
            }
        }
    }

    /// The matrix products of so many squares.
    ///
    /// # Safety
    ///
    /// The matrices hold as many squares.
    unsafe fn multiply<T: Tiles>(
        &self,
        tiles: T,
        checked: &Checked<'_>,
        squares: usize,
        [transformed, sums]: [*mut f32; 2],
    ) {
        let geometry = &self.product(squares);
        let [input_apart, output_apart] = self.apart();
        let matrix = padded_outputs(geometry) * self.inputs;
        for product in 0..PRODUCTS {
            // SAFETY: the caller's promise; the packed weights have as many matrices.
            unsafe {
                let weights = Weights {
                    packed: checked.prepared.add(product * matrix),
                    geometry,
                    bias: &[],
                    limits: [f32::NEG_INFINITY, f32::INFINITY],
                };
                let rows = [transformed.add(product * input_apart).cast_const()];
                let strip = Strip {
                    rows: &rows,
                    runs: Runs::of(geometry),
                    step: self.inputs,
                    pixels: squares,
                    output: sums.add(product * output_apart),
                };
                tiles.strip(&weights, &strip);
            }
        }
    }
}

/// `G g G'` for a window, with the rows of `G` for the points 0, 1, -1, 2, -2 and infinity.
fn transform(window: [f32; 9]) -> [f32; PRODUCTS] {
    let six = |[a, b, c]: [f64; 3]| {
        let (near, far) = ((a + c) / 6.0, a / 24.0 + c / 6.0);
        let (near_odd, far_odd) = (b / 6.0, b / 12.0);
        [
            a / 4.0,
            -near - near_odd,
            near_odd - near,
            far + far_odd,
            far - far_odd,
            c,
        ]
    };
    let at = |row: usize, column: usize| f64::from(window[3 * row + column]);
    let columns = [0, 1, 2].map(|column| six([at(0, column), at(1, column), at(2, column)]));
    let mut numbers = [0.0; PRODUCTS];
    for (i, line) in numbers.chunks_exact_mut(REACH).enumerate() {
        let row = six([columns[0][i], columns[1][i], columns[2][i]]);
        line.iter_mut()
            .zip(row)
            .for_each(|(to, number)| *to = number as f32);
    }
    numbers
}

/// What becomes a square of outputs.
pub(crate) struct SquareOutputs<'a> {
    /// The first of the square's 36 sums of the first channel.
    sums: *const f32,
    /// Elements from sum to sum.
    apart: usize,
    /// Rows and columns that exist: up to 4.
    pixels: [usize; 2],
    /// Columns of the whole output.
    columns: usize,
    pub(crate) channels: usize,
    /// One per channel; empty for none.
    bias: &'a [f32],
    limits: [f32; 2],
}

/// A vector of an architecture. Its functions are for code that is compiled for it.
pub(crate) trait Vector: Copy {
    /// Elements: 4, 8 or 16.
    const LANES: usize;

    /// # Safety
    ///
    /// As many elements are readable.
    unsafe fn load(from: *const f32) -> Self;

    /// # Safety
    ///
    /// As many elements are writable.
    unsafe fn store(self, to: *mut f32);

    /// # Safety
    ///
    /// The machine has such vectors, here and below.
    unsafe fn add(self, other: Self) -> Self;

    /// See [`Vector::add`].
    unsafe fn subtract(self, other: Self) -> Self;

    /// `self + other * factor`.
    unsafe fn add_times(self, other: Self, factor: f32) -> Self;

    /// Applies the fused activation; NaN becomes the lower limit.
    unsafe fn limit(self, limits: [f32; 2]) -> Self;
}

/// `B' d` for a row or a column of a square.
///
/// # Safety
///
/// As for [`Vector`].
#[inline(always)]
unsafe fn inputs_of<V: Vector>([a, b, c, d, e, f]: [V; REACH]) -> [V; REACH] {
    // SAFETY: the caller's promise.
    unsafe {
        let (even, odd) = (e.add_times(c, -4.0), d.add_times(b, -4.0));
        let (outer, inner) = (e.subtract(c), d.subtract(b));
        [
            e.add_times(c, -5.0).add_times(a, 4.0),
            even.add(odd),
            even.subtract(odd),
            outer.add_times(inner, 2.0),
            outer.add_times(inner, -2.0),
            f.add_times(d, -5.0).add_times(b, 4.0),
        ]
    }
}

/// `A' m` for a row or a column of sums.
///
/// # Safety
///
/// As for [`Vector`].
#[inline(always)]
unsafe fn outputs_of<V: Vector>([a, b, c, d, e, f]: [V; REACH]) -> [V; SIDE] {
    // SAFETY: the caller's promise.
    unsafe {
        let (near, far) = (b.add(c), d.add(e));
        let (near_odd, far_odd) = (b.subtract(c), d.subtract(e));
        [
            a.add(near).add(far),
            near_odd.add_times(far_odd, 2.0),
            near.add_times(far, 4.0),
            near_odd.add_times(far_odd, 8.0).add(f),
        ]
    }
}

/// Line `index` of each of six.
#[inline(always)]
fn across<V: Vector, const COUNT: usize>(
    columns: &[[V; COUNT]; REACH],
    index: usize,
) -> [V; REACH] {
    let [a, b, c, d, e, f] = columns;
    [a[index], b[index], c[index], d[index], e[index], f[index]]
}

/// Transforms a square: 36 pixels of so many channels become as many lines, `apart` elements
/// between them.
///
/// # Safety
///
/// As for [`Vector`]; pixels are readable and lines writable for all channels, a multiple of
/// [`Vector::LANES`].
#[inline(always)]
pub(crate) unsafe fn square_inputs<V: Vector>(
    pixels: &[*const f32; PRODUCTS],
    channels: usize,
    to: *mut f32,
    apart: usize,
) {
    for channel in (0..channels).step_by(V::LANES) {
        // SAFETY: the caller's promise.
        unsafe {
            let zero = V::load(pixels[0].add(channel));
            let mut columns = [[zero; REACH]; REACH];
            for (j, column) in columns.iter_mut().enumerate() {
                for (i, value) in column.iter_mut().enumerate() {
                    *value = V::load(pixels[i * REACH + j].add(channel));
                }
                *column = inputs_of(*column);
            }
            let mut to = to.add(channel);
            for i in 0..REACH {
                for value in inputs_of(across(&columns, i)) {
                    value.store(to);
                    to = to.wrapping_add(apart);
                }
            }
        }
    }
}

/// Writes a square of outputs.
///
/// # Safety
///
/// As for [`Vector`]; the sums are readable, and the pixels that exist writable from `to` on. There are
/// whole vectors of channels.
#[inline(always)]
pub(crate) unsafe fn square_outputs<V: Vector>(outputs: &SquareOutputs<'_>, to: *mut f32) {
    let channels = outputs.channels;
    let has_bias = outputs.bias.len() >= channels;
    for channel in (0..channels).step_by(V::LANES) {
        // SAFETY: the caller's promise; there is a bias for every channel, or none is read.
        unsafe {
            let sums = outputs.sums.add(channel);
            let first = V::load(sums);
            let mut columns = [[first; SIDE]; REACH];
            for (j, column) in columns.iter_mut().enumerate() {
                let mut values = [first; REACH];
                for (i, value) in values.iter_mut().enumerate() {
                    *value = V::load(sums.add((i * REACH + j) * outputs.apart));
                }
                *column = outputs_of(values);
            }
            for i in 0..outputs.pixels[0] {
                let row = outputs_of(across(&columns, i));
                let to = to.add(i * outputs.columns * channels + channel);
                for (j, mut value) in row.into_iter().take(outputs.pixels[1]).enumerate() {
                    if has_bias {
                        value = value.add(V::load(outputs.bias.as_ptr().add(channel)));
                    }
                    value.limit(outputs.limits).store(to.add(j * channels));
                }
            }
        }
    }
}
