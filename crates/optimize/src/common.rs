//! Computes what several nodes compute alike once.
//!
//! Nodes are alike where their operators, attributes and operands are, and their results mean the same
//! numbers. Constants are alike by their elements, under whatever names.

use graph::{Error, Graph, Node, Value, ValueId};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Lets readers of a later node's results read those of the first that is alike; the later one goes.
pub(crate) fn run(graph: &mut Graph) -> Result<usize, Error> {
    let mut constants = Constants::default();
    let mut first: HashMap<(&'static str, Vec<Option<ValueId>>), Vec<usize>> = HashMap::new();
    let mut repeated = vec![false; graph.nodes.len()];
    for (index, is_repeated) in repeated.iter_mut().enumerate() {
        let node = &graph.nodes[index];
        let operator = node.kind.operator();
        // What is kept from run to run belongs to its node, and constants are folded elsewhere.
        if node.keeps_state() || node.inputs.is_empty() {
            continue;
        }
        let inputs = node.inputs.iter();
        let inputs = inputs.map(|input| input.map(|id| constants.first_alike(graph, id)));
        let alike = first
            .entry((operator.name(), inputs.collect()))
            .or_default();
        let twin = alike
            .iter()
            .find(|&&other| are_alike(graph, &graph.nodes[other], node));
        let Some(&twin) = twin else {
            alike.push(index);
            continue;
        };
        let outputs = node.outputs.clone().into_iter();
        let pairs: Vec<_> = outputs.zip(graph.nodes[twin].outputs.clone()).collect();
        for (later, earlier) in pairs {
            graph.replace_uses(later, earlier);
        }
        *is_repeated = true;
    }
    let mut is_repeated = repeated.iter();
    graph.nodes.retain(|_| is_repeated.next() != Some(&true));
    Ok(repeated
        .into_iter()
        .filter(|&is_repeated| is_repeated)
        .count())
}

/// Whether nodes with the same operands do the same.
fn are_alike(graph: &Graph, a: &Node, b: &Node) -> bool {
    let meaning = |node: &Node| -> Vec<_> {
        let values = node.outputs.iter().map(|&id| graph.value(id));
        values
            .map(|value| (value.dtype, value.shape, value.quantization.clone()))
            .collect()
    };
    a.kind == b.kind && meaning(a) == meaning(b)
}

/// The constants met so far, by what they hold.
#[derive(Default)]
struct Constants {
    alike: HashMap<u64, Vec<ValueId>>,
}

impl Constants {
    /// The first constant that holds the same; other values are alike to themselves only.
    fn first_alike(&mut self, graph: &Graph, id: ValueId) -> ValueId {
        let value = graph.value(id);
        let Some(data) = &value.data else { return id };
        let mut hasher = DefaultHasher::new();
        (value.dtype, value.shape, data.bytes()).hash(&mut hasher);
        let alike = self.alike.entry(hasher.finish()).or_default();
        let held = alike
            .iter()
            .find(|&&other| holds_same(graph.value(other), value));
        match held {
            Some(&first) => first,
            None => {
                alike.push(id);
                id
            }
        }
    }
}

fn holds_same(a: &Value, b: &Value) -> bool {
    let bytes = |value: &Value| value.data.as_ref().map(|data| data.bytes().to_vec());
    a.dtype == b.dtype
        && a.shape == b.shape
        && a.quantization == b.quantization
        && bytes(a) == bytes(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use graph::{DType, Data, Quantization, Shape};
    use runtime::host::Activation;
    use runtime::ops::binary::{Binary, Function as Of2};
    use runtime::ops::history::History;
    use runtime::ops::unary::{Function, Unary};

    fn input(graph: &mut Graph) -> ValueId {
        graph.add_input("x", DType::F32, Shape::new(&[1, 4]).unwrap())
    }

    fn sum(graph: &mut Graph, name: &str, x: ValueId, value: f32) -> ValueId {
        let shape = Shape::new(&[1]).unwrap();
        let constant = graph.add_constant(format!("{name}_c"), shape, Data::F32(vec![value]));
        let kind = Binary {
            function: Of2::Add,
            activation: Activation::None,
        };
        graph.push(name, kind, &[x, constant]).unwrap()[0]
    }

    /// Two chains `tanh(x + 1)` with constants of their own become one; `x + 2` stays.
    #[test]
    fn equal_chains_become_one() {
        let mut graph = Graph::default();
        let x = input(&mut graph);
        for (name, value) in [("a", 1.0), ("b", 1.0), ("c", 2.0)] {
            let sum = sum(&mut graph, name, x, value);
            let kind = Unary {
                function: Function::Tanh,
            };
            let y = graph.push(format!("{name}_tanh"), kind, &[sum]).unwrap()[0];
            graph.add_output(name, y);
        }
        assert_eq!(run(&mut graph).unwrap(), 2);
        graph.verify().unwrap();
        assert_eq!(graph.nodes.len(), 4);
        assert_eq!(graph.outputs[0].value, graph.outputs[1].value);
        assert_ne!(graph.outputs[0].value, graph.outputs[2].value);
        assert_eq!(run(&mut graph).unwrap(), 0);
    }

    /// The same integers in other steps are other numbers.
    #[test]
    fn results_of_other_scales_are_kept_apart() {
        let mut graph = Graph::default();
        let x = graph.add_input("x", DType::I8, Shape::new(&[1, 4]).unwrap());
        graph.value_mut(x).quantization = Some(Quantization::per_tensor(0.1, 0));
        for scale in [0.1, 0.2] {
            let y = graph
                .push(
                    "y",
                    Unary {
                        function: Function::Tanh,
                    },
                    &[x],
                )
                .unwrap()[0];
            graph.value_mut(y).quantization = Some(Quantization::per_tensor(scale, 0));
            graph.add_output("y", y);
        }
        assert_eq!(run(&mut graph).unwrap(), 0);
    }

    #[test]
    fn state_is_not_shared() {
        let mut graph = Graph::default();
        let x = input(&mut graph);
        for name in ["a", "b"] {
            let y = graph
                .push(name, History { axis: 0, steps: 3 }, &[x])
                .unwrap()[0];
            graph.add_output(name, y);
        }
        assert_eq!(run(&mut graph).unwrap(), 0);
    }
}
