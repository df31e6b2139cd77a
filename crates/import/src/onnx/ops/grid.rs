//! Spatial transformers: AffineGrid and GridSample.

use crate::onnx::call::{Call, Item, Refusal, sizes};
use runtime::ops::fully_connected::FullyConnected;
use runtime::ops::grid_sample::{Coordinates, GridSample, Interpolation, Outside};

pub(super) fn sample(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let (x, grid) = (call.float(0)?, call.float(1)?);
    let interpolation = match call.attributes.text("mode", "linear")? {
        "linear" | "bilinear" => Interpolation::Linear,
        "nearest" => Interpolation::Nearest,
        "cubic" | "bicubic" => Interpolation::Cubic,
        other => return Err(format!("interpolation '{other}' is not known").into()),
    };
    let outside = match call.attributes.text("padding_mode", "zeros")? {
        "zeros" => Outside::Zeros,
        "border" => Outside::Border,
        "reflection" => Outside::Reflection,
        other => return Err(format!("padding in mode '{other}' is not known").into()),
    };
    let coordinates = match call.attributes.flag("align_corners")? {
        true => Coordinates::Centres,
        false => Coordinates::Edges,
    };
    let sampling = GridSample {
        interpolation,
        outside,
        coordinates,
    };
    Ok(vec![call.push(sampling, &[x, grid])?])
}

/// A grid of points, each `theta (x, y, …, 1)`: a layer whose weights are the points.
pub(super) fn affine(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let theta = call.float(0)?;
    let size = call.required_constant(1, "size")?.data.to_i64()?;
    let size: Option<Vec<usize>> = size.iter().map(|&n| usize::try_from(n).ok()).collect();
    let size = size.ok_or("its size is negative")?;
    let matrix = sizes(&call.shape(theta));
    crate::onnx::call::to_shape(&size)?;
    let axes = size.len().saturating_sub(2);
    if !(2..=3).contains(&axes) {
        return Err(format!("{size:?} is no size of images").into());
    }
    if matrix != [size[..1].to_vec(), vec![axes, axes + 1]].concat() {
        return Err(format!("its matrices {} do not fit {size:?}", call.shape(theta)).into());
    }
    let spatial = &size[2..];
    let points: usize = spatial.iter().product();
    call.afford(&crate::onnx::call::to_shape(&[points, axes + 1])?)?;
    let aligned = call.attributes.flag("align_corners")?;
    let coordinate = |index: usize, size: usize| match aligned {
        true if size == 1 => -1.0,
        true => -1.0 + 2.0 * index as f32 / (size - 1) as f32,
        false => (2.0 * index as f32 + 1.0) / size as f32 - 1.0,
    };
    let mut values = Vec::new();
    for point in 0..points {
        let mut rest = point;
        // The last axis comes first.
        for &size in spatial.iter().rev() {
            values.push(coordinate(rest % size, size));
            rest /= size;
        }
        values.push(1.0);
    }
    let weights = call.floats(&[points, axes + 1], values)?;
    let rows = call.reshape(theta, &[size[0] * axes, axes + 1])?;
    let grid = call.push(FullyConnected::default(), &[rows, weights])?;
    let grid = call.reshape(grid, &[size[0], axes, points])?;
    let grid = call.transpose(grid, vec![0, 2, 1])?;
    let dims = [&size[..1], spatial, &[axes]].concat();
    Ok(vec![call.reshape(grid, &dims)?])
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, int, text};

    /// A translation by half the image to the right.
    #[test]
    fn points_are_moved_and_sampled() {
        let theta = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0];
        let source = || Source::new(20).input(&[1, 2, 3], &theta);
        let grid = source()
            .whole(&[1, 1, 1, 2])
            .apply("AffineGrid", vec![int("align_corners", 1)]);
        assert_eq!(grid.run(), ("1x1x2x2".into(), vec![0.0, -1.0, 2.0, -1.0]));
        let refused = |size: &[i64]| source().whole(size).apply("AffineGrid", vec![]).refusal();
        assert!(refused(&[1, 1, 2]).contains("no size of images"));
        assert!(refused(&[2, 1, 1, 2]).contains("do not fit"));
        assert!(refused(&[1, 1, 1 << 33, 1 << 33]).contains("too large"));
        let image = Source::new(20).input(&[1, 1, 1, 2], &[1.0, 3.0]);
        let image = image.constant(&[1, 1, 2, 2], &[0.0, 0.0, 1.0, 0.0]);
        let attributes = vec![int("align_corners", 1), text("padding_mode", "border")];
        assert_eq!(image.apply("GridSample", attributes).run().1, [2.0, 3.0]);
    }
}
