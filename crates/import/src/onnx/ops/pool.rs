//! Pools in one to three dimensions.

use crate::onnx::call::{Call, Item, Refusal, sizes};
use crate::onnx::spatial::{AxisWindow, Spatial};
use graph::DType;
use runtime::host::Activation;
use runtime::ops::Window2d;
use runtime::ops::average_pool_2d::{AveragePool2d, Halves};
use runtime::ops::binary::Function as Of2;
use runtime::ops::max_pool_2d::MaxPool2d;
use runtime::ops::pad::Pad;
use runtime::ops::reduce::Function as Fold;
use runtime::ops::unary::Function as Of1;

/// Mean of each window, over the image alone or over the padding as well.
pub(super) fn average(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    averages(call, Halves::Away)
}

/// The same of integers, whose halves go to even numbers of steps.
pub(super) fn average_of_integers(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    averages(call, Halves::Even)
}

fn averages(call: &mut Call<'_>, halves: Halves) -> Result<Vec<Item>, Refusal> {
    let x = call.float(0)?;
    let count_include_pad = call.attributes.flag("count_include_pad")?;
    let rank = call.shape(x).rank().saturating_sub(2);
    let is_dilated = call
        .spatial_sizes("dilations", 1, rank, 1)?
        .iter()
        .any(|&step| step > 1);
    let result = pooled(call, x, |call, image, mut spatial| {
        if is_dilated {
            // Only the standard has dilated means, and there what rounding up adds counts too.
            spatial.declared = spatial.window.padding;
        }
        means(call, image, spatial, (count_include_pad, halves))
    });
    Ok(vec![result?])
}

/// The means of one image `[N, H, W, C]`.
fn means(
    call: &mut Call<'_>,
    mut image: Item,
    spatial: Spatial,
    (count_include_pad, halves): (bool, Halves),
) -> Result<Item, Refusal> {
    let (mut window, declared) = (spatial.window, spatial.declared);
    if count_include_pad {
        // Declared padding counts and what rounding up adds does not: pad first. Integers, which have
        // no pool that counts padding, have this as well.
        image = padded(call, image, declared)?;
        for (padding, declared) in window.padding.iter_mut().zip(declared) {
            *padding -= declared;
        }
    }
    let pool = AveragePool2d {
        window,
        count_include_pad: false,
        halves,
        activation: Activation::None,
    };
    call.push(pool, &[image])
}

/// Zeros at the top, the left, the bottom and the right of an image `[N, H, W, C]`.
fn padded(call: &mut Call<'_>, image: Item, padding: [usize; 4]) -> Result<Item, Refusal> {
    if padding == [0; 4] {
        return Ok(image);
    }
    let [top, left, bottom, right] = padding;
    let amounts = vec![[0, 0], [top, bottom], [left, right], [0, 0]];
    let value = 0.0;
    call.push(Pad { amounts, value }, &[image])
}

/// Largest element of each window.
pub(super) fn max(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let dtype = call.dtype(x);
    if !matches!(dtype, DType::F32 | DType::I8 | DType::U8) {
        return Err(format!("there is no pool of {dtype}").into());
    }
    // Floats hold every byte.
    let x = call.cast(x, DType::F32)?;
    let result = pooled(call, x, |call, image, spatial| {
        let activation = Activation::None;
        let window = spatial.window;
        call.push(MaxPool2d { window, activation }, &[image])
    })?;
    Ok(vec![call.cast(result, dtype)?])
}

/// `(sum |x|^p)^(1/p)` of each window: what is padded adds nothing.
pub(super) fn lp(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.float(0)?;
    let p = call.attributes.int("p", 2)? as f32;
    let rank = call.shape(x).rank().saturating_sub(2);
    let count: usize = call.kernel_shape(rank)?.iter().product();
    let sizes = call.unary(Of1::Abs, x)?;
    let powers = call.with_number(Of2::Pow, sizes, p)?;
    let means = pooled(call, powers, |call, image, spatial| {
        let mut window = spatial.window;
        let image = padded(call, image, window.padding)?;
        window.padding = [0; 4];
        let pool = AveragePool2d {
            window,
            count_include_pad: false,
            halves: Halves::Away,
            activation: Activation::None,
        };
        call.push(pool, &[image])
    })?;
    let sums = call.with_number(Of2::Mul, means, count as f32)?;
    Ok(vec![call.with_number(Of2::Pow, sums, 1.0 / p)?])
}

/// Applies a pool that may work on one axis after the other: with three spatial dimensions, on the
/// last two and then on the first.
fn pooled(
    call: &mut Call<'_>,
    x: Item,
    pool: impl Fn(&mut Call<'_>, Item, Spatial) -> Result<Item, Refusal>,
) -> Result<Item, Refusal> {
    let dims = sizes(&call.shape(x));
    let rank = match dims.len() {
        5 => 3,
        _ => call.spatial_rank(x)?,
    };
    let windows = call.axis_windows(x, &call.kernel_shape(rank)?)?;
    let planar = |call: &mut Call<'_>, x: Item, windows: &[AxisWindow]| {
        let image = call.channels_last(x)?;
        let result = pool(call, image, Spatial::of(windows))?;
        call.channels_first(result, windows.len())
    };
    let (&[n, c, d, h, w], [depth, plane @ ..]) = (&dims[..], &windows[..]) else {
        return planar(call, x, &windows);
    };
    let planes = call.reshape(x, &[n, c * d, h, w])?;
    let planes = planar(call, planes, plane)?;
    let (h, w) = (call.shape(planes).dim(2), call.shape(planes).dim(3));
    let lines = call.reshape(planes, &[n, c, d, h * w])?;
    let lines = planar(call, lines, &[*depth, AxisWindow::NONE])?;
    let d = call.shape(lines).dim(2);
    call.reshape(lines, &[n, c, d, h, w])
}

/// `(sum |x|^p)^(1/p)` of each channel.
pub(super) fn global_lp(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.float(0)?;
    let rank = call.shape(x).rank();
    if rank < 3 {
        return Err(format!("{} has no spatial dimensions", call.shape(x)).into());
    }
    let p = call.attributes.int("p", 2)? as f32;
    let sizes = call.unary(Of1::Abs, x)?;
    let powers = call.with_number(Of2::Pow, sizes, p)?;
    let sums = call.folded(Fold::Sum, powers, [2, rank - 1])?;
    Ok(vec![call.with_number(Of2::Pow, sums, 1.0 / p)?])
}

/// Mean of each channel.
pub(super) fn global_average(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    global_averages(call, Halves::Away)
}

/// The same of integers, whose halves go to even numbers of steps.
pub(super) fn global_average_of_integers(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    global_averages(call, Halves::Even)
}

fn global_averages(call: &mut Call<'_>, halves: Halves) -> Result<Vec<Item>, Refusal> {
    let (image, window) = whole_image(call)?;
    let count_include_pad = false;
    let pool = AveragePool2d {
        window,
        count_include_pad,
        halves,
        activation: Activation::None,
    };
    let result = call.push(pool, &[image])?;
    unflatten(call, result)
}

/// Largest element of each channel.
pub(super) fn global_max(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let (image, window) = whole_image(call)?;
    let result = call.push(
        MaxPool2d {
            window,
            activation: Activation::None,
        },
        &[image],
    )?;
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

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, int, ints};

    /// Pixels 1 to 9 in a square.
    const X: [f32; 9] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];

    fn pool(operator: &str, mut attributes: Vec<rten_onnx::onnx::AttributeProto>) -> Vec<f32> {
        attributes.push(ints("kernel_shape", &[2, 2]));
        attributes.push(ints("strides", &[2, 2]));
        Source::new(13)
            .input(&[1, 1, 3, 3], &X)
            .apply(operator, attributes)
            .run()
            .1
    }

    #[test]
    fn windows_are_rounded_down_or_up() {
        assert_eq!(pool("MaxPool", vec![]), [5.0]);
        assert_eq!(
            pool("MaxPool", vec![int("ceil_mode", 1)]),
            [5.0, 6.0, 8.0, 9.0]
        );
        assert_eq!(pool("AveragePool", vec![]), [3.0]);
        assert_eq!(
            pool("AveragePool", vec![int("ceil_mode", 1)]),
            [3.0, 4.5, 7.5, 9.0]
        );
    }

    #[test]
    fn roots_of_powers() {
        assert_eq!(pool("LpPool", vec![int("p", 1)]), [12.0]);
        let whole = Source::new(13).input(&[1, 1, 2], &[3.0, -4.0]);
        assert_eq!(
            whole.apply("GlobalLpPool", vec![]).run(),
            ("1x1x1".into(), vec![5.0])
        );
    }

    #[test]
    fn three_dimensions_are_two_and_one() {
        let source = |operator: &str, kernel: &[i64]| {
            let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
            let source = Source::new(13).input(&[1, 1, 2, 2, 2], &x);
            source
                .apply(operator, vec![ints("kernel_shape", kernel)])
                .run()
        };
        assert_eq!(
            source("MaxPool", &[2, 1, 2]),
            ("1x1x1x2x1".into(), vec![6.0, 8.0])
        );
        assert_eq!(source("AveragePool", &[2, 2, 2]).1, [4.5]);
    }

    #[test]
    fn padding_counts_when_asked() {
        let pads = || ints("pads", &[1, 1, 0, 0]);
        assert_eq!(pool("AveragePool", vec![pads()]), [1.0, 2.5, 5.5, 7.0]);
        let counted = pool("AveragePool", vec![pads(), int("count_include_pad", 1)]);
        assert_eq!(counted, [0.25, 1.25, 2.75, 7.0]);
        // Windows at 0 and 2 of one padded element and three; the second ends behind them all.
        let all = vec![
            ints("pads", &[0, 0, 0, 0]),
            int("count_include_pad", 1),
            int("ceil_mode", 1),
        ];
        assert_eq!(pool("AveragePool", all), [3.0, 4.5, 7.5, 9.0]);
    }

    #[test]
    fn dilated_windows_skip_elements() {
        let attributes = vec![ints("kernel_shape", &[2]), ints("dilations", &[2])];
        let source = Source::new(13).input(&[1, 1, 4], &[4.0, 1.0, 3.0, 2.0]);
        assert_eq!(
            source.apply("MaxPool", attributes).run(),
            ("1x1x2".into(), vec![4.0, 2.0])
        );
    }

    #[test]
    fn whole_images_have_any_number_of_dimensions() {
        let image = || Source::new(13).input(&[1, 2, 1, 2], &[1.0, 3.0, 5.0, 9.0]);
        let average = image().apply("GlobalAveragePool", vec![]);
        assert_eq!(average.run(), ("1x2x1x1".into(), vec![2.0, 7.0]));
        assert_eq!(image().apply("GlobalMaxPool", vec![]).run().1, [3.0, 9.0]);
        for dims in [vec![1, 2, 2], vec![1, 2, 1, 1, 2]] {
            let source = Source::new(13).input(&dims, &[1.0, 3.0, 5.0, 9.0]);
            let (shape, values) = source.apply("GlobalAveragePool", vec![]).run();
            assert_eq!(values, [2.0, 7.0]);
            assert_eq!(
                shape,
                if dims.len() == 3 {
                    "1x2x1"
                } else {
                    "1x2x1x1x1"
                }
            );
        }
    }

    #[test]
    fn indices_are_refused_where_they_are_read() {
        let source = Source::new(13).input(&[1, 1, 3, 3], &X);
        let source = source.apply("MaxPool", vec![ints("kernel_shape", &[2, 2])]);
        let source = source.edit(|graph| graph.node[0].output.push("i".into()));
        assert_eq!(source.run().1, [5.0, 6.0, 8.0, 9.0]);
        assert!(source.output("i").refusal().contains("further output 'i'"));
    }
}
