//! Windows of 3 x 3 by squares of outputs, two side by side at a time: see [`crate::squares`].
//! Weights are those that the file has packed.

#[cfg(all(armv7em, target_arch = "arm"))]
mod loops;
#[cfg(not(all(armv7em, target_arch = "arm")))]
mod model;
#[cfg(all(armv7em, target_arch = "arm"))]
use loops::{products, products_double, products_single, transform};
#[cfg(not(all(armv7em, target_arch = "arm")))]
use model::{products, products_double, products_single, transform};

use super::finish::{Finish, Rule, packed};
use super::gather;
use super::packing::{Squares, TOGETHER};
use crate::squares::{REACH, SIDE};
use crate::{Conv2dI8, rules};

/// Columns of input pixels under two squares.
const COLUMNS: usize = TOGETHER * SIDE + 2;

/// The inputs under two squares. The order is known to the loop's text.
#[repr(C)]
struct Inputs {
    /// Column after column, all [`REACH`] pixels of each.
    pixels: [*const i8; COLUMNS * REACH],
    /// Transformed ones: `[numbers][pairs of channels][squares][2]` of 16 bits.
    to: *mut u32,
    /// Bytes from number to number.
    number_bytes: usize,
    /// A multiple of four.
    channels: usize,
}

/// What two squares are multiplied with. The order is known to the loops' text.
#[repr(C)]
struct Products {
    /// Where the first channel of each pixel goes, row after row of one square after the other. Pixels
    /// that there are not repeat those before.
    outputs: [*mut i8; TOGETHER * SIDE * SIDE],
    /// Transformed ones.
    inputs: *const u32,
    /// Room for [`super::packing::SUMS`] words.
    sums: *mut i32,
    /// Bytes from number to number of the inputs: a multiple of 32.
    number_bytes: usize,
    /// Left shift of biases.
    bias_shift: u32,
    /// Left shift of multipliers.
    multiplier_shift: u32,
    zero_point: i32,
    /// The output's limits, as signed bytes at the lower end.
    low: u32,
    high: u32,
    /// Whether the limits are narrower than the type's: 0 or 1.
    is_limited: u32,
    /// Packed weights.
    weights: *const u32,
    /// Records, one for each channel: packed ones, or three words each for the others.
    records: *const u32,
    /// 0, and the number of channels: a multiple of four.
    channel: usize,
    channels: usize,
}

/// A row of the input under a line of squares.
#[derive(Clone, Copy)]
struct Row {
    start: *const i8,
    /// What is taken of distances from the start: nothing in a row of padding, which is one pixel.
    mask: usize,
}

/// A convolution whose operands have the sizes of its geometry, and its memory.
struct Task<'a> {
    operands: &'a Conv2dI8<'a>,
    squares: &'a Squares,
    weights: *const u32,
    transformed: *mut u32,
    sums: *mut i32,
    /// A pixel of the input's zero point.
    padding: *mut i8,
    /// The first row of inputs under a line of squares, which the line's outputs may overwrite.
    row: *mut i8,
}

/// Computes the whole output; `false` where no loop of `RULES` has the rule.
///
/// # Safety
///
/// Operands but for weights and channel records have the geometry's sizes, there are
/// [`Squares::packed_bytes`] at `weights`, and [`Squares::scratch_bytes`] at `scratch`.
pub(super) unsafe fn multiply<const RULES: u8>(
    operands: &Conv2dI8<'_>,
    squares: &Squares,
    weights: *const u32,
    scratch: *mut u32,
) -> bool {
    let geometry = &operands.geometry;
    let finish = Finish::new(operands);
    let Some(rule) = finish.rule::<RULES>() else {
        return false;
    };
    let [transformed, sums, padding, _] = squares.scratch_parts();
    let task = Task {
        operands,
        squares,
        weights,
        transformed: scratch,
        sums: scratch.wrapping_byte_add(transformed).cast(),
        padding: scratch.wrapping_byte_add(transformed + sums).cast(),
        row: scratch
            .wrapping_byte_add(transformed + sums + padding)
            .cast(),
    };
    // SAFETY: the caller's promise; a line and a pair of squares have outputs.
    unsafe {
        gather::fill(task.padding, squares.inputs, operands.input_zero_point);
        for line in 0..geometry.output[0].div_ceil(SIDE) {
            let rows = task.rows(line);
            for pair in 0..geometry.output[1].div_ceil(TOGETHER * SIDE) {
                task.pair::<RULES>(&finish, rule, &rows, [line, pair]);
            }
        }
    }
    true
}

impl Task<'_> {
    /// The rows of the input under a line of squares.
    ///
    /// # Safety
    ///
    /// As [`multiply`].
    unsafe fn rows(&self, line: usize) -> [Row; REACH] {
        let geometry = &self.operands.geometry;
        let [rows, columns, channels] = geometry.input;
        // A row before the image wraps round to far behind it.
        let top = (line * SIDE).wrapping_sub(geometry.window.padding[0]);
        let input = self.operands.input.as_ptr();
        let mut found = [0, 1, 2, 3].map(|i| match top.wrapping_add(i) {
            row if row < rows => Row {
                start: input.wrapping_add(row * columns * channels),
                mask: usize::MAX,
            },
            _ => Row {
                start: self.padding,
                mask: 0,
            },
        });
        if found[0].mask != 0 {
            // SAFETY: the row is one of the input's, and there is room for it.
            unsafe { gather::copy(found[0].start, self.row, columns * channels) };
            found[0].start = self.row;
        }
        found
    }

    /// All outputs of two squares.
    ///
    /// # Safety
    ///
    /// As [`multiply`]; the first square has outputs.
    unsafe fn pair<const RULES: u8>(
        &self,
        finish: &Finish<'_>,
        (rule, [zero_point, low, high]): (Rule, [i32; 3]),
        rows: &[Row; REACH],
        [line, pair]: [usize; 2],
    ) {
        let [bias_shift, multiplier_shift] = finish.shifts();
        let mut task = Products {
            outputs: self.outputs(line, pair),
            inputs: self.transformed,
            sums: self.sums,
            number_bytes: self.squares.number_bytes(),
            bias_shift,
            multiplier_shift,
            zero_point,
            low: packed(low),
            high: packed(high),
            is_limited: u32::from(low > -128 || high < 127),
            weights: self.weights,
            records: finish.words(),
            channel: 0,
            channels: self.squares.outputs,
        };
        // SAFETY: the caller's promise; pixels are of the input, or padding.
        unsafe {
            transform(&Inputs {
                pixels: self.pixels(rows, pair),
                to: self.transformed,
                number_bytes: self.squares.number_bytes(),
                channels: self.squares.inputs,
            });
            match rule {
                Rule::High if RULES & rules::HIGH != 0 => products(&mut task),
                Rule::Single if RULES & rules::SINGLE != 0 => products_single(&mut task),
                Rule::Double if RULES & rules::DOUBLE != 0 => products_double(&mut task),
                _ => {}
            }
        }
    }

    /// The pixels under two squares, column after column.
    fn pixels(&self, rows: &[Row; REACH], pair: usize) -> [*const i8; COLUMNS * REACH] {
        let geometry = &self.operands.geometry;
        let [_, columns, channels] = geometry.input;
        let left = (pair * TOGETHER * SIDE).wrapping_sub(geometry.window.padding[1]);
        let mut pixels = [self.padding.cast_const(); COLUMNS * REACH];
        for (i, places) in pixels.as_chunks_mut::<REACH>().0.iter_mut().enumerate() {
            let column = left.wrapping_add(i);
            if column < columns {
                *places = rows.map(|row| row.start.wrapping_add((column * channels) & row.mask));
            }
        }
        pixels
    }

    /// Where the outputs of two squares go.
    fn outputs(&self, line: usize, pair: usize) -> [*mut i8; TOGETHER * SIDE * SIDE] {
        let [rows, columns, channels] = self.operands.geometry.output;
        let first: *const i8 = self.operands.output.as_ptr().cast();
        let upper = first
            .cast_mut()
            .wrapping_add(line * SIDE * columns * channels);
        let down = match line * SIDE + 1 < rows {
            true => columns * channels,
            false => 0,
        };
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| {
            let x = (pair * TOGETHER * SIDE + i).min(columns - 1);
            upper.wrapping_add(x * channels)
        });
        let below = |pixel: *mut i8| pixel.wrapping_add(down);
        [a, b, below(a), below(b), c, d, below(c), below(d)]
    }
}
