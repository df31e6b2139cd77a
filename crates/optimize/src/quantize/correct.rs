//! Bias correction, judged by measurement.
//!
//! Rounding the weights of a channel moves the mean of its output by
//! `sum over taps of (rounded - real) * mean(input)`; subtracting that from the bias undoes it
//! (Nagel et al., "Data-free quantization through weight equalization and bias correction",
//! 2019, with measured means in place of those of batch normalization). A layer keeps its
//! correction only where that brings its output closer to the float one.

use super::Error;
use super::apply::{Biases, Changes};
use super::assign::Assignment;
use super::calibrate::{Executable, Float, Sample, Statistics, add_means, shown};
use graph::{DType, Graph, Kind, ValueId};
use std::collections::HashMap;

/// Corrected biases of every integer layer with weights.
pub(crate) fn biases(
    float: &Graph,
    quantized: &Graph,
    assignment: &Assignment,
    statistics: &Statistics,
) -> Biases {
    let mut biases = Biases::new();
    for (index, node) in float.nodes.iter().enumerate() {
        if assignment.types[index] == DType::F32 {
            continue;
        }
        if let Some(corrected) = corrected_bias(float, quantized, node, statistics) {
            biases.insert(index, corrected);
        }
    }
    biases
}

fn corrected_bias(
    float: &Graph,
    quantized: &Graph,
    node: &graph::Node,
    statistics: &Statistics,
) -> Option<Vec<f32>> {
    let depthwise = match &node.kind {
        Kind::Conv2d(conv) => conv.groups > 1,
        Kind::FullyConnected(_) => false,
        _ => return None,
    };
    let output = *node.outputs.first()?;
    let rounded_node = &quantized.nodes[quantized.producer(output)?];
    let rounded = quantized.value(rounded_node.inputs.get(1).copied()??);
    let (integers, scales) = (
        rounded.data.as_ref()?.i8().ok()?,
        rounded.quantization.as_ref()?,
    );
    let weights = float.value(node.inputs.get(1).copied()??);
    let real = weights.data.as_ref()?.f32().ok()?;
    let means = statistics
        .means
        .get(&shown(float, node.inputs.first().copied()??))?;
    let outputs = weights.shape.dim(0);
    let (row, inner) = (real.len() / outputs.max(1), weights.shape.last().max(1));
    let bias = match node.inputs.get(2).copied().flatten() {
        Some(id) => float.value(id).data.as_ref()?.f32().ok()?.to_vec(),
        None => vec![0.0; outputs],
    };
    let multiplier = (outputs / means.len().max(1)).max(1);
    let corrected = bias.iter().enumerate().map(|(o, &bias)| {
        let scale = f64::from(scales.scale(o));
        let moved: f64 = (0..row)
            .map(|tap| {
                let at = o * row + tap;
                let change = f64::from(integers[at]) * scale - f64::from(real[at]);
                // A flattened input has one mean per channel of what it was flattened from.
                let channel = if depthwise {
                    o / multiplier
                } else {
                    tap % inner % means.len()
                };
                change * means.get(channel).copied().unwrap_or(0.0)
            })
            .sum();
        (f64::from(bias) - moved) as f32
    });
    Some(corrected.collect())
}

/// The mean of every channel of values in the float graph.
fn float_means(
    float: &mut Float,
    channels: &HashMap<ValueId, usize>,
    samples: &[Sample],
) -> Result<HashMap<ValueId, Vec<f64>>, Error> {
    let mut means: HashMap<ValueId, Vec<f64>> = HashMap::new();
    float.reset()?;
    for sample in samples {
        float.watch(sample, &mut |id, values| {
            if let Some(&channels) = channels.get(&id) {
                let means = means.entry(id).or_insert_with(|| vec![0.0; channels]);
                add_means(means, values);
            }
        })?;
    }
    let count = samples.len().max(1) as f64;
    means.values_mut().flatten().for_each(|sum| *sum /= count);
    Ok(means)
}

/// The mean of every channel of a value, as the graph up to it computes it.
fn mean_up_to(
    graph: &Graph,
    value: ValueId,
    channels: usize,
    samples: &[Sample],
) -> Result<Vec<f64>, Error> {
    let mut part = Executable::up_to(graph, value)?;
    let mut means = vec![0.0; channels];
    let mut values = Vec::new();
    for sample in samples {
        part.run(sample, &mut values)?;
        add_means(&mut means, &values);
    }
    let count = samples.len().max(1) as f64;
    means.iter_mut().for_each(|sum| *sum /= count);
    Ok(means)
}

/// Moves the bias of one layer after another by the mean error of its output, measured behind
/// the layers that are corrected already: what the weights' rounding cannot explain, the
/// rounding of slowly changing activations, is in it too.
pub(crate) fn measured_biases(
    judge: &super::Judge<'_>,
    float: &mut Float,
    start: &Changes,
) -> Result<Changes, Error> {
    let graph = judge.recipe.graph;
    let output = |index: usize| graph.nodes[index].outputs.first().copied();
    let channels = start
        .biases
        .iter()
        .filter_map(|(&index, bias)| Some((output(index)?, bias.len())));
    let expected = float_means(float, &channels.collect(), judge.samples)?;
    let mut changes = start.clone();
    for index in 0..graph.nodes.len() {
        let (Some(bias), Some(output)) = (start.biases.get(&index), output(index)) else {
            continue;
        };
        let Some(wanted) = expected.get(&output) else {
            continue;
        };
        let corrected = super::apply::apply(&judge.recipe, &changes)?;
        let has = mean_up_to(&corrected, output, bias.len(), judge.samples)?;
        let moved = bias.iter().zip(has.iter().zip(wanted));
        let moved = moved.map(|(&bias, (has, wanted))| (f64::from(bias) - (has - wanted)) as f32);
        changes.biases.insert(index, moved.collect());
    }
    Ok(changes)
}

/// Signal and squared error of every value that both graphs make, over samples.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fidelity {
    sums: HashMap<ValueId, [f64; 2]>,
}

impl Fidelity {
    /// Signal to quantization noise in decibels; infinite where there is no error.
    pub(crate) fn sqnr_db(&self, id: ValueId) -> Option<f64> {
        let [signal, noise] = self.sums.get(&id)?;
        Some(10.0 * (signal / noise).log10())
    }

    /// Runs both graphs side by side.
    pub(crate) fn measure(
        float: &mut Float,
        quantized: &Graph,
        samples: &[Sample],
    ) -> Result<Self, Error> {
        let mut quantized = Executable::new(quantized)?;
        let mut fidelity = Fidelity::default();
        let mut expected: HashMap<ValueId, Vec<f32>> = HashMap::new();
        float.reset()?;
        for sample in samples {
            float.watch(sample, &mut |id, values| {
                let kept = expected.entry(id).or_default();
                kept.clear();
                kept.extend_from_slice(values);
            })?;
            quantized.watch(sample, &mut |id, values| {
                let Some(expected) = expected.get(&id) else {
                    return;
                };
                let sums = fidelity.sums.entry(id).or_default();
                for (a, b) in expected.iter().zip(values) {
                    sums[0] += f64::from(*a).powi(2);
                    sums[1] += f64::from(a - b).powi(2);
                }
            })?;
        }
        Ok(fidelity)
    }
}
