//! Random small graphs of concatenations, slices, conversions and sums compile, which means that the replay
//! accepts where the planner puts values, and give what their nodes give one by one.

use compile::{Options, compile};
use format::fixed::Rounding;
use graph::{DType, Data, Graph, Kind, Quantization, Shape, Value, ValueId};
use proptest::prelude::*;
use runtime::host::{Activation, Runner, Tensor, evaluate};
use runtime::ops::Window2d;
use runtime::ops::binary::{Binary, Function};
use runtime::ops::concat::Concat;
use runtime::ops::dequantize::Dequantize;
use runtime::ops::max_pool_2d::MaxPool2d;
use runtime::ops::quantize::Quantize;
use runtime::ops::reshape::Reshape;
use runtime::ops::slice::Slice;
use runtime::ops::unary::{self, Unary};
use std::collections::HashMap;

/// A choice of an operator, and of what it is applied to.
type Step = (u8, u16, u16, u16);

/// A graph of images `[1, H, W, 2]` while it grows.
struct Growing {
    graph: Graph,
    values: Vec<ValueId>,
    width: u32,
}

/// What numbers of a kind are: int8 and int16 in two scales each, or floats.
fn steps(kind: u16) -> (DType, Option<Quantization>) {
    let of = |scale, zero_point| Some(Quantization::per_tensor(scale, zero_point));
    match kind % 5 {
        0 => (DType::I8, of(0.5, 3)),
        1 => (DType::I8, of(0.75, -9)),
        2 => (DType::I16, of(0.004, 0)),
        3 => (DType::I16, of(0.003, 0)),
        _ => (DType::F32, None),
    }
}

impl Growing {
    fn new(width: u32, inputs: &[(u32, u16)]) -> Self {
        let mut growing = Growing {
            graph: Graph::default(),
            values: Vec::new(),
            width,
        };
        for &(rows, kind) in inputs {
            let (dtype, quantization) = steps(kind);
            let shape = growing.shape(rows);
            let x = growing.graph.add_input("x", dtype, shape);
            growing.graph.value_mut(x).quantization = quantization;
            growing.values.push(x);
        }
        growing
    }

    fn shape(&self, rows: u32) -> Shape {
        Shape::new(&[1, rows, self.width, 2]).unwrap()
    }

    fn any(&self, choice: u16) -> ValueId {
        self.values[usize::from(choice) % self.values.len()]
    }

    fn value(&self, id: ValueId) -> &Value {
        self.graph.value(id)
    }

    fn kind(&self, id: ValueId) -> (DType, Option<Quantization>) {
        (self.value(id).dtype, self.value(id).quantization.clone())
    }

    fn push(
        &mut self,
        kind: impl Into<Kind>,
        inputs: &[ValueId],
        q: Option<Quantization>,
    ) -> ValueId {
        let name = self.graph.nodes.len().to_string();
        let made = self.graph.push(name, kind, inputs).unwrap()[0];
        self.graph.value_mut(made).quantization = q;
        made
    }

    /// A value in other steps, or as it is where it has them.
    fn converted(&mut self, id: ValueId, (dtype, q): (DType, Option<Quantization>)) -> ValueId {
        match (self.kind(id), dtype) {
            (from, _) if from == (dtype, q.clone()) => id,
            (_, DType::F32) => self.push(Dequantize, &[id], None),
            _ => self.push(Quantize { dtype }, &[id], q),
        }
    }

    fn constant(&mut self, rows: u32, kind: u16) -> ValueId {
        let (dtype, quantization) = steps(kind);
        let shape = self.shape(rows);
        let bytes = bytes(dtype, shape.elements(), kind.into());
        let data = Data::from_bytes(dtype, &bytes).unwrap();
        let id = self.graph.add_constant("c", shape, data);
        self.graph.value_mut(id).quantization = quantization;
        id
    }

    fn slice(&mut self, x: ValueId, axis: usize, first: u16, size: u16) -> ValueId {
        let dims = self.value(x).shape;
        let mut slice = Slice {
            starts: vec![0; 4],
            steps: vec![1; 4],
            sizes: dims.dims().iter().map(|&size| size as usize).collect(),
        };
        let first = usize::from(first) % dims.dim(axis);
        slice.starts[axis] = first;
        slice.sizes[axis] = 1 + usize::from(size) % (dims.dim(axis) - first);
        let quantization = self.kind(x).1;
        self.push(slice, &[x], quantization)
    }

    fn sum(&mut self, a: ValueId, b: ValueId) -> ValueId {
        let (rows, kind) = (self.value(a).shape, self.kind(a));
        let b = if self.value(b).shape == rows { b } else { a };
        let b = self.converted(b, kind.clone());
        let function = Function::Add;
        let activation = Activation::None;
        self.push(
            Binary {
                function,
                activation,
            },
            &[a, b],
            kind.1,
        )
    }

    /// Applies one operator; what is made has the width of all others, or is cut from it again.
    fn grow(&mut self, (operator, a, b, c): Step) {
        let (x, y) = (self.any(a), self.any(b));
        let rows = self.value(x).shape.dim(1) as u32;
        let made = match operator % 10 {
            0 => self.slice(x, 1, b, c),
            1 | 2 => {
                let kind = steps(c);
                let parts = [x, y, self.any(c), x];
                let parts = &parts[..2 + usize::from(a) % 3];
                let parts: Vec<ValueId> = parts
                    .iter()
                    .map(|&part| self.converted(part, kind.clone()))
                    .collect();
                self.push(Concat { axis: 1 }, &parts, kind.1)
            }
            3 | 4 => self.converted(x, steps(c)),
            5 => self.sum(x, y),
            6 => {
                let (function, q) = (unary::Function::Neg, self.kind(x).1);
                self.push(Unary { function }, &[x], q)
            }
            7 => {
                let (shape, q) = (self.value(x).shape, self.kind(x).1);
                self.push(Reshape { shape }, &[x], q)
            }
            8 => {
                let constant = self.constant(rows, c);
                let shape = self.shape(rows);
                let q = self.kind(constant).1;
                let constant = match b % 2 {
                    0 => constant,
                    _ => self.push(Reshape { shape }, &[constant], q),
                };
                let kind = self.kind(x);
                let constant = self.converted(constant, kind.clone());
                self.push(Concat { axis: 1 }, &[x, constant], kind.1)
            }
            _ => {
                let mut window = Window2d::dense([1 + usize::from(b) % 3, 1]);
                window.stride = [1 + usize::from(c) % 2, 1];
                window.padding = [window.kernel[0] / 2, 0, window.kernel[0] / 2, 0];
                let activation = Activation::None;
                let q = self.kind(x).1;
                self.push(MaxPool2d { window, activation }, &[x], q)
            }
        };
        // Further operators would make larger and larger ones.
        if self.value(made).shape.dim(1) <= 40 {
            self.values.push(made);
        }
        if c % 7 == 0 {
            self.graph.add_output("y", made);
        }
    }
}

/// Small numbers of a type.
fn bytes(dtype: DType, elements: usize, seed: u32) -> Vec<u8> {
    let number = |i: usize| ((i as u32 * 37 + seed * 11) % 251) as i16 - 125;
    (0..elements)
        .flat_map(|i| match dtype {
            DType::I8 => vec![number(i) as u8],
            DType::I16 => (number(i) * 200).to_le_bytes().to_vec(),
            _ => (f32::from(number(i)) / 4.0).to_le_bytes().to_vec(),
        })
        .collect()
}

/// The bytes of all outputs, from nodes that run one by one.
fn one_by_one(graph: &Graph, rounding: Rounding, given: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut known: HashMap<ValueId, Data> = HashMap::new();
    for (port, bytes) in graph.inputs.iter().zip(given) {
        let data = Data::from_bytes(graph.value(port.value).dtype, bytes).unwrap();
        known.insert(port.value, data);
    }
    for node in &graph.nodes {
        let operands: Vec<_> = node
            .inputs
            .iter()
            .map(|&id| {
                let (id, value) = (id?, graph.value(id?));
                let data = value.data.clone().or_else(|| known.get(&id).cloned())?;
                let shape = value.shape;
                Some((Tensor { shape, data }, value.quantization.clone()))
            })
            .collect();
        let output = node.outputs[0];
        if let (Kind::Reshape(_), Some(Some((tensor, _)))) = (&node.kind, operands.first()) {
            known.insert(output, tensor.data.clone());
            continue;
        }
        let q = graph.value(output).quantization.clone();
        let made = evaluate(node.kind.operator(), &operands, &[q], rounding).unwrap();
        known.insert(output, made[0].data.clone());
    }
    let outputs = graph.outputs.iter().map(|port| port.value);
    outputs.map(|id| known[&id].bytes().to_vec()).collect()
}

fn compiled(graph: &Graph, options: &Options, given: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, String> {
    let compiled = compile(graph, options).map_err(|error| error.to_string())?;
    let mut runner = Runner::new(&compiled.bytes).unwrap();
    let mut session = runner.session().unwrap();
    for (port, bytes) in given.iter().enumerate() {
        session.set_input(port, bytes).unwrap();
    }
    session.run();
    let outputs = (0..session.model().output_count()).map(|port| {
        let mut bytes = vec![0; session.model().output(port).unwrap().bytes()];
        session.output(port, &mut bytes).unwrap();
        bytes
    });
    Ok(outputs.collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_graph_compiles_and_gives_what_its_nodes_give(
        width in 1u32..4,
        inputs in proptest::collection::vec((1u32..6, 0u16..5), 1..3),
        chosen in proptest::collection::vec(any::<Step>(), 1..12),
        rounding in prop_oneof![Just(Rounding::High), Just(Rounding::Double)],
    ) {
        let mut growing = Growing::new(width, &inputs);
        chosen.into_iter().for_each(|step| growing.grow(step));
        let Growing { mut graph, values, .. } = growing;
        graph.add_output("last", *values.last().unwrap());
        let given: Vec<Vec<u8>> = graph.inputs.iter().zip(1..).map(|(port, seed)| {
            let value = graph.value(port.value);
            bytes(value.dtype, value.shape.elements(), seed)
        }).collect();
        let expected = one_by_one(&graph, rounding, &given);
        for copies in [false, true] {
            // More orders would only be tried for less memory.
            let effort = 20;
            let options = Options { rounding, copies, effort, ..Options::default() };
            let made = compiled(&graph, &options, &given);
            prop_assert_eq!(made.as_ref(), Ok(&expected), "copies: {}\n{}", copies, graph);
        }
    }
}
