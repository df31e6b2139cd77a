//! Half-precision weights: a file of half the size whose sums are still of single precision.

use ::half::f16;
use graph::{DType, Data, Graph, Kind, ValueId};
use std::collections::HashSet;

/// Rounds the float weights of convolutions and fully connected layers to the nearest half-precision numbers;
/// returns how many tensors were. Weights beyond the largest such number, 65,504, are left as they are, with all
/// others of their tensor. The compiler stores what is so rounded in two bytes each, where it is told to.
pub fn round_weights(graph: &mut Graph) -> usize {
    let weighted = graph.nodes.iter().filter(|node| {
        let has_weights = matches!(node.kind, Kind::Conv2d(_) | Kind::FullyConnected(_));
        let input = node.inputs.first().copied().flatten();
        has_weights && input.is_some_and(|id| graph.value(id).dtype == DType::F32)
    });
    let ids = weighted.filter_map(|node| node.inputs.get(1).copied().flatten());
    let ids: HashSet<ValueId> = ids.collect();
    let mut rounded = 0;
    for id in ids {
        let value = graph.value_mut(id);
        let Some(Data::F32(weights)) = &mut value.data else {
            continue;
        };
        let half = |weight: &f32| f16::from_f32(*weight).to_f32();
        if weights
            .iter()
            .any(|weight| weight.is_finite() && half(weight).is_infinite())
        {
            continue;
        }
        weights.iter_mut().for_each(|weight| *weight = half(weight));
        rounded += 1;
    }
    rounded
}

#[cfg(test)]
mod tests {
    use super::*;
    use graph::Shape;
    use runtime::ops::fully_connected::FullyConnected;

    fn layer(weights: &[f32]) -> (Graph, ValueId) {
        let mut graph = Graph::default();
        let shape = |dims: &[u32]| Shape::new(dims).unwrap();
        let x = graph.add_input("x", DType::F32, shape(&[1, 2]));
        let w = graph.add_constant("w", shape(&[1, 2]), Data::F32(weights.to_vec()));
        let y = graph.push("y", FullyConnected::default(), &[x, w]).unwrap()[0];
        graph.add_output("y", y);
        (graph, w)
    }

    #[test]
    fn weights_become_the_nearest_half_precision_numbers() {
        let (mut graph, w) = layer(&[0.1, -2.0]);
        assert_eq!(round_weights(&mut graph), 1);
        let expected = Data::F32(vec![0.099_975_586, -2.0]);
        assert_eq!(graph.value(w).data, Some(expected));
    }

    #[test]
    fn weights_out_of_range_stay() {
        let (mut graph, w) = layer(&[0.1, 70_000.0]);
        assert_eq!(round_weights(&mut graph), 0);
        assert_eq!(graph.value(w).data, Some(Data::F32(vec![0.1, 70_000.0])));
    }
}
