//! Fully connected layers rebuilt for the inputs that they really get.
//!
//! One layer after another, with everything before it quantized already:
//!
//! 1. The weights `w` of an output become those with the least
//!    `E(x · w₀ - x' · w)² + λ |w - w₀|²`, where `x` are the inputs in the float graph and `x'`
//!    those in the integer graph: errors of the layers before are undone as far as they can be.
//! 2. They are rounded one input at a time, those with the most energy first, and what the
//!    roundings so far do to the output is made up for by the next: the method of Frantar et al.,
//!    "GPTQ: accurate post-training quantization for generative pre-trained transformers", 2022,
//!    in the form of Babai's nearest plane, which needs no inverse.
//! 3. The bias takes what is left of the mean error.
//!
//! Only sums over samples are kept: two matrices of inputs x inputs.

use super::apply::{Changes, Recipe, activation, apply};
use super::calibrate::{Executable, Float, Sample, shown};
use super::cholesky::{Cholesky, Square, add_scaled, dot};
use super::repeated;
use super::weights::{self, Weights};
use super::{Error, Judge};
use format::fixed;
use graph::{DType, Graph, Kind, ValueId};
use runtime::host::{Activation, integer_limits};

/// λ as a share of the inputs' mean energy: how much samples must say against a weight.
const DAMPING: f64 = 1e-3;

/// Layers with more inputs keep their weights: the matrices grow with the square.
const LARGEST_INPUTS: usize = 1024;

/// Rebuilds every fully connected integer layer of a graph that starts as `start`.
pub(crate) fn reconstruct(
    judge: &Judge<'_>,
    float: &mut Float,
    samples: &[Sample],
    start: &Changes,
) -> Result<Changes, Error> {
    let recipe = &judge.recipe;
    let mut changes = start.clone();
    // What several layers share would no longer be the same.
    let repeated = repeated::layers(recipe.graph);
    for (index, node) in recipe.graph.nodes.iter().enumerate() {
        let is_dense = matches!(node.kind, Kind::FullyConnected(_));
        let is_integer = recipe.assignment.types[index] != DType::F32;
        if !is_dense || !is_integer || repeated.contains(&index) {
            continue;
        }
        let quantized = apply(recipe, &changes)?;
        let Some(layer) = Layer::new(recipe, &quantized, node) else {
            continue;
        };
        if layer.inputs > LARGEST_INPUTS {
            continue;
        }
        let moments = layer.moments(recipe.graph, &quantized, float, samples)?;
        if let Some((weights, bias)) = layer.rebuild(&moments) {
            changes.weights.insert(index, weights);
            changes.biases.insert(index, bias);
        }
    }
    Ok(changes)
}

/// A fully connected layer in both graphs.
struct Layer<'a> {
    inputs: usize,
    /// `[O, I]`.
    weights: &'a [f32],
    bias: &'a [f32],
    /// Its input in the float graph and in the integer graph.
    from: [ValueId; 2],
    dtype: DType,
    input: (f32, i32),
    output: (f32, i32),
    activation: Activation,
    /// The largest integer of its weights.
    largest: f32,
}

/// Sums over samples, divided by their number.
struct Moments {
    /// `E(x' x'ᵀ)`.
    square: Square,
    /// `E(x' xᵀ)`.
    cross: Square,
    /// `E(x)` and `E(x')`.
    means: [Vec<f64>; 2],
}

impl<'a> Layer<'a> {
    fn new(recipe: &Recipe<'a>, quantized: &Graph, node: &'a graph::Node) -> Option<Self> {
        let float = recipe.graph;
        let output = *node.outputs.first()?;
        let same = &quantized.nodes[quantized.producer(output)?];
        let (real, integer) = (
            node.inputs.first().copied()??,
            same.inputs.first().copied()??,
        );
        let stored = node.inputs.get(1).copied()??;
        let weights = float.value(stored);
        let bias = node.inputs.get(2).copied().flatten();
        let bias = bias.and_then(|id| float.value(id).data.as_ref());
        let affine = |id: ValueId| {
            let quantization = quantized.value(id).quantization.as_ref()?;
            Some((quantization.scale(0), quantization.zero_point))
        };
        Some(Layer {
            inputs: weights.shape.dim(1),
            weights: weights.data.as_ref()?.f32().ok()?,
            bias: bias.and_then(|data| data.f32().ok()).unwrap_or(&[]),
            from: [real, integer],
            dtype: quantized.value(integer).dtype,
            input: affine(integer)?,
            output: affine(output)?,
            activation: activation(&node.kind),
            largest: recipe.largest(stored),
        })
    }

    /// Runs both graphs up to the layer.
    fn moments(
        &self,
        graph: &Graph,
        quantized: &Graph,
        float: &mut Float,
        samples: &[Sample],
    ) -> Result<Moments, Error> {
        let [real, integer] = self.from;
        let real = shown(graph, real);
        let input = quantized
            .inputs
            .iter()
            .position(|port| port.value == integer);
        let mut part = match input {
            Some(_) => None,
            None => Some(Executable::up_to(quantized, integer)?),
        };
        let mut moments = Moments {
            square: Square::zeros(self.inputs),
            cross: Square::zeros(self.inputs),
            means: [vec![0.0; self.inputs], vec![0.0; self.inputs]],
        };
        let (mut expected, mut got) = (Vec::new(), Vec::new());
        let mut rows = 0usize;
        float.reset()?;
        for sample in samples {
            float.watch(sample, &mut |id, values| {
                if id == real {
                    expected.clear();
                    expected.extend_from_slice(values);
                }
            })?;
            match (&mut part, input.and_then(|index| sample.get(index))) {
                (Some(part), _) => part.run(sample, &mut got)?,
                (None, Some(values)) => got = self.rounded(values),
                (None, None) => continue,
            }
            let pairs = expected.chunks(self.inputs).zip(got.chunks(self.inputs));
            for (x, y) in pairs.filter(|(x, y)| x.len() == self.inputs && y.len() == self.inputs) {
                moments.add(x, y);
                rows += 1;
            }
        }
        moments.divide(rows.max(1) as f64);
        Ok(moments)
    }

    /// A graph's input as the integer graph sees it.
    fn rounded(&self, values: &[f32]) -> Vec<f32> {
        let (scale, zero) = self.input;
        let [low, high] = integer_limits(self.dtype).unwrap_or([0, 0]);
        let round =
            |&value: &f32| (fixed::quantize(value, scale, zero, low, high) - zero) as f32 * scale;
        values.iter().map(round).collect()
    }

    /// New integer weights and the bias that goes with them.
    fn rebuild(&self, moments: &Moments) -> Option<(Weights, Vec<f32>)> {
        let (inputs, outputs) = (self.inputs, self.weights.len() / self.inputs.max(1));
        let trace: f64 = (0..inputs)
            .map(|i| moments.square.values[i * inputs + i])
            .sum();
        let damping = DAMPING * trace / inputs as f64;
        let factor = Factor::new(&moments.square, damping)?;
        let rebuilt = self.weights.chunks_exact(inputs).flat_map(|old| {
            let old: Vec<f64> = old.iter().map(|&weight| f64::from(weight)).collect();
            let rows = moments.cross.rows().zip(&old);
            let right = rows.map(|(row, weight)| dot(row, &old) + damping * weight);
            factor.solve(&right.collect::<Vec<f64>>())
        });
        let values: Vec<f32> = rebuilt.collect();
        let layer = weights::Layer {
            dtype: self.dtype,
            input: self.input,
            output: self.output,
            activation: self.activation,
            bias: self.bias,
            best: &weights::best_scales(&values, outputs, self.largest),
            largest: self.largest,
        };
        let rounded = weights::quantize(&values, outputs, &layer, Some(&factor));
        let bias = (0..outputs).map(|output| {
            let row = output * inputs..(output + 1) * inputs;
            let scale = f64::from(rounded.quantization.scale(output));
            let dot = |means: &[f64], weight: &dyn Fn(usize) -> f64| -> f64 {
                let terms = row.clone().zip(means);
                terms.map(|(at, mean)| weight(at) * mean).sum()
            };
            let wanted = dot(&moments.means[0], &|at| f64::from(self.weights[at]));
            let has = dot(&moments.means[1], &|at| {
                f64::from(rounded.values[at]) * scale
            });
            let own = self.bias.get(output).copied().unwrap_or(0.0);
            (f64::from(own) + wanted - has) as f32
        });
        let bias = bias.collect();
        Some((rounded, bias))
    }
}

impl Moments {
    /// Adds inputs `x` of the float graph and `y` of the integer one.
    fn add(&mut self, x: &[f32], y: &[f32]) {
        self.square.add_outer(y, y);
        self.cross.add_outer(y, x);
        for (means, values) in self.means.iter_mut().zip([x, y]) {
            means
                .iter_mut()
                .zip(values)
                .for_each(|(sum, &value)| *sum += f64::from(value));
        }
    }

    fn divide(&mut self, count: f64) {
        let matrices = [&mut self.square, &mut self.cross];
        let matrices = matrices.into_iter().flat_map(|matrix| &mut matrix.values);
        matrices.for_each(|sum| *sum /= count);
        self.means
            .iter_mut()
            .flatten()
            .for_each(|sum| *sum /= count);
    }
}

/// `E(x' x'ᵀ) + λ` as a Cholesky factor: gives the weights with the least error, and rounds
/// weights so that the roundings make up for each other.
pub(crate) struct Factor {
    /// Inputs by their energy, the least first.
    order: Vec<usize>,
    /// `L Lᵀ` is the matrix in that order.
    cholesky: Cholesky,
}

impl Factor {
    fn new(square: &Square, damping: f64) -> Option<Self> {
        let size = square.size;
        let at = |i: usize, j: usize| square.values[i * size + j];
        let mut order: Vec<usize> = (0..size).collect();
        order.sort_by(|&a, &b| at(a, a).total_cmp(&at(b, b)).then(a.cmp(&b)));
        let rows = order
            .iter()
            .flat_map(|&i| order.iter().map(move |&j| (i, j)));
        let values = rows.map(|(i, j)| at(i, j) + if i == j { damping } else { 0.0 });
        let values = values.collect();
        let cholesky = Cholesky::new(Square { size, values })?;
        Some(Factor { order, cholesky })
    }

    /// The weights that the matrix turns into `right`.
    fn solve(&self, right: &[f64]) -> Vec<f32> {
        let mut sorted: Vec<f64> = self.order.iter().map(|&input| right[input]).collect();
        self.cholesky.solve(&mut sorted);
        let mut weights = vec![0.0; right.len()];
        for (&input, &value) in self.order.iter().zip(&sorted) {
            weights[input] = value as f32;
        }
        weights
    }

    /// Rounds the weights of one output to multiples of `scale` within `largest` and its opposite.
    ///
    /// The error of the output is `|Lᵀ (w - q)|²`; its last term depends on the last input only,
    /// the one before on two, and so on: each in turn is made as small as it can be.
    pub(crate) fn round(&self, weights: &[f32], scale: f32, largest: f32) -> Vec<i8> {
        let (scale, largest) = (f64::from(scale), f64::from(largest));
        let mut behind = vec![0.0; weights.len()];
        let mut rounded = vec![0; weights.len()];
        for (at, &input) in self.order.iter().enumerate().rev() {
            let row = self.cholesky.row(at);
            let weight = f64::from(weights[input]);
            let integer = (weight + behind[at] / row[at]) / scale;
            let integer = integer.round().clamp(-largest, largest);
            rounded[input] = integer as i8;
            add_scaled(&mut behind[..at], row, weight - integer * scale);
        }
        rounded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two inputs that are always equal: only the sum of their weights counts, and 0.4 + 0.4
    /// becomes 1 + 0, not 0 + 0.
    #[test]
    fn a_rounding_is_made_up_for_by_the_next() {
        let square = Square {
            size: 2,
            values: vec![1.001, 1.0, 1.0, 1.001],
        };
        let factor = Factor::new(&square, 0.0).unwrap();
        assert_eq!(factor.round(&[0.4, 0.4], 1.0, weights::INT8), [1, 0]);
        let apart = Square {
            size: 2,
            values: vec![1.0, 0.0, 0.0, 1.0],
        };
        let factor = Factor::new(&apart, 0.0).unwrap();
        assert_eq!(factor.round(&[0.4, 0.4], 1.0, weights::INT8), [0, 0]);
    }

    /// The integer graph halves the input; the weight doubles.
    #[test]
    fn errors_of_layers_before_are_undone() {
        let layer = Layer {
            inputs: 1,
            weights: &[1.0],
            bias: &[0.5],
            from: [ValueId(0), ValueId(0)],
            dtype: DType::I8,
            input: (0.01, 0),
            output: (0.01, 0),
            activation: Activation::None,
            largest: weights::INT8,
        };
        let mut moments = Moments {
            square: Square::zeros(1),
            cross: Square::zeros(1),
            means: [vec![0.0], vec![0.0]],
        };
        for x in [1.0, 2.0, 3.0] {
            moments.add(&[x], &[x / 2.0]);
        }
        moments.divide(3.0);
        let (weights, bias) = layer.rebuild(&moments).unwrap();
        let weight = f32::from(weights.values[0]) * weights.quantization.scale(0);
        assert!((weight - 2.0).abs() < 0.02, "{weight}");
        assert!((bias[0] - 0.5).abs() < 0.02, "{}", bias[0]);
    }
}
