//! First layers in stripes answer as they do whole, to the bit, and take less memory.

use compile::{Compiled, Options, compile};
use graph::{DType, Data, Graph, Quantization, Shape, ValueId};
use optimize::patches::patch;
use proptest::prelude::*;
use runtime::host::{Activation, Runner};
use runtime::ops::Window2d;
use runtime::ops::binary::{Binary, Function};
use runtime::ops::conv_2d::Conv2d;
use runtime::ops::max_pool_2d::MaxPool2d;

/// A layer of a network.
#[derive(Clone, Copy, Debug)]
enum Layer {
    /// Window, step, rows and columns around, outputs.
    Conv(usize, usize, usize, u32),
    /// Window, step, rows and columns around.
    Depthwise(usize, usize, usize),
    /// Window, step.
    Pool(usize, usize),
    /// The sum with the first value of the same shape.
    Add,
}

fn layers() -> impl Strategy<Value = Layer> {
    prop_oneof![
        (1usize..5, 1usize..3, 0usize..3, 2u32..9).prop_map(|(k, s, p, o)| Layer::Conv(k, s, p, o)),
        (2usize..4, 1usize..3, 0usize..2).prop_map(|(k, s, p)| Layer::Depthwise(k, s, p)),
        (2usize..4, 1usize..3).prop_map(|(k, s)| Layer::Pool(k, s)),
        Just(Layer::Add),
    ]
}

struct Net {
    graph: Graph,
    values: Vec<ValueId>,
}

impl Net {
    fn last(&self) -> (ValueId, Shape) {
        let last = *self.values.last().unwrap();
        (last, self.graph.value(last).shape)
    }

    fn push(&mut self, kind: impl Into<graph::Kind>, inputs: &[ValueId], step: (f32, i32)) {
        let name = format!("n{}", self.values.len());
        // A window that does not fit the rows that are left is left out.
        let Ok(made) = self.graph.push(name, kind, inputs) else {
            return;
        };
        let quantization = Quantization::per_tensor(step.0, step.1);
        self.graph.value_mut(made[0]).quantization = Some(quantization);
        self.values.push(made[0]);
    }

    fn convolve(&mut self, window: Window2d, outputs: u32, groups: usize) {
        let (input, shape) = self.last();
        let [height, width] = window.kernel.map(|size| size as u32);
        let dims = [outputs, height, width, (shape.dim(3) / groups) as u32];
        let count: u32 = dims.iter().product();
        let number = |i: u32| ((i.wrapping_mul(2_654_435_761) >> 24) as i8).max(-127);
        let data = Data::I8((0..count).map(number).collect());
        let dims = Shape::new(&dims).unwrap();
        let weights = self.graph.add_constant("w", dims, data);
        self.graph.value_mut(weights).quantization = Some(Quantization {
            scales: (0..outputs).map(|i| 0.004 + i as f32 / 9_000.0).collect(),
            zero_point: 0,
            axis: Some(0),
        });
        let activation = Activation::None;
        let conv = Conv2d {
            window,
            groups,
            activation,
        };
        self.push(conv, &[input, weights], (0.4, -1));
    }

    fn add(&mut self, layer: Layer) {
        let (last, shape) = self.last();
        let channels = shape.dim(3);
        let window = |kernel: usize, stride: usize, padding: usize| Window2d {
            stride: [stride; 2],
            padding: [padding.min(kernel - 1); 4],
            ..Window2d::dense([kernel; 2])
        };
        match layer {
            Layer::Conv(k, s, p, outputs) => self.convolve(window(k, s, p), outputs, 1),
            Layer::Depthwise(k, s, p) => {
                self.convolve(window(k, s, p), channels as u32, channels);
            }
            Layer::Pool(k, s) => {
                let window = window(k, s, 0);
                let activation = Activation::None;
                let value = self.graph.value(last).quantization.clone().unwrap();
                let step = (value.scales[0], value.zero_point);
                self.push(MaxPool2d { window, activation }, &[last], step);
            }
            Layer::Add => {
                let same = |id: &&ValueId| self.graph.value(**id).shape == shape;
                let other = *self.values.iter().find(same).unwrap();
                let (function, activation) = (Function::Add, Activation::None);
                let sum = Binary {
                    function,
                    activation,
                };
                self.push(sum, &[other, last], (0.5, 2));
            }
        }
    }
}

fn network(image: [u32; 3], layers: &[Layer]) -> Graph {
    let mut graph = Graph::default();
    let [rows, columns, channels] = image;
    let shape = Shape::new(&[1, rows, columns, channels]).unwrap();
    let x = graph.add_input("x", DType::I8, shape);
    graph.value_mut(x).quantization = Some(Quantization::per_tensor(0.1, 3));
    let values = vec![x];
    let mut net = Net { graph, values };
    layers.iter().for_each(|&layer| net.add(layer));
    let (last, _) = net.last();
    net.graph.add_output("y", last);
    net.graph.remove_dead();
    net.graph
}

/// Fewer orders than usual: every layer is tried as the last one.
fn options() -> Options {
    Options {
        effort: 40,
        ..Options::default()
    }
}

fn compiled(graph: &Graph) -> Compiled {
    compile(graph, &options()).unwrap()
}

fn answer(file: &[u8], threads: usize) -> Vec<u8> {
    let mut runner = Runner::new(file).unwrap().with_threads(threads).unwrap();
    let mut session = runner.session().unwrap();
    let bytes = session.model().input(0).unwrap().bytes();
    let input: Vec<u8> = (0..bytes).map(|i| (i * 7919 % 251) as u8).collect();
    session.set_input(0, &input).unwrap();
    session.run();
    let mut output = vec![0; session.model().output(0).unwrap().bytes()];
    session.output(0, &mut output).unwrap();
    output
}

/// Patches the graph, and compares: memory before and after, where there is a difference.
fn check(graph: &Graph, stripes: usize) -> Option<[usize; 2]> {
    let whole = compiled(graph);
    let patched = patch(graph, stripes, whole.arena_bytes, &options()).unwrap()?;
    let parts = compiled(&patched.graph);
    assert_eq!(parts.arena_bytes, patched.ram_bytes);
    let expected = answer(&whole.bytes, 1);
    assert!(answer(&parts.bytes, 1) == expected, "{graph}");
    assert!(answer(&parts.bytes, 2) == expected, "{graph}");
    Some([whole.arena_bytes, parts.arena_bytes])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn random_networks_answer_the_same(
        image in [6u32..24, 3u32..12, 1u32..6],
        layers in proptest::collection::vec(layers(), 1..7),
        stripes in 2usize..6,
    ) {
        let graph = network(image, &layers);
        if let Some([before, after]) = check(&graph, stripes) {
            prop_assert!(after < before);
        }
    }
}

/// Wide values between a small input and a small output are never whole.
#[test]
fn stripes_save_memory_and_share_weights() {
    let layers = [
        Layer::Conv(3, 1, 1, 32),
        Layer::Conv(1, 1, 0, 32),
        Layer::Add,
        Layer::Conv(3, 2, 1, 8),
        Layer::Conv(3, 2, 1, 8),
    ];
    let graph = network([32, 32, 3], &layers);
    let [before, after] = check(&graph, 4).unwrap();
    assert!(after * 2 < before, "{before} -> {after}");
    let patched = patch(&graph, 4, before, &options()).unwrap().unwrap();
    let (whole, parts) = (compiled(&graph), compiled(&patched.graph));
    let constants = |compiled: &Compiled| {
        let runner = Runner::new(&compiled.bytes).unwrap();
        runner.model().unwrap().constants().len()
    };
    assert_eq!(constants(&whole), constants(&parts));
    // Slices and the joined rows are where their wholes are.
    let copies = ["slice", "concat"];
    let copied = |node: &compile::PlanNode| copies.contains(&node.operator);
    assert!(!parts.plan.iter().any(copied));
}

#[test]
fn nothing_is_changed_where_nothing_is_saved() {
    let graph = network(
        [16, 8, 4],
        &[Layer::Conv(1, 1, 0, 4), Layer::Conv(1, 1, 0, 4)],
    );
    let whole = compiled(&graph).arena_bytes;
    assert_eq!(patch(&graph, 4, whole, &options()).unwrap(), None);
}
