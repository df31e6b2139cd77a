//! Between real numbers and integers, and between integers of different scales.

use crate::tflite::call::{Call, Refusal};
use crate::tflite::tensor;
use format::fixed::Rounding;
use graph::{DType, Data};
use runtime::host::{Tensor, evaluate};
use runtime::ops::dequantize::Dequantize;
use runtime::ops::quantize::Quantize;

pub(super) fn quantize(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let input = call.input(0)?;
    let dtype = call.output_dtype()?;
    let declared = tensor::quantization(call.output()?)?;
    let value = call.value(input);
    if [value.dtype, dtype].contains(&DType::I32) {
        let reason = format!(
            "it converts {} to {dtype}, and int32 is in no steps here",
            value.dtype
        );
        let remedy = "convert the model with activations of int8 or int16";
        return Err(Refusal::new(reason, remedy));
    }
    if value.dtype == dtype && value.quantization == declared {
        return call.deliver(input);
    }
    call.finish(Quantize { dtype }, &[input])
}

/// Constants, as weights of small floats or integers, become floats now.
pub(super) fn dequantize(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let input = call.input(0)?;
    let value = call.value(input);
    let (Some(data), dtype) = (&value.data, value.dtype) else {
        return call.finish(Dequantize, &[input]);
    };
    let floats = match (dtype, &value.quantization) {
        (DType::F32, _) => data.f32()?.to_vec(),
        (_, Some(quantization)) if quantization.axis.is_none() => {
            let tensor = Tensor {
                shape: value.shape,
                data: data.clone(),
            };
            let operand = [Some((tensor, Some(quantization.clone())))];
            let results = evaluate(&Dequantize, &operand, &[], Rounding::Double)?;
            let first = results.first().ok_or("it makes nothing")?;
            first.data.f32()?.to_vec()
        }
        _ => return Err("constants with scales per channel stay integers".into()),
    };
    call.finish_constant(Data::F32(floats))
}
