//! Finds the latest steps of a stream in variables: what is joined from steps that were kept and new
//! ones, of which the latest are kept again, is a [`History`], which copies nothing else.

use graph::{DType, Data, Error, Graph, Kind, Node, Shape, ValueId};
use runtime::ops::history::History;
use runtime::ops::slice::Slice;

/// A variable that keeps steps, by the places of its nodes.
struct Ring {
    assign: usize,
    concat: usize,
    /// The steps that come in a run.
    new: ValueId,
    axis: usize,
}

/// Replaces such variables.
pub(crate) fn run(graph: &mut Graph) -> Result<usize, Error> {
    let mut found = 0;
    let mut index = 0;
    while index < graph.nodes.len() {
        match find(graph, index) {
            Some(ring) => {
                replace(graph, &ring)?;
                found += 1;
                index = 0;
            }
            None => index += 1,
        }
    }
    Ok(found)
}

/// The ring that the assignment at `index` keeps.
fn find(graph: &Graph, index: usize) -> Option<Ring> {
    let before = graph.nodes[index].assigned()?;
    let value = graph.nodes[index].inputs.get(1).copied()??;
    let reader = only_other_reader(graph, before, index)?;
    let (concat, kept) = match &graph.nodes[reader].kind {
        // All steps are joined, and the latest of them are kept.
        Kind::Concat(_) => (reader, before),
        // The oldest steps go before new ones come.
        Kind::Slice(_) => {
            let rest = *graph.nodes[reader].outputs.first()?;
            (graph.only_consumer(rest)?, rest)
        }
        _ => return None,
    };
    let node = &graph.nodes[concat];
    let (Kind::Concat(join), &[Some(first), Some(new)], &[whole]) =
        (&node.kind, &node.inputs[..], &node.outputs[..])
    else {
        return None;
    };
    let (part, of) = match kept == before {
        true => (&graph.nodes[graph.producer(value)?], whole),
        false => (&graph.nodes[reader], before),
    };
    let Kind::Slice(slice) = &part.kind else {
        return None;
    };
    let (from, to) = (part.inputs.first().copied()??, *part.outputs.first()?);
    let is_end = from == of && takes_end(slice, &graph.value(of).shape, join.axis);
    let is_kept_again = if kept == before {
        to == value
    } else {
        whole == value
    };
    let quantization = |id: ValueId| &graph.value(id).quantization;
    let alike =
        quantization(new) == quantization(whole) && quantization(before) == quantization(whole);
    let skipped = graph.value(new).shape.dim(join.axis);
    let steps = slice.starts.get(join.axis) == Some(&skipped);
    let fits = first == kept && first != new && is_end && is_kept_again && alike && steps;
    fits.then_some(Ring {
        assign: index,
        concat,
        new,
        axis: join.axis,
    })
}

/// The node besides the assignment that reads a variable, if there is one and no output does.
fn only_other_reader(graph: &Graph, variable: ValueId, assign: usize) -> Option<usize> {
    let readers = graph.consumers(variable).into_iter();
    let others: Vec<usize> = readers.filter(|&reader| reader != assign).collect();
    match others[..] {
        [reader] if !graph.is_output(variable) => Some(reader),
        _ => None,
    }
}

/// Whether a slice is all from a step on.
fn takes_end(slice: &Slice, shape: &Shape, axis: usize) -> bool {
    (0..shape.rank()).all(|a| {
        let is_plain = slice.steps[a] == 1 && (a == axis || slice.starts[a] == 0);
        is_plain && slice.starts[a] + slice.sizes[a] == shape.dim(a)
    })
}

fn replace(graph: &mut Graph, ring: &Ring) -> Result<(), Error> {
    let (assign, concat) = (&graph.nodes[ring.assign], &graph.nodes[ring.concat]);
    let (name, outputs) = (assign.name.clone(), concat.outputs.clone());
    let start = assign.inputs.get(2).copied().flatten();
    let mut inputs = vec![Some(ring.new)];
    if let (Some(start), Some(&whole)) = (start, outputs.first()) {
        inputs.extend(started(graph, start, whole, ring.axis).map(Some));
    }
    let steps = outputs
        .first()
        .map_or(0, |&whole| graph.value(whole).shape.dim(ring.axis));
    let axis = ring.axis;
    graph.nodes[ring.concat] = Node {
        name,
        kind: History { axis, steps }.into(),
        inputs,
        outputs,
    };
    graph.nodes.remove(ring.assign);
    graph.infer_all()
}

/// What a history starts from whose latest steps are given; `None` where that is what every state does.
fn started(graph: &mut Graph, start: ValueId, whole: ValueId, axis: usize) -> Option<ValueId> {
    let (kept, all) = (graph.value(start).clone(), graph.value(whole).clone());
    let data = kept.data?;
    let zero = all.quantization.as_ref().map_or(0, |q| q.zero_point);
    if data.is_state_at_rest(zero) {
        return None;
    }
    let outer: usize = all
        .shape
        .dims()
        .iter()
        .take(axis)
        .map(|&dim| dim as usize)
        .product();
    let [line, rest] = [&all.shape, &kept.shape].map(|shape| shape.elements() / outer.max(1));
    let width = all.dtype.bytes();
    let filling = if all.dtype == DType::I8 {
        zero as i8 as u8
    } else {
        0
    };
    // The steps before are gone when the first run moves all of them.
    let before = vec![filling; line.saturating_sub(rest) * width];
    let lines = data.bytes().chunks((rest * width).max(1));
    let bytes: Vec<u8> = lines
        .flat_map(|line| {
            let both = before.iter().chain(line);
            both.copied().collect::<Vec<u8>>()
        })
        .collect();
    let data = Data::from_bytes(all.dtype, &bytes).ok()?;
    let made = graph.add_constant(kept.name, all.shape, data);
    graph.value_mut(made).quantization = all.quantization;
    Some(made)
}
