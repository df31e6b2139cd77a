//! Squares of pixels as channels, and the other way round.

use crate::tflite::call::{Call, Refusal};
use graph::{Shape, ValueId};
use runtime::ops::reshape::Reshape;
use runtime::ops::transpose::Transpose;

pub(super) fn depth_to_space(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (input, [n, h, w, c], block) = image(call)?;
    if !c.is_multiple_of(block * block) {
        return Err(format!("{c} channels are no squares of {block}").into());
    }
    let depth = c / (block * block);
    rearranged(call, input, [n, h, w, block, block, depth])
}

pub(super) fn space_to_depth(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (input, [n, h, w, c], block) = image(call)?;
    if !h.is_multiple_of(block) || !w.is_multiple_of(block) {
        return Err(format!("{h} x {w} pixels are no squares of {block}").into());
    }
    rearranged(call, input, [n, h / block, block, w / block, block, c])
}

fn image(call: &mut Call<'_, '_>) -> Result<(ValueId, [u32; 4], u32), Refusal> {
    let input = call.input(0)?;
    let dims = <[u32; 4]>::try_from(call.shape(input).dims());
    let dims = dims.map_err(|_| "needs an input [N, H, W, C]")?;
    let block = call.option_size(0, 0)?;
    let block = u32::try_from(block).ok().filter(|&block| block <= 65_535);
    Ok((input, dims, block.ok_or("its block is larger than 65,535")?))
}

/// The third and the fourth of six axes change places.
fn rearranged(call: &mut Call<'_, '_>, input: ValueId, dims: [u32; 6]) -> Result<(), Refusal> {
    let shape = Shape::new(&dims).ok_or("too many dimensions")?;
    let quantization = call.shared_quantization(input)?;
    let parts = call.push(Reshape { shape }, &[input], quantization.clone())?;
    let permutation = vec![0, 1, 3, 2, 4, 5];
    let turned = call.push(Transpose { permutation }, &[parts], quantization)?;
    call.deliver(turned)
}
