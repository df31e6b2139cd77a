//! Convolutions of floats.

use super::{check_shapes, constant, geometry, geometry_from, scratch};
use crate::ops::window;
use crate::{Op, Run};
use format::{DType, Node};
use kernels::Conv2dF32;
#[cfg(feature = "host")]
use kernels::threads::Layer;

/// Float activations and weights.
pub static F32: Op = Op {
    code: 2,
    name: "conv_2d_f32",
    check,
    scratch_bytes: |node, architecture| scratch(node, architecture, true),
    prepared_bytes: |node, architecture| {
        geometry(node).map_or(0, |g| kernels::f32::conv_2d_prepared_bytes(&g, architecture))
    },
    prepare: |node, prepared| {
        if let (Some(geometry), Some(weights)) = (geometry(node), constant(node, 1)) {
            kernels::f32::prepare_conv_2d(&geometry, weights, prepared);
        }
    },
    run,
    #[cfg(feature = "host")]
    layer,
};

fn check(node: &Node<'_>) -> Option<()> {
    check_shapes(node, DType::F32, DType::F32)?;
    bias_fits(node)
}

/// Whether there is a real bias for each channel, or none.
pub(super) fn bias_fits(node: &Node<'_>) -> Option<()> {
    match node.input(2) {
        Some(bias) => {
            let outputs = node.output(0)?.shape.last();
            (bias.dtype == DType::F32 && bias.shape.elements() == outputs).then_some(())
        }
        None => Some(()),
    }
}

fn run(run: &Run<'_>) {
    run_images(run, kernels::f32::conv_2d);
}

/// Runs a kernel over every image.
pub(super) fn run_images(run: &Run<'_>, kernel: impl Fn(&Conv2dF32<'_>)) {
    for image in 0..images(run) {
        if let Some(operands) = operands(run, image) {
            kernel(&operands);
        }
    }
}

fn images(run: &Run<'_>) -> usize {
    run.node.input(0).map_or(0, |tensor| window::image(&tensor.shape)[0])
}

/// The operands of one image.
fn operands<'a>(run: &Run<'a>, image: usize) -> Option<Conv2dF32<'a>> {
    let mut params = run.node.params();
    let geometry = geometry_from(&run.node, &mut params)?;
    params.u16();
    let limits = [params.f32(), params.f32()];
    let [input, output] = [geometry.input, geometry.output].map(|[a, b, c]| a * b * c);
    let rows = image * output..(image + 1) * output;
    Some(Conv2dF32 {
        geometry,
        input: run.input::<f32>(0).part(image * input, input),
        output: run.output::<f32>(0).get(rows).unwrap_or(&[]),
        weights: run.constant(1),
        bias: run.constant(2),
        limits,
        binding: run.binding(),
    })
}

#[cfg(feature = "host")]
fn layer<'a>(run: &Run<'a>) -> Option<Layer<'a>> {
    let only = (images(run) == 1).then(|| operands(run, 0));
    only.flatten().map(Layer::Conv2dF32)
}
