//! Cancels transposes and reshapes.
//!
//! Importers wrap every image operator in transposes to and from `[N, H, W, C]`. This pass moves
//! them down through operators that do not care, where they meet and cancel; merges neighbours;
//! turns those that move no data into reshapes; and absorbs what is left at the ports: the
//! caller's axes are then part of the signature.

use graph::{Data, Error, Graph, Kind, Node, Shape, ValueId};
use runtime::ops::concat::Concat;
use runtime::ops::gather::Gather;
use runtime::ops::pad::Pad;
use runtime::ops::resample::Resample;
use runtime::ops::resample_2d::Resample2d;
use runtime::ops::reshape::Reshape;
use runtime::ops::slice::Slice;
use runtime::ops::transpose::Transpose;

/// Applies every rule once over the graph.
pub(crate) fn run(graph: &mut Graph) -> Result<usize, Error> {
    let mut changes = 0;
    let mut index = 0;
    while index < graph.nodes.len() {
        let removed = remove_identity(graph, index);
        if removed {
            changes += 1;
            continue;
        }
        let changed = merge(graph, index)
            || becomes_reshape(graph, index)
            || into_weights(graph, index)
            || push_down(graph, index)?
            || reshape_down(graph, index)?
            || push_down_along(graph, index)?;
        changes += usize::from(changed);
        index += 1;
    }
    changes += absorb_inputs(graph) + absorb_outputs(graph);
    Ok(changes)
}

fn permutation(node: &Node) -> Option<&[usize]> {
    match &node.kind {
        Kind::Transpose(transpose) => Some(&transpose.permutation),
        _ => None,
    }
}

fn source(node: &Node) -> Option<ValueId> {
    node.inputs.first().copied().flatten()
}

/// A transpose or reshape that changes nothing.
fn remove_identity(graph: &mut Graph, index: usize) -> bool {
    let node = &graph.nodes[index];
    let Some(from) = source(node) else {
        return false;
    };
    let to = node.outputs[0];
    let identity = match &node.kind {
        Kind::Transpose(transpose) => transpose
            .permutation
            .iter()
            .enumerate()
            .all(|(i, &a)| i == a),
        Kind::Reshape(reshape) => reshape.shape == graph.value(from).shape,
        _ => false,
    };
    let identity = identity && graph.value(from).quantization == graph.value(to).quantization;
    if identity {
        graph.replace_uses(to, from);
        graph.nodes.remove(index);
    }
    identity
}

/// Two transposes, or two reshapes, in a row: the second one reads the first one's input.
fn merge(graph: &mut Graph, index: usize) -> bool {
    let node = &graph.nodes[index];
    let producer = source(node)
        .and_then(|id| graph.producer(id))
        .map(|i| &graph.nodes[i]);
    let Some(before) = producer else { return false };
    let kind = match (&before.kind, &node.kind) {
        (Kind::Transpose(first), Kind::Transpose(second)) => {
            let permutation = second
                .permutation
                .iter()
                .map(|&a| first.permutation[a])
                .collect();
            Transpose { permutation }.into()
        }
        (Kind::Reshape(_), Kind::Reshape(second)) => Kind::from(*second),
        _ => return false,
    };
    let input = before.inputs[0];
    graph.nodes[index].kind = kind;
    graph.nodes[index].inputs[0] = input;
    true
}

/// A transpose that keeps the order of all axes longer than 1 moves no data.
fn becomes_reshape(graph: &mut Graph, index: usize) -> bool {
    let node = &graph.nodes[index];
    let (Some(axes), Some(from)) = (permutation(node), source(node)) else {
        return false;
    };
    let shape = graph.value(from).shape;
    let long: Vec<usize> = axes.iter().copied().filter(|&a| shape.dim(a) > 1).collect();
    if !long.is_sorted() {
        return false;
    }
    let shape = graph.value(node.outputs[0]).shape;
    graph.nodes[index].kind = Reshape { shape }.into();
    true
}

/// A fully connected layer over flattened transposed data takes the data as it is: the columns of
/// its weights move instead.
fn into_weights(graph: &mut Graph, index: usize) -> bool {
    try_into_weights(graph, index).is_some()
}

fn try_into_weights(graph: &mut Graph, index: usize) -> Option<()> {
    let node = &graph.nodes[index];
    let Kind::FullyConnected(_) = node.kind else {
        return None;
    };
    let flat = graph.producer(source(node)?)?;
    let Kind::Reshape(reshape) = graph.nodes[flat].kind else {
        return None;
    };
    let turned = graph.producer(source(&graph.nodes[flat])?)?;
    let axes = permutation(&graph.nodes[turned])?.to_vec();
    let input = source(&graph.nodes[turned])?;
    let shape = graph.value(input).shape;
    let weights = graph.value(node.inputs.get(1).copied()??).clone();
    let columns = weights.shape.dim(1);
    if axes.first() != Some(&0) || shape.elements() != columns * shape.dim(0) {
        return None;
    }
    // Where each element of the transposed tensor comes from.
    let order = gathered(&shape, &axes);
    let order = order.get(..columns)?;
    let moved = match weights.data.as_ref()? {
        Data::F32(values) => Data::F32(spread(values, order)),
        Data::I8(values) => Data::I8(spread(values, order)),
        _ => return None,
    };
    let reshaped = graph.make_node(
        "flatten",
        Reshape {
            shape: reshape.shape,
        },
        vec![Some(input)],
    );
    let reshaped = reshaped.ok()?;
    let quantization = graph.value(input).quantization.clone();
    graph.value_mut(reshaped.outputs[0]).quantization = quantization;
    let name = weights.name.clone();
    let constant = graph.add_constant(name, weights.shape, moved);
    // Its steps are those of rows.
    graph.value_mut(constant).quantization = weights.quantization;
    let node = &mut graph.nodes[index];
    node.inputs[0] = Some(reshaped.outputs[0]);
    node.inputs[1] = Some(constant);
    graph.nodes.insert(index, reshaped);
    Some(())
}

/// Every row with element `i` at `order[i]`.
fn spread<T: Copy + Default>(values: &[T], order: &[usize]) -> Vec<T> {
    let mut moved = vec![T::default(); values.len()];
    for (row, to) in values
        .chunks(order.len())
        .zip(moved.chunks_mut(order.len()))
    {
        for (&at, &value) in order.iter().zip(row) {
            to[at] = value;
        }
    }
    moved
}

/// For each element of the permuted tensor, the index of its source.
fn gathered(shape: &Shape, axes: &[usize]) -> Vec<usize> {
    let dims: Vec<usize> = axes.iter().map(|&a| shape.dim(a)).collect();
    let strides: Vec<usize> = axes
        .iter()
        .map(|&a| (a + 1..shape.rank()).map(|b| shape.dim(b)).product())
        .collect();
    (0..shape.elements())
        .map(|mut element| {
            let mut at = 0;
            for axis in (0..dims.len()).rev() {
                at += element % dims[axis] * strides[axis];
                element /= dims[axis];
            }
            at
        })
        .collect()
}

/// Moves a transpose from in front of an operator to behind it.
fn push_down(graph: &mut Graph, index: usize) -> Result<bool, Error> {
    let node = graph.nodes[index].clone();
    let Some((axes, inputs)) = common_transpose(graph, &node) else {
        return Ok(false);
    };
    let kind = match &node.kind {
        Kind::Unary(unary) => Kind::from(*unary),
        Kind::Binary(binary) => Kind::from(*binary),
        Kind::Quantize(quantize) => Kind::from(*quantize),
        Kind::Concat(concat) => Concat {
            axis: axes[concat.axis],
        }
        .into(),
        Kind::Pad(pad) => {
            let mut amounts = vec![[0, 0]; axes.len()];
            for (to, &from) in axes.iter().enumerate() {
                amounts[from] = pad.amounts[to];
            }
            Pad {
                amounts,
                value: pad.value,
            }
            .into()
        }
        _ => return Ok(false),
    };
    let inner = graph.make_node(node.name.clone(), kind, inputs)?;
    let quantization = graph.value(node.outputs[0]).quantization.clone();
    graph.value_mut(inner.outputs[0]).quantization = quantization;
    let transpose = Transpose { permutation: axes };
    let mut outer = graph.make_node(node.name, transpose, vec![Some(inner.outputs[0])])?;
    outer.outputs = node.outputs;
    graph.nodes[index] = inner;
    graph.nodes.insert(index + 1, outer);
    Ok(true)
}

/// Moves a reshape from in front of Quantize to behind it. Where float operators stand for integer ones, what
/// is cut out moves as well, and both move behind what may be part of the operator before them.
fn reshape_down(graph: &mut Graph, index: usize) -> Result<bool, Error> {
    let node = graph.nodes[index].clone();
    let is_element_wise = match node.kind {
        Kind::Quantize(_) => true,
        Kind::Unary(_) => graph.simulates_integers,
        _ => false,
    };
    let producer = source(&node).and_then(|id| graph.producer(id));
    let before = producer.map(|producer| &graph.nodes[producer]);
    let moves = |before: &&Node| match before.kind {
        Kind::Reshape(_) => true,
        Kind::Slice(_) => graph.simulates_integers,
        _ => false,
    };
    let Some(before) = before.filter(moves).filter(|_| is_element_wise) else {
        return Ok(false);
    };
    let moved = before.kind.clone();
    let inner = graph.make_node(node.name.clone(), node.kind.clone(), before.inputs.clone())?;
    let to = graph.value(node.outputs[0]).clone();
    graph.value_mut(inner.outputs[0]).quantization = to.quantization;
    let mut outer = graph.make_node(node.name, moved, vec![Some(inner.outputs[0])])?;
    outer.outputs = node.outputs;
    graph.nodes[index] = inner;
    graph.nodes.insert(index + 1, outer);
    Ok(true)
}

/// Moves a transpose from in front of an operator that works along axes of its first operand, whose
/// other operands are tables, to behind it.
fn push_down_along(graph: &mut Graph, index: usize) -> Result<bool, Error> {
    let node = graph.nodes[index].clone();
    let Some((axes, input)) = transposed_source(graph, &node) else {
        return Ok(false);
    };
    let mut inputs = node.inputs.clone();
    inputs[0] = Some(input);
    let kind: Kind = match &node.kind {
        Kind::Gather(gather) => {
            let table = node.inputs.get(1).copied().flatten();
            // Only a row of positions leaves all axes in their places.
            if table.is_none_or(|id| graph.value(id).shape.rank() != 1) {
                return Ok(false);
            }
            Gather {
                axis: axes[gather.axis],
            }
            .into()
        }
        Kind::Resample(resample) => Resample {
            axis: axes[resample.axis],
        }
        .into(),
        Kind::Resample2d(resample) => {
            let mut along = resample.axes.map(|axis| axes[axis]);
            if along[0] > along[1] && inputs.len() == 5 {
                along.reverse();
                inputs[1..].rotate_left(2);
            }
            Resample2d { axes: along }.into()
        }
        Kind::Slice(slice) => {
            let turned = |values: &[usize]| {
                let mut result = values.to_vec();
                axes.iter()
                    .zip(values)
                    .for_each(|(&from, &value)| result[from] = value);
                result
            };
            let [starts, steps, sizes] =
                [&slice.starts, &slice.steps, &slice.sizes].map(|v| turned(v));
            Slice {
                starts,
                steps,
                sizes,
            }
            .into()
        }
        _ => return Ok(false),
    };
    let inner = graph.make_node(node.name.clone(), kind, inputs)?;
    let quantization = graph.value(node.outputs[0]).quantization.clone();
    graph.value_mut(inner.outputs[0]).quantization = quantization;
    let transpose = Transpose { permutation: axes };
    let mut outer = graph.make_node(node.name, transpose, vec![Some(inner.outputs[0])])?;
    outer.outputs = node.outputs;
    graph.nodes[index] = inner;
    graph.nodes.insert(index + 1, outer);
    Ok(true)
}

/// The permutation and the input of the transpose that makes a node's first operand.
fn transposed_source(graph: &Graph, node: &Node) -> Option<(Vec<usize>, ValueId)> {
    let before = &graph.nodes[graph.producer(source(node)?)?];
    Some((permutation(before)?.to_vec(), source(before)?))
}

/// If every input of a node is the same transpose of something, or a constant that can be
/// turned back: the permutation and the inputs before it.
fn common_transpose(graph: &mut Graph, node: &Node) -> Option<(Vec<usize>, Vec<Option<ValueId>>)> {
    if !matches!(
        node.kind,
        Kind::Unary(_) | Kind::Binary(_) | Kind::Concat(_) | Kind::Pad(_) | Kind::Quantize(_)
    ) {
        return None;
    }
    let turned = |id: ValueId| {
        let before = &graph.nodes[graph.producer(id)?];
        Some((permutation(before)?.to_vec(), source(before)?))
    };
    let axes = node.inputs.iter().flatten().find_map(|&id| turned(id))?.0;
    let mut inputs = Vec::new();
    for id in node.inputs.iter().copied() {
        let id = id?;
        match turned(id) {
            Some((same, from)) if same == axes => inputs.push(Ok(from)),
            Some(_) => return None,
            None if graph.value(id).data.is_some() => inputs.push(Err(id)),
            None => return None,
        }
    }
    // A broadcast constant is turned back only where its dimensions are known to line up.
    let turn = |graph: &mut Graph, id: ValueId| -> Option<ValueId> {
        let value = graph.value(id).clone();
        if value.shape.elements() == 1 {
            return Some(id);
        }
        let rank = axes.len();
        let mut dims = vec![1u32; rank.checked_sub(value.shape.rank())?];
        dims.extend(value.shape.dims());
        let padded = Shape::new(&dims)?;
        let mut inverse = vec![0; rank];
        axes.iter()
            .enumerate()
            .for_each(|(to, &from)| inverse[from] = to);
        let values = value.data.as_ref()?.f32().ok()?;
        let moved: Vec<f32> = gathered(&padded, &inverse)
            .into_iter()
            .map(|i| values[i])
            .collect();
        let dims: Vec<u32> = inverse.iter().map(|&a| dims[a]).collect();
        Some(graph.add_constant(value.name, Shape::new(&dims)?, Data::F32(moved)))
    };
    let mut plain = Vec::new();
    for input in inputs {
        plain.push(Some(match input {
            Ok(id) => id,
            Err(id) => turn(graph, id)?,
        }));
    }
    Some((axes, plain))
}

/// A transpose that is the only reader of an input: the caller's axes take its place.
fn absorb_inputs(graph: &mut Graph) -> usize {
    let mut absorbed = 0;
    for port in 0..graph.inputs.len() {
        let value = graph.inputs[port].value;
        let Some(reader) = graph.only_consumer(value) else {
            continue;
        };
        let Some(axes) = permutation(&graph.nodes[reader]).map(<[usize]>::to_vec) else {
            continue;
        };
        let node = graph.nodes.remove(reader);
        let input = &mut graph.inputs[port];
        let earlier: Vec<u8> = match input.axes.is_empty() {
            true => (0..axes.len() as u8).collect(),
            false => input.axes.clone(),
        };
        input.axes = plain(axes.iter().map(|&a| earlier[a]).collect());
        input.value = node.outputs[0];
        absorbed += 1;
    }
    absorbed
}

/// Axes in their own order are written as none at all.
fn plain(axes: Vec<u8>) -> Vec<u8> {
    let same = axes.iter().enumerate().all(|(i, &a)| usize::from(a) == i);
    if same { Vec::new() } else { axes }
}

/// A transpose in front of an output that nobody else reads: the output keeps the inner layout,
/// and the signature tells which of the caller's axes each one is.
fn absorb_outputs(graph: &mut Graph) -> usize {
    let mut absorbed = 0;
    for port in 0..graph.outputs.len() {
        let value = graph.outputs[port].value;
        let Some(producer) = graph.producer(value) else {
            continue;
        };
        let node = &graph.nodes[producer];
        let (Some(axes), Some(from)) = (permutation(node), source(node)) else {
            continue;
        };
        if !graph.consumers(value).is_empty() || !graph.outputs[port].axes.is_empty() {
            continue;
        }
        // The caller's axis `to` is the inner axis `from`, so inner axis `from` is `to`.
        let mut inner = vec![0u8; axes.len()];
        axes.iter()
            .enumerate()
            .for_each(|(to, &from)| inner[from] = to as u8);
        graph.outputs[port].axes = plain(inner);
        graph.outputs[port].value = from;
        graph.nodes.remove(producer);
        absorbed += 1;
    }
    absorbed
}

#[cfg(test)]
mod tests {
    use crate::run;
    use graph::{DType, Graph, Shape};
    use runtime::host::Activation;
    use runtime::ops::binary::{Binary, Function as Two};
    use runtime::ops::transpose::Transpose;
    use runtime::ops::unary::{Function as One, Unary};

    /// Two branches between transposes: all of them end up in the ports.
    #[test]
    fn transposes_move_through_a_residual_block_and_vanish() {
        let mut graph = Graph::default();
        let x = graph.add_input("x", DType::F32, Shape::new(&[1, 2, 3, 4]).unwrap());
        let to = |axes: &[usize]| Transpose {
            permutation: axes.to_vec(),
        };
        let a = graph.push("in", to(&[0, 2, 3, 1]), &[x]).unwrap()[0];
        let b = graph
            .push("exp", Unary { function: One::Exp }, &[a])
            .unwrap()[0];
        let add = Binary {
            function: Two::Add,
            activation: Activation::None,
        };
        let c = graph.push("add", add, &[a, b]).unwrap()[0];
        let d = graph.push("out", to(&[0, 3, 1, 2]), &[c]).unwrap()[0];
        graph.add_output("y", d);
        run(&mut graph, |name| ["layout", "dead"].contains(&name)).unwrap();
        assert_eq!(graph.nodes.len(), 2, "{graph}");
        assert_eq!(graph.inputs[0].axes, graph.outputs[0].axes);
    }
}
