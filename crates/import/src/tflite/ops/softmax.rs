//! Softmax over the last axis, and its logarithm.

use crate::tflite::call::{Call, Refusal};
use runtime::ops::log_softmax::LogSoftmax;
use runtime::ops::softmax::Softmax;

pub(super) fn import(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let beta = call.option_f32(0, 0.0)?;
    if beta != 1.0 {
        return Err(format!("a softmax of {beta} times its input is not supported").into());
    }
    let input = call.input(0)?;
    call.finish(Softmax, &[input])
}

/// LOG_SOFTMAX.
pub(super) fn log(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let input = call.input(0)?;
    call.finish(LogSoftmax, &[input])
}
