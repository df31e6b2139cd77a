//! Computes the first layers in stripes of rows, so that none of their values is in memory as a whole
//! (the patches of Lin et al., "MCUNetV2", 2021).
//!
//! Each stripe is a slice of the input, the layers on it, padded at the true borders alone, and a part
//! of the last layer's output. Rows that two stripes need are computed twice, and every element is the
//! sum that it was. Slices and the joined output are parts of what they are parts of: `compile` copies
//! neither. Up to which layer this saves most is tried, layer by layer.

use compile::Options;
use graph::{Graph, Kind, Node, Value, ValueId};
use runtime::ops::Window2d;
use runtime::ops::concat::Concat;
use runtime::ops::slice::Slice;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// The axis of rows in `[N, H, W, C]`.
const ROWS: usize = 1;

/// A graph whose first layers run in stripes.
#[derive(Clone, Debug, PartialEq)]
pub struct Patched {
    /// The graph.
    pub graph: Graph,
    /// The node whose output the stripes make.
    pub last: String,
    /// Bytes of working memory.
    pub ram_bytes: usize,
}

/// The form with the least working memory, if there is one with less than `ram_bytes`, which is what
/// the graph takes as it is.
pub fn patch(
    graph: &Graph,
    stripes: usize,
    ram_bytes: usize,
    options: &Options,
) -> Result<Option<Patched>, compile::Error> {
    let mut least = ram_bytes;
    let mut best = None;
    for (index, node) in graph.nodes.iter().enumerate() {
        let Some(graph) = in_stripes(graph, index, stripes) else {
            continue;
        };
        let ram_bytes = compile::compile(&graph, options)?.arena_bytes;
        if ram_bytes < least {
            least = ram_bytes;
            best = Some(Patched {
                graph,
                last: node.name.clone(),
                ram_bytes,
            });
        }
    }
    Ok(best)
}

/// The graph with the output of a node, and all that leads to it, in stripes; `None` where something
/// else reads a value on the way, or where it is not computed row by row.
fn in_stripes(graph: &Graph, last: usize, stripes: usize) -> Option<Graph> {
    let &[end] = &graph.nodes.get(last)?.outputs[..] else {
        return None;
    };
    let region = region(graph, end)?;
    let rows = graph.value(end).shape.dim(ROWS);
    if region.len() < 2 || stripes < 2 || rows < stripes {
        return None;
    }
    let mut patched = graph.clone();
    patched.nodes.clear();
    let mut parts = Vec::new();
    for stripe in 0..stripes {
        let range = stripe * rows / stripes..(stripe + 1) * rows / stripes;
        let mut making = Stripe {
            source: graph,
            graph: &mut patched,
            index: stripe,
            needed: needed(graph, &region, end, range)?,
            made: HashMap::new(),
        };
        for &node in &region {
            making.node(&graph.nodes[node])?;
        }
        parts.push(Some(*making.made.get(&end)?));
    }
    patched.nodes.push(Node {
        name: format!("{}_rows", graph.nodes[last].name),
        kind: Concat { axis: ROWS }.into(),
        inputs: parts,
        outputs: vec![end],
    });
    let rest = graph.nodes.iter().enumerate();
    let rest = rest.filter(|(index, _)| !region.contains(index));
    patched.nodes.extend(rest.map(|(_, node)| node.clone()));
    patched.verify().ok().map(|()| patched)
}

/// The nodes that lead to a value, in order.
fn region(graph: &Graph, end: ValueId) -> Option<Vec<usize>> {
    let mut wanted = HashSet::from([end]);
    let mut region = Vec::new();
    for (index, node) in graph.nodes.iter().enumerate().rev() {
        let &[output] = &node.outputs[..] else {
            if node.outputs.iter().any(|id| wanted.contains(id)) {
                return None;
            }
            continue;
        };
        if wanted.contains(&output) {
            if !goes_by_rows(graph, node, output) {
                return None;
            }
            region.push(index);
            wanted.extend(moving(graph, node));
        }
    }
    region.reverse();
    let stays = |index: &usize| {
        let output = graph.nodes[*index].outputs[0];
        let readers = graph.consumers(output);
        let inside = readers.iter().all(|reader| region.contains(reader));
        output == end || (inside && !graph.is_output(output))
    };
    region.iter().all(stays).then_some(region)
}

/// The inputs of a node that are no constants.
fn moving<'a>(graph: &'a Graph, node: &'a Node) -> impl Iterator<Item = ValueId> + 'a {
    let inputs = node.inputs.iter().flatten().copied();
    inputs.filter(|&id| graph.value(id).data.is_none())
}

/// Whether a node makes each row of one image from some rows of its inputs, whatever the others are.
fn goes_by_rows(graph: &Graph, node: &Node, output: ValueId) -> bool {
    let is_image = |id: ValueId| {
        let shape = graph.value(id).shape;
        shape.rank() == 4 && shape.dim(0) == 1
    };
    let images = is_image(output) && moving(graph, node).all(is_image);
    let padded = |window: &Window2d| window.padding != [0; 4];
    images
        && match &node.kind {
            Kind::Conv2d(_) | Kind::MaxPool2d(_) => true,
            // Means of padded windows of integers are rounded in another way than those of others.
            Kind::AveragePool2d(pool) => !padded(&pool.window),
            _ => goes_by_elements(graph, node, output),
        }
}

/// Whether each element is made from those at its place, and from constants that are alike in all rows.
fn goes_by_elements(graph: &Graph, node: &Node, output: ValueId) -> bool {
    let operands = graph.operands(&node.inputs);
    let operand = graph.operand(output);
    let operator = node.kind.operator();
    let fits = |(index, &input): (usize, &Option<ValueId>)| {
        let Some(input) = input else { return true };
        let value = graph.value(input);
        match (&value.data, value.shape.rank()) {
            (Some(_), rank) => rank < 3 || value.shape.dim(rank - 3) == 1,
            (None, _) => {
                value.shape == operand.shape
                    && operator.overlap(index, &operands, &operand) == Some(0)
            }
        }
    };
    moving(graph, node).next().is_some() && node.inputs.iter().enumerate().all(fits)
}

/// The input rows of a window for some of its output rows, and how many more it reaches above and below.
fn reach(
    window: &Window2d,
    range: &Range<usize>,
    rows: usize,
) -> Option<(Range<usize>, [usize; 2])> {
    let height = (window.kernel[0].max(1) - 1) * window.dilation[0] + 1;
    let first = range.start * window.stride[0];
    let end = (range.end.checked_sub(1)?) * window.stride[0] + height;
    let above = window.padding[0].saturating_sub(first);
    let start = first.saturating_sub(window.padding[0]);
    let end = end.checked_sub(window.padding[0])?;
    let below = end.saturating_sub(rows);
    let end = end.min(rows);
    (start < end).then_some((start..end, [above, below]))
}

/// The rows of every value that some rows of the last one are made from.
fn needed(
    graph: &Graph,
    region: &[usize],
    end: ValueId,
    range: Range<usize>,
) -> Option<HashMap<ValueId, Range<usize>>> {
    let mut needed = HashMap::from([(end, range)]);
    for &index in region.iter().rev() {
        let node = &graph.nodes[index];
        let range = needed.get(&node.outputs[0])?.clone();
        for input in moving(graph, node) {
            let rows = graph.value(input).shape.dim(ROWS);
            let read = match node.kind.window() {
                Some(window) => reach(window, &range, rows)?.0,
                None => range.clone(),
            };
            let all = needed.entry(input).or_insert_with(|| read.clone());
            *all = all.start.min(read.start)..all.end.max(read.end);
        }
    }
    Some(needed)
}

/// The nodes of one stripe.
struct Stripe<'a> {
    source: &'a Graph,
    graph: &'a mut Graph,
    index: usize,
    needed: HashMap<ValueId, Range<usize>>,
    /// The needed rows of values of the region.
    made: HashMap<ValueId, ValueId>,
}

impl Stripe<'_> {
    fn node(&mut self, node: &Node) -> Option<()> {
        let output = *node.outputs.first()?;
        let range = self.needed.get(&output)?.clone();
        let mut kind = node.kind.clone();
        let mut inputs = Vec::new();
        for &input in &node.inputs {
            let moves = input.filter(|&id| self.source.value(id).data.is_none());
            let Some(id) = moves else {
                inputs.push(input);
                continue;
            };
            let rows = self.source.value(id).shape.dim(ROWS);
            let mut read = range.clone();
            if let Some(window) = kind.window_mut() {
                let (rows, [above, below]) = reach(window, &range, rows)?;
                (window.padding[0], window.padding[2]) = (above, below);
                read = rows;
            }
            inputs.push(Some(self.rows(id, &read)?));
        }
        let name = format!("{}_{}", node.name, self.index);
        let made = self.push(name, kind, inputs, output)?;
        let is_whole = self.graph.value(made).shape.dim(ROWS) == range.len();
        self.made.insert(output, made);
        is_whole.then_some(())
    }

    /// Some rows of a value, cut out of those that there are.
    fn rows(&mut self, id: ValueId, range: &Range<usize>) -> Option<ValueId> {
        let (from, start) = match self.made.get(&id) {
            Some(&made) => (made, self.needed.get(&id)?.start),
            None => (id, 0),
        };
        let shape = self.graph.value(from).shape;
        if shape.dim(ROWS) == range.len() {
            return Some(from);
        }
        let mut slice = Slice {
            starts: vec![0; shape.rank()],
            steps: vec![1; shape.rank()],
            sizes: shape.dims().iter().map(|&dim| dim as usize).collect(),
        };
        slice.starts[ROWS] = range.start.checked_sub(start)?;
        slice.sizes[ROWS] = range.len();
        let name = format!("{}_rows_{}", self.source.value(id).name, self.index);
        self.push(name, slice.into(), vec![Some(from)], id)
    }

    /// Adds a node whose output means what `like` means.
    fn push(
        &mut self,
        name: String,
        kind: Kind,
        inputs: Vec<Option<ValueId>>,
        like: ValueId,
    ) -> Option<ValueId> {
        let node = self.graph.make_node(name, kind, inputs).ok()?;
        let output = *node.outputs.first()?;
        let Value {
            dtype,
            quantization,
            ..
        } = self.source.value(like).clone();
        let value = self.graph.value_mut(output);
        (value.dtype, value.quantization) = (dtype, quantization);
        self.graph.nodes.push(node);
        Some(output)
    }
}
