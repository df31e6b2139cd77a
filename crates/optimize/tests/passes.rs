//! Every pass is counted, and can be left out without harm.

use compile::{Options, compile};
use graph::{DType, Data, Graph, Shape};
use optimize::PASSES;
use runtime::host::{Activation, Runner};
use runtime::ops::binary::{Binary, Function as Of2};
use runtime::ops::unary::{Function, Unary};

fn of_two(function: Of2) -> Binary {
    Binary {
        function,
        activation: Activation::None,
    }
}

/// `tanh(x + 1) * tanh(x + 1)`, each factor computed apart, and a node that nobody reads.
fn squares() -> Graph {
    let mut graph = Graph::default();
    let x = graph.add_input("x", DType::F32, Shape::new(&[1, 4]).unwrap());
    let mut factors = Vec::new();
    for name in ["a", "b"] {
        let shape = Shape::new(&[1]).unwrap();
        let one = graph.add_constant(format!("{name}_1"), shape, Data::F32(vec![1.0]));
        let sum = graph.push(name, of_two(Of2::Add), &[x, one]).unwrap();
        let function = Function::Tanh;
        factors.extend(graph.push(name, Unary { function }, &sum).unwrap());
    }
    let function = Function::Exp;
    graph.push("e", Unary { function }, &factors[..1]).unwrap();
    let y = graph.push("y", of_two(Of2::Mul), &factors).unwrap()[0];
    graph.add_output("y", y);
    graph
}

fn run(graph: &Graph) -> Vec<f32> {
    let compiled = compile(graph, &Options::default()).unwrap();
    let mut runner = Runner::new(&compiled.bytes).unwrap();
    let mut session = runner.session().unwrap();
    session.set_input_f32(0, &[0.5, -1.0, 0.0, 2.0]).unwrap();
    session.run();
    let mut output = vec![0.0; 4];
    session.output_f32(0, &mut output).unwrap();
    output
}

fn count(applied: &[optimize::Applied], name: &str) -> usize {
    let of_name = applied.iter().filter(|pass| pass.name == name);
    of_name.map(|pass| pass.count).sum()
}

#[test]
fn what_is_alike_and_what_is_dead_is_counted() {
    let mut graph = squares();
    let applied = optimize::run(&mut graph, |_| true).unwrap();
    assert_eq!(count(&applied, "common"), 2);
    assert_eq!(count(&applied, "dead"), 1);
    assert_eq!(graph.nodes.len(), 3);
}

#[test]
fn each_pass_can_be_left_out() {
    let expected = run(&squares());
    for pass in PASSES {
        let mut graph = squares();
        let applied = optimize::run(&mut graph, |name| name != pass.name).unwrap();
        assert_eq!(count(&applied, pass.name), 0, "{}", pass.name);
        assert_eq!(run(&graph), expected, "{}", pass.name);
    }
}

#[test]
fn observers_see_every_change_and_may_refuse_it() {
    let mut seen = Vec::new();
    let mut graph = squares();
    let applied = optimize::run_observed(&mut graph, |_| true, &mut |name, _| {
        seen.push(name);
        Ok::<(), graph::Error>(())
    });
    assert!(applied.is_ok());
    assert!(seen.contains(&"common") && seen.contains(&"dead"));
    let refused = optimize::run_observed(&mut squares(), |_| true, &mut |name, _| {
        Err(graph::Error {
            node: name.into(),
            operator: String::new(),
            reason: String::new(),
        })
    });
    assert!(refused.is_err());
}
