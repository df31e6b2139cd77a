//! The constants of a library: those that every build reads, and weights that are there twice, as they
//! are and packed, each in a file of its own, so that only one of the two is linked.

use super::nodes;
use format::{ALIGNMENT, Model, Node, Place, Tensor};
use runtime::ops::conv_2d::packed;
use std::collections::HashMap;
use std::ops::Range;

/// Where a node has its weights.
const WEIGHTS: usize = 1;

/// The files' bytes, and where what is in them was before.
pub(super) struct Constants {
    /// What every build reads.
    pub(super) shared: Vec<u8>,
    /// Weights that are packed, too.
    pub(super) weights: Vec<u8>,
    /// The packed ones.
    pub(super) packed: Vec<u8>,
    /// Bytes of the model's constants, in order, and where they are among the shared ones.
    runs: Vec<(Range<usize>, usize)>,
    /// By the node's index, where its weights and its packed ones are in their files.
    twice: HashMap<usize, [usize; 2]>,
}

impl Constants {
    pub(super) fn of(model: &Model<'_>) -> Self {
        let mut constants = Constants {
            shared: Vec::new(),
            weights: Vec::new(),
            packed: Vec::new(),
            runs: Vec::new(),
            twice: HashMap::new(),
        };
        let mut shared = Vec::new();
        for node in model.nodes() {
            let is_twice = nodes::is_packed(&node);
            for (index, tensor) in operands(&node) {
                if !(is_twice && [WEIGHTS, packed::OPERAND].contains(&index)) {
                    shared.push(tensor.offset..tensor.offset + tensor.bytes());
                }
            }
            if is_twice {
                let places = [
                    append(&mut constants.weights, node.constant(WEIGHTS)),
                    append(&mut constants.packed, node.constant(packed::OPERAND)),
                ];
                constants.twice.insert(node.index, places);
            }
        }
        if constants.twice.is_empty() {
            // All are as they are in the file.
            shared.push(0..model.constants().len());
        }
        constants.share(model, shared);
        constants
    }

    /// Appends parts of the model's constants that may overlap, at addresses aligned as before.
    fn share(&mut self, model: &Model<'_>, mut parts: Vec<Range<usize>>) {
        parts.sort_by_key(|part| part.start);
        let mut joined: Vec<Range<usize>> = Vec::new();
        for part in parts {
            match joined.last_mut() {
                Some(last) if part.start <= last.end => last.end = last.end.max(part.end),
                _ => joined.push(part),
            }
        }
        for run in joined {
            let start = run.start / ALIGNMENT * ALIGNMENT;
            let bytes = model.constants().get(start..run.end).unwrap_or(&[]);
            let place = append(&mut self.shared, bytes) + (run.start - start);
            self.runs.push((run, place));
        }
    }

    /// Where a constant of the model is among the shared ones.
    pub(super) fn offset(&self, offset: usize) -> usize {
        let run = self.runs.iter().rev().find(|(run, _)| run.start <= offset);
        run.map_or(offset, |(run, place)| place + (offset - run.start))
    }

    /// Where a packed node's weights and its packed ones are in their files.
    pub(super) fn twice(&self, node: &Node<'_>) -> Option<[usize; 2]> {
        self.twice.get(&node.index).copied()
    }
}

/// The constant operands of a node.
fn operands(node: &Node<'_>) -> impl Iterator<Item = (usize, Tensor)> {
    let tensors = (0..node.input_count()).filter_map(|i| Some((i, node.input(i)?)));
    tensors.filter(|(_, tensor)| tensor.place == Place::Constant)
}

/// Appends bytes at a multiple of the alignment, and tells where.
fn append(to: &mut Vec<u8>, bytes: &[u8]) -> usize {
    let place = to.len().next_multiple_of(ALIGNMENT);
    to.resize(place, 0);
    to.extend_from_slice(bytes);
    place
}
