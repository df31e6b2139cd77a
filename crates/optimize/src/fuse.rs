//! Folds an operator into the one before it: scales and offsets into weights, padding into
//! windows, activations into limits.

use graph::{Data, Error, Graph, Kind, Node, Quantization, Shape, ValueId};
use runtime::host::Activation;
use runtime::ops::binary::{Binary, Function as Two};
use runtime::ops::unary::{Function as One, Unary};

/// The index of the node that makes `id` if this value is read by one node only.
fn sole_producer(graph: &Graph, id: ValueId) -> Option<usize> {
    graph.only_consumer(id)?;
    graph.producer(id)
}

/// Removes node `index`; its first input takes the place of its output.
fn bypass(graph: &mut Graph, index: usize) {
    let node = graph.nodes.remove(index);
    if let (Some(&Some(from)), Some(&to)) = (node.inputs.first(), node.outputs.first()) {
        graph.replace_uses(to, from);
    }
}

/// The activation that a node is, if it is one.
fn as_activation(kind: &Kind) -> Option<Activation> {
    match kind {
        Kind::Unary(Unary {
            function: One::Relu,
        }) => Some(Activation::Relu),
        Kind::Unary(Unary {
            function: One::Clip(low, high),
        }) => Some(Activation::Clip(*low, *high)),
        _ => None,
    }
}

fn activation_of(kind: &mut Kind) -> Option<&mut Activation> {
    match kind {
        Kind::Conv2d(conv) => Some(&mut conv.activation),
        Kind::FullyConnected(layer) => Some(&mut layer.activation),
        Kind::Binary(binary) => Some(&mut binary.activation),
        Kind::AveragePool2d(pool) => Some(&mut pool.activation),
        Kind::MaxPool2d(pool) => Some(&mut pool.activation),
        _ => None,
    }
}

/// `relu` and `clip` behind an operator that can limit its output.
pub(crate) fn activation(graph: &mut Graph) -> Result<usize, Error> {
    let mut fused = 0;
    let mut index = 0;
    while index < graph.nodes.len() {
        if fuse_activation(graph, index).is_some() {
            bypass(graph, index);
            fused += 1;
        } else {
            index += 1;
        }
    }
    Ok(fused)
}

fn fuse_activation(graph: &mut Graph, index: usize) -> Option<()> {
    let node = &graph.nodes[index];
    let activation = as_activation(&node.kind)?;
    let (input, output) = (node.inputs.first().copied()??, *node.outputs.first()?);
    // Integers of another scale are rounded between the two.
    if graph.value(input).quantization != graph.value(output).quantization {
        return None;
    }
    let before = sole_producer(graph, input)?;
    let held = activation_of(&mut graph.nodes[before].kind)?;
    let [low, high] = held.limits();
    let [next_low, next_high] = activation.limits();
    // clip(clip(x, a, b), c, d): limits move inwards, as each is itself limited by the next.
    let clamp = |v: f32| v.max(next_low).min(next_high);
    *held = match (clamp(low), clamp(high)) {
        (low, high) if low == 0.0 && high == f32::INFINITY => Activation::Relu,
        (low, high) => Activation::Clip(low, high),
    };
    Some(())
}

/// A constant factor or offset per output channel behind a convolution or a fully connected
/// layer, as batch normalization is.
pub(crate) fn affine(graph: &mut Graph) -> Result<usize, Error> {
    let mut fused = 0;
    let mut index = 0;
    while index < graph.nodes.len() {
        if fold_affine(graph, index).is_some() {
            fused += 1;
        } else {
            index += 1;
        }
    }
    Ok(fused)
}

/// The constant side of a binary node as one number per channel.
fn per_channel(graph: &Graph, id: ValueId, channels: usize) -> Option<Vec<f32>> {
    let value = graph.value(id);
    let values = value.data.as_ref()?.f32().ok()?;
    match values.len() {
        1 => Some(vec![values[0]; channels]),
        n if n == channels && value.shape.last() == channels => Some(values.to_vec()),
        _ => None,
    }
}

fn fold_affine(graph: &mut Graph, index: usize) -> Option<()> {
    let Kind::Binary(Binary {
        function,
        activation,
    }) = graph.nodes[index].kind
    else {
        return None;
    };
    let [a, b] = graph.nodes[index].inputs[..] else {
        return None;
    };
    let (a, b) = (a?, b?);
    let (data, constant) = if graph.value(b).data.is_some() {
        (a, b)
    } else {
        (b, a)
    };
    if graph.value(data).data.is_some() {
        return None;
    }
    let swapped = constant == a;
    let before = sole_producer(graph, data)?;
    let producer = &graph.nodes[before];
    let plain = match &producer.kind {
        Kind::Conv2d(conv) => conv.activation == Activation::None,
        Kind::FullyConnected(layer) => layer.activation == Activation::None,
        _ => false,
    };
    let weights = producer.inputs.get(1).copied()??;
    let output = graph.nodes[index].outputs[0];
    if !plain || graph.value(output).shape != graph.value(data).shape {
        return None;
    }
    let channels = graph.value(weights).shape.dim(0);
    let values = per_channel(graph, constant, channels)?;
    let ones = vec![1.0; channels];
    let zeros = vec![0.0; channels];
    let negative = |values: &[f32]| values.iter().map(|v| -v).collect::<Vec<_>>();
    let (factors, offsets) = match (function, swapped) {
        (Two::Add, _) => (ones, values),
        (Two::Sub, false) => (ones, negative(&values)),
        (Two::Sub, true) => (negative(&ones), values),
        (Two::Mul, _) => (values, zeros),
        (Two::Div, false) => (values.iter().map(|v| 1.0 / v).collect(), zeros),
        _ => return None,
    };
    rescale(graph, before, &factors, &offsets)?;
    if let Some(held) = activation_of(&mut graph.nodes[before].kind) {
        *held = activation;
    }
    let position = usize::from(swapped);
    let node = graph.nodes.remove(index);
    graph.replace_uses(node.outputs[0], node.inputs[position]?);
    Some(())
}

/// `weights[o] *= factor[o]`, `bias[o] = bias[o] * factor[o] + offset[o]`.
fn rescale(graph: &mut Graph, index: usize, factors: &[f32], offsets: &[f32]) -> Option<()> {
    let Node { name, inputs, .. } = graph.nodes[index].clone();
    let weights = graph.value(inputs.get(1).copied()??).clone();
    let values = weights.data.as_ref()?.f32().ok()?;
    let row = values.len() / factors.len().max(1);
    let scaled: Vec<f32> = values
        .iter()
        .enumerate()
        .map(|(i, w)| w * factors[i / row.max(1)])
        .collect();
    let bias = match inputs.get(2).copied().flatten() {
        Some(id) => graph.value(id).data.as_ref()?.f32().ok()?.to_vec(),
        None => vec![0.0; factors.len()],
    };
    let bias: Vec<f32> = bias
        .iter()
        .zip(factors)
        .zip(offsets)
        .map(|((b, f), o)| b * f + o)
        .collect();
    let shape = Shape::new(&[bias.len() as u32])?;
    let steps = weights
        .quantization
        .map(|steps| scaled_steps(&steps, factors));
    // New constants: the old ones may be shared.
    let weights = graph.add_constant(weights.name, weights.shape, Data::F32(scaled));
    graph.value_mut(weights).quantization = steps;
    let bias = graph.add_constant(format!("{name}/bias"), shape, Data::F32(bias));
    let node = &mut graph.nodes[index];
    node.inputs.truncate(1);
    node.inputs.extend([Some(weights), Some(bias)]);
    Some(())
}

/// The steps of weights that were multiplied.
fn scaled_steps(steps: &Quantization, factors: &[f32]) -> Quantization {
    let scaled = factors.iter().enumerate().map(|(channel, factor)| {
        let size = if *factor == 0.0 { 1.0 } else { factor.abs() };
        steps.scale(channel) * size
    });
    Quantization {
        scales: scaled.collect(),
        zero_point: 0,
        axis: Some(0),
    }
}

/// Zeros around rows and columns in front of a convolution.
pub(crate) fn pad(graph: &mut Graph) -> Result<usize, Error> {
    let mut fused = 0;
    let mut index = 0;
    while index < graph.nodes.len() {
        if fold_pad(graph, index).is_some() {
            bypass(graph, index);
            fused += 1;
        } else {
            index += 1;
        }
    }
    Ok(fused)
}

fn fold_pad(graph: &mut Graph, index: usize) -> Option<()> {
    let Kind::Pad(pad) = graph.nodes[index].kind.clone() else {
        return None;
    };
    let [[0, 0], rows, columns, [0, 0]] = pad.amounts[..] else {
        return None;
    };
    if pad.value != 0.0 {
        return None;
    }
    let after = graph.only_consumer(*graph.nodes[index].outputs.first()?)?;
    let Kind::Conv2d(conv) = &mut graph.nodes[after].kind else {
        return None;
    };
    let [top, left, bottom, right] = &mut conv.window.padding;
    *top += rows[0];
    *bottom += rows[1];
    *left += columns[0];
    *right += columns[1];
    Some(())
}

#[cfg(test)]
mod tests {
    use crate::run;
    use graph::{DType, Data, Graph, Kind, Shape};
    use runtime::host::Activation;
    use runtime::ops::Window2d;
    use runtime::ops::binary::{Binary, Function as Two};
    use runtime::ops::conv_2d::Conv2d;
    use runtime::ops::unary::{Function as One, Unary};

    /// conv -> * 2 -> + 3 -> relu becomes one convolution with doubled weights.
    #[test]
    fn batch_normalization_and_relu_become_part_of_the_convolution() {
        let mut graph = Graph::default();
        let shape = |dims: &[u32]| Shape::new(dims).unwrap();
        let x = graph.add_input("x", DType::F32, shape(&[1, 1, 1, 1]));
        let w = graph.add_constant("w", shape(&[2, 1, 1, 1]), Data::F32(vec![1.0, -1.0]));
        let conv = Conv2d {
            window: Window2d::dense([1, 1]),
            groups: 1,
            activation: Activation::None,
        };
        let y = graph.push("conv", conv, &[x, w]).unwrap()[0];
        let two = graph.add_constant("two", shape(&[2]), Data::F32(vec![2.0, 4.0]));
        let three = graph.add_constant("three", shape(&[1]), Data::F32(vec![3.0]));
        let mul = Binary {
            function: Two::Mul,
            activation: Activation::None,
        };
        let add = Binary {
            function: Two::Add,
            activation: Activation::None,
        };
        let y = graph.push("mul", mul, &[y, two]).unwrap()[0];
        let y = graph.push("add", add, &[three, y]).unwrap()[0];
        let y = graph
            .push(
                "relu",
                Unary {
                    function: One::Relu,
                },
                &[y],
            )
            .unwrap()[0];
        graph.add_output("y", y);
        run(&mut graph, |_| true).unwrap();
        let [node] = &graph.nodes[..] else {
            panic!("{graph}")
        };
        let Kind::Conv2d(conv) = &node.kind else {
            panic!("{graph}")
        };
        assert_eq!(conv.activation, Activation::Relu);
        let data = |i: usize| graph.value(node.inputs[i].unwrap()).data.clone().unwrap();
        assert_eq!(data(1), Data::F32(vec![2.0, -4.0]));
        assert_eq!(data(2), Data::F32(vec![3.0, 3.0]));
    }
}
