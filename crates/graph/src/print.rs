//! A graph as text: one line a node, stable, for tests and for people.

use crate::{Graph, ValueId};
use std::fmt;

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for port in &self.inputs {
            writeln!(f, "input {} = {}", port.name, self.describe(port.value))?;
        }
        for node in &self.nodes {
            let list = |ids: &mut dyn Iterator<Item = Option<ValueId>>| {
                let parts: Vec<String> = ids
                    .map(|id| id.map_or("-".into(), |id| self.describe(id)))
                    .collect();
                parts.join(", ")
            };
            let outputs = list(&mut node.outputs.iter().copied().map(Some));
            let inputs = list(&mut node.inputs.iter().copied());
            writeln!(f, "{outputs} = {}({inputs})", node.kind.operator().name())?;
        }
        for port in &self.outputs {
            writeln!(f, "output {} = {}", port.name, self.describe(port.value))?;
        }
        Ok(())
    }
}

impl Graph {
    fn describe(&self, id: ValueId) -> String {
        let value = self.value(id);
        let sigil = if value.data.is_some() { '#' } else { '%' };
        format!("{sigil}{}:{}[{}]", id.0, value.dtype, value.shape)
    }
}

#[cfg(test)]
mod tests {
    use crate::{DType, Graph, Shape};
    use runtime::ops::unary::{Function, Unary};

    #[test]
    fn a_graph_reads_like_a_program() {
        let mut graph = Graph::default();
        let x = graph.add_input("x", DType::F32, Shape::new(&[1, 2]).unwrap());
        let y = graph
            .push(
                "act",
                Unary {
                    function: Function::Relu,
                },
                &[x],
            )
            .unwrap()[0];
        graph
            .push(
                "dead",
                Unary {
                    function: Function::Exp,
                },
                &[x],
            )
            .unwrap();
        graph.add_output("y", y);
        graph.verify().unwrap();
        assert_eq!(graph.remove_dead(), 1);
        assert_eq!(
            graph.to_string(),
            "input x = %0:f32[1x2]\n%1:f32[1x2] = relu(%0:f32[1x2])\noutput y = %1:f32[1x2]\n"
        );
    }
}
