//! int8 loops in plain Rust.

pub(crate) use super::integer::conv_2d;
pub(crate) use super::pool::{average_pool_2d, max_pool_2d};
#[cfg(any(armv7em, test))]
pub(crate) use super::stepwise::Factor;
pub(crate) use super::stepwise::stepwise_add;
use crate::{AddI8, LineI8, QuantizeI8};
use format::fixed;

/// See [`crate::i8::add`].
pub(crate) fn add(operands: &AddI8<'_>) {
    let [low, high] = operands.limits.map(i32::from);
    let [factor_a, factor_b] = operands.factors;
    for (i, cell) in operands.output.iter().enumerate() {
        let [a, b] = operands.inputs.map(|input| i32::from(input.get(i)));
        let sum = a * factor_a + b * factor_b + operands.offset;
        cell.set((sum >> operands.shift).clamp(low, high) as i8);
    }
}

/// See [`crate::i8::quantize`].
pub(crate) fn quantize(operands: &QuantizeI8<'_>) {
    match operands.halves_to_even {
        true => quantize_by(operands, fixed::quantize),
        false => quantize_by(operands, fixed::quantize_half_away),
    }
}

/// Compiled for each rule, so that no element calls a function.
fn quantize_by(operands: &QuantizeI8<'_>, rule: impl Fn(f32, f32, i32, i32, i32) -> i32) {
    let (scale, zero_point) = (operands.scale, operands.zero_point);
    for (i, cell) in operands.output.iter().enumerate() {
        let value = operands.input.get(i);
        cell.set(rule(value, scale, zero_point, -128, 127) as i8);
    }
}

/// See [`crate::i8::lookup`].
pub(crate) fn lookup(operands: &LineI8<'_>) {
    for (i, cell) in operands.output.iter().enumerate() {
        let index = usize::from(operands.input.get(i) as u8);
        cell.set(operands.table.get(index).copied().unwrap_or(0));
    }
}
