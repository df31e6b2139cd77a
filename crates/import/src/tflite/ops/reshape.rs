//! Other dimensions for the same elements: the file declares what comes out.

use crate::tflite::call::{Call, Refusal};

pub(super) fn import(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let input = call.input(0)?;
    if let (Some(data), quantization) = {
        let value = call.value(input);
        (value.data.clone(), value.quantization.clone())
    } {
        // A constant under other dimensions stays one, unless its scales are along one of them.
        if quantization.is_none_or(|quantization| quantization.axis.is_none()) {
            return call.finish_constant(data);
        }
        return Err("it changes the dimensions along which scales differ".into());
    }
    call.deliver(input)
}
