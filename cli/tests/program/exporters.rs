//! ONNX files in the manners of those that write them, from the file to integers: optimized with every
//! change checked on samples, compared with the independent executor, quantized without any float left.

use crate::writer::{Writer, file, float, int, ints, noise, npy};
use crate::{json, refused, run};
use rten_onnx::onnx::{DataLocation, Dimension, GraphProto, StringStringEntryProto};
use serde_json::Value;
use std::path::Path;

const SIDE: usize = 8;
const CHANNELS: usize = 3;
const CLASSES: usize = 5;

/// A convolution, a pool and a layer, the batch at the front of `[N, C, H, W]`.
fn classifier() -> Writer {
    let mut writer = Writer::default();
    writer.input("x", &[1, CHANNELS, SIDE, SIDE]);
    let weights = writer.weights(&[8, CHANNELS, 3, 3], 0.3);
    let bias = writer.weights(&[8], 0.3);
    let pads = vec![ints("pads", &[1, 1, 1, 1])];
    let made = writer.node("Conv", &["x", &weights, &bias], pads);
    let bent = writer.node("Relu", &[&made], vec![]);
    let window = vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
    writer.node("MaxPool", &[&bent], window);
    writer
}

/// Closes a model with a layer over what was made flat.
fn classified(mut writer: Writer, flat: &str, size: usize) -> GraphProto {
    let weights = writer.weights(&[size, CLASSES], 0.2);
    let bias = writer.weights(&[CLASSES], 0.3);
    let scores = writer.node("Gemm", &[flat, &weights, &bias], vec![]);
    writer.output(&scores);
    writer.graph
}

fn flattened(mut writer: Writer) -> GraphProto {
    let flat = writer.node("Flatten", &["MaxPool2"], vec![]);
    classified(writer, &flat, 8 * SIDE * SIDE / 4)
}

/// Optimizes a file and checks it on samples.
const OPTIMIZE: [&str; 6] = [
    "optimize",
    "model.onnx",
    "-o",
    "float.mopt",
    "--check",
    "test.npy",
];

/// Runs a file through the program; what `optimize` and `quantize` say of it.
fn check(folder: &Path, model: &[u8], dims: &[usize]) -> [Value; 2] {
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    write("model.onnx", model);
    write("calib.npy", &npy(dims, 1));
    write("test.npy", &npy(dims, 2));
    let optimized = json(folder, &OPTIMIZE);
    let data = ["--data", "test.npy"];
    let same = json(
        folder,
        &[&["compare", "model.onnx", "float.mopt"][..], &data].concat(),
    );
    let difference = same["b"]["difference_max"].as_f64().unwrap();
    assert!(difference < 1e-4, "{difference}");
    let quantize = [
        "quantize",
        "model.onnx",
        "--calib",
        "calib.npy",
        "--require-int8",
    ];
    let judged = ["--eval", "test.npy", "--gate", "sqnr_db>=20"];
    let quantized = json(folder, &[&quantize[..], &judged].concat());
    assert_eq!(quantized["float"], Value::Array(vec![]));
    [optimized, quantized]
}

/// As PyTorch writes it with a dynamic axis: the size of the batch has a name, and the shape of what is
/// flat is computed from it.
#[test]
fn a_batch_with_a_name_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = classifier();
    let shape = writer.node("Shape", &["MaxPool2"], vec![]);
    let first = writer.whole(&[0]);
    let batch = writer.node("Gather", &[&shape, &first], vec![]);
    let rest = writer.whole(&[-1]);
    let sizes = writer.node("Concat", &[&batch, &rest], vec![int("axis", 0)]);
    let flat = writer.node("Reshape", &["MaxPool2", &sizes], vec![]);
    let mut graph = classified(writer, &flat, 8 * SIDE * SIDE / 4);
    let port = graph.input[0].r#type.as_mut().unwrap();
    let shape = port.tensor_type.as_mut().unwrap().shape.as_mut().unwrap();
    shape.dim[0] = Dimension {
        dim_value: None,
        dim_param: Some("batch".into()),
    };
    let [_, quantized] = check(folder.path(), &file(graph, 13), &[24, CHANNELS, SIDE, SIDE]);
    // Nothing is left of what computes the shape.
    assert_eq!(
        quantized["layers"].as_array().unwrap().len(),
        4,
        "{quantized}"
    );
    let inspected = json(folder.path(), &["inspect", "model.onnx"]);
    let said = inspected.to_string();
    assert!(
        said.contains("the batch dimension 'batch' is taken as 1"),
        "{said}"
    );
}

/// As old files have it, and those of large models: constants are inputs too, and in a file beside.
#[test]
fn constants_may_be_inputs_and_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer {
        graph: flattened(classifier()),
    };
    let constants = writer.graph.initializer.clone();
    let mut bytes = Vec::new();
    for (constant, tensor) in constants.iter().zip(&mut writer.graph.initializer) {
        let dims: Vec<usize> = constant.dims.iter().map(|&size| size as usize).collect();
        writer.graph.input.push(crate::writer::declaration(
            constant.name.as_deref().unwrap(),
            &dims,
        ));
        let entry = |key: &str, value: String| StringStringEntryProto {
            key: Some(key.into()),
            value: Some(value),
        };
        let length = 4 * constant.float_data.len();
        tensor.external_data = vec![
            entry("location", "weights.bin".into()),
            entry("offset", bytes.len().to_string()),
            entry("length", length.to_string()),
        ];
        tensor.data_location = Some(DataLocation::EXTERNAL);
        tensor.float_data.clear();
        bytes.extend(constant.float_data.iter().flat_map(|v| v.to_le_bytes()));
    }
    let weights = folder.path().join("weights.bin");
    std::fs::write(&weights, bytes).unwrap();
    let model = file(writer.graph, 13);
    check(folder.path(), &model, &[24, CHANNELS, SIDE, SIDE]);
    std::fs::remove_file(weights).unwrap();
    let said = refused(folder.path(), &["inspect", "model.onnx"]);
    assert!(said.contains("weights.bin"), "{said}");
}

/// Operator set 7 has in attributes what later sets have in inputs.
#[test]
fn old_operator_sets_say_it_in_attributes() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::default();
    writer.input("x", &[1, CHANNELS, SIDE, SIDE]);
    let around = vec![ints("pads", &[0, 0, 1, 1, 0, 0, 1, 1])];
    let padded = writer.node("Pad", &["x"], around);
    let weights = writer.weights(&[8, CHANNELS, 3, 3], 0.3);
    let made = writer.node("Conv", &[&padded, &weights], vec![]);
    let factors: Vec<String> = [(1.0, 0.3), (0.0, 0.3), (0.0, 0.2), (1.0, 0.5)]
        .into_iter()
        .zip(1..)
        .map(|((middle, spread), seed)| {
            let values = noise(8, seed).iter().map(|v| middle + spread * v).collect();
            writer.constant(&[8], values)
        })
        .collect();
    let operands = [&made, &factors[0], &factors[1], &factors[2], &factors[3]];
    let normal = writer.node("BatchNormalization", &operands.map(String::as_str), vec![]);
    let limits = vec![float("min", 0.0), float("max", 6.0)];
    let bent = writer.node("Clip", &[&normal], limits);
    let kept = writer.node("Dropout", &[&bent], vec![float("ratio", 0.5)]);
    let part = vec![
        ints("axes", &[2, 3]),
        ints("starts", &[1, 0]),
        ints("ends", &[8, -1]),
    ];
    let part = writer.node("Slice", &[&kept], part);
    let mean = vec![ints("axes", &[2, 3])];
    let mean = writer.node("ReduceMean", &[&part], mean);
    let flat = writer.node("Squeeze", &[&mean], vec![ints("axes", &[2, 3])]);
    let weights = writer.weights(&[8, CLASSES], 0.5);
    let scores = writer.node("MatMul", &[&flat, &weights], vec![]);
    let shares = writer.node("Softmax", &[&scores], vec![int("axis", 1)]);
    writer.output(&shares);
    let model = file(writer.graph, 7);
    let [optimized, _] = check(folder.path(), &model, &[48, CHANNELS, SIDE, SIDE]);
    let passes = optimized["passes"].as_array().unwrap();
    let changes = |name: &str| {
        let pass = passes.iter().find(|pass| pass["name"] == name);
        pass.unwrap()["changes"].as_u64().unwrap()
    };
    assert!(
        changes("affine") > 0 && changes("activation") > 0,
        "{optimized}"
    );
}

/// As Keras has it: channels last, with transposes before and after what ONNX has with channels first.
fn keras() -> GraphProto {
    let mut writer = Writer::default();
    writer.input("x", &[1, SIDE, SIDE, CHANNELS]);
    let first = || vec![ints("perm", &[0, 3, 1, 2])];
    let last = || vec![ints("perm", &[0, 2, 3, 1])];
    let image = writer.node("Transpose", &["x"], first());
    let weights = writer.weights(&[8, CHANNELS, 3, 3], 0.3);
    let same = vec![
        crate::writer::text("auto_pad", "SAME_UPPER"),
        ints("strides", &[2, 2]),
    ];
    let made = writer.node("Conv", &[&image, &weights], same);
    let bent = writer.node("Relu", &[&made], vec![]);
    let pixels = writer.node("Transpose", &[&bent], last());
    let scale = writer.weights(&[8], 1.0);
    let scaled = writer.node("Mul", &[&pixels, &scale], vec![]);
    let offset = writer.weights(&[8], 0.5);
    let moved = writer.node("Add", &[&scaled, &offset], vec![]);
    let image = writer.node("Transpose", &[&moved], first());
    let weights = writer.weights(&[8, 1, 3, 3], 0.5);
    let depthwise = vec![int("group", 8), ints("pads", &[1, 1, 1, 1])];
    let made = writer.node("Conv", &[&image, &weights], depthwise);
    let mean = writer.node("GlobalAveragePool", &[&made], vec![]);
    let flat = writer.node("Flatten", &[&mean], vec![]);
    classified(writer, &flat, 8)
}

#[test]
fn transposes_of_channels_cancel() {
    let folder = tempfile::tempdir().unwrap();
    let [_, quantized] = check(
        folder.path(),
        &file(keras(), 11),
        &[48, SIDE, SIDE, CHANNELS],
    );
    let layers = quantized["layers"].as_array().unwrap();
    assert!(
        layers.iter().all(|layer| layer["operator"] != "transpose"),
        "{quantized}"
    );
}

/// Every pass can be left out by its name, says then that it did nothing, and the model still answers the
/// same.
#[test]
fn every_pass_can_be_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("model.onnx"), file(keras(), 11)).unwrap();
    std::fs::write(path.join("test.npy"), npy(&[6, SIDE, SIDE, CHANNELS], 3)).unwrap();
    let all = json(path, &OPTIMIZE);
    let passes = all["passes"].as_array().unwrap();
    assert_eq!(passes.len(), 11);
    for pass in passes {
        let name = pass["name"].as_str().unwrap();
        let made = json(path, &[&OPTIMIZE[..], &["--without", name]].concat());
        let left = made["passes"].as_array().unwrap();
        let left = left.iter().find(|other| other["name"] == name).unwrap();
        assert_eq!(left["changes"], 0, "{name}");
        let compare = ["compare", "model.onnx", "float.mopt", "--data", "test.npy"];
        let difference = json(path, &compare)["b"]["difference_max"]
            .as_f64()
            .unwrap();
        assert!(difference < 1e-4, "without {name}: {difference}");
    }
    let (code, printed, _) = run(path, &OPTIMIZE);
    assert!(
        code == 0 && printed.contains("checked on 6 samples"),
        "{printed}"
    );
    let said = refused(path, &["optimize", "model.onnx", "--without", "nothing"]);
    assert!(said.contains("dead-channels"), "{said}");
}
