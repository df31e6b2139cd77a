//! Squares of pixels as channels or as images of their own, and the other way round.

use crate::tflite::call::{Call, Refusal};
use graph::{Shape, ValueId};
use runtime::ops::pad::Pad;
use runtime::ops::reshape::Reshape;
use runtime::ops::slice::Slice;
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

/// The sizes of blocks along the axes behind the first, and what goes beside each: operands 1 and 2.
fn blocks(call: &mut Call<'_, '_>) -> Result<(Vec<u32>, Vec<[usize; 2]>), Refusal> {
    let sizes = call.numbers(1, "blocks")?.into_iter();
    let sizes: Result<Vec<u32>, _> = sizes.map(u32::try_from).collect();
    let beside = call.numbers(2, "amounts")?.into_iter();
    let beside: Result<Vec<usize>, _> = beside.map(usize::try_from).collect();
    let (Ok(sizes), Ok(beside)) = (sizes, beside) else {
        return Err("its blocks or what is beside them are negative".into());
    };
    let (pairs, _) = beside.as_chunks::<2>();
    let input = call.input(0)?;
    let is_whole = sizes.iter().all(|&size| (1..=65_535).contains(&size));
    let fits = beside.iter().all(|&amount| amount <= 65_535);
    match pairs.len() == sizes.len() && sizes.len() < call.shape(input).rank() && is_whole && fits {
        true => Ok((sizes, pairs.to_vec())),
        false => Err("its blocks do not fit the input".into()),
    }
}

/// SPACE_TO_BATCH_ND: the elements at every place of a block are an image of their own.
pub(super) fn space_to_batch(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (sizes, beside) = blocks(call)?;
    let mut value = call.input(0)?;
    let quantization = call.shared_quantization(value)?;
    if beside.iter().any(|&pair| pair != [0, 0]) {
        let mut amounts = vec![[0, 0]; call.shape(value).rank()];
        amounts[1..=beside.len()].copy_from_slice(&beside);
        let pad = Pad {
            amounts,
            value: 0.0,
        };
        value = call.push(pad, &[value], quantization.clone())?;
    }
    let shape = call.shape(value);
    let mut apart = vec![shape.dim(0) as u32];
    for (axis, &size) in sizes.iter().enumerate() {
        let length = shape.dim(axis + 1) as u32;
        if !length.is_multiple_of(size) {
            return Err(format!("{length} elements are no blocks of {size}").into());
        }
        apart.extend([length / size, size]);
    }
    apart.extend(&shape.dims()[sizes.len() + 1..]);
    let count = sizes.len();
    let places = (0..count).map(|block| 2 + 2 * block);
    let kept = [0].into_iter().chain((0..count).map(|block| 1 + 2 * block));
    let rest = 1 + 2 * count..apart.len();
    let permutation = places.chain(kept).chain(rest).collect();
    let parts = Shape::new(&apart).ok_or("too many dimensions")?;
    let parts = call.push(Reshape { shape: parts }, &[value], quantization.clone())?;
    let turned = call.push(Transpose { permutation }, &[parts], quantization)?;
    call.deliver(turned)
}

/// BATCH_TO_SPACE_ND: the other way round, less what is beside.
pub(super) fn batch_to_space(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (sizes, beside) = blocks(call)?;
    let input = call.input(0)?;
    let quantization = call.shared_quantization(input)?;
    let (shape, count) = (call.shape(input), sizes.len());
    let block: u32 = sizes.iter().fold(1, |all, &size| all.saturating_mul(size));
    let images = shape.dim(0) as u32;
    if !images.is_multiple_of(block) {
        return Err(format!("{images} images are no blocks of {block}").into());
    }
    let mut apart = sizes.clone();
    apart.push(images / block);
    apart.extend(&shape.dims()[1..]);
    let permutation = [count]
        .into_iter()
        .chain((0..count).flat_map(|block| [count + 1 + block, block]))
        .chain(2 * count + 1..apart.len());
    let permutation = permutation.collect();
    let parts = Shape::new(&apart).ok_or("too many dimensions")?;
    let parts = call.push(Reshape { shape: parts }, &[input], quantization.clone())?;
    let turned = call.push(Transpose { permutation }, &[parts], quantization.clone())?;
    let mut whole = shape.dims().to_vec();
    whole[0] = images / block;
    for (length, size) in whole[1..].iter_mut().zip(&sizes) {
        *length *= size;
    }
    let shape = Shape::new(&whole).ok_or("too many dimensions")?;
    let joined = call.push(Reshape { shape }, &[turned], quantization.clone())?;
    let (mut starts, mut kept) = (vec![0; whole.len()], whole.clone());
    for (axis, &[before, behind]) in beside.iter().enumerate() {
        starts[axis + 1] = before;
        let rest = (kept[axis + 1] as usize).checked_sub(before + behind);
        kept[axis + 1] = rest.ok_or("it cuts off more than there is")? as u32;
    }
    if kept == whole {
        return call.deliver(joined);
    }
    let slice = Slice {
        starts,
        steps: vec![1; whole.len()],
        sizes: kept.into_iter().map(|size| size as usize).collect(),
    };
    let cut = call.push(slice, &[joined], quantization)?;
    call.deliver(cut)
}
