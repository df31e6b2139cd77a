//! ConvTranspose: the image with zeros between its pixels, convolved with the mirrored weights.

use super::conv::{apply, groups};
use crate::onnx::call::{Call, Item, Refusal, sizes};
use crate::onnx::spatial::AxisWindow;

pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let (mut x, weights) = (call.float(0)?, call.float(1)?);
    let (image, dims) = (sizes(&call.shape(x)), sizes(&call.shape(weights)));
    let groups = groups(call)?;
    let rank = image.len().saturating_sub(2);
    let fits = dims.len() == image.len()
        && (1..=3).contains(&rank)
        && dims[0] == image[1]
        && dims[0].is_multiple_of(groups);
    if !fits || dims.contains(&0) || image.contains(&0) {
        let (weights, x) = (call.shape(weights), call.shape(x));
        return Err(format!("its weights {weights} do not fit {x}").into());
    }
    let kernel = &dims[2..];
    let dilations = call.spatial_sizes("dilations", 1, rank, 1)?;
    let places = places(call, &image[2..], kernel, &dilations)?;
    for (axis, (first, stride, output)) in places.into_iter().enumerate() {
        let (size, reach) = (image[axis + 2], (kernel[axis] - 1) * dilations[axis]);
        let length = output + reach;
        call.afford(&crate::onnx::call::to_shape(&[length])?)?;
        // A place behind the end picks zero.
        let from = |at: usize| {
            let shifted = usize::try_from(at as i64 - first).ok();
            let pixel = shifted
                .filter(|at| at.is_multiple_of(stride))
                .map(|at| at / stride);
            pixel.filter(|&pixel| pixel < size).unwrap_or(size) as i32
        };
        x = call.picked(x, axis + 2, (0..length).map(from).collect())?;
    }
    let weights = mirrored(call, weights, &dims, groups)?;
    let axis = |(&kernel, &dilation): (&usize, &usize)| AxisWindow {
        kernel,
        dilation,
        ..AxisWindow::NONE
    };
    let windows: Vec<AxisWindow> = kernel.iter().zip(&dilations).map(axis).collect();
    Ok(vec![apply(call, x, weights, &windows, groups)?])
}

/// For every axis where the first pixel goes, how far the next is from it, and the output's size.
fn places(
    call: &Call<'_>,
    image: &[usize],
    kernel: &[usize],
    dilations: &[usize],
) -> Result<Vec<(i64, usize, usize)>, Refusal> {
    let rank = image.len();
    let strides = call.spatial_sizes("strides", 1, rank, 1)?;
    let pads = call.spatial_sizes("pads", 0, 2 * rank, 0)?;
    let more = call.spatial_sizes("output_padding", 0, rank, 0)?;
    let auto = call.attributes.text("auto_pad", "NOTSET")?;
    let wanted = match call.attributes.has("output_shape") {
        true => Some(call.spatial_sizes("output_shape", 1, rank, 1)?),
        false => None,
    };
    let mut places = Vec::new();
    for axis in 0..rank {
        let reach = (kernel[axis] - 1) * dilations[axis];
        let whole = strides[axis] * (image[axis] - 1) + more[axis] + reach + 1;
        let is_same = matches!(auto, "SAME_UPPER" | "SAME_LOWER");
        let size = match &wanted {
            Some(sizes) => Some(sizes[axis]),
            None if is_same => Some(image[axis] * strides[axis]),
            None => None,
        };
        let (before, output) = match (size, auto) {
            (Some(size), _) => {
                let total = whole as i64 - size as i64;
                let half = total.div_euclid(2);
                (
                    if auto == "SAME_UPPER" {
                        half
                    } else {
                        total - half
                    },
                    size,
                )
            }
            (None, "NOTSET" | "") => {
                let output = whole.checked_sub(pads[axis] + pads[axis + rank]);
                let output = output.filter(|&output| output > 0);
                (
                    pads[axis] as i64,
                    output.ok_or("its padding is larger than its result")?,
                )
            }
            (None, "VALID") => (0, whole),
            (None, other) => return Err(format!("auto_pad '{other}' is not known").into()),
        };
        places.push((reach as i64 - before, strides[axis], output));
    }
    Ok(places)
}

/// `[I, O / groups, …]` as `[O, I / groups, …]`, backwards along every spatial axis.
fn mirrored(
    call: &mut Call<'_>,
    weights: Item,
    dims: &[usize],
    groups: usize,
) -> Result<Item, Refusal> {
    let (inputs, outputs, kernel) = (dims[0] / groups, dims[1], &dims[2..]);
    let split = [&[groups, inputs, outputs], kernel].concat();
    let mut order: Vec<usize> = (0..split.len()).collect();
    order.swap(1, 2);
    let weights = call.reshape(weights, &split)?;
    let turned = call.transpose(weights, order)?;
    let mut turned = call.reshape(turned, &[&[groups * outputs, inputs], kernel].concat())?;
    for (axis, &size) in kernel.iter().enumerate() {
        if size > 1 {
            turned = call.picked(turned, axis + 2, (0..size as i32).rev().collect())?;
        }
    }
    Ok(turned)
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, ints};

    #[test]
    fn windows_are_added_up() {
        let source = || {
            let source = Source::new(13).input(&[1, 1, 2], &[1.0, 10.0]);
            source.constant(&[1, 1, 3], &[1.0, 2.0, 3.0])
        };
        let dense = source().apply("ConvTranspose", vec![]);
        assert_eq!(dense.run(), ("1x1x4".into(), vec![1.0, 12.0, 23.0, 30.0]));
        assert!(dense.operators().contains(&"conv_2d"));
        let spread = source().apply("ConvTranspose", vec![ints("strides", &[2])]);
        assert_eq!(spread.run().1, [1.0, 2.0, 13.0, 20.0, 30.0]);
        let cut = vec![ints("strides", &[2]), ints("pads", &[1, 0])];
        assert_eq!(
            source().apply("ConvTranspose", cut).run().1,
            [2.0, 13.0, 20.0, 30.0]
        );
    }

    #[test]
    fn outputs_come_from_their_group() {
        let source = Source::new(13).input(&[1, 2, 1], &[1.0, 10.0]);
        let source = source.constant(&[2, 1, 2], &[1.0, 2.0, 3.0, 4.0]);
        let source = source.apply("ConvTranspose", vec![crate::onnx::testing::int("group", 2)]);
        assert_eq!(source.run(), ("1x2x2".into(), vec![1.0, 2.0, 30.0, 40.0]));
    }
}
