//! Weights that a file carries beside its own, packed for [`super::squares`]. Pure, so that a host
//! can pack and plan.

use super::plan;
use crate::Geometry;
use crate::squares::{PRODUCTS, REACH, SIDE, numbers_of_window};

/// Output channels that are computed together.
pub(super) const BLOCK: usize = 4;

/// Squares that are computed together, side by side.
pub(super) const TOGETHER: usize = 2;

/// What input channels are a multiple of: what the loop takes in one round.
const INPUTS_STEP: usize = 8;

/// Where the loops have the numbers of a square: rows in this order, and each row's in that.
const ROW_ORDER: [usize; REACH] = [3, 2, 0, 1];
const COLUMN_ORDER: [usize; REACH] = [1, 2, 0, 3];

/// Words of column sums that the squares have of each channel together.
pub(super) const SUMS: usize = REACH * SIDE * TOGETHER * BLOCK;

/// A convolution that is computed by squares, where the file has its weights packed for them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Squares {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// Bytes of a row of the input.
    row_bytes: usize,
}

impl Squares {
    /// `None` where windows do not have that form.
    pub(crate) fn of(geometry: &Geometry) -> Option<Squares> {
        if !geometry.is_three_by_three() {
            return None;
        }
        let ([_, width, inputs], [rows, columns, outputs]) = (geometry.input, geometry.output);
        let is_whole = inputs.is_multiple_of(INPUTS_STEP) && outputs.is_multiple_of(BLOCK);
        let is_moderate = [inputs, outputs, width, rows, columns]
            .iter()
            .all(|size| (1..1 << 11).contains(size));
        (is_whole && is_moderate).then_some(Squares {
            inputs,
            outputs,
            row_bytes: width * inputs,
        })
    }

    /// Whether squares save time: not where too many of their pixels are outside.
    pub(crate) fn is_worth(geometry: &Geometry) -> bool {
        let [rows, columns, _] = geometry.output;
        let computed = rows.next_multiple_of(SIDE) * columns.next_multiple_of(TOGETHER * SIDE);
        2 * computed <= 3 * rows * columns
    }

    /// Bytes from one number of the transformed inputs to the next, of all channels and squares.
    pub(super) fn number_bytes(&self) -> usize {
        2 * self.inputs * TOGETHER
    }

    /// Bytes of transformed inputs, of sums, of a pixel of padding, and of a row of the input.
    pub(super) fn scratch_parts(&self) -> [usize; 4] {
        let transformed = PRODUCTS * self.number_bytes();
        [transformed, 4 * SUMS, self.inputs, self.row_bytes]
    }

    /// Bytes of working memory: enough for loops over windows, too.
    pub(crate) fn scratch_bytes(&self, geometry: &Geometry) -> usize {
        let own: usize = self.scratch_parts().iter().sum();
        own.max(plan::conv_2d_scratch_bytes(geometry))
    }

    /// Bytes of packed weights: `[blocks of outputs][products][pairs of inputs][outputs][2]` of 16
    /// bits. A pair is two inputs with another between them.
    pub(crate) fn packed_bytes(&self) -> usize {
        2 * PRODUCTS * self.outputs * self.inputs
    }

    /// Packs `[O, 3, 3, I]`; what is missing counts as 0.
    pub(crate) fn pack(&self, weights: &[i8], packed: &mut [u8]) {
        let (halves, _) = packed.as_chunks_mut::<2>();
        let pairs = self.inputs / 2;
        for output in 0..self.outputs {
            for input in 0..self.inputs {
                let at = |tap: usize| (output * 9 + tap) * self.inputs + input;
                let tap = |tap: usize| weights.get(at(tap)).copied().unwrap_or(0);
                let numbers = numbers_of_window(core::array::from_fn(tap));
                let (pair, upper) = (input / 4 * 2 + input % 2, input / 2 % 2);
                for product in 0..PRODUCTS {
                    let row = ROW_ORDER[product / REACH];
                    let number = numbers[row * REACH + COLUMN_ORDER[product % REACH]];
                    let block = output / BLOCK * PRODUCTS + product;
                    let word = (block * pairs + pair) * BLOCK + output % BLOCK;
                    if let Some(half) = halves.get_mut(2 * word + upper) {
                        *half = number.to_le_bytes();
                    }
                }
            }
        }
    }
}
