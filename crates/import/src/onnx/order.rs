//! An order of execution of the nodes that outputs depend on.

use crate::error::Problem;
use rten_onnx::onnx::{GraphProto, NodeProto};
use std::collections::{HashMap, HashSet};

/// The name in messages: the node's own, or its first output.
pub(super) fn node_name(node: &NodeProto) -> String {
    let named = node.name.as_ref().filter(|name| !name.is_empty());
    let name = named.or_else(|| node.output.iter().find(|name| !name.is_empty()));
    name.cloned()
        .unwrap_or_else(|| node.op_type.clone().unwrap_or_default())
}

/// The nodes that the outputs need, each after those that it reads. `known` are the names of
/// inputs and constants.
pub(super) fn live_nodes<'a>(
    graph: &'a GraphProto,
    known: &HashSet<&str>,
) -> Result<Vec<&'a NodeProto>, Problem> {
    let producers = producers(graph, known)?;
    let mut walk = Walk {
        graph,
        producers,
        known,
        state: vec![State::New; graph.node.len()],
    };
    let mut order = Vec::new();
    for output in &graph.output {
        let name = output.name.as_deref().unwrap_or_default();
        if let Some(&index) = walk.producers.get(name) {
            walk.visit(index, &mut order)?;
        } else if !known.contains(name) {
            return Err(Problem::Structure(format!(
                "no node makes the output '{name}'"
            )));
        }
    }
    Ok(order.into_iter().map(|index| &graph.node[index]).collect())
}

/// The names that a node reads, those that its branches read from outside of them included.
fn read_by<'a>(node: &'a NodeProto, names: &mut Vec<&'a str>) {
    let inputs = node.input.iter().map(String::as_str);
    names.extend(inputs.filter(|name| !name.is_empty()));
    for branch in node.attribute.iter().filter_map(|a| a.g.as_ref()) {
        let mut inner = Vec::new();
        branch
            .node
            .iter()
            .for_each(|node| read_by(node, &mut inner));
        let outputs = branch
            .output
            .iter()
            .filter_map(|output| output.name.as_deref());
        inner.extend(outputs);
        let made = branch.node.iter().flat_map(|node| node.output.iter());
        let held = branch
            .initializer
            .iter()
            .filter_map(|held| held.name.as_ref());
        let given = branch.input.iter().filter_map(|input| input.name.as_ref());
        let own: HashSet<&str> = made.chain(held).chain(given).map(String::as_str).collect();
        names.extend(inner.into_iter().filter(|name| !own.contains(name)));
    }
}

/// Which node makes a name.
fn producers<'a>(
    graph: &'a GraphProto,
    known: &HashSet<&str>,
) -> Result<HashMap<&'a str, usize>, Problem> {
    let mut producers = HashMap::new();
    for (index, node) in graph.node.iter().enumerate() {
        for output in node.output.iter().filter(|name| !name.is_empty()) {
            let twice = producers.insert(output.as_str(), index).is_some();
            if twice || known.contains(output.as_str()) {
                let node = node_name(node);
                let reason = format!("node '{node}' makes '{output}', which exists already");
                return Err(Problem::Structure(reason));
            }
        }
    }
    Ok(producers)
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    Open,
    Done,
}

struct Walk<'a, 'k> {
    graph: &'a GraphProto,
    producers: HashMap<&'a str, usize>,
    known: &'k HashSet<&'k str>,
    state: Vec<State>,
}

impl Walk<'_, '_> {
    /// Puts a node after all that it depends on; on the heap, since chains are long.
    fn visit(&mut self, root: usize, order: &mut Vec<usize>) -> Result<(), Problem> {
        let mut stack = vec![root];
        while let Some(&index) = stack.last() {
            if self.state[index] != State::New {
                if self.state[index] == State::Open {
                    self.state[index] = State::Done;
                    order.push(index);
                }
                stack.pop();
                continue;
            }
            self.state[index] = State::Open;
            self.open(index, &mut stack)?;
        }
        Ok(())
    }

    fn open(&self, index: usize, stack: &mut Vec<usize>) -> Result<(), Problem> {
        let node = &self.graph.node[index];
        // From the last to the first, so that the first is visited first.
        let mut reads = Vec::new();
        read_by(node, &mut reads);
        for input in reads.into_iter().rev() {
            let Some(&producer) = self.producers.get(input) else {
                if self.known.contains(input) {
                    continue;
                }
                let node = node_name(node);
                let reason = format!("node '{node}' reads '{input}', which nothing makes");
                return Err(Problem::Structure(reason));
            };
            match self.state[producer] {
                State::New => stack.push(producer),
                State::Open => {
                    let node = node_name(node);
                    let reason = format!("node '{node}' depends on its own result '{input}'");
                    return Err(Problem::Structure(reason));
                }
                State::Done => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rten_onnx::onnx::ValueInfoProto;

    fn graph(nodes: &[(&[&str], &str)], output: &str) -> GraphProto {
        let text = |s: &str| s.to_owned();
        let node = |(inputs, output): &(&[&str], &str)| NodeProto {
            input: inputs.iter().map(|s| text(s)).collect(),
            output: vec![text(output)],
            ..NodeProto::default()
        };
        GraphProto {
            node: nodes.iter().map(node).collect(),
            output: vec![ValueInfoProto {
                name: Some(text(output)),
                r#type: None,
            }],
            ..GraphProto::default()
        }
    }

    fn names(graph: &GraphProto) -> Result<Vec<String>, String> {
        let known = HashSet::from(["x"]);
        let nodes = live_nodes(graph, &known).map_err(|e| e.to_string())?;
        Ok(nodes.into_iter().map(node_name).collect())
    }

    #[test]
    fn nodes_stand_behind_what_they_read() {
        let unordered: &[(&[&str], &str)] = &[
            (&["b", "a"], "y"),
            (&["a"], "b"),
            (&["x"], "a"),
            (&["x"], "unused"),
        ];
        assert_eq!(names(&graph(unordered, "y")).unwrap(), ["a", "b", "y"]);
    }

    #[test]
    fn what_is_no_graph_is_named() {
        let message = |nodes: &[(&[&str], &str)]| names(&graph(nodes, "y")).unwrap_err();
        assert!(message(&[(&["z"], "y"), (&["y"], "z")]).contains("depends on its own result"));
        assert!(message(&[(&["y"], "y")]).contains("depends on its own result"));
        assert!(message(&[(&["z"], "y")]).contains("'y' reads 'z', which nothing makes"));
        assert!(message(&[(&["x"], "z")]).contains("no node makes the output 'y'"));
        assert!(message(&[(&["x"], "y"), (&["x"], "y")]).contains("exists already"));
        assert!(message(&[(&["x"], "y"), (&["y"], "x")]).contains("exists already"));
    }
}
