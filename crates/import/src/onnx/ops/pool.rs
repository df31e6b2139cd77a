//! Pools in one and two dimensions.

use crate::onnx::call::{Call, Item, Refusal, sizes};
use runtime::host::Activation;
use runtime::ops::Window2d;
use runtime::ops::average_pool_2d::AveragePool2d;
use runtime::ops::max_pool_2d::MaxPool2d;
use runtime::ops::pad::Pad;

/// Mean of each window, over the image alone or over the padding as well.
pub(super) fn average(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.float(0)?;
    let rank = call.spatial_rank(x)?;
    let spatial = call.window(x, &call.kernel_shape(rank)?)?;
    let mut image = call.channels_last(x)?;
    let (mut window, declared) = (spatial.window, spatial.declared);
    let mut count_include_pad = call.attributes.flag("count_include_pad")?;
    if count_include_pad && window.padding != declared {
        // Declared padding counts and what rounding up adds does not: pad first.
        let [top, left, bottom, right] = declared;
        let amounts = vec![[0, 0], [top, bottom], [left, right], [0, 0]];
        image = call.push(Pad { amounts, value: 0.0 }, &[image])?;
        for (padding, declared) in window.padding.iter_mut().zip(declared) {
            *padding -= declared;
        }
        count_include_pad = false;
    }
    if window.dilation != [1, 1] && count_include_pad {
        return Err("dilation with count_include_pad is not supported".into());
    }
    let pool = AveragePool2d { window, count_include_pad, activation: Activation::None };
    let result = call.push(pool, &[image])?;
    Ok(vec![call.channels_first(result, rank)?])
}

/// Largest element of each window.
pub(super) fn max(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.float(0)?;
    let rank = call.spatial_rank(x)?;
    let window = call.window(x, &call.kernel_shape(rank)?)?.window;
    let image = call.channels_last(x)?;
    let result = call.push(MaxPool2d { window, activation: Activation::None }, &[image])?;
    Ok(vec![call.channels_first(result, rank)?])
}

/// Mean of each channel.
pub(super) fn global_average(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let (image, window) = whole_image(call)?;
    let count_include_pad = false;
    let pool = AveragePool2d { window, count_include_pad, activation: Activation::None };
    let result = call.push(pool, &[image])?;
    unflatten(call, result)
}

/// Largest element of each channel.
pub(super) fn global_max(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let (image, window) = whole_image(call)?;
    let result = call.push(MaxPool2d { window, activation: Activation::None }, &[image])?;
    unflatten(call, result)
}

/// The input in channels-last form with a window over all of it. More spatial dimensions than
/// two become one.
fn whole_image(call: &mut Call<'_>) -> Result<(Item, Window2d), Refusal> {
    let mut x = call.float(0)?;
    let dims = sizes(&call.shape(x));
    if dims.len() < 3 {
        return Err(format!("{} has no spatial dimensions", call.shape(x)).into());
    }
    if dims.len() > 4 {
        x = call.reshape(x, &[dims[0], dims[1], dims[2..].iter().product()])?;
    }
    let image = call.channels_last(x)?;
    let shape = call.shape(image);
    Ok((image, Window2d::dense([shape.dim(1), shape.dim(2)])))
}

/// `[N, 1, 1, C]` as `[N, C, 1, …]` of the input's rank.
fn unflatten(call: &mut Call<'_>, pooled: Item) -> Result<Vec<Item>, Refusal> {
    let mut dims = sizes(&call.shape(call.required(0)?));
    let result = call.channels_first(pooled, 2)?;
    dims.iter_mut().skip(2).for_each(|size| *size = 1);
    Ok(vec![call.reshape(result, &dims)?])
}
