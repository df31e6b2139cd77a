//! Operators in integers against the same operators in floats: every node of a small graph must have
//! an integer form, and its results must be near the float ones.

mod net;

use graph::DType;
use net::{Net, assert_close, fidelity, noise, quantized, run, samples, shape};
use optimize::quantize::Activations;
use runtime::ops::binary::Function;
use runtime::ops::extreme::Extreme;
use runtime::ops::gather::Gather;
use runtime::ops::gather_elements::GatherElements;
use runtime::ops::reduce::Function as Fold;
use runtime::ops::slice::Slice;
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
            assert_close(&format!("{function:?} {dims:?}"), &net.output(y), 35.0);
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

/// What has no integer form is named with the reason.
#[test]
fn floats_that_are_left_are_named() {
    let mut net = Net::new();
    let x = net.input(&[4]);
    let positive = net.unary(Of1::Abs, x);
    let z = net.binary(Function::Pow, positive, x);
    let y = net.binary(Function::Div, z, positive);
    let float = net.float_nodes(y);
    let reasons: Vec<&str> = float.iter().map(|node| node.reason.as_str()).collect();
    let expected = [
        "there is no int8 pow",
        "int8 div takes constant divisors only",
    ];
    assert_eq!(reasons, expected);
}
