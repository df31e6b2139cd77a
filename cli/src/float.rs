//! Nodes that stay in float: what is said of them, and their refusal.

use crate::failure::Failure;
use crate::say::{self, say};
use optimize::quantize::FloatNode;
use serde_json::{Value, json};

/// Prints each node with the reason.
pub(crate) fn print(nodes: &[FloatNode]) {
    for node in nodes {
        say!(
            "in float: {} ({}): {}",
            say::name(&node.node),
            node.operator,
            node.reason
        );
    }
}

/// Each node with the reason.
pub(crate) fn as_json(nodes: &[FloatNode]) -> Vec<Value> {
    let node = |node: &FloatNode| {
        json!({
            "name": node.node, "operator": node.operator, "reason": node.reason,
        })
    };
    nodes.iter().map(node).collect()
}

/// Fails with the names of all nodes that stay in float, if there are any.
pub(crate) fn refuse(nodes: &[FloatNode]) -> Result<(), Failure> {
    if nodes.is_empty() {
        return Ok(());
    }
    let line = |node: &FloatNode| {
        let (name, operator, reason) = (&node.node, node.operator, &node.reason);
        format!("node '{name}' ({operator}): {reason}")
    };
    let count = nodes.len();
    let message = format!(
        "{count} of the model's nodes stay in float; leave out --require-int8, or change them:"
    );
    Err(Failure::usage(message).with(nodes.iter().map(line).collect()))
}
