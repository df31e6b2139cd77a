//! A layer as the pass sees it: numbers, whether real or integer, and what becomes of sums.

use graph::{DType, Data, Graph, Kind, Node, ValueId};
use runtime::host::{Activation, activation_limits};

/// Weights below this share of a float layer's largest are zero: they vanish in the rounding of
/// any sum.
const NEGLIGIBLE: f64 = 1e-20;

/// A rounding rule is off from the exact product by no more than rounding it, and by this: the
/// rules differ in ties and in the precision of the multiplier, and all of them are allowed for.
const ROUNDING_SLACK: f64 = 0.25;
const MULTIPLIER_SLACK: f64 = 1.0 / 2048.0;

/// The smallest and the largest number that a channel may hold: real, or, where the tensor is
/// quantized, steps from its zero point.
pub(super) type Bounds = [f64; 2];

/// What a tensor may hold as far as its type tells.
pub(super) fn unknown(graph: &Graph, id: ValueId) -> Bounds {
    match steps(graph, id) {
        Some((_, zero)) => [-128.0 - zero, 127.0 - zero],
        None => [f64::NEG_INFINITY, f64::INFINITY],
    }
}

/// Scale and zero point of an int8 tensor that is quantized as a whole.
pub(super) fn steps(graph: &Graph, id: ValueId) -> Option<(f64, f64)> {
    let operand = graph.operand(id);
    let (scale, zero) = operand.affine().ok()?;
    (operand.dtype == DType::I8).then_some((f64::from(scale), f64::from(zero)))
}

#[derive(Clone, Copy)]
enum Weights<'g> {
    Real(&'g [f32]),
    Integer(&'g [i8]),
}

/// From the sum of a channel to its output.
enum Finish {
    Real(Activation),
    Steps { factors: Vec<f64>, limits: Bounds },
}

/// A convolution or a fully connected layer whose channels can be told apart.
pub(super) struct Layer<'g> {
    weights: Weights<'g>,
    bias: Vec<f64>,
    pub(super) outputs: usize,
    pub(super) taps: usize,
    /// Input channels of one output channel.
    pub(super) inner: usize,
    pub(super) is_depthwise: bool,
    is_padded: bool,
    finish: Finish,
    threshold: f64,
}

impl<'g> Layer<'g> {
    pub(super) fn of(graph: &'g Graph, node: &Node) -> Option<Self> {
        let [input, weights] = [0, 1].map(|i| node.inputs.get(i).copied().flatten());
        let (input, weights) = (graph.value(input?), graph.value(weights?));
        let outputs = weights.shape.dim(0);
        let bias = match node.inputs.get(2).copied().flatten() {
            Some(id) => numbers(graph.value(id).data.as_ref()?)?,
            None => vec![0.0; outputs],
        };
        let inner = weights.shape.last();
        let (groups, is_padded, activation) = match &node.kind {
            Kind::Conv2d(conv) => (conv.groups, conv.window.padding != [0; 4], conv.activation),
            Kind::FullyConnected(layer) => (1, false, layer.activation),
            _ => return None,
        };
        let is_depthwise = groups > 1 && groups == input.shape.last() && inner == 1;
        let fits = is_depthwise || groups == 1 && inner == input.shape.last();
        let (weights, count) = match weights.data.as_ref()? {
            Data::F32(values) => (Weights::Real(values), values.len()),
            Data::I8(values) => (Weights::Integer(values), values.len()),
            _ => return None,
        };
        let (finish, threshold) = match weights {
            Weights::Real(values) => {
                let largest = values.iter().fold(0.0f32, |most, w| most.max(w.abs()));
                (Finish::Real(activation), f64::from(largest) * NEGLIGIBLE)
            }
            Weights::Integer(_) => (finish_steps(graph, node, activation)?, 0.0),
        };
        // What channels add to a bias keeps it in 32 bits.
        let reach = (count / outputs.max(1)) as f64 * 127.0 * 255.0;
        let is_small = match weights {
            Weights::Real(_) => true,
            Weights::Integer(_) => bias.iter().all(|b| b.abs() + reach < 2f64.powi(31)),
        };
        (fits && is_small && bias.len() == outputs && outputs > 0).then(|| Layer {
            taps: count / (outputs * inner).max(1),
            weights,
            bias,
            outputs,
            inner,
            is_depthwise,
            is_padded,
            finish,
            threshold,
        })
    }

    fn weight(&self, index: usize) -> f64 {
        match self.weights {
            Weights::Real(values) => f64::from(values[index]),
            Weights::Integer(values) => f64::from(values[index]),
        }
    }

    /// The weights of one output channel for one of its input channels.
    pub(super) fn taps(&self, output: usize, inner: usize) -> impl Iterator<Item = f64> {
        let start = output * self.taps * self.inner + inner;
        let taps = (0..self.taps).map(move |tap| self.weight(start + tap * self.inner));
        taps.map(|w| if w.abs() <= self.threshold { 0.0 } else { w })
    }

    /// The input channel that a depthwise output channel reads.
    pub(super) fn source(&self, output: usize, inputs: usize) -> usize {
        output / (self.outputs / inputs.max(1)).max(1)
    }

    pub(super) fn bounds(&self, input: &[Bounds]) -> Vec<Bounds> {
        let padded = |[low, high]: Bounds| match self.is_padded {
            true => [low.min(0.0), high.max(0.0)],
            false => [low, high],
        };
        let channel = |output: usize| {
            let mut sum = [self.bias[output]; 2];
            for inner in 0..self.inner {
                let from = if self.is_depthwise {
                    self.source(output, input.len())
                } else {
                    inner
                };
                let [low, high] = padded(input[from]);
                for weight in self.taps(output, inner).filter(|&weight| weight != 0.0) {
                    let ends = if weight > 0.0 {
                        [low, high]
                    } else {
                        [high, low]
                    };
                    sum[0] += weight * ends[0];
                    sum[1] += weight * ends[1];
                }
            }
            match &self.finish {
                Finish::Real(activation) => limited(sum, activation.limits().map(f64::from)),
                Finish::Steps { factors, limits } => rounded(sum, factors[output], *limits),
            }
        };
        (0..self.outputs).map(channel).collect()
    }

    /// Whether a constant channel's part of the sum is the same for every output pixel.
    pub(super) fn absorbs(&self, bounds: Bounds) -> bool {
        constant(bounds).is_some_and(|value| value == 0.0 || !self.is_padded)
    }

    /// The weights of some outputs for some of their input channels.
    pub(super) fn selected(&self, outputs: &[usize], inner: &[usize]) -> Data {
        let indices = outputs.iter().flat_map(|&output| {
            (0..self.taps).flat_map(move |tap| {
                let start = (output * self.taps + tap) * self.inner;
                inner.iter().map(move |&channel| start + channel)
            })
        });
        match self.weights {
            Weights::Real(values) => Data::F32(indices.map(|i| values[i]).collect()),
            Weights::Integer(values) => Data::I8(indices.map(|i| values[i]).collect()),
        }
    }

    /// The biases of some outputs, each with something added.
    pub(super) fn biases(&self, outputs: &[usize], added: impl Fn(usize) -> f64) -> Data {
        let sums = outputs
            .iter()
            .map(|&output| self.bias[output] + added(output));
        match self.weights {
            Weights::Real(_) => Data::F32(sums.map(|sum| sum as f32).collect()),
            Weights::Integer(_) => Data::I32(sums.map(|sum| sum as i32).collect()),
        }
    }
}

fn numbers(data: &Data) -> Option<Vec<f64>> {
    match data {
        Data::F32(values) => Some(values.iter().map(|&value| f64::from(value)).collect()),
        Data::I32(values) => Some(values.iter().map(|&value| f64::from(value)).collect()),
        _ => None,
    }
}

/// Factors from sums to steps of the output, and its limits, of an int8 layer.
fn finish_steps(graph: &Graph, node: &Node, activation: Activation) -> Option<Finish> {
    let (input, output) = (node.inputs.first().copied()??, *node.outputs.first()?);
    let ((from, _), (to, zero)) = (steps(graph, input)?, steps(graph, output)?);
    let weights = graph.value(node.inputs.get(1).copied()??);
    let scales = weights.quantization.as_ref()?;
    // A float bias has no place in sums of integers before the graph is lowered.
    let bias = node.inputs.get(2).copied().flatten();
    if bias.is_some_and(|id| !matches!(graph.value(id).data, Some(Data::I32(_)))) {
        return None;
    }
    let factor = |channel| from * f64::from(scales.scale(channel)) / to;
    let limits = activation_limits(activation, &graph.operand(output)).ok()?;
    Some(Finish::Steps {
        factors: (0..weights.shape.dim(0)).map(factor).collect(),
        limits: limits.map(|limit| f64::from(limit) - zero),
    })
}

/// What any rounding rule may make of numbers between the bounds.
pub(super) fn rounded([low, high]: Bounds, factor: f64, limits: Bounds) -> Bounds {
    let slack = |real: f64| ROUNDING_SLACK + real.abs() * MULTIPLIER_SLACK;
    let (low, high) = (low * factor, high * factor);
    let least = (low - slack(low) + 0.5).floor();
    let most = (high + slack(high) - 0.5).ceil();
    limited([least, most], limits)
}

pub(super) fn limited([low, high]: Bounds, [least, most]: Bounds) -> Bounds {
    [low.max(least).min(most), high.max(least).min(most)]
}

pub(super) fn constant([low, high]: Bounds) -> Option<f64> {
    (low == high && low.is_finite()).then_some(low)
}
