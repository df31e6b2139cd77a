//! Computes nodes whose operands are all constant, with the runtime's own operators.

use format::fixed::Rounding;
use graph::{Error, Graph};
use runtime::host::{Tensor, evaluate};

/// Replaces such nodes by their results.
pub(crate) fn run(graph: &mut Graph) -> Result<usize, Error> {
    let mut folded = 0;
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        let constant = |id: &graph::ValueId| graph.value(*id).data.is_some();
        let done = node.outputs.iter().all(&constant);
        let is_known = node.inputs.iter().flatten().all(constant);
        if done || node.inputs.is_empty() || !is_known || node.keeps_state() {
            continue;
        }
        let inputs: Vec<_> = node
            .inputs
            .iter()
            .map(|input| {
                let value = graph.value((*input)?);
                let tensor = Tensor {
                    shape: value.shape,
                    data: value.data.clone()?,
                };
                Some((tensor, value.quantization.clone()))
            })
            .collect();
        let quantizations: Vec<_> = node
            .outputs
            .iter()
            .map(|&id| graph.value(id).quantization.clone())
            .collect();
        let operator = node.kind.operator();
        // How integers are rounded is decided where the graph is compiled.
        if operator.name() != "reshape" && quantizations.iter().any(Option::is_some) {
            continue;
        }
        let results = if operator.name() == "reshape" {
            inputs
                .into_iter()
                .flatten()
                .map(|(tensor, _)| tensor)
                .collect()
        } else {
            match evaluate(operator, &inputs, &quantizations, Rounding::High) {
                Ok(results) => results,
                // A node that cannot run here is reported where the graph is compiled.
                Err(_) => continue,
            }
        };
        for (id, result) in node.outputs.clone().into_iter().zip(results) {
            graph.value_mut(id).data = Some(result.data);
        }
        graph.nodes[index].inputs.clear();
        folded += 1;
    }
    graph.nodes.retain(|node| {
        let held = |id: &graph::ValueId| graph.values[id.0].data.is_some();
        !node.inputs.is_empty() || !node.outputs.iter().all(held)
    });
    Ok(folded)
}
