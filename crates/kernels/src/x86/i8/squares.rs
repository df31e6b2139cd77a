//! Windows of 3 x 3 by squares of outputs: see [`crate::squares`].

use super::finish::{Block, Finish, Raw, Scale, with_rule};
use super::output_at;
use super::tile::{Product, block_tiles};
use crate::memory::{cells_as, slice_as};
use crate::squares::{PRODUCTS, REACH, SIDE, numbers_of_window};
use crate::tiled::i8::{Records, Starts, Strip, record_words, records_of};
use crate::tiled::plan::{Kind, Runs, blocks};
use crate::tiled::squares::pixels;
use crate::x86::Avx2;
use crate::{Conv2dConstants, Conv2dI8, Geometry, Window};
use core::arch::x86_64::*;

/// What input channels are a multiple of, and what output channels are: whole vectors.
const MULTIPLES: [usize; 2] = [16, 8];

/// The fewest input channels that are worth the transforms.
const INPUTS_MIN: usize = 32;

/// Squares that are computed together, at least.
const TOGETHER_MIN: usize = 16;

/// Bytes between matrices: their lines are not to fall on one set of a cache.
const GAP: usize = 64;

/// Working memory that is too much: wide images are left to loops over windows.
const SCRATCH_BYTES_MAX: usize = 1 << 19;

/// Words of zeros where sums of matrix products start.
static ZEROS: [i32; 16] = [0; 16];

/// How the outputs of a convolution are cut into squares, whatever the number of rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Squares {
    /// Squares side by side.
    across: usize,
    /// Rows of squares that are computed together.
    lines: usize,
    inputs: usize,
    outputs: usize,
}

impl Squares {
    /// `None` where windows do not have that form, or channels do not fill vectors.
    pub(super) fn of(geometry: &Geometry) -> Option<Squares> {
        let Window {
            kernel,
            stride,
            dilation,
            ..
        } = geometry.window;
        let is_plain = kernel == [3, 3] && stride == [1, 1] && dilation == [1, 1];
        let [inputs, outputs] = [geometry.input[2], geometry.output[2]];
        let is_whole = inputs % MULTIPLES[0] == 0 && outputs % MULTIPLES[1] == 0;
        let columns = geometry.output[1];
        let is_moderate = inputs.max(outputs).max(columns) < 1 << 11;
        let is_worth = inputs >= INPUTS_MIN && outputs >= 16 && columns >= SIDE;
        let across = columns.div_ceil(SIDE);
        let squares = Squares {
            across,
            lines: TOGETHER_MIN.div_ceil(across.max(1)),
            inputs,
            outputs,
        };
        let serves = is_plain && geometry.groups == 1 && is_whole && is_moderate && is_worth;
        (serves && squares.scratch_bytes() <= SCRATCH_BYTES_MAX).then_some(squares)
    }

    /// Bytes from matrix to matrix, of transformed inputs and of sums.
    fn apart_bytes(&self) -> [usize; 2] {
        let together = self.lines * self.across;
        [2 * self.inputs, 4 * self.outputs].map(|bytes| together * bytes + GAP)
    }

    /// `[products][squares][inputs]` of 16 bits, `[products][squares][outputs]` of 32, and a pixel
    /// of padding.
    pub(super) fn scratch_bytes(&self) -> usize {
        let [input, output] = self.apart_bytes();
        PRODUCTS * (input + output) + self.inputs
    }

    /// `[products][blocks][pairs of inputs][8 or 16 outputs][2]` of 16 bits.
    fn weight_bytes(&self) -> usize {
        PRODUCTS * self.outputs * self.inputs * 2
    }

    /// Weights, and the records that turn sums into outputs.
    pub(super) fn prepared_bytes(&self, geometry: &Geometry) -> usize {
        let words = Kind::of(geometry).map_or(0, |kind| record_words::<Avx2>(geometry, &kind));
        self.weight_bytes() + 4 * words
    }

    /// Packs the file's weights and the records of its channels.
    pub(super) fn prepare(&self, constants: &Conv2dConstants<'_>, prepared: &mut [u8]) {
        let weight_bytes = self.weight_bytes().min(prepared.len());
        let (packed, records) = prepared.split_at_mut(weight_bytes);
        let matrix_bytes = 2 * self.outputs * self.inputs;
        let mut start = 0;
        for (first, width) in blocks(self.outputs, 16) {
            for pair in 0..self.inputs / 2 {
                let mut lines = [[[0; 2]; 32]; PRODUCTS];
                for i in 0..2 * width {
                    let output = first + output_at(i / 2, width);
                    let at = output * 9 * self.inputs + 2 * pair + i % 2;
                    let tap = |tap: usize| constants.weights.get(at + tap * self.inputs).copied();
                    let numbers = numbers_of_window(core::array::from_fn(|i| tap(i).unwrap_or(0)));
                    for (line, number) in lines.iter_mut().zip(numbers) {
                        line[i] = number.to_ne_bytes();
                    }
                }
                let places = packed.get_mut(start..).unwrap_or(&mut []);
                for (matrix, line) in places.chunks_mut(matrix_bytes).zip(&lines) {
                    let bytes = line[..2 * width].as_flattened();
                    matrix[..bytes.len()].copy_from_slice(bytes);
                }
                start += 4 * width;
            }
        }
        if let Some(kind) = Kind::of(&constants.geometry) {
            records_of::<Avx2>(constants, &kind, records);
        }
    }

    /// Computes all outputs; `false` where memory is missing. Rows of squares are read before any
    /// of them is written, and what they overwrite are rows that later squares do not need.
    pub(super) fn run(&self, avx2: Avx2, operands: &Conv2dI8<'_>) -> bool {
        let geometry = &operands.geometry;
        let [input, output] = [geometry.input, geometry.output].map(|n| n[0] * n[1] * n[2]);
        let scratch = operands.binding.scratch;
        let (Some(prepared), Some(kind)) = (
            slice_as::<i32>(operands.binding.prepared),
            Kind::of(geometry),
        ) else {
            return false;
        };
        let is_aligned = cells_as::<i32>(scratch).is_some();
        let holds = operands.input.len() >= input
            && operands.output.len() >= output
            && size_of_val(prepared) >= self.prepared_bytes(geometry)
            && scratch.len() >= self.scratch_bytes();
        if !is_aligned || !holds {
            return false;
        }
        let [input_bytes, output_bytes] = self.apart_bytes();
        let start = scratch.as_ptr().cast_mut().cast::<u8>();
        let transformed = start.cast::<i16>();
        let sums = start.wrapping_add(PRODUCTS * input_bytes).cast::<i32>();
        let records = prepared.as_ptr().wrapping_byte_add(self.weight_bytes());
        let task = Task {
            squares: self,
            operands,
            weights: prepared.as_ptr().cast(),
            records: Records::at::<Avx2>(records, geometry, &kind),
            transformed,
            sums,
            padding: sums.wrapping_byte_add(PRODUCTS * output_bytes).cast(),
        };
        let _proof = avx2;
        // SAFETY: the features are there, and all memory has the sizes that were compared.
        unsafe { task.run() };
        true
    }
}

/// A convolution and its memory, whose sizes were compared.
struct Task<'a> {
    squares: &'a Squares,
    operands: &'a Conv2dI8<'a>,
    weights: *const i16,
    records: Records,
    transformed: *mut i16,
    sums: *mut i32,
    /// A pixel of the input's zero point.
    padding: *mut i8,
}

impl Task<'_> {
    /// # Safety
    ///
    /// As [`Squares::run`] compared it.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn run(&self) {
        let Squares {
            across,
            lines: together,
            inputs,
            ..
        } = *self.squares;
        let finish = Finish::new(self.operands);
        let (geometry, input) = (&self.operands.geometry, self.operands.input.as_ptr());
        let lines = geometry.output[0].div_ceil(SIDE);
        // SAFETY: the caller's promise; squares are no more than there is room for.
        unsafe {
            core::ptr::write_bytes(self.padding, self.operands.input_zero_point as u8, inputs);
            for first in (0..lines).step_by(together) {
                let squares = together.min(lines - first) * across;
                for square in 0..squares {
                    let place = [first + square / across, square % across];
                    let to = self.transformed.add(square * inputs);
                    let pixels =
                        pixels::<i8, REACH, PRODUCTS>(geometry, input, place, self.padding);
                    self.transform_inputs(&pixels, to);
                }
                self.multiply(&finish, squares);
                for square in 0..squares {
                    let place = [first + square / across, square % across];
                    self.write(&finish, square, place);
                }
            }
        }
    }

    /// `B' d B` for a square.
    ///
    /// # Safety
    ///
    /// As [`Task::run`]; the pixels are readable, and there is room for a square at `to`.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn transform_inputs(&self, pixels: &[*const i8; PRODUCTS], to: *mut i16) {
        let [apart_bytes, _] = self.squares.apart_bytes();
        for channel in (0..self.squares.inputs).step_by(16) {
            let mut columns = [[_mm256_setzero_si256(); REACH]; REACH];
            for (j, column) in columns.iter_mut().enumerate() {
                for (i, value) in column.iter_mut().enumerate() {
                    // SAFETY: channels are a multiple of 16.
                    let bytes =
                        unsafe { _mm_loadu_si128(pixels[i * REACH + j].add(channel).cast()) };
                    *value = _mm256_cvtepi8_epi16(bytes);
                }
                *column = inputs_of(*column);
            }
            let [a, b, c, d] = columns;
            let mut matrix = to.wrapping_add(channel);
            for i in 0..REACH {
                for value in inputs_of([a[i], b[i], c[i], d[i]]) {
                    // SAFETY: as above, in every matrix.
                    unsafe { _mm256_storeu_si256(matrix.cast(), value) };
                    matrix = matrix.wrapping_byte_add(apart_bytes);
                }
            }
        }
    }

    /// The matrix products of so many squares.
    ///
    /// # Safety
    ///
    /// As [`Task::run`].
    #[target_feature(enable = "avx2,fma")]
    unsafe fn multiply(&self, finish: &Finish, squares: usize) {
        let Squares {
            inputs, outputs, ..
        } = *self.squares;
        let [input_bytes, output_bytes] = self.squares.apart_bytes();
        for product in 0..PRODUCTS {
            for (first, width) in blocks(outputs, 16) {
                // SAFETY: the caller's promise; whole matrices and blocks lie before these.
                unsafe {
                    let block = &Product::<Avx2> {
                        weights: self.weights.add((product * outputs + first) * inputs),
                        block: Block {
                            finish,
                            record: ZEROS.as_ptr(),
                            valid: width,
                        },
                        steps: Starts::Runs(Runs {
                            per_row: 1,
                            apart: 0,
                            length: inputs,
                        }),
                        offset: 0,
                        channels: 4 * outputs,
                    };
                    let output = self.sums.byte_add(product * output_bytes).add(first).cast();
                    let rows = [self
                        .transformed
                        .byte_add(product * input_bytes)
                        .cast_const()];
                    let strip = &Strip {
                        rows: &rows,
                        step: inputs,
                        pixels: squares,
                        lines: 1,
                        line_step: 0,
                        output,
                    };
                    match width {
                        16 => block_tiles::<Avx2, 2, Raw>(strip, block, output),
                        _ => block_tiles::<Avx2, 1, Raw>(strip, block, output),
                    }
                }
            }
        }
    }

    /// Writes the outputs of a square that exist.
    ///
    /// # Safety
    ///
    /// As [`Task::run`]; the square's sums are there.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn write(&self, finish: &Finish, square: usize, place: [usize; 2]) {
        let outputs = self.squares.outputs;
        let [rows, columns, _] = self.operands.geometry.output;
        let [y, x] = place.map(|at| SIDE * at);
        for (index, (first, width)) in blocks(outputs, 16).enumerate() {
            // SAFETY: there are records of all blocks, and sums; pixels that do not exist are not
            // written.
            unsafe {
                let (rule, record) = self.records.block(index);
                let corner = Corner {
                    block: Block {
                        finish,
                        record,
                        valid: width,
                    },
                    sums: self.sums.add(square * outputs + first),
                    apart_bytes: self.squares.apart_bytes()[1],
                    pixels: [SIDE.min(rows - y), SIDE.min(columns - x)],
                    row: columns * outputs,
                    pixel: outputs,
                };
                let output = self.operands.output.as_ptr().cast_mut().cast::<i8>();
                let to = output.add((y * columns + x) * outputs + first);
                match width {
                    16 => with_rule!(rule, S => corner.write::<2, S>(to)),
                    _ => with_rule!(rule, S => corner.write::<1, S>(to)),
                }
            }
        }
    }
}

/// The outputs of a square for a block of channels.
struct Corner<'a> {
    block: Block<'a>,
    /// The first of the square's sums.
    sums: *const i32,
    apart_bytes: usize,
    /// Rows and columns that exist.
    pixels: [usize; 2],
    /// Elements between rows and between pixels of the output.
    row: usize,
    pixel: usize,
}

impl Corner<'_> {
    /// `A' m A`, a quarter of it, the bias, and what the rule makes of the sum.
    ///
    /// # Safety
    ///
    /// The sums are there, and the pixels that exist may be written from `to` on; the record is
    /// whole and of the rule `S`.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn write<const N: usize, S: Scale>(&self, to: *mut i8) {
        let mut squares = [[[_mm256_setzero_si256(); N]; SIDE]; SIDE];
        // SAFETY: the caller's promise; N vectors of a block.
        unsafe {
            let bias = self.block.bias::<N>();
            for n in 0..N {
                let mut columns = [[_mm256_setzero_si256(); SIDE]; REACH];
                for (j, column) in columns.iter_mut().enumerate() {
                    let mut values = [_mm256_setzero_si256(); REACH];
                    for (i, value) in values.iter_mut().enumerate() {
                        let matrix = self.sums.byte_add((i * REACH + j) * self.apart_bytes);
                        *value = _mm256_loadu_si256(matrix.add(8 * n).cast());
                    }
                    *column = outputs_of(values);
                }
                for (i, row) in squares.iter_mut().enumerate() {
                    let [a, b, c, d] = columns;
                    let values = outputs_of([a[i], b[i], c[i], d[i]]);
                    for (pixel, value) in row.iter_mut().zip(values) {
                        pixel[n] = _mm256_add_epi32(_mm256_srai_epi32::<2>(value), bias[n]);
                    }
                }
            }
            for (i, row) in squares.iter().enumerate().take(self.pixels[0]) {
                for (j, sums) in row.iter().enumerate().take(self.pixels[1]) {
                    let to = to.add(i * self.row + j * self.pixel);
                    self.block.store::<N, S>(*sums, to);
                }
            }
        }
    }
}

/// `B' d` for a row or a column of a square.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn inputs_of([a, b, c, d]: [__m256i; REACH]) -> [__m256i; REACH] {
    [
        _mm256_sub_epi16(a, c),
        _mm256_add_epi16(b, c),
        _mm256_sub_epi16(c, b),
        _mm256_sub_epi16(b, d),
    ]
}

/// `A' m` for a row or a column of sums.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn outputs_of([a, b, c, d]: [__m256i; REACH]) -> [__m256i; SIDE] {
    [
        _mm256_add_epi32(_mm256_add_epi32(a, b), c),
        _mm256_sub_epi32(_mm256_sub_epi32(b, c), d),
    ]
}
