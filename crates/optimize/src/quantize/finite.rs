//! Numbers that constants must not hold.

use super::{Error, has_weights};
use graph::{Data, Graph};

/// Fails where a constant holds NaN, or weights an infinite number: no data can help then. Others may be
/// infinite, such as masks and the bounds of a range.
pub fn check_constants(graph: &Graph) -> Result<(), Error> {
    for node in &graph.nodes {
        let is_layer = has_weights(&node.kind);
        for &id in node.inputs.iter().flatten() {
            let value = graph.value(id);
            let Some(Data::F32(numbers)) = &value.data else {
                continue;
            };
            let is_bad = |number: &f32| number.is_nan() || (is_layer && number.is_infinite());
            if let Some(index) = numbers.iter().position(is_bad) {
                return Err(Error::Constant {
                    node: node.name.clone(),
                    operator: node.kind.operator().name(),
                    constant: value.name.clone(),
                    index,
                    number: numbers[index],
                });
            }
        }
    }
    Ok(())
}
