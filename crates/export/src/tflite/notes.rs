//! What the runtimes of TensorFlow Lite make in another way than the model, by operator.

use crate::network::{Binary, Fold, Kind, Layer};
use format::fixed::Rounding;
use std::collections::BTreeMap;

/// What is to be said of layers, and of operators that are written in floats.
pub(super) fn notes(layers: &[Layer], real: &[&'static str]) -> Vec<String> {
    let is_once = |layer: &&Layer| layer.rounding.is_some_and(|rule| rule != Rounding::Double);
    let once = named(layers.iter().filter(is_once).map(|layer| name(&layer.kind)));
    let mut notes = Vec::new();
    if let Some(names) = &once {
        notes.push(format!(
            "rounded once, as LiteRT's default kernels do it, and twice in TensorFlow Lite Micro, where a step \
             may differ: {names}; `modelopt quantize --rounding tflm` makes a model with the bits of that"
        ));
    }
    let sums = layers.iter().filter(|layer| {
        let is_sum = matches!(layer.kind, Kind::Binary(_));
        is_sum && layer.rounding == Some(Rounding::High)
    });
    let missed = layers.iter().filter(|layer| match &layer.kind {
        Kind::Convolution(weights, ..) | Kind::FullyConnected(weights) => weights.missed > 0,
        _ => false,
    });
    if let Some(names) = named(sums.chain(missed).map(|layer| name(&layer.kind))) {
        notes.push(format!(
            "few sums are within what single precision loses of a half, or have factors of fewer bits than \
             LiteRT's, where a step may differ: {names}; `modelopt quantize --rounding single` makes a model \
             with the bits of that"
        ));
    }
    // Softmax is of floats there, and of small tables on 64-bit Arm; products of matrices are rounded as the
    // library does it that makes them, and weights of interpolation have fewer places.
    let own = layers
        .iter()
        .filter(|layer| matches!(layer.kind, Kind::Softmax | Kind::MatMul | Kind::Resample(_)));
    if let (Some(names), true) = (named(own.map(|layer| name(&layer.kind))), once.is_some()) {
        notes.push(format!(
            "as in TensorFlow Lite Micro but for sums; LiteRT computes them in other ways, which differ from \
             processor to processor, and a step may differ: {names}"
        ));
    }
    if let Some(names) = named(real.iter().copied()) {
        notes.push(format!(
            "of floats there, since TensorFlow Lite has no integer form, so that a step may differ: {names}"
        ));
    }
    notes
}

/// The operator that a layer is there, or would be if it were of integers.
pub(super) fn name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Convolution(weights, _, groups) if *groups > 1 && weights.dims[3] == 1 => {
            "DEPTHWISE_CONV_2D"
        }
        Kind::Convolution(..) => "CONV_2D",
        Kind::FullyConnected(_) => "FULLY_CONNECTED",
        Kind::Binary(function) => match function {
            Binary::Add => "ADD",
            Binary::Sub => "SUB",
            Binary::Mul => "MUL",
            Binary::Div => "DIV",
            Binary::Min => "MINIMUM",
            Binary::Max => "MAXIMUM",
            Binary::SquaredDifference => "SQUARED_DIFFERENCE",
        },
        Kind::MatMul => "BATCH_MATMUL",
        Kind::AveragePool(_) => "AVERAGE_POOL_2D",
        Kind::Reduce(Fold::Sum, ..) => "SUM",
        Kind::Reduce(..) => "MEAN",
        Kind::Softmax => "SOFTMAX",
        Kind::Resample(_) => "RESIZE_BILINEAR",
        Kind::LayerNorm(_) => "layer normalization",
        Kind::Quantize => "QUANTIZE",
        _ => "others",
    }
}

/// Operators, each once with how often it is there; `None` if there are none.
fn named(operators: impl Iterator<Item = &'static str>) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for operator in operators {
        *counts.entry(operator).or_default() += 1;
    }
    let names: Vec<String> = counts
        .iter()
        .map(|(operator, count)| format!("{operator} ({count})"))
        .collect();
    (!names.is_empty()).then(|| names.join(", "))
}
