//! Operands that say where elements are: whole numbers of 32 or 64 bits.

use crate::Run;
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

/// Whether an operand can say where elements are.
pub(crate) fn is_index(tensor: &Tensor) -> bool {
    matches!(tensor.dtype, DType::I32 | DType::I64)
}
