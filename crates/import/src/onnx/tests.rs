//! Whole files: what is refused, what is kept, and that no file brings the program down.

use super::testing::{Source, declaration, float_tensor, int, ints};
use crate::{Options, Problem, onnx, onnx_bytes};
use proptest::prelude::*;
use rten_onnx::onnx::{
    AttributeProto, AttributeType, DataLocation, DataType, GraphProto, StringStringEntryProto,
    TensorProto,
};

/// A convolution, a pool, a dense layer and the shape arithmetic between them.
fn small_network() -> Source {
    let source = Source::new(13).input(&[1, 1, 4, 4], &[0.5; 16]);
    let source = source
        .constant(&[2, 1, 3, 3], &[0.1; 18])
        .constant(&[2], &[0.1, -0.1]);
    let source = source
        .constant(&[8, 3], &[0.25; 24])
        .whole(&[0])
        .whole(&[-1]);
    let pads = vec![ints("pads", &[1, 1, 1, 1])];
    let source = source.node("Conv", &["x0", "x1", "x2"], "a", pads);
    let source = source.node("Relu", &["a"], "b", vec![]);
    let kernel = vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
    let source = source.node("MaxPool", &["b"], "c", kernel);
    let source = source.node("Shape", &["c"], "s", vec![]);
    let source = source.node("Gather", &["s", "x4"], "n", vec![]);
    let source = source.node("Concat", &["n", "x5"], "t", vec![int("axis", 0)]);
    let source = source.node("Reshape", &["c", "t"], "d", vec![]);
    let source = source.node("MatMul", &["d", "x3"], "e", vec![]);
    source.node("Softmax", &["e"], "y", vec![]).output("y")
}

#[test]
fn a_network_imports_and_runs() {
    let (shape, values) = small_network().run();
    assert_eq!(shape, "1x3");
    assert!(
        values.iter().all(|value| (value - 1.0 / 3.0).abs() < 1e-6),
        "{values:?}"
    );
    let imported = small_network().import().unwrap();
    let hash: [u8; 32] = {
        use sha2::Digest;
        sha2::Sha256::digest(small_network().bytes()).into()
    };
    assert_eq!(imported.source_hash, hash);
    assert_eq!(imported.graph.outputs[0].name, "y");
    let names: Vec<&str> = imported
        .graph
        .nodes
        .iter()
        .map(|node| node.name.as_str())
        .collect();
    assert!(names.contains(&"Conv-a"), "{names:?}");
}

#[test]
fn every_refused_node_is_listed() {
    let source = Source::new(13).input(&[1, 2], &[1.0, 2.0]);
    let source = source
        .node("Unique", &["x0"], "a", vec![])
        .node("Relu", &["a"], "b", vec![]);
    let source = source.node("NonMaxSuppression", &["x0"], "c", vec![]);
    let source = source.node("Add", &["b", "c"], "y", vec![]).output("y");
    let refused = source.refused();
    let operators: Vec<&str> = refused.iter().map(|node| node.operator.as_str()).collect();
    assert_eq!(operators, ["Unique", "NonMaxSuppression"]);
    let message = source.import().unwrap_err().to_string();
    assert!(
        message.starts_with("test: 2 nodes cannot be imported:"),
        "{message}"
    );
    assert!(
        message.contains("node 'Unique-a' (Unique): this operator is not supported; "),
        "{message}"
    );
}

/// The branch reads `a`, which nothing else does.
#[test]
fn a_constant_condition_chooses_a_branch() {
    let branch = |name: &str, operator: &str| {
        let source = Source::new(13).node(operator, &["a"], "inner", vec![]);
        let mut graph = None;
        source
            .output("inner")
            .edit(|built| graph = Some(built.clone()));
        AttributeProto {
            name: Some(name.into()),
            r#type: Some(AttributeType::GRAPH),
            g: graph,
            ..AttributeProto::default()
        }
    };
    let of = |condition: i64| {
        let source = Source::new(13)
            .input(&[1], &[-4.0])
            .whole_of(&[], &[condition]);
        let branches = vec![branch("then_branch", "Abs"), branch("else_branch", "Relu")];
        source
            .node("If", &["x1"], "y", branches)
            .node("Neg", &["x0"], "a", vec![])
            .output("y")
    };
    assert_eq!(of(1).operators(), ["neg", "abs"]);
    assert_eq!(of(0).operators(), ["neg", "relu"]);
    assert_eq!(of(0).run().1, [4.0]);
    let computed = Source::new(13).input(&[1], &[1.0]);
    let computed = computed.node("If", &["x0"], "y", vec![]).output("y");
    assert!(computed.refusal().contains("computed at run time"));
}

#[test]
fn nodes_that_no_output_needs_do_not_matter() {
    let source = Source::new(13)
        .input(&[1], &[1.0])
        .node("Det", &["x0"], "a", vec![]);
    let imported = source
        .node("Relu", &["x0"], "y", vec![])
        .output("y")
        .import()
        .unwrap();
    assert_eq!(
        imported.notes,
        ["1 nodes that no output needs are left out"]
    );
}

#[test]
fn other_domains_and_sub_graphs_are_refused() {
    let source = || Source::new(13).input(&[1], &[1.0]).apply("Relu", vec![]);
    let foreign = source().edit(|graph| graph.node[0].domain = Some("com.example".into()));
    assert!(
        foreign.refusal().contains("operators of 'com.example'"),
        "{}",
        foreign.refusal()
    );
    let branch = source().edit(|graph| {
        graph.node[0]
            .attribute
            .push(rten_onnx::onnx::AttributeProto {
                name: Some("then_branch".into()),
                g: Some(GraphProto::default()),
                r#type: Some(rten_onnx::onnx::AttributeType::GRAPH),
                ..Default::default()
            });
    });
    assert!(
        branch.refusal().contains("sub-graphs are not supported"),
        "{}",
        branch.refusal()
    );
}

#[test]
fn quantized_files_are_recognised() {
    let source = Source::new(13).input(&[1], &[1.0]).constant(&[], &[0.5]);
    let imported = source.apply("QuantizeLinear", vec![]).import().unwrap();
    assert_eq!(imported.quantized.as_deref(), Some("QuantizeLinear-y"));
    let float = Source::new(13).input(&[1], &[1.0]).apply("Relu", vec![]);
    assert_eq!(float.import().unwrap().quantized, None);
}

#[test]
fn versions_outside_the_range_are_refused() {
    for opset in [0, 23] {
        let source = Source::new(opset).input(&[1], &[1.0]).apply("Relu", vec![]);
        let message = source.import().unwrap_err().to_string();
        assert!(
            message.contains(&format!("version {opset} is outside 1 to 22")),
            "{message}"
        );
    }
    for opset in 7..=22 {
        Source::new(opset)
            .input(&[1], &[1.0])
            .apply("Relu", vec![])
            .import()
            .unwrap();
    }
}

#[test]
fn constants_may_be_listed_as_inputs() {
    let source = Source::new(8)
        .input(&[2], &[1.0, 2.0])
        .constant(&[2], &[3.0, 4.0]);
    let source = source.apply("Add", vec![]);
    let source = source.edit(|graph| graph.input.push(declaration("x1", DataType::FLOAT, &[2])));
    assert_eq!(source.import().unwrap().graph.inputs.len(), 1);
    assert_eq!(source.run().1, [4.0, 6.0]);
}

#[test]
fn other_float_types_become_f32() {
    let source = Source::new(13)
        .input_of(DataType::FLOAT16, &[2])
        .apply("Relu", vec![]);
    let imported = source.import().unwrap();
    assert_eq!(
        imported.notes,
        ["input 'x0' is FLOAT16 in the file and becomes f32"]
    );
}

#[test]
fn broken_structure_is_named() {
    let relu = || Source::new(13).input(&[1], &[1.0]).apply("Relu", vec![]);
    let message = |source: Source| source.import().unwrap_err().to_string();
    let twice = relu().edit(|graph| {
        let again = float_tensor("c", &[1], &[1.0]);
        graph.initializer = vec![again.clone(), again];
    });
    assert!(message(twice).contains("two constants 'c'"));
    let twice = relu().edit(|graph| graph.input.push(graph.input[0].clone()));
    assert!(message(twice).contains("two inputs 'x0'"));
    let none = relu().edit(|graph| graph.output.clear());
    assert!(message(none).contains("no outputs"));
    let untyped = relu().edit(|graph| graph.input[0].r#type = None);
    assert!(message(untyped).contains("input 'x0': is not a tensor"));
    let short = relu().edit(|graph| graph.initializer.push(float_tensor("c", &[2], &[1.0])));
    assert!(message(short).contains("tensor 'c': has 1 elements where 2 needs 2"));
    assert!(message(relu().edit(|graph| graph.node[0].op_type = None)).contains("not supported"));
}

#[test]
fn what_is_no_model_is_malformed() {
    for bytes in [
        &b""[..],
        b"hello, this is no model",
        &[0x3a, 0x7f],
        &[0xff; 40],
    ] {
        let error = onnx_bytes("x.onnx", bytes, &Options::default()).unwrap_err();
        assert!(matches!(error.problem, Problem::Malformed(_)), "{error}");
        assert!(error.to_string().starts_with("x.onnx: "), "{error}");
    }
    let missing = onnx("no/such/file.onnx".as_ref(), &Options::default()).unwrap_err();
    assert!(
        missing.to_string().starts_with("no/such/file.onnx: "),
        "{missing}"
    );
}

#[test]
fn data_beside_the_model_is_read() {
    let entry = |key: &str, value: &str| StringStringEntryProto {
        key: Some(key.into()),
        value: Some(value.into()),
    };
    let source = Source::new(13)
        .input(&[1], &[1.0])
        .constant(&[1], &[0.0])
        .apply("Add", vec![]);
    let source = source.edit(|graph| {
        graph.initializer[0] = TensorProto {
            name: Some("x1".into()),
            dims: vec![1],
            data_type: Some(DataType::FLOAT),
            data_location: Some(DataLocation::EXTERNAL),
            external_data: vec![entry("location", "w.bin"), entry("offset", "4")],
            ..TensorProto::default()
        };
    });
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model.onnx");
    std::fs::write(&model, source.bytes()).unwrap();
    let missing = onnx(&model, &Options::default()).unwrap_err().to_string();
    assert!(
        missing.contains("tensor 'x1': external data 'w.bin'"),
        "{missing}"
    );
    std::fs::write(
        folder.path().join("w.bin"),
        [1f32.to_le_bytes(), 2f32.to_le_bytes()].concat(),
    )
    .unwrap();
    let graph = onnx(&model, &Options::default()).unwrap().graph;
    let constant = graph.constants()[0];
    assert_eq!(
        graph.value(constant).data,
        Some(graph::Data::F32(vec![2.0]))
    );
    assert!(
        source
            .import()
            .unwrap_err()
            .to_string()
            .contains("import by path")
    );
}

#[test]
fn every_truncation_is_refused_or_imported() {
    let bytes = small_network().bytes();
    let mut imported = 0;
    for length in 0..bytes.len() {
        imported += usize::from(onnx_bytes("x", &bytes[..length], &Options::default()).is_ok());
    }
    // A message cut between its fields is still a message, but this one lacks what comes last.
    assert_eq!(imported, 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn damaged_files_never_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = small_network().bytes();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] ^= byte;
        }
        let _ = onnx_bytes("x", &bytes, &Options::default());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = onnx_bytes("x", &bytes, &Options::default());
    }
}
