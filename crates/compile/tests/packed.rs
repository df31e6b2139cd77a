//! Weights packed for Cortex-M with the DSP extension, beside those that every other place reads: here
//! they change nothing, and what does not fit is refused.

use compile::{Compiled, Options, compile};
use format::fixed::Rounding;
use format::{Reason, crc32};
use graph::{DType, Data, Graph, Quantization, Shape};
use kernels::Architecture;
use runtime::host::{Activation, Runner};
use runtime::ops::Window2d;
use runtime::ops::conv_2d::{Conv2d, packed};

/// 3 x 3 over 8 channels, to `outputs`.
fn layer(outputs: u32) -> Graph {
    let mut graph = Graph::default();
    let shape = |dims: &[u32]| Shape::new(dims).unwrap();
    let x = graph.add_input("x", DType::I8, shape(&[1, 6, 8, 8]));
    let dims = [outputs, 3, 3, 8];
    let count: u32 = dims.iter().product();
    let number = |i: u32| (i * 37 % 255) as i8;
    let w = graph.add_constant(
        "w",
        shape(&dims),
        Data::I8((0..count).map(number).collect()),
    );
    let window = Window2d {
        padding: [1; 4],
        ..Window2d::dense([3, 3])
    };
    let kind = Conv2d {
        window,
        groups: 1,
        activation: Activation::None,
    };
    graph.value_mut(x).quantization = Some(Quantization::per_tensor(0.1, 3));
    graph.value_mut(w).quantization = Some(Quantization {
        scales: (0..outputs).map(|i| 0.01 + i as f32 / 500.0).collect(),
        zero_point: 0,
        axis: Some(0),
    });
    let y = graph.push("conv", kind, &[x, w]).unwrap()[0];
    graph.value_mut(y).quantization = Some(Quantization::per_tensor(2.0, -1));
    graph.add_output("y", y);
    graph
}

fn compiled(graph: &Graph, packed_weights: bool, rounding: Rounding) -> Compiled {
    let options = Options {
        packed_weights,
        rounding,
        ..Options::default()
    };
    compile(graph, &options).unwrap()
}

fn answer(file: &[u8]) -> Vec<u8> {
    let mut runner = Runner::new(file).unwrap();
    let mut session = runner.session().unwrap();
    let input: Vec<u8> = (0..6 * 8 * 8).map(|i| (i * 31 % 256) as u8).collect();
    session.set_input(0, &input).unwrap();
    session.run();
    let mut output = vec![0; session.model().output(0).unwrap().bytes()];
    session.output(0, &mut output).unwrap();
    output
}

/// The file with other bytes, and the checksum of these.
fn changed(file: &[u8], change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut file = file.to_vec();
    change(&mut file);
    let sum = crc32(&file[16..]);
    file[12..16].copy_from_slice(&sum.to_le_bytes());
    file
}

#[test]
fn packed_weights_stand_beside_the_others() {
    for rounding in [Rounding::High, Rounding::Single, Rounding::Double] {
        let graph = layer(12);
        let [plain, fast] = [false, true].map(|packed| compiled(&graph, packed, rounding));
        assert_eq!(
            [plain.packed_bytes, fast.packed_bytes],
            [0, 2 * 16 * 8 * 12]
        );
        let more = fast.bytes.len() - plain.bytes.len();
        assert!((fast.packed_bytes..fast.packed_bytes + 64).contains(&more));
        let runner = Runner::new(&fast.bytes).unwrap();
        let node = runner.model().unwrap().nodes().next().unwrap();
        assert_eq!(packed::bytes(&node), Some(fast.packed_bytes));
        // Transformed inputs and sums have their place in the plan.
        let op = runtime::ops::ALL.iter().find(|op| op.code == node.code());
        let needed = (op.unwrap().scratch_bytes)(&node, Architecture::Armv7em);
        assert!(needed > 16 * 8 * 2 * 2 && node.scratch_bytes() >= needed);
        let expected = answer(&plain.bytes);
        assert!(expected.iter().any(|value| *value != expected[0]));
        assert_eq!(answer(&fast.bytes), expected);
    }
}

#[test]
fn layers_without_loops_for_them_have_none() {
    // No multiple of the four channels that loops take.
    assert_eq!(compiled(&layer(10), true, Rounding::High).packed_bytes, 0);
}

#[test]
fn what_does_not_fit_the_layer_is_refused() {
    let fast = compiled(&layer(12), true, Rounding::High);
    let words = fast.packed_bytes as u32 / 4;
    // The tensor's record: int32, a constant of one dimension.
    let starts = |at: &usize| fast.bytes[*at..].starts_with(&[3, 0x11, 0, 0]);
    let dimension = |at: usize| [at + 12, at + 16];
    let is_packed = |at: &usize| {
        let [from, to] = dimension(*at);
        fast.bytes.get(from..to) == Some(&words.to_le_bytes()[..])
    };
    let mut found = (0..fast.bytes.len()).filter(starts).filter(is_packed);
    let [from, to] = dimension(found.next().unwrap());
    for fewer in [0, 1, words - 1] {
        let file = changed(&fast.bytes, |file| {
            file[from..to].copy_from_slice(&fewer.to_le_bytes());
        });
        let refused = Runner::new(&file).unwrap_err();
        assert_eq!((refused.reason, refused.at), (Reason::Operand, 0));
    }
}

/// Any values are taken; here, nothing reads them.
#[test]
fn what_is_packed_is_not_read_here() {
    let fast = compiled(&layer(12), true, Rounding::High);
    let runner = Runner::new(&fast.bytes).unwrap();
    let model = runner.model().unwrap();
    let node = model.nodes().next().unwrap();
    let constants = fast.bytes.len() - model.constants().len();
    let start = constants + node.input(packed::OPERAND).unwrap().offset;
    let file = changed(&fast.bytes, |file| {
        file[start..start + fast.packed_bytes].fill(0x80);
    });
    assert_eq!(answer(&file), answer(&fast.bytes));
}
