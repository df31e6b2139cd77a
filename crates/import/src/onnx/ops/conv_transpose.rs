//! ConvTranspose. With constant weights and a stride it is a convolution that makes the pixels of each
//! input pixel's square as channels, and a rearrangement of those; otherwise the image with zeros
//! between its pixels, convolved with the mirrored weights.

use super::conv::{apply, groups};
use crate::onnx::call::{Call, Item, Refusal, sizes, to_shape};
use crate::onnx::spatial::AxisWindow;
use crate::transposed::{self, LONGEST_STRIDE, Phases, Spread};
use runtime::host::{Activation, Data, Quantization, Tensor};
use runtime::ops::Window2d;
use runtime::ops::conv_2d::Conv2d;

pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let (x, weights) = (call.float(0)?, call.float(1)?);
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
    let strides = || places.iter().map(|place| place.stride);
    let is_spread = (2..=LONGEST_STRIDE).contains(&strides().max().unwrap_or(1));
    let is_plain = dilations.iter().all(|&dilation| dilation == 1);
    if is_spread
        && is_plain
        && rank <= 2
        && groups == 1
        && let Some(tensor) = call.tensor(weights)
        && let Some(result) = by_phases(call, x, &tensor, &places)?
    {
        return Ok(vec![result]);
    }
    let x = spread(call, x, kernel, &dilations, &places)?;
    let weights = mirrored(call, weights, &dims, groups)?;
    let axis = |(&kernel, &dilation): (&usize, &usize)| AxisWindow {
        kernel,
        dilation,
        ..AxisWindow::NONE
    };
    let windows: Vec<AxisWindow> = kernel.iter().zip(&dilations).map(axis).collect();
    Ok(vec![apply(call, x, weights, &windows, groups)?])
}

/// A convolution to all pixels of a square as channels, with weights `[I, O, …]`. `None` where its bias
/// is computed.
fn by_phases(
    call: &mut Call<'_>,
    x: Item,
    tensor: &Tensor,
    places: &[Place],
) -> Result<Option<Item>, Refusal> {
    let dims = sizes(&tensor.shape);
    let (inputs, outputs, rank) = (dims[0], dims[1], places.len());
    let image = sizes(&call.shape(x));
    let mut axes = [ONE_ROW; 2];
    for (axis, place) in places.iter().enumerate() {
        call.room_for(Some(place.output))?;
        let kernel = dims[axis + 2];
        axes[axis + 2 - rank] = Spread {
            input: image[axis + 2],
            output: place.output,
            kernel,
            stride: place.stride,
            before: kernel as i64 - 1 - place.first,
        };
    }
    let phases = axes.map(|axis| Phases::new(&axis));
    let squares = phases[0].stride * phases[1].stride;
    let window = [phases[0].kernel, phases[1].kernel];
    let count = [outputs, squares, window[0], window[1], inputs];
    call.room_for(count.into_iter().try_fold(1usize, usize::checked_mul))?;
    let values = tensor.data.f32()?;
    let columns = axes[1].kernel;
    let at = |[output, row, column, input]: [usize; 4]| {
        values[((input * outputs + output) * axes[0].kernel + row) * columns + column]
    };
    let values = transposed::weights(&phases, [outputs, inputs], at);
    let shape = to_shape(&[squares * outputs, window[0], window[1], inputs])?;
    let data = Data::F32(values);
    let name = call.operand_name(1);
    let steps = call.steps(call.required(1)?);
    let steps = steps.and_then(|steps| repeated_steps(steps, outputs, squares));
    let weights = Tensor { shape, data };
    let mut operands = vec![
        call.channels_last(x)?,
        call.builder.constant_of_steps(name, weights, steps),
    ];
    match repeated_bias(call, outputs, squares)? {
        Ok(bias) => operands.extend(bias),
        Err(Computed) => return Ok(None),
    }
    let mut spread = Window2d::dense(window);
    spread.padding = [
        phases[0].before,
        phases[1].before,
        phases[0].after,
        phases[1].after,
    ];
    let conv = Conv2d {
        window: spread,
        groups: 1,
        activation: Activation::None,
    };
    let made = call.push(conv, &operands)?;
    let whole = squares_in_place(call, made, &phases, &axes)?;
    Ok(Some(call.channels_first(whole, rank)?))
}

/// A bias that is not constant.
struct Computed;

/// The bias, operand 2, once for every pixel of a square.
fn repeated_bias(
    call: &mut Call<'_>,
    outputs: usize,
    squares: usize,
) -> Result<Result<Option<Item>, Computed>, Refusal> {
    if call.input(2).is_none() {
        return Ok(Ok(None));
    }
    let bias = call.float(2)?;
    let Some(bias) = call.tensor(bias) else {
        return Ok(Err(Computed));
    };
    if sizes(&bias.shape) != [outputs] {
        return Err(format!("its bias {} does not fit {outputs} outputs", bias.shape).into());
    }
    let repeated = bias.data.f32()?.repeat(squares);
    Ok(Ok(Some(call.floats(&[squares * outputs], repeated)?)))
}

/// `[N, H, W, SH * SW * O]` as the image that it stands for.
fn squares_in_place(
    call: &mut Call<'_>,
    made: Item,
    phases: &[Phases; 2],
    axes: &[Spread; 2],
) -> Result<Item, Refusal> {
    let dims = sizes(&call.shape(made));
    let [n, rows, columns, channels] = dims[..] else {
        return Err(format!("{dims:?} is no image").into());
    };
    let [down, right] = phases.each_ref().map(|axis| axis.stride);
    let outputs = channels / (down * right).max(1);
    let parts = call.reshape(made, &[n, rows, columns, down, right, outputs])?;
    let turned = call.transpose(parts, vec![0, 1, 3, 2, 4, 5])?;
    let mut whole = call.reshape(turned, &[n, rows * down, columns * right, outputs])?;
    for (axis, (phases, spread)) in phases.iter().zip(axes).enumerate() {
        whole = call.part(whole, axis + 1, phases.crop, spread.output)?;
    }
    Ok(whole)
}

/// The axis that an image of one dimension does not have.
const ONE_ROW: Spread = Spread {
    input: 1,
    output: 1,
    kernel: 1,
    stride: 1,
    before: 0,
};

/// The image with zeros between its pixels and around it.
fn spread(
    call: &mut Call<'_>,
    mut x: Item,
    kernel: &[usize],
    dilations: &[usize],
    places: &[Place],
) -> Result<Item, Refusal> {
    for (axis, place) in places.iter().enumerate() {
        let (size, reach) = (
            call.shape(x).dim(axis + 2),
            (kernel[axis] - 1) * dilations[axis],
        );
        let length = place.output + reach;
        call.afford(&to_shape(&[length])?)?;
        // A place behind the end picks zero.
        let from = |at: usize| {
            let shifted = usize::try_from(at as i64 - place.first).ok();
            let pixel = shifted
                .filter(|at| at.is_multiple_of(place.stride))
                .map(|at| at / place.stride);
            pixel.filter(|&pixel| pixel < size).unwrap_or(size) as i32
        };
        x = call.picked(x, axis + 2, (0..length).map(from).collect())?;
    }
    Ok(x)
}

/// Where pixels go along one axis.
struct Place {
    /// Where the first one goes, in the image that the mirrored window slides over.
    first: i64,
    /// How far the next is from it.
    stride: usize,
    /// The result's size.
    output: usize,
}

fn places(
    call: &Call<'_>,
    image: &[usize],
    kernel: &[usize],
    dilations: &[usize],
) -> Result<Vec<Place>, Refusal> {
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
        places.push(Place {
            first: reach as i64 - before,
            stride: strides[axis],
            output,
        });
    }
    Ok(places)
}

/// The steps of weights `[I, O, …]` as those of every pixel's outputs.
fn repeated_steps(steps: Quantization, outputs: usize, squares: usize) -> Option<Quantization> {
    match steps.axis {
        None => Some(steps),
        Some(1) if steps.scales.len() == outputs => Some(Quantization {
            scales: steps.scales.repeat(squares),
            zero_point: 0,
            axis: Some(0),
        }),
        Some(_) => None,
    }
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

    /// Weights that are computed take the way over zeros between pixels: both ways agree.
    #[test]
    fn both_ways_agree() {
        let image: Vec<f32> = (0..18).map(|i| (i * 7 % 5) as f32 - 2.0).collect();
        let weights: Vec<f32> = (0..2 * 3 * 4 * 3)
            .map(|i| (i * 5 % 7) as f32 - 3.0)
            .collect();
        for (pads, more, strides) in [
            ([0, 0, 0, 0], [0, 0], [2, 2]),
            ([1, 0, 2, 1], [1, 0], [2, 1]),
            ([1, 1, 1, 1], [0, 1], [3, 2]),
        ] {
            let attributes = || {
                let pads = ints("pads", &pads);
                vec![
                    pads,
                    ints("output_padding", &more),
                    ints("strides", &strides),
                ]
            };
            let image = || Source::new(13).input(&[1, 2, 3, 3], &image);
            let fast = image().constant(&[2, 3, 4, 3], &weights);
            let fast = fast.constant(&[3], &[0.5, -1.0, 2.0]);
            let fast = fast.apply("ConvTranspose", attributes());
            let kinds = fast.operators();
            assert!(
                !kinds.contains(&"gather") && kinds.contains(&"conv_2d"),
                "{kinds:?}"
            );
            let slow = image().input(&[2, 3, 4, 3], &weights);
            let slow = slow.constant(&[3], &[0.5, -1.0, 2.0]);
            let slow = slow.apply("ConvTranspose", attributes());
            assert_eq!(fast.run(), slow.run());
        }
    }

    /// A small file cannot ask for the phases of a huge stride, or for a huge image.
    #[test]
    fn huge_strides_are_no_work() {
        let with = |strides: &[i64], more: &[i64]| {
            let source = Source::new(13).input(&[1, 1, 2], &[1.0, 10.0]);
            let source = source.constant(&[1, 1, 1], &[3.0]);
            let attributes = vec![ints("strides", strides), ints("output_padding", more)];
            source.apply("ConvTranspose", attributes)
        };
        let wide = with(&[1000], &[0]).run();
        assert_eq!(
            (wide.0.as_str(), wide.1[0], wide.1[1000]),
            ("1x1x1001", 3.0, 30.0)
        );
        let image = Source::new(13).input(&[1, 1, 1 << 20], &[]);
        let image = image.constant(&[1, 1, 1], &[3.0]);
        let huge = image.apply("ConvTranspose", vec![ints("strides", &[30])]);
        assert!(
            huge.refusal().contains("can be folded"),
            "{}",
            huge.refusal()
        );
    }
}
