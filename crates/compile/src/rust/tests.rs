//! What is written for small models.

use super::*;
use crate::compile;
use format::fixed::Rounding;
use format::meta::Port;
use format::{NodeRecord, Place, TensorRecord, Writer};
use graph::{Graph, Shape};
use kernels::Architecture;
use runtime::host::{Activation, AlignedBytes, Data, Quantization, Runner};
use runtime::ops::Window2d;
use runtime::ops::assign::Assign;
use runtime::ops::binary::{Binary, Function};
use runtime::ops::conv_2d::{self, Conv2d};
use runtime::ops::variable::Variable;

#[test]
fn package_names_are_those_that_cargo_takes() {
    for name in ["kws", "my-model_2", "Model"] {
        assert!(is_package_name(name), "{name}");
    }
    for name in ["", "2d", "a b", "é", "a.b", "core", "runtime", "fn", "-a"] {
        assert!(!is_package_name(name), "{name}");
    }
}

#[test]
fn numbers_are_written_to_the_bit() {
    for value in [0.1f32, 1e-20, 3.0, 1.0 / 3.0] {
        assert_eq!(real(value).parse::<f32>().unwrap(), value);
    }
    assert_eq!(real(f32::INFINITY), "f32::from_bits(0x7f800000)");
}

fn library() -> Library {
    Library {
        name: "small".into(),
        source: "small.mopt".into(),
        tool: "tests".into(),
        runtime: Dependency::Version("0.1.0".into()),
    }
}

/// The text of a file of the library of a compact model.
fn written(bytes: &[u8], path: &str) -> Result<String, Error> {
    let runner = Runner::new(bytes).unwrap();
    let files = rust(&runner.model().unwrap(), runner.meta(), &library())?;
    let file = files.into_iter().find(|file| file.path == path).unwrap();
    Ok(String::from_utf8(file.bytes).unwrap())
}

#[test]
fn every_input_and_output_is_a_parameter() {
    let mut graph = Graph::default();
    let shape = Shape::new(&[1, 3]).unwrap();
    let [a, b] = ["a", "b\"*/"].map(|name| graph.add_input(name, DType::F32, shape));
    let difference = Binary {
        function: Function::Sub,
        activation: Activation::None,
    };
    let c = graph.push("c", difference, &[a, b]).unwrap()[0];
    let d = graph.push("d", difference, &[b, a]).unwrap()[0];
    graph.add_output("c", c);
    graph.add_output("d", d);
    let compiled = compile(&graph, &Options::default()).unwrap();
    let code = written(&compiled.bytes, "src/lib.rs").unwrap();
    let signature = "pub fn run(&mut self, input_0: &[f32; 3], input_1: &[f32; 3], \
                     output_0: &mut [f32; 3], output_1: &mut [f32; 3]) {";
    assert!(code.contains(signature), "{code}");
    assert!(code.contains(r#"name: "b\"*/","#), "{code}");
    assert_eq!(code.matches("program::call(&ops::binary::F32, ").count(), 2);
    let nodes = written(&compiled.bytes, "src/nodes.rs").unwrap();
    assert!(
        nodes.contains("tensor(DType::F32, Place::Arena, "),
        "{nodes}"
    );
    assert!(!nodes.contains("ConvolutionNode"), "{nodes}");
    let manifest = written(&compiled.bytes, "Cargo.toml").unwrap();
    let dependency = r#"runtime = { package = "modelopt-runtime", version = "=0.1.0" }"#;
    assert!(manifest.contains(dependency), "{manifest}");
}

/// A model that puts an input behind two elements of state, whose zero point is 5.
fn model_with_state(output: Place) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.constant(&[1, 2, 3, 4], 4);
    let mut tensor = |place, offset, elements| {
        let record = TensorRecord {
            dtype: DType::I8,
            place,
            offset,
            shape: Shape::new(&[elements]).unwrap(),
            scale: 0.5,
            zero_point: 5,
        };
        writer.tensor(&record).unwrap()
    };
    let state = tensor(Place::State, 0, 2);
    let input = tensor(Place::Arena, 16, 2);
    let joined = tensor(Place::Arena, 32, 4);
    let told = match output {
        Place::Constant => tensor(Place::Constant, 0, 4),
        _ => joined,
    };
    let node = NodeRecord {
        code: runtime::ops::concat::ANY.code,
        inputs: vec![state, input],
        outputs: vec![joined],
        params: vec![0; 4],
        ..NodeRecord::default()
    };
    writer.node(&node).unwrap();
    writer.ports(vec![input], vec![told]);
    let port = |name: &str| Port {
        name: name.into(),
        ..Port::default()
    };
    let meta = Meta {
        inputs: vec![port("x")],
        outputs: vec![port("y")],
        ..Meta::default()
    };
    writer.finish(48, 16, &meta).unwrap()
}

#[test]
fn state_starts_as_a_session_has_it_and_can_be_reset() {
    let code = written(&model_with_state(Place::Arena), "src/lib.rs").unwrap();
    let state = "static STATE: [u8; 16] = [5, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];";
    assert!(code.contains(state), "{code}");
    assert!(code.contains("arena: Arena::with_state(&STATE),"), "{code}");
    assert!(code.contains("pub fn reset(&mut self) {"), "{code}");
}

/// What a variable starts from is what the library's state is made of.
#[test]
fn state_starts_from_what_the_model_says() {
    let mut graph = Graph::default();
    let shape = Shape::new(&[1, 4]).unwrap();
    let x = graph.add_input("x", DType::I16, shape);
    let start = graph.add_constant("start", shape, Data::I16(vec![1, -1, 258, 0]));
    let dtype = DType::I16;
    let before = graph.push("v", Variable { dtype, shape }, &[]).unwrap()[0];
    graph.push("v", Assign, &[before, x, start]).unwrap();
    graph.add_output("y", before);
    let compiled = compile(&graph, &Options::default()).unwrap();
    let code = written(&compiled.bytes, "src/lib.rs").unwrap();
    let state = "static STATE: [u8; 8] = [1, 0, 255, 255, 2, 1, 0, 0];";
    assert!(code.contains(state), "{code}");
}

#[test]
fn an_output_that_is_a_constant_is_refused() {
    let error = written(&model_with_state(Place::Constant), "src/lib.rs").unwrap_err();
    let expected = "the model does not fit a Rust library: output 'y' is a constant, \
                    which takes no model to tell";
    assert_eq!(error.to_string(), expected);
}

/// An int8 convolution of 3 x 3, compiled for some kernels.
fn convolution(targets: &[Architecture]) -> Vec<u8> {
    convolution_of(
        2,
        &Options {
            targets: targets.to_vec(),
            ..Options::default()
        },
    )
}

/// The same over so many channels.
fn convolution_of(channels: u32, options: &Options) -> Vec<u8> {
    let mut graph = Graph::default();
    // Below a half, so that outputs can be high words.
    let quantized = Some(Quantization::per_tensor(0.25, 0));
    let x = graph.add_input("x", DType::I8, Shape::new(&[1, 6, 6, channels]).unwrap());
    let shape = Shape::new(&[channels, 3, 3, channels]).unwrap();
    let weights = graph.add_constant("w", shape, Data::I8(vec![1; shape.elements()]));
    let convolution = Conv2d {
        window: Window2d::dense([3, 3]),
        groups: 1,
        activation: Activation::None,
    };
    let y = graph.push("y", convolution, &[x, weights]).unwrap()[0];
    for value in [x, weights, y] {
        graph.value_mut(value).quantization = quantized.clone();
    }
    graph.add_output("y", y);
    compile(&graph, options).unwrap().bytes
}

#[test]
fn convolutions_are_decoded() {
    let bytes = convolution(&Options::default().targets);
    let nodes = written(&bytes, "src/nodes.rs").unwrap();
    let geometry = "geometry: Geometry { input: [6, 6, 2], output: [4, 4, 2], ";
    assert!(nodes.contains(geometry), "{nodes}");
    assert!(nodes.contains("rounding: Rounding::High"), "{nodes}");
    let code = written(&bytes, "src/lib.rs").unwrap();
    assert!(
        code.contains("program::i8_kernels::conv_2d_dense, constants"),
        "{code}"
    );
    assert!(!code.contains("use runtime::ops;"), "{code}");
}

/// Weights that are there twice have files of their own, and the rest moves together.
#[test]
fn packed_weights_are_apart() {
    for (rounding, kernels, weights) in [
        (
            Rounding::High,
            "conv_2d_dense, program::i8_kernels::conv_2d_squares",
            "&[]",
        ),
        (
            Rounding::Double,
            "conv_2d_double, program::i8_kernels::conv_2d_packed",
            "&WEIGHTS.0",
        ),
    ] {
        let options = Options {
            packed_weights: true,
            rounding,
            ..Options::default()
        };
        let runner = Runner::new(&convolution_of(8, &options)).unwrap();
        let model = runner.model().unwrap();
        let files = rust(&model, runner.meta(), &library()).unwrap();
        let bytes = |path| &files.iter().find(|file| file.path == path).unwrap().bytes[..];
        let node = model.nodes().next().unwrap();
        assert_eq!(bytes("src/constants.bin"), node.constant(2));
        assert_eq!(bytes("src/weights.bin"), node.constant(1));
        assert_eq!(bytes("src/packed.bin"), node.constant(3));
        let text = |path| String::from_utf8_lossy(bytes(path));
        let call = format!(
            "program::convolve_packed(&nodes::NODE_0, [program::i8_kernels::{kernels}], \
             [&WEIGHTS.0, {weights}], &PACKED.0, constants, arena);"
        );
        assert!(text("src/lib.rs").contains(&call), "{}", text("src/lib.rs"));
        let nodes = text("src/nodes.rs");
        let node = "NODE_0: PackedConvolutionNode = PackedConvolutionNode { packed: 0, node: ";
        assert!(nodes.contains(node), "{nodes}");
        assert!(nodes.contains("weights: 0,\n    channels: 0,"), "{nodes}");
    }
}

/// The plan of a file that was made for other kernels may have too little memory for these.
#[test]
fn missing_working_memory_is_put_behind_the_arena() {
    let bytes = convolution(&[Architecture::Scalar]);
    let file = AlignedBytes::copy_of(&bytes);
    let model = Model::new(file.bytes()).unwrap();
    let node = model.nodes().next().unwrap();
    let needed = (conv_2d::I8.scratch_bytes)(&node, Architecture::Armv7em);
    assert_eq!(node.scratch_bytes(), 0);
    let end = model.arena_bytes().next_multiple_of(16);
    let (offset, planned) = scratch(&node);
    assert!(offset == end && planned >= needed && needed > 0);
    let code = written(&bytes, "src/lib.rs").unwrap();
    let size = format!("pub const ARENA_BYTES: usize = {};", end + planned);
    assert!(code.contains(&size), "{code}");
}
