//! Weights of half the bytes give the same answers as the wide ones, widened when a session is made and widened
//! before each run.

use compile::{Options, compile};
use format::{Model, ProgramNode};
use graph::{DType, Data, Graph, Quantization, Shape};
use runtime::host::{Activation, AlignedBytes, Runner};
use runtime::ops::Window2d;
use runtime::ops::conv_2d::{self, Conv2d};
use runtime::{ops, program};

/// A layer with weights that int4 or half precision holds: `taps` of each of 5 outputs.
fn layer(dtype: DType, channels: u32, groups: usize) -> Graph {
    let mut graph = Graph::default();
    let shape = |dims: &[u32]| Shape::new(dims).unwrap();
    let x = graph.add_input("x", dtype, shape(&[1, 5, 4, channels]));
    let outputs = if groups > 1 { channels } else { 5 };
    let dims = [outputs, 3, 3, channels / groups as u32];
    let count: u32 = dims.iter().product();
    let number = |i: u32| (i * 7 % 16) as i8 - 8;
    let data = match dtype {
        DType::I8 => Data::I8((0..count).map(number).collect()),
        _ => Data::F32((0..count).map(|i| f32::from(number(i)) / 32.0).collect()),
    };
    let w = graph.add_constant("w", shape(&dims), data);
    let window = Window2d {
        padding: [1; 4],
        ..Window2d::dense([3, 3])
    };
    let kind = Conv2d {
        window,
        groups,
        activation: Activation::None,
    };
    if dtype == DType::I8 {
        graph.value_mut(x).quantization = Some(Quantization::per_tensor(0.1, 3));
        graph.value_mut(w).quantization = Some(Quantization {
            scales: (0..outputs).map(|i| 0.01 + i as f32 / 500.0).collect(),
            zero_point: 0,
            axis: Some(0),
        });
    }
    let y = graph.push("conv", kind, &[x, w]).unwrap()[0];
    if dtype == DType::I8 {
        graph.value_mut(y).quantization = Some(Quantization::per_tensor(0.4, -1));
    }
    graph.add_output("y", y);
    graph
}

fn file(graph: &Graph, narrow_weights: bool) -> Vec<u8> {
    let options = Options {
        narrow_weights,
        ..Options::default()
    };
    compile(graph, &options).unwrap().bytes
}

fn inputs(bytes: usize, dtype: DType) -> Vec<u8> {
    let number = |i: usize| (i * 31 % 256) as u8;
    match dtype {
        DType::I8 => (0..bytes).map(number).collect(),
        _ => {
            let reals = (0..bytes / 4).map(|i| f32::from(number(i)) - 128.0);
            reals.flat_map(f32::to_le_bytes).collect()
        }
    }
}

fn answer(file: &[u8], input: &[u8]) -> Vec<u8> {
    let mut runner = Runner::new(file).unwrap();
    let mut session = runner.session().unwrap();
    session.set_input(0, input).unwrap();
    session.run();
    let mut output = vec![0; session.model().output(0).unwrap().bytes()];
    session.output(0, &mut output).unwrap();
    output
}

/// As on a device: nothing is prepared, and scratch memory is that of the plan.
fn answer_of_program(file: &[u8], input: &[u8]) -> Vec<u8> {
    let file = AlignedBytes::copy_of(file);
    let model = Model::new(file.bytes()).unwrap();
    let node = model.nodes().next().unwrap();
    let operands: Vec<_> = (0..node.input_count()).map(|i| node.input(i)).collect();
    let outputs: Vec<_> = (0..node.output_count())
        .filter_map(|i| node.output(i))
        .collect();
    let mut params = node.params();
    let params: Vec<u8> = (0..params.remaining()).map(|_| params.u8()).collect();
    let described = ProgramNode {
        code: node.code(),
        inputs: &operands,
        outputs: &outputs,
        params: &params,
        scratch_offset: node.scratch_offset(),
        scratch_bytes: node.scratch_bytes(),
    };
    let mut arena = AlignedBytes::zeroed(model.arena_bytes());
    let [from, to] = [model.input(0), model.output(0)].map(Option::unwrap);
    arena.bytes_mut()[from.offset..from.offset + from.bytes()].copy_from_slice(input);
    let cells = std::cell::Cell::from_mut(arena.bytes_mut()).as_slice_of_cells();
    let op = ops::ALL.iter().find(|op| op.code == node.code()).unwrap();
    program::call(op, &described, model.constants(), cells);
    arena.bytes()[to.offset..to.offset + to.bytes()].to_vec()
}

#[test]
fn narrow_weights_answer_as_wide_ones() {
    for (dtype, op) in [
        (DType::I8, &conv_2d::NARROW_I8),
        (DType::F32, &conv_2d::NARROW_F32),
    ] {
        for (channels, groups) in [(3, 1), (16, 1), (7, 7)] {
            let graph = layer(dtype, channels, groups);
            let (wide, narrow) = (file(&graph, false), file(&graph, true));
            assert!(narrow.len() < wide.len());
            let aligned = AlignedBytes::copy_of(&narrow);
            let model = Model::new(aligned.bytes()).unwrap();
            assert_eq!(model.nodes().next().unwrap().code(), op.code);
            let input = inputs(model.input(0).unwrap().bytes(), dtype);
            let expected = answer(&wide, &input);
            assert!(expected.iter().any(|&byte| byte != expected[0]));
            assert_eq!(answer(&narrow, &input), expected, "{dtype} {channels}");
            let on_device = answer_of_program(&narrow, &input);
            match dtype {
                DType::I8 => assert_eq!(on_device, expected, "{dtype} {channels}"),
                _ => assert_eq!(on_device, answer_of_program(&wide, &input)),
            }
        }
    }
}
