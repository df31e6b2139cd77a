//! Finds operators that exporters write as several: layer normalization, GELU, hard-swish.
//!
//! Each has one integer form; its parts have none, or lose precision one after the other.

use graph::{Data, Error, Graph, Kind, Node, Shape, ValueId};
use runtime::host::Activation;
use runtime::ops::binary::{Binary, Function as Of2};
use runtime::ops::layer_norm::LayerNorm;
use runtime::ops::unary::{Function as Of1, Unary};

/// Replaces the last node of each pattern; the others are dead then, if nothing else reads them.
pub(crate) fn run(graph: &mut Graph) -> Result<usize, Error> {
    let mut found = 0;
    for index in 0..graph.nodes.len() {
        let replacement = hard_swish(graph, index)
            .or_else(|| gelu(graph, index))
            .or_else(|| layer_norm(graph, index));
        if let Some((last, kind, inputs)) = replacement {
            let node = &mut graph.nodes[last];
            node.kind = kind;
            node.inputs = inputs.into_iter().map(Some).collect();
            found += 1;
        }
    }
    Ok(found)
}

/// The node that ends a pattern, and what takes its place.
type Replacement = (usize, Kind, Vec<ValueId>);

/// The operands of a plain binary node.
fn operands(node: &Node, function: Of2) -> Option<[ValueId; 2]> {
    let plain = Kind::Binary(Binary {
        function,
        activation: Activation::None,
    });
    match node.inputs[..] {
        [Some(a), Some(b)] if node.kind == plain => Some([a, b]),
        _ => None,
    }
}

/// The operands of the plain binary node that makes a value.
fn made_by(graph: &Graph, id: ValueId, function: Of2) -> Option<[ValueId; 2]> {
    operands(&graph.nodes[graph.producer(id)?], function)
}

/// The input of the unary node that makes a value, and its function.
fn unary_of(graph: &Graph, id: ValueId) -> Option<(ValueId, Of1)> {
    let node = &graph.nodes[graph.producer(id)?];
    match (&node.kind, node.inputs.first()) {
        (Kind::Unary(unary), Some(&Some(input))) => Some((input, unary.function)),
        _ => None,
    }
}

/// A constant of one element.
fn scalar(graph: &Graph, id: ValueId) -> Option<f32> {
    match graph.value(id).data.as_ref()?.f32().ok()? {
        &[value] => Some(value),
        _ => None,
    }
}

/// The computed side of a node, and its constant side. Quotients are products with the inverse.
fn with_scalar(graph: &Graph, node: &Node, function: Of2) -> Option<(ValueId, f32)> {
    let sides = |[a, b]: [ValueId; 2]| match (scalar(graph, a), scalar(graph, b)) {
        (None, Some(value)) => Some((a, value)),
        (Some(value), None) => Some((b, value)),
        _ => None,
    };
    if let Some(pair) = operands(node, function) {
        return sides(pair);
    }
    let [a, b] = operands(node, Of2::Div).filter(|_| function == Of2::Mul)?;
    Some((a, 1.0 / scalar(graph, b)?))
}

/// As [`with_scalar`], for the node that makes a value.
fn scaled(graph: &Graph, id: ValueId, function: Of2) -> Option<(ValueId, f32)> {
    with_scalar(graph, &graph.nodes[graph.producer(id)?], function)
}

fn is_near(value: f32, expected: f32) -> bool {
    (value - expected).abs() <= 1e-3 * expected.abs()
}

/// The other operand of a pair.
fn other([a, b]: [ValueId; 2], one: ValueId) -> Option<ValueId> {
    match (a == one, b == one) {
        (true, false) => Some(b),
        (false, true) => Some(a),
        _ => None,
    }
}

/// `x * hard_sigmoid(x)`, or `x * clip(x + 3, 0, 6) / 6` with the quotient anywhere.
fn hard_swish(graph: &Graph, index: usize) -> Option<Replacement> {
    let node = &graph.nodes[index];
    let swish = |x: ValueId| {
        let function = Of1::HardSwish;
        Some((index, Unary { function }.into(), vec![x]))
    };
    if let Some((product, sixth)) = with_scalar(graph, node, Of2::Mul)
        && is_near(sixth, 1.0 / 6.0)
    {
        let pair = made_by(graph, product, Of2::Mul)?;
        let gate = pair.into_iter().find(|&id| is_gate(graph, id, pair));
        return swish(other(pair, gate?)?);
    }
    let pair = operands(node, Of2::Mul)?;
    let is_sigmoid = |id: ValueId| match unary_of(graph, id) {
        Some((x, Of1::HardSigmoid(alpha, beta))) => {
            is_near(alpha, 1.0 / 6.0) && beta == 0.5 && other(pair, id) == Some(x)
        }
        _ => scaled(graph, id, Of2::Mul).is_some_and(|(gate, sixth)| {
            is_near(sixth, 1.0 / 6.0) && gate_input(graph, gate) == other(pair, id)
        }),
    };
    let gate = pair.into_iter().find(|&id| is_sigmoid(id))?;
    swish(other(pair, gate)?)
}

/// `x` of `clip(x + 3, 0, 6)`.
fn gate_input(graph: &Graph, id: ValueId) -> Option<ValueId> {
    let (sum, Of1::Clip(0.0, 6.0)) = unary_of(graph, id)? else {
        return None;
    };
    let (x, three) = scaled(graph, sum, Of2::Add)?;
    (three == 3.0).then_some(x)
}

fn is_gate(graph: &Graph, id: ValueId, pair: [ValueId; 2]) -> bool {
    gate_input(graph, id).is_some_and(|x| other(pair, id) == Some(x))
}

/// `x / 2 (1 + erf(x / sqrt 2))`, or its approximation by tanh, multiplied in any order.
fn gelu(graph: &Graph, index: usize) -> Option<Replacement> {
    let curve = &graph.nodes[index];
    let made = *curve.outputs.first()?;
    let (argument, of) = unary_of(graph, made)?;
    let (x, function) = match of {
        Of1::Erf => {
            let (x, factor) = scaled(graph, argument, Of2::Mul)?;
            let fits = is_near(factor, std::f32::consts::FRAC_1_SQRT_2);
            (x, fits.then_some(Of1::Gelu)?)
        }
        Of1::Tanh => (tanh_input(graph, argument)?, Of1::GeluTanh),
        _ => return None,
    };
    let raised = graph.only_consumer(made)?;
    let (_, one) = with_scalar(graph, &graph.nodes[raised], Of2::Add)?;
    if one != 1.0 {
        return None;
    }
    let gate = *graph.nodes[raised].outputs.first()?;
    let first = graph.only_consumer(gate)?;
    let half = |node: usize| {
        let (_, factor) = with_scalar(graph, &graph.nodes[node], Of2::Mul)?;
        (factor == 0.5).then_some(())
    };
    let gelu = |last: usize| Some((last, Unary { function }.into(), vec![x]));
    let product = *graph.nodes[first].outputs.first()?;
    if half(first).is_some() {
        let last = graph.only_consumer(product)?;
        let pair = operands(&graph.nodes[last], Of2::Mul)?;
        return (other(pair, product) == Some(x)).then(|| gelu(last))?;
    }
    let partner = other(operands(&graph.nodes[first], Of2::Mul)?, gate)?;
    if partner == x {
        let last = graph.only_consumer(product)?;
        half(last)?;
        return gelu(last);
    }
    let (halved, factor) = scaled(graph, partner, Of2::Mul)?;
    (halved == x && factor == 0.5).then(|| gelu(first))?
}

/// `x` of `sqrt(2 / pi) (x + 0.044715 x^3)`.
fn tanh_input(graph: &Graph, id: ValueId) -> Option<ValueId> {
    let (sum, factor) = scaled(graph, id, Of2::Mul)?;
    if !is_near(factor, 0.797_884_6) {
        return None;
    }
    let pair = made_by(graph, sum, Of2::Add)?;
    pair.into_iter().find(|&x| {
        let cube = other(pair, x).and_then(|id| scaled(graph, id, Of2::Mul));
        cube.is_some_and(|(cube, factor)| is_near(factor, 0.044_715) && is_cube(graph, cube, x))
    })
}

fn is_cube(graph: &Graph, id: ValueId, x: ValueId) -> bool {
    if let Some([base, exponent]) = made_by(graph, id, Of2::Pow) {
        return base == x && scalar(graph, exponent) == Some(3.0);
    }
    let pair = made_by(graph, id, Of2::Mul);
    let square = pair.and_then(|pair| other(pair, x));
    square.is_some_and(|square| is_square(graph, square, x))
}

fn is_square(graph: &Graph, id: ValueId, x: ValueId) -> bool {
    match made_by(graph, id, Of2::Pow) {
        Some([base, exponent]) => base == x && scalar(graph, exponent) == Some(2.0),
        None => made_by(graph, id, Of2::Mul) == Some([x, x]),
    }
}

/// `(x - mean) / sqrt(variance + epsilon)`, and factors and offsets behind it.
fn layer_norm(graph: &mut Graph, index: usize) -> Option<Replacement> {
    let (centred, epsilon_of) = normalized(graph, &graph.nodes[index])?;
    let (x, first) = centre(graph, centred)?;
    let (variance, epsilon) = scaled(graph, epsilon_of, Of2::Add)?;
    let (squares, over) = mean_of(graph, variance)?;
    if over != first || !is_square(graph, squares, centred) {
        return None;
    }
    let shape = graph.value(x).shape;
    let row = shape.dims()[first..].to_vec();
    let mut last = index;
    let mut follow = |function: Of2| {
        let made = *graph.nodes[last].outputs.first()?;
        let next = graph.only_consumer(made)?;
        let factors = other(operands(&graph.nodes[next], function)?, made)?;
        let values = row_constant(graph, factors, &row)?;
        last = next;
        Some(values)
    };
    let gamma = follow(Of2::Mul);
    let beta = follow(Of2::Add);
    let count: usize = row.iter().map(|&size| size as usize).product();
    let name = graph.nodes[last].name.clone();
    let row = Shape::new(&row)?;
    let mut constant = |what: &str, values: Option<Vec<f32>>, neutral: f32| {
        let values = values.unwrap_or_else(|| vec![neutral; count]);
        graph.add_constant(format!("{name}/{what}"), row, Data::F32(values))
    };
    let factors = [constant("gamma", gamma, 1.0), constant("beta", beta, 0.0)];
    let kind = LayerNorm { first, epsilon }.into();
    Some((last, kind, vec![x, factors[0], factors[1]]))
}

/// Numerator and radicand of `a / sqrt(b)`, or of `a * (1 / sqrt(b))`.
fn normalized(graph: &Graph, node: &Node) -> Option<(ValueId, ValueId)> {
    let root = |id: ValueId| match unary_of(graph, id) {
        Some((radicand, Of1::Sqrt)) => Some(radicand),
        _ => {
            let [base, exponent] = made_by(graph, id, Of2::Pow)?;
            (scalar(graph, exponent) == Some(0.5)).then_some(base)
        }
    };
    if let Some([a, b]) = operands(node, Of2::Div) {
        return Some((a, root(b)?));
    }
    let pair = operands(node, Of2::Mul)?;
    pair.into_iter().find_map(|id| {
        let radicand = match unary_of(graph, id) {
            Some((inverted, Of1::Reciprocal)) => root(inverted),
            _ => {
                let [one, below] = made_by(graph, id, Of2::Div)?;
                (scalar(graph, one) == Some(1.0)).then(|| root(below))?
            }
        };
        Some((other(pair, id)?, radicand?))
    })
}

/// `x` and the first axis of `x - mean(x)`.
fn centre(graph: &Graph, id: ValueId) -> Option<(ValueId, usize)> {
    let [x, mean] = made_by(graph, id, Of2::Sub)?;
    let (of, first) = mean_of(graph, mean)?;
    (of == x).then_some((x, first))
}

/// What a mean over the last axes is taken of, and the first of these axes.
fn mean_of(graph: &Graph, id: ValueId) -> Option<(ValueId, usize)> {
    let node = &graph.nodes[graph.producer(id)?];
    let Kind::Mean(mean) = &node.kind else {
        return None;
    };
    let x = node.inputs.first().copied()??;
    (mean.last + 1 == graph.value(x).shape.rank()).then_some((x, mean.first))
}

/// A constant that has one element for each of a row.
fn row_constant(graph: &Graph, id: ValueId, row: &[u32]) -> Option<Vec<f32>> {
    let value = graph.value(id);
    let values = value.data.as_ref()?.f32().ok()?;
    let significant =
        |dims: &[u32]| -> Vec<u32> { dims.iter().copied().skip_while(|&size| size == 1).collect() };
    let fits = significant(value.shape.dims()) == significant(row);
    fits.then(|| values.to_vec())
}
