//! Any number of threads answers as one does, to the bit: random networks, whose layers are large
//! enough to be divided, and the files that were written once.

use compile::{Options, compile};
use graph::{DType, Data, Graph, Quantization, Shape, ValueId};
use proptest::prelude::*;
use runtime::Session;
use runtime::host::{Activation, Batch, Runner};
use runtime::ops::Window2d;
use runtime::ops::average_pool_2d::{AveragePool2d, Halves};
use runtime::ops::binary::{Binary, Function};
use runtime::ops::conv_2d::Conv2d;
use std::path::Path;

/// A layer of a random network.
#[derive(Clone, Copy, Debug)]
enum Layer {
    /// Window, step, outputs.
    Conv(usize, usize, u32),
    /// Window, step.
    Depthwise(usize, usize),
    /// The sum with the value of the same shape that is furthest back.
    Add,
}

fn layers() -> impl Strategy<Value = Layer> {
    prop_oneof![
        (1usize..4, 1usize..3, 8u32..60).prop_map(|(k, s, o)| Layer::Conv(k, s, o)),
        (2usize..6, 1usize..3).prop_map(|(k, s)| Layer::Depthwise(k, s)),
        Just(Layer::Add),
    ]
}

struct Net {
    graph: Graph,
    dtype: DType,
    /// All values so far.
    values: Vec<ValueId>,
}

impl Net {
    fn shape(&self, value: ValueId) -> Shape {
        self.graph.value(value).shape
    }

    fn push(&mut self, kind: impl Into<graph::Kind>, inputs: &[ValueId]) {
        let name = format!("n{}", self.values.len());
        let value = self.graph.push(name, kind, inputs).unwrap()[0];
        if self.dtype == DType::I8 {
            let quantization = Quantization::per_tensor(0.4, -1);
            self.graph.value_mut(value).quantization = Some(quantization);
        }
        self.values.push(value);
    }

    fn convolve(&mut self, kernel: usize, stride: usize, outputs: u32, groups: usize) {
        let input = *self.values.last().unwrap();
        let channels = self.shape(input).dim(3);
        let dims = [
            outputs,
            kernel as u32,
            kernel as u32,
            (channels / groups) as u32,
        ];
        let count: u32 = dims.iter().product();
        let number = |i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as i8;
        let data = match self.dtype {
            DType::I8 => Data::I8((0..count).map(|i| number(i).max(-127)).collect()),
            _ => Data::F32((0..count).map(|i| f32::from(number(i)) / 1000.0).collect()),
        };
        let weights = self
            .graph
            .add_constant("w", Shape::new(&dims).unwrap(), data);
        if self.dtype == DType::I8 {
            self.graph.value_mut(weights).quantization = Some(Quantization {
                scales: (0..outputs).map(|i| 0.004 + i as f32 / 9_000.0).collect(),
                zero_point: 0,
                axis: Some(0),
            });
        }
        let window = Window2d {
            stride: [stride; 2],
            padding: [kernel / 2; 4],
            ..Window2d::dense([kernel; 2])
        };
        let activation = Activation::None;
        self.push(
            Conv2d {
                window,
                groups,
                activation,
            },
            &[input, weights],
        );
    }

    fn add(&mut self, layer: Layer) {
        let last = *self.values.last().unwrap();
        let channels = self.shape(last).dim(3);
        match layer {
            Layer::Conv(kernel, stride, outputs) => self.convolve(kernel, stride, outputs, 1),
            Layer::Depthwise(kernel, stride) => {
                self.convolve(kernel, stride, channels as u32, channels);
            }
            Layer::Add => {
                let shape = self.shape(last);
                let other = self
                    .values
                    .iter()
                    .find(|&&value| self.shape(value) == shape);
                let (function, activation) = (Function::Add, Activation::None);
                self.push(
                    Binary {
                        function,
                        activation,
                    },
                    &[*other.unwrap(), last],
                );
            }
        }
    }
}

/// A network with a fully connected layer at its end.
fn network(dtype: DType, image: [u32; 3], layers: &[Layer]) -> Vec<u8> {
    let mut graph = Graph::default();
    let [rows, columns, channels] = image;
    let shape = Shape::new(&[1, rows, columns, channels]).unwrap();
    let x = graph.add_input("x", dtype, shape);
    if dtype == DType::I8 {
        graph.value_mut(x).quantization = Some(Quantization::per_tensor(0.1, 3));
    }
    let mut net = Net {
        graph,
        dtype,
        values: vec![x],
    };
    layers.iter().for_each(|&layer| net.add(layer));
    let last = *net.values.last().unwrap();
    let [_, rows, columns, _] = [0, 1, 2, 3].map(|axis| net.shape(last).dim(axis));
    let pool = AveragePool2d {
        window: Window2d::dense([rows, columns]),
        count_include_pad: false,
        halves: Halves::Away,
        activation: Activation::None,
    };
    net.push(pool, &[last]);
    net.convolve(1, 1, 3000, 1);
    let y = *net.values.last().unwrap();
    net.graph.add_output("all", last);
    net.graph.add_output("y", y);
    compile(&net.graph, &Options::default()).unwrap().bytes
}

/// The bytes of every output after a run of which each has inputs of its own.
fn answer(session: &mut Session<'_>, run: usize) -> Vec<Vec<u8>> {
    let model = session.model();
    for index in 0..model.input_count() {
        let elements = model.input(index).unwrap().shape.elements();
        let value = |i: usize| ((i + run) * 7919 % 4001) as f32 / 200.0 - 10.0;
        let values: Vec<f32> = (0..elements).map(value).collect();
        // Inputs of types that take no real numbers stay zeros.
        let _ = session.set_input_f32(index, &values);
    }
    session.run();
    let outputs = (0..model.output_count()).map(|index| {
        let mut bytes = vec![0; model.output(index).unwrap().bytes()];
        session.output(index, &mut bytes).unwrap();
        bytes
    });
    outputs.collect()
}

const RUNS: usize = 5;

fn check(name: &str, file: &[u8]) {
    let answers = |runner: &mut Runner| -> Vec<Vec<Vec<u8>>> {
        let mut session = runner.session().unwrap();
        (0..RUNS).map(|run| answer(&mut session, run)).collect()
    };
    let alone = answers(&mut Runner::new(file).unwrap());
    for threads in [1, 2, 3, 5] {
        let mut runner = Runner::new(file).unwrap().with_threads(threads).unwrap();
        assert_eq!(runner.threads(), threads);
        assert!(answers(&mut runner) == alone, "{name} on {threads} threads");
        assert_eq!(runner.file(), file, "{name}");
        let batch = Batch::new(file, threads).unwrap();
        let keeps_state = runner.model().unwrap().state_bytes() > 0;
        assert_eq!(batch.threads(), if keeps_state { 1 } else { threads });
        assert!(
            batch.run(RUNS, answer).unwrap() == alone,
            "{name} in {threads} lanes"
        );
        assert!(batch.run(0, answer).unwrap().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn random_networks_answer_the_same(
        image in [6u32..30, 6u32..30, 3u32..40],
        layers in proptest::collection::vec(layers(), 1..7),
        is_float: bool,
    ) {
        let dtype = if is_float { DType::F32 } else { DType::I8 };
        check("network", &network(dtype, image, &layers));
    }
}

#[test]
fn golden_models_answer_the_same() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "mopt")
        {
            check(&path.display().to_string(), &std::fs::read(&path).unwrap());
            count += 1;
        }
    }
    assert!(count >= 12, "golden files are missing");
}
