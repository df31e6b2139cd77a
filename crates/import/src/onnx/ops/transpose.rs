//! Transpose: reverses the axes where `perm` is left out.

use crate::onnx::call::{Call, Item, Refusal};

pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let rank = call.shape(x).rank();
    let axes = match call.attributes.ints("perm")? {
        None => (0..rank).rev().collect(),
        Some(perm) => {
            let axes: Result<Vec<usize>, _> =
                perm.iter().map(|&axis| call.axis(axis, rank)).collect();
            axes?
        }
    };
    let mut sorted = axes.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..rank) {
        return Err(format!("{axes:?} does not permute {rank} axes").into());
    }
    Ok(vec![call.transpose(x, axes)?])
}
