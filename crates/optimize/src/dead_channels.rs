//! Removes channels that nothing depends on: those that are the same number whatever the input,
//! and those that no later weight reads. Training with strong regularization leaves many.
//!
//! Bounds of every channel follow from the weights by interval arithmetic, so the pass needs no
//! data. What a constant channel adds to the next layer moves into that layer's bias. In integers all
//! of this is exact: the outputs stay the same bit for bit.

mod layer;

use graph::{Data, Error, Graph, Kind, Node, Quantization, Shape, Value, ValueId};
use layer::{Bounds, Layer, constant, limited, rounded, steps, unknown};
use runtime::host::{Activation, activation_limits};
use runtime::ops::unary::{Function, Unary};
use std::collections::HashMap;

/// Which channels of each value are needed.
type Needs = HashMap<ValueId, Vec<bool>>;

/// Removes channels; returns how many.
pub(crate) fn run(graph: &mut Graph) -> Result<usize, Error> {
    let bounds = bounds(graph);
    let needs = needs(graph, &bounds);
    let spare = |needs: &[bool]| needs.iter().filter(|&&needed| !needed).count();
    let removed: usize = needs.values().map(|needs| spare(needs)).sum();
    if removed == 0 {
        return Ok(0);
    }
    for index in 0..graph.nodes.len() {
        narrow(graph, index, &bounds, &needs);
    }
    graph.infer_all()?;
    Ok(removed)
}

/// Whether a node's output channels are its input's channels, each for itself.
fn is_channelwise(graph: &Graph, node: &Node) -> bool {
    let (Some(&Some(input)), Some(&output)) = (node.inputs.first(), node.outputs.first()) else {
        return false;
    };
    let (from, to) = (graph.value(input).shape, graph.value(output).shape);
    match &node.kind {
        Kind::MaxPool2d(_) | Kind::AveragePool2d(_) => true,
        Kind::Unary(Unary { function }) => {
            matches!(function, Function::Relu | Function::Clip(..))
        }
        Kind::Reshape(_) => from.last() == to.last() && from.elements() == from.last(),
        _ => false,
    }
}

fn bounds(graph: &Graph) -> HashMap<ValueId, Vec<Bounds>> {
    let mut all: HashMap<ValueId, Vec<Bounds>> = HashMap::new();
    for node in &graph.nodes {
        let (Some(&Some(input)), Some(&output)) = (node.inputs.first(), node.outputs.first())
        else {
            continue;
        };
        let whole = vec![unknown(graph, input); graph.value(input).shape.last()];
        let from = all.get(&input).unwrap_or(&whole);
        let bounds = match (Layer::of(graph, node), &node.kind) {
            (Some(layer), _) => Some(layer.bounds(from)),
            _ if !is_channelwise(graph, node) => continue,
            (_, Kind::AveragePool2d(pool)) if pool.count_include_pad => continue,
            (_, Kind::AveragePool2d(pool)) => limit_all(graph, node, from, pool.activation),
            (_, Kind::MaxPool2d(pool)) => limit_all(graph, node, from, pool.activation),
            (_, Kind::Unary(Unary { function })) => {
                limit_all(graph, node, from, as_activation(function))
            }
            _ => Some(from.clone()),
        };
        if let Some(bounds) = bounds {
            all.insert(output, bounds);
        }
    }
    all
}

fn as_activation(function: &Function) -> Activation {
    match function {
        Function::Clip(low, high) => Activation::Clip(*low, *high),
        _ => Activation::Relu,
    }
}

/// Bounds behind a channelwise operator: rounded to the output's steps where its scale is another.
fn limit_all(
    graph: &Graph,
    node: &Node,
    bounds: &[Bounds],
    activation: Activation,
) -> Option<Vec<Bounds>> {
    let (input, output) = (node.inputs.first().copied()??, *node.outputs.first()?);
    let [from, to] = [input, output].map(|id| steps(graph, id));
    let each: Box<dyn Fn(Bounds) -> Bounds> = match (from, to) {
        (None, None) => {
            let limits = activation.limits().map(f64::from);
            Box::new(move |bounds| limited(bounds, limits))
        }
        (Some((from, _)), Some((to, zero))) => {
            let limits = activation_limits(activation, &graph.operand(output)).ok()?;
            let limits = limits.map(|limit| f64::from(limit) - zero);
            match graph.value(input).quantization == graph.value(output).quantization {
                true => Box::new(move |bounds| limited(bounds, limits)),
                false => Box::new(move |bounds| rounded(bounds, from / to, limits)),
            }
        }
        _ => return None,
    };
    Some(bounds.iter().map(|&bounds| each(bounds)).collect())
}

/// Marks channels as needed until nothing changes.
fn needs(graph: &Graph, bounds: &HashMap<ValueId, Vec<Bounds>>) -> Needs {
    let mut needs = Needs::new();
    for node in &graph.nodes {
        for &id in node.inputs.iter().flatten().chain(&node.outputs) {
            if graph.value(id).data.is_none() {
                needs.insert(id, vec![false; graph.value(id).shape.last()]);
            }
        }
    }
    let ports = graph.inputs.iter().chain(&graph.outputs);
    ports.for_each(|port| mark_all(&mut needs, port.value));
    loop {
        let before = count(&needs);
        for node in graph.nodes.iter().rev() {
            mark_node(graph, node, bounds, &mut needs);
        }
        // A value keeps one channel at least.
        for channels in needs
            .values_mut()
            .filter(|channels| !channels.contains(&true))
        {
            channels
                .iter_mut()
                .take(1)
                .for_each(|needed| *needed = true);
        }
        if count(&needs) == before {
            return needs;
        }
    }
}

fn count(needs: &Needs) -> usize {
    needs.values().flatten().filter(|&&needed| needed).count()
}

fn mark_all(needs: &mut Needs, id: ValueId) {
    if let Some(channels) = needs.get_mut(&id) {
        channels.fill(true);
    }
}

fn mark_node(
    graph: &Graph,
    node: &Node,
    bounds: &HashMap<ValueId, Vec<Bounds>>,
    needs: &mut Needs,
) {
    let (Some(&Some(input)), Some(&output)) = (node.inputs.first(), node.outputs.first()) else {
        return;
    };
    let (Some(from), Some(to)) = (needs.get(&input).cloned(), needs.get(&output).cloned()) else {
        return;
    };
    let (mut next_from, mut next_to) = (from.clone(), to.clone());
    match Layer::of(graph, node) {
        Some(layer) if layer.is_depthwise => {
            for (output, needed) in next_to.iter_mut().enumerate() {
                let source = layer.source(output, from.len());
                *needed |= from[source];
                next_from[source] |= to[output];
            }
        }
        Some(layer) => {
            for (channel, needed) in next_from.iter_mut().enumerate() {
                let bounds = bounds.get(&input).and_then(|all| all.get(channel));
                let outputs = || (0..layer.outputs).filter(|&output| to[output]);
                let is_read =
                    || outputs().any(|output| layer.taps(output, channel).any(|w| w != 0.0));
                *needed |= !bounds.is_some_and(|&bounds| layer.absorbs(bounds)) && is_read();
            }
        }
        None if is_channelwise(graph, node) => {
            for ((a, b), needed) in next_from
                .iter_mut()
                .zip(&mut next_to)
                .zip(from.iter().zip(&to))
            {
                let either = *needed.0 || *needed.1;
                (*a, *b) = (either, either);
            }
        }
        None => {
            let values = node.inputs.iter().flatten().chain(&node.outputs);
            values.for_each(|&id| mark_all(needs, id));
            return;
        }
    }
    needs.insert(input, next_from);
    needs.insert(output, next_to);
}

/// The channels that are kept.
fn kept(needs: &Needs, id: ValueId) -> Option<Vec<usize>> {
    let channels = needs.get(&id)?.iter().enumerate();
    Some(
        channels
            .filter(|(_, needed)| **needed)
            .map(|(channel, _)| channel)
            .collect(),
    )
}

/// Takes the spare channels out of a node's constants and attributes.
fn narrow(
    graph: &mut Graph,
    index: usize,
    bounds: &HashMap<ValueId, Vec<Bounds>>,
    needs: &Needs,
) -> Option<()> {
    let node = graph.nodes[index].clone();
    let (input, output) = (node.inputs.first().copied()??, *node.outputs.first()?);
    let (from, to) = (kept(needs, input)?, kept(needs, output)?);
    if let Kind::Reshape(reshape) = &mut graph.nodes[index].kind {
        let mut dims = reshape.shape.dims().to_vec();
        *dims.last_mut()? = to.len() as u32;
        reshape.shape = Shape::new(&dims)?;
        return Some(());
    }
    let layer = Layer::of(graph, &node)?;
    if to.len() == layer.outputs && (layer.is_depthwise || from.len() == layer.inner) {
        return Some(());
    }
    let inner = if layer.is_depthwise {
        vec![0]
    } else {
        from.clone()
    };
    let weights = layer.selected(&to, &inner);
    let absorbed = |output: usize| -> f64 {
        let spare =
            (0..layer.inner).filter(|channel| !layer.is_depthwise && !from.contains(channel));
        let part = |channel: usize| {
            let value = bounds
                .get(&input)
                .and_then(|all| constant(*all.get(channel)?));
            value.unwrap_or(0.0) * layer.taps(output, channel).sum::<f64>()
        };
        spare.map(part).sum()
    };
    let bias = layer.biases(&to, absorbed);
    replace(
        graph,
        index,
        [weights, bias],
        &to,
        [inner.len(), from.len()],
    )
}

/// Gives a layer the constants of the outputs that stay, with so many inner channels.
fn replace(
    graph: &mut Graph,
    index: usize,
    [weights, bias]: [Data; 2],
    outputs: &[usize],
    [inner, inputs]: [usize; 2],
) -> Option<()> {
    let id = graph.nodes[index].inputs.get(1).copied()??;
    let old = graph.value(id).clone();
    let mut dims = old.shape.dims().to_vec();
    (dims[0], *dims.last_mut()?) = (outputs.len() as u32, inner as u32);
    let quantization = old.quantization.map(|old| Quantization {
        scales: match old.axis {
            Some(_) => outputs.iter().map(|&output| old.scale(output)).collect(),
            None => old.scales,
        },
        ..old
    });
    let weights = graph.add_value(Value {
        name: old.name.clone(),
        dtype: old.dtype,
        shape: Shape::new(&dims)?,
        quantization,
        data: Some(weights),
    });
    let shape = Shape::new(&[outputs.len() as u32])?;
    let bias = graph.add_constant(format!("{}/bias", old.name), shape, bias);
    let node = &mut graph.nodes[index];
    node.inputs.truncate(1);
    node.inputs.extend([Some(weights), Some(bias)]);
    if let Kind::Conv2d(conv) = &mut node.kind
        && conv.groups > 1
    {
        conv.groups = inputs;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use graph::DType;
    use runtime::ops::Window2d;
    use runtime::ops::conv_2d::Conv2d;

    fn shape(dims: &[u32]) -> Shape {
        Shape::new(dims).unwrap()
    }

    /// A layer of `[O, KH, KW, I]` weights with a rectifier behind it.
    struct Conv<'a> {
        dims: [u32; 4],
        weights: &'a [f32],
        bias: &'a [f32],
        groups: usize,
        padding: [usize; 4],
    }

    fn push(graph: &mut Graph, x: ValueId, conv: &Conv<'_>) -> ValueId {
        let outputs = conv.bias.len() as u32;
        let weights = Data::F32(conv.weights.to_vec());
        let w = graph.add_constant("w", shape(&conv.dims), weights);
        let b = graph.add_constant("b", shape(&[outputs]), Data::F32(conv.bias.to_vec()));
        let kernel = [conv.dims[1] as usize, conv.dims[2] as usize];
        let window = Window2d {
            padding: conv.padding,
            ..Window2d::dense(kernel)
        };
        let kind = Conv2d {
            window,
            groups: conv.groups,
            activation: Activation::Relu,
        };
        graph.push("conv", kind, &[x, w, b]).unwrap()[0]
    }

    fn pointwise<'a>(outputs: u32, inputs: u32, weights: &'a [f32], bias: &'a [f32]) -> Conv<'a> {
        Conv {
            dims: [outputs, 1, 1, inputs],
            weights,
            bias,
            groups: 1,
            padding: [0; 4],
        }
    }

    /// One input channel; of the three channels behind it the second is the constant 2, the third
    /// always 0; a padded depthwise layer; a layer that sums.
    fn network(constant: f32) -> Graph {
        let mut graph = Graph::default();
        let x = graph.add_input("x", DType::F32, shape(&[1, 2, 2, 1]));
        let (weights, bias) = ([1.0, 1e-30, -1e-30], [0.0, constant, -1.0]);
        let a = push(&mut graph, x, &pointwise(3, 1, &weights, &bias));
        let depthwise = Conv {
            dims: [3, 1, 3, 1],
            weights: &[1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 1.0, 1.0, 1.0],
            bias: &[0.0, 0.0, 3.0],
            groups: 3,
            padding: [0, 1, 0, 1],
        };
        let b = push(&mut graph, a, &depthwise);
        let y = push(&mut graph, b, &pointwise(1, 3, &[1.0, 10.0, 100.0], &[0.5]));
        graph.add_output("y", y);
        graph
    }

    fn answer(graph: &Graph) -> Vec<f32> {
        let compiled = compile::compile(graph, &compile::Options::default()).unwrap();
        let mut runner = runtime::host::Runner::new(&compiled.bytes).unwrap();
        let mut session = runner.session().unwrap();
        session.set_input_f32(0, &[1.0, 2.0, 3.0, 4.0]).unwrap();
        session.run();
        let mut values = vec![0.0; 4];
        session.output_f32(0, &mut values).unwrap();
        values
    }

    #[test]
    fn constant_channels_move_into_biases() {
        let mut graph = network(-2.0);
        let before = answer(&graph);
        // Channels 1 and 2 are 0 behind the first layer, and 0 and 3 behind the second.
        assert_eq!(run(&mut graph).unwrap(), 4);
        assert_eq!(
            graph.nodes[0]
                .outputs
                .iter()
                .map(|&id| graph.value(id).shape.last())
                .sum::<usize>(),
            1
        );
        assert_eq!(answer(&graph), before);
        assert_eq!(run(&mut graph).unwrap(), 0);
    }

    #[test]
    fn a_constant_beside_padding_stays() {
        let mut graph = network(2.0);
        let before = answer(&graph);
        // The sum of three twos is smaller at the border: channel 1 must stay.
        assert_eq!(run(&mut graph).unwrap(), 2);
        assert_eq!(answer(&graph), before);
    }

    #[test]
    fn channels_that_nobody_reads_go() {
        let mut graph = Graph::default();
        let x = graph.add_input("x", DType::F32, shape(&[1, 2, 2, 1]));
        let a = push(&mut graph, x, &pointwise(2, 1, &[1.0, 5.0], &[0.0, 0.0]));
        let y = push(&mut graph, a, &pointwise(1, 2, &[1.0, 0.0], &[0.0]));
        graph.add_output("y", y);
        let before = answer(&graph);
        assert_eq!(run(&mut graph).unwrap(), 1);
        assert_eq!(answer(&graph), before);
    }

    /// Sums of the second channel are too small for a step, and the third is always at its lower
    /// limit, above its zero point; what it adds moves into the bias.
    #[test]
    fn integer_channels_go_without_a_trace() {
        let q = |scale, zero| Some(Quantization::per_tensor(scale, zero));
        let mut graph = Graph::default();
        let x = graph.add_input("x", DType::I8, shape(&[1, 2, 2, 1]));
        graph.value_mut(x).quantization = q(0.1, 3);
        let constant = |graph: &mut Graph, dims: &[u32], data: Data, scales: &[f32]| {
            let axis = (scales.len() > 1).then_some(0);
            let id = graph.add_constant("c", shape(dims), data);
            graph.value_mut(id).quantization = (!scales.is_empty()).then(|| Quantization {
                scales: scales.to_vec(),
                zero_point: 0,
                axis,
            });
            id
        };
        let weights = Data::I8(vec![100, 127, -1]);
        let w = constant(&mut graph, &[3, 1, 1, 1], weights, &[0.01, 1e-6, 0.01]);
        let b = constant(&mut graph, &[3], Data::I32(vec![5, 9, -90_000]), &[]);
        let layer = |activation| Conv2d {
            window: Window2d::dense([1, 1]),
            groups: 1,
            activation,
        };
        let first = layer(Activation::Clip(1.0, 6.0));
        let y = graph.push("a", first, &[x, w, b]).unwrap()[0];
        graph.value_mut(y).quantization = q(0.05, -128);
        let w = constant(
            &mut graph,
            &[1, 1, 1, 3],
            Data::I8(vec![50, -70, 11]),
            &[0.01],
        );
        let y = graph.push("b", layer(Activation::None), &[y, w]).unwrap()[0];
        graph.value_mut(y).quantization = q(0.04, 0);
        graph.add_output("y", y);
        let answer = |graph: &Graph| {
            let compiled = compile::compile(graph, &compile::Options::default()).unwrap();
            let mut runner = runtime::host::Runner::new(&compiled.bytes).unwrap();
            let mut session = runner.session().unwrap();
            session.set_input(0, &[0x80, 0, 60, 0x7F]).unwrap();
            session.run();
            let mut bytes = [0; 4];
            session.output(0, &mut bytes).unwrap();
            bytes
        };
        let before = answer(&graph);
        assert_eq!(run(&mut graph).unwrap(), 2);
        assert_eq!(answer(&graph), before);
        let bias = graph.nodes[1].inputs[2].unwrap();
        // Both stay at 1.0, which is 20 steps.
        assert_eq!(
            graph.value(bias).data,
            Some(Data::I32(vec![20 * (11 - 70)]))
        );
    }
}
