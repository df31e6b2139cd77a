//! Windows of 3 x 3 by the minimal algorithms F(2 x 2, 3 x 3) and F(4 x 4, 3 x 3) in integers, exactly:
//! Winograd, "Arithmetic Complexity of Computations", 1980; Lavin and Gray, "Fast Algorithms for
//! Convolutional Neural Networks", 2016. See `tiled::f32::squares` for the float one.
//!
//! A square of inputs becomes as many numbers of every channel, and so do windows, all of 16 bits:
//! see [`forms`]. Their products' sums become multiples of the sums of outputs, with 16 multiplications
//! for 4 outputs, or 36 for 16, where windows take 36 and 144. Sums wrap round on the way; what they
//! end with fits, in the larger form as long as weights are not all large.

mod forms;

use super::finish::{Block, Finish, Raw, Scale, with_rule};
use super::output_at;
use super::tile::{Product, block_tiles};
use crate::memory::{as_bytes, cells_as, slice_as};
use crate::tiled::i8::{Records, Starts, Strip, record_words, records_of};
use crate::tiled::plan::{Kind, Runs, blocks};
use crate::tiled::squares::pixels;
use crate::x86::Avx2;
use crate::{Binding, Conv2dConstants, Conv2dI8, Geometry};
use core::arch::x86_64::*;
use forms::{Form, Four, Lanes, Two};

/// What input channels are a multiple of, and what output channels are: whole vectors.
const MULTIPLES: [usize; 2] = [16, 8];

/// The fewest input channels that are worth the transforms.
const INPUTS_MIN: usize = 32;

/// Output columns from which on squares of 4 are larger than what they waste at the border.
const COLUMNS_MIN: usize = 7;

/// Squares that are computed together, at least.
const TOGETHER_MIN: usize = 16;

/// Bytes between matrices: their lines are not to fall on one set of a cache.
const GAP: usize = 64;

/// Working memory that is too much: wide images are left to loops over windows.
const SCRATCH_BYTES_MAX: usize = 1 << 19;

/// Words of zeros where sums of matrix products start.
static ZEROS: [i32; 16] = [0; 16];

/// Bytes in front of packed weights, the first of which says which form they are packed for: a line
/// of the cache.
const FRONT_BYTES: usize = 64;

/// How the outputs of a convolution are cut into squares, whatever the number of rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Squares {
    /// Output pixels of a square's side, 2 or 4.
    side: usize,
    columns: usize,
    inputs: usize,
    outputs: usize,
}

impl Squares {
    /// The largest that serve. `None` where windows do not have that form, or channels do not fill
    /// vectors.
    pub(super) fn of(geometry: &Geometry) -> Option<Squares> {
        if !geometry.is_three_by_three() {
            return None;
        }
        let [inputs, outputs] = [geometry.input[2], geometry.output[2]];
        let is_whole = inputs % MULTIPLES[0] == 0 && outputs % MULTIPLES[1] == 0;
        let columns = geometry.output[1];
        let is_moderate = inputs.max(outputs).max(columns) < 1 << 11;
        let is_worth = inputs >= INPUTS_MIN && outputs >= 16 && columns >= 2;
        if !(is_whole && is_moderate && is_worth) {
            return None;
        }
        let squares = Squares {
            side: 4,
            columns,
            inputs,
            outputs,
        };
        let is_large = columns >= COLUMNS_MIN && squares.own_scratch_bytes() <= SCRATCH_BYTES_MAX;
        let squares = if is_large { squares } else { squares.small() };
        (squares.scratch_bytes() <= SCRATCH_BYTES_MAX).then_some(squares)
    }

    /// The same with a side of 2, for weights that are too large for 4.
    fn small(&self) -> Squares {
        Squares { side: 2, ..*self }
    }

    /// Squares side by side.
    fn across(&self) -> usize {
        self.columns.div_ceil(self.side)
    }

    /// Rows of squares that are computed together.
    fn lines(&self) -> usize {
        TOGETHER_MIN.div_ceil(self.across().max(1))
    }

    /// Numbers of a square in every channel.
    fn products(&self) -> usize {
        (self.side + 2) * (self.side + 2)
    }

    /// Bytes from matrix to matrix, of transformed inputs and of sums.
    fn apart_bytes(&self) -> [usize; 2] {
        let together = self.lines() * self.across();
        [2 * self.inputs, 4 * self.outputs].map(|bytes| together * bytes + GAP)
    }

    /// `[products][squares][inputs]` of 16 bits, `[products][squares][outputs]` of 32, and a pixel
    /// of padding.
    fn own_scratch_bytes(&self) -> usize {
        let [input, output] = self.apart_bytes();
        self.products() * (input + output) + self.inputs
    }

    /// Scratch memory, whichever side weights are packed for.
    pub(super) fn scratch_bytes(&self) -> usize {
        self.own_scratch_bytes()
            .max(self.small().own_scratch_bytes())
    }

    /// `[products][blocks][pairs of inputs][8 or 16 outputs][2]` of 16 bits.
    fn weight_bytes(&self) -> usize {
        self.products() * self.outputs * self.inputs * 2
    }

    /// The front, weights, and the records that turn sums into outputs.
    pub(super) fn prepared_bytes(&self, geometry: &Geometry) -> usize {
        let words = Kind::of(geometry).map_or(0, |kind| record_words::<Avx2>(geometry, &kind));
        FRONT_BYTES + self.weight_bytes() + 4 * words
    }

    /// Packs the file's weights and the records of its channels.
    pub(super) fn prepare(&self, constants: &Conv2dConstants<'_>, prepared: &mut [u8]) {
        let Some((front, rest)) = prepared.split_at_mut_checked(FRONT_BYTES) else {
            return;
        };
        let (packed, records) = rest.split_at_mut(self.weight_bytes().min(rest.len()));
        let is_large = self.side == 4 && fits_four(constants);
        front.fill(if is_large { 4 } else { 2 });
        match is_large {
            true => self.pack::<4, 6, Four>(constants, packed),
            false => self.small().pack::<2, 4, Two>(constants, packed),
        }
        if let Some(kind) = Kind::of(&constants.geometry) {
            records_of::<Avx2>(constants, &kind, records);
        }
    }

    fn pack<const SIDE: usize, const REACH: usize, F>(
        &self,
        constants: &Conv2dConstants<'_>,
        packed: &mut [u8],
    ) where
        F: Form<SIDE, REACH>,
    {
        let matrix_bytes = 2 * self.outputs * self.inputs;
        let mut start = 0;
        for (first, width) in blocks(self.outputs, 16) {
            for pair in 0..self.inputs / 2 {
                let numbers = transform::<SIDE, REACH, F>(|tap| {
                    let mut lanes = Lanes([0; 32]);
                    for (i, lane) in lanes.0[..2 * width].iter_mut().enumerate() {
                        let output = first + output_at(i / 2, width);
                        let at = (output * 9 + tap) * self.inputs + 2 * pair + i % 2;
                        *lane = i16::from(constants.weights.get(at).copied().unwrap_or(0));
                    }
                    lanes
                });
                let places = packed.get_mut(start..).unwrap_or(&mut []);
                let lines = numbers.as_flattened();
                for (matrix, line) in places.chunks_mut(matrix_bytes).zip(lines) {
                    let bytes = as_bytes(&line.0[..2 * width]);
                    matrix[..bytes.len()].copy_from_slice(bytes);
                }
                start += 4 * width;
            }
        }
    }

    /// Computes all outputs; `false` where memory is missing. Rows of squares are read before any
    /// of them is written, and what they overwrite are rows that later squares do not need.
    pub(super) fn run(&self, avx2: Avx2, operands: &Conv2dI8<'_>) -> bool {
        let geometry = &operands.geometry;
        let [input, output] = [geometry.input, geometry.output].map(|n| n[0] * n[1] * n[2]);
        let Binding {
            prepared, scratch, ..
        } = operands.binding;
        let is_aligned = cells_as::<i32>(scratch).is_some() && slice_as::<i32>(prepared).is_some();
        let holds = operands.input.len() >= input
            && operands.output.len() >= output
            && prepared.len() >= self.prepared_bytes(geometry)
            && scratch.len() >= self.scratch_bytes();
        let (Some(kind), true) = (Kind::of(geometry), is_aligned && holds) else {
            return false;
        };
        let weights = prepared.as_ptr().wrapping_add(FRONT_BYTES);
        let records = weights.wrapping_add(self.weight_bytes()).cast();
        let is_large = self.side == 4 && prepared.first() == Some(&4);
        let squares = if is_large { *self } else { self.small() };
        let [input_bytes, output_bytes] = squares.apart_bytes().map(|n| n * squares.products());
        let transformed = scratch.as_ptr().cast_mut().cast::<u8>();
        let sums = transformed.wrapping_add(input_bytes);
        let task = Task {
            squares,
            operands,
            weights: weights.cast(),
            records: Records::at::<Avx2>(records, geometry, &kind),
            transformed: transformed.cast(),
            sums: sums.cast(),
            padding: sums.wrapping_add(output_bytes).cast(),
        };
        let _proof = avx2;
        // SAFETY: the features are there, and all memory has the sizes that were compared.
        unsafe {
            match is_large {
                true => task.run::<4, 6, 36, Four>(),
                false => task.run::<2, 4, 16, Two>(),
            }
        }
        true
    }
}

/// Whether what sums become with [`Four`] never exceeds 32 bits, whatever the inputs.
fn fits_four(constants: &Conv2dConstants<'_>) -> bool {
    let taps = constants.geometry.taps().max(1);
    constants.weights.chunks(taps).all(|weights| {
        let magnitudes: i64 = weights.iter().map(|&weight| i64::from(weight).abs()).sum();
        magnitudes * 128 * i64::from(forms::FOUR_MULTIPLE) <= i64::from(i32::MAX)
    })
}

/// The numbers of windows with such taps: `G g G'`.
fn transform<const SIDE: usize, const REACH: usize, F: Form<SIDE, REACH>>(
    tap: impl Fn(usize) -> Lanes,
) -> [[Lanes; REACH]; REACH] {
    let mut columns = [[Lanes([0; 32]); REACH]; 3];
    for (column, numbers) in columns.iter_mut().enumerate() {
        *numbers = F::window([tap(column), tap(3 + column), tap(6 + column)]);
    }
    let mut numbers = [[Lanes([0; 32]); REACH]; REACH];
    for (i, line) in numbers.iter_mut().enumerate() {
        *line = F::window([columns[0][i], columns[1][i], columns[2][i]]);
    }
    numbers
}

/// A convolution and its memory, whose sizes were compared.
struct Task<'a> {
    /// As weights are packed for them.
    squares: Squares,
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
    unsafe fn run<const SIDE: usize, const REACH: usize, const PRODUCTS: usize, F>(&self)
    where
        F: Form<SIDE, REACH>,
    {
        let (across, together) = (self.squares.across(), self.squares.lines());
        let inputs = self.squares.inputs;
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
                    self.transform_inputs::<SIDE, REACH, PRODUCTS, F>(&pixels, to);
                }
                self.multiply(&finish, squares);
                for square in 0..squares {
                    let place = [first + square / across, square % across];
                    self.write::<SIDE, REACH, F>(&finish, square, place);
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
    unsafe fn transform_inputs<
        const SIDE: usize,
        const REACH: usize,
        const PRODUCTS: usize,
        F: Form<SIDE, REACH>,
    >(
        &self,
        pixels: &[*const i8; PRODUCTS],
        to: *mut i16,
    ) {
        let [apart_bytes, _] = self.squares.apart_bytes();
        for channel in (0..self.squares.inputs).step_by(16) {
            let mut lines = [[_mm256_setzero_si256(); REACH]; REACH];
            for j in 0..REACH {
                let mut column = [_mm256_setzero_si256(); REACH];
                for (i, value) in column.iter_mut().enumerate() {
                    // SAFETY: channels are a multiple of 16.
                    let bytes =
                        unsafe { _mm_loadu_si128(pixels[i * REACH + j].add(channel).cast()) };
                    *value = _mm256_cvtepi8_epi16(bytes);
                }
                // SAFETY: the caller's promise.
                let column = unsafe { F::inputs(column) };
                for (line, value) in lines.iter_mut().zip(column) {
                    line[j] = value;
                }
            }
            let mut matrix = to.wrapping_add(channel);
            for line in lines {
                // SAFETY: as above, in every matrix.
                unsafe {
                    for value in F::inputs(line) {
                        _mm256_storeu_si256(matrix.cast(), value);
                        matrix = matrix.wrapping_byte_add(apart_bytes);
                    }
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
        } = self.squares;
        let [input_bytes, output_bytes] = self.squares.apart_bytes();
        for product in 0..self.squares.products() {
            for (first, width) in blocks(outputs, 16) {
                // SAFETY: the caller's promise; whole matrices and blocks lie before these.
                unsafe {
                    let block = &Product {
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
                        16 => block_tiles::<2, Raw>(strip, block, output),
                        _ => block_tiles::<1, Raw>(strip, block, output),
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
    unsafe fn write<const SIDE: usize, const REACH: usize, F: Form<SIDE, REACH>>(
        &self,
        finish: &Finish,
        square: usize,
        place: [usize; 2],
    ) {
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
                    16 => with_rule!(rule, S => corner.write::<SIDE, REACH, 2, F, S>(to)),
                    _ => with_rule!(rule, S => corner.write::<SIDE, REACH, 1, F, S>(to)),
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
    /// `A' m A`, divided, the bias, and what the rule makes of the sum.
    ///
    /// # Safety
    ///
    /// The sums are there, and the pixels that exist may be written from `to` on; the record is
    /// whole and of the rule `S`.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn write<const SIDE: usize, const REACH: usize, const N: usize, F, S>(&self, to: *mut i8)
    where
        F: Form<SIDE, REACH>,
        S: Scale,
    {
        let mut square = [[[_mm256_setzero_si256(); N]; SIDE]; SIDE];
        // SAFETY: the caller's promise; N vectors of a block.
        unsafe {
            let bias = self.block.bias::<N>();
            for n in 0..N {
                let mut lines = [[_mm256_setzero_si256(); REACH]; SIDE];
                for j in 0..REACH {
                    let mut column = [_mm256_setzero_si256(); REACH];
                    for (i, value) in column.iter_mut().enumerate() {
                        let matrix = self.sums.byte_add((i * REACH + j) * self.apart_bytes);
                        *value = _mm256_loadu_si256(matrix.add(8 * n).cast());
                    }
                    for (line, value) in lines.iter_mut().zip(F::outputs(column)) {
                        line[j] = value;
                    }
                }
                for (row, line) in square.iter_mut().zip(lines) {
                    for (pixel, value) in row.iter_mut().zip(F::outputs(line)) {
                        pixel[n] = _mm256_add_epi32(F::quotient(value), bias[n]);
                    }
                }
            }
            for (i, row) in square.iter().enumerate().take(self.pixels[0]) {
                for (j, sums) in row.iter().enumerate().take(self.pixels[1]) {
                    let to = to.add(i * self.row + j * self.pixel);
                    self.block.store::<N, S>(*sums, to);
                }
            }
        }
    }
}
