//! Squares with AVX2 alone: the loops over pairs of 16 bits that windows are computed by.

use super::forms::Form;
use super::{Corner, Machine, Squares, Task};
use crate::tiled::i8::{Starts, Strip};
use crate::tiled::plan::Runs;
use crate::x86::Avx2;
use crate::x86::i8::finish::{Block, Finish, Raw, Scale};
use crate::x86::i8::tile::{Product, block_tiles};
use core::arch::x86_64::*;

/// Words of zeros where sums of matrix products start.
static ZEROS: [i32; 16] = [0; 16];

impl Machine for Avx2 {
    const HAS_SMALL: bool = true;
    const INPUTS_MIN: usize = 32;
    const OUTPUTS_MULTIPLE: usize = 8;
    const JOINS_COLUMNS: bool = false;

    #[target_feature(enable = "avx2,fma")]
    unsafe fn multiply<const SIDE: usize, const REACH: usize, F: Form<SIDE, REACH>>(
        task: &Task<'_>,
        finish: &Finish,
        squares: usize,
    ) {
        let Squares {
            inputs, outputs, ..
        } = task.squares;
        let [input_bytes, output_bytes] = task.squares.apart_bytes();
        for product in 0..task.squares.products() {
            for (_, first, width) in task.blocks() {
                // SAFETY: the caller's promise; whole matrices and blocks lie before these.
                unsafe {
                    let block = &Product {
                        weights: task.weights.add((product * outputs + first) * inputs),
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
                    let output = task.sums.byte_add(product * output_bytes).add(first).cast();
                    let rows = [task
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

    #[target_feature(enable = "avx2,fma")]
    unsafe fn write<const SIDE: usize, const REACH: usize, F, S>(
        corner: &Corner<'_>,
        width: usize,
        to: *mut i8,
    ) where
        F: Form<SIDE, REACH>,
        S: Scale,
    {
        // SAFETY: the caller's promise.
        unsafe {
            match width {
                16 => corner.write::<SIDE, REACH, 2, F, S>(to),
                _ => corner.write::<SIDE, REACH, 1, F, S>(to),
            }
        }
    }
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
                        let sum = match S::TAKES_MULTIPLES {
                            true => value,
                            false => F::quotient(value),
                        };
                        pixel[n] = _mm256_add_epi32(sum, bias[n]);
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
