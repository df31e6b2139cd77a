//! Comparisons, truth values, and choices by them.

use crate::tflite::call::{Call, Refusal};
use crate::tflite::tensor::Held;
use graph::{DType, Data, Shape};
use runtime::ops::choose::Choose;
use runtime::ops::compare::{Compare, Relation};
use runtime::ops::reshape::Reshape;
use runtime::ops::whole::{Function, WholeNumbers};

/// The relation of the first operand to the second, or the other way round.
pub(super) fn compare(
    call: &mut Call<'_, '_>,
    relation: Relation,
    is_turned: bool,
) -> Result<(), Refusal> {
    let mut inputs = [call.input(0)?, call.input(1)?];
    if is_turned {
        inputs.reverse();
    }
    call.finish(Compare { relation }, &inputs)
}

pub(super) fn logical(call: &mut Call<'_, '_>, function: Function) -> Result<(), Refusal> {
    let inputs = [call.input(0)?, call.input(1)?];
    call.finish(WholeNumbers { function }, &inputs)
}

pub(super) fn not(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let input = call.input(0)?;
    let one = Held {
        data: Data::Bool(vec![1]),
        quantization: None,
    };
    let one = call.held(input, Shape::new(&[]).ok_or("too many dimensions")?, one);
    let function = Function::Xor;
    call.finish(WholeNumbers { function }, &[input, one])
}

/// SELECT_V2, and SELECT, whose conditions of one dimension are those of rows.
pub(super) fn select(call: &mut Call<'_, '_>, by_rows: bool) -> Result<(), Refusal> {
    let [mut condition, a, b] = [call.input(0)?, call.input(1)?, call.input(2)?];
    let (conditions, rank) = (call.shape(condition), call.shape(a).rank());
    if by_rows && conditions.rank() == 1 && rank > 1 {
        let mut dims = vec![1; rank];
        dims[0] = conditions.dim(0) as u32;
        let shape = Shape::new(&dims).ok_or("too many dimensions")?;
        condition = call.push(Reshape { shape }, &[condition], None)?;
    }
    if call.value(condition).dtype != DType::Bool {
        return Err("its condition is no truth value".into());
    }
    call.alike(a, b)?;
    let quantization = call.shared_quantization(a)?;
    let chosen = call.push(Choose, &[condition, a, b], quantization)?;
    call.deliver(chosen)
}
