//! Convolutions whose weights take half the bytes in the file: int4 for int8, f16 for f32.
//!
//! The arithmetic is that of wide weights, to the bit. Hosts widen weights when a session is made;
//! devices do so before each run, in scratch memory that is in the plan: flash is what these save there.

use super::float::{bias_fits, run_images};
use super::{
    Conv2dConstants, Convolution, Elements, channels, channels_fit, check_shapes, constant,
    geometry, requantize, scratch,
};
use crate::{Architecture, Op, Run};
use format::{DType, Node};
use kernels::memory::slice_as;
use kernels::{Binding, Conv2dF32, Conv2dInteger, narrow};

/// int8 activations and int4 weights.
pub static NARROW_I8: Op = Op {
    code: 30,
    name: "conv_2d_int4",
    check: |node| {
        check_shapes(node, DType::I8, DType::I4)?;
        channels_fit(node, DType::I8)
    },
    scratch_bytes: |node, architecture| {
        let widened = match has_room(architecture) {
            true => 0,
            false => narrow::scratch_bytes::<i8>(weights(node)),
        };
        widened.saturating_add(scratch(node, architecture, false))
    },
    prepared_bytes: |node, architecture| match (has_room(architecture), geometry(node)) {
        (true, Some(geometry)) => {
            let packed = kernels::i8::conv_2d_prepared_bytes(&geometry, architecture);
            widened_bytes::<i8>(node).saturating_add(packed)
        }
        _ => 0,
    },
    prepare: prepare_i8,
    run: run_i8,
    #[cfg(feature = "host")]
    layer: |_| None,
};

/// Float activations and half-precision weights.
pub static NARROW_F32: Op = Op {
    code: 31,
    name: "conv_2d_f16",
    check: |node| {
        check_shapes(node, DType::F32, DType::F16)?;
        bias_fits(node)
    },
    scratch_bytes: |node, architecture| {
        let widened = match has_room(architecture) {
            true => 0,
            false => narrow::scratch_bytes::<f32>(weights(node)),
        };
        widened.saturating_add(scratch(node, architecture, true))
    },
    prepared_bytes: |node, architecture| match (has_room(architecture), geometry(node)) {
        (true, Some(geometry)) => {
            let packed = kernels::f32::conv_2d_prepared_bytes(&geometry, architecture);
            widened_bytes::<f32>(node).saturating_add(packed)
        }
        _ => 0,
    },
    prepare: prepare_f32,
    run: run_f32,
    #[cfg(feature = "host")]
    layer: |_| None,
};

/// Whether sessions have memory besides the plan's, in which weights are widened once.
fn has_room(architecture: Architecture) -> bool {
    !matches!(
        architecture,
        Architecture::Scalar | Architecture::Armv7em | Architecture::Helium
    )
}

fn weights(node: &Node<'_>) -> usize {
    node.input(1).map_or(0, |weights| weights.shape.elements())
}

/// Bytes of widened weights; what is packed behind them starts at a line, as it would without them.
fn widened_bytes<T>(node: &Node<'_>) -> usize {
    let bytes = weights(node).saturating_mul(size_of::<T>());
    bytes.saturating_add(63) / 64 * 64
}

fn prepare_i8(node: &Node<'_>, prepared: &mut [u8]) {
    let (Some(geometry), count) = (geometry(node), weights(node)) else { return };
    let Some((own, packed)) = prepared.split_at_mut_checked(widened_bytes::<i8>(node)) else {
        return;
    };
    let Some(own) = own.get_mut(..count) else { return };
    narrow::widen_i4(node.constant(1), own);
    let requantize = requantize(node, DType::I8);
    let constants = Conv2dConstants {
        geometry,
        weights: slice_as(own).unwrap_or(&[]),
        channels: channels(&requantize, node.constant(2)),
        requantize,
    };
    kernels::i8::prepare_conv_2d(&constants, packed);
}

fn prepare_f32(node: &Node<'_>, prepared: &mut [u8]) {
    let (Some(geometry), count) = (geometry(node), weights(node)) else { return };
    let Some((own, packed)) = prepared.split_at_mut_checked(widened_bytes::<f32>(node)) else {
        return;
    };
    let Some(own) = own.get_mut(..count * size_of::<f32>()) else { return };
    narrow::widen_f16(constant(node, 1).unwrap_or(&[]), own);
    kernels::f32::prepare_conv_2d(&geometry, slice_as(own).unwrap_or(&[]), packed);
}

/// The widened weights among what was prepared, and what is behind them; `None` where nothing was.
fn prepared<'a, T: kernels::memory::Plain>(
    node: &Node<'_>,
    binding: &Binding<'a>,
) -> Option<(&'a [T], Binding<'a>)> {
    let (own, packed) = binding.prepared.split_at_checked(widened_bytes::<T>(node))?;
    let weights = slice_as(own)?.get(..weights(node))?;
    let rest = Binding {
        prepared: packed,
        ..*binding
    };
    (!own.is_empty()).then_some((weights, rest))
}

fn run_i8(run: &Run<'_>) {
    let (Some(input), Some(output)) = (run.node.input(0), run.node.output(0)) else { return };
    let convolution = Convolution::between(&run.node, &input, &output);
    let held = prepared(&run.node, &run.binding());
    let (weights, binding) = held.unwrap_or((&[], run.binding()));
    let elements = Elements {
        input: run.view(&input),
        output: run.cells_of(&output),
        weights,
        channels: run.constant(2),
    };
    if held.is_some() {
        convolution.run(&elements, binding, kernels::i8::conv_2d);
        return;
    }
    let (packed, count) = (run.constant(1), self::weights(&run.node));
    convolution.run(&elements, binding, |operands: &Conv2dInteger<'_, i8>| {
        narrow::conv_2d_i4(operands, packed, count);
    });
}

fn run_f32(run: &Run<'_>) {
    let held = prepared(&run.node, &run.binding());
    let (weights, binding) = held.unwrap_or((&[], run.binding()));
    let halves = run.constant(1);
    run_images(run, |operands| {
        let operands = Conv2dF32 {
            weights,
            binding,
            ..*operands
        };
        match held {
            Some(_) => kernels::f32::conv_2d(&operands),
            None => narrow::conv_2d_f16(&operands, halves),
        }
    });
}
