//! The scale of every activation: from what was seen, from what the operator always gives, and
//! aligned where sums gain by it.

use super::assign::Assignment;
use super::calibrate::Statistics;
use super::range::{self, Method, Scales};
use graph::{DType, Graph, Kind, Node, Quantization, ValueId};
use runtime::ops::binary::{Function as Of2, sum_factors};
use runtime::ops::unary::Function;
use std::collections::{HashMap, HashSet};

/// The scale of every value, and how many inputs of sums were aligned.
pub(crate) fn scales(
    graph: &Graph,
    assignment: &Assignment,
    statistics: &Statistics,
    method: Method,
) -> (HashMap<ValueId, Scales>, usize) {
    let mut ranges: HashMap<ValueId, [f32; 2]> = statistics
        .histograms
        .iter()
        .map(|(&group, histogram)| (group, range::choose(histogram, method)))
        .collect();
    let aligned = align_sums(graph, assignment, &mut ranges);
    let mut scales = HashMap::new();
    for (index, &group) in assignment.group.iter().enumerate() {
        if let (Some(&[low, high]), Some(seen)) =
            (ranges.get(&group), statistics.histograms.get(&group))
        {
            // 16 bits are enough for everything that was seen.
            let int16 = range::symmetric(seen.smallest(), seen.largest());
            let int8 = range::affine(low, high);
            scales.insert(ValueId(index), Scales { int8, int16 });
        }
    }
    fix_scales(graph, assignment, &mut scales);
    settle_sums(graph, assignment, &mut scales);
    (scales, aligned)
}

/// Gives outputs whose range is known beforehand their scale.
pub(crate) fn fix_scales(
    graph: &Graph,
    assignment: &Assignment,
    scales: &mut HashMap<ValueId, Scales>,
) {
    for node in &graph.nodes {
        if let Some(fixed) = fixed_scale(&node.kind) {
            let Some(&output) = node.outputs.first() else {
                continue;
            };
            let same = |id: &ValueId| assignment.group[id.0] == assignment.group[output.0];
            for id in (0..assignment.group.len()).map(ValueId).filter(same) {
                scales.insert(id, fixed.clone());
            }
        }
    }
}

/// Operators whose output has the same range whatever the data.
pub(crate) fn fixed_scale(kind: &Kind) -> Option<Scales> {
    let (scale, zero_point) = match kind {
        Kind::Softmax(_) => (1.0 / 256.0, -128),
        Kind::Unary(unary) => match unary.function {
            Function::Sigmoid => (1.0 / 256.0, -128),
            Function::Tanh => (1.0 / 128.0, 0),
            _ => return None,
        },
        _ => return None,
    };
    Some(Scales {
        int8: Quantization::per_tensor(scale, zero_point),
        int16: Quantization::per_tensor(1.0 / 32_768.0, 0),
    })
}

/// Gives both inputs of a sum the wider of two ranges that differ by at most a quarter: the sum
/// is then one of plain integers, and loses less than half a bit.
fn align_sums(
    graph: &Graph,
    assignment: &Assignment,
    ranges: &mut HashMap<ValueId, [f32; 2]>,
) -> usize {
    let mut aligned = 0;
    for (node, &dtype) in graph.nodes.iter().zip(&assignment.types) {
        let [Some(a), Some(b)] = node.inputs[..] else {
            continue;
        };
        let is_sum = match &node.kind {
            Kind::Binary(binary) => matches!(binary.function, Of2::Add | Of2::Sub),
            _ => false,
        };
        if dtype != DType::I8 || !is_sum {
            continue;
        }
        let (a, b) = (assignment.group[a.0], assignment.group[b.0]);
        let (Some(&x), Some(&y)) = (ranges.get(&a), ranges.get(&b)) else {
            continue;
        };
        let (wide, other) = (x[1] - x[0], y[1] - y[0]);
        let joined = [x[0].min(y[0]), x[1].max(y[1])];
        if a != b && joined[1] - joined[0] <= 1.25 * wide.min(other) {
            ranges.insert(a, joined);
            ranges.insert(b, joined);
            aligned += 1;
        }
    }
    aligned
}

/// Below this a factor of a sum is coarse, and a scale is not to follow it.
const FINE_FACTOR: i32 = 1 << 12;

/// Moves scales around int8 sums, by a few thousandths of a percent, to where the factors of sums are exact.
/// Executors that add real numbers then make the same integers.
fn settle_sums(graph: &Graph, assignment: &Assignment, scales: &mut HashMap<ValueId, Scales>) {
    let group = |id: ValueId| assignment.group[id.0];
    let fixed = graph.nodes.iter().filter(|node| fixed_scale(&node.kind).is_some());
    let fixed = fixed.flat_map(|node| node.outputs.iter().copied());
    let ports = graph.inputs.iter().map(|port| port.value);
    // Groups of values whose scales are what they are to be.
    let mut settled: HashSet<ValueId> = ports.chain(fixed).map(group).collect();
    for (node, &dtype) in graph.nodes.iter().zip(&assignment.types) {
        let (DType::I8, Some([a, b, to])) = (dtype, sum(graph, node)) else {
            continue;
        };
        let [a, b, to] = [a, b, to].map(group);
        let scale = |id| Some(scales.get(&id)?.int8.scale(0));
        let (Some(of_a), Some(of_b), Some(of_to)) = (scale(a), scale(b), scale(to)) else {
            continue;
        };
        let Some(([fa, fb], shift)) = sum_factors([of_a, of_b], of_to) else {
            continue;
        };
        if to == a || to == b || fa.min(fb) < FINE_FACTOR {
            continue;
        }
        let unit = 2f64.powi(i32::from(shift));
        // The operand that the result follows.
        let (of_first, first, of_second, second) = match settled.contains(&b) {
            true => ((of_b, fb), b, fa, a),
            false => ((of_a, fa), a, fb, b),
        };
        let mut of_to = f64::from(of_to);
        let mut move_to = |id: ValueId, scale: f64| {
            for (index, _) in assignment.group.iter().enumerate().filter(|(_, g)| **g == id) {
                if let Some(held) = scales.get_mut(&ValueId(index)) {
                    held.int8.scales = vec![scale as f32];
                }
            }
        };
        if settled.insert(to) {
            of_to = f64::from(of_first.0) * unit / f64::from(of_first.1);
            move_to(to, of_to);
        } else if settled.insert(first) {
            move_to(first, of_to * f64::from(of_first.1) / unit);
        }
        if settled.insert(second) {
            move_to(second, of_to * f64::from(of_second) / unit);
        }
        settled.insert(first);
    }
}

/// Operands and result of a sum of two tensors of one shape.
fn sum(graph: &Graph, node: &Node) -> Option<[ValueId; 3]> {
    let (&[Some(a), Some(b)], &[to]) = (&node.inputs[..], &node.outputs[..]) else {
        return None;
    };
    let is_sum = matches!(&node.kind, Kind::Binary(binary) if binary.function == Of2::Add);
    let is_plain = graph.value(a).shape == graph.value(b).shape;
    (is_sum && is_plain).then_some([a, b, to])
}
