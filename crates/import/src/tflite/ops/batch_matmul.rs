//! Products of two stacks of matrices.

use crate::tflite::call::{Call, Refusal};
use graph::{DType, ValueId};
use runtime::ops::mat_mul::MatMul;
use runtime::ops::transpose::Transpose;

pub(super) fn import(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (a, b) = (call.input(0)?, call.input(1)?);
    if call.value(a).dtype != call.value(b).dtype && call.value(a).dtype == DType::F32 {
        call.refuse_hybrid(a, b)?;
    }
    let a = turned(call, a, 0)?;
    let b = turned(call, b, 1)?;
    call.finish(MatMul, &[a, b])
}

/// The operand, its last two axes exchanged where an option says so.
fn turned(call: &mut Call<'_, '_>, value: ValueId, option: usize) -> Result<ValueId, Refusal> {
    let rank = call.shape(value).rank();
    if call.option_i8(option)? == 0 || rank < 2 {
        return Ok(value);
    }
    let mut permutation: Vec<usize> = (0..rank).collect();
    permutation.swap(rank - 2, rank - 1);
    let quantization = call.value(value).quantization.clone();
    call.push(Transpose { permutation }, &[value], quantization)
}
