//! Element-wise operators of two tensors, and sums of several.

use crate::tflite::call::{Call, Refusal};
use crate::tflite::tensor::Held;
use graph::{DType, Data, Kind, Shape, ValueId};
use runtime::host::Activation;
use runtime::ops::add_n::AddN;
use runtime::ops::binary::{Binary, Function};
use runtime::ops::choose::Choose;
use runtime::ops::compare::{Compare, Relation};
use runtime::ops::unary::{self, Unary};
use runtime::ops::whole::{self, WholeNumbers};

/// With a fused activation.
pub(super) fn import(call: &mut Call<'_, '_>, function: Function) -> Result<(), Refusal> {
    let activation = call.activation(0)?;
    let binary = Binary {
        function,
        activation,
    };
    finish(call, binary)
}

/// Without one.
pub(super) fn plain(call: &mut Call<'_, '_>, function: Function) -> Result<(), Refusal> {
    finish(call, of(function))
}

/// The operator of a function without an activation.
pub(super) fn of(function: Function) -> Binary {
    Binary {
        function,
        activation: Activation::None,
    }
}

fn finish(call: &mut Call<'_, '_>, binary: Binary) -> Result<(), Refusal> {
    let inputs = [call.input(0)?, call.input(1)?];
    // Quotients of integers here are not those of any file.
    let is_integer = matches!(call.value(inputs[0]).dtype, DType::I8 | DType::I16);
    if binary.function == Function::Div && is_integer && call.rounds_twice() {
        return Err("there is no div of integers that rounds twice".into());
    }
    call.finish(binary, &inputs)
}

/// The square, which is of floats alone.
pub(super) fn square(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let input = call.input(0)?;
    call.finish(of(Function::Mul), &[input, input])
}

/// ADD_N: one after the other, but for quantized ones, which are rounded once.
pub(super) fn sum(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let count = call.operator.inputs.len();
    let inputs: Result<Vec<ValueId>, Refusal> = (0..count).map(|i| call.input(i)).collect();
    let inputs = inputs?;
    let Some((&first, others)) = inputs
        .split_first()
        .filter(|(_, others)| !others.is_empty())
    else {
        return Err("it adds fewer than two tensors".into());
    };
    for &input in &inputs {
        call.alike(input, first)?;
        if call.shape(input) != call.shape(first) {
            let (a, b) = (call.shape(first), call.shape(input));
            return Err(format!("it adds {b} to {a}").into());
        }
    }
    if call.value(first).quantization.is_some() {
        return call.finish(AddN, &inputs);
    }
    let kind: Kind = match is_whole(call, first) {
        true => whole(whole::Function::Add),
        false => of(Function::Add).into(),
    };
    let mut sum = first;
    let (&last, between) = others.split_last().unwrap_or((&first, &[]));
    for &input in between {
        sum = call.push(kind.clone(), &[sum, input], None)?;
    }
    call.finish(kind, &[sum, last])
}

fn whole(function: whole::Function) -> Kind {
    WholeNumbers { function }.into()
}

/// Whether a value is of whole numbers that stand for themselves.
fn is_whole(call: &Call<'_, '_>, id: ValueId) -> bool {
    let value = call.value(id);
    value.quantization.is_none() && value.dtype != DType::F32
}

/// FLOOR_DIV: the largest whole number not above the quotient.
pub(super) fn floor_div(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let [a, b] = plain_numbers(call)?;
    if !is_whole(call, a) {
        let quotient = call.push(of(Function::Div), &[a, b], None)?;
        let function = unary::Function::Floor;
        return call.finish(Unary { function }, &[quotient]);
    }
    let rest = call.push(whole(whole::Function::Modulo), &[a, b], None)?;
    let multiple = call.push(whole(whole::Function::Sub), &[a, rest], None)?;
    call.finish(whole(whole::Function::Div), &[multiple, b])
}

/// FLOOR_MOD: what that leaves, with the sign of the divisor.
pub(super) fn floor_mod(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let [a, b] = plain_numbers(call)?;
    if is_whole(call, a) {
        return call.finish(whole(whole::Function::Modulo), &[a, b]);
    }
    let zero = Held {
        data: Data::F32(vec![0.0]),
        quantization: None,
    };
    let zero = call.held(a, Shape::new(&[]).ok_or("too many dimensions")?, zero);
    // What is left has the sign of the dividend: where that is the other one, the divisor is added.
    let rest = call.push(of(Function::Remainder), &[a, b], None)?;
    let moved = call.push(of(Function::Add), &[rest, b], None)?;
    let less = Relation::Less;
    let rest_below = call.push(Compare { relation: less }, &[rest, zero], None)?;
    let divisor_below = call.push(Compare { relation: less }, &[b, zero], None)?;
    let signs = [rest_below, divisor_below];
    let differ = call.push(whole(whole::Function::Xor), &signs, None)?;
    let relation = Relation::NotEqual;
    let is_left = call.push(Compare { relation }, &[rest, zero], None)?;
    let wrong = call.push(whole(whole::Function::And), &[differ, is_left], None)?;
    call.finish(Choose, &[wrong, moved, rest])
}

/// Two operands that are not quantized.
fn plain_numbers(call: &mut Call<'_, '_>) -> Result<[ValueId; 2], Refusal> {
    let inputs = [call.input(0)?, call.input(1)?];
    let mut quantized = inputs
        .iter()
        .map(|&id| call.value(id).quantization.is_some());
    match quantized.any(|is_quantized| is_quantized) {
        true => Err("it divides quantized numbers, and is of floats and whole numbers".into()),
        false => Ok(inputs),
    }
}
