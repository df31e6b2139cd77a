//! Operators in integers against the same operators in floats: every node of a small graph must have
//! an integer form, and its results must be near the float ones.

mod int16;
mod net;

use graph::{DType, Kind};
use net::{Net, assert_close, fidelity, noise, quantized, run, samples, shape};
use optimize::quantize::Activations;
use runtime::ops::binary::{Function, sum_factors};
use runtime::ops::choose::Choose;
use runtime::ops::compare::{Compare, Relation};
use runtime::ops::concat::Concat;
use runtime::ops::cumulate::Cumulate;
use runtime::ops::extreme::Extreme;
use runtime::ops::gather::Gather;
use runtime::ops::gather_elements::GatherElements;
use runtime::ops::mat_mul::MatMul;
use runtime::ops::mean::Mean;
use runtime::ops::reduce::{Function as Fold, Reduce};
use runtime::ops::resample::Resample;
use runtime::ops::resample_2d::Resample2d;
use runtime::ops::slice::Slice;
use runtime::ops::top_k::TopK;
use runtime::ops::transpose::Transpose;
use runtime::ops::unary::Function as Of1;

#[test]
fn elements_move_in_integers() {
    type Make = fn(&mut Net, graph::ValueId) -> graph::ValueId;
    let cases: [(&str, Make); 5] = [
        ("gather", |net, x| {
            // 9 is outside: a zero.
            let at = net.positions(&[5], vec![2, 0, -1, 9, 1]);
            net.push(Gather { axis: 1 }, &[x, at])
        }),
        ("gather_elements", |net, x| {
            let at = net.positions(&[2, 3, 4], (0..24).map(|i| i % 3).collect());
            net.push(GatherElements { axis: 1 }, &[x, at])
        }),
        ("slice", |net, x| {
            let (starts, steps, sizes) = (vec![0, 1, 0], vec![1, 1, 2], vec![2, 2, 2]);
            net.push(
                Slice {
                    starts,
                    steps,
                    sizes,
                },
                &[x],
            )
        }),
        ("reduce_max", |net, x| net.reduce(Fold::Max, 1, 1, x)),
        ("reduce_min", |net, x| net.reduce(Fold::Min, 1, 2, x)),
    ];
    for (name, make) in cases {
        for activations in [Activations::Int8, Activations::Int16] {
            let mut net = Net::new();
            let x = net.input(&[2, 3, 4]);
            // A range that is not symmetric: zero points count.
            let x = net.unary(Of1::Clip(-0.4, 1.0), x);
            let y = make(&mut net, x);
            let db = fidelity(&net.output(y), activations);
            assert!(db > 40.0, "{name} {activations}: {db:.1} dB");
        }
    }
}

/// A sigmoid's scale covers 0 to 1, which is not to clip what is beside it.
#[test]
fn fixed_ranges_do_not_clip_others() {
    type Make = fn(&mut Net, [graph::ValueId; 2]) -> graph::ValueId;
    let cases: [(&str, Make); 4] = [
        ("min", |net, [s, x]| net.binary(Function::Min, s, x)),
        ("max", |net, [s, x]| net.binary(Function::Max, x, s)),
        ("concat", |net, [s, x]| {
            net.push(Concat { axis: 1 }, &[x, s])
        }),
        ("concat a constant", |net, [s, _]| {
            let c = net.constant(&[2, 1], vec![-3.0, 2.0]);
            let rest = net.push(Concat { axis: 1 }, &[s, c]);
            net.push(Concat { axis: 1 }, &[rest, s])
        }),
    ];
    for (name, make) in cases {
        for activations in [Activations::Int8, Activations::Int16] {
            let mut net = Net::new();
            let x = net.input(&[2, 8]);
            let three = net.constant(&[1], vec![3.0]);
            let x = net.binary(Function::Mul, x, three);
            let s = net.unary(Of1::Sigmoid, x);
            let y = make(&mut net, [s, x]);
            let db = fidelity(&net.output(y), activations);
            assert!(db > 30.0, "{name} {activations}: {db:.1} dB");
        }
    }
}

/// Where all have the same fixed range, nothing is converted.
#[test]
fn equal_fixed_ranges_stay_one() {
    let mut net = Net::new();
    let x = net.input(&[2, 8]);
    let (s, t) = (net.unary(Of1::Sigmoid, x), net.unary(Of1::Neg, x));
    let t = net.unary(Of1::Sigmoid, t);
    let y = net.push(Concat { axis: 1 }, &[s, t]);
    let graph = net.output(y);
    let made = quantized(&graph, Activations::Int8).graph;
    assert_eq!(made.nodes.len(), graph.nodes.len(), "{made}");
}

/// The factors of a chain of sums are whole numbers but for the last bits of scales, and odd.
#[test]
fn sums_have_exact_factors() {
    let mut net = Net::new();
    let x = net.input(&[2, 8]);
    let [a, b, c] = [(-0.4, 1.0), (-1.0, 0.3), (-0.2, 0.7)]
        .map(|(low, high)| net.unary(Of1::Clip(low, high), x));
    let y = net.binary(Function::Add, a, b);
    let y = net.binary(Function::Add, y, c);
    let made = quantized(&net.output(y), Activations::Int8).graph;
    let sums = made.nodes.iter();
    let sums: Vec<_> = sums
        .filter(|node| matches!(node.kind, Kind::Binary(_)))
        .collect();
    assert_eq!(sums.len(), 2, "{made}");
    for node in sums {
        let scale = |id| made.value(id).quantization.as_ref().unwrap().scale(0);
        let operands = [0, 1].map(|operand| scale(node.inputs[operand].unwrap()));
        let to = scale(node.outputs[0]);
        let (factors, shift) = sum_factors(operands, to).unwrap();
        for (factor, operand) in factors.into_iter().zip(operands) {
            let ratio = f64::from(operand) / f64::from(to);
            let real = ratio * 2f64.powi(shift.into());
            assert!((real - f64::from(factor)).abs() < 0.01, "{real}");
            assert_eq!(factor % 2, 1);
        }
    }
}

#[test]
fn sums_over_axes_in_integers() {
    let mut net = Net::new();
    let x = net.input(&[2, 3, 4]);
    let y = net.reduce(Fold::Sum, 1, 1, x);
    assert_close("reduce_sum", &net.output(y), 38.0);
}

#[test]
fn tables_are_picked_from_in_integers() {
    let mut net = Net::new();
    let table = net.constant(&[10, 4], noise(40, 3));
    let at = net.whole_input(&[3]);
    let rows = net.push(Gather { axis: 0 }, &[table, at]);
    let x = net.input(&[4]);
    let y = net.binary(Function::Add, rows, x);
    assert_close("embedding", &net.output(y), 38.0);
}

#[test]
fn positions_of_extremes_are_found_in_integers() {
    let mut net = Net::new();
    let x = net.input(&[3, 7]);
    let largest = Extreme {
        axis: 1,
        largest: true,
        last: false,
    };
    let y = net.push(largest, &[x]);
    let graph = net.output(y);
    let integer = quantized(&graph, Activations::Int8);
    assert_eq!(integer.float, []);
    assert_eq!(
        integer.graph.value(integer.graph.inputs[0].value).dtype,
        DType::I8
    );
    for sample in samples(&graph, 8) {
        assert_eq!(run(&graph, &sample), run(&integer.graph, &sample));
    }
}

#[test]
fn two_tensors_of_any_shapes_in_integers() {
    use Function::{Add, Max, Min, Mul, Sub};
    for function in [Add, Sub, Mul, Min, Max] {
        for dims in [&[2, 3, 4][..], &[4], &[3, 1]] {
            let mut net = Net::new();
            let (a, b) = (net.input(&[2, 3, 4]), net.input(dims));
            let y = net.binary(function, a, b);
            let graph = net.output(y);
            assert_close(&format!("{function:?} {dims:?}"), &graph, 35.0);
            let db = fidelity(&graph, Activations::Int16);
            assert!(db > 80.0, "int16 {function:?} {dims:?}: {db:.1} dB");
        }
    }
}

#[test]
fn constants_are_one_side_in_integers() {
    use Function::{Add, Div, Max, Min, Mul, Sub};
    for function in [Add, Sub, Mul, Min, Max, Div] {
        for dims in [&[][..], &[4], &[2, 3, 4]] {
            let mut net = Net::new();
            let x = net.input(&[2, 3, 4]);
            let count = shape(dims).elements();
            let values = noise(count, 5).iter().map(|v| 1.5 + v).collect();
            let c = net.constant(dims, values);
            let y = net.binary(function, x, c);
            assert_close(&format!("{function:?} {dims:?}"), &net.output(y), 30.0);
            if function != Div {
                let mut net = Net::new();
                let x = net.input(&[2, 3, 4]);
                let c = net.constant(dims, noise(count, 6));
                let y = net.binary(function, c, x);
                assert_close(
                    &format!("constant {function:?} {dims:?}"),
                    &net.output(y),
                    30.0,
                );
            }
        }
    }
}

#[test]
fn quotients_in_integers() {
    for dims in [&[2, 3, 4][..], &[4], &[3, 1]] {
        let mut net = Net::new();
        let (a, b) = (net.input(&[2, 3, 4]), net.input(dims));
        let half = net.constant(&[], vec![1.5]);
        let b = net.binary(Function::Add, b, half);
        let y = net.binary(Function::Div, a, b);
        let graph = net.output(y);
        assert_close(&format!("Div {dims:?}"), &graph, 30.0);
        let db = fidelity(&graph, Activations::Int16);
        assert!(db > 75.0, "int16 Div {dims:?}: {db:.1} dB");
    }
}

/// Positive numbers to any power, and squares of differences.
#[test]
fn powers_and_squares_in_integers() {
    for dims in [&[2, 3, 4][..], &[4], &[3, 1]] {
        let mut net = Net::new();
        let (a, b) = (net.input(&[2, 3, 4]), net.input(dims));
        let half = net.constant(&[], vec![1.5]);
        let base = net.binary(Function::Add, a, half);
        let y = net.binary(Function::Pow, base, b);
        assert_close(&format!("Pow {dims:?}"), &net.output(y), 30.0);
        let mut net = Net::new();
        let (a, b) = (net.input(&[2, 3, 4]), net.input(dims));
        let y = net.binary(Function::SquaredDifference, a, b);
        assert_close(&format!("squares {dims:?}"), &net.output(y), 30.0);
    }
}

/// Running sums, products and the largest, in int8 and int16.
#[test]
fn sums_products_and_the_largest_in_integers() {
    let cumulate = |exclusive, reverse| Cumulate {
        axis: 1,
        exclusive,
        reverse,
    };
    let product = Reduce {
        function: Fold::Product,
        first: 1,
        last: 1,
    };
    let top = TopK {
        axis: 1,
        count: 3,
        largest: true,
    };
    let kinds: [Kind; 4] = [
        cumulate(false, false).into(),
        cumulate(true, true).into(),
        product.into(),
        top.into(),
    ];
    for kind in kinds {
        for (activations, least) in [(Activations::Int8, 28.0), (Activations::Int16, 70.0)] {
            let mut net = Net::new();
            let x = net.input(&[4, 6]);
            let one = net.constant(&[], vec![1.25]);
            let x = net.binary(Function::Add, x, one);
            let y = net.push(kind.clone(), &[x]);
            let db = fidelity(&net.output(y), activations);
            assert!(db > least, "{kind:?} {activations}: {db:.1} dB");
        }
    }
}

/// The condition is constant, or computed from what is compared on one scale; the other side is a constant
/// in one of the cases.
#[test]
fn choices_in_integers() {
    for is_constant in [false, true] {
        for activations in [Activations::Int8, Activations::Int16] {
            let mut net = Net::new();
            let (a, b) = (net.input(&[2, 3, 4]), net.input(&[3, 4]));
            let limit = net.constant(&[], vec![0.25]);
            let condition = match is_constant {
                true => net.truth(&[4], vec![1, 0, 0, 1]),
                false => {
                    let relation = Relation::Less;
                    net.push(Compare { relation }, &[a, b])
                }
            };
            let other = if is_constant { limit } else { b };
            let y = net.push(Choose, &[condition, a, other]);
            let db = fidelity(&net.output(y), activations);
            let least = if activations == Activations::Int8 {
                25.0
            } else {
                60.0
            };
            assert!(db > least, "{is_constant} {activations}: {db:.1} dB");
        }
    }
}

/// Any function of a tensor and a number is a table.
#[test]
fn numbers_are_one_side_in_integers() {
    for (function, is_left) in [
        (Function::Pow, false),
        (Function::Pow, true),
        (Function::Div, true),
        (Function::Remainder, false),
    ] {
        for activations in [Activations::Int8, Activations::Int16] {
            let mut net = Net::new();
            let x = net.input(&[4, 6]);
            let x = net.unary(Of1::Clip(0.5, 1.0), x);
            let two = net.constant(&[1], vec![2.0]);
            let y = match is_left {
                true => net.binary(function, two, x),
                false => net.binary(function, x, two),
            };
            let graph = net.output(y);
            let db = fidelity(&graph, activations);
            assert!(db > 38.0, "{function:?} {activations}: {db:.1} dB");
        }
    }
}

/// What has no integer form is named with the reason.
#[test]
fn floats_that_are_left_are_named() {
    let mut net = Net::new();
    let x = net.input(&[4]);
    let positive = net.unary(Of1::Abs, x);
    let z = net.binary(Function::Remainder, x, positive);
    let y = net.binary(Function::Div, z, positive);
    let float = net.float_nodes(y);
    let reasons: Vec<&str> = float.iter().map(|node| node.reason.as_str()).collect();
    assert_eq!(reasons, ["there is no int8 remainder"]);
}

/// `[…, M, K]` by `[…, K, N]`, both computed, and one of them constant.
#[test]
fn products_of_matrices_in_integers() {
    let mut net = Net::new();
    let (a, b) = (net.input(&[2, 5, 24]), net.input(&[2, 24, 7]));
    let y = net.push(MatMul, &[a, b]);
    assert_close("mat_mul", &net.output(y), 35.0);
    let mut net = Net::new();
    let a = net.input(&[2, 5, 24]);
    let b = net.constant(&[2, 24, 7], noise(2 * 24 * 7, 9));
    let y = net.push(MatMul, &[a, b]);
    assert_close("mat_mul by a constant", &net.output(y), 35.0);
}

/// Rows of different spread, as exporters write it and as one operator.
#[test]
fn rows_are_normalized_in_integers() {
    use Function::{Add, Div, Mul, Pow, Sub};
    let row_scale: Vec<f32> = (1..=6).map(|i| 0.2 * i as f32).collect();
    let start = |net: &mut Net| {
        let x = net.input(&[6, 32]);
        let scale = net.constant(&[6, 1], row_scale.clone());
        net.binary(Mul, x, scale)
    };
    let mut net = Net::new();
    let x = start(&mut net);
    let over = Mean { first: 1, last: 1 };
    let mean = net.push(over, &[x]);
    let centred = net.binary(Sub, x, mean);
    let two = net.constant(&[], vec![2.0]);
    let squares = net.binary(Pow, centred, two);
    let variance = net.push(over, &[squares]);
    let epsilon = net.constant(&[], vec![1e-5]);
    let raised = net.binary(Add, variance, epsilon);
    let deviation = net.unary(Of1::Sqrt, raised);
    let normal = net.binary(Div, centred, deviation);
    let gamma = net.constant(&[32], noise(32, 7));
    let beta = net.constant(&[1, 32], noise(32, 8));
    let scaled = net.binary(Mul, normal, gamma);
    let y = net.binary(Add, scaled, beta);
    let mut graph = net.output(y);
    let parts = graph.clone();
    optimize::run(&mut graph, |_| true).unwrap();
    let kinds: Vec<&str> = graph
        .nodes
        .iter()
        .map(|node| node.kind.operator().name())
        .collect();
    assert_eq!(kinds, ["mul", "layer_norm"]);
    for sample in samples(&graph, 4) {
        for (whole, part) in run(&graph, &sample).into_iter().zip(run(&parts, &sample)) {
            assert!((whole - part).abs() < 1e-4, "{whole} {part}");
        }
    }
    assert_close("layer_norm", &graph, 35.0);
}

/// GELU in the orders in which exporters write it, by erf and by tanh.
#[test]
fn gelu_is_found_in_its_parts() {
    use Function::{Add, Div, Mul, Pow};
    for (order, approximate) in [(0, false), (1, false), (2, false), (0, true), (2, true)] {
        let mut net = Net::new();
        let x = net.input(&[4, 16]);
        let three = net.constant(&[], vec![3.0]);
        let x = net.binary(Mul, x, three);
        let one = net.constant(&[], vec![1.0]);
        let half = net.constant(&[], vec![0.5]);
        let curve = if approximate {
            let small = net.constant(&[], vec![0.044_715]);
            let factor = net.constant(&[1], vec![0.797_884_6]);
            let cube = net.binary(Pow, x, three);
            let cube = net.binary(Mul, cube, small);
            let sum = net.binary(Add, x, cube);
            let inner = net.binary(Mul, sum, factor);
            net.unary(Of1::Tanh, inner)
        } else {
            let root = net.constant(&[], vec![std::f32::consts::SQRT_2]);
            let inner = net.binary(Div, x, root);
            net.unary(Of1::Erf, inner)
        };
        let gate = net.binary(Add, curve, one);
        let y = match order {
            0 => {
                let product = net.binary(Mul, x, gate);
                net.binary(Mul, product, half)
            }
            1 => {
                let halved = net.binary(Mul, gate, half);
                net.binary(Mul, halved, x)
            }
            _ => {
                let halved = net.binary(Mul, x, half);
                net.binary(Mul, halved, gate)
            }
        };
        let mut graph = net.output(y);
        let parts = graph.clone();
        optimize::run(&mut graph, |_| true).unwrap();
        let kinds: Vec<&str> = graph
            .nodes
            .iter()
            .map(|node| node.kind.operator().name())
            .collect();
        assert_eq!(
            kinds,
            ["mul", if approximate { "gelu_tanh" } else { "gelu" }]
        );
        for sample in samples(&graph, 4) {
            for (whole, part) in run(&graph, &sample).into_iter().zip(run(&parts, &sample)) {
                assert!((whole - part).abs() < 1e-5, "{whole} {part}");
            }
        }
        assert_close("gelu", &graph, 35.0);
    }
}

/// Hard-swish in three writings.
#[test]
fn hard_swish_is_found_in_its_parts() {
    use Function::{Add, Div, Mul};
    for order in 0..3 {
        let mut net = Net::new();
        let x = net.input(&[4, 16]);
        let eight = net.constant(&[], vec![8.0]);
        let x = net.binary(Mul, x, eight);
        let (three, six) = (net.constant(&[], vec![3.0]), net.constant(&[], vec![6.0]));
        let y = match order {
            0 => {
                let gate = net.unary(Of1::HardSigmoid(1.0 / 6.0, 0.5), x);
                net.binary(Mul, gate, x)
            }
            1 => {
                let raised = net.binary(Add, x, three);
                let gate = net.unary(Of1::Clip(0.0, 6.0), raised);
                let gate = net.binary(Div, gate, six);
                net.binary(Mul, x, gate)
            }
            _ => {
                let raised = net.binary(Add, x, three);
                let gate = net.unary(Of1::Clip(0.0, 6.0), raised);
                let product = net.binary(Mul, x, gate);
                net.binary(Div, product, six)
            }
        };
        let mut graph = net.output(y);
        optimize::run(&mut graph, |_| true).unwrap();
        let kinds: Vec<&str> = graph
            .nodes
            .iter()
            .map(|node| node.kind.operator().name())
            .collect();
        assert_eq!(kinds, ["mul", "hard_swish"], "{order}");
        assert_close("hard_swish", &graph, 35.0);
    }
}

/// The positions and weights that stretch an axis of `size` elements to twice as many.
fn doubled(net: &mut Net, size: usize) -> [graph::ValueId; 2] {
    let (mut positions, mut weights) = (Vec::new(), Vec::new());
    for j in 0..2 * size {
        let place = (j as f32 + 0.5) / 2.0 - 0.5;
        let first = place.floor();
        let inside = |at: f32| at.clamp(0.0, size as f32 - 1.0) as i32;
        positions.extend([inside(first), inside(first + 1.0)]);
        weights.extend([1.0 - (place - first), place - first]);
    }
    let dims = [2 * size as u32, 2];
    [
        net.positions(&dims, positions),
        net.constant(&dims, weights),
    ]
}

/// An image in `[N, C, H, W]` between transposes: they meet behind the interpolation.
#[test]
fn images_are_resized_in_integers() {
    for both in [false, true] {
        let mut net = Net::new();
        let x = net.input(&[1, 5, 4, 3]);
        let turned = net.push(
            Transpose {
                permutation: vec![0, 3, 1, 2],
            },
            &[x],
        );
        let [rows, row_weights] = doubled(&mut net, 5);
        let y = if both {
            let [columns, column_weights] = doubled(&mut net, 4);
            let operands = [turned, rows, row_weights, columns, column_weights];
            net.push(Resample2d { axes: [2, 3] }, &operands)
        } else {
            net.push(Resample { axis: 2 }, &[turned, rows, row_weights])
        };
        let at = net.positions(&[6], vec![0, 0, 1, 1, 2, 2]);
        let y = net.push(Gather { axis: 3 }, &[y, at]);
        let (starts, steps, sizes) = (vec![0, 1, 2, 0], vec![1, 1, 3, 1], vec![1, 2, 2, 5]);
        let y = net.push(
            Slice {
                starts,
                steps,
                sizes,
            },
            &[y],
        );
        let y = net.push(
            Transpose {
                permutation: vec![0, 2, 3, 1],
            },
            &[y],
        );
        let y = net.unary(Of1::Abs, y);
        let mut graph = net.output(y);
        let before = graph.clone();
        optimize::run(&mut graph, |_| true).unwrap();
        let kinds: Vec<&str> = graph
            .nodes
            .iter()
            .map(|node| node.kind.operator().name())
            .collect();
        let resample = if both { "resample_2d" } else { "resample" };
        assert_eq!(kinds, [resample, "gather", "slice", "abs"]);
        for sample in samples(&graph, 4) {
            assert_eq!(run(&graph, &sample), run(&before, &sample));
        }
        assert_close(resample, &graph, 38.0);
    }
}
