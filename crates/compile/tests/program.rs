//! Nodes of a program run as a file's nodes do: every kind of operand access, on the same memory.

use compile::{Options, compile};
use format::{DType, Model, Node, ProgramNode};
use graph::{Graph, Shape};
use runtime::host::{Activation, AlignedBytes, Data, Runner};
use runtime::ops::Window2d;
use runtime::ops::average_pool_2d::{AveragePool2d, Halves};
use runtime::ops::binary::{Binary, Function};
use runtime::ops::concat::Concat;
use runtime::ops::transpose::Transpose;
use runtime::ops::unary::{self, Unary};
use runtime::program;
use std::cell::Cell;
use std::path::Path;

/// Pools, transposes, joins with a constant, and subtracts what came before.
fn model() -> Vec<u8> {
    let mut graph = Graph::default();
    let x = graph.add_input("x", DType::F32, Shape::new(&[1, 4, 3, 2]).unwrap());
    let pool = AveragePool2d {
        window: Window2d {
            padding: [1, 0, 0, 1],
            ..Window2d::dense([2, 2])
        },
        count_include_pad: false,
        halves: Halves::Away,
        activation: Activation::Relu,
    };
    let pooled = graph.push("pooled", pool, &[x]).unwrap()[0];
    let permutation = vec![0, 2, 1, 3];
    let turned = graph.push("turned", Transpose { permutation }, &[pooled]);
    let turned = turned.unwrap()[0];
    let shape = Shape::new(&[1, 3, 1, 2]).unwrap();
    let values = Data::F32(vec![0.5, -0.25, 1.0, 2.0, -3.0, 0.125]);
    let constant = graph.add_constant("constant", shape, values);
    let joined = graph.push("joined", Concat { axis: 2 }, &[turned, constant]);
    let joined = joined.unwrap()[0];
    let function = unary::Function::Exp;
    let raised = graph.push("raised", Unary { function }, &[joined]).unwrap()[0];
    let difference = Binary {
        function: Function::Sub,
        activation: Activation::None,
    };
    let y = graph.push("y", difference, &[raised, joined]).unwrap()[0];
    graph.add_output("y", y);
    compile(&graph, &Options::default()).unwrap().bytes
}

/// Runs a node as an exported library does.
fn call(node: &Node<'_>, constants: &[u8], arena: &[Cell<u8>]) {
    let inputs: Vec<_> = (0..node.input_count()).map(|i| node.input(i)).collect();
    let outputs: Vec<_> = (0..node.output_count())
        .map(|i| node.output(i).unwrap())
        .collect();
    let mut params = node.params();
    let params: Vec<u8> = (0..params.remaining()).map(|_| params.u8()).collect();
    let node = ProgramNode {
        code: node.code(),
        inputs: &inputs,
        outputs: &outputs,
        params: &params,
        scratch_offset: node.scratch_offset(),
        scratch_bytes: node.scratch_bytes(),
    };
    let op = runtime::ops::ALL
        .iter()
        .find(|op| op.code == node.code)
        .unwrap();
    program::call(op, &node, constants, arena);
}

#[test]
fn a_program_and_a_session_agree() {
    let file = AlignedBytes::copy_of(&model());
    let model = Model::new(file.bytes()).unwrap();
    assert!(model.node_count() >= 5);
    let input: Vec<f32> = (0..24u8).map(|i| f32::from(i) / 4.0 - 3.0).collect();

    let mut memory = AlignedBytes::zeroed(model.arena_bytes());
    let arena = Cell::from_mut(memory.bytes_mut()).as_slice_of_cells();
    program::write(arena, model.input(0).unwrap().offset, &input);
    for node in model.nodes() {
        call(&node, model.constants(), arena);
    }
    let output = model.output(0).unwrap();
    let mut answers = vec![0.0f32; output.shape.elements()];
    program::read(arena, output.offset, &mut answers);

    let mut runner = Runner::new(file.bytes()).unwrap();
    let mut session = runner.session().unwrap();
    session.set_input_f32(0, &input).unwrap();
    session.run();
    let mut expected = vec![0.0f32; answers.len()];
    session.output_f32(0, &mut expected).unwrap();
    assert_eq!(answers, expected);
    assert!(expected.iter().any(|value| *value > 1.0));
}

/// Rows of int16, conversions between scales, quotients: what no other format has is exported to Rust.
#[test]
fn golden_models_answer_as_programs() {
    for name in ["rows_int16", "arithmetic_int8", "quotients_int8", "int16"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let file = std::fs::read(folder.join(format!("{name}.mopt"))).unwrap();
        let file = AlignedBytes::copy_of(&file);
        let model = Model::new(file.bytes()).unwrap();
        let mut memory = AlignedBytes::zeroed(model.arena_bytes());
        let arena = Cell::from_mut(memory.bytes_mut()).as_slice_of_cells();
        let mut runner = Runner::new(file.bytes()).unwrap();
        let mut session = runner.session().unwrap();
        for index in 0..model.input_count() {
            let tensor = model.input(index).unwrap();
            let bytes: Vec<u8> = (0..tensor.bytes())
                .map(|i| (i * 7919 % 251) as u8)
                .collect();
            program::write(arena, tensor.offset, &bytes);
            session.set_input(index, &bytes).unwrap();
        }
        for node in model.nodes() {
            call(&node, model.constants(), arena);
        }
        session.run();
        for index in 0..model.output_count() {
            let tensor = model.output(index).unwrap();
            let [mut answer, mut expected] = [(); 2].map(|()| vec![0u8; tensor.bytes()]);
            program::read(arena, tensor.offset, &mut answer);
            session.output(index, &mut expected).unwrap();
            assert!(answer == expected, "{name}, output {index}");
            assert!(expected.iter().any(|byte| *byte != expected[0]), "{name}");
        }
    }
}
