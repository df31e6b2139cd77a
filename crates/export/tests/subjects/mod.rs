//! Models to export, and other runtimes to run them in.

use format::fixed::Rounding;
use format::meta::Meta;
use graph::{DType, Data, Graph, Kind, Quantization, Shape, ValueId};
use import::Options;
use optimize::quantize::{self, Sample};
use runtime::Model;
use runtime::host::{Activation, Runner};
use runtime::ops::binary::{Binary, Function as OfTwo};
use runtime::ops::gather::Gather;
use runtime::ops::layer_norm::LayerNorm;
use runtime::ops::mat_mul::MatMul;
use runtime::ops::quantize::Quantize;
use runtime::ops::resample::Resample;
use runtime::ops::resample_2d::Resample2d;
use runtime::ops::transpose::Transpose;
use runtime::ops::unary::{Function, Unary};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file beside the repository, or `None` where there is none.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("MODELOPT_SHARED");
    let found = folder
        .map_or_else(|| root().join("../shared"), PathBuf::from)
        .join(path);
    if !found.exists() {
        println!("skipped: ../shared is missing");
        return None;
    }
    Some(found)
}

/// Runs a script of `tests/oracles`; `None` where its packages are not installed.
pub(crate) fn oracle(script: &str, arguments: &[&str]) -> Option<()> {
    let chosen = std::env::var_os("MODELOPT_ORACLES");
    let folder = chosen.map_or_else(|| root().join("target/oracles"), PathBuf::from);
    let python = folder.join("bin/python");
    if !python.exists() {
        println!("skipped: target/oracles is missing; `cargo xtask setup` makes it");
        return None;
    }
    let mut command = Command::new(python);
    command
        .arg(root().join("tests/oracles").join(script))
        .args(arguments);
    let output = command.output().unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {messages}");
    Some(())
}

/// The scale and the zero point of an int8 value; others are floats or places.
type Form = Option<(f32, i32)>;

/// A compact model.
pub(crate) struct Subject {
    pub(crate) name: String,
    runner: Runner,
    inputs: Vec<Vec<f32>>,
}

impl Subject {
    fn of(name: &str, graph: &Graph, rounding: Rounding, inputs: Vec<Vec<f32>>) -> Self {
        let options = compile::Options {
            rounding,
            ..compile::Options::default()
        };
        let compiled = compile::compile(graph, &options).unwrap();
        Subject {
            name: name.into(),
            runner: Runner::new(&compiled.bytes).unwrap(),
            inputs,
        }
    }

    /// The digits in float.
    #[allow(dead_code, reason = "not every test needs it")]
    pub(crate) fn float_digits() -> Self {
        let model = root().join("demo/digits/digits.onnx");
        let mut graph = import::onnx(&model, &Options::default()).unwrap().graph;
        optimize::run(&mut graph, |_| true).unwrap();
        Subject::of("digits", &graph, Rounding::High, Vec::new())
    }

    /// Nodes one after the other, each with the type and the scale of what it makes.
    fn of_nodes(
        dims: &[u32],
        from: (DType, f32, i32),
        nodes: &[(Kind, (DType, f32, i32))],
        rounding: Rounding,
    ) -> Self {
        let mut graph = Graph::default();
        let set = |graph: &mut Graph, id: ValueId, (dtype, scale, zero): (DType, f32, i32)| {
            let value = graph.value_mut(id);
            value.dtype = dtype;
            value.quantization = Some(Quantization::per_tensor(scale, zero));
        };
        let mut last = graph.add_input("x", from.0, Shape::new(dims).unwrap());
        set(&mut graph, last, from);
        for (index, (kind, to)) in nodes.iter().enumerate() {
            let mut inputs = vec![last];
            if let Kind::MatMul(_) | Kind::Binary(_) = kind {
                inputs.push(last);
            }
            if let Kind::LayerNorm(_) = kind {
                let row = Shape::new(&[64]).unwrap();
                inputs.extend([0.5, 0.1].map(|number| {
                    graph.add_constant(format!("{number}"), row, Data::F32(vec![number; 64]))
                }));
            }
            last = graph
                .push(format!("node{index}"), kind.clone(), &inputs)
                .unwrap()[0];
            set(&mut graph, last, *to);
        }
        graph.add_output("y", last);
        Subject::of("nodes", &graph, rounding, Vec::new())
    }

    /// A value that is converted to another scale before it is turned over, as quantization has it where
    /// values with ranges of their own meet.
    pub(crate) fn rescaled(rounding: Rounding) -> Self {
        let to = (DType::I8, 0.083, -20);
        let turned = Transpose {
            permutation: vec![1, 0],
        };
        let nodes = [
            (Quantize { dtype: DType::I8 }.into(), to),
            (turned.into(), to),
        ];
        Subject::of_nodes(&[1, 64], (DType::I8, 0.05, 3), &nodes, rounding)
    }

    /// A function that is a table, and products of matrices.
    pub(crate) fn products(rounding: Rounding) -> Self {
        let function = Function::HardSwish;
        let nodes = [
            (Unary { function }.into(), (DType::I8, 0.04, -60)),
            (MatMul.into(), (DType::I8, 0.25, 5)),
        ];
        Subject::of_nodes(&[1, 3, 8, 8], (DType::I8, 0.05, 3), &nodes, rounding)
    }

    /// A sum or a difference with a constant row, rounded once.
    #[allow(dead_code, reason = "not every test needs it")]
    pub(crate) fn beside_a_row(function: OfTwo) -> Self {
        let mut graph = Graph::default();
        let x = graph.add_input("x", DType::I8, Shape::new(&[1, 64]).unwrap());
        let row = Data::I8((-64..64).step_by(2).collect());
        let row = graph.add_constant("row", Shape::new(&[64]).unwrap(), row);
        let activation = Activation::None;
        let kind = Binary {
            function,
            activation,
        };
        let y = graph.push("sum", kind, &[x, row]).unwrap()[0];
        graph.value_mut(y).dtype = DType::I8;
        for (id, scale, zero) in [(x, 0.05, 3), (row, 0.02, -7), (y, 0.07, 11)] {
            graph.value_mut(id).quantization = Some(Quantization::per_tensor(scale, zero));
        }
        graph.add_output("y", y);
        Subject::of("row", &graph, Rounding::Single, Vec::new())
    }

    /// A quotient of each element by itself, of which 127 is zero.
    pub(crate) fn quotient() -> Self {
        let kind = Binary {
            function: OfTwo::Div,
            activation: Activation::None,
        };
        let nodes = [(kind.into(), (DType::I8, 0.01, 3))];
        Subject::of_nodes(&[1, 64], (DType::I8, 0.05, 127), &nodes, Rounding::High)
    }

    /// One operator with constants beside its input, which `None` stands for.
    fn of_layer(
        name: &str,
        (dims, from): (&[u32], Form),
        kind: impl Into<Kind>,
        operands: Vec<Option<(&[u32], Data, Form)>>,
        to: Form,
    ) -> Self {
        let mut graph = Graph::default();
        let set = |graph: &mut Graph, id: ValueId, form: Form| {
            let quantization = form.map(|(scale, zero)| Quantization::per_tensor(scale, zero));
            graph.value_mut(id).quantization = quantization;
        };
        let dtype = if from.is_some() {
            DType::I8
        } else {
            DType::I32
        };
        let input = graph.add_input("x", dtype, Shape::new(dims).unwrap());
        set(&mut graph, input, from);
        let mut ids = Vec::new();
        for operand in operands {
            let Some((dims, data, form)) = operand else {
                ids.push(input);
                continue;
            };
            let name = format!("constant{}", ids.len());
            let id = graph.add_constant(name, Shape::new(dims).unwrap(), data);
            set(&mut graph, id, form);
            ids.push(id);
        }
        let output = graph.push("layer", kind.into(), &ids).unwrap()[0];
        graph.value_mut(output).dtype = DType::I8;
        set(&mut graph, output, to);
        graph.add_output("y", output);
        Subject::of(name, &graph, Rounding::Single, Vec::new())
    }

    /// Columns of an image from both ends, some twice, and zeros.
    pub(crate) fn picked() -> [Self; 2] {
        let form = Some((0.05, 3));
        [3usize, 1].map(|axis| {
            let places = Data::I64(vec![2, -1, 0, 0, 7]);
            let operands = vec![None, Some((&[5][..], places, None))];
            let dims = &[1, 4, 5, 3];
            Subject::of_layer("picked", (dims, form), Gather { axis }, operands, form)
        })
    }

    /// Rows of a constant table by the numbers that are the input.
    pub(crate) fn embedded() -> Self {
        let form = Some((0.02, -7));
        let table = (0..40).map(|i| (i * 37 % 256 - 128) as i8).collect();
        let operands = vec![Some((&[10, 4][..], Data::I8(table), form)), None];
        let kind = Gather { axis: 0 };
        Subject::of_layer("embedded", (&[1, 6], None), kind, operands, form)
    }

    /// Rows of the last axis, and all but the first of an image.
    pub(crate) fn normalized() -> [Self; 2] {
        [(&[1u32, 6, 16][..], 2), (&[1, 4, 3, 2], 1)].map(|(dims, first)| {
            let row = &dims[first..];
            let size: u32 = row.iter().product();
            let gamma = (0..size).map(|i| 0.5 + 0.1 * (i % 7) as f32).collect();
            let beta = (0..size).map(|i| 0.3 - 0.1 * (i % 5) as f32).collect();
            let [gamma, beta] = [gamma, beta].map(|values| Some((row, Data::F32(values), None)));
            let epsilon = 1e-3;
            let kind = LayerNorm { first, epsilon };
            let operands = vec![None, gamma, beta];
            let from = (dims, Some((0.05, 3)));
            Subject::of_layer("normalized", from, kind, operands, Some((0.03, 10)))
        })
    }

    /// Two neighbours of every element as ONNX has them for pixels that are squares, where `taps` is 2, or
    /// four, and weights of which no mode of either format has the like.
    fn tables(size: i32, count: i32, taps: i32) -> [(Vec<u32>, Data); 2] {
        let (mut positions, mut weights) = (Vec::new(), Vec::new());
        for j in 0..count {
            let place = ((j as f32 + 0.5) * size as f32 / count as f32 - 0.5).max(0.0);
            let share = place.fract();
            for tap in 0..taps {
                positions.push((place as i32 + tap - taps / 2 + 1).clamp(0, size - 1));
                weights.push(match (taps, tap) {
                    (2, 0) => 1.0 - share,
                    (2, _) => share,
                    (_, 0 | 3) => -0.25,
                    _ => 0.75,
                });
            }
        }
        let dims = vec![count as u32, taps as u32];
        [
            (dims.clone(), Data::I32(positions)),
            (dims, Data::F32(weights)),
        ]
    }

    /// An image stretched along both axes, and rows along one.
    pub(crate) fn resampled(taps: i32) -> [Self; 2] {
        let form = Some((0.05, 3));
        let tables = [Self::tables(5, 10, taps), Self::tables(6, 9, taps)].concat();
        let operands = |count: usize| {
            let constants = tables.iter().take(count);
            let constants = constants.map(|(dims, data)| Some((&dims[..], data.clone(), None)));
            [None].into_iter().chain(constants).collect()
        };
        let (image, rows) = ((&[1, 5, 6, 3][..], form), (&[1, 5, 7][..], form));
        let both = Resample2d { axes: [1, 2] };
        [
            Subject::of_layer("image", image, both, operands(4), form),
            Subject::of_layer("rows", rows, Resample { axis: 1 }, operands(2), form),
        ]
    }

    /// Sums, differences and their squares with a row of constants.
    pub(crate) fn stretched() -> [Self; 3] {
        [OfTwo::Add, OfTwo::Sub, OfTwo::SquaredDifference].map(|function| {
            let activation = Activation::None;
            let kind = Binary {
                function,
                activation,
            };
            let row = (0..8).map(|i| (i * 29 % 200 - 100) as i8).collect();
            let row = Some((&[8][..], Data::I8(row), Some((0.02, 7))));
            let from = (&[1, 6, 8][..], Some((0.05, 3)));
            let to = Some((0.09, -4));
            Subject::of_layer("stretched", from, kind, vec![None, row], to)
        })
    }

    /// All of them.
    pub(crate) fn of_tables() -> Vec<Self> {
        let mut subjects = Vec::new();
        subjects.extend(Subject::picked());
        subjects.extend(Subject::normalized());
        subjects.extend(Subject::stretched());
        subjects.extend([2, 4].into_iter().flat_map(Subject::resampled));
        subjects.push(Subject::quotient());
        subjects
    }

    /// What neither format has: rows of int16, and int16 that becomes int8.
    #[allow(dead_code, reason = "not every test needs it")]
    pub(crate) fn wide() -> [Self; 2] {
        let wide = (DType::I16, 0.001, 0);
        let norm = LayerNorm {
            first: 1,
            epsilon: 1e-3,
        };
        let rows = Subject::of_nodes(&[1, 64], wide, &[(norm.into(), wide)], Rounding::High);
        let narrow = (Quantize { dtype: DType::I8 }.into(), (DType::I8, 0.1, 3));
        [
            rows,
            Subject::of_nodes(&[1, 64], wide, &[narrow], Rounding::High),
        ]
    }

    /// A quantized TensorFlow Lite file.
    pub(crate) fn imported(path: &Path) -> Self {
        let mut imported = import::tflite(path, &Options::default()).unwrap();
        optimize::run(&mut imported.graph, |_| true).unwrap();
        Subject::of_imported(path, &imported)
    }

    #[allow(dead_code, reason = "not every test needs it")]
    /// As it is in the file, with the order of axes that inputs and outputs have there.
    pub(crate) fn plain(path: &Path) -> Self {
        Subject::of_imported(path, &import::tflite(path, &Options::default()).unwrap())
    }

    fn of_imported(path: &Path, imported: &import::Imported) -> Self {
        let name = path.file_stem().unwrap().to_string_lossy();
        Subject::of(&name, &imported.graph, imported.rounding, Vec::new())
    }

    /// A model quantized on some of its data.
    pub(crate) fn quantized(name: &str, data: &str) -> Option<Self> {
        let (model, data) = match data {
            "" => {
                let folder = root().join("demo/digits");
                (folder.join("digits.onnx"), folder.join("test.npy"))
            }
            data => (
                shared(&format!("models/{name}.onnx"))?,
                shared(&format!("data/{data}"))?,
            ),
        };
        let mut graph = import::onnx(&model, &Options::default()).unwrap().graph;
        optimize::run(&mut graph, |_| true).unwrap();
        let port = &graph.inputs[0];
        let elements = port.shape.elements();
        let expected = data::Expected {
            name: port.name.clone(),
            shape: port.shape.dims()[1..].iter().map(|&n| n as usize).collect(),
            channels_first: !port.axes.is_empty(),
            channel: None,
        };
        let limit = data::Options {
            limit: Some(200),
            ..data::Options::default()
        };
        let source = data::Source::open(&data, &[expected], &limit).unwrap();
        // The pixels of the digits go from 0 to 16.
        let factor = if name == "digits" { 1.0 / 16.0 } else { 1.0 };
        let scaled = |values: Vec<f32>| values.iter().map(|value| value * factor).collect();
        let samples = source
            .samples()
            .unwrap()
            .map(|sample| scaled(sample.unwrap().values));
        let inputs: Vec<Vec<f32>> = samples.collect();
        assert!(inputs.iter().all(|input| input.len() == elements));
        let stored = |values: &Vec<f32>| -> Sample { vec![values.clone()] };
        let compared: Vec<Sample> = inputs.iter().step_by(20).map(stored).collect();
        let mut all = inputs.iter().map(|values| Ok(stored(values)));
        let options = quantize::Options {
            activations: quantize::Activations::Int8,
            weights: quantize::WeightType::Int8,
            method: quantize::Method::default(),
            bias_correction: true,
            reconstruct: true,
            equalize: true,
            int16: &|_| false,
            keep_float: &|_| false,
            rounding: Rounding::High,
        };
        let quantized = quantize::quantize(&graph, &compared, &mut all, &options, &mut |_| ());
        let quantized = quantized.unwrap();
        Some(Subject::of(name, &quantized.graph, Rounding::High, inputs))
    }

    pub(crate) fn model(&self) -> Model<'_> {
        self.runner.model().unwrap()
    }

    pub(crate) fn meta(&self) -> &Meta {
        self.runner.meta()
    }

    pub(crate) fn input_bytes(&self) -> usize {
        self.model().input(0).unwrap().bytes()
    }

    /// Samples as the input stores them.
    pub(crate) fn real_samples(&mut self, count: usize) -> Vec<u8> {
        let inputs: Vec<Vec<f32>> = self.inputs.iter().take(count).cloned().collect();
        let tensor = self.model().input(0).unwrap();
        let mut session = self.runner.session().unwrap();
        let mut bytes = vec![0; tensor.bytes()];
        let each = inputs.iter().flat_map(|values| {
            session.set_input_f32(0, values).unwrap();
            session.read(&tensor, &mut bytes);
            bytes.clone()
        });
        each.collect()
    }

    /// The outputs for samples one behind the other.
    pub(crate) fn run(&mut self, samples: &[u8]) -> Vec<u8> {
        let model = self.model();
        let sizes = [
            model.input(0).unwrap().bytes(),
            model.output(0).unwrap().bytes(),
        ];
        let mut session = self.runner.session().unwrap();
        let mut outputs = Vec::new();
        for sample in samples.chunks(sizes[0]) {
            session.set_input(0, sample).unwrap();
            session.run();
            let mut output = vec![0; sizes[1]];
            session.output(0, &mut output).unwrap();
            outputs.extend(output);
        }
        outputs
    }
}

/// Random bytes, with both extremes first.
pub(crate) fn samples(bytes: usize, count: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    };
    let mut samples = vec![0x80; bytes];
    samples.extend(vec![0x7F; bytes]);
    samples.extend((0..bytes * count).map(|_| next() as u8));
    samples
}

/// The share of equal bytes, the largest difference in steps, and the share of equal best
/// classes. Outputs are int8.
pub(crate) fn agreement(subject: &mut Subject, samples: &[u8], outputs: &[u8]) -> (f64, i32, f64) {
    let own = subject.run(samples);
    assert_eq!(own.len(), outputs.len());
    let row = subject.model().output(0).unwrap().bytes();
    let steps = |bytes: &[u8]| -> Vec<i32> { bytes.iter().map(|&b| i32::from(b as i8)).collect() };
    let (own, other) = (steps(&own), steps(outputs));
    let equal = own.iter().zip(&other).filter(|(a, b)| a == b).count();
    let largest = own.iter().zip(&other).map(|(a, b)| (a - b).abs()).max();
    let best = |row: &[i32]| {
        row.iter()
            .enumerate()
            .max_by_key(|(i, v)| (**v, usize::MAX - i))
            .map(|(i, _)| i)
    };
    let rows = || own.chunks(row).zip(other.chunks(row));
    let same = rows().filter(|(a, b)| best(a) == best(b)).count();
    (
        equal as f64 / own.len() as f64,
        largest.unwrap_or(0),
        same as f64 / rows().count() as f64,
    )
}
