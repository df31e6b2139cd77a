//! Conv. In one and two dimensions constant weights become `[O, KH, KW, I]`; computed weights and three
//! dimensions stay as they are.

use crate::onnx::call::{Call, Item, Refusal, sizes};
use crate::onnx::constant;
use crate::onnx::spatial::{AxisWindow, Spatial};
use runtime::host::{Activation, Tensor};
use runtime::ops::conv_2d::Conv2d;
use runtime::ops::conv_nd::ConvNd;

pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let (x, weights) = (call.float(0)?, call.float(1)?);
    let dims = sizes(&call.shape(weights));
    let rank = call.shape(x).rank().saturating_sub(2);
    if dims.len() != rank + 2 || dims.contains(&0) {
        let (weights, x) = (call.shape(weights), call.shape(x));
        return Err(format!("its weights {weights} do not fit {x}").into());
    }
    let kernel = &dims[2..];
    if call.attributes.has("kernel_shape") && call.kernel_shape(rank)? != kernel {
        return Err("its kernel_shape is not that of its weights".into());
    }
    let windows = call.axis_windows(x, kernel)?;
    let groups = groups(call)?;
    Ok(vec![apply(call, x, weights, &windows, groups)?])
}

pub(super) fn groups(call: &Call<'_>) -> Result<usize, Refusal> {
    let groups = call.attributes.int("group", 1)?;
    let groups = usize::try_from(groups)
        .ok()
        .filter(|groups| (1..=65_535).contains(groups));
    Ok(groups.ok_or("its number of groups is not from 1 to 65,535")?)
}

/// Convolves an image `[N, I, …]` with weights `[O, I / groups, …]`; the bias is operand 2.
pub(super) fn apply(
    call: &mut Call<'_>,
    x: Item,
    weights: Item,
    windows: &[AxisWindow],
    groups: usize,
) -> Result<Item, Refusal> {
    let outputs = call.shape(weights).dim(0);
    let bias = bias(call, outputs)?;
    let is_computed = bias.is_some_and(|bias| call.tensor(bias).is_none());
    let tensor = call
        .tensor(weights)
        .filter(|_| windows.len() <= 2 && !is_computed);
    let Some(tensor) = tensor else {
        let conv = ConvNd {
            strides: windows.iter().map(|window| window.stride).collect(),
            dilations: windows.iter().map(|window| window.dilation).collect(),
            padding: windows
                .iter()
                .map(|window| [window.before, window.after])
                .collect(),
            groups,
        };
        let operands: Vec<Item> = [x, weights].into_iter().chain(bias).collect();
        return call.push(conv, &operands);
    };
    let weights = channels_last(call, weights, &tensor)?;
    let image = call.channels_last(x)?;
    let operands: Vec<Item> = [image, weights].into_iter().chain(bias).collect();
    let conv = Conv2d {
        window: Spatial::of(windows).window,
        groups,
        activation: Activation::None,
    };
    let result = call.push(conv, &operands)?;
    call.channels_first(result, windows.len())
}

/// `[O, I, KH, KW]` or `[O, I, K]` as `[O, KH, KW, I]` with `KH` 1.
fn channels_last(call: &mut Call<'_>, item: Item, weights: &Tensor) -> Result<Item, Refusal> {
    let permutation: &[usize] = if weights.shape.rank() == 4 {
        &[0, 2, 3, 1]
    } else {
        &[0, 2, 1]
    };
    let turned = constant::transpose(weights, permutation).ok_or("its weights do not transpose")?;
    let mut dims = sizes(&turned.shape);
    if dims.len() == 3 {
        dims.insert(1, 1);
    }
    let shape = crate::onnx::call::to_shape(&dims)?;
    let name = call.operand_name(1);
    let data = turned.data;
    // Steps are those of output channels, which stay in front.
    Ok(call.turned(name, Tensor { shape, data }, item, permutation))
}

fn bias(call: &Call<'_>, outputs: usize) -> Result<Option<Item>, Refusal> {
    if call.input(2).is_none() {
        return Ok(None);
    }
    let bias = call.float(2)?;
    let shape = call.shape(bias);
    if sizes(&shape) == [outputs] {
        return Ok(Some(bias));
    }
    Err(format!("its bias {shape} does not fit {outputs} outputs").into())
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, int, ints, text};

    /// Pixels 1 to 9 in a square.
    const X: [f32; 9] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];

    #[test]
    fn channels_move_to_the_end_and_back() {
        // Two channels: 1, 2 and 10, 20; the first output adds them, the second takes the last.
        let conv = Source::new(13).input(&[1, 2, 1, 2], &[1.0, 2.0, 10.0, 20.0]);
        let conv = conv.constant(&[2, 2, 1, 1], &[1.0, 1.0, 0.0, 1.0]);
        let conv = conv.constant(&[2], &[0.0, 0.5]).apply("Conv", vec![]);
        assert_eq!(conv.run(), ("1x2x1x2".into(), vec![11.0, 22.0, 10.5, 20.5]));
        assert_eq!(conv.operators(), ["transpose", "conv_2d", "transpose"]);
    }

    #[test]
    fn windows_slide_as_attributes_say() {
        let conv = |attributes| {
            let conv = Source::new(13).input(&[1, 1, 3, 3], &X);
            conv.constant(&[1, 1, 2, 2], &[1.0, 1.0, 1.0, 1.0])
                .apply("Conv", attributes)
                .run()
        };
        assert_eq!(
            conv(vec![]),
            ("1x1x2x2".into(), vec![12.0, 16.0, 24.0, 28.0])
        );
        let stride = vec![ints("strides", &[2, 2]), ints("pads", &[1, 1, 0, 0])];
        assert_eq!(conv(stride).1, [1.0, 5.0, 11.0, 28.0]);
        assert_eq!(
            conv(vec![ints("dilations", &[2, 2])]),
            ("1x1x1x1".into(), vec![20.0])
        );
        let upper = conv(vec![
            text("auto_pad", "SAME_UPPER"),
            ints("strides", &[2, 2]),
        ]);
        assert_eq!(upper.1, [12.0, 9.0, 15.0, 9.0]);
        let lower = conv(vec![
            text("auto_pad", "SAME_LOWER"),
            ints("strides", &[2, 2]),
        ]);
        assert_eq!(lower.1, [1.0, 5.0, 11.0, 28.0]);
    }

    #[test]
    fn groups_keep_channels_apart() {
        let conv = Source::new(13).input(&[1, 2, 1, 2], &[1.0, 2.0, 3.0, 4.0]);
        let conv = conv.constant(&[2, 1, 1, 2], &[1.0, 10.0, 1.0, -1.0]);
        assert_eq!(
            conv.apply("Conv", vec![int("group", 2)]).run().1,
            [21.0, -1.0]
        );
    }

    #[test]
    fn one_dimension_is_a_row() {
        let conv = Source::new(13).input(&[1, 2, 3], &[1.0, 2.0, 3.0, 10.0, 20.0, 30.0]);
        let conv = conv.constant(&[1, 2, 2], &[1.0, -1.0, 0.0, 1.0]);
        let conv = conv.apply("Conv", vec![ints("pads", &[0, 1])]);
        assert_eq!(conv.run(), ("1x1x3".into(), vec![19.0, 29.0, 3.0]));
    }

    #[test]
    fn what_cannot_run_is_refused() {
        let conv = |attributes| {
            let conv = Source::new(13).input(&[1, 1, 3, 3], &X);
            conv.constant(&[1, 1, 2, 2], &[1.0; 4])
                .apply("Conv", attributes)
                .refusal()
        };
        assert!(conv(vec![ints("strides", &[0, 1])]).contains("strides are [0, 1]"));
        assert!(conv(vec![ints("pads", &[-1, 0, 0, 0])]).contains("pads"));
        assert!(conv(vec![int("group", 0)]).contains("groups"));
        assert!(conv(vec![ints("kernel_shape", &[3, 3])]).contains("not that of its weights"));
        assert!(conv(vec![ints("dilations", &[9, 9])]).contains("does not fit"));
        assert!(conv(vec![text("auto_pad", "SOME")]).contains("'SOME'"));
        let four = Source::new(13).input(&[1, 1, 1, 1, 1, 1], &[1.0]);
        let four = four
            .constant(&[1, 1, 1, 1, 1, 1], &[1.0])
            .apply("Conv", vec![]);
        assert!(four.refusal().contains("do not fit"));
    }

    #[test]
    fn computed_weights_and_three_dimensions_run() {
        let computed = Source::new(13)
            .input(&[1, 1, 3, 3], &X)
            .input(&[1, 1, 2, 2], &[1.0, 1.0, 1.0, 1.0]);
        let computed = computed.apply("Conv", vec![ints("strides", &[2, 2])]);
        assert_eq!(computed.run(), ("1x1x1x1".into(), vec![12.0]));
        let cube = Source::new(13).input(&[1, 1, 1, 3, 3], &X);
        let cube = cube.constant(&[1, 1, 1, 2, 2], &[1.0; 4]);
        let cube = cube.apply("Conv", vec![]);
        assert_eq!(cube.run().1, [12.0, 16.0, 24.0, 28.0]);
        assert_eq!(cube.operators(), ["conv_nd"]);
    }
}
