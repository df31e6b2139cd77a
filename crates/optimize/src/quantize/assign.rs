//! Which nodes run in int8, why others do not, and which values must share a scale.

use graph::{Graph, Kind, Node, ValueId};
use runtime::ops::binary::Function;
use std::collections::HashMap;

/// A node that stays in float.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FloatNode {
    /// The node's name.
    pub node: String,
    /// Its operator.
    pub operator: &'static str,
    /// Why it has no int8 form.
    pub reason: String,
}

/// The decision for a whole graph.
#[derive(Clone, Debug, Default)]
pub(crate) struct Assignment {
    /// Per node: whether it runs in int8.
    pub integer: Vec<bool>,
    /// The nodes that do not.
    pub float: Vec<FloatNode>,
    /// For every value, the first of the values that share its scale.
    pub group: Vec<ValueId>,
}

/// Decides for every node. `keep_float` names nodes that the user wants in float.
pub(crate) fn assign(graph: &Graph, keep_float: &dyn Fn(&str) -> bool) -> Assignment {
    let mut assignment = Assignment::default();
    for node in &graph.nodes {
        let reason = if keep_float(&node.name) {
            Some("kept in float as asked".to_string())
        } else {
            float_reason(graph, node)
        };
        assignment.integer.push(reason.is_none());
        if let Some(reason) = reason {
            let operator = node.kind.operator().name();
            assignment.float.push(FloatNode {
                node: node.name.clone(),
                operator,
                reason,
            });
        }
    }
    assignment.group = groups(graph, &assignment.integer);
    assignment
}

fn float_reason(graph: &Graph, node: &Node) -> Option<String> {
    let constant = |index: usize| {
        let id = node.inputs.get(index).copied().flatten();
        id.is_some_and(|id| graph.value(id).data.is_some())
    };
    let shape = |index: usize| {
        node.inputs
            .get(index)
            .copied()
            .flatten()
            .map(|id| graph.value(id).shape)
    };
    match &node.kind {
        Kind::Conv2d(_) | Kind::FullyConnected(_) if !constant(1) => {
            Some("its weights are not constant".into())
        }
        Kind::Binary(binary) if binary.function != Function::Add => {
            Some(format!("there is no int8 {}", node.kind.operator().name()))
        }
        Kind::Binary(_) if constant(0) || constant(1) => {
            Some("one side is a constant that could not be folded".into())
        }
        Kind::Binary(_) if shape(0) != shape(1) => Some("int8 add does not broadcast".into()),
        Kind::AveragePool2d(pool) if pool.count_include_pad && pool.window.padding != [0; 4] => {
            Some("it counts padding".into())
        }
        Kind::Concat(_) if (0..node.inputs.len()).any(constant) => {
            Some("one part is constant".into())
        }
        Kind::Quantize(_) | Kind::Dequantize(_) => Some("it converts between types".into()),
        _ => None,
    }
}

/// Operators whose output must have its input's scale and zero point.
pub(crate) fn keeps_scale(kind: &Kind) -> bool {
    match kind {
        Kind::MaxPool2d(_) | Kind::Concat(_) | Kind::Transpose(_) | Kind::Pad(_) => true,
        Kind::Reshape(_) => true,
        // A mean over padded windows divides by a count that varies.
        Kind::AveragePool2d(pool) => pool.window.padding != [0; 4],
        _ => false,
    }
}

fn groups(graph: &Graph, integer: &[bool]) -> Vec<ValueId> {
    let mut parent: Vec<ValueId> = (0..graph.values.len()).map(ValueId).collect();
    fn root(parent: &[ValueId], mut id: ValueId) -> ValueId {
        while parent[id.0] != id {
            id = parent[id.0];
        }
        id
    }
    for (node, &integer) in graph.nodes.iter().zip(integer) {
        if !integer || !keeps_scale(&node.kind) {
            continue;
        }
        let Some(&output) = node.outputs.first() else {
            continue;
        };
        for &input in node.inputs.iter().flatten() {
            if graph.value(input).data.is_none() {
                let (a, b) = (root(&parent, input), root(&parent, output));
                parent[a.max(b).0] = a.min(b);
            }
        }
    }
    (0..parent.len())
        .map(|i| root(&parent, ValueId(i)))
        .collect()
}

/// The values that become int8: everything that an int8 node makes, and inputs that one reads.
pub(crate) fn integer_values(graph: &Graph, integer: &[bool]) -> HashMap<ValueId, ()> {
    let mut values = HashMap::new();
    let inputs: Vec<ValueId> = graph.inputs.iter().map(|port| port.value).collect();
    for (node, &integer) in graph.nodes.iter().zip(integer) {
        if integer {
            values.extend(node.outputs.iter().map(|&id| (id, ())));
            let read = node
                .inputs
                .iter()
                .flatten()
                .filter(|id| inputs.contains(id));
            values.extend(read.map(|&id| (id, ())));
        }
    }
    values
}
