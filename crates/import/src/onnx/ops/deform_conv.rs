//! DeformConv: every tap of the kernel samples the image at computed points, and a convolution with a
//! window of 1 mixes the samples.

use super::conv::{apply, groups};
use crate::onnx::call::{Call, Item, Refusal, sizes};
use crate::onnx::spatial::AxisWindow;
use runtime::ops::binary::Function as Of2;
use runtime::ops::grid_sample::{Coordinates, GridSample, Interpolation, Outside};

/// Sizes: of the batch, of the output, and how many channels share their offsets.
struct Sampling {
    batch: usize,
    output: [usize; 2],
    channels: usize,
}

pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let (x, weights, offsets) = (call.float(0)?, call.float(1)?, call.float(2)?);
    let mask = match call.input(4) {
        Some(_) => Some(call.float(4)?),
        None => None,
    };
    let dims = sizes(&call.shape(x));
    let kernel = sizes(&call.shape(weights));
    let (&[batch, channels, _, _], &[outputs, depth, kh, kw]) = (&dims[..], &kernel[..]) else {
        return Err("it works on two spatial dimensions only".into());
    };
    let windows = call.axis_windows(x, &[kh, kw])?;
    let offset_groups = usize::try_from(call.attributes.int("offset_group", 1)?).unwrap_or(0);
    let offset_groups = offset_groups.min(channels + 1);
    let (groups, taps) = (groups(call)?, kh * kw);
    let shared = sizes(&call.shape(offsets));
    let &[_, points, oh, ow] = &shared[..] else {
        return Err(format!("its offsets {} do not fit", call.shape(offsets)).into());
    };
    let masked = [batch, offset_groups * taps, oh, ow];
    let fits = offset_groups > 0
        && channels.is_multiple_of(offset_groups)
        && depth * groups == channels
        && [shared[0], points] == [batch, offset_groups * taps * 2]
        && mask.is_none_or(|mask| sizes(&call.shape(mask)) == masked);
    if !fits {
        return Err(format!(
            "its offsets {} do not fit {}",
            call.shape(offsets),
            call.shape(x)
        )
        .into());
    }
    let sampling = Sampling {
        batch,
        output: [oh, ow],
        channels: channels / offset_groups,
    };
    let mut parts = Vec::new();
    for group in 0..offset_groups {
        let image = call.part(x, 1, group * sampling.channels, sampling.channels)?;
        let mut of_group = Vec::new();
        for tap in 0..taps {
            let index = group * taps + tap;
            let places = [(&windows[0], tap / kw), (&windows[1], tap % kw)];
            let grid = points_of(call, &sampling, offsets, index, places)?;
            let mut sample = call.push(BETWEEN, &[image, grid])?;
            if let Some(mask) = mask {
                let share = call.part(mask, 1, index, 1)?;
                sample = call.binary(Of2::Mul, sample, share)?;
            }
            of_group.push(call.reshape(sample, &[batch, sampling.channels, 1, oh, ow])?);
        }
        parts.push(call.joined(&of_group, 2)?);
    }
    let samples = call.joined(&parts, 1)?;
    let samples = call.reshape(samples, &[batch, channels * taps, oh, ow])?;
    let weights = call.reshape(weights, &[outputs, depth * taps, 1, 1])?;
    // The bias is where a convolution has it.
    call.inputs[2] = call.input(3);
    Ok(vec![apply(
        call,
        samples,
        weights,
        &[AxisWindow::NONE; 2],
        groups,
    )?])
}

const BETWEEN: GridSample = GridSample {
    interpolation: Interpolation::Linear,
    outside: Outside::Zeros,
    coordinates: Coordinates::Pixels,
};

/// The points `[N, H, W, 2]` of one tap, in pixels, x first.
fn points_of(
    call: &mut Call<'_>,
    sampling: &Sampling,
    offsets: Item,
    index: usize,
    places: [(&AxisWindow, usize); 2],
) -> Result<Item, Refusal> {
    let [rows, columns] = sampling.output;
    let mut coordinates = Vec::new();
    for axis in [1, 0] {
        let (window, tap) = places[axis];
        let offset = call.part(offsets, 1, 2 * index + axis, 1)?;
        let offset = call.reshape(offset, &[sampling.batch, rows, columns, 1])?;
        let first = (tap * window.dilation) as f32 - window.before as f32;
        let place = |at: usize| first + (at * window.stride) as f32;
        let mut dims = [1; 4];
        dims[axis + 1] = sampling.output[axis];
        let base = call.floats(&dims, (0..sampling.output[axis]).map(place).collect())?;
        coordinates.push(call.binary(Of2::Add, offset, base)?);
    }
    call.joined(&coordinates, 3)
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, ints};

    /// Without offsets it is a convolution; an offset of 1 to the right takes the next pixel.
    #[test]
    fn taps_are_moved() {
        let of = |offsets: &[f32], mask: &[f32]| {
            let source = Source::new(19).input(&[1, 1, 1, 3], &[1.0, 2.0, 4.0]);
            let source = source.constant(&[1, 1, 1, 2], &[1.0, 10.0]);
            let source = source
                .input(&[1, 4, 1, 2], offsets)
                .absent()
                .input(&[1, 2, 1, 2], mask);
            source
                .apply("DeformConv", vec![ints("kernel_shape", &[1, 2])])
                .run()
        };
        let near = |values: Vec<f32>, expected: [f32; 2]| {
            let near = values
                .iter()
                .zip(expected)
                .all(|(a, b)| (a - b).abs() < 1e-4);
            assert!(near, "{values:?}, not {expected:?}");
        };
        near(of(&[0.0; 8], &[1.0; 4]).1, [21.0, 42.0]);
        let right = [0.0, 0.0, 1.0, 0.5, 0.0, 0.0, 0.0, 0.0];
        near(of(&right, &[1.0, 1.0, 1.0, 0.5]).1, [22.0, 23.0]);
    }
}
