//! The scale of every activation: from what was seen, from what the operator always gives, and
//! aligned where sums gain by it.

use super::assign::Assignment;
use super::calibrate::Statistics;
use super::range::{self, Method, Scales};
use super::sums;
use graph::{DType, Graph, Kind, Quantization, ValueId};
use runtime::ops::binary::Function as Of2;
use runtime::ops::unary::Function;
use std::collections::HashMap;

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
    sums::settle(graph, assignment, &mut scales);
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
