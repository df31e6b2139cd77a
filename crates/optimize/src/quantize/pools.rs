//! Average pools over a whole image as means: TensorFlow Lite gives these a scale of their own, and no pool.

use graph::{Graph, Kind};
use runtime::host::Activation;
use runtime::ops::mean::Mean;

/// The graph with a mean for every such pool.
pub(crate) fn as_means(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        let (Kind::AveragePool2d(pool), Some(&Some(input))) = (&node.kind, node.inputs.first())
        else {
            continue;
        };
        let shape = graph.value(input).shape;
        let window = &pool.window;
        let is_whole = window.padding == [0; 4] && window.kernel == [shape.dim(1), shape.dim(2)];
        if is_whole && pool.activation == Activation::None {
            graph.nodes[index].kind = Mean { first: 1, last: 2 }.into();
        }
    }
    graph
}
