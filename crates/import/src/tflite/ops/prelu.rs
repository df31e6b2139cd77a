//! PRELU: what is below zero times a factor of its own, in the parts that TensorFlow Lite rounds.

use super::cast::plain;
use crate::tflite::call::{Call, Refusal};
use crate::tflite::tensor::Held;
use graph::{DType, Data, Shape};
use runtime::host::Activation;
use runtime::ops::binary::{Binary, Function};
use runtime::ops::choose::Choose;
use runtime::ops::compare::{Compare, Relation};
use runtime::ops::quantize::Quantize;

pub(super) fn import(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (input, factors) = (call.input(0)?, call.input(1)?);
    let to = call.output_quantization()?;
    let (dtype, own) = (
        call.value(input).dtype,
        call.value(input).quantization.clone(),
    );
    let data = match (dtype, &own) {
        (DType::F32, _) => Data::F32(vec![0.0]),
        (DType::I8, Some(own)) => Data::I8(vec![own.zero_point as i8]),
        _ => return Err(format!("there is no PRELU of {dtype}").into()),
    };
    // The sign is that of the integers, however small a step is.
    let numbers = plain(call, input)?;
    let quantization = None;
    let zero = Held { data, quantization };
    let zero = call.held(input, Shape::new(&[]).ok_or("too many dimensions")?, zero);
    let relation = Relation::LessOrEqual;
    let is_kept = call.push(Compare { relation }, &[zero, numbers], None)?;
    let kept = match own == to {
        true => input,
        false => call.push(Quantize { dtype }, &[input], to.clone())?,
    };
    let product = Binary {
        function: Function::Mul,
        activation: Activation::None,
    };
    let scaled = call.push(product, &[input, factors], to)?;
    call.finish(Choose, &[is_kept, kept, scaled])
}
