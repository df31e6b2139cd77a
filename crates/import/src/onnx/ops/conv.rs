//! Conv in one and two dimensions: weights become `[O, KH, KW, I]`.

use crate::onnx::call::{Call, Item, Refusal, sizes};
use crate::onnx::constant;
use runtime::host::{Activation, Tensor};
use runtime::ops::conv_2d::Conv2d;

pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.float(0)?;
    call.float(1)?;
    let rank = call.spatial_rank(x)?;
    let weights = call.required_constant(1, "weights")?;
    let dims = sizes(&weights.shape);
    if dims.len() != rank + 2 || dims.contains(&0) {
        return Err(format!("its weights {} do not fit {}", weights.shape, call.shape(x)).into());
    }
    let groups = call.attributes.int("group", 1)?;
    let groups = usize::try_from(groups).ok().filter(|groups| (1..=65_535).contains(groups));
    let groups = groups.ok_or("its number of groups is not from 1 to 65,535")?;
    let kernel = &dims[2..];
    if call.attributes.has("kernel_shape") && call.kernel_shape(rank)? != kernel {
        return Err("its kernel_shape is not that of its weights".into());
    }
    let window = call.window(x, kernel)?.window;
    let weights = channels_last(call, &weights)?;
    let bias = bias(call, dims[0])?;
    let image = call.channels_last(x)?;
    let operands: Vec<Item> = [image, weights].into_iter().chain(bias).collect();
    let conv = Conv2d { window, groups, activation: Activation::None };
    let result = call.push(conv, &operands)?;
    Ok(vec![call.channels_first(result, rank)?])
}

/// `[O, I, KH, KW]` or `[O, I, K]` as `[O, KH, KW, I]` with `KH` 1.
fn channels_last(call: &mut Call<'_>, weights: &Tensor) -> Result<Item, Refusal> {
    let permutation: &[usize] = if weights.shape.rank() == 4 { &[0, 2, 3, 1] } else { &[0, 2, 1] };
    let turned = constant::transpose(weights, permutation).ok_or("its weights do not transpose")?;
    let mut dims = sizes(&turned.shape);
    if dims.len() == 3 {
        dims.insert(1, 1);
    }
    let shape = crate::onnx::call::to_shape(&dims)?;
    let name = call.operand_name(1);
    Ok(call.rearranged(name, Tensor { shape, data: turned.data }))
}

fn bias(call: &Call<'_>, outputs: usize) -> Result<Option<Item>, Refusal> {
    let Some(bias) = call.optional_constant(2, "bias")? else { return Ok(None) };
    call.float(2)?;
    if sizes(&bias.shape) == [outputs] {
        return Ok(call.input(2));
    }
    Err(format!("its bias {} does not fit {outputs} outputs", bias.shape).into())
}
