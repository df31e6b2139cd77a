//! Scales around int8 sums, moved by a few thousandths of a percent to where the factors of sums are exact,
//! and where no sum that counts lies half way between two outputs. Executors that add real numbers, and
//! those that round halves elsewhere, then make the same integers.

use super::assign::Assignment;
use super::range::Scales;
use super::scales::fixed_scale;
use graph::{DType, Graph, Kind, Node, ValueId};
use runtime::ops::binary::{Function, sum_factors};
use std::collections::{HashMap, HashSet};

/// Below this a factor is coarse, and a scale is not to follow it.
const FINE: i32 = 1 << 12;

/// The largest factor of the file.
const LARGEST: i32 = 32_767;

/// Pairs of factors that are tried.
const TRIED: i32 = 64;

/// An operand of a sum.
#[derive(Clone, Copy)]
struct Part {
    group: ValueId,
    scale: f32,
    zero_point: i32,
}

/// Groups of values, and whether their scales are what they are to be.
struct Groups<'a> {
    assignment: &'a Assignment,
    scales: &'a mut HashMap<ValueId, Scales>,
    settled: HashSet<ValueId>,
}

impl Groups<'_> {
    fn part(&self, id: ValueId) -> Option<Part> {
        let group = self.assignment.group[id.0];
        let int8 = &self.scales.get(&id)?.int8;
        Some(Part {
            group,
            scale: int8.scale(0),
            zero_point: int8.zero_point,
        })
    }

    /// Gives a group its scale, unless it is settled; whether it has been given.
    fn settle(&mut self, group: ValueId, scale: f64) -> bool {
        if !self.settled.insert(group) {
            return false;
        }
        for (index, _) in self
            .assignment
            .group
            .iter()
            .enumerate()
            .filter(|(_, g)| **g == group)
        {
            if let Some(held) = self.scales.get_mut(&ValueId(index)) {
                held.int8.scales = vec![scale as f32];
            }
        }
        true
    }
}

/// Settles the scales of all sums, in their order. Inputs of the model and what has a fixed range stay.
pub(super) fn settle(
    graph: &Graph,
    assignment: &Assignment,
    scales: &mut HashMap<ValueId, Scales>,
) {
    let fixed = graph
        .nodes
        .iter()
        .filter(|node| fixed_scale(&node.kind).is_some());
    let fixed = fixed.flat_map(|node| node.outputs.iter().copied());
    let kept = graph.inputs.iter().map(|port| port.value).chain(fixed);
    let settled = kept.map(|id| assignment.group[id.0]).collect();
    let mut groups = Groups {
        assignment,
        scales,
        settled,
    };
    for (node, &dtype) in graph.nodes.iter().zip(&assignment.types) {
        if let (DType::I8, Some(values)) = (dtype, sum(graph, node)) {
            settle_one(&mut groups, values);
        }
    }
}

/// Operands and result of a sum of two tensors of one shape.
fn sum(graph: &Graph, node: &Node) -> Option<[ValueId; 3]> {
    let (&[Some(a), Some(b)], &[to]) = (&node.inputs[..], &node.outputs[..]) else {
        return None;
    };
    let is_sum = matches!(&node.kind, Kind::Binary(binary) if binary.function == Function::Add);
    let is_plain = graph.value(a).shape == graph.value(b).shape;
    (is_sum && is_plain).then_some([a, b, to])
}

fn settle_one(groups: &mut Groups<'_>, [a, b, to]: [ValueId; 3]) -> Option<()> {
    let [mut a, mut b, to] = [groups.part(a)?, groups.part(b)?, groups.part(to)?];
    if groups.settled.contains(&b.group) {
        (a, b) = (b, a);
    }
    let (factors, shift) = sum_factors([a.scale, b.scale], to.scale)?;
    if to.group == a.group || to.group == b.group || factors.iter().any(|&f| f < FINE) {
        return None;
    }
    let [fa, fb] = without_halves(factors, shift, [a.zero_point, b.zero_point]);
    let unit = 2f64.powi(i32::from(shift));
    // The result follows the first operand, or that the result; the second operand follows the result.
    let mut result = f64::from(a.scale) * unit / f64::from(fa);
    if !groups.settle(to.group, result) {
        result = f64::from(to.scale);
        groups.settle(a.group, result * f64::from(fa) / unit);
    }
    groups.settled.insert(a.group);
    groups.settle(b.group, result * f64::from(fb) / unit);
    Some(())
}

/// Factors in about the same ratio with which no two bytes have a sum half way between two outputs, or the
/// nearest odd ones.
fn without_halves([a, b]: [i32; 2], shift: u8, zero_points: [i32; 2]) -> [i32; 2] {
    let pair = |step: i32| {
        let first = (a | 1) + 2 * step;
        let second = (f64::from(b) * f64::from(first) / f64::from(a)).round() as i32 | 1;
        [first, second]
    };
    let fits = |pair: &[i32; 2]| pair.iter().all(|&factor| factor <= LARGEST);
    let pairs = (0..TRIED).map(pair).filter(fits);
    let found = pairs
        .clone()
        .find(|pair| !has_halves(*pair, shift, zero_points));
    found.or_else(|| pairs.clone().next()).unwrap_or([a, b])
}

/// Whether two bytes have a sum half way between two outputs.
fn has_halves([a, b]: [i32; 2], shift: u8, zero_points: [i32; 2]) -> bool {
    let half = (1 << shift) >> 1;
    let terms =
        |factor: i32, zero_point: i32| (-128..128).map(move |byte| (byte - zero_point) * factor);
    let reach = 256 << shift;
    terms(a, zero_points[0]).any(|x| {
        terms(b, zero_points[1]).any(|y| {
            let sum = x + y;
            sum.abs() < reach && sum & ((1 << shift) - 1) == half
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{has_halves, without_halves};

    #[test]
    fn factors_are_near_and_make_no_halves() {
        // 13,789 and 32,509 do, with these zero points.
        let zero_points = [-27, 13];
        assert!(has_halves([13_789, 32_509], 14, zero_points));
        let [a, b] = without_halves([13_789, 32_509], 14, zero_points);
        assert!(!has_halves([a, b], 14, zero_points));
        assert!((13_789..13_789 + 128).contains(&a), "{a}");
        assert!((f64::from(b) / f64::from(a) - 32_509.0 / 13_789.0).abs() < 1e-4);
        // One odd factor for both never does.
        assert_eq!(
            without_halves([20_000, 20_000], 15, [0, 9]),
            [20_001, 20_001]
        );
    }
}
