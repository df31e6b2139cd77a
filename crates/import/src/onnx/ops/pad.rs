//! Pad with a constant: amounts are an attribute before operator set 11, then an operand.

use crate::onnx::call::{Call, Item, Refusal};
use crate::onnx::constant::to_f32;
use runtime::ops::pad::Pad;

/// Larger amounts are refused: the compact format has 16 bits.
const LARGEST: i64 = 65_535;

pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.float(0)?;
    let mode = call.attributes.text("mode", "constant")?;
    if mode != "constant" {
        return Err(format!("padding in mode '{mode}' is not supported").into());
    }
    let rank = call.shape(x).rank();
    let (pads, value) = if call.opset < 11 {
        let pads = call.attributes.ints("pads")?.ok_or("its pads are missing")?;
        (pads.to_vec(), call.attributes.float("value", 0.0)?)
    } else {
        let value = match call.optional_constant(2, "value")? {
            Some(tensor) => to_f32(&tensor.data).first().copied().unwrap_or(0.0),
            None => 0.0,
        };
        (call.required_constant(1, "pads")?.data.to_i64()?, value)
    };
    let axes: Vec<usize> = match call.optional_constant(3, "axes")? {
        Some(axes) => {
            let axes = axes.data.to_i64()?;
            axes.iter().map(|&axis| call.axis(axis, rank)).collect::<Result<_, _>>()?
        }
        None => (0..rank).collect(),
    };
    if pads.len() != 2 * axes.len() || pads.iter().any(|pad| !(0..=LARGEST).contains(pad)) {
        let needs = format!("{} numbers from 0 to {LARGEST}", 2 * axes.len());
        return Err(format!("its pads are {pads:?}, but must be {needs}").into());
    }
    let mut amounts = vec![[0, 0]; rank];
    for (i, &axis) in axes.iter().enumerate() {
        amounts[axis] = [pads[i] as usize, pads[i + axes.len()] as usize];
    }
    if amounts.iter().all(|amount| *amount == [0, 0]) {
        return Ok(vec![x]);
    }
    Ok(vec![call.push(Pad { amounts, value }, &[x])?])
}
