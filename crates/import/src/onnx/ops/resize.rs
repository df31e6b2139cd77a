//! Resize and Upsample: one axis after the other, by tables of positions and weights.

use super::resize_table::{Axis, Coordinates, Curve, Table};
use crate::onnx::call::{Call, Item, Refusal, sizes};
use crate::onnx::constant::to_f32;
use runtime::ops::binary::Function as Of2;
use runtime::ops::resample::Resample;
use runtime::ops::resample_2d::Resample2d;

/// What the node says about all axes.
struct Manner {
    curve: Curve,
    coordinates: Coordinates,
    antialias: bool,
    exclude_outside: bool,
    extrapolation: f32,
}

pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let dims = sizes(&call.shape(x));
    let manner = manner(call)?;
    let axes: Vec<usize> = match call.attributes.ints("axes")? {
        Some(axes) => {
            let known = axes.iter().map(|&axis| call.axis(axis, dims.len()));
            known.collect::<Result<_, _>>()?
        }
        None => (0..dims.len()).collect(),
    };
    let targets = targets(call, &dims, &axes)?;
    let crop = match manner.coordinates {
        Coordinates::TfCropAndResize => crop(call, axes.len())?,
        _ => vec![[0.0, 1.0]; axes.len()],
    };
    let mut result = x;
    let (mut outside, mut tables) = (Vec::new(), Vec::new());
    for ((&axis, (scale, size)), crop) in axes.iter().zip(targets).zip(crop) {
        if size == 0 || dims[axis] == 0 {
            return Err(format!("nothing would be left of axis {axis}").into());
        }
        // As many weights reach an element as a smaller image has elements for each.
        let taps = 4 * (dims[axis] / size + 2);
        call.room_for(size.checked_mul(taps))?;
        let along = Axis {
            input: dims[axis],
            output: size,
            scale,
            crop,
        };
        let Manner {
            curve,
            coordinates,
            antialias,
            exclude_outside,
            ..
        } = manner;
        let table = Table::new(&along, curve, coordinates, antialias, exclude_outside);
        if table.outside.contains(&true) {
            outside.push((axis, table.outside.clone()));
        }
        if !table.is_identity(dims[axis]) {
            tables.push((axis, table));
        }
    }
    tables.sort_by_key(|&(axis, _)| axis);
    let is_float = call.dtype(x) == graph::DType::F32;
    match &tables[..] {
        [first, second] if is_float && is_small([&first.1, &second.1]) => {
            result = along_both(call, result, [first, second])?;
        }
        tables => {
            for (axis, table) in tables {
                result = along_axis(call, result, *axis, table)?;
            }
        }
    }
    for (axis, outside) in outside {
        result = extrapolated(call, result, axis, &outside, manner.extrapolation)?;
    }
    Ok(vec![result])
}

fn manner(call: &Call<'_>) -> Result<Manner, Refusal> {
    let attributes = call.attributes;
    let nearest = attributes.text("nearest_mode", "round_prefer_floor")?;
    // Before operator set 11 positions are scaled and rounded down.
    let is_old = call.opset < 11;
    let curve = match attributes.text("mode", "nearest")? {
        "nearest" if is_old => Curve::Floor,
        "nearest" => match nearest {
            "round_prefer_floor" => Curve::RoundPreferFloor,
            "round_prefer_ceil" => Curve::RoundPreferCeil,
            "floor" => Curve::Floor,
            "ceil" => Curve::Ceil,
            other => return Err(format!("the nearest_mode '{other}' is not known").into()),
        },
        "linear" | "bilinear" => Curve::Linear,
        "cubic" => Curve::Cubic(attributes.float("cubic_coeff_a", -0.75)?),
        other => return Err(format!("interpolation '{other}' is not known").into()),
    };
    let coordinates = match attributes.text("coordinate_transformation_mode", "half_pixel")? {
        _ if is_old => Coordinates::Asymmetric,
        "half_pixel" => Coordinates::HalfPixel,
        "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
        "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
        "align_corners" => Coordinates::AlignCorners,
        "asymmetric" => Coordinates::Asymmetric,
        "tf_crop_and_resize" => Coordinates::TfCropAndResize,
        other => return Err(format!("coordinates in mode '{other}' are not supported").into()),
    };
    Ok(Manner {
        curve,
        coordinates,
        antialias: attributes.flag("antialias")?,
        exclude_outside: attributes.flag("exclude_outside")?,
        extrapolation: attributes.float("extrapolation_value", 0.0)?,
    })
}

/// Scale and size of every axis in `axes`.
fn targets(call: &Call<'_>, dims: &[usize], axes: &[usize]) -> Result<Vec<(f64, usize)>, Refusal> {
    let sizes = match call.opset {
        ..11 => None,
        _ => call.optional_constant(3, "sizes")?,
    };
    let sizes = match sizes {
        Some(sizes) => sizes.data.to_i64()?,
        None => Vec::new(),
    };
    if !sizes.is_empty() {
        return by_sizes(call, dims, axes, &sizes);
    }
    let scales = match call.opset {
        ..9 => call.attributes.floats("scales")?.unwrap_or(&[]).to_vec(),
        9..11 => to_f32(&call.required_constant(1, "scales")?.data),
        _ => to_f32(&call.required_constant(2, "scales")?.data),
    };
    if scales.len() != axes.len() || !scales.iter().all(|&scale| scale > 0.0) {
        return Err(format!("its scales are {scales:?}, for {} axes", axes.len()).into());
    }
    let scaled = |(&scale, &axis): (&f32, &usize)| {
        // The product is rounded to f32 as in the formula of the standard.
        let size = (scale * dims[axis] as f32).floor();
        (f64::from(scale), size as usize)
    };
    Ok(scales.iter().zip(axes).map(scaled).collect())
}

fn by_sizes(
    call: &Call<'_>,
    dims: &[usize],
    axes: &[usize],
    sizes: &[i64],
) -> Result<Vec<(f64, usize)>, Refusal> {
    if sizes.len() != axes.len() || sizes.iter().any(|&size| size < 1) {
        return Err(format!("its sizes are {sizes:?}, for {} axes", axes.len()).into());
    }
    let pairs = || sizes.iter().zip(axes);
    let scales: Vec<f64> = pairs()
        .map(|(&size, &axis)| size as f64 / dims[axis] as f64)
        .collect();
    let common = match call
        .attributes
        .text("keep_aspect_ratio_policy", "stretch")?
    {
        "stretch" => None,
        "not_larger" => scales.iter().copied().reduce(f64::min),
        "not_smaller" => scales.iter().copied().reduce(f64::max),
        other => return Err(format!("the policy '{other}' is not known").into()),
    };
    Ok(pairs()
        .zip(scales)
        .map(|((&size, &axis), scale)| match common {
            Some(scale) => (scale, (scale * dims[axis] as f64 + 0.5).floor() as usize),
            None => (scale, size as usize),
        })
        .collect())
}

/// Start and end of the region of interest along every axis, as parts of the whole.
fn crop(call: &Call<'_>, axes: usize) -> Result<Vec<[f64; 2]>, Refusal> {
    let region = to_f32(&call.required_constant(1, "region of interest")?.data);
    if region.len() != 2 * axes {
        return Err(format!("its region has {} numbers for {axes} axes", region.len()).into());
    }
    let (starts, ends) = region.split_at(axes);
    let pairs = starts.iter().zip(ends);
    Ok(pairs
        .map(|(&start, &end)| [start.into(), end.into()])
        .collect())
}

/// One axis: elements are picked where each has one position, else mixed.
/// The most elements that are mixed at once: with more it is cheaper to mix axis by axis.
const MOST_TAPS: usize = 16;

fn is_small([first, second]: [&Table; 2]) -> bool {
    first.taps.min(second.taps) > 1 && first.taps * second.taps <= MOST_TAPS
}

/// Both axes of an image at once.
fn along_both(call: &mut Call<'_>, x: Item, tables: [&(usize, Table); 2]) -> Result<Item, Refusal> {
    let mut operands = vec![x];
    for (_, table) in tables {
        operands.extend(constants(call, table)?);
    }
    let axes = tables.map(|&(axis, _)| axis);
    call.push(Resample2d { axes }, &operands)
}

/// The positions and the weights of a table.
fn constants(call: &mut Call<'_>, table: &Table) -> Result<[Item; 2], Refusal> {
    let dims = [table.positions.len() / table.taps.max(1), table.taps];
    let positions = call.positions(&dims, table.positions.clone())?;
    let weights = call.floats(&dims, table.weights.clone())?;
    Ok([positions, weights])
}

fn along_axis(call: &mut Call<'_>, x: Item, axis: usize, table: &Table) -> Result<Item, Refusal> {
    if table.taps == 1 {
        return call.picked(x, axis, table.positions.clone());
    }
    if call.dtype(x) != graph::DType::F32 {
        let reason = format!(
            "interpolates {}, but only float is supported",
            call.dtype(x)
        );
        return Err(Refusal::new(reason, "use the mode 'nearest', or float"));
    }
    let [positions, weights] = constants(call, table)?;
    call.push(Resample { axis }, &[x, positions, weights])
}

/// A number where coordinates were outside the input.
fn extrapolated(
    call: &mut Call<'_>,
    x: Item,
    axis: usize,
    outside: &[bool],
    value: f32,
) -> Result<Item, Refusal> {
    let mut dims = vec![1; call.shape(x).rank()];
    dims[axis] = outside.len();
    let mask = |inside: f32, beyond: f32| {
        let choose = |&is_outside: &bool| if is_outside { beyond } else { inside };
        outside.iter().map(choose).collect::<Vec<f32>>()
    };
    let factors = call.floats(&dims, mask(1.0, 0.0))?;
    let kept = call.binary(Of2::Mul, x, factors)?;
    if value == 0.0 {
        return Ok(kept);
    }
    let offsets = call.floats(&dims, mask(0.0, value))?;
    call.binary(Of2::Add, kept, offsets)
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, int, text};

    fn row(attributes: Vec<rten_onnx::onnx::AttributeProto>, sizes: &[i64]) -> Source {
        let x = Source::new(19).input(&[1, 2], &[1.0, 3.0]);
        x.absent().absent().whole(sizes).apply("Resize", attributes)
    }

    #[test]
    fn pixels_are_repeated_or_mixed() {
        let nearest = row(vec![], &[2, 4]);
        assert_eq!(nearest.run().1, [1.0, 1.0, 3.0, 3.0, 1.0, 1.0, 3.0, 3.0]);
        assert_eq!(nearest.operators(), ["gather", "gather"]);
        let linear = row(vec![text("mode", "linear")], &[1, 4]);
        assert_eq!(linear.run(), ("1x4".into(), vec![1.0, 1.5, 2.5, 3.0]));
        let both = row(vec![text("mode", "linear")], &[2, 4]);
        assert_eq!(both.operators(), ["resample_2d"]);
        assert_eq!(both.run().1, [1.0, 1.5, 2.5, 3.0, 1.0, 1.5, 2.5, 3.0]);
        let policy = text("keep_aspect_ratio_policy", "not_larger");
        let kept = row(vec![policy, text("mode", "linear")], &[9, 4]);
        assert_eq!(kept.run().0, "2x4");
        let corners = text("coordinate_transformation_mode", "align_corners");
        let corners = row(vec![text("mode", "linear"), corners], &[1, 3]);
        assert_eq!(corners.run().1, [1.0, 2.0, 3.0]);
    }

    #[test]
    fn upsample_takes_scales() {
        let source = Source::new(9).input(&[1, 2], &[1.0, 3.0]);
        let source = source.constant(&[2], &[1.0, 1.5]);
        assert_eq!(source.apply("Upsample", vec![]).run().1, [1.0, 1.0, 3.0]);
    }

    #[test]
    fn what_is_unknown_is_refused() {
        let unknown = row(vec![text("mode", "spline")], &[1, 4]).refusal();
        assert!(unknown.contains("'spline' is not known"), "{unknown}");
        let three = row(vec![int("antialias", 1)], &[1, 4, 4]).refusal();
        assert!(three.contains("for 2 axes"), "{three}");
        let huge = row(vec![], &[1, 1 << 40]).refusal();
        assert!(huge.contains("can be folded"), "{huge}");
        let nothing = Source::new(19).input(&[1, 2], &[1.0, 3.0]).absent();
        let nothing = nothing.constant(&[2], &[1.0, 0.25]).apply("Resize", vec![]);
        assert!(nothing.refusal().contains("nothing would be left"));
    }
}
