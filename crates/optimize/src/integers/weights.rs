//! Integer weights from floats that remember their steps.

use super::dequantized;
use graph::{DType, Data, Graph, Kind, Node, Quantization, Shape, Value};
use runtime::host::{split_weights, weight_parts};
use runtime::ops::concat::Concat;
use runtime::ops::reshape::Reshape;

/// Bytes around any byte are sums of so many int8 at most.
const MOST_PARTS: usize = 3;

/// The integers of a layer.
pub(super) struct Layer {
    weights: Vec<i8>,
    /// How many int8 each weight is the sum of: its input is there as often.
    parts: usize,
    quantization: Quantization,
    /// In units of sums, where those need more than 32 bits.
    long_bias: Option<Vec<i64>>,
}

/// The integer weights of a layer, or why there are none.
pub(super) fn integers(graph: &Graph, node: &Node) -> Result<Layer, String> {
    let weights = operand(graph, node, 1).ok_or("its weights are missing")?;
    let steps = weights.quantization.as_ref();
    let steps = steps.ok_or("its weights are not quantized in the file")?;
    let outputs = weights.shape.dim(0);
    let fits = match steps.axis {
        None => steps.scales.len() == 1,
        Some(axis) => axis == 0 && steps.scales.len() == outputs,
    };
    if !fits {
        return Err("its weights have scales that are not those of output channels".into());
    }
    let values = weights
        .data
        .as_ref()
        .ok_or("its weights are not constant")?
        .f32()?;
    let row = (values.len() / outputs.max(1)).max(1);
    let integers = values.iter().enumerate().map(|(index, value)| {
        // What does not fit 32 bits needs more parts than there may be.
        (f64::from(*value) / f64::from(steps.scale(index / row))).round() as i32
    });
    let integers: Vec<i32> = integers.collect();
    let parts = weight_parts(&integers);
    if parts > MOST_PARTS {
        let furthest = integers.iter().map(|weight| weight.unsigned_abs()).max();
        return Err(format!(
            "its weights are up to {} steps from zero, more than bytes hold",
            furthest.unwrap_or(0)
        ));
    }
    let mut layer = Layer {
        weights: split_weights(&integers, weights.shape.last(), parts),
        parts,
        quantization: steps.clone(),
        long_bias: None,
    };
    fit_bias(graph, node, &mut layer)?;
    Ok(layer)
}

fn operand<'a>(graph: &'a Graph, node: &Node, index: usize) -> Option<&'a Value> {
    let id = node.inputs.get(index).copied().flatten()?;
    Some(graph.value(id))
}

/// Makes sure that sums with the bias fit 32 bits; those of int16 may have 64, with a bias of that type.
/// A channel of zeros has any scale: one that was chosen too small for the bias grows.
fn fit_bias(graph: &Graph, node: &Node, layer: &mut Layer) -> Result<(), String> {
    let input = node.inputs.first().copied().flatten();
    let input = input.and_then(|id| dequantized(graph, id));
    let input = input.map(|id| graph.value(id));
    let Some((input, form)) = input.and_then(|input| Some((input, input.quantization.as_ref()?)))
    else {
        return Ok(());
    };
    let held = match operand(graph, node, 2) {
        Some(bias) => bias
            .data
            .as_ref()
            .ok_or("its bias is not constant")?
            .f32()?,
        None => &[],
    };
    let outputs = operand(graph, node, 1).map_or(0, |weights| weights.shape.dim(0));
    let row = (layer.weights.len() / outputs.max(1)).max(1);
    let coarsest = layer
        .quantization
        .scales
        .iter()
        .copied()
        .fold(0.0, f32::max);
    let zero_point = i64::from(form.zero_point);
    // What one weight may be multiplied with.
    let factor = match input.dtype {
        DType::I16 => 1 << 15,
        _ => (zero_point + 128).max(127 - zero_point),
    };
    let mut biases = Vec::new();
    let mut is_long = false;
    for (channel, weights) in layer.weights.chunks(row).enumerate() {
        let own = held.get(channel).copied().unwrap_or(0.0);
        let bias = |scale: f32| {
            let unit = f64::from(form.scale(0)) * f64::from(scale);
            (f64::from(own) / unit).round() as i64
        };
        let sizes = weights
            .iter()
            .map(|weight| i64::from(weight.unsigned_abs()));
        let reach = sizes.sum::<i64>().saturating_mul(factor);
        let fits = |bias: i64| bias.saturating_abs().saturating_add(reach) <= i64::from(i32::MAX);
        let mut found = bias(layer.quantization.scale(channel));
        if !fits(found) && reach == 0 && layer.quantization.axis.is_some() {
            layer.quantization.scales[channel] = coarsest;
            found = bias(coarsest);
        }
        is_long |= !fits(found);
        biases.push(found);
    }
    match (is_long, input.dtype) {
        (true, DType::I16) => layer.long_bias = Some(biases),
        (true, _) => return Err("its sums exceed 32 bits".into()),
        (false, _) => {}
    }
    Ok(())
}

/// Gives a node its integer weights; the nodes that repeat its input, where it must be there several times.
pub(super) fn apply(graph: &mut Graph, node: &mut Node, layer: Layer) -> Result<Vec<Node>, String> {
    let source = operand(graph, node, 1).cloned();
    let source = source.ok_or("its weights are missing")?;
    let shape = lengthened(&source.shape, &[source.shape.last() * layer.parts])?;
    let weights = graph.add_constant(source.name, shape, Data::I8(layer.weights));
    graph.value_mut(weights).quantization = Some(layer.quantization);
    node.inputs[1] = Some(weights);
    let shape = layer.long_bias.as_ref();
    let shape = shape.and_then(|bias| Shape::new(&[bias.len() as u32]));
    if let (Some(bias), Some(shape)) = (layer.long_bias, shape) {
        let bias = graph.add_constant(format!("{}/bias", node.name), shape, Data::I64(bias));
        node.inputs.truncate(2);
        node.inputs.push(Some(bias));
    }
    match layer.parts {
        1 => Ok(Vec::new()),
        parts => repeat(graph, node, parts),
    }
}

/// Dimensions with others in place of the last.
fn lengthened(shape: &Shape, more: &[usize]) -> Result<Shape, String> {
    let mut dims = shape.dims().to_vec();
    dims.pop();
    dims.extend(more.iter().map(|&size| size as u32));
    Shape::new(&dims).ok_or_else(|| "it would have too many dimensions".into())
}

/// Gives a node its input with the channels of every group several times, one time after the other.
fn repeat(graph: &mut Graph, node: &mut Node, times: usize) -> Result<Vec<Node>, String> {
    let groups = match &node.kind {
        Kind::Conv2d(conv) => conv.groups.max(1),
        _ => 1,
    };
    let input = node.inputs.first().copied().flatten();
    let input = input.ok_or("its input is missing")?;
    let (shape, quantization) = (
        graph.value(input).shape,
        graph.value(input).quantization.clone(),
    );
    let channels = shape.last();
    let apart = lengthened(&shape, &[groups, channels / groups])?;
    let whole = lengthened(&shape, &[channels * times])?;
    let axis = shape.rank();
    let steps: [(Kind, usize); 3] = [
        (Reshape { shape: apart }.into(), 1),
        (Concat { axis }.into(), times),
        (Reshape { shape: whole }.into(), 1),
    ];
    let mut nodes = Vec::new();
    let mut last = input;
    for (step, (kind, count)) in steps.into_iter().enumerate() {
        let name = format!("{}/repeat-{step}", node.name);
        let made = graph.make_node(name, kind, vec![Some(last); count]);
        let made = made.map_err(|error| error.to_string())?;
        last = *made.outputs.first().ok_or("it makes nothing")?;
        graph.value_mut(last).quantization = quantization.clone();
        nodes.push(made);
    }
    node.inputs[0] = Some(last);
    Ok(nodes)
}
