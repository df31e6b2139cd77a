//! A small network, random inputs, and boards to run it on.

use compile::{Options, compile};
use device::{Client, Error, Images, Qemu, find};
use format::DType;
use graph::{Graph, Shape, ValueId};
use runtime::host::{Activation, Data, Quantization, Runner};
use runtime::ops::conv_2d::Conv2d;
use runtime::ops::{
    Kind, Window2d, dequantize::Dequantize, fully_connected::FullyConnected, quantize::Quantize,
    softmax::Softmax,
};

/// Random numbers of a known seed (a linear congruential generator by Knuth).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end
    }

    fn weight(&mut self) -> i8 {
        (self.next() % 255) as i8
    }

    /// From -1 to 1.
    pub(crate) fn real(&mut self) -> f32 {
        (self.next() % 2001) as f32 / 1000.0 - 1.0
    }
}

pub(crate) fn shape(dims: &[u32]) -> Shape {
    Shape::new(dims).unwrap()
}

pub(crate) fn push(
    graph: &mut Graph,
    kind: impl Into<Kind>,
    inputs: &[ValueId],
    to: (f32, i32),
) -> ValueId {
    let name = format!("node {}", graph.nodes.len());
    let id = graph.push(name, kind, inputs).unwrap()[0];
    graph.value_mut(id).quantization = Some(Quantization::per_tensor(to.0, to.1));
    id
}

fn weights(graph: &mut Graph, random: &mut Random, dims: &[u32]) -> [ValueId; 2] {
    let values: Vec<i8> = (0..dims.iter().product())
        .map(|_| random.weight())
        .collect();
    let outputs = dims[0];
    let biases: Vec<f32> = (0..outputs).map(|_| random.real()).collect();
    let weights = graph.add_constant("weights", shape(dims), Data::I8(values));
    let scales = (0..outputs).map(|i| 0.001 * (i + 1) as f32).collect();
    graph.value_mut(weights).quantization = Some(Quantization {
        scales,
        zero_point: 0,
        axis: Some(0),
    });
    let bias = graph.add_constant("bias", shape(&[outputs]), Data::F32(biases));
    [weights, bias]
}

/// Float input `[1, 8, 6, 2]`, two convolutions (one depthwise), scores of three classes per
/// place: every loop that a keyword model runs.
pub(crate) fn network() -> Vec<u8> {
    let (graph, random) = (&mut Graph::default(), &mut Random(1));
    let window = Window2d {
        kernel: [3, 3],
        stride: [1, 1],
        dilation: [1, 1],
        padding: [1, 1, 1, 1],
    };
    let x = graph.add_input("sound", DType::F32, shape(&[1, 8, 6, 2]));
    let x = push(graph, Quantize { dtype: DType::I8 }, &[x], (0.008, 3));
    let [w, b] = weights(graph, random, &[4, 3, 3, 2]);
    let conv = |groups| Conv2d {
        window,
        groups,
        activation: Activation::Relu,
    };
    let x = push(graph, conv(1), &[x, w, b], (0.02, -128));
    let [w, b] = weights(graph, random, &[4, 3, 3, 1]);
    let x = push(graph, conv(4), &[x, w, b], (0.05, -128));
    let [w, b] = weights(graph, random, &[3, 4]);
    let activation = Activation::None;
    let x = push(
        graph,
        FullyConnected { activation },
        &[x, w, b],
        (0.06, -20),
    );
    let x = push(graph, Softmax, &[x], (1.0 / 256.0, -128));
    let y = graph.push("scores", Dequantize, &[x]).unwrap()[0];
    graph.add_output("scores", y);
    compile(graph, &Options::default()).unwrap().bytes
}

/// The stored bytes of one random input of [`network`].
pub(crate) fn input(random: &mut Random) -> Vec<u8> {
    (0..8 * 6 * 2)
        .flat_map(|_| random.real().to_le_bytes())
        .collect()
}

/// The first output on the host, as it is stored.
pub(crate) fn on_host(runner: &mut Runner, input: &[u8]) -> Vec<u8> {
    let mut session = runner.session().unwrap();
    session.set_input(0, input).unwrap();
    session.run();
    let mut output = vec![0; session.model().output(0).unwrap().bytes()];
    session.output(0, &mut output).unwrap();
    output
}

/// The same on a device.
pub(crate) fn on_device(client: &mut Client<Qemu>, input: &[u8], output_bytes: usize) -> Vec<u8> {
    client.set_input(0, input).unwrap();
    assert!(client.run().unwrap() > 0);
    client.output(0, output_bytes).unwrap()
}

/// Starts a board with a model in its memory; `None`, and a line that says so, where there is no
/// emulator or no image.
pub(crate) fn start(spec: &str, model: &[u8]) -> Option<Client<Qemu>> {
    let board = find(spec).unwrap();
    let started = Images::locate()
        .find(&board)
        .and_then(|image| Qemu::start(&board, &image, model));
    match started {
        Ok(qemu) => {
            let (client, info) = Client::connect(qemu).unwrap();
            assert_eq!(info.board, board.name);
            assert_eq!(info.clock_hz, board.clock_hz);
            assert_eq!(info.model_bytes, board.model_bytes);
            Some(client)
        }
        Err(missing @ (Error::NoImage { .. } | Error::NoEmulator { .. })) => {
            println!("skipped: {missing}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}
