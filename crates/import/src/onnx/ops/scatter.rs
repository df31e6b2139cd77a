//! What indices replace or combine: Scatter, ScatterElements, ScatterND, MaxUnpool, Col2Im.

use super::gather::flat;
use crate::onnx::call::{Call, Item, Refusal, sizes};
use runtime::ops::scatter::{Combination, Scatter};

fn combination(call: &Call<'_>) -> Result<Combination, Refusal> {
    Ok(match call.attributes.text("reduction", "none")? {
        "none" => Combination::Replace,
        "add" => Combination::Add,
        "mul" => Combination::Multiply,
        "max" => Combination::Max,
        "min" => Combination::Min,
        other => return Err(format!("the reduction '{other}' is not known").into()),
    })
}

/// Single elements along one axis, by constant indices.
pub(super) fn elements(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let (data, updates) = (call.required(0)?, call.required(2)?);
    let indices = call.required_constant(1, "indices")?;
    let (dims, given) = (sizes(&call.shape(data)), sizes(&indices.shape));
    let axis = call.axis(call.attributes.int("axis", 0)?, dims.len())?;
    if given.len() != dims.len() || sizes(&call.shape(updates)) != given {
        return Err(format!("indices {} do not fit {dims:?}", indices.shape).into());
    }
    let mut table = Vec::new();
    for (place, index) in indices.data.to_i64()?.into_iter().enumerate() {
        let mut coordinates = vec![0; given.len()];
        let mut rest = place;
        for a in (0..given.len()).rev() {
            coordinates[a] = (rest % given[a]) as i64;
            rest /= given[a];
        }
        coordinates[axis] = index;
        table.push(flat(call, &coordinates, &dims)? as i32);
    }
    let combination = combination(call)?;
    put(call, data, table, updates, 1, combination)
}

/// Slices by constant coordinates.
pub(super) fn nd(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let (data, updates) = (call.required(0)?, call.required(2)?);
    let indices = call.required_constant(1, "indices")?;
    let dims = sizes(&call.shape(data));
    let depth = sizes(&indices.shape).last().copied().unwrap_or(0);
    if depth == 0 || depth > dims.len() {
        return Err(format!("indices {} do not fit {dims:?}", indices.shape).into());
    }
    let (outer, rest) = dims.split_at(depth);
    let values = indices.data.to_i64()?;
    let places = values
        .chunks_exact(depth)
        .map(|at| Ok(flat(call, at, outer)? as i32));
    let table: Vec<i32> = places.collect::<Result<_, Refusal>>()?;
    let combination = combination(call)?;
    put(
        call,
        data,
        table,
        updates,
        rest.iter().product(),
        combination,
    )
}

fn put(
    call: &mut Call<'_>,
    data: Item,
    table: Vec<i32>,
    updates: Item,
    block: usize,
    combination: Combination,
) -> Result<Vec<Item>, Refusal> {
    let indices = call.positions(&[table.len()], table)?;
    let scatter = Scatter { block, combination };
    Ok(vec![call.push(scatter, &[data, indices, updates])?])
}

/// Elements back at the places where MaxPool found them.
pub(super) fn max_unpool(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let (x, indices) = (call.float(0)?, call.required(1)?);
    let dims = sizes(&call.shape(x));
    let rank = dims.len().saturating_sub(2);
    let kernel = call.kernel_shape(rank)?;
    let strides = call.spatial_sizes("strides", 1, rank, 1)?;
    let pads = call.spatial_sizes("pads", 0, 2 * rank, 0)?;
    let mut own = dims[..dims.len() - rank].to_vec();
    for axis in 0..rank {
        let reach = (dims[axis + 2] - 1) * strides[axis] + kernel[axis];
        let size = reach.checked_sub(pads[axis] + pads[axis + rank]);
        own.push(size.ok_or("its padding is larger than its result")?);
    }
    let zeros = crate::onnx::call::to_shape(&own)?;
    call.afford(&zeros)?;
    let zeros = call.floats(&own, vec![0.0; zeros.elements()])?;
    let (block, combination) = (1, Combination::Replace);
    let mut result = call.push(Scatter { block, combination }, &[zeros, indices, x])?;
    if let Some(wanted) = call.optional_constant(2, "output shape")? {
        for (axis, size) in wanted
            .data
            .to_i64()?
            .into_iter()
            .enumerate()
            .take(own.len())
        {
            let size = usize::try_from(size).map_err(|_| "its output shape is negative")?;
            if size < own[axis] {
                return Err(format!("its output of {size} does not hold {}", own[axis]).into());
            }
            if size > own[axis] {
                // What is behind the end is zero.
                call.afford(&crate::onnx::call::to_shape(&[size])?)?;
                result = call.picked(result, axis, (0..size as i32).collect())?;
            }
        }
    }
    Ok(vec![result])
}

/// Windows that are columns, added where they overlap.
pub(super) fn col2im(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.float(0)?;
    let image = whole_sizes(call, 1, "image shape")?;
    let block = whole_sizes(call, 2, "block shape")?;
    let rank = image.len();
    if rank > 3 {
        return Err(format!("{rank} spatial dimensions are more than three").into());
    }
    let strides = call.spatial_sizes("strides", 1, rank, 1)?;
    let dilations = call.spatial_sizes("dilations", 1, rank, 1)?;
    let pads = call.spatial_sizes("pads", 0, 2 * rank, 0)?;
    let misfit = || Refusal::from(format!("blocks {block:?} do not fit an image of {image:?}"));
    let mut windows = Vec::new();
    for axis in 0..rank.min(block.len()) {
        let reach = block[axis].checked_sub(1).ok_or_else(misfit)? * dilations[axis] + 1;
        let padded = image[axis] + pads[axis] + pads[axis + rank];
        windows.push(padded.checked_sub(reach).ok_or_else(misfit)? / strides[axis] + 1);
    }
    let (taps, places) = (
        block.iter().product::<usize>(),
        windows.iter().product::<usize>(),
    );
    let &[samples, columns, length] = &sizes(&call.shape(x))[..] else {
        return Err(misfit());
    };
    if block.len() != rank || length != places || taps == 0 || !columns.is_multiple_of(taps) {
        return Err(misfit());
    }
    call.afford(&crate::onnx::call::to_shape(&[taps, places])?)?;
    let pixels: usize = image.iter().product();
    let mut table = Vec::new();
    for pair in 0..taps * places {
        let (mut tap, mut place) = (pair / places, pair % places);
        let (mut at, mut step, mut inside) = (0, 1, true);
        for axis in (0..rank).rev() {
            let shift = tap % block[axis] * dilations[axis] + place % windows[axis] * strides[axis];
            (tap, place) = (tap / block[axis], place / windows[axis]);
            let pixel = shift
                .checked_sub(pads[axis])
                .filter(|&pixel| pixel < image[axis]);
            inside &= pixel.is_some();
            at += pixel.unwrap_or(0) * step;
            step *= image[axis];
        }
        // What falls into the padding is left out.
        table.push(if inside { at } else { pixels } as i32);
    }
    let planes = samples * columns / taps;
    let rows = call.reshape(x, &[planes, taps * places])?;
    let rows = call.transpose(rows, vec![1, 0])?;
    let zeros = crate::onnx::call::to_shape(&[pixels, planes])?;
    call.afford(&zeros)?;
    let zeros = call.floats(&[pixels, planes], vec![0.0; pixels * planes])?;
    let sums = put(call, zeros, table, rows, planes, Combination::Add)?;
    let planar = call.transpose(sums[0], vec![1, 0])?;
    let dims = [&[samples, columns / taps], &image[..]].concat();
    Ok(vec![call.reshape(planar, &dims)?])
}

/// Constant sizes above zero.
fn whole_sizes(call: &Call<'_>, index: usize, what: &str) -> Result<Vec<usize>, Refusal> {
    let values = call.required_constant(index, what)?.data.to_i64()?;
    let sizes = values
        .iter()
        .map(|&n| usize::try_from(n).ok().filter(|n| (1..=65_535).contains(n)));
    let sizes: Option<Vec<usize>> = sizes.collect();
    sizes.ok_or_else(|| format!("its {what} {values:?} has sizes that cannot be").into())
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, int, ints, text};

    fn zeros(dims: &[i64]) -> Source {
        Source::new(18).input(dims, &vec![1.0; dims.iter().product::<i64>() as usize])
    }

    #[test]
    fn elements_and_slices_are_put() {
        let one = zeros(&[1, 3])
            .whole_of(&[1, 2], &[2, 0])
            .constant(&[1, 2], &[5.0, 6.0]);
        let replaced = one.apply("ScatterElements", vec![int("axis", 1)]);
        assert_eq!(replaced.run().1, [6.0, 1.0, 5.0]);
        let added = zeros(&[2, 2]).whole_of(&[2, 1], &[-1, 1]);
        let added = added.constant(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
        let added = added.apply("ScatterND", vec![text("reduction", "add")]);
        assert_eq!(added.run().1, [1.0, 1.0, 5.0, 7.0]);
    }

    #[test]
    fn windows_overlap() {
        let source = Source::new(18).input(&[1, 2, 2], &[1.0, 2.0, 3.0, 4.0]);
        let source = source.whole(&[3]).whole(&[2]).apply("Col2Im", vec![]);
        assert_eq!(source.run(), ("1x1x3".into(), vec![1.0, 5.0, 4.0]));
        let wrong = Source::new(18).input(&[1, 3, 2], &[1.0; 6]);
        let wrong = wrong.whole(&[3]).whole(&[2]).apply("Col2Im", vec![]);
        assert!(wrong.refusal().contains("do not fit"));
    }

    #[test]
    fn pools_are_undone() {
        let source = Source::new(11).input(&[1, 1, 2], &[5.0, 6.0]);
        let source = source.whole_of(&[1, 1, 2], &[1, 2]);
        let attributes = vec![ints("kernel_shape", &[2]), ints("strides", &[2])];
        let unpooled = source.apply("MaxUnpool", attributes);
        assert_eq!(unpooled.run(), ("1x1x4".into(), vec![0.0, 5.0, 6.0, 0.0]));
    }
}
