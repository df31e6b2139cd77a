//! Softmax and LogSoftmax over any axis.

use crate::onnx::call::{Call, Item, Refusal, sizes};
use runtime::ops::softmax::Softmax;
use runtime::ops::unary::{Function, Unary};

/// Before operator set 13 all axes from `axis` on are one.
pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.float(0)?;
    let dims = sizes(&call.shape(x));
    let rank = dims.len();
    if call.opset < 13 {
        let axis = call.axis(call.attributes.int("axis", 1)?, rank)?;
        let rows = if axis + 1 == rank {
            x
        } else {
            let halves = [dims[..axis].iter().product(), dims[axis..].iter().product()];
            call.reshape(x, &halves)?
        };
        let result = call.push(Softmax, &[rows])?;
        return Ok(vec![call.reshape(result, &dims)?]);
    }
    let axis = call.axis(call.attributes.int("axis", -1)?, rank)?;
    // Its own inverse: the axis changes places with the last.
    let mut swap: Vec<usize> = (0..rank).collect();
    swap.swap(axis, rank - 1);
    let rows = call.transpose(x, swap.clone())?;
    let result = call.push(Softmax, &[rows])?;
    Ok(vec![call.transpose(result, swap)?])
}

/// The logarithm of Softmax.
pub(super) fn log(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let shares = import(call)?;
    Ok(vec![call.push(Unary { function: Function::Log }, &shares)?])
}
