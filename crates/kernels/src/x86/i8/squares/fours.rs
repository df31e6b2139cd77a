//! Squares of sets that multiply fours of bytes elsewhere, 16 outputs in a vector. What they gain over
//! windows by fours is less: only squares with a side of 4 do.

use super::forms::Form;
use super::{Corner, Machine, Squares, Task};
use crate::tiled::unrolled;
use crate::x86::i8::finish::{Finish, Scale};
use crate::x86::i8::fours::{Fours, Lanes, parts, pixels, tiles};
use core::arch::x86_64::*;

impl<P: Fours> Machine for P {
    const HAS_SMALL: bool = false;
    const INPUTS_MIN: usize = 32;
    const OUTPUTS_MULTIPLE: usize = 16;
    const JOINS_COLUMNS: bool = true;

    unsafe fn multiply<const SIDE: usize, const REACH: usize, F: Form<SIDE, REACH>>(
        task: &Task<'_>,
        _: &Finish,
        squares: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe { P::multiply_squares::<SIDE, REACH, F>(task, squares) }
    }

    unsafe fn write<const SIDE: usize, const REACH: usize, F, S>(
        corner: &Corner<'_>,
        _: usize,
        to: *mut i8,
    ) where
        F: Form<SIDE, REACH>,
        S: Scale,
    {
        // SAFETY: the caller's promise.
        unsafe { P::write_square::<SIDE, REACH, F, S>(corner, to) }
    }
}

/// See [`Machine::multiply`].
///
/// # Safety
///
/// As there; the machine has what `P` needs.
#[inline(always)]
pub(in crate::x86::i8) unsafe fn multiply<P, const SIDE: usize, const REACH: usize, F>(
    task: &Task<'_>,
    squares: usize,
) where
    P: Fours,
    F: Form<SIDE, REACH>,
{
    let Squares {
        inputs, outputs, ..
    } = task.squares;
    let [input_bytes, output_bytes] = task.squares.apart_bytes();
    let most = match squares {
        4.. => P::Lanes::SQUARES_MAX,
        _ => P::Lanes::SQUARES_MAX.min(2),
    };
    for block in task.blocks.clone() {
        for column in 0..REACH {
            for (square, size) in tiles(squares, most) {
                // SAFETY: the caller's promise; whole columns and squares lie before these.
                unsafe {
                    let products = Column {
                        weights: task
                            .weights
                            .add((block * REACH + column) * 16 * REACH * inputs),
                        numbers: task
                            .transformed
                            .byte_add(column * REACH * input_bytes)
                            .add(square * REACH * inputs),
                        inputs,
                        sums: task
                            .sums
                            .byte_add(column * output_bytes)
                            .add(square * outputs + 16 * block),
                        outputs,
                        row_bytes: REACH * output_bytes,
                    };
                    match size {
                        1 => products.multiply::<P::Lanes, 1, SIDE, REACH, F>(),
                        2 => products.multiply::<P::Lanes, 2, SIDE, REACH, F>(),
                        _ => products.multiply::<P::Lanes, 4, SIDE, REACH, F>(),
                    }
                }
            }
        }
    }
}

/// A column of squares' numbers, and of a block's weights.
struct Column {
    /// `[pairs of inputs][rows][16 outputs][2]`.
    weights: *const i16,
    /// `[squares][inputs / 16][rows][16]`.
    numbers: *const i16,
    inputs: usize,
    /// `[rows][squares][outputs]`, with so many bytes between rows.
    sums: *mut i32,
    outputs: usize,
    row_bytes: usize,
}

impl Column {
    /// What `A'` makes of the sums of `M` squares.
    ///
    /// # Safety
    ///
    /// There are as many squares' numbers, and room for what becomes of their sums; the machine has the
    /// lanes.
    #[inline(always)]
    unsafe fn multiply<L, const M: usize, const SIDE: usize, const REACH: usize, F>(&self)
    where
        L: Lanes,
        F: Form<SIDE, REACH>,
    {
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = [[L::zero(); REACH]; M];
            let mut weights = self.weights;
            for channels in 0..self.inputs / 16 {
                let numbers = self.numbers.add(channels * 16 * REACH);
                for pair in 0..8 {
                    let mut rows = [L::zero(); REACH];
                    for (i, row) in rows.iter_mut().enumerate() {
                        *row = L::load(weights.add(32 * i));
                    }
                    for (m, sums) in sums.iter_mut().enumerate() {
                        let numbers = numbers.add(m * REACH * self.inputs + 2 * pair);
                        for (i, sum) in sums.iter_mut().enumerate() {
                            *sum = sum.add_pairs(numbers.add(16 * i), rows[i]);
                        }
                    }
                    weights = weights.add(32 * REACH);
                }
            }
            for (m, sums) in sums.into_iter().enumerate() {
                let to = self.sums.add(m * self.outputs);
                for (i, value) in F::outputs(sums).into_iter().enumerate() {
                    value.store(to.byte_add(i * self.row_bytes));
                }
            }
        }
    }
}

/// See [`Machine::write`].
///
/// # Safety
///
/// As there; the machine has the lanes.
#[inline(always)]
pub(in crate::x86::i8) unsafe fn write<L: Lanes, const SIDE: usize, const REACH: usize, F, S>(
    corner: &Corner<'_>,
    to: *mut i8,
) where
    F: Form<SIDE, REACH>,
    S: Scale,
{
    // SAFETY: the caller's promise.
    unsafe {
        let bias = L::load(corner.block.record);
        let parts = parts::<L>(corner.block.record);
        unrolled!(i in 0..SIDE {
            let mut line = [L::zero(); REACH];
            for (j, value) in line.iter_mut().enumerate() {
                *value = L::load(corner.sums.byte_add((i * REACH + j) * corner.apart_bytes));
            }
            let mut row = F::outputs(line);
            for value in &mut row {
                if !S::TAKES_MULTIPLES {
                    *value = F::quotient(*value);
                }
                *value = value.plus(bias);
            }
            let last = SIDE - 1;
            let four = [row[0], row[last.min(1)], row[last.min(2)], row[last.min(3)]];
            let outputs = pixels::<L, S, false>(corner.block.finish, four, parts);
            if i < corner.pixels[0] {
                let to = to.add(i * corner.row);
                let quarters = outputs.quarters().into_iter().enumerate();
                for (j, outputs) in quarters.take(corner.pixels[1]) {
                    _mm_storeu_si128(to.add(j * corner.pixel).cast(), outputs);
                }
            }
        });
    }
}
