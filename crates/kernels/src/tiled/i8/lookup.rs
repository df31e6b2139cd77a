//! Element by element through a table.

use crate::{LineI8, scalar};
use core::cell::Cell;

/// See [`crate::i8::lookup`]. One load per element is as fast as 16 shuffles per 32 elements;
/// knowing that the table has every index is what counts.
pub(crate) fn lookup(operands: &LineI8<'_>) {
    let Some(Ok(table)) = operands.table.get(..256).map(<&[i8; 256]>::try_from) else {
        return scalar::i8::lookup(operands);
    };
    let length = operands.output.len().min(operands.input.len());
    let (input, output) = (operands.input.as_ptr(), operands.output.as_ptr());
    for i in 0..length {
        // SAFETY: `i` is inside both views; plain reads and `Cell` writes may alias.
        unsafe {
            Cell::set(
                &*output.add(i),
                table[usize::from(input.add(i).read() as u8)],
            )
        };
    }
    scalar::i8::lookup(&LineI8 {
        input: operands.input.part(length, 0),
        output: operands.output.get(length..).unwrap_or(&[]),
        ..*operands
    });
}
