//! When variables change: each assignment behind the last reader of what the variable held before.

use graph::{Error, Graph, Kind, Node, ValueId};
use runtime::ops::slice::Slice;
use std::borrow::Cow;
use std::collections::HashMap;

/// The graph with assignments where they overwrite nothing that is read later. What the caller or
/// another variable gets of a variable is copied before.
pub(crate) fn settled(graph: &Graph) -> Result<Cow<'_, Graph>, Error> {
    if !graph.nodes.iter().any(|node| node.assigned().is_some()) {
        return Ok(Cow::Borrowed(graph));
    }
    let mut graph = graph.clone();
    copy(&mut graph)?;
    let (assignments, others): (Vec<Node>, Vec<Node>) = std::mem::take(&mut graph.nodes)
        .into_iter()
        .partition(|node| node.assigned().is_some());
    graph.nodes = others;
    let held = held(&graph);
    // Where each of them may stand: the number of nodes before it.
    let mut places: Vec<Vec<Node>> = vec![Vec::new(); graph.nodes.len() + 1];
    for assignment in assignments {
        let (variable, value) = (assignment.assigned(), assignment.inputs.get(1).copied());
        let touches = |node: &Node| {
            let reads = node.inputs.iter().flatten();
            let reads_before = reads
                .filter_map(|id| held.get(id))
                .any(|id| variable == Some(*id));
            reads_before || value.flatten().is_some_and(|id| node.outputs.contains(&id))
        };
        let last = graph.nodes.iter().rposition(touches);
        if let Some(place) = places.get_mut(last.map_or(0, |last| last + 1)) {
            place.push(assignment);
        }
    }
    let nodes = std::mem::take(&mut graph.nodes);
    let mut places = places.into_iter();
    graph.nodes.extend(places.next().unwrap_or_default());
    for (node, assignments) in nodes.into_iter().zip(places) {
        graph.nodes.push(node);
        graph.nodes.extend(assignments);
    }
    Ok(Cow::Owned(graph))
}

/// The variable whose memory a value is: its own, or that of the variable that it is under another shape.
fn held(graph: &Graph) -> HashMap<ValueId, ValueId> {
    let mut held = HashMap::new();
    for node in &graph.nodes {
        let source = node.inputs.first().copied().flatten();
        let variable = match (&node.kind, source) {
            (Kind::Variable(_), _) => node.outputs.first().copied(),
            (Kind::Reshape(_), Some(source)) => held.get(&source).copied(),
            _ => None,
        };
        held.extend(variable.into_iter().flat_map(|variable| {
            let outputs = node.outputs.iter();
            outputs.map(move |&output| (output, variable))
        }));
    }
    held
}

/// Copies what is a variable's memory for outputs of the graph and for other variables.
fn copy(graph: &mut Graph) -> Result<(), Error> {
    let held = held(graph);
    let ports = graph.outputs.iter().map(|port| port.value);
    let given = graph.nodes.iter().filter(|node| node.assigned().is_some());
    let given = given.filter_map(|node| node.inputs.get(1).copied().flatten());
    let mut wanted: Vec<ValueId> = ports
        .chain(given)
        .filter(|id| held.contains_key(id))
        .collect();
    wanted.sort_unstable();
    wanted.dedup();
    for id in wanted {
        let (name, shape) = (graph.value(id).name.clone(), graph.value(id).shape);
        let slice = Slice {
            starts: vec![0; shape.rank()],
            steps: vec![1; shape.rank()],
            sizes: shape.dims().iter().map(|&size| size as usize).collect(),
        };
        let node = graph.make_node(name, slice, vec![Some(id)])?;
        let Some(&copied) = node.outputs.first() else {
            continue;
        };
        let quantization = graph.value(id).quantization.clone();
        graph.value_mut(copied).quantization = quantization;
        let ports = graph.outputs.iter_mut().filter(|port| port.value == id);
        ports.for_each(|port| port.value = copied);
        let assignments = graph
            .nodes
            .iter_mut()
            .filter(|node| node.assigned().is_some());
        let values = assignments.filter_map(|node| node.inputs.get_mut(1));
        values
            .filter(|value| **value == Some(id))
            .for_each(|value| *value = Some(copied));
        let place = graph.producer(id).map_or(0, |index| index + 1);
        graph.nodes.insert(place, node);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, compile};
    use graph::{DType, Data, Shape};
    use runtime::host::{Activation, Runner};
    use runtime::ops::assign::Assign;
    use runtime::ops::binary::{Binary, Function};
    use runtime::ops::reshape::Reshape;
    use runtime::ops::variable::Variable;

    fn variable(graph: &mut Graph, dims: &[u32]) -> ValueId {
        let kind = Variable {
            dtype: DType::F32,
            shape: Shape::new(dims).unwrap(),
        };
        graph.push("variable", kind, &[]).unwrap()[0]
    }

    fn outputs(graph: &Graph, inputs: &[f32]) -> Vec<f32> {
        graph.verify().unwrap();
        let compiled = compile(graph, &Options::default()).unwrap();
        let mut runner = Runner::new(&compiled.bytes).unwrap();
        let mut session = runner.session().unwrap();
        let run = |&input: &f32| {
            session.set_input_f32(0, &[input]).unwrap();
            session.run();
            let mut output = [0.0];
            session.output_f32(0, &mut output).unwrap();
            output[0]
        };
        inputs.iter().map(run).collect()
    }

    /// Readers behind an assignment, through other dimensions too, get what was there before.
    #[test]
    fn assignments_wait_for_readers() {
        let mut graph = Graph::default();
        let x = graph.add_input("x", DType::F32, Shape::new(&[1]).unwrap());
        let before = variable(&mut graph, &[1]);
        graph.push("assign", Assign, &[before, x]).unwrap();
        let shape = Shape::new(&[1, 1]).unwrap();
        let flat = graph.push("flat", Reshape { shape }, &[before]).unwrap()[0];
        let kind = Binary {
            function: Function::Add,
            activation: Activation::None,
        };
        let sum = graph.push("sum", kind, &[flat, x]).unwrap()[0];
        graph.add_output("sum", sum);
        assert_eq!(outputs(&graph, &[1.0, 2.0, 4.0]), [1.0, 3.0, 6.0]);
        let settled = settled(&graph).unwrap();
        let last = settled.nodes.last().unwrap();
        assert!(last.assigned().is_some(), "{settled}");
    }

    /// Two variables change places, and the caller sees what one of them held.
    #[test]
    fn what_was_held_is_copied() {
        let mut graph = Graph::default();
        let shape = Shape::new(&[1]).unwrap();
        graph.add_input("x", DType::F32, shape);
        let [a, b] = [(); 2].map(|()| variable(&mut graph, &[1]));
        let starts = [3.0, 5.0].map(|n| graph.add_constant("start", shape, Data::F32(vec![n])));
        graph.push("a", Assign, &[a, b, starts[0]]).unwrap();
        graph.push("b", Assign, &[b, a, starts[1]]).unwrap();
        graph.add_output("a", a);
        assert_eq!(outputs(&graph, &[0.0; 3]), [3.0, 5.0, 3.0]);
        // Nobody sees what the other one is given.
        graph.outputs.clear();
        graph.add_output("a", a);
        assert_eq!(graph.remove_dead(), 0);
        graph.push("more", Assign, &[a, b]).unwrap();
        assert!(graph.verify().is_err());
    }
}
