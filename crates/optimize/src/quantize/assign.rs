//! The type each node runs in, why some stay in float, and which values must share a scale.

use super::Activations;
use graph::{DType, Graph, Kind, Node, ValueId};
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
    /// Per node: the type of its activations, int8, int16 or f32.
    pub types: Vec<DType>,
    /// The nodes in f32.
    pub float: Vec<FloatNode>,
    /// For every value, the first of the values that share its scale.
    pub group: Vec<ValueId>,
}

/// Decides for every node. `keep_float` names nodes that the user wants in float.
pub(crate) fn assign(
    graph: &Graph,
    keep_float: &dyn Fn(&str) -> bool,
    activations: Activations,
) -> Assignment {
    let mut assignment = Assignment::default();
    for node in &graph.nodes {
        let reason = if keep_float(&node.name) {
            Some("kept in float as asked".to_string())
        } else {
            float_reason(graph, node)
        };
        assignment.types.push(match (&reason, activations) {
            (Some(_), _) => DType::F32,
            (None, Activations::Int16) if has_int16(&node.kind) => DType::I16,
            (None, _) => DType::I8,
        });
        if let Some(reason) = reason {
            let operator = node.kind.operator().name();
            assignment.float.push(FloatNode {
                node: node.name.clone(),
                operator,
                reason,
            });
        }
    }
    assignment.group = groups(graph, &assignment.types);
    assignment
}

/// Whether an operator computes in int8.
fn has_int8(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Conv2d(_)
            | Kind::FullyConnected(_)
            | Kind::Binary(_)
            | Kind::AveragePool2d(_)
            | Kind::MaxPool2d(_)
            | Kind::Unary(_)
            | Kind::Softmax(_)
            | Kind::Concat(_)
            | Kind::Transpose(_)
            | Kind::Pad(_)
            | Kind::Slice(_)
            | Kind::Mean(_)
            | Kind::Reshape(_)
    )
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
    let computed = node
        .inputs
        .iter()
        .flatten()
        .chain(&node.outputs)
        .map(|&id| graph.value(id));
    let mut others = computed.filter(|value| value.data.is_none() && value.dtype != DType::F32);
    if let Some(other) = others.next() {
        return Some(format!("it works on {}", other.dtype));
    }
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
        kind if !has_int8(kind) => Some(format!("there is no int8 {}", kind.operator().name())),
        _ => None,
    }
}

/// Operators that can run with int16 activations.
pub(crate) fn has_int16(kind: &Kind) -> bool {
    match kind {
        Kind::Conv2d(_) | Kind::FullyConnected(_) | Kind::Unary(_) => true,
        Kind::Binary(binary) => binary.function == Function::Add,
        Kind::Concat(_) | Kind::Transpose(_) | Kind::Pad(_) | Kind::Reshape(_) => true,
        _ => false,
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

fn groups(graph: &Graph, types: &[DType]) -> Vec<ValueId> {
    let mut parent: Vec<ValueId> = (0..graph.values.len()).map(ValueId).collect();
    fn root(parent: &[ValueId], mut id: ValueId) -> ValueId {
        while parent[id.0] != id {
            id = parent[id.0];
        }
        id
    }
    for (node, &dtype) in graph.nodes.iter().zip(types) {
        if dtype == DType::F32 || !keeps_scale(&node.kind) {
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

/// The values that become integers and their types: everything that an integer node makes, and
/// inputs, in the finest type that an integer node reads.
pub(crate) fn integer_values(graph: &Graph, types: &[DType]) -> HashMap<ValueId, DType> {
    let mut values = HashMap::new();
    let inputs: Vec<ValueId> = graph.inputs.iter().map(|port| port.value).collect();
    for (node, &dtype) in graph.nodes.iter().zip(types) {
        if dtype == DType::F32 {
            continue;
        }
        values.extend(node.outputs.iter().map(|&id| (id, dtype)));
        for &id in node
            .inputs
            .iter()
            .flatten()
            .filter(|id| inputs.contains(id))
        {
            let held = values.entry(id).or_insert(dtype);
            if dtype == DType::I16 {
                *held = dtype;
            }
        }
    }
    values
}
