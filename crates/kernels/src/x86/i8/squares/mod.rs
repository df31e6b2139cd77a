//! Windows of 3 x 3 by the minimal algorithms F(2 x 2, 3 x 3) and F(4 x 4, 3 x 3) in integers, exactly:
//! Winograd, "Arithmetic Complexity of Computations", 1980; Lavin and Gray, "Fast Algorithms for
//! Convolutional Neural Networks", 2016. See `tiled::f32::squares` for the float one.
//!
//! A square of inputs becomes as many numbers of every channel, and so do windows, all of 16 bits:
//! see [`forms`]. Their products' sums become multiples of the sums of outputs, with 16 multiplications
//! for 4 outputs, or 36 for 16, where windows take 36 and 144. Sums wrap round on the way; what they
//! end with fits, in the larger form as long as weights are not all large.

mod forms;
mod fours;
mod pairs;

use super::finish::{Block, Finish, Scale, with_rule};
use crate::memory::{as_bytes, cells_as, slice_as};
use crate::tiled::i8::{self, LoopSums, Records, Tiles, record_words, records_of};
use crate::tiled::plan::{Kind, blocks};
use crate::tiled::squares::pixels;
use crate::{Binding, Conv2dConstants, Conv2dI8, Geometry};
use core::arch::x86_64::*;
use core::ops::Range;
pub(crate) use forms::{Form, Sums};
use forms::{Four, Lanes, Two};
pub(super) use fours::{multiply, write};

/// What input channels are a multiple of: whole vectors.
const INPUTS_MULTIPLE: usize = 16;

/// What sets of kernels differ in.
pub(crate) trait Machine: Tiles {
    /// Whether squares with a side of 2 are faster than windows.
    const HAS_SMALL: bool;
    /// The fewest input channels that are worth the transforms.
    const INPUTS_MIN: usize;
    /// What output channels are a multiple of.
    const OUTPUTS_MULTIPLE: usize;
    /// Whether the products of a column of a square are summed up together, so that of the sums only what
    /// `A'` makes of the column is stored.
    const JOINS_COLUMNS: bool;

    /// The matrix products of so many squares, or of each column what `A'` makes of it.
    ///
    /// # Safety
    ///
    /// As [`Squares::run`] compared memory.
    unsafe fn multiply<const SIDE: usize, const REACH: usize, F: Form<SIDE, REACH>>(
        task: &Task<'_>,
        finish: &Finish,
        squares: usize,
    );

    /// `A' m A`, divided, the bias, and what the rule makes of the sum, for a block of a square's
    /// outputs. `width` is that of the block.
    ///
    /// # Safety
    ///
    /// The sums are there, and the pixels that exist may be written from `to` on; the record is whole
    /// and of the rule `S`.
    unsafe fn write<const SIDE: usize, const REACH: usize, F, S>(
        corner: &Corner<'_>,
        width: usize,
        to: *mut i8,
    ) where
        F: Form<SIDE, REACH>,
        S: Scale;
}

/// Output columns from which on squares of 4 are larger than what they waste at the border.
const COLUMNS_MIN: usize = 7;

/// Squares that are computed together, at least.
const TOGETHER_MIN: usize = 16;

/// Squares up to which threads share their outputs and not their rows.
#[cfg(any(test, feature = "std"))]
const SHARED_MAX: usize = 4;

/// Bytes between matrices: their lines are not to fall on one set of a cache.
const GAP: usize = 64;

/// Working memory that is too much: wide images are left to loops over windows.
const SCRATCH_BYTES_MAX: usize = 1 << 19;

/// Bytes in front of packed weights, the first of which says which form they are packed for: a line
/// of the cache.
const FRONT_BYTES: usize = 64;

/// Where transformed inputs are: 16 bits from each to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strides {
    /// From row to row of a square.
    row: usize,
    column: usize,
    /// From 16 channels to the next.
    channels: usize,
    square: usize,
}

/// How the outputs of a convolution are cut into squares, whatever the number of rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Squares {
    /// Output pixels of a square's side, 2 or 4.
    side: usize,
    columns: usize,
    inputs: usize,
    outputs: usize,
}

impl Squares {
    /// The largest that serve. `None` where windows do not have that form, or channels do not fill
    /// vectors.
    pub(super) fn of<P: Machine>(geometry: &Geometry) -> Option<Squares> {
        if !geometry.is_three_by_three() {
            return None;
        }
        let [inputs, outputs] = [geometry.input[2], geometry.output[2]];
        let is_whole = inputs % INPUTS_MULTIPLE == 0 && outputs % P::OUTPUTS_MULTIPLE == 0;
        let columns = geometry.output[1];
        let is_moderate = inputs.max(outputs).max(columns) < 1 << 11;
        let is_worth = inputs >= P::INPUTS_MIN && outputs >= 16 && columns >= 2;
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
        let serves = is_large || P::HAS_SMALL;
        (serves && squares.scratch_bytes() <= SCRATCH_BYTES_MAX).then_some(squares)
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

    /// `[products][squares][inputs]`, or `[columns][squares][inputs / 16][rows][16]`.
    fn strides<P: Machine>(&self) -> Strides {
        let reach = self.side + 2;
        let matrix = self.apart_bytes()[0] / 2;
        match P::JOINS_COLUMNS {
            true => Strides {
                row: 16,
                column: reach * matrix,
                channels: 16 * reach,
                square: reach * self.inputs,
            },
            false => Strides {
                row: reach * matrix,
                column: matrix,
                channels: 16,
                square: self.inputs,
            },
        }
    }

    /// Transformed inputs of 16 bits, `[products][squares][outputs]` of 32 where `A'` may have
    /// shortened columns, and a pixel of padding.
    fn own_scratch_bytes(&self) -> usize {
        let [input, output] = self.apart_bytes();
        self.products() * (input + output) + self.inputs
    }

    /// Scratch memory, whichever side weights are packed for.
    pub(super) fn scratch_bytes(&self) -> usize {
        self.own_scratch_bytes()
            .max(self.small().own_scratch_bytes())
    }

    /// `[products][blocks][pairs of inputs][8 or 16 outputs][2]` of 16 bits, or
    /// `[blocks][columns][pairs of inputs][rows][16 outputs][2]`.
    fn weight_bytes(&self) -> usize {
        self.products() * self.outputs * self.inputs * 2
    }

    /// The front, weights, and the records that turn sums into outputs.
    pub(super) fn prepared_bytes<P: Machine>(&self, geometry: &Geometry) -> usize {
        let words = Kind::of(geometry).map_or(0, |kind| record_words::<P>(geometry, &kind));
        FRONT_BYTES + self.weight_bytes() + 4 * words
    }

    /// Packs the file's weights and the records of its channels; those of windows where there are no
    /// squares for such weights.
    pub(super) fn prepare<P: Machine>(&self, constants: &Conv2dConstants<'_>, prepared: &mut [u8]) {
        let Some((front, rest)) = prepared.split_at_mut_checked(FRONT_BYTES) else {
            return;
        };
        let side = match self.side == 4 && fits_four(constants) {
            true => 4,
            false if P::HAS_SMALL => 2,
            false => 0,
        };
        front.fill(side);
        if side == 0 {
            return i8::prepare_conv_2d::<P>(constants, rest);
        }
        let (packed, records) = rest.split_at_mut(self.weight_bytes().min(rest.len()));
        let multiple = match side {
            4 => self.pack::<P, 4, 6, Four>(constants, packed),
            _ => self.small().pack::<P, 2, 4, Two>(constants, packed),
        };
        if let Some(kind) = Kind::of(&constants.geometry) {
            let sums = LoopSums {
                offset: 0,
                multiple,
            };
            records_of::<P>(constants, &kind, sums, records);
        }
    }

    /// Packs weights as a form has them, and gives its multiple.
    fn pack<P: Machine, const SIDE: usize, const REACH: usize, F>(
        &self,
        constants: &Conv2dConstants<'_>,
        packed: &mut [u8],
    ) -> i32
    where
        F: Form<SIDE, REACH>,
    {
        let matrix = self.outputs * self.inputs;
        let pairs_of = |output: usize| {
            let taps = 9 * self.inputs;
            let weights = constants.weights.get(output * taps..(output + 1) * taps);
            weights.unwrap_or(&[]).as_chunks::<2>().0
        };
        for (first, width) in blocks(self.outputs, 16) {
            let line_bytes = 4 * width;
            let rows: [&[[i8; 2]]; 16] = core::array::from_fn(|i| match i < width {
                true => pairs_of(first + P::output_at(i, width)),
                false => &[],
            });
            for pair in 0..self.inputs / 2 {
                // Of a row and a column of numbers.
                let place = |row: usize, column: usize| match P::JOINS_COLUMNS {
                    true => {
                        let columns = first / 16 * REACH + column;
                        ((columns * self.inputs / 2 + pair) * REACH + row) * line_bytes
                    }
                    false => {
                        2 * (row * REACH + column) * matrix
                            + 2 * first * self.inputs
                            + pair * line_bytes
                    }
                };
                let numbers = transform::<SIDE, REACH, F>(|tap| {
                    let mut lanes = Lanes([0; 32]);
                    for (lanes, row) in lanes.0.as_chunks_mut::<2>().0.iter_mut().zip(&rows) {
                        let weights = row.get(tap * self.inputs / 2 + pair);
                        *lanes = weights.copied().unwrap_or_default().map(i16::from);
                    }
                    lanes
                });
                for (i, line) in numbers.as_flattened().iter().enumerate() {
                    let start = place(i / REACH, i % REACH);
                    let to = packed.get_mut(start..start + line_bytes).unwrap_or(&mut []);
                    let eights = line.0.as_chunks::<8>().0;
                    for (to, eight) in to.as_chunks_mut::<16>().0.iter_mut().zip(eights) {
                        to.copy_from_slice(as_bytes(eight));
                    }
                }
            }
        }
        F::MULTIPLE
    }

    /// Whether operands have the sizes of the geometry, and memory that is needed besides them is there.
    fn has_memory<P: Machine>(&self, operands: &Conv2dI8<'_>) -> bool {
        let geometry = &operands.geometry;
        let [input, output] = [geometry.input, geometry.output].map(|n| n[0] * n[1] * n[2]);
        let Binding {
            prepared, scratch, ..
        } = operands.binding;
        let is_aligned = cells_as::<i32>(scratch).is_some() && slice_as::<i32>(prepared).is_some();
        is_aligned
            && operands.input.len() >= input
            && operands.output.len() >= output
            && prepared.len() >= self.prepared_bytes::<P>(geometry)
            && scratch.len() >= self.scratch_bytes()
    }

    /// Whether threads share the outputs of all squares: where these are few, most of what is read are
    /// weights, which rows have in common.
    #[cfg(any(test, feature = "std"))]
    pub(super) fn shares_outputs<P: Machine>(&self, operands: &Conv2dI8<'_>) -> bool {
        let squares = operands.geometry.output[0].div_ceil(self.side) * self.across();
        let is_large = self.side == 4 && operands.binding.prepared.first() == Some(&4);
        is_large && squares <= SHARED_MAX && self.has_memory::<P>(operands)
    }

    /// Computes the thread's own outputs, which are all where it is alone; `false` where memory is missing. Rows of squares are read before any
    /// of them is written, and what they overwrite are rows that later squares do not need.
    pub(super) fn run<P: Machine>(&self, machine: P, operands: &Conv2dI8<'_>) -> bool {
        let geometry = &operands.geometry;
        let Binding {
            prepared, scratch, ..
        } = operands.binding;
        let (Some(kind), true) = (Kind::of(geometry), self.has_memory::<P>(operands)) else {
            return false;
        };
        let (front, rest) = prepared.split_at(FRONT_BYTES);
        let side = front.first().copied().unwrap_or(0);
        if side == 0 {
            let binding = Binding {
                prepared: rest,
                ..operands.binding
            };
            i8::conv_2d(
                machine,
                &Conv2dI8 {
                    binding,
                    ..*operands
                },
            );
            return true;
        }
        let is_large = self.side == 4 && side == 4;
        let squares = if is_large { *self } else { self.small() };
        let weights = rest.as_ptr();
        let records = weights.wrapping_add(self.weight_bytes()).cast();
        let [input_bytes, output_bytes] = squares.apart_bytes().map(|n| n * squares.products());
        let transformed = scratch.as_ptr().cast_mut().cast::<u8>();
        let sums = transformed.wrapping_add(input_bytes);
        let task = Task {
            squares,
            blocks: operands.binding.threads.own(self.outputs.div_ceil(16)),
            operands,
            weights: weights.cast(),
            records: Records::at::<P>(records, geometry, &kind),
            transformed: transformed.cast(),
            sums: sums.cast(),
            padding: sums.wrapping_add(output_bytes).cast(),
        };
        // SAFETY: the features are there, and all memory has the sizes that were compared.
        unsafe {
            match is_large {
                true => task.run::<P, 4, 6, 36, Four>(),
                false => task.run::<P, 2, 4, 16, Two>(),
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
        magnitudes * 128 * i64::from(<Four as Form<4, 6>>::MULTIPLE) <= i64::from(i32::MAX)
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
pub(crate) struct Task<'a> {
    /// As weights are packed for them.
    squares: Squares,
    /// Blocks of 16 outputs that are computed.
    blocks: Range<usize>,
    operands: &'a Conv2dI8<'a>,
    weights: *const i16,
    records: Records,
    transformed: *mut i16,
    sums: *mut i32,
    /// A pixel of the input's zero point.
    padding: *mut i8,
}

impl Task<'_> {
    /// The blocks that are computed: number, first output and width.
    fn blocks(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let Range { start, end } = self.blocks;
        let all = blocks(self.squares.outputs, 16).enumerate();
        let own = all.take(end).skip(start);
        own.map(|(index, (first, width))| (index, first, width))
    }

    /// # Safety
    ///
    /// As [`Squares::run`] compared it.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn run<P, const SIDE: usize, const REACH: usize, const PRODUCTS: usize, F>(&self)
    where
        P: Machine,
        F: Form<SIDE, REACH>,
    {
        let (across, together) = (self.squares.across(), self.squares.lines());
        let strides = self.squares.strides::<P>();
        let finish = Finish::new(self.operands);
        let (geometry, input) = (&self.operands.geometry, self.operands.input.as_ptr());
        let lines = geometry.output[0].div_ceil(SIDE);
        // SAFETY: the caller's promise; squares are no more than there is room for.
        unsafe {
            let zero = self.operands.input_zero_point as u8;
            core::ptr::write_bytes(self.padding, zero, self.squares.inputs);
            for first in (0..lines).step_by(together) {
                let squares = together.min(lines - first) * across;
                for square in 0..squares {
                    let place = [first + square / across, square % across];
                    let to = self.transformed.add(square * strides.square);
                    let pixels =
                        pixels::<i8, REACH, PRODUCTS>(geometry, input, place, self.padding);
                    self.transform_inputs::<SIDE, REACH, PRODUCTS, F>(&pixels, &strides, to);
                }
                P::multiply::<SIDE, REACH, F>(self, &finish, squares);
                for square in 0..squares {
                    let place = [first + square / across, square % across];
                    self.write::<P, SIDE, REACH, F>(&finish, square, place);
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
        strides: &Strides,
        mut to: *mut i16,
    ) {
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
            for (i, line) in lines.into_iter().enumerate() {
                // SAFETY: as above, for every row and column.
                unsafe {
                    for (j, value) in F::inputs(line).into_iter().enumerate() {
                        let to = to.add(i * strides.row + j * strides.column);
                        _mm256_storeu_si256(to.cast(), value);
                    }
                }
            }
            to = to.wrapping_add(strides.channels);
        }
    }

    /// Writes the outputs of a square that exist.
    ///
    /// # Safety
    ///
    /// As [`Task::run`]; the square's sums are there.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn write<P: Machine, const SIDE: usize, const REACH: usize, F: Form<SIDE, REACH>>(
        &self,
        finish: &Finish,
        square: usize,
        place: [usize; 2],
    ) {
        let outputs = self.squares.outputs;
        let [rows, columns, _] = self.operands.geometry.output;
        let [y, x] = place.map(|at| SIDE * at);
        for (index, first, width) in self.blocks() {
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
                with_rule!(rule, S => P::write::<SIDE, REACH, F, S>(&corner, width, to));
            }
        }
    }
}

/// The outputs of a square for a block of channels.
pub(crate) struct Corner<'a> {
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
