//! Operators with int16 activations against the same operators in floats: every node of a small graph
//! must have an int16 form, far nearer than int8 could be.

use crate::net::{self, Net, fidelity, noise, quantized};
use graph::{DType, ValueId};

use optimize::quantize::Activations;
use runtime::host::Activation;
use runtime::ops::Window2d;
use runtime::ops::average_pool_2d::{AveragePool2d, Halves};
use runtime::ops::layer_norm::LayerNorm;
use runtime::ops::mat_mul::MatMul;
use runtime::ops::max_pool_2d::MaxPool2d;
use runtime::ops::mean::Mean;
use runtime::ops::pad::Pad;
use runtime::ops::reduce::Function as Fold;
use runtime::ops::resample::Resample;
use runtime::ops::resample_2d::Resample2d;
use runtime::ops::softmax::Softmax;
use runtime::ops::unary::Function;

fn average(padding: [usize; 4]) -> AveragePool2d {
    AveragePool2d {
        window: Window2d {
            padding,
            ..Window2d::dense([2, 2])
        },
        count_include_pad: false,
        halves: Halves::Away,
        activation: Activation::None,
    }
}

/// Positions and weights that double an axis of four.
fn doubled(net: &mut Net) -> [ValueId; 2] {
    let rows = (0..8).flat_map(|i| [i / 2, (i / 2 + 1).min(3)]).collect();
    let shares = (0..8).flat_map(|i| [1.0 - 0.25 * (i % 2) as f32, 0.25 * (i % 2) as f32]);
    let shares = shares.collect();
    [net.positions(&[8, 2], rows), net.constant(&[8, 2], shares)]
}

#[test]
fn operators_have_int16_forms() {
    type Make = fn(&mut Net, ValueId) -> ValueId;
    let cases: [(&str, f64, Make); 14] = [
        ("average_pool_2d", 80.0, |net, x| {
            net.push(average([0; 4]), &[x])
        }),
        ("average_pool_2d padded", 80.0, |net, x| {
            net.push(average([1; 4]), &[x])
        }),
        ("max_pool_2d", 80.0, |net, x| {
            let (window, activation) = (Window2d::dense([2, 2]), Activation::None);
            net.push(MaxPool2d { window, activation }, &[x])
        }),
        ("mean", 80.0, |net, x| {
            net.push(Mean { first: 1, last: 2 }, &[x])
        }),
        ("pad", 80.0, |net, x| {
            let amounts = vec![[0, 0], [1, 2], [0, 1], [0, 0]];
            let value = 0.5;
            net.push(Pad { amounts, value }, &[x])
        }),
        ("reduce_sum", 80.0, |net, x| net.reduce(Fold::Sum, 1, 2, x)),
        ("layer_norm", 80.0, |net, x| {
            let (gamma, beta) = (
                net.constant(&[4], noise(4, 7)),
                net.constant(&[4], noise(4, 8)),
            );
            let (first, epsilon) = (3, 1e-5);
            net.push(LayerNorm { first, epsilon }, &[x, gamma, beta])
        }),
        ("mat_mul", 70.0, |net, x| net.push(MatMul, &[x, x])),
        // Its exponentials are straight lines between 512 points.
        ("softmax", 60.0, |net, x| net.push(Softmax, &[x])),
        ("relu", 80.0, |net, x| net.unary(Function::Relu, x)),
        ("leaky_relu", 80.0, |net, x| {
            net.unary(Function::LeakyRelu(0.3), x)
        }),
        ("abs", 80.0, |net, x| net.unary(Function::Abs, x)),
        ("resample", 60.0, |net, x| {
            let [positions, weights] = doubled(net);
            net.push(Resample { axis: 1 }, &[x, positions, weights])
        }),
        ("resample_2d", 60.0, |net, x| {
            let ([a, b], [c, d]) = (doubled(net), doubled(net));
            net.push(Resample2d { axes: [1, 2] }, &[x, a, b, c, d])
        }),
    ];
    for (name, least, make) in cases {
        let mut net = Net::new();
        let x = net.input(&[1, 4, 4, 4]);
        let y = make(&mut net, x);
        let graph = net.output(y);
        let integer = quantized(&graph, Activations::Int16);
        for node in &integer.graph.nodes {
            let made = integer.graph.value(node.outputs[0]).dtype;
            assert_eq!(made, DType::I16, "{name}: '{}'", node.name);
        }
        let db = fidelity(&graph, Activations::Int16);
        println!("{name}: {db:.1} dB");
        assert!(db > least, "{name}: {db:.1} dB");
    }
}

/// A node by name in int16, among others in int8, with conversions between.
#[test]
fn some_nodes_run_in_int16() {
    let mut net = Net::new();
    let (x, c) = (net.input(&[4, 4]), net.constant(&[4, 4], noise(16, 3)));
    let product = net.push(MatMul, &[x, x]);
    let y = net.binary(runtime::ops::binary::Function::Add, product, c);
    let graph = net.output(y);
    let first = graph.nodes[0].name.clone();
    let types = |wide: &str| -> Vec<DType> {
        let integer = net::quantized_with(&graph, Activations::Int8, &|name| name == wide);
        assert_eq!(integer.float, []);
        let nodes = integer.graph.nodes.iter();
        nodes
            .map(|node| integer.graph.value(node.outputs[0]).dtype)
            .collect()
    };
    assert_eq!(types("none"), [DType::I8; 2]);
    assert_eq!(types(&first), [DType::I16, DType::I8, DType::I8]);
}
