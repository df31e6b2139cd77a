//! A model whose values do not share memory while they are in use.
//!
//! Plans save memory: an output may lie over the part of its input that is no longer needed, which
//! holds as long as rows are computed one after the other. Threads compute them at once, so where
//! there are threads the same nodes run on a plan with more room. Nothing else about the file
//! changes, and neither do its answers.

use format::meta::Meta;
use format::{ABSENT, Model, Node, NodeRecord, Place, Tensor, TensorRecord, Writer};
use std::ops::Range;
use std::vec::Vec;

/// Values move by multiples of a line of the cache, which keeps them aligned for every element.
const LINE_BYTES: usize = crate::session::LINE_BYTES;

/// Values that lie as they do to one another, because a node reads them as one.
#[derive(Clone, Debug)]
struct Group {
    /// Bytes of the file's arena.
    bytes: Range<usize>,
    /// Nodes from the first that writes to the last that reads.
    first: usize,
    last: usize,
    /// Another group, which this one has become a part of.
    joined: Option<usize>,
    /// The new start.
    start: usize,
}

/// What is in the arena while the plan is followed.
#[derive(Debug, Default)]
struct Values {
    groups: Vec<Group>,
    /// Which bytes hold what.
    held: Vec<(Range<usize>, usize)>,
}

impl Values {
    /// The group that a group has become a part of, or itself.
    fn group(&self, mut index: usize) -> usize {
        while let Some(joined) = self.groups.get(index).and_then(|group| group.joined) {
            index = joined;
        }
        index
    }

    /// Something new at a place, and nothing else any longer.
    fn write(&mut self, bytes: Range<usize>, node: usize) -> usize {
        let mut held = Vec::new();
        for (old, group) in self.held.drain(..) {
            let before = old.start..old.end.min(bytes.start);
            let behind = old.start.max(bytes.end)..old.end;
            held.extend(
                [before, behind]
                    .into_iter()
                    .filter(|part| !part.is_empty())
                    .map(|part| (part, group)),
            );
        }
        let index = self.groups.len();
        held.push((bytes.clone(), index));
        self.held = held;
        self.groups.push(Group {
            bytes,
            first: node,
            last: node,
            joined: None,
            start: 0,
        });
        index
    }

    /// What a node reads at a place; `None` where it is not known what is there.
    fn read(&mut self, bytes: &Range<usize>, node: usize) -> Option<usize> {
        let shares = |other: &Range<usize>| other.start < bytes.end && bytes.start < other.end;
        let parts: Vec<(Range<usize>, usize)> = self
            .held
            .iter()
            .filter(|(held, _)| shares(held))
            .cloned()
            .collect();
        let inside = |held: &Range<usize>| held.end.min(bytes.end) - held.start.max(bytes.start);
        let known: usize = parts.iter().map(|(held, _)| inside(held)).sum();
        if known < bytes.len() {
            return None;
        }
        let first = self.group(parts.first()?.1);
        for &(_, part) in &parts {
            self.join(first, part);
        }
        let group = self.groups.get_mut(first)?;
        group.last = group.last.max(node);
        Some(first)
    }

    fn join(&mut self, whole: usize, part: usize) {
        let part = self.group(part);
        if part == whole {
            return;
        }
        let Some(joined) = self.groups.get_mut(part) else {
            return;
        };
        joined.joined = Some(whole);
        let Group {
            bytes, first, last, ..
        } = joined.clone();
        if let Some(group) = self.groups.get_mut(whole) {
            group.bytes = group.bytes.start.min(bytes.start)..group.bytes.end.max(bytes.end);
            group.first = group.first.min(first);
            group.last = group.last.max(last);
        }
    }

    /// Places all groups behind `state_bytes`, the largest first, each as low as those that are in
    /// use at the same time allow; gives the bytes that this takes.
    fn place(&mut self, state_bytes: usize) -> usize {
        let roots = (0..self.groups.len()).filter(|&index| self.group(index) == index);
        let mut order: Vec<usize> = roots.collect();
        order.sort_by_key(|&index| core::cmp::Reverse(self.groups[index].bytes.len()));
        let mut placed: Vec<usize> = Vec::new();
        let mut arena_bytes = state_bytes;
        for index in order {
            let group = &self.groups[index];
            let mut taken: Vec<Range<usize>> = placed
                .iter()
                .map(|&other| &self.groups[other])
                .filter(|other| other.first <= group.last && group.first <= other.last)
                .map(|other| other.start..other.start + other.bytes.len())
                .collect();
            taken.sort_by_key(|range| range.start);
            let aligned =
                |at: usize| at.next_multiple_of(LINE_BYTES) + group.bytes.start % LINE_BYTES;
            let mut start = aligned(state_bytes);
            for range in taken {
                if start + group.bytes.len() > range.start && start < range.end {
                    start = aligned(range.end);
                }
            }
            arena_bytes = arena_bytes.max(start + group.bytes.len());
            self.groups[index].start = start;
            placed.push(index);
        }
        arena_bytes
    }

    /// Where a byte of a group's value lies now.
    fn moved(&self, group: usize, offset: usize) -> Option<u32> {
        let group = self.groups.get(self.group(group))?;
        u32::try_from(group.start + offset - group.bytes.start).ok()
    }
}

/// The groups of a node's operands, `None` for those that stay where they are.
struct Moves {
    inputs: Vec<Option<usize>>,
    outputs: Vec<Option<usize>>,
    scratch: Option<usize>,
}

/// The bytes of a value that can be placed elsewhere.
fn movable(tensor: &Tensor) -> Option<Range<usize>> {
    let bytes = tensor.offset..tensor.offset.checked_add(tensor.bytes())?;
    (tensor.place == Place::Arena && !bytes.is_empty()).then_some(bytes)
}

/// Follows the plan: what the ports hold before and behind it, and what every node touches.
fn follow(model: &Model<'_>, values: &mut Values) -> Option<(Moves, Vec<Moves>)> {
    let outside = model.node_count() + 1;
    let ports = |count: usize, port: fn(&Model<'_>, usize) -> Option<Tensor>| {
        (0..count).map(move |index| port(model, index))
    };
    let mut inputs = Vec::new();
    for port in ports(model.input_count(), |model, index| model.input(index)) {
        inputs.push(movable(&port?).map(|bytes| values.write(bytes, 0)));
    }
    let mut nodes = Vec::new();
    for node in model.nodes() {
        nodes.push(touch(&node, values)?);
    }
    let mut outputs = Vec::new();
    for port in ports(model.output_count(), |model, index| model.output(index)) {
        outputs.push(match movable(&port?) {
            Some(bytes) => Some(values.read(&bytes, outside)?),
            None => None,
        });
    }
    let ports = Moves {
        inputs,
        outputs,
        scratch: None,
    };
    Some((ports, nodes))
}

/// What a node reads and then writes.
fn touch(node: &Node<'_>, values: &mut Values) -> Option<Moves> {
    let time = node.index + 1;
    let mut inputs = Vec::new();
    for index in 0..node.input_count() {
        inputs.push(match node.input(index).as_ref().and_then(movable) {
            Some(bytes) => Some(values.read(&bytes, time)?),
            None => None,
        });
    }
    let scratch = node.scratch_offset()..node.scratch_offset() + node.scratch_bytes();
    let scratch = (!scratch.is_empty()).then(|| values.write(scratch, time));
    let outputs = (0..node.output_count()).map(|index| node.output(index));
    let outputs = outputs
        .map(|output| Some(movable(&output?).map(|bytes| values.write(bytes, time))))
        .collect::<Option<Vec<_>>>()?;
    Some(Moves {
        inputs,
        outputs,
        scratch,
    })
}

/// The record of an operand at its new place.
fn operand(
    writer: &mut Writer,
    values: &Values,
    tensor: Option<Tensor>,
    group: Option<usize>,
) -> Option<u16> {
    let Some(tensor) = tensor else {
        return Some(ABSENT);
    };
    let offset = match group {
        Some(group) => values.moved(group, tensor.offset)?,
        None => u32::try_from(tensor.offset).ok()?,
    };
    writer.tensor(&TensorRecord {
        dtype: tensor.dtype,
        place: tensor.place,
        offset,
        shape: tensor.shape,
        scale: tensor.scale,
        zero_point: tensor.zero_point as i16,
    })
}

fn record(
    writer: &mut Writer,
    values: &Values,
    node: &Node<'_>,
    moves: &Moves,
) -> Option<NodeRecord> {
    let mut params = node.params();
    let mut record = NodeRecord {
        code: node.code(),
        scratch_bytes: node.scratch_bytes() as u32,
        params: (0..params.remaining()).map(|_| params.u8()).collect(),
        ..NodeRecord::default()
    };
    if let Some(group) = moves.scratch {
        record.scratch_offset = values.moved(group, node.scratch_offset())?;
    }
    for (index, &group) in moves.inputs.iter().enumerate() {
        record
            .inputs
            .push(operand(writer, values, node.input(index), group)?);
    }
    for (index, &group) in moves.outputs.iter().enumerate() {
        record
            .outputs
            .push(operand(writer, values, node.output(index), group)?);
    }
    Some(record)
}

/// The model as a file with a plan of more room, of at most `arena_bytes_max`; `None` where there is
/// none that is certain to give the same answers.
pub(super) fn spread(model: &Model<'_>, meta: &Meta, arena_bytes_max: usize) -> Option<Vec<u8>> {
    let mut values = Values::default();
    let (ports, nodes) = follow(model, &mut values)?;
    let is_behind_state = |group: &Group| group.bytes.start >= model.state_bytes();
    if !values.groups.iter().all(is_behind_state) {
        return None;
    }
    let arena_bytes = values.place(model.state_bytes());
    let mut writer = Writer::default();
    // First of all, and so where they were.
    writer.constant(model.constants(), format::ALIGNMENT);
    for (node, moves) in model.nodes().zip(&nodes) {
        let record = record(&mut writer, &values, &node, moves)?;
        writer.node(&record)?;
    }
    let mut inputs = Vec::new();
    for (index, &group) in ports.inputs.iter().enumerate() {
        inputs.push(operand(&mut writer, &values, model.input(index), group)?);
    }
    let mut outputs = Vec::new();
    for (index, &group) in ports.outputs.iter().enumerate() {
        outputs.push(operand(&mut writer, &values, model.output(index), group)?);
    }
    writer.ports(inputs, outputs);
    let arena = u32::try_from(arena_bytes)
        .ok()
        .filter(|_| arena_bytes <= arena_bytes_max)?;
    writer.finish(arena, model.state_bytes() as u32, meta)
}
