//! Which buffer holds a value, how long, and which buffers may share bytes.

use crate::arena::{Buffer, OFFSET_ALIGNMENT, Sharing};
use graph::{Graph, ValueId};
use runtime::host::Lowered;
use std::collections::HashMap;

/// The buffers of a lowered graph.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// The buffers, in the order of their first step.
    pub buffers: Vec<Buffer>,
    /// Pairs that may share bytes.
    pub sharings: Vec<Sharing>,
    /// The buffer of every value in the arena.
    pub of_value: HashMap<ValueId, usize>,
    /// Where values are that are kept from run to run, in bytes: before the arena.
    pub of_state: HashMap<ValueId, usize>,
    /// Bytes of all of these.
    pub state_bytes: usize,
}

/// Steps are node indices; inputs exist from step 0, outputs to the last step.
pub(crate) fn buffers(graph: &Graph, lowered: &[Lowered]) -> Buffers {
    let mut result = Buffers::default();
    for port in &graph.inputs {
        result.write(graph, port.value, 0);
    }
    for (step, (node, lowered)) in graph.nodes.iter().zip(lowered).enumerate() {
        for &input in node.inputs.iter().flatten() {
            result.read(input, step);
        }
        if lowered.is_alias() {
            result.alias(graph, node, step);
        } else {
            let operator = node.kind.operator();
            for (index, &output) in node.outputs.iter().enumerate() {
                match operator.keeps_state(index) {
                    true => result.keep(graph, output),
                    false => result.write(graph, output, step),
                }
            }
        }
    }
    for port in &graph.outputs {
        result.read(port.value, graph.nodes.len());
    }
    result.share(graph, lowered);
    result
}

impl Buffers {
    fn write(&mut self, graph: &Graph, value: ValueId, step: usize) {
        let tensor = graph.value(value);
        let bytes = tensor.shape.elements() * tensor.dtype.bytes();
        self.of_value.insert(value, self.buffers.len());
        self.buffers.push(Buffer {
            bytes,
            life: step..=step,
        });
    }

    fn keep(&mut self, graph: &Graph, value: ValueId) {
        let tensor = graph.value(value);
        let bytes = tensor.shape.elements() * tensor.dtype.bytes();
        self.of_state.insert(value, self.state_bytes);
        self.state_bytes += bytes.next_multiple_of(OFFSET_ALIGNMENT);
    }

    fn read(&mut self, value: ValueId, step: usize) {
        if let Some(&index) = self.of_value.get(&value) {
            let life = &mut self.buffers[index].life;
            *life = *life.start()..=step.max(*life.end());
        }
    }

    fn alias(&mut self, graph: &Graph, node: &graph::Node, step: usize) {
        let source = node.inputs.first().copied().flatten();
        let buffer = source.and_then(|value| self.of_value.get(&value).copied());
        if let Some(&offset) = source.and_then(|value| self.of_state.get(&value)) {
            let kept = node.outputs.iter().map(|&output| (output, offset));
            return self.of_state.extend(kept);
        }
        for &output in &node.outputs {
            match buffer {
                Some(buffer) => {
                    self.of_value.insert(output, buffer);
                }
                // A reshaped constant is a constant.
                None if graph.value(output).data.is_some() => {}
                None => self.write(graph, output, step),
            }
        }
    }

    /// An input that dies at a step may share with that step's output, if the operator can.
    fn share(&mut self, graph: &Graph, lowered: &[Lowered]) {
        for (step, (node, lowered)) in graph.nodes.iter().zip(lowered).enumerate() {
            let &[output_value] = &node.outputs[..] else {
                continue;
            };
            if lowered.is_alias() {
                continue;
            }
            let operands = graph.operands(&node.inputs);
            let output = graph.operand(output_value);
            let reads_once = |id: ValueId| {
                let same = |other: &&ValueId| self.of_value.get(other) == self.of_value.get(&id);
                node.inputs.iter().flatten().filter(same).count() == 1
            };
            for (index, &input) in node.inputs.iter().enumerate() {
                let Some(input) = input else { continue };
                let (Some(&from), Some(&to)) =
                    (self.of_value.get(&input), self.of_value.get(&output_value))
                else {
                    continue;
                };
                let dies = *self.buffers[from].life.end() == step
                    && *self.buffers[to].life.start() == step;
                let elementwise = !reads_once(input);
                let distance = node.kind.operator().overlap(index, &operands, &output);
                if let Some(distance) = distance.filter(|&d| dies && (!elementwise || d == 0)) {
                    self.sharings.push(Sharing {
                        input: from,
                        output: to,
                        distance,
                    });
                }
            }
        }
    }
}
