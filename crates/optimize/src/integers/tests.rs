use super::*;
use crate::run as all;
use graph::{Data, Shape};
use runtime::host::Runner;
use runtime::ops::Window2d;
use runtime::ops::average_pool_2d::{AveragePool2d, Halves};
use runtime::ops::binary::{Binary, Function as Of2};
use runtime::ops::concat::Concat;
use runtime::ops::conv_2d::Conv2d;
use runtime::ops::fully_connected::FullyConnected;
use runtime::ops::max_pool_2d::MaxPool2d;
use runtime::ops::quantize::Quantize;
use runtime::ops::reshape::Reshape;
use runtime::ops::softmax::Softmax;
use runtime::ops::transpose::Transpose;
use runtime::ops::unary::{Function as Of1, Unary};

/// A graph as importers make it: float operators, with everything quantized and dequantized between them.
#[derive(Default)]
struct Net(Graph);

fn shape(dims: &[u32]) -> Shape {
    Shape::new(dims).unwrap()
}

impl Net {
    fn new() -> Self {
        Net(Graph {
            simulates_integers: true,
            ..Graph::default()
        })
    }

    fn input(&mut self, dims: &[u32]) -> ValueId {
        self.0.add_input("x", DType::F32, shape(dims))
    }

    fn push(&mut self, kind: impl Into<Kind>, inputs: &[ValueId]) -> ValueId {
        let kind = kind.into();
        let name = format!("{}-{}", kind.operator().name(), self.0.nodes.len());
        self.0.push(name, kind, inputs).unwrap()[0]
    }

    /// The value in steps, as real numbers.
    fn stepped(&mut self, x: ValueId, scale: f32, zero_point: i32) -> ValueId {
        let integers = self.push(Quantize { dtype: DType::I8 }, &[x]);
        let steps = Quantization::per_tensor(scale, zero_point);
        self.0.value_mut(integers).quantization = Some(steps);
        self.push(Dequantize, &[integers])
    }

    /// Floats that are whole numbers of steps.
    fn constant(&mut self, dims: &[u32], whole: &[i32], scale: f32) -> ValueId {
        let real = whole.iter().map(|&v| v as f32 * scale).collect();
        let id = self.0.add_constant("c", shape(dims), Data::F32(real));
        self.0.value_mut(id).quantization = Some(Quantization::per_tensor(scale, 0));
        id
    }

    /// The operators of the graph after all passes, each with the type that it makes.
    fn made(mut self, output: ValueId) -> (Graph, Vec<String>) {
        self.0.add_output("y", output);
        all(&mut self.0, |_| true).unwrap();
        let name = |node: &Node| {
            let made = self.0.value(node.outputs[0]).dtype;
            format!("{} {made}", node.kind.operator().name())
        };
        let names = self.0.nodes.iter().map(name).collect();
        (self.0, names)
    }
}

fn conv(kernel: [usize; 2]) -> Conv2d {
    Conv2d {
        window: Window2d::dense(kernel),
        groups: 1,
        activation: Activation::None,
    }
}

const RELU: Unary = Unary {
    function: Of1::Relu,
};

fn sum() -> Binary {
    Binary {
        function: Of2::Add,
        activation: Activation::None,
    }
}

fn turned(axes: &[usize]) -> Transpose {
    Transpose {
        permutation: axes.to_vec(),
    }
}

/// Images come with channels first; the convolution, its bias and its activation become one node.
#[test]
fn a_layer_between_transposes_becomes_one_of_integers() {
    let mut net = Net::new();
    let x = net.input(&[1, 2, 2, 2]);
    let x = net.stepped(x, 0.5, 3);
    let x = net.push(turned(&[0, 2, 3, 1]), &[x]);
    let weights = net.constant(&[2, 1, 1, 2], &[-7, 127, 5, 0], 0.25);
    let bias = net.constant(&[2], &[5, -9], 0.125);
    let y = net.push(conv([1, 1]), &[x, weights, bias]);
    let y = net.push(turned(&[0, 3, 1, 2]), &[y]);
    let y = net.push(RELU, &[y]);
    let y = net.stepped(y, 0.25, -128);
    let (graph, names) = net.made(y);
    assert_eq!(names, ["conv_2d int8"]);
    let node = &graph.nodes[0];
    let Kind::Conv2d(conv) = &node.kind else {
        panic!("{graph}")
    };
    assert_eq!(conv.activation, Activation::Relu);
    let weights = graph.value(node.inputs[1].unwrap());
    assert_eq!(weights.data, Some(Data::I8(vec![-7, 127, 5, 0])));
    assert_eq!(
        weights.quantization,
        Some(Quantization::per_tensor(0.25, 0))
    );
    for port in [&graph.inputs[0], &graph.outputs[0]] {
        assert_eq!(graph.value(port.value).dtype, DType::I8);
        assert_eq!(port.axes, [0, 2, 3, 1]);
    }
}

/// Batch normalization that was left behind a layer takes the steps of its weights along.
#[test]
fn factors_scale_the_steps_of_weights() {
    let mut net = Net::new();
    let x = net.input(&[1, 1]);
    let x = net.stepped(x, 0.5, 0);
    let weights = net.constant(&[2, 1], &[-7, 127], 0.25);
    let y = net.push(FullyConnected::default(), &[x, weights]);
    let factors = Data::F32(vec![2.0, -0.5]);
    let factors = net.0.add_constant("f", shape(&[2]), factors);
    let product = Binary {
        function: Of2::Mul,
        activation: Activation::None,
    };
    let y = net.push(product, &[y, factors]);
    let y = net.stepped(y, 0.25, 0);
    let (graph, names) = net.made(y);
    assert_eq!(names, ["fully_connected int8"]);
    let weights = graph.value(graph.nodes[0].inputs[1].unwrap());
    assert_eq!(weights.data, Some(Data::I8(vec![-7, -127])));
    let steps = weights.quantization.clone().unwrap();
    assert_eq!((steps.scales, steps.axis), (vec![0.5, 0.125], Some(0)));
}

/// Pools and reshapes keep their input's steps; what the file rescales behind them is rescaled there.
#[test]
fn what_moves_elements_runs_on_integers() {
    let mut net = Net::new();
    let x = net.input(&[1, 2, 2, 1]);
    let x = net.stepped(x, 0.5, 3);
    let pool = MaxPool2d {
        window: Window2d::dense([1, 2]),
        activation: Activation::None,
    };
    let y = net.push(pool, &[x]);
    let y = net.stepped(y, 0.5, 3);
    let y = net.push(
        Reshape {
            shape: shape(&[1, 2]),
        },
        &[y],
    );
    let y = net.stepped(y, 0.75, 0);
    let (graph, names) = net.made(y);
    assert_eq!(names, ["max_pool_2d int8", "quantize int8", "reshape int8"]);
    let rescaled = graph.value(graph.nodes[1].outputs[0]);
    assert_eq!(
        rescaled.quantization,
        Some(Quantization::per_tensor(0.75, 0))
    );
}

#[test]
fn parts_get_the_scale_of_the_whole() {
    let mut net = Net::new();
    let x = net.input(&[1, 2]);
    let [a, b] = [net.stepped(x, 0.5, 3), net.stepped(x, 0.25, 0)];
    let y = net.push(Concat { axis: 1 }, &[a, b]);
    let y = net.stepped(y, 0.5, 3);
    let (graph, names) = net.made(y);
    let expected = [
        "quantize int8",
        "quantize int8",
        "quantize int8",
        "concat int8",
    ];
    assert_eq!(names, expected, "{graph}");
    for &part in graph.nodes[3].inputs.iter().flatten() {
        let steps = &graph.value(part).quantization;
        assert_eq!(*steps, Some(Quantization::per_tensor(0.5, 3)));
    }
}

/// Softmax of int8 makes integers of any scale.
#[test]
fn shares_have_the_scale_of_the_file() {
    let mut net = Net::new();
    let x = net.input(&[1, 2]);
    let x = net.stepped(x, 0.5, 3);
    let y = net.push(Softmax, &[x]);
    let y = net.stepped(y, 1.0 / 255.0, -128);
    assert_eq!(net.made(y).1, ["softmax int8"]);
}

/// A sum with a constant that remembers its integers; the mean has a scale of its own.
#[test]
fn sums_and_means() {
    let mut net = Net::new();
    let x = net.input(&[1, 2, 2, 2]);
    let x = net.stepped(x, 0.5, 3);
    let addend = net.constant(&[2], &[-3, 200], 0.25);
    let y = net.push(sum(), &[x, addend]);
    let y = net.stepped(y, 0.5, 0);
    let pool = AveragePool2d {
        window: Window2d::dense([2, 2]),
        count_include_pad: false,
        halves: Halves::Away,
        activation: Activation::None,
    };
    let y = net.push(pool, &[y]);
    let y = net.stepped(y, 0.125, 0);
    let (graph, names) = net.made(y);
    assert_eq!(names, ["add int8", "average_pool_2d int8"]);
    let addend = graph.value(graph.nodes[0].inputs[1].unwrap());
    // 200 steps do not fit: zero moves to where they do.
    assert_eq!(addend.data, Some(Data::I8(vec![-76, 127])));
    assert_eq!(
        addend.quantization,
        Some(Quantization::per_tensor(0.25, -73))
    );
}

#[test]
fn what_stays_in_float_has_a_reason() {
    let reason = |whole: &[i32], is_quantized: bool| {
        let mut net = Net::new();
        let x = net.input(&[1, 1]);
        let x = net.stepped(x, 0.5, 0);
        let weights = net.constant(&[2, 1], whole, 0.25);
        let mut y = net.push(FullyConnected::default(), &[x, weights]);
        if is_quantized {
            y = net.stepped(y, 0.5, 0);
        }
        let graph = net.made(y).0;
        let nodes = float_nodes(&graph);
        assert_eq!(nodes.len(), 1, "{graph}");
        nodes[0].reason.clone()
    };
    let wide = reason(&[-7, 900], true);
    assert!(wide.contains("900 steps"), "{wide}");
    let open = reason(&[-7, 127], false);
    assert!(open.contains("result is not quantized"), "{open}");
}

/// Bytes around a number that is not in their middle need 9 bits: they are multiplied in parts, by groups of
/// channels.
#[test]
fn weights_of_nine_bits_are_multiplied_in_parts() {
    let mut net = Net::new();
    let x = net.input(&[1, 1, 2, 4]);
    let x = net.stepped(x, 0.5, 3);
    let whole = [200, -255, 255, 5, 7, -1, 100, 131];
    let weights = net.constant(&[4, 1, 1, 2], &whole, 0.25);
    let groups = Conv2d {
        groups: 2,
        ..conv([1, 1])
    };
    let y = net.push(groups, &[x, weights]);
    let y = net.stepped(y, 2.0, 0);
    let (graph, names) = net.made(y);
    let repeated = [
        "reshape int8",
        "concat int8",
        "reshape int8",
        "conv_2d int8",
    ];
    assert_eq!(names, repeated, "{graph}");
    let options = compile::Options {
        rounding: Rounding::Single,
        ..compile::Options::default()
    };
    let compiled = compile::compile(&graph, &options).unwrap();
    let mut runner = Runner::new(&compiled.bytes).unwrap();
    let x: [i8; 8] = [3, -90, 7, 60, 127, -128, 0, 11];
    let mut session = runner.session().unwrap();
    session.set_input(0, &x.map(|byte| byte as u8)).unwrap();
    session.run();
    let mut found = vec![0; 8];
    session.output(0, &mut found).unwrap();
    let mut expected = Vec::new();
    for pixel in x.chunks(4) {
        for output in 0..4 {
            let of = |tap: usize| {
                let integer = i32::from(pixel[output / 2 * 2 + tap]) - 3;
                whole[output * 2 + tap] * integer
            };
            // Steps of a half by steps of a quarter, in steps of two.
            let real = f64::from(of(0) + of(1)) / 16.0;
            expected.push((real + 0.5).floor().clamp(-128.0, 127.0) as i8 as u8);
        }
    }
    assert_eq!(found, expected);
}

/// Weights that are all zero have any scale, and may have one that their bias does not fit.
#[test]
fn a_dead_channel_gets_a_scale_that_its_bias_fits() {
    let mut net = Net::new();
    let x = net.input(&[1, 1]);
    let x = net.stepped(x, 0.5, 0);
    let weights = net.constant(&[2, 1], &[0, 127], 0.25);
    net.0.value_mut(weights).quantization = Some(Quantization {
        scales: vec![1e-12, 0.25],
        zero_point: 0,
        axis: Some(0),
    });
    let bias = net.constant(&[2], &[8, 8], 0.125);
    let y = net.push(FullyConnected::default(), &[x, weights, bias]);
    let y = net.stepped(y, 0.5, 0);
    let (graph, names) = net.made(y);
    assert_eq!(names, ["fully_connected int8"]);
    let weights = graph.value(graph.nodes[0].inputs[1].unwrap());
    assert_eq!(weights.quantization.clone().unwrap().scales, [0.25, 0.25]);
}

/// Graphs of other files say themselves what is of integers.
#[test]
fn other_graphs_stay() {
    let mut net = Net::new();
    net.0.simulates_integers = false;
    let x = net.input(&[1, 2]);
    let x = net.stepped(x, 0.5, 3);
    let y = net.push(RELU, &[x]);
    let y = net.stepped(y, 0.5, 3);
    let names = net.made(y).1;
    assert_eq!(
        names,
        [
            "quantize int8",
            "dequantize f32",
            "relu f32",
            "quantize int8",
            "dequantize f32"
        ]
    );
}
