//! Which buffer holds a value, how long, and which buffers may share bytes.
//!
//! A part of whole rows is where the rows are, and tensors that are joined row after row are made
//! where the joined one is: then neither a slice nor a concatenation copies anything.

use crate::arena::{Buffer, OFFSET_ALIGNMENT, Sharing};
use graph::{Graph, Kind, Node, ValueId};
use runtime::host::Lowered;
use std::collections::{HashMap, HashSet};

/// Parts start at multiples of this many bytes, since kernels read words where tensors start.
const PART_ALIGNMENT: usize = 4;

/// Bytes of a buffer that a step reads or writes.
#[derive(Clone, Copy, Debug)]
struct Access {
    step: usize,
    start: usize,
    end: usize,
    /// Where the step writes its output as it reads: the distance that the operator asks for.
    distance: Option<usize>,
}

/// The buffers of a lowered graph.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// The buffers, in the order of their first step.
    pub buffers: Vec<Buffer>,
    /// Pairs that may share bytes.
    pub sharings: Vec<Sharing>,
    /// The buffer of every value in the arena, and where it is in it.
    pub of_value: HashMap<ValueId, (usize, usize)>,
    /// Where values are that are kept from run to run, in bytes: before the arena.
    pub of_state: HashMap<ValueId, usize>,
    /// Bytes of all of these.
    pub state_bytes: usize,
    /// Nodes that do nothing: their outputs are where their inputs are.
    pub still: HashSet<usize>,
    /// Whether some of these are parts of others.
    pub has_parts: bool,
    reads: Vec<Vec<Access>>,
    writes: Vec<Vec<Access>>,
    /// The value that another is made in, and where in it.
    inside: HashMap<ValueId, (ValueId, usize)>,
}

/// Steps are node indices; inputs exist from step 0, outputs to the last step. Without `parts`,
/// slices and concatenations copy.
pub(crate) fn buffers(graph: &Graph, lowered: &[Lowered], parts: bool) -> Buffers {
    let mut result = Buffers::default();
    if parts {
        result.join(graph, lowered);
    }
    for port in &graph.inputs {
        // Written before all steps.
        result.make(graph, port.value, 0);
    }
    for (step, (node, lowered)) in graph.nodes.iter().zip(lowered).enumerate() {
        if result.still.contains(&step) {
            continue;
        }
        if let Kind::Variable(_) = node.kind {
            result.still.insert(step);
            node.outputs.iter().for_each(|&id| result.keep(graph, id));
            continue;
        }
        let source = node.inputs.first().copied().flatten();
        let start = match (parts, source) {
            (true, Some(source)) => result.start_of_part(graph, node, source),
            _ => None,
        };
        if lowered.is_alias() {
            result.alias(graph, node, step, 0);
        } else if let Some(start) = start {
            result.has_parts = true;
            result.alias(graph, node, step, start);
        } else {
            result.step(graph, node, step);
        }
    }
    for port in &graph.outputs {
        result.read(graph, port.value, graph.nodes.len(), None);
    }
    result.share();
    result
}

impl Buffers {
    /// Where joined values are made. Each has a node of its own that makes it.
    fn join(&mut self, graph: &Graph, lowered: &[Lowered]) {
        let mut made: HashSet<ValueId> = HashSet::new();
        for (step, (node, lowered)) in graph.nodes.iter().zip(lowered).enumerate() {
            let &[output] = &node.outputs[..] else {
                made.extend(&node.outputs);
                continue;
            };
            let starts = match &node.kind {
                Kind::Concat(concat) => starts_of_rows(graph, node, concat.axis),
                _ => None,
            };
            let free = |&&(id, _): &&(ValueId, usize)| made.contains(&id);
            match starts.filter(|starts| starts.iter().filter(free).count() == starts.len()) {
                Some(starts) => {
                    self.still.insert(step);
                    self.has_parts = true;
                    for (id, start) in starts {
                        made.remove(&id);
                        self.inside.insert(id, (output, start));
                    }
                }
                None if lowered.is_alias() || matches!(node.kind, Kind::Slice(_)) => {}
                None if node.kind.operator().keeps_state(0) => {}
                None => {
                    made.insert(output);
                }
            }
        }
    }

    /// Where a slice of whole rows starts, in bytes of its source.
    fn start_of_part(&self, graph: &Graph, node: &Node, source: ValueId) -> Option<usize> {
        let Kind::Slice(slice) = &node.kind else {
            return None;
        };
        self.of_value.get(&source)?;
        let value = graph.value(source);
        let dims = value.shape.dims();
        let axis = (0..dims.len()).find(|&axis| dims[axis] != 1)?;
        let is_whole = |a: usize| slice.sizes[a] == dims[a] as usize;
        let row: usize = (axis + 1..dims.len()).map(|a| dims[a] as usize).product();
        let start = slice.starts[axis] * row * value.dtype.bytes();
        let follows = slice.steps[axis] == 1 || slice.sizes[axis] == 1;
        let fits = follows && start.is_multiple_of(PART_ALIGNMENT);
        (fits && (axis + 1..dims.len()).all(is_whole)).then_some(start)
    }

    fn step(&mut self, graph: &Graph, node: &Node, step: usize) {
        let operator = node.kind.operator();
        let operands = graph.operands(&node.inputs);
        let output = match &node.outputs[..] {
            &[output] => Some(graph.operand(output)),
            _ => None,
        };
        let buffer = |id: ValueId| self.of_value.get(&id).map(|&(buffer, _)| buffer);
        let distances = node.inputs.iter().enumerate().map(|(index, &input)| {
            let input = buffer(input?)?;
            let distance = operator.overlap(index, &operands, output.as_ref()?)?;
            let same = node
                .inputs
                .iter()
                .flatten()
                .filter(|id| buffer(**id) == Some(input));
            // Rows that one of two readers has left may be what the other still reads.
            (distance == 0 || same.count() == 1).then_some(distance)
        });
        let distances: Vec<Option<usize>> = distances.collect();
        for (input, distance) in node.inputs.iter().zip(distances) {
            if let &Some(input) = input {
                self.read(graph, input, step, distance);
            }
        }
        let variable = node
            .assigned()
            .and_then(|id| self.of_state.get(&id).copied());
        for (index, &output) in node.outputs.iter().enumerate() {
            if let Some(offset) = variable {
                self.of_state.insert(output, offset);
                continue;
            }
            match operator.keeps_state(index) {
                true => self.keep(graph, output),
                false => self.write(graph, output, step),
            }
        }
    }

    /// The buffer of a value, and where the value is in it; made where there is none.
    fn make(&mut self, graph: &Graph, value: ValueId, step: usize) -> (usize, usize) {
        if let Some(&place) = self.of_value.get(&value) {
            return place;
        }
        let place = match self.inside.get(&value) {
            Some(&(whole, start)) => {
                let (buffer, at) = self.make(graph, whole, step);
                (buffer, at + start)
            }
            None => {
                self.buffers.push(Buffer {
                    bytes: bytes(graph, value),
                    life: step..=step,
                });
                self.reads.push(Vec::new());
                self.writes.push(Vec::new());
                (self.buffers.len() - 1, 0)
            }
        };
        self.of_value.insert(value, place);
        place
    }

    fn write(&mut self, graph: &Graph, value: ValueId, step: usize) {
        let (buffer, start) = self.make(graph, value, step);
        self.extend_life(buffer, step);
        self.writes[buffer].push(Access {
            step,
            start,
            end: start + bytes(graph, value),
            distance: None,
        });
    }

    fn keep(&mut self, graph: &Graph, value: ValueId) {
        self.of_state.insert(value, self.state_bytes);
        self.state_bytes += bytes(graph, value).next_multiple_of(OFFSET_ALIGNMENT);
    }

    fn read(&mut self, graph: &Graph, value: ValueId, step: usize, distance: Option<usize>) {
        if let Some(&(buffer, start)) = self.of_value.get(&value) {
            self.extend_life(buffer, step);
            self.reads[buffer].push(Access {
                step,
                start,
                end: start + bytes(graph, value),
                distance,
            });
        }
    }

    fn extend_life(&mut self, buffer: usize, step: usize) {
        let life = &mut self.buffers[buffer].life;
        *life = *life.start()..=step.max(*life.end());
    }

    /// Outputs are where the first input is, from a byte on.
    fn alias(&mut self, graph: &Graph, node: &Node, step: usize, start: usize) {
        let source = node.inputs.first().copied().flatten();
        if let Some(&offset) = source.and_then(|value| self.of_state.get(&value)) {
            let kept = node.outputs.iter().map(|&output| (output, offset));
            self.of_state.extend(kept);
            self.still.insert(step);
            return;
        }
        self.still.insert(step);
        let place = source.and_then(|value| self.of_value.get(&value).copied());
        for &output in &node.outputs {
            match place {
                Some((buffer, at)) => {
                    self.of_value.insert(output, (buffer, at + start));
                }
                // A reshaped constant is a constant.
                None if graph.value(output).data.is_some() => {}
                None => self.write(graph, output, step),
            }
        }
    }

    /// Buffers of which one may start in the other, above what is written there as long as it is needed.
    fn share(&mut self) {
        let meet = |a: &Buffer, b: &Buffer| {
            a.life.start() <= b.life.end() && b.life.start() <= a.life.end()
        };
        for input in 0..self.buffers.len() {
            for output in 0..self.buffers.len() {
                let (above, below) = (&self.buffers[input], &self.buffers[output]);
                if input == output || !meet(above, below) {
                    continue;
                }
                let distance = self.distance(input, output);
                if distance < self.buffers[output].bytes {
                    self.sharings.push(Sharing {
                        input,
                        output,
                        distance,
                    });
                }
            }
        }
    }

    /// How far above the start of `below` the other must start, so that no write of either meets
    /// what is still to be read of the other.
    fn distance(&self, above: usize, below: usize) -> usize {
        // What is there from the first step on stands in no list of writes.
        let given = self.writes[below]
            .is_empty()
            .then_some(self.buffers[below].bytes);
        let written = self.writes[below].iter().flat_map(|write| {
            let reads = self.reads[above]
                .iter()
                .filter(|read| read.step >= write.step);
            let before_reads = reads.map(|read| match read.distance {
                Some(distance) if read.step == write.step => {
                    (write.start + distance).saturating_sub(read.start)
                }
                _ => write.end.saturating_sub(read.start),
            });
            let later = self.writes[above]
                .iter()
                .filter(|other| other.step >= write.step);
            before_reads.chain(later.map(|other| write.end.saturating_sub(other.start)))
        });
        given.into_iter().chain(written).max().unwrap_or(0)
    }
}

fn bytes(graph: &Graph, value: ValueId) -> usize {
    let tensor = graph.value(value);
    tensor.shape.elements() * tensor.dtype.bytes()
}

/// The joined values of a concatenation, and where each starts in the joined one, if that is row after row.
fn starts_of_rows(graph: &Graph, node: &Node, axis: usize) -> Option<Vec<(ValueId, usize)>> {
    let mut seen = HashSet::new();
    let mut start = 0usize;
    let mut starts = Vec::new();
    for &input in &node.inputs {
        let value = graph.value(input?);
        let rows = value.shape.dims().get(..axis)?.iter().all(|&dim| dim == 1);
        let fits = rows && value.data.is_none() && start.is_multiple_of(PART_ALIGNMENT);
        if !fits || !seen.insert(input?) {
            return None;
        }
        starts.push((input?, start));
        start += bytes(graph, input?);
    }
    Some(starts)
}
