//! The type each node runs in, why some stay in float, and which values must share a scale.

use super::forms::{activation_ids, float_reason, int16_reason, is_real, scale_giver};
use super::range::Scales;
use super::repeated;
use super::scales::fixed_scale;
use format::fixed::Rounding;
use graph::{DType, Graph, Kind, Node, ValueId};
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

/// Decides for every node. `keep_float` names nodes that the user wants in float, `is_wide` those to
/// run in int16 where they can. `rounding` is the rule of sums.
pub(crate) fn assign(
    graph: &Graph,
    keep_float: &dyn Fn(&str) -> bool,
    is_wide: &dyn Fn(&str) -> bool,
    rounding: Rounding,
) -> Assignment {
    let mut assignment = Assignment::default();
    for node in &graph.nodes {
        let reason = if keep_float(&node.name) {
            Some("kept in float as asked".to_string())
        } else {
            float_reason(graph, node)
        };
        assignment.types.push(match (&reason, is_wide(&node.name)) {
            (Some(_), _) => DType::F32,
            (None, true) if int16_reason(graph, node).is_none() => DType::I16,
            (None, _) => DType::I8,
        });
        // Whole numbers and truth values of the model itself are no floats.
        if let Some(reason) = reason.filter(|_| is_real(graph, node)) {
            let operator = node.kind.operator().name();
            assignment.float.push(FloatNode {
                node: node.name.clone(),
                operator,
                reason,
            });
        }
    }
    assignment.group = groups(graph, &assignment.types, rounding);
    assignment
}

/// Values that share a scale, as a forest of values that point to one before them.
struct Groups {
    parent: Vec<ValueId>,
    /// For the first of a group: the scale that an operator asks for whatever the data.
    fixed: HashMap<ValueId, Scales>,
}

impl Groups {
    fn first(&self, mut id: ValueId) -> ValueId {
        while self.parent[id.0] != id {
            id = self.parent[id.0];
        }
        id
    }

    fn fixed(&self, id: ValueId) -> Option<&Scales> {
        self.fixed.get(&self.first(id))
    }

    fn join(&mut self, one: ValueId, other: ValueId) {
        let (a, b) = (self.first(one), self.first(other));
        let (first, second) = (a.min(b), a.max(b));
        self.parent[second.0] = first;
        if let Some(fixed) = self.fixed.remove(&second) {
            self.fixed.entry(first).or_insert(fixed);
        }
    }

    /// Joins a node's operands with the value that gives their scale. Where several meet, one with a fixed range is left out
    /// unless all have it: the others' values would not fit. It is converted instead.
    fn join_operands(&mut self, graph: &Graph, node: &Node, giver: ValueId) {
        let (constants, operands): (Vec<ValueId>, Vec<ValueId>) =
            activation_ids(node).partition(|&id| graph.value(id).data.is_some());
        let fixed = operands.first().and_then(|&id| self.fixed(id));
        let is_alike = constants.is_empty() && operands.iter().all(|&id| self.fixed(id) == fixed);
        for id in operands {
            if is_alike || self.fixed(id).is_none() {
                self.join(id, giver);
            }
        }
    }
}

fn groups(graph: &Graph, types: &[DType], rounding: Rounding) -> Vec<ValueId> {
    let mut groups = Groups {
        parent: (0..graph.values.len()).map(ValueId).collect(),
        fixed: HashMap::new(),
    };
    for (node, &dtype) in graph.nodes.iter().zip(types) {
        if let (Some(fixed), Some(&output)) = (fixed_scale(&node.kind), node.outputs.first()) {
            groups.fixed.insert(output, fixed);
        }
        if let Some(giver) = scale_giver(graph, node).filter(|_| dtype != DType::F32) {
            groups.join_operands(graph, node, giver);
        }
        // TensorFlow Lite has no average pool with a scale of its own.
        if let (Kind::AveragePool2d(_), DType::I8) = (&node.kind, dtype)
            && let (&[Some(from)], &[to]) = (&node.inputs[..], &node.outputs[..])
            && rounding != Rounding::High
        {
            groups.join(from, to);
        }
    }
    for [one, other] in repeated::pairs(graph, types) {
        groups.join(one, other);
    }
    (0..groups.parent.len())
        .map(|i| groups.first(ValueId(i)))
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
        let is_real = |id: &ValueId| graph.value(*id).dtype == DType::F32;
        let made = node.outputs.iter().copied().filter(is_real);
        values.extend(made.map(|id| (id, dtype)));
        for id in activation_ids(node).filter(|id| inputs.contains(id)) {
            let held = values.entry(id).or_insert(dtype);
            if dtype == DType::I16 {
                *held = dtype;
            }
        }
    }
    values
}
