//! Writes the models that the package's tests run, and what the host's session answers:
//! `cargo run -p modelopt-wasm --example fixtures -- FOLDER`.
//!
//! Every layer of the int8 network is an output, so a difference shows where it begins.

use compile::{Options, compile};
use evaluate::Predict;
use format::fixed::Rounding;
use format::meta::{Manifest, Meta, Port, Preprocess};
use format::{ABSENT, NodeRecord, ParamsWriter, Place, TensorRecord, Writer};
use graph::{DType, Data, Graph, Kind, Quantization, Shape, ValueId};
use runtime::host::{Activation, Runner};
use runtime::ops::average_pool_2d::{AveragePool2d, Halves};
use runtime::ops::binary::{self, Binary};
use runtime::ops::concat::Concat;
use runtime::ops::conv_2d::{self, Conv2d};
use runtime::ops::fully_connected::FullyConnected;
use runtime::ops::max_pool_2d::MaxPool2d;
use runtime::ops::reshape::Reshape;
use runtime::ops::softmax::Softmax;
use runtime::ops::unary::{self, Unary};
use runtime::ops::{Window2d, dequantize::Dequantize};
use serde_json::{Map, Value, json};
use std::error::Error;
use std::path::Path;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Inputs per model.
const CASES: usize = 24;

fn main() -> Result<()> {
    let folder = std::env::args()
        .nth(1)
        .ok_or("name the folder to write to")?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    for rounding in [Rounding::High, Rounding::Single, Rounding::Double] {
        let name = format!("int8_{}", format!("{rounding:?}").to_lowercase());
        write(folder, &name, &int8_network(rounding)?)?;
    }
    write(folder, "float", &float_network()?)?;
    write(folder, "accumulator", &accumulator()?)?;
    write_digits(folder)?;
    std::fs::write(folder.join("unknown_operator.mopt"), broken(9_999)?)?;
    std::fs::write(folder.join("bad_operand.mopt"), broken(conv_2d::I8.code)?)?;
    println!(
        "{}: 6 models with {CASES} inputs each, 2 that are refused",
        folder.display()
    );
    Ok(())
}

/// Uniform numbers that repeat on every machine.
struct Random(u64);

impl Random {
    /// 0 to `limit`, exclusive.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % limit
    }

    fn int8(&mut self) -> i8 {
        self.below(256) as u8 as i8
    }

    /// A multiple of 1/64 within ±4, exact as text and as a float.
    fn real(&mut self) -> f32 {
        self.below(512) as f32 / 64.0 - 4.0
    }
}

/// A graph under construction whose values are quantized as they are made.
struct Builder {
    graph: Graph,
    random: Random,
}

impl Builder {
    fn constant(&mut self, name: &str, dims: &[u32], data: Data) -> Result<ValueId> {
        Ok(self.graph.add_constant(name, shape(dims)?, data))
    }

    /// int8 weights with a scale per output channel, and a real bias.
    fn weights(&mut self, name: &str, dims: &[u32], full: bool) -> Result<[ValueId; 2]> {
        let count: u32 = dims.iter().product();
        let values = (0..count)
            .map(|_| {
                if full && self.random.below(4) == 0 {
                    -128
                } else {
                    self.random.int8()
                }
            })
            .collect();
        let id = self.constant(name, dims, Data::I8(values))?;
        let scales = (0..dims[0]).map(|_| 0.001 + self.random.below(64) as f32 / 20_000.0);
        let scales = scales.collect();
        let quantization = Quantization {
            scales,
            zero_point: 0,
            axis: Some(0),
        };
        self.graph.value_mut(id).quantization = Some(quantization);
        let bias = (0..dims[0]).map(|_| self.random.real()).collect();
        Ok([
            id,
            self.constant(&format!("{name}_bias"), &dims[..1], Data::F32(bias))?,
        ])
    }

    /// Appends a node whose output is quantized, and shows the output to the caller.
    fn layer(
        &mut self,
        name: &str,
        kind: impl Into<Kind>,
        inputs: &[ValueId],
        quantization: Option<(f32, i32)>,
    ) -> Result<ValueId> {
        let output = *self
            .graph
            .push(name, kind, inputs)?
            .first()
            .ok_or("no output")?;
        let quantization = quantization.map(|(s, z)| Quantization::per_tensor(s, z));
        self.graph.value_mut(output).quantization = quantization;
        self.graph.add_output(name, output);
        Ok(output)
    }
}

fn shape(dims: &[u32]) -> Result<Shape> {
    Ok(Shape::new(dims).ok_or("too many dimensions")?)
}

fn window(kernel: usize, stride: usize, padding: [usize; 4]) -> Window2d {
    let stride = [stride; 2];
    Window2d {
        stride,
        padding,
        ..Window2d::dense([kernel; 2])
    }
}

fn conv(window: Window2d, groups: usize, activation: Activation) -> Conv2d {
    Conv2d {
        window,
        groups,
        activation,
    }
}

/// Convolutions of three kinds, sum, concatenation, both pools, fully connected, softmax; the
/// caller passes channels first.
fn int8_network(rounding: Rounding) -> Result<Vec<u8>> {
    let mut b = Builder {
        graph: Graph::default(),
        random: Random(7),
    };
    let x = b.graph.add_input("image", DType::I8, shape(&[1, 9, 8, 3])?);
    b.graph.value_mut(x).quantization = Some(Quantization::per_tensor(1.0 / 32.0, 3));
    b.graph.inputs[0].shape = shape(&[1, 3, 9, 8])?;
    b.graph.inputs[0].axes = vec![0, 2, 3, 1];
    let scale = Some((0.06, -20));
    let [w, bias] = b.weights("w1", &[8, 3, 3, 3], false)?;
    let kind = conv(window(3, 1, [1; 4]), 1, Activation::Relu);
    let first = b.layer("conv", kind, &[x, w, bias], scale)?;
    let last = b.graph.outputs.len() - 1;
    b.graph.outputs[last].shape = shape(&[1, 8, 9, 8])?;
    b.graph.outputs[last].axes = vec![0, 2, 3, 1];
    let [w, bias] = b.weights("w2", &[8, 3, 3, 1], true)?;
    let kind = conv(window(3, 1, [1; 4]), 8, Activation::Clip(0.0, 6.0));
    let depthwise = b.layer("depthwise", kind, &[first, w, bias], Some((0.03, -90)))?;
    let [w, bias] = b.weights("w3", &[8, 1, 1, 8], false)?;
    let kind = conv(window(1, 1, [0; 4]), 1, Activation::None);
    let pointwise = b.layer("pointwise", kind, &[depthwise, w, bias], Some((0.05, 11)))?;
    let kind = Binary {
        function: binary::Function::Add,
        activation: Activation::None,
    };
    let sum = b.layer("add", kind, &[first, pointwise], scale)?;
    let joined = b.layer("concat", Concat { axis: 3 }, &[first, sum], scale)?;
    let pool = window(2, 2, [0; 4]);
    let kind = MaxPool2d {
        window: pool,
        activation: Activation::None,
    };
    let largest = b.layer("max_pool", kind, &[joined], scale)?;
    let kind = AveragePool2d {
        window: Window2d::dense([4, 4]),
        count_include_pad: false,
        halves: Halves::Away,
        activation: Activation::None,
    };
    let mean = b.layer("average_pool", kind, &[largest], scale)?;
    let flat = b.layer(
        "reshape",
        Reshape {
            shape: shape(&[1, 16])?,
        },
        &[mean],
        scale,
    )?;
    let curve = Unary {
        function: unary::Function::HardSwish,
    };
    let curve = b.layer("hard_swish", curve, &[flat], Some((0.04, -60)))?;
    let [w, bias] = b.weights("w4", &[5, 16], false)?;
    let kind = FullyConnected {
        activation: Activation::None,
    };
    let scores = b.layer("fully_connected", kind, &[curve, w, bias], Some((0.1, 4)))?;
    b.layer("softmax", Softmax, &[scores], Some((1.0 / 256.0, -128)))?;
    b.graph.outputs.reverse();
    Ok(compile(&b.graph, &options(rounding))?.bytes)
}

/// int8 in, float out: what a mixed model does at its borders, and real functions.
fn float_network() -> Result<Vec<u8>> {
    let mut b = Builder {
        graph: Graph::default(),
        random: Random(9),
    };
    let x = b.graph.add_input("x", DType::F32, shape(&[1, 6])?);
    let codes = b.graph.add_input("codes", DType::I8, shape(&[1, 6])?);
    b.graph.value_mut(codes).quantization = Some(Quantization::per_tensor(0.5, -1));
    let real = b.layer("real", Dequantize, &[codes], None)?;
    let kind = Binary {
        function: binary::Function::Mul,
        activation: Activation::None,
    };
    let product = b.layer("product", kind, &[x, real], None)?;
    let curve = Unary {
        function: unary::Function::Tanh,
    };
    let curve = b.layer("tanh", curve, &[product], None)?;
    let weights = (0..24).map(|_| b.random.real()).collect();
    let weights = b.constant("w", &[4, 6], Data::F32(weights))?;
    let kind = FullyConnected {
        activation: Activation::None,
    };
    b.layer("scores", kind, &[curve, weights], None)?;
    b.graph.outputs.reverse();
    Ok(compile(&b.graph, &options(Rounding::High))?.bytes)
}

fn options(rounding: Rounding) -> Options {
    Options {
        rounding,
        preprocess: vec![Preprocess {
            scale: 1.0 / 255.0,
            mean: vec![0.485, 0.456, 0.406],
            std: vec![0.229, 0.224, 0.225],
            channels_first: true,
            channel: None,
        }],
        labels: ["zero", "one", "two", "three", "vier ✓"]
            .map(String::from)
            .to_vec(),
        manifest: Manifest {
            tool: "fixtures 1".into(),
            source_hash: vec![0xab; 32],
            figures: vec![("top1".into(), 0.5)],
            ..Manifest::default()
        },
        ..Options::default()
    }
}

/// `total += x` with the total kept between runs.
fn accumulator() -> Result<Vec<u8>> {
    let mut writer = Writer::default();
    let mut tensor = |place, offset| {
        let record = TensorRecord {
            dtype: DType::F32,
            place,
            offset,
            shape: Shape::new(&[1, 2])?,
            scale: 0.0,
            zero_point: 0,
        };
        writer.tensor(&record)
    };
    let full = "the writer is full";
    let total = tensor(Place::State, 0).ok_or(full)?;
    let x = tensor(Place::Arena, 16).ok_or(full)?;
    let mut params = ParamsWriter::default();
    params.u8(binary::Function::Add as u8).u8(0).u16(0);
    let params = params.f32(f32::NEG_INFINITY).f32(f32::INFINITY).finish();
    let (inputs, outputs) = (vec![total, x], vec![total]);
    let code = binary::F32.code;
    writer
        .node(&NodeRecord {
            code,
            inputs,
            outputs,
            params,
            ..Default::default()
        })
        .ok_or(full)?;
    writer.ports(vec![x], vec![total]);
    let port = |name: &str| Port {
        name: name.into(),
        shape: vec![1, 2],
        ..Port::default()
    };
    let (inputs, outputs) = (vec![port("x")], vec![port("total")]);
    let meta = Meta {
        inputs,
        outputs,
        ..Meta::default()
    };
    Ok(writer.finish(32, 16, &meta).ok_or(full)?)
}

/// A whole file whose only node has this code and lacks its operands.
fn broken(code: u16) -> Result<Vec<u8>> {
    let mut writer = Writer::default();
    let record = NodeRecord {
        code,
        inputs: vec![ABSENT],
        ..NodeRecord::default()
    };
    writer.node(&record).ok_or("the writer is full")?;
    Ok(writer
        .finish(0, 0, &Meta::default())
        .ok_or("the writer is full")?)
}

/// Writes a model, and the answers of a session here as `NAME.json`.
fn write(folder: &Path, name: &str, file: &[u8]) -> Result<()> {
    let mut runner = Runner::new(file)?;
    let ports = runner.meta().clone();
    let mut random = Random(1);
    let mut cases = Vec::new();
    for _ in 0..CASES {
        let mut session = runner.session()?;
        let model = session.model();
        let mut inputs = Map::new();
        for (index, port) in ports.inputs.iter().enumerate() {
            let tensor = model.input(index).ok_or("the input is missing")?;
            let given: Vec<f32> = (0..tensor.shape.elements())
                .map(|_| random.real())
                .collect();
            session.set_input_f32(index, &reordered(&given, port, &tensor.shape))?;
            inputs.insert(port.name.clone(), json!(given));
        }
        session.run();
        let mut stored = Map::new();
        for (index, port) in ports.outputs.iter().enumerate() {
            let tensor = model.output(index).ok_or("the output is missing")?;
            let mut bytes = vec![0; tensor.bytes()];
            session.output(index, &mut bytes)?;
            let parts: Vec<&[u8]> = bytes.chunks(tensor.dtype.bytes()).collect();
            let shape: Vec<usize> = port.shape.iter().map(|&size| size as usize).collect();
            let ordered = evaluate::layout::to_caller(&parts, &shape, &port.axes).concat();
            stored.insert(port.name.clone(), elements(tensor.dtype, &ordered)?);
        }
        cases.push(json!({ "inputs": inputs, "stored": stored }));
    }
    std::fs::write(folder.join(format!("{name}.mopt")), file)?;
    std::fs::write(
        folder.join(format!("{name}.json")),
        serde_json::to_string(&cases)?,
    )?;
    Ok(())
}

/// The digits of the repository's demonstration, and what the host answers to real images.
fn write_digits(folder: &Path) -> Result<()> {
    let digits = modelopt_tests::digits();
    let file = digits.quantized()?;
    let mut host = evaluate::Host::new(&file)?;
    let (input, output) = (
        host.inputs()[0].name.clone(),
        host.outputs()[0].name.clone(),
    );
    let mut cases = Vec::new();
    for sample in digits.samples(Some(CASES))? {
        let prediction = host.predict(&[&sample])?;
        let stored: Vec<i8> = prediction.raw[0].iter().map(|&byte| byte as i8).collect();
        cases.push(json!({
            "inputs": { input.clone(): sample }, "stored": { output.clone(): stored },
        }));
    }
    std::fs::write(folder.join("digits.mopt"), file)?;
    std::fs::write(folder.join("digits.json"), serde_json::to_string(&cases)?)?;
    Ok(())
}

/// The caller's channels-first image as the tensor's channels-last one.
fn reordered(given: &[f32], port: &Port, tensor: &Shape) -> Vec<f32> {
    if port.axes.is_empty() {
        return given.to_vec();
    }
    let (pixels, channels) = (tensor.dim(1) * tensor.dim(2), tensor.dim(3));
    let of = |i: usize| given[i % channels * pixels + i / channels];
    (0..given.len()).map(of).collect()
}

fn elements(dtype: DType, bytes: &[u8]) -> Result<Value> {
    Ok(match Data::from_bytes(dtype, bytes)? {
        Data::I8(values) => json!(values),
        Data::F32(values) => json!(values),
        other => return Err(format!("no fixture has {} outputs", other.dtype()).into()),
    })
}
