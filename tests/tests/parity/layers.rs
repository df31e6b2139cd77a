//! A network of fully connected layers of the sizes that boards have loops of their own for, and of sizes
//! beside these.

use compile::{Options, compile};
use format::DType;
use format::fixed::Rounding;
use graph::{Data, Graph, Quantization, Shape, ValueId};
use runtime::Model;
use runtime::host::{Activation, AlignedBytes};
use runtime::ops::fully_connected::FullyConnected;

/// The number of inputs, and of the outputs of each layer.
const SIZES: [u32; 11] = [640, 128, 24, 128, 12, 64, 5, 130, 128, 7, 8];

/// Numbers without order.
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 8
    }
}

fn shape(dims: &[u32]) -> Shape {
    Shape::new(dims).unwrap()
}

/// The layer from `SIZES[index]` values to as many as follow, about a quarter of which is beyond the limits.
fn layer(graph: &mut Graph, noise: &mut Noise, x: ValueId, index: usize) -> ValueId {
    let [inputs, outputs] = [SIZES[index], SIZES[index + 1]];
    let numbers = (0..inputs * outputs).map(|_| noise.next() as i8).collect();
    let w = graph.add_constant("w", shape(&[outputs, inputs]), Data::I8(numbers));
    graph.value_mut(w).quantization = Some(Quantization {
        scales: (0..outputs)
            .map(|i| 0.01 + (i % 7) as f32 / 900.0)
            .collect(),
        zero_point: 0,
        axis: Some(0),
    });
    let mut bias: Vec<i32> = (0..outputs).map(|_| noise.next() as i32 % 4_000).collect();
    if index.is_multiple_of(2) {
        // More than 20 bits: the layer's biases are then shifted.
        bias[outputs as usize / 2] = -1_500_000;
    }
    let b = graph.add_constant("b", shape(&[outputs]), Data::I32(bias));
    let activation = [Activation::None, Activation::Relu][index % 2];
    let kind = FullyConnected { activation };
    let scale = graph.value(x).quantization.as_ref().unwrap().scale(0);
    let y = graph.push("layer", kind, &[x, w, b]).unwrap()[0];
    let scale = scale * 0.01 * 40.0 * (inputs as f32).sqrt();
    let zero_point = 5 - 9 * index as i32;
    graph.value_mut(y).quantization = Some(Quantization::per_tensor(scale, zero_point));
    y
}

/// The file, with sums rounded by a rule.
pub(crate) fn file(rounding: Rounding) -> Vec<u8> {
    let (mut graph, mut noise) = (Graph::default(), Noise(1));
    let mut x = graph.add_input("x", DType::I8, shape(&[1, SIZES[0]]));
    graph.value_mut(x).quantization = Some(Quantization::per_tensor(1.0, 3));
    for index in 0..SIZES.len() - 1 {
        x = layer(&mut graph, &mut noise, x, index);
    }
    graph.add_output("y", x);
    let options = Options {
        rounding,
        ..Options::default()
    };
    let bytes = compile(&graph, &options).unwrap().bytes;
    let aligned = AlignedBytes::copy_of(&bytes);
    let nodes = Model::new(aligned.bytes()).unwrap().nodes();
    let records = nodes.map(|node| node.input(2).unwrap().dtype);
    let expected = match rounding {
        Rounding::High => DType::Channel,
        Rounding::Single | Rounding::Double => DType::ChannelWide,
    };
    assert!(
        records.eq([expected; SIZES.len() - 1]),
        "a layer is rounded otherwise"
    );
    bytes
}

/// Inputs over the whole range.
pub(crate) fn samples() -> Vec<Vec<f32>> {
    let mut noise = Noise(2);
    let mut sample = || {
        (0..SIZES[0])
            .map(|_| f32::from(noise.next() as i8))
            .collect()
    };
    (0..60).map(|_| sample()).collect()
}
