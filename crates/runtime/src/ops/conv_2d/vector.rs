//! The product of a vector and a matrix: a fully connected layer of one row, read from its record without
//! what other convolutions need. On microcontrollers decoding all of it would take as long as a small
//! layer's products.

use super::decode_requantize;
use crate::Run;
use format::fixed::{Requantize, Rounding};
use format::{DType, Node, Params, Row};
use kernels::VectorI8;
use kernels::memory::{In, cells_as, slice_as};

/// The window of a fully connected layer as its record has it: 1 x 1 without padding.
const WINDOW: [u8; 16] = [1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0];

/// Bytes of what follows: the number of groups, and how sums become outputs.
const RULE_BYTES: usize = 8;

/// A node that is such a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Vector {
    input: Row,
    output: Row,
    requantize: Requantize,
}

impl Vector {
    /// `None` for other convolutions, and for other rules than that of the high word.
    #[inline(always)]
    fn of(node: &Node<'_>) -> Option<Vector> {
        let mut params = node.params();
        let window: &[u8; WINDOW.len()] = params.array()?;
        let [1, 0, rule @ ..] = params.array::<RULE_BYTES>()? else { return None };
        // Compared as arrays, these would be a call of `memcmp`.
        let is_product = u128::from_le_bytes(*window) == u128::from_le_bytes(WINDOW);
        if !is_product || Rounding::from_code(rule[0]) != Some(Rounding::High) {
            return None;
        }
        Some(Vector {
            input: node.row(0)?,
            output: node.row(node.input_count())?,
            requantize: decode_requantize(&mut Params::new(rule), DType::I8),
        })
    }
}

/// Runs a node of [`super::I8`] if it is such a product.
pub(super) fn run(run: &Run<'_>) -> Option<()> {
    let node = &run.node;
    let Vector {
        input,
        output,
        requantize,
    } = Vector::of(node)?;
    kernels::i8::vector(&VectorI8 {
        input: In::from_cells(cells_as(run.span(input.offset, input.elements))?),
        output: cells_as(run.span(output.offset, output.elements))?,
        weights: slice_as(node.constants_from(1))?,
        channels: slice_as(node.constants_from(2))?,
        requantize,
        binding: run.binding,
    });
    Some(())
}
