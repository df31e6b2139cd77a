//! Operands that say where elements are: whole numbers of 32 or 64 bits.

use crate::Run;
use core::cell::Cell;
use format::{DType, Tensor};
use kernels::memory::In;

/// An operand of positions.
#[derive(Clone, Copy)]
pub(crate) enum Indices<'a> {
    I32(In<'a, i32>),
    I64(In<'a, i64>),
}

impl<'a> Indices<'a> {
    /// Input operand `index`, which [`is_index`] accepted.
    pub(crate) fn of(run: &Run<'a>, index: usize) -> Self {
        match run.node.input(index).map(|tensor| tensor.dtype) {
            Some(DType::I64) => Indices::I64(run.input(index)),
            _ => Indices::I32(run.input(index)),
        }
    }

    /// The number at `index`.
    pub(crate) fn get(&self, index: usize) -> i64 {
        match self {
            Indices::I32(values) => values.get(index).into(),
            Indices::I64(values) => values.get(index),
        }
    }

    /// The position that the number at `index` stands for among `size` elements: from the end where
    /// it is negative, `None` where it is outside.
    pub(crate) fn position(&self, index: usize, size: usize) -> Option<usize> {
        let value = self.get(index);
        let from_start = match value < 0 {
            true => value.checked_add(i64::try_from(size).ok()?)?,
            false => value,
        };
        usize::try_from(from_start).ok().filter(|&at| at < size)
    }
}

/// What stands for zero in a tensor: its zero point.
#[derive(Clone, Copy)]
pub(crate) struct Zero {
    bytes: [u8; 4],
    width: usize,
}

impl Zero {
    pub(crate) fn of(tensor: &Tensor) -> Self {
        let (bytes, width) = (tensor.zero_point.to_le_bytes(), tensor.dtype.bytes().max(1));
        Zero { bytes, width }
    }

    /// Fills whole elements; those of 8 bytes have no zero point.
    pub(crate) fn fill(&self, cells: &[Cell<u8>]) {
        for (i, cell) in cells.iter().enumerate() {
            cell.set(self.bytes.get(i % self.width).copied().unwrap_or(0));
        }
    }
}

/// Whether an operand can say where elements are.
pub(crate) fn is_index(tensor: &Tensor) -> bool {
    matches!(tensor.dtype, DType::I32 | DType::I64)
}
