//! Permuted dimensions.

use crate::tflite::call::{Call, Refusal};
use runtime::ops::transpose::Transpose;

pub(super) fn import(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let input = call.input(0)?;
    let rank = call.shape(input).rank();
    let axes = call.numbers(1, "axes")?;
    let permutation: Result<Vec<usize>, Refusal> =
        axes.iter().map(|&axis| call.axis(axis, rank)).collect();
    let quantization = call.shared_quantization(input)?;
    let turned = call.push(
        Transpose {
            permutation: permutation?,
        },
        &[input],
        quantization,
    )?;
    call.deliver(turned)
}
