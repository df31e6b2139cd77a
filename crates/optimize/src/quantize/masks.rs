//! Masks before softmax: numbers so far below the others that they get no share, such as minus infinity
//! where a transformer must not look ahead. Integers have no room for them beside what is computed, so
//! they become numbers that are just low enough.

use super::Error;
use super::calibrate::{Float, Sample, shown};
use graph::{Data, Graph, Kind, ValueId};
use runtime::ops::binary::Function;
use std::collections::HashMap;

/// Numbers up to this are masks: e to its power is 0 in single precision.
const MASK: f32 = -200.0;

/// A constant that masks what is computed beside it.
struct Masked {
    node: usize,
    operand: usize,
    computed: ValueId,
    is_sum: bool,
}

/// The graph with masks so far below what samples show that shares are e to the power of -`below` at most;
/// `None` where it has no masks.
pub(crate) fn raised(
    graph: &Graph,
    samples: &[Sample],
    below: f32,
) -> Result<Option<Graph>, Error> {
    let masks: Vec<Masked> = graph
        .nodes
        .iter()
        .filter_map(|node| masked(graph, node))
        .collect();
    if masks.is_empty() {
        return Ok(None);
    }
    let computed = |mask: &Masked| {
        (
            shown(graph, mask.computed),
            [f32::INFINITY, f32::NEG_INFINITY],
        )
    };
    let mut seen: HashMap<ValueId, [f32; 2]> = masks.iter().map(computed).collect();
    let mut float = Float::new(graph)?;
    for sample in samples {
        float.watch(sample, &mut |id, values| {
            if let Some([low, high]) = seen.get_mut(&id) {
                *low = values.iter().copied().fold(*low, f32::min);
                *high = values.iter().copied().fold(*high, f32::max);
            }
        })?;
    }
    let mut raised = graph.clone();
    for mask in masks {
        let Some(&[low, high]) = seen.get(&shown(graph, mask.computed)) else {
            continue;
        };
        let lowest = low - below - if mask.is_sum { high } else { 0.0 };
        if lowest.is_finite() {
            raise(&mut raised, &mask, lowest);
        }
    }
    Ok(Some(raised))
}

/// The mask of a softmax, which it chooses from or adds.
fn masked(graph: &Graph, softmax: &graph::Node) -> Option<Masked> {
    let (Kind::Softmax(_), Some(&Some(input))) = (&softmax.kind, softmax.inputs.first()) else {
        return None;
    };
    let node = graph.producer(shown(graph, input))?;
    let (operands, is_sum) = match &graph.nodes[node].kind {
        Kind::Choose(_) => ([1, 2], false),
        Kind::Binary(binary) if binary.function == Function::Add => ([0, 1], true),
        _ => return None,
    };
    let inputs = operands.map(|index| graph.nodes[node].inputs.get(index).copied().flatten());
    let [Some(a), Some(b)] = inputs else {
        return None;
    };
    let masks =
        |id: ValueId| numbers(graph, id).is_some_and(|values| values.iter().any(|&v| v <= MASK));
    let (operand, computed) = match (masks(a), masks(b)) {
        (true, false) => (operands[0], b),
        (false, true) => (operands[1], a),
        _ => return None,
    };
    Some(Masked {
        node,
        operand,
        computed,
        is_sum,
    })
}

fn numbers(graph: &Graph, id: ValueId) -> Option<&[f32]> {
    graph.value(id).data.as_ref()?.f32().ok()
}

/// Gives a node a mask of its own, whose numbers are `lowest` where they were lower.
fn raise(graph: &mut Graph, mask: &Masked, lowest: f32) {
    let Some(id) = graph.nodes[mask.node].inputs[mask.operand] else {
        return;
    };
    let Some(values) = numbers(graph, id) else {
        return;
    };
    let raised = |&v: &f32| if v <= MASK { v.max(lowest) } else { v };
    let data = Data::F32(values.iter().map(raised).collect());
    let (name, shape) = (graph.value(id).name.clone(), graph.value(id).shape);
    let constant = graph.add_constant(name, shape, data);
    graph.nodes[mask.node].inputs[mask.operand] = Some(constant);
}
