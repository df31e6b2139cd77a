//! A constant around a tensor: amounts are `[rank, 2]`; the constant is real zero, or given.

use crate::tflite::call::{Call, Refusal};
use graph::Data;
use runtime::ops::pad::Pad;

pub(super) fn import(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let input = call.input(0)?;
    let numbers = call.numbers(1, "amounts")?;
    let amount = |&number: &i64| {
        let small = usize::try_from(number).ok().filter(|&n| n < 1 << 16);
        small.ok_or_else(|| Refusal::from(format!("it pads by {number}")))
    };
    let numbers: Vec<usize> = numbers.iter().map(amount).collect::<Result<_, _>>()?;
    let (pairs, _) = numbers.as_chunks::<2>();
    let value = match call.optional(2)? {
        Some(_) => real(call)?,
        None => 0.0,
    };
    let pad = Pad {
        amounts: pairs.to_vec(),
        value,
    };
    let quantization = call.shared_quantization(input)?;
    let padded = call.push(pad, &[input], quantization)?;
    call.deliver(padded)
}

/// The given constant as a real number.
fn real(call: &mut Call<'_, '_>) -> Result<f32, Refusal> {
    let id = call.constant(2, "values")?;
    let value = call.value(id);
    let number = match &value.data {
        Some(Data::F32(values)) => values.first().copied(),
        Some(other) => other
            .to_i64()?
            .first()
            .map(|&integer| match &value.quantization {
                Some(q) => (integer - i64::from(q.zero_point)) as f32 * q.scale(0),
                None => integer as f32,
            }),
        None => None,
    };
    number.ok_or_else(|| "it pads with nothing".into())
}
