//! The invariants of a graph, checked after every pass in tests and before compilation.

use crate::{Error, Graph, Kind, Node, ValueId};
use std::collections::HashSet;

impl Graph {
    /// Checks that every operand exists before it is read, that every value has one producer,
    /// and that types and shapes are what the operators say.
    pub fn verify(&self) -> Result<(), Error> {
        let mut known: HashSet<ValueId> = self.inputs.iter().map(|port| port.value).collect();
        let mut free: HashSet<ValueId> = HashSet::new();
        for node in &self.nodes {
            self.verify_node(node, &known)?;
            if let Kind::Variable(_) = node.kind {
                free.extend(&node.outputs);
            }
            if node.assigned().is_some_and(|id| !free.remove(&id)) {
                return Err(self.error(node, "assigns to no variable, or to one once more"));
            }
            for &output in &node.outputs {
                if !known.insert(output) {
                    return Err(self.error(node, "writes a value that exists already"));
                }
            }
        }
        for port in &self.outputs {
            let held = known.contains(&port.value) || self.value(port.value).data.is_some();
            if !held {
                return Err(Error {
                    node: port.name.clone(),
                    operator: "output".into(),
                    reason: "no node makes it".into(),
                });
            }
        }
        Ok(())
    }

    fn verify_node(&self, node: &Node, known: &HashSet<ValueId>) -> Result<(), Error> {
        for &input in node.inputs.iter().flatten() {
            let Some(value) = self.values.get(input.0) else {
                return Err(self.error(node, "reads a value that does not exist"));
            };
            if value.data.is_none() && !known.contains(&input) {
                let reason = format!("reads '{}' before it is made", value.name);
                return Err(self.error(node, reason));
            }
            if value
                .data
                .as_ref()
                .is_some_and(|data| data.len() != value.shape.elements())
            {
                let reason = format!("the elements of '{}' are not {}", value.name, value.shape);
                return Err(self.error(node, reason));
            }
        }
        let inferred = self.infer(&node.name, &node.kind, &node.inputs)?;
        for (&output, (dtype, shape)) in node.outputs.iter().zip(&inferred) {
            let value = self.value(output);
            // Quantize and its inverse change the type by themselves; others keep what they infer.
            if value.shape != *shape || value.dtype != *dtype {
                let (has, should) = ((value.dtype, value.shape), (dtype, shape));
                return Err(self.error(node, format!("makes {has:?}, should make {should:?}")));
            }
        }
        Ok(())
    }

    fn error(&self, node: &Node, reason: impl Into<String>) -> Error {
        let operator = node.kind.operator().name().into();
        Error {
            node: node.name.clone(),
            operator,
            reason: reason.into(),
        }
    }
}
