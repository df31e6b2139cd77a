//! Elements in other places: DepthToSpace, SpaceToDepth, Tile, Expand, CenterCropPad.

use crate::onnx::call::{Call, Item, Refusal, sizes};
use runtime::ops::binary::broadcast;

/// Blocks of channels become squares of pixels.
pub(super) fn depth_to_space(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let (x, [n, c, h, w], block) = image(call)?;
    if !c.is_multiple_of(block * block) {
        return Err(format!("{c} channels are no squares of {block}").into());
    }
    let depth = c / (block * block);
    let (split, order) = match call.attributes.text("mode", "DCR")? {
        "DCR" => ([n, block, block, depth, h, w], vec![0, 3, 4, 1, 5, 2]),
        "CRD" => ([n, depth, block, block, h, w], vec![0, 1, 4, 2, 5, 3]),
        other => return Err(format!("the mode '{other}' is not known").into()),
    };
    let parts = call.reshape(x, &split)?;
    let turned = call.transpose(parts, order)?;
    Ok(vec![
        call.reshape(turned, &[n, depth, h * block, w * block])?,
    ])
}

/// Squares of pixels become channels.
pub(super) fn space_to_depth(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let (x, [n, c, h, w], block) = image(call)?;
    if !h.is_multiple_of(block) || !w.is_multiple_of(block) {
        return Err(format!("{h} x {w} pixels are no squares of {block}").into());
    }
    let parts = call.reshape(x, &[n, c, h / block, block, w / block, block])?;
    let turned = call.transpose(parts, vec![0, 3, 5, 1, 2, 4])?;
    let dims = [n, c * block * block, h / block, w / block];
    Ok(vec![call.reshape(turned, &dims)?])
}

fn image(call: &Call<'_>) -> Result<(Item, [usize; 4], usize), Refusal> {
    let x = call.required(0)?;
    let Ok(dims) = <[usize; 4]>::try_from(sizes(&call.shape(x))) else {
        return Err(format!("{} is no image", call.shape(x)).into());
    };
    let block = call.attributes.int("blocksize", 0)?;
    let block = usize::try_from(block)
        .ok()
        .filter(|block| (1..=65_535).contains(block));
    Ok((
        x,
        dims,
        block.ok_or("its blocksize is not from 1 to 65,535")?,
    ))
}

/// The whole repeated along every axis.
pub(super) fn tile(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let mut x = call.required(0)?;
    let repeats = call.required_constant(1, "repeats")?.data.to_i64()?;
    let dims = sizes(&call.shape(x));
    if repeats.len() != dims.len() || repeats.iter().any(|count| !(1..=65_535).contains(count)) {
        return Err(format!("its repeats are {repeats:?} for {}", call.shape(x)).into());
    }
    for (axis, (&count, &size)) in repeats.iter().zip(&dims).enumerate() {
        if count > 1 {
            let length = size * count as usize;
            call.afford(&crate::onnx::call::to_shape(&[length])?)?;
            x = call.picked(x, axis, (0..length).map(|at| (at % size) as i32).collect())?;
        }
    }
    Ok(vec![x])
}

/// Axes of 1 stretched to a constant shape.
pub(super) fn expand(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let wanted = call.required_constant(1, "shape")?.data.to_i64()?;
    let wanted: Result<Vec<usize>, _> = wanted.into_iter().map(usize::try_from).collect();
    let wanted = crate::onnx::call::to_shape(&wanted.map_err(|_| "its shape is negative")?)?;
    let shape = call.shape(x);
    let target = broadcast(&shape, &wanted)
        .filter(|shape| crate::sizes::problem(shape).is_none())
        .ok_or_else(|| format!("{shape} cannot become {wanted}"))?;
    Ok(vec![stretched(call, x, &sizes(&target))?])
}

/// The item stretched to dimensions that it broadcasts to.
pub(super) fn stretched(call: &mut Call<'_>, x: Item, to: &[usize]) -> Result<Item, Refusal> {
    let own = sizes(&call.shape(x));
    let dims = [&vec![1; to.len().saturating_sub(own.len())], &own[..]].concat();
    let mut x = call.reshape(x, &dims)?;
    for (axis, (&size, &has)) in to.iter().zip(&dims).enumerate() {
        if size != has {
            x = call.picked(x, axis, vec![0; size])?;
        }
    }
    Ok(x)
}

/// Axes cut or filled with zeros on both sides, to constant sizes.
pub(super) fn center_crop_pad(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let mut x = call.required(0)?;
    let wanted = call.required_constant(1, "shape")?.data.to_i64()?;
    let rank = call.shape(x).rank();
    let axes: Vec<usize> = match call.attributes.ints("axes")? {
        Some(axes) => {
            let known = axes.iter().map(|&axis| call.axis(axis, rank));
            known.collect::<Result<_, _>>()?
        }
        None => (0..rank).collect(),
    };
    if wanted.len() != axes.len() || wanted.iter().any(|&size| size < 1) {
        return Err(format!("its shape {wanted:?} does not fit {} axes", axes.len()).into());
    }
    for (&axis, size) in axes.iter().zip(wanted) {
        let (has, size) = (call.shape(x).dim(axis), size as usize);
        if size < has {
            x = call.part(x, axis, (has - size) / 2, size)?;
        } else if size > has {
            let before = (size - has) / 2;
            call.afford(&crate::onnx::call::to_shape(&[size])?)?;
            // A place behind the end picks zero.
            let from = |at: usize| at.checked_sub(before).unwrap_or(has).min(has);
            x = call.picked(x, axis, (0..size).map(|at| from(at) as i32).collect())?;
        }
    }
    Ok(vec![x])
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, int, ints, text};

    #[test]
    fn depth_is_space() {
        let x = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
        let source = || Source::new(13).input(&[1, 8, 1, 1], &x);
        let block = || int("blocksize", 2);
        let dcr = source().apply("DepthToSpace", vec![block()]);
        assert_eq!(dcr.run().1, [0.0, 2.0, 4.0, 6.0, 1.0, 3.0, 5.0, 7.0]);
        let crd = source().apply("DepthToSpace", vec![block(), text("mode", "CRD")]);
        assert_eq!(crd.run(), ("1x2x2x2".into(), x.to_vec()));
        let back = Source::new(13)
            .input(&[1, 2, 2, 2], &x)
            .apply("SpaceToDepth", vec![block()]);
        assert_eq!(back.run().1, [0.0, 4.0, 1.0, 5.0, 2.0, 6.0, 3.0, 7.0]);
    }

    #[test]
    fn rows_are_repeated() {
        let source = || Source::new(13).input(&[2, 1], &[1.0, 2.0]);
        let tile = source().whole(&[2, 2]).apply("Tile", vec![]);
        assert_eq!(tile.run().1, [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0]);
        let wide = source().whole(&[2, 1, 2]).apply("Expand", vec![]);
        let expected = vec![1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0];
        assert_eq!(wide.run(), ("2x2x2".into(), expected));
        let wrong = source().whole(&[3, 1]).apply("Expand", vec![]);
        assert!(wrong.refusal().contains("cannot become 3x1"));
    }

    #[test]
    fn the_middle_stays() {
        let source = Source::new(18)
            .input(&[1, 4], &[1.0, 2.0, 3.0, 4.0])
            .whole(&[2]);
        let cut = source.apply("CenterCropPad", vec![ints("axes", &[1])]);
        assert_eq!(cut.run().1, [2.0, 3.0]);
        let filled = Source::new(18).input(&[2], &[1.0, 2.0]).whole(&[4]);
        assert_eq!(
            filled.apply("CenterCropPad", vec![]).run().1,
            [0.0, 1.0, 2.0, 0.0]
        );
    }
}
