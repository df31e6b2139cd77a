//! Hundreds of small models of one layer each: vector kernels of a board against the host, bit
//! by bit, where sizes are odd and values extreme.

use crate::network::{Random, on_device, on_host, push, shape};
use compile::{Options, compile};
use device::{Client, Error, Images, Qemu, find};
use format::DType;
use format::fixed::Rounding;
use graph::{Graph, ValueId};
use runtime::host::{Activation, Data, Quantization, Runner};
use runtime::ops::average_pool_2d::{AveragePool2d, Halves};
use runtime::ops::binary::{Binary, Function};
use runtime::ops::conv_2d::Conv2d;
use runtime::ops::fully_connected::FullyConnected;
use runtime::ops::history::History;
use runtime::ops::max_pool_2d::MaxPool2d;
use runtime::ops::{Kind, Window2d};

const MODELS: u64 = 300;
const CHANNELS: [usize; 10] = [1, 2, 3, 5, 8, 12, 16, 17, 33, 64];
/// Elements of a vector that has loops of its own on Cortex-M55.
const VECTOR: usize = 128;

/// Any byte, often an extreme one.
fn byte(random: &mut Random) -> i8 {
    match random.below(4) {
        0 => i8::MIN,
        1 => i8::MAX,
        _ => random.below(256) as u8 as i8,
    }
}

fn window(random: &mut Random) -> Window2d {
    let kernel = [random.below(4) + 1, random.below(4) + 1];
    let dilation = [random.below(2) + 1, random.below(2) + 1];
    let extents = [0, 1, 0, 1].map(|axis: usize| (kernel[axis] - 1) * dilation[axis] + 1);
    Window2d {
        kernel,
        stride: [random.below(3) + 1, random.below(3) + 1],
        dilation,
        padding: extents.map(|extent| random.below(extent)),
    }
}

/// The window that there may be packed weights for.
fn square(random: &mut Random) -> Window2d {
    Window2d {
        padding: [0, 1, 2, 3].map(|_| random.below(3)),
        ..Window2d::dense([3, 3])
    }
}

/// Random weights `dims` with a random scale for every output, and biases.
fn weights(graph: &mut Graph, random: &mut Random, dims: &[u32]) -> [ValueId; 2] {
    let count: u32 = dims.iter().product();
    let values = (0..count).map(|_| byte(random)).collect();
    let taps = (count / dims[0]) as f32;
    // Sums are about as large as the root of the taps times the products.
    let unit = 1.0 / (100.0 * taps.sqrt());
    let scales = (0..dims[0])
        .map(|_| unit * (0.2 + random.below(100) as f32 / 50.0))
        .collect();
    let biases = (0..dims[0]).map(|_| random.real()).collect();
    let weights = graph.add_constant("weights", shape(dims), Data::I8(values));
    graph.value_mut(weights).quantization = Some(Quantization {
        scales,
        zero_point: 0,
        axis: Some(0),
    });
    let bias = graph.add_constant("bias", shape(&dims[..1]), Data::F32(biases));
    [weights, bias]
}

fn convolution(
    graph: &mut Graph,
    random: &mut Random,
    x: ValueId,
    window: Window2d,
    [inputs, outputs, groups]: [usize; 3],
    zero_point: i32,
) -> ValueId {
    let [kernel_rows, kernel_columns] = window.kernel.map(|size| size as u32);
    let dims = [
        outputs as u32,
        kernel_rows,
        kernel_columns,
        (inputs / groups) as u32,
    ];
    let [w, b] = weights(graph, random, &dims);
    let activation = [Activation::None, Activation::Relu][random.below(2)];
    let kind = Conv2d {
        window,
        groups,
        activation,
    };
    push(graph, kind, &[x, w, b], (0.02, zero_point))
}

fn pool(random: &mut Random, window: Window2d) -> Kind {
    let activation = Activation::None;
    match random.below(2) {
        0 => MaxPool2d { window, activation }.into(),
        _ => AveragePool2d {
            window,
            count_include_pad: false,
            halves: Halves::Away,
            activation,
        }
        .into(),
    }
}

/// A model of one layer, or of a convolution and a sum, that takes and gives int8.
fn layer(random: &mut Random) -> Vec<u8> {
    let graph = &mut Graph::default();
    let pick = |random: &mut Random| CHANNELS[random.below(CHANNELS.len())];
    let (mut inputs, mut outputs) = (pick(random), pick(random));
    let kind = random.below(14);
    // An image that the largest window of 4 taps, dilated by 2, fits in.
    let mut image = [random.below(6) + 7, random.below(6) + 7];
    let groups = [2, 3][random.below(2)];
    if kind == 6 {
        image = [random.below(3) + 1, 1];
    }
    if kind == 10 {
        (image, inputs) = ([1, 1], VECTOR);
    }
    if kind >= 12 {
        // Windows by squares, where the file has weights packed for them.
        (inputs, outputs) = (inputs.next_multiple_of(8), outputs.next_multiple_of(4));
    }
    let channels = if kind == 9 { inputs * groups } else { inputs };
    let dims = [1, image[0] as u32, image[1] as u32, channels as u32];
    let mut x = graph.add_input("x", DType::I8, shape(&dims));
    let zero_point = i32::from(byte(random));
    graph.value_mut(x).quantization = Some(Quantization::per_tensor(0.01, zero_point));
    if kind == 11 {
        let history = History {
            axis: 1,
            steps: image[0] + random.below(3),
        };
        x = push(graph, history, &[x], (0.01, zero_point));
    }
    let (to, dense) = (i32::from(byte(random)), Window2d::dense([1, 1]));
    let window = match kind {
        12 | 13 => square(random),
        _ => window(random),
    };
    let y = match kind {
        0..=2 | 11..=13 => convolution(graph, random, x, window, [inputs, outputs, 1], to),
        3 => convolution(graph, random, x, dense, [inputs, outputs, 1], to),
        4 => convolution(graph, random, x, window, [inputs, inputs, inputs], to),
        5 => {
            let multiplied = [inputs, inputs * 2, inputs];
            convolution(graph, random, x, window, multiplied, to)
        }
        6 | 10 => {
            let [w, b] = weights(graph, random, &[outputs as u32, inputs as u32]);
            let kind = FullyConnected {
                activation: Activation::None,
            };
            push(graph, kind, &[x, w, b], (0.02, to))
        }
        7 => {
            let pool = pool(random, window);
            push(graph, pool, &[x], (0.01, zero_point))
        }
        8 => {
            let y = convolution(graph, random, x, dense, [inputs, inputs, 1], to);
            let sum = Binary {
                function: Function::Add,
                activation: Activation::None,
            };
            push(graph, sum, &[x, y], (0.015, i32::from(byte(random))))
        }
        _ => {
            let grouped = [channels, outputs * groups, groups];
            convolution(graph, random, x, window, grouped, to)
        }
    };
    graph.add_output("y", y);
    compiled(graph, random)
}

/// The file, with any rule of rounding.
fn compiled(graph: &Graph, random: &mut Random) -> Vec<u8> {
    let rounding = [
        Rounding::High,
        Rounding::High,
        Rounding::Single,
        Rounding::Double,
    ];
    let options = Options {
        rounding: rounding[random.below(4)],
        packed_weights: random.below(4) > 0,
        ..Options::default()
    };
    compile(graph, &options).unwrap().bytes
}

fn gives_the_hosts_bits(spec: &str, kernels: &str) {
    let board = find(spec).unwrap();
    let started = Images::locate()
        .find(&board)
        .and_then(|image| Qemu::start(&board, &image, &[]));
    let (mut client, info) = match started {
        Ok(qemu) => Client::connect(qemu).unwrap(),
        Err(missing @ (Error::NoImage { .. } | Error::NoEmulator { .. })) => {
            println!("skipped: {missing}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    assert_eq!(info.kernels, kernels);
    let mut distinct = std::collections::BTreeSet::new();
    for seed in 0..MODELS {
        let mut random = Random(seed);
        let model = layer(&mut random);
        let mut runner = Runner::new(&model).unwrap();
        let [input, output] = {
            let model = runner.model().unwrap();
            [
                model.input(0).unwrap().bytes(),
                model.output(0).unwrap().bytes(),
            ]
        };
        client.load(&model).unwrap();
        // Twice, since some layers remember what they have seen.
        for _ in 0..2 {
            let input: Vec<u8> = (0..input).map(|_| byte(&mut random) as u8).collect();
            let expected = on_host(&mut runner, &input);
            let given = on_device(&mut client, &input, output);
            assert_eq!(given, expected, "model {seed}");
            distinct.extend(expected);
        }
    }
    assert!(distinct.len() > 200, "outputs are all alike");
}

#[test]
fn a_cortex_m55_gives_the_hosts_bits_for_every_layer() {
    gives_the_hosts_bits("qemu:mps3-an547", "helium");
}

#[test]
fn a_cortex_m4_gives_the_hosts_bits_for_every_layer() {
    gives_the_hosts_bits("qemu:mps2-an386", "armv7em");
}

#[test]
fn a_cortex_m7_gives_the_hosts_bits_for_every_layer() {
    gives_the_hosts_bits("qemu:mps2-an500", "armv7em");
}

#[test]
fn a_cortex_m33_gives_the_hosts_bits_for_every_layer() {
    gives_the_hosts_bits("qemu:mps2-an505", "armv7em");
}
