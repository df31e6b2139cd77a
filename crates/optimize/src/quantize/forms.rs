//! Which operators have integer forms, and what those forms ask for.

use graph::{DType, Graph, Kind, Node, ValueId};
use runtime::ops::binary::{Binary, Function};
use runtime::ops::cumulate::LONGEST_SUM;
use runtime::ops::layer_norm::LONGEST_ROW;
use runtime::ops::mat_mul::MOST_PRODUCTS;
use runtime::ops::reduce::{Function as Fold, Reduce};
use std::ops::Range;

/// Whether an operator computes in int8.
fn has_int8(kind: &Kind) -> bool {
    let moves = matches!(
        kind,
        Kind::Concat(_)
            | Kind::Transpose(_)
            | Kind::Pad(_)
            | Kind::Slice(_)
            | Kind::History(_)
            | Kind::Reshape(_)
            | Kind::Gather(_)
            | Kind::GatherElements(_)
            | Kind::Choose(_)
            | Kind::Compare(_)
    );
    let computes = matches!(
        kind,
        Kind::Conv2d(_)
            | Kind::FullyConnected(_)
            | Kind::Binary(_)
            | Kind::AveragePool2d(_)
            | Kind::MaxPool2d(_)
            | Kind::Mean(_)
            | Kind::Unary(_)
            | Kind::Softmax(_)
            | Kind::Extreme(_)
            | Kind::MatMul(_)
            | Kind::LayerNorm(_)
            | Kind::Resample(_)
            | Kind::Resample2d(_)
            | Kind::Reduce(_)
            | Kind::Cumulate(_)
            | Kind::TopK(_)
    );
    moves || computes
}

/// Why a node cannot run with int16 activations; `None` where it can.
pub fn int16_reason(graph: &Graph, node: &Node) -> Option<String> {
    let name = node.kind.operator().name();
    let missing = || (!has_int16(&node.kind)).then(|| format!("there is no int16 {name}"));
    float_reason(graph, node).or_else(missing)
}

/// Whether an operator that has an int8 form has one of int16 as well.
fn has_int16(kind: &Kind) -> bool {
    match kind {
        // Those of a number are tables, which only int8 has.
        Kind::Binary(binary) => !matches!(
            binary.function,
            Function::Pow | Function::Remainder | Function::SquaredDifference
        ),
        _ => has_int8(kind),
    }
}

/// Whether a reduction picks one of its elements.
fn is_extreme(reduce: &Reduce) -> bool {
    matches!(reduce.function, Fold::Max | Fold::Min)
}

/// Operators whose output must have its input's scale and zero point.
pub(crate) fn keeps_scale(kind: &Kind) -> bool {
    match kind {
        Kind::MaxPool2d(_) | Kind::Concat(_) | Kind::Transpose(_) | Kind::Pad(_) => true,
        Kind::Reshape(_) | Kind::Slice(_) | Kind::Gather(_) | Kind::GatherElements(_) => true,
        Kind::History(_) => true,
        Kind::Resample(_) | Kind::Resample2d(_) | Kind::Choose(_) | Kind::TopK(_) => true,
        Kind::Reduce(reduce) => is_extreme(reduce),
        Kind::Binary(binary) => matches!(binary.function, Function::Min | Function::Max),
        // A mean over padded windows divides by a count that varies.
        Kind::AveragePool2d(pool) => pool.window.padding != [0; 4],
        _ => false,
    }
}

/// The value whose scale and zero point all activations of a node must have, if they must have one.
pub(crate) fn scale_giver(graph: &Graph, node: &Node) -> Option<ValueId> {
    match node.kind {
        // What it makes has none.
        Kind::Compare(_) => {
            let mut computed = activation_ids(node).filter(|&id| graph.value(id).data.is_none());
            computed.next()
        }
        _ => node
            .outputs
            .first()
            .copied()
            .filter(|_| keeps_scale(&node.kind)),
    }
}

/// The operands that are activations: the others are weights, tables, positions and conditions.
pub(crate) fn activations(node: &Node) -> Range<usize> {
    match node.kind {
        Kind::Binary(_) | Kind::MatMul(_) | Kind::Compare(_) => 0..2,
        Kind::Choose(_) => 1..3,
        Kind::Concat(_) => 0..node.inputs.len(),
        _ => 0..1,
    }
}

/// The activations of a node that are there.
pub(crate) fn activation_ids(node: &Node) -> impl Iterator<Item = ValueId> {
    let operands = node.inputs.get(activations(node)).unwrap_or(&[]);
    operands.iter().copied().flatten()
}

/// Whether a node reads or makes real numbers at run time.
pub(crate) fn is_real(graph: &Graph, node: &Node) -> bool {
    let values = node.inputs.iter().flatten().chain(&node.outputs);
    let computed = values.map(|&id| graph.value(id));
    let mut reals = computed.filter(|value| value.data.is_none() && value.dtype == DType::F32);
    reals.next().is_some()
}

/// Why a node cannot run in integers; `None` where it can.
pub(crate) fn float_reason(graph: &Graph, node: &Node) -> Option<String> {
    let name = node.kind.operator().name();
    if let Kind::Cast(_) = node.kind {
        let types = [
            node.inputs.first().copied().flatten(),
            node.outputs.first().copied(),
        ];
        let [from, to] = types.map(|id| id.map_or(DType::F32, |id| graph.value(id).dtype));
        return Some(format!(
            "it converts {from} to {to}, and there is no int8 form of that"
        ));
    }
    if !has_int8(&node.kind) {
        return Some(format!("there is no int8 {name}"));
    }
    // Positions and truth values are no real numbers in any case.
    let made = match node.kind {
        Kind::Extreme(_) | Kind::Compare(_) => &[][..],
        Kind::TopK(_) => node.outputs.get(..1).unwrap_or(&[]),
        _ => &node.outputs[..],
    };
    let others = activation_ids(node).chain(made.iter().copied());
    let other = others
        .map(|id| graph.value(id).dtype)
        .find(|&dtype| dtype != DType::F32);
    if let Some(other) = other {
        return Some(format!("there is no int8 {name} of {other}"));
    }
    let constants = activation_ids(node)
        .filter(|&id| graph.value(id).data.is_some())
        .count();
    match &node.kind {
        Kind::Conv2d(_) | Kind::FullyConnected(_) if !is_constant(graph, node, 1) => {
            Some("its weights are not constant".into())
        }
        Kind::Binary(binary) => binary_reason(graph, node, binary),
        Kind::AveragePool2d(pool) if pool.count_include_pad && pool.window.padding != [0; 4] => {
            Some("it counts padding".into())
        }
        Kind::LayerNorm(norm) if norm_size(graph, node, norm.first) > LONGEST_ROW => {
            Some("its rows are too long".into())
        }
        Kind::LayerNorm(_) if !(is_constant(graph, node, 1) && is_constant(graph, node, 2)) => {
            Some("its factors are not constant".into())
        }
        Kind::MatMul(_) => {
            let terms = node.inputs.first().copied().flatten();
            let terms = terms.map_or(0, |id| graph.value(id).shape.last());
            (terms > MOST_PRODUCTS).then(|| format!("sums of {terms} products are too long"))
        }
        Kind::Cumulate(sums) => {
            let input = node.inputs.first().copied().flatten();
            let size = input.map_or(0, |id| graph.value(id).shape.dim(sums.axis));
            (size > LONGEST_SUM).then(|| format!("sums of {size} elements are too long"))
        }
        Kind::Concat(_) | Kind::Gather(_) | Kind::GatherElements(_) => None,
        Kind::History(_) if node.inputs.len() > 1 => {
            Some("it starts from numbers of the model's own".into())
        }
        Kind::Choose(_) | Kind::Compare(_) => None,
        _ if constants > 0 => Some("its input is constant".into()),
        _ => None,
    }
}

/// Elements of a row that is normalized from axis `first` on.
fn norm_size(graph: &Graph, node: &Node, first: usize) -> usize {
    let input = node.inputs.first().copied().flatten();
    let shape = input.map(|id| graph.value(id).shape);
    shape.map_or(0, |shape| {
        (first..shape.rank()).map(|axis| shape.dim(axis)).product()
    })
}

pub(crate) fn is_constant(graph: &Graph, node: &Node, index: usize) -> bool {
    let id = node.inputs.get(index).copied().flatten();
    id.is_some_and(|id| graph.value(id).data.is_some())
}

/// Whether one side of a node is a constant number that leaves the other's shape: a table of int8.
pub(crate) fn has_number(graph: &Graph, node: &Node) -> bool {
    let ([Some(a), Some(b)], Some(&output)) = (&node.inputs[..], node.outputs.first()) else {
        return false;
    };
    let shape = graph.value(output).shape;
    let is_number = |id: ValueId| {
        let value = graph.value(id);
        value.data.is_some() && value.shape.elements() == 1
    };
    let is_whole = |id: ValueId| graph.value(id).data.is_none() && graph.value(id).shape == shape;
    (is_number(*b) && is_whole(*a)) || (is_number(*a) && is_whole(*b))
}

fn binary_reason(graph: &Graph, node: &Node, binary: &Binary) -> Option<String> {
    if has_number(graph, node) {
        return None;
    }
    match binary.function {
        Function::Add | Function::Sub | Function::Mul | Function::Min | Function::Max => None,
        Function::Pow | Function::SquaredDifference => None,
        Function::Div if !is_constant(graph, node, 1) => None,
        // What is divided by a constant is multiplied by its inverse.
        Function::Div => {
            let divisors = node.inputs.get(1).copied().flatten();
            let data = divisors.and_then(|id| graph.value(id).data.as_ref());
            let values = data.and_then(|data| data.f32().ok()).unwrap_or(&[]);
            let mut inverses = values.iter().map(|divisor| 1.0 / divisor);
            let infinite = inverses.find(|inverse| !inverse.is_finite());
            infinite.map(|_| "a divisor is too small".into())
        }
        Function::Remainder => Some(format!("there is no int8 {}", node.kind.operator().name())),
    }
}
