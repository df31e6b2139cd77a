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

#[cfg(test)]
mod tests {
    use super::*;
    use graph::{DType, Shape};
    use runtime::ops::Window2d;
    use runtime::ops::average_pool_2d::{AveragePool2d, Halves};

    /// The operator of a pool over an image of 4 by 4.
    fn made(window: Window2d, activation: Activation) -> &'static str {
        let mut graph = Graph::default();
        let shape = Shape::new(&[1, 4, 4, 2]).unwrap();
        let x = graph.add_input("x", DType::F32, shape);
        let pool = AveragePool2d {
            window,
            count_include_pad: false,
            halves: Halves::Away,
            activation,
        };
        let node = graph.make_node("pool", pool, vec![Some(x)]);
        graph.nodes.push(node.unwrap());
        as_means(&graph).nodes[0].kind.operator().name()
    }

    #[test]
    fn pools_of_whole_images_are_means() {
        let [whole, part] = [[4, 4], [2, 2]].map(Window2d::dense);
        assert_eq!(made(whole, Activation::None), "mean");
        assert_eq!(made(part, Activation::None), "average_pool_2d");
        assert_eq!(made(whole, Activation::Relu), "average_pool_2d");
    }
}
