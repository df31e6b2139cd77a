//! Slices and concatenations of whole rows are where their wholes are, where that takes no more memory.

use compile::{Compiled, Options, compile};
use graph::{DType, Graph, Shape, ValueId};
use runtime::host::Runner;
use runtime::ops::concat::Concat;
use runtime::ops::slice::Slice;
use runtime::ops::unary::{Function, Unary};

fn graph(rows: u32) -> (Graph, ValueId) {
    let mut graph = Graph::default();
    let shape = Shape::new(&[1, rows, 4, 4]).unwrap();
    let x = graph.add_input("x", DType::F32, shape);
    (graph, x)
}

fn slice(graph: &mut Graph, x: ValueId, first: usize, rows: usize) -> ValueId {
    let slice = Slice {
        starts: vec![0, first, 0, 0],
        steps: vec![1; 4],
        sizes: vec![1, rows, 4, 4],
    };
    graph.push("slice", slice, &[x]).unwrap()[0]
}

fn negative(graph: &mut Graph, x: ValueId) -> ValueId {
    let function = Function::Neg;
    graph.push("neg", Unary { function }, &[x]).unwrap()[0]
}

fn names(compiled: &Compiled) -> Vec<&str> {
    compiled.plan.iter().map(|node| node.operator).collect()
}

fn first_output(compiled: &Compiled) -> Vec<f32> {
    let mut runner = Runner::new(&compiled.bytes).unwrap();
    let mut session = runner.session().unwrap();
    let model = session.model();
    let [inputs, outputs] =
        [model.input(0), model.output(0)].map(|tensor| tensor.unwrap().shape.elements());
    let input: Vec<f32> = (0..inputs).map(|i| i as f32 + 1.0).collect();
    session.set_input_f32(0, &input).unwrap();
    session.run();
    let mut output = vec![0.0; outputs];
    session.output_f32(0, &mut output).unwrap();
    output
}

#[test]
fn halves_are_changed_in_place_and_joined_there() {
    let (mut graph, x) = graph(8);
    let halves = [0, 4].map(|first| {
        let half = slice(&mut graph, x, first, 4);
        negative(&mut graph, half)
    });
    let y = graph.push("y", Concat { axis: 1 }, &halves).unwrap()[0];
    graph.add_output("y", y);
    let compiled = compile(&graph, &Options::default()).unwrap();
    assert_eq!(names(&compiled), ["unary_f32", "unary_f32"]);
    assert_eq!(compiled.arena_bytes, 8 * 4 * 4 * 4);
    let expected: Vec<f32> = (1..=128).map(|i| -(i as f32)).collect();
    assert_eq!(first_output(&compiled), expected);
    let options = Options {
        copies: true,
        ..Options::default()
    };
    let copied = compile(&graph, &options).unwrap();
    assert_eq!(copied.plan.len(), 5);
    assert_eq!(first_output(&copied), expected);
}

/// What is joined first may be made last.
#[test]
fn parts_are_made_in_any_order() {
    let (mut graph, x) = graph(8);
    let [first, last] = [0, 4].map(|first| {
        let half = slice(&mut graph, x, first, 4);
        negative(&mut graph, half)
    });
    let joined = graph.push("j", Concat { axis: 1 }, &[last, first]).unwrap()[0];
    let y = negative(&mut graph, joined);
    graph.add_output("joined", joined);
    graph.add_output("y", y);
    let compiled = compile(&graph, &Options::default()).unwrap();
    assert_eq!(names(&compiled), ["unary_f32"; 3]);
    let expected: Vec<f32> = (65..=128).chain(1..=64).map(|i| -(i as f32)).collect();
    assert_eq!(first_output(&compiled), expected);
}

/// Two rows are kept to the end: their whole would be in the way of what is computed in its place.
#[test]
fn a_part_that_lives_longer_is_copied() {
    let (mut graph, x) = graph(64);
    let a = negative(&mut graph, x);
    let kept = slice(&mut graph, a, 8, 2);
    let y = negative(&mut graph, a);
    graph.add_output("kept", kept);
    graph.add_output("y", y);
    let compiled = compile(&graph, &Options::default()).unwrap();
    assert_eq!(names(&compiled), ["unary_f32", "slice", "unary_f32"]);
    assert_eq!(compiled.arena_bytes, (64 + 2) * 4 * 4 * 4);
    let expected: Vec<f32> = (129..=160).map(|i| -(i as f32)).collect();
    assert_eq!(first_output(&compiled), expected);
}
