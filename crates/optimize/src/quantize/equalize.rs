//! Equalization of channels between two layers.
//!
//! A factor can move from a channel of one layer to the next across any activation with
//! `f(s x) = s f(x)`: the real function stays what it is, but channels with small values then use
//! more of the 256 steps that the whole tensor shares (Nagel et al., "Data-free quantization
//! through weight equalization and bias correction", 2019; the factors are those of Xiao et al.,
//! "SmoothQuant", 2023, with measured activations). In front of a depthwise convolution, whose
//! weights have a scale per channel anyway, channels are made equal altogether.

use super::Error;
use super::calibrate::{Float, Sample};
use graph::{Data, Graph, Kind, Node, ValueId};
use runtime::host::Activation;
use std::collections::HashMap;

/// Factors stay within this and its inverse.
const LARGEST_FACTOR: f32 = 64.0;

/// A value between two layers that can be equalized.
struct Pair {
    value: ValueId,
    first: usize,
    second: usize,
    depthwise: bool,
}

/// An equivalent graph with equalized channels, or `None` where no pair can be equalized.
pub(crate) fn equalize(
    graph: &Graph,
    float: &mut Float,
    samples: &[Sample],
) -> Result<Option<Graph>, Error> {
    let pairs = pairs(graph);
    if pairs.is_empty() {
        return Ok(None);
    }
    let mut largest: HashMap<ValueId, Vec<f32>> = pairs
        .iter()
        .map(|pair| (pair.value, vec![0.0; graph.value(pair.value).shape.last()]))
        .collect();
    float.restart()?;
    for sample in samples {
        float.watch(sample, &mut |id, values| {
            if let Some(largest) = largest.get_mut(&id) {
                let channels = largest.len().max(1);
                for pixel in values.chunks(channels) {
                    let both = largest.iter_mut().zip(pixel);
                    both.for_each(|(held, value)| *held = held.max(value.abs()));
                }
            }
        })?;
    }
    let mut equal = graph.clone();
    for pair in &pairs {
        if let Some(largest) = largest.get(&pair.value) {
            apply(&mut equal, pair, largest);
        }
    }
    Ok(Some(equal))
}

fn homogeneous(activation: Activation) -> bool {
    matches!(activation, Activation::None | Activation::Relu)
}

fn pairs(graph: &Graph) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (first, node) in graph.nodes.iter().enumerate() {
        let plain = match &node.kind {
            Kind::Conv2d(conv) => homogeneous(conv.activation),
            Kind::FullyConnected(layer) => homogeneous(layer.activation),
            _ => false,
        };
        let Some(&value) = node.outputs.first() else {
            continue;
        };
        let Some(second) = graph.only_consumer(value).filter(|_| plain) else {
            continue;
        };
        let after = &graph.nodes[second];
        let channels = graph.value(value).shape.last();
        let depthwise = match &after.kind {
            Kind::Conv2d(conv) if conv.groups == 1 => false,
            Kind::Conv2d(conv) if conv.groups == channels => true,
            Kind::FullyConnected(_) => false,
            _ => continue,
        };
        let weights = after
            .inputs
            .get(1)
            .copied()
            .flatten()
            .map(|id| graph.value(id).shape);
        // A depthwise convolution with several outputs per channel would need them side by side.
        let matches = weights.is_some_and(|w| !depthwise || w.dim(0) == channels);
        if matches && weights_of(graph, node).is_some() && weights_of(graph, after).is_some() {
            pairs.push(Pair {
                value,
                first,
                second,
                depthwise,
            });
        }
    }
    pairs
}

fn weights_of<'a>(graph: &'a Graph, node: &Node) -> Option<&'a [f32]> {
    let id = node.inputs.get(1).copied()??;
    graph.value(id).data.as_ref()?.f32().ok()
}

fn apply(graph: &mut Graph, pair: &Pair, largest: &[f32]) -> Option<()> {
    let channels = largest.len();
    let after = weights_of(graph, &graph.nodes[pair.second])?;
    let factors: Vec<f32> = if pair.depthwise {
        largest.to_vec()
    } else {
        let mut columns = vec![0.0f32; channels];
        for (i, weight) in after.iter().enumerate() {
            columns[i % channels] = columns[i % channels].max(weight.abs());
        }
        largest
            .iter()
            .zip(&columns)
            .map(|(x, w)| (x / w).sqrt())
            .collect()
    };
    let factors = normalised(&factors);
    let before = weights_of(graph, &graph.nodes[pair.first])?.to_vec();
    let row = (before.len() / channels.max(1)).max(1);
    let before = before
        .iter()
        .enumerate()
        .map(|(i, w)| w / factors[i / row])
        .collect();
    let after_row = (after.len() / channels.max(1)).max(1);
    let channel_of = |i: usize| {
        if pair.depthwise {
            i / after_row
        } else {
            i % channels
        }
    };
    let after = after
        .iter()
        .enumerate()
        .map(|(i, w)| w * factors[channel_of(i)])
        .collect();
    if let Some(id) = graph.nodes[pair.first].inputs.get(2).copied().flatten() {
        let bias = graph.value(id).data.as_ref()?.f32().ok()?;
        let bias = bias.iter().zip(&factors).map(|(b, f)| b / f).collect();
        replace(graph, pair.first, 2, bias);
    }
    replace(graph, pair.first, 1, before);
    replace(graph, pair.second, 1, after);
    Some(())
}

/// Factors around 1; 1 where one cannot be told, as for a channel that is always zero.
fn normalised(factors: &[f32]) -> Vec<f32> {
    let usable = |f: &f32| f.is_finite() && *f > 0.0;
    let logs: Vec<f32> = factors
        .iter()
        .copied()
        .filter(usable)
        .map(f32::ln)
        .collect();
    let middle = (logs.iter().sum::<f32>() / logs.len().max(1) as f32).exp();
    let one = |f: &f32| {
        if usable(f) {
            (f / middle).clamp(1.0 / LARGEST_FACTOR, LARGEST_FACTOR)
        } else {
            1.0
        }
    };
    factors.iter().map(one).collect()
}

/// Gives a node a constant of its own with new elements.
fn replace(graph: &mut Graph, node: usize, input: usize, values: Vec<f32>) {
    if let Some(id) = graph.nodes[node].inputs[input] {
        let old = graph.value(id);
        let (name, shape) = (old.name.clone(), old.shape);
        let new = graph.add_constant(name, shape, Data::F32(values));
        graph.nodes[node].inputs[input] = Some(new);
    }
}
