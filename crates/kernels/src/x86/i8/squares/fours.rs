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

    unsafe fn multiply(task: &Task<'_>, _: &Finish, squares: usize) {
        // SAFETY: the caller's promise.
        unsafe { P::multiply_squares(task, squares) }
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
pub(in crate::x86::i8) unsafe fn multiply<P: Fours>(task: &Task<'_>, squares: usize) {
    let Squares {
        inputs, outputs, ..
    } = task.squares;
    let [input_bytes, output_bytes] = task.squares.apart_bytes();
    for product in 0..task.squares.products() {
        // SAFETY: the caller's promise; whole matrices and blocks lie before these.
        unsafe {
            let numbers = task
                .transformed
                .byte_add(product * input_bytes)
                .cast_const();
            let sums = task.sums.byte_add(product * output_bytes);
            for first in (0..outputs).step_by(16 * P::Lanes::BLOCKS) {
                let matrix = Matrix {
                    weights: task.weights.add((product * outputs + first) * inputs),
                    inputs,
                    outputs,
                };
                for (square, size) in tiles(squares, P::Lanes::PIXELS_MAX[P::Lanes::BLOCKS - 1]) {
                    let from = numbers.add(square * inputs);
                    let to = sums.add(square * outputs + first);
                    match (size, P::Lanes::BLOCKS == 2 && first + 16 < outputs) {
                        (1, false) => matrix.tile::<P::Lanes, 1, 1>(from, to),
                        (1, true) => matrix.tile::<P::Lanes, 1, 2>(from, to),
                        (4, false) => matrix.tile::<P::Lanes, 4, 1>(from, to),
                        (4, true) => matrix.tile::<P::Lanes, 4, 2>(from, to),
                        (_, false) => matrix.tile::<P::Lanes, 8, 1>(from, to),
                        (_, true) => matrix.tile::<P::Lanes, 8, 2>(from, to),
                    }
                }
            }
        }
    }
}

/// A block of a matrix of weights, or two, whose products with numbers of squares are added up.
struct Matrix {
    /// `[blocks][pairs of inputs][16 outputs][2]`.
    weights: *const i16,
    inputs: usize,
    outputs: usize,
}

impl Matrix {
    /// The sums of `M` squares and `N` blocks.
    ///
    /// # Safety
    ///
    /// There are as many squares' numbers, room for their sums, and blocks of weights.
    #[inline(always)]
    unsafe fn tile<L: Lanes, const M: usize, const N: usize>(
        &self,
        numbers: *const i16,
        to: *mut i32,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = [[L::zero(); N]; M];
            for pair in 0..self.inputs / 2 {
                let weights = self.weights.add(32 * pair);
                let first = L::load(weights);
                let last = match N {
                    1 => first,
                    _ => L::load(weights.add(16 * self.inputs)),
                };
                for (m, sums) in sums.iter_mut().enumerate() {
                    let numbers = L::broadcast(numbers.add(m * self.inputs + 2 * pair));
                    sums[0] = sums[0].add_pairs(numbers, first);
                    if N == 2 {
                        sums[N - 1] = sums[N - 1].add_pairs(numbers, last);
                    }
                }
            }
            for (m, sums) in sums.into_iter().enumerate() {
                let to = to.add(m * self.outputs);
                sums[0].store(to);
                if N == 2 {
                    sums[N - 1].store(to.add(16));
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
        let mut lines = [[L::zero(); REACH]; SIDE];
        for j in 0..REACH {
            let mut column = [L::zero(); REACH];
            for (i, value) in column.iter_mut().enumerate() {
                *value = L::load(corner.sums.byte_add((i * REACH + j) * corner.apart_bytes));
            }
            for (line, value) in lines.iter_mut().zip(F::outputs(column)) {
                line[j] = value;
            }
        }
        let bias = L::load(corner.block.record);
        let parts = parts::<L>(corner.block.record);
        unrolled!(i in 0..SIDE {
            let mut row = F::outputs(lines[i]);
            for value in &mut row {
                *value = F::quotient(*value).plus(bias);
            }
            let last = SIDE - 1;
            let four = [row[0], row[last.min(1)], row[last.min(2)], row[last.min(3)]];
            let outputs = pixels::<L, S>(corner.block.finish, four, parts);
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
