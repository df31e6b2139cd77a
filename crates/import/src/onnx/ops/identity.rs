//! Operators that change nothing in inference.

use crate::onnx::call::{Call, Item, Refusal};

/// The input.
pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    Ok(vec![call.required(0)?])
}

/// The input, unless the node asks for training.
pub(super) fn dropout(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let training = call.optional_constant(2, "training mode")?;
    let drops = training.is_some_and(|flag| flag.data.bytes().iter().any(|&byte| byte != 0));
    if drops {
        return Err(Refusal::new("it drops values at random", "export the model for inference"));
    }
    import(call)
}
