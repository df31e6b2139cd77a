//! Replays every read and write of a placed graph, to prove that nothing is read that was
//! overwritten.
//!
//! Memory is a list of which bytes of which buffer are where. Each node writes what it writes as
//! early and reads what it reads as late as the row contract of `kernels` allows: output row `y`
//! stands in memory before the input rows are read from the first that row `y` needs. Neither
//! lifetimes nor distances of the planner are used.

use crate::arena::Placement;
use crate::lifetimes::Buffers;
use graph::{Graph, Node, ValueId};
use runtime::ops::Window2d;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

/// The name of the first node that finds other bytes than it needs.
pub(crate) fn replay(
    graph: &Graph,
    buffers: &Buffers,
    placement: &Placement,
    scratch: &HashMap<usize, usize>,
) -> Result<(), String> {
    let mut replay = Replay {
        graph,
        buffers,
        placement,
        memory: Memory::default(),
        assigned: HashSet::new(),
    };
    for port in &graph.inputs {
        replay.write_whole(port.value);
    }
    for (index, node) in graph.nodes.iter().enumerate() {
        if !buffers.still.contains(&index) {
            let scratch = scratch.get(&index).copied();
            let run = replay.node(node, scratch);
            run.ok_or_else(|| format!("node '{}' reads what was overwritten", node.name))?;
        }
    }
    let intact = graph.outputs.iter().all(|port| replay.is_whole(port.value));
    intact
        .then_some(())
        .ok_or("an output was overwritten".into())
}

struct Replay<'a> {
    graph: &'a Graph,
    buffers: &'a Buffers,
    placement: &'a Placement,
    memory: Memory,
    /// Where the state holds what the next run reads.
    assigned: HashSet<usize>,
}

impl Replay<'_> {
    /// `None` where something is read that is no longer there.
    fn node(&mut self, node: &Node, scratch: Option<usize>) -> Option<()> {
        let mut inputs: Vec<ValueId> = node.inputs.iter().flatten().copied().collect();
        if let Some(variable) = node.assigned() {
            inputs.retain(|&id| id != variable);
            self.assigned.extend(self.buffers.of_state.get(&variable));
        }
        self.spoil(scratch);
        match (node.kind.window(), &inputs[..], &node.outputs[..]) {
            (Some(window), &[input, ..], &[output]) if self.is_one_image(input) => {
                self.rows(window, input, output)?;
            }
            (None, inputs, &[output]) if self.follows(node, inputs, output) => {
                inputs
                    .iter()
                    .all(|&input| self.is_whole(input))
                    .then_some(())?;
                self.write_whole(output);
            }
            _ => {
                node.outputs
                    .iter()
                    .for_each(|&output| self.write_whole(output));
                inputs
                    .iter()
                    .all(|&input| self.is_whole(input))
                    .then_some(())?;
            }
        }
        self.spoil(scratch);
        Some(())
    }

    /// Writes output rows in ascending order; after each it reads what no later one needs.
    fn rows(&mut self, window: &Window2d, input: ValueId, output: ValueId) -> Option<()> {
        let [input_rows, output_rows] = [input, output].map(|id| self.graph.value(id).shape.dim(1));
        let row_bytes = |id: ValueId, rows: usize| self.bytes(id) / rows.max(1);
        let [from, to] = [row_bytes(input, input_rows), row_bytes(output, output_rows)];
        let first = |y: usize| {
            let taps =
                (0..window.kernel[0]).map(|tap| y * window.stride[0] + tap * window.dilation[0]);
            let mut rows = taps.filter_map(|row| row.checked_sub(window.padding[0]));
            rows.find(|&row| row < input_rows)
        };
        for y in 0..output_rows {
            self.write(output, y * to..(y + 1) * to);
            if let Some(start) = first(y) {
                let end = (y + 1..output_rows).find_map(first).unwrap_or(input_rows);
                self.is_there(input, start * from..end * from)
                    .then_some(())?;
            }
        }
        Some(())
    }

    fn is_one_image(&self, input: ValueId) -> bool {
        let shape = self.graph.value(input).shape;
        shape.rank() == 4 && shape.dim(0) == 1
    }

    /// Whether an operator that goes element by element through inputs and output writes none before
    /// it has read it: where they start, and where the last ones are.
    fn follows(&self, node: &Node, inputs: &[ValueId], output: ValueId) -> bool {
        let operands = self.graph.operands(&node.inputs);
        let operand = self.graph.operand(output);
        let elements = operand.shape.elements();
        let Some(out) = self.place(output) else {
            return false;
        };
        let element = |id: ValueId, index: usize| self.graph.value(id).dtype.bytes() * index;
        let is_behind = |id: ValueId, start: usize| {
            [0, elements.saturating_sub(1)]
                .iter()
                .all(|&last| out + element(output, last) <= start + element(id, last))
        };
        let operator = node.kind.operator();
        inputs
            .iter()
            .enumerate()
            .all(|(index, &id)| match self.place(id) {
                None => true,
                Some(start) => {
                    let is_apart =
                        start + self.bytes(id) <= out || out + self.bytes(output) <= start;
                    let goes_along = operator.overlap(index, &operands, &operand) == Some(0)
                        && self.graph.value(id).shape.elements() == elements;
                    is_apart || (goes_along && is_behind(id, start))
                }
            })
    }

    /// What an operator leaves in its working memory is nothing that may be read.
    fn spoil(&mut self, scratch: Option<usize>) {
        if let Some(buffer) = scratch {
            let start = self.placement.offsets[buffer];
            let bytes = self.buffers.buffers[buffer].bytes;
            self.memory.write(start..start + bytes, (buffer, start));
        }
    }

    fn bytes(&self, id: ValueId) -> usize {
        let value = self.graph.value(id);
        value.shape.elements() * value.dtype.bytes()
    }

    /// Where a value starts, if it is in the arena.
    fn place(&self, id: ValueId) -> Option<usize> {
        let &(buffer, start) = self.buffers.of_value.get(&id)?;
        Some(self.placement.offsets.get(buffer)? + start)
    }

    /// The bytes of memory that a value's bytes are, and what stands in them.
    fn content(&self, id: ValueId, bytes: Range<usize>) -> Option<(Range<usize>, Content)> {
        let &(buffer, start) = self.buffers.of_value.get(&id)?;
        let at = *self.placement.offsets.get(buffer)?;
        let range = at + start + bytes.start..at + start + bytes.end;
        Some((range, (buffer, at)))
    }

    fn write_whole(&mut self, id: ValueId) {
        self.write(id, 0..self.bytes(id));
    }

    fn is_whole(&self, id: ValueId) -> bool {
        self.is_there(id, 0..self.bytes(id))
    }

    fn write(&mut self, id: ValueId, bytes: Range<usize>) {
        if let Some((range, content)) = self.content(id, bytes) {
            self.memory.write(range, content);
        }
    }

    /// Constants are always there, and what is kept from run to run until it is assigned.
    fn is_there(&self, id: ValueId, bytes: Range<usize>) -> bool {
        let kept = self.buffers.of_state.get(&id);
        if kept.is_some_and(|offset| self.assigned.contains(offset)) {
            return false;
        }
        let content = self.content(id, bytes);
        content.is_none_or(|(range, content)| self.memory.holds(range, content))
    }
}

/// Which buffer, and where it starts.
type Content = (usize, usize);

/// Disjoint ranges by their start: their end, and what is there.
#[derive(Default)]
struct Memory(BTreeMap<usize, (usize, Content)>);

impl Memory {
    fn write(&mut self, range: Range<usize>, content: Content) {
        if range.is_empty() {
            return;
        }
        let touched = self.0.range(..range.end).rev();
        let touched: Vec<_> = touched
            .take_while(|(_, (end, _))| *end > range.start)
            .map(|(&start, &(end, content))| (start, end, content))
            .collect();
        for (start, end, old) in touched {
            self.0.remove(&start);
            if start < range.start {
                self.0.insert(start, (range.start, old));
            }
            if end > range.end {
                self.0.insert(range.end, (end, old));
            }
        }
        // Rows of one buffer become one range, in whatever order they are written.
        let before = self.0.range(..range.start).next_back();
        let before = before.map(|(&start, &(end, old))| (start, end, old));
        let start = match before {
            Some((start, end, old)) if end == range.start && old == content => start,
            _ => range.start,
        };
        let end = match self.0.get(&range.end) {
            Some(&(end, old)) if old == content => {
                self.0.remove(&range.end);
                end
            }
            _ => range.end,
        };
        self.0.insert(start, (end, content));
    }

    fn holds(&self, range: Range<usize>, content: Content) -> bool {
        let found = self.0.range(..=range.start).next_back();
        range.is_empty()
            || found.is_some_and(|(_, &(end, held))| end >= range.end && held == content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifetimes::buffers;
    use format::fixed::Rounding;
    use graph::{DType, Data, Shape};
    use proptest::prelude::*;
    use runtime::host::{Activation, Lowered};
    use runtime::ops::conv_2d::Conv2d;
    use runtime::ops::unary::{Function, Unary};

    /// `y = conv(x)` in float, and whether it survives when `x` starts so far behind `y`.
    struct Pair {
        graph: Graph,
        buffers: Buffers,
    }

    impl Pair {
        fn new(image: [u32; 3], outputs: u32, window: Window2d) -> Option<Self> {
            let mut graph = Graph::default();
            let [rows, columns, channels] = image;
            let x = Shape::new(&[1, rows, columns, channels])?;
            let x = graph.add_input("x", DType::F32, x);
            let [height, width] = window.kernel;
            let dims = [outputs, height as u32, width as u32, channels];
            let count = dims.iter().product::<u32>() as usize;
            let w = graph.add_constant("w", Shape::new(&dims)?, Data::F32(vec![1.0; count]));
            let kind = Conv2d {
                window,
                groups: 1,
                activation: Activation::None,
            };
            let y = graph.push("conv", kind, &[x, w]).ok()?[0];
            graph.add_output("y", y);
            Some(Self::of(graph))
        }

        fn of(graph: Graph) -> Self {
            let lower = |node: &Node| {
                let outputs: Vec<_> = node.outputs.iter().map(|&id| graph.operand(id)).collect();
                let operands = graph.operands(&node.inputs);
                let operator = node.kind.operator();
                operator.lower(&operands, &outputs, Rounding::High).unwrap()
            };
            let lowered: Vec<Lowered> = graph.nodes.iter().map(lower).collect();
            let buffers = buffers(&graph, &lowered, true);
            Pair { graph, buffers }
        }

        fn survives(&self, offsets: [usize; 2]) -> bool {
            let placement = Placement {
                offsets: offsets.to_vec(),
                bytes: 0,
            };
            let scratch = HashMap::new();
            replay(&self.graph, &self.buffers, &placement, &scratch).is_ok()
        }
    }

    proptest! {
        /// The distance that the operator asks for is safe, and nothing less is.
        #[test]
        fn rows_need_their_distance(
            image in [1u32..12, 1u32..8, 1u32..6],
            outputs in 1u32..8,
            kernel in [1usize..5, 1usize..4],
            stride in [1usize..4, 1usize..3],
            dilation in 1usize..3,
            padding in [0usize..4, 0usize..3, 0usize..4, 0usize..3],
        ) {
            let [top, left, bottom, right] = padding;
            let limit = |padding: usize, axis: usize| padding.min(kernel[axis] - 1);
            let padding = [limit(top, 0), limit(left, 1), limit(bottom, 0), limit(right, 1)];
            let window = Window2d { kernel, stride, dilation: [dilation; 2], padding };
            let Some(pair) = Pair::new(image, outputs, window) else {
                return Ok(());
            };
            // Pairs that can only lie apart are not listed.
            let apart = pair.buffers.buffers[1].bytes;
            let distance = pair.buffers.sharings.first().map_or(apart, |pair| pair.distance);
            prop_assert!(pair.survives([distance, 0]));
            prop_assert!(pair.survives([distance + 40, 0]));
            if dilation == 1 && distance > 0 {
                prop_assert!(!pair.survives([distance - 1, 0]));
            }
        }
    }

    #[test]
    fn elements_are_read_before_they_are_written() {
        let mut graph = Graph::default();
        let x = graph.add_input("x", DType::F32, Shape::new(&[1, 4]).unwrap());
        let function = Function::Neg;
        let y = graph.push("y", Unary { function }, &[x]).unwrap()[0];
        graph.add_output("y", y);
        let pair = Pair::of(graph);
        assert!(pair.survives([0, 0]));
        assert!(pair.survives([4, 0]));
        assert!(!pair.survives([0, 4]));
        assert!(pair.survives([0, 16]));
    }

    #[test]
    fn memory_knows_what_is_where() {
        let mut memory = Memory::default();
        memory.write(0..10, (0, 0));
        memory.write(15..20, (0, 0));
        memory.write(10..15, (0, 0));
        assert!(memory.holds(3..18, (0, 0)));
        memory.write(5..7, (1, 5));
        assert!(memory.holds(0..5, (0, 0)) && memory.holds(7..20, (0, 0)));
        assert!(memory.holds(5..7, (1, 5)));
        assert!(!memory.holds(4..6, (0, 0)) && !memory.holds(0..20, (0, 0)));
        assert!(!memory.holds(19..21, (0, 0)) && !memory.holds(5..7, (1, 4)));
    }
}
