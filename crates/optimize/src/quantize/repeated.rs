//! Values that repeat each other: those of layers with the same weights, such as the steps of a
//! recurrence, and those that are computed from them in the same way. With one scale for all, the
//! weights, the tables and the factors of all steps are the same, and are stored once.

use super::forms::activation_ids;
use graph::{DType, Graph, Kind, Node, ValueId};
use std::collections::{HashMap, HashSet};

/// Pairs of values that should share a scale.
pub(crate) fn pairs(graph: &Graph, types: &[DType]) -> Vec<[ValueId; 2]> {
    let mut readers: HashMap<ValueId, Vec<usize>> = HashMap::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        for id in activation_ids(node) {
            readers.entry(id).or_default().push(index);
        }
    }
    let mut layers: HashMap<&[u8], usize> = HashMap::new();
    let mut walk = Vec::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        if let Some(weights) = weights(graph, node)
            && let Some(before) = layers.insert(weights, index)
        {
            walk.push([before, index]);
        }
    }
    let mut seen = HashSet::new();
    let mut pairs = Vec::new();
    while let Some(nodes) = walk.pop() {
        let [a, b] = nodes.map(|index| &graph.nodes[index]);
        let same = types[nodes[0]] == types[nodes[1]] && types[nodes[0]] != DType::F32;
        if !same || a.kind != b.kind || !seen.insert(nodes) {
            continue;
        }
        let computed =
            |&[x, y]: &[ValueId; 2]| [x, y].iter().all(|&id| graph.value(id).data.is_none());
        let operands = activation_ids(a)
            .zip(activation_ids(b))
            .map(|(x, y)| [x, y]);
        pairs.extend(operands.filter(computed));
        let (Some(&x), Some(&y)) = (a.outputs.first(), b.outputs.first()) else {
            continue;
        };
        pairs.push([x, y]);
        // The same number of readers in the same order.
        if let (Some(of_x), Some(of_y)) = (readers.get(&x), readers.get(&y))
            && of_x.len() == of_y.len()
        {
            walk.extend(of_x.iter().zip(of_y).map(|(&one, &other)| [one, other]));
        }
    }
    pairs
}

/// The layers whose weights others have as well.
pub(crate) fn layers(graph: &Graph) -> HashSet<usize> {
    let mut sharing: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        if let Some(weights) = weights(graph, node) {
            sharing.entry(weights).or_default().push(index);
        }
    }
    let several = sharing.into_values().filter(|layers| layers.len() > 1);
    several.flatten().collect()
}

/// The constant weights of a layer, as bytes.
fn weights<'a>(graph: &'a Graph, node: &Node) -> Option<&'a [u8]> {
    if !matches!(node.kind, Kind::Conv2d(_) | Kind::FullyConnected(_)) {
        return None;
    }
    let weights = graph.value(node.inputs.get(1).copied()??);
    weights.data.as_ref().map(|data| data.bytes())
}
