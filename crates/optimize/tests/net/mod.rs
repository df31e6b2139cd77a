//! Small graphs, and how near their integer forms come to them.

use compile::{Options as CompileOptions, compile};
use format::fixed::Rounding;
use graph::{DType, Data, Graph, Kind, Shape, ValueId};
use optimize::quantize::{
    self, Activations, FloatNode, Method, Options, Quantized, Sample, WeightType,
};
use runtime::host::{Activation, Runner};
use runtime::ops::binary::{Binary, Function};
use runtime::ops::reduce::{Function as Fold, Reduce};
use runtime::ops::unary::{Function as Of1, Unary};

pub(crate) fn shape(dims: &[u32]) -> Shape {
    Shape::new(dims).unwrap()
}

/// Numbers from -1 to 1 that look random.
pub(crate) fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// A graph under construction.
pub(crate) struct Net {
    graph: Graph,
}

impl Net {
    pub(crate) fn new() -> Self {
        let graph = Graph::default();
        Net { graph }
    }

    pub(crate) fn input(&mut self, dims: &[u32]) -> ValueId {
        let name = format!("x{}", self.graph.inputs.len());
        self.graph.add_input(name, DType::F32, shape(dims))
    }

    /// An input of positions below 10.
    pub(crate) fn whole_input(&mut self, dims: &[u32]) -> ValueId {
        self.graph.add_input("at", DType::I32, shape(dims))
    }

    pub(crate) fn constant(&mut self, dims: &[u32], values: Vec<f32>) -> ValueId {
        self.graph.add_constant("c", shape(dims), Data::F32(values))
    }

    /// Truth values: 1 where they hold.
    pub(crate) fn truth(&mut self, dims: &[u32], values: Vec<u8>) -> ValueId {
        self.graph
            .add_constant("truth", shape(dims), Data::Bool(values))
    }

    pub(crate) fn positions(&mut self, dims: &[u32], values: Vec<i32>) -> ValueId {
        self.graph
            .add_constant("at", shape(dims), Data::I32(values))
    }

    pub(crate) fn push(&mut self, kind: impl Into<Kind>, inputs: &[ValueId]) -> ValueId {
        let name = format!("n{}", self.graph.nodes.len());
        self.graph.push(name, kind, inputs).unwrap()[0]
    }

    pub(crate) fn binary(&mut self, function: Function, a: ValueId, b: ValueId) -> ValueId {
        let activation = Activation::None;
        self.push(
            Binary {
                function,
                activation,
            },
            &[a, b],
        )
    }

    pub(crate) fn unary(&mut self, function: Of1, a: ValueId) -> ValueId {
        self.push(Unary { function }, &[a])
    }

    pub(crate) fn reduce(
        &mut self,
        function: Fold,
        first: usize,
        last: usize,
        x: ValueId,
    ) -> ValueId {
        self.push(
            Reduce {
                function,
                first,
                last,
            },
            &[x],
        )
    }

    pub(crate) fn output(mut self, value: ValueId) -> Graph {
        self.graph.add_output("y", value);
        self.graph.remove_dead();
        self.graph
    }

    /// The nodes that stay in float.
    pub(crate) fn float_nodes(self, value: ValueId) -> Vec<FloatNode> {
        quantized(&self.output(value), Activations::Int8).float
    }
}

pub(crate) fn samples(graph: &Graph, count: u64) -> Vec<Sample> {
    let sample = |seed: u64| {
        let inputs = graph.inputs.iter().enumerate();
        let values = inputs.map(|(i, port)| {
            let values = noise(port.shape.elements(), seed * 16 + i as u64 + 1);
            match graph.value(port.value).dtype {
                DType::F32 => values,
                _ => values
                    .iter()
                    .map(|v| ((v + 1.0) * 5.0).floor().min(9.0))
                    .collect(),
            }
        });
        values.collect()
    };
    (0..count).map(sample).collect()
}

pub(crate) fn quantized(graph: &Graph, activations: Activations) -> Quantized {
    quantized_with(graph, activations, &|_| false)
}

/// With some nodes in int16 in any case.
pub(crate) fn quantized_with(
    graph: &Graph,
    activations: Activations,
    int16: &(dyn Fn(&str) -> bool + Sync),
) -> Quantized {
    let samples = samples(graph, 24);
    let options = Options {
        activations,
        weights: WeightType::Int8,
        method: Method::MinMax,
        bias_correction: false,
        reconstruct: false,
        equalize: false,
        int16,
        keep_float: &|_| false,
        rounding: Rounding::High,
    };
    let mut all = samples.iter().cloned().map(Ok);
    quantize::quantize(graph, &samples, &mut all, &options, &mut |_| ()).unwrap()
}

pub(crate) fn run(graph: &Graph, sample: &Sample) -> Vec<f32> {
    let plan = compile(graph, &CompileOptions::default()).unwrap();
    let mut runner = Runner::new(&plan.bytes).unwrap();
    let mut session = runner.session().unwrap();
    for (index, values) in sample.iter().enumerate() {
        session.set_input_f32(index, values).unwrap();
    }
    session.run();
    let mut output = vec![0.0; graph.outputs[0].shape.elements()];
    session.output_f32(0, &mut output).unwrap();
    output
}

/// The signal to noise ratio of an integer graph that has no float node, in decibels.
pub(crate) fn fidelity(graph: &Graph, activations: Activations) -> f64 {
    let integer = quantized(graph, activations);
    assert_eq!(integer.float, [], "{graph}");
    for node in &integer.graph.nodes {
        for id in node.inputs.iter().flatten().chain(&node.outputs) {
            let value = integer.graph.value(*id);
            let is_real = value.data.is_none() && value.dtype == DType::F32;
            assert!(!is_real, "'{}' of '{}' is float", value.name, node.name);
        }
    }
    let (mut signal, mut error) = (0.0, 0.0);
    for sample in samples(graph, 8) {
        let (float, got) = (run(graph, &sample), run(&integer.graph, &sample));
        for (&x, &y) in float.iter().zip(&got) {
            signal += f64::from(x * x);
            error += f64::from((x - y) * (x - y));
        }
    }
    10.0 * (signal / f64::max(error, 1e-30)).log10()
}

/// Fails where the int8 form is further from the float one.
pub(crate) fn assert_close(name: &str, graph: &Graph, least_db: f64) {
    let db = fidelity(graph, Activations::Int8);
    println!("{name}: {db:.1} dB");
    assert!(db >= least_db, "{name}: {db:.1} dB\n{graph}");
}
