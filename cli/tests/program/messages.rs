//! What messages say of models: in a line, whatever names are in the file, and what exactly is wrong.

use crate::refused;
use crate::writer::{Writer, file, ints, npy};
use std::path::Path;

/// A layer whose weights, and whose output's name, are given.
fn layer(weights: Vec<f32>) -> Writer {
    let mut writer = Writer::default();
    writer.input("x", &[1, 4]);
    let weights = writer.constant(&[4, 2], weights);
    let bent = writer.node("Relu", &["x"], vec![]);
    let scores = writer.node("MatMul", &[&bent, &weights], vec![]);
    writer.output(&scores);
    writer
}

fn write(folder: &Path, writer: Writer) {
    std::fs::write(folder.join("model.onnx"), file(writer.graph, 17)).unwrap();
}

/// Names come from files that anybody may have made: they neither begin lines nor move the cursor.
#[test]
fn names_of_a_file_begin_no_lines() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut writer = layer(vec![0.5; 8]);
    writer.graph.node[0].name = Some("a\nerror: b\u{1b}[2J".into());
    writer.graph.node[0].op_type = Some("No\nSuch".into());
    write(folder, writer);
    let one = refused(folder, &["inspect", "model.onnx"]);
    assert_eq!(one.lines().count(), 1, "{one}");
    let escaped = r"node 'a\u000aerror: b\u001b[2J' (No\u000aSuch)";
    assert!(one.contains(escaped), "{one}");

    // Of several nodes each has its line.
    let mut writer = layer(vec![0.5; 8]);
    for node in &mut writer.graph.node {
        node.name = Some("a\n  node".into());
        node.op_type = Some("None".into());
    }
    write(folder, writer);
    let two = refused(folder, &["inspect", "model.onnx"]);
    assert_eq!(two.lines().count(), 3, "{two}");
    assert_eq!(
        two.matches(
            r"\n  node 'a\u000a  node' (None): "
                .replace(r"\n", "\n")
                .as_str()
        )
        .count(),
        2,
        "{two}"
    );
    let value = crate::run(folder, &["inspect", "model.onnx", "--json"]).1;
    let value: serde_json::Value = serde_json::from_str(&value).unwrap();
    let message = value["error"]["message"].as_str().unwrap();
    assert!(message.contains("node 'a\n  node' (None): "), "{message}");

    let mut writer = layer(vec![0.5; 8]);
    writer.graph.input[0].name = Some("x\r".into());
    write(folder, writer);
    let dim = ["inspect", "model.onnx", "--shape", "y=1,4"];
    let known = refused(folder, &dim);
    assert!(known.contains(r"x\u000d"), "{known}");
}

/// A shape that is refused is told with what it is, and with the limit.
#[test]
fn sizes_are_told_with_their_limit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let inspect = |dims: &[usize], words: &[&str]| {
        // A size of 0 is one that the file leaves open.
        let options = ["inspect", "model.onnx", "--dim", "x.1=0"];
        let options = &options[..if dims[1] == 0 { 4 } else { 2 }];
        let mut writer = Writer::default();
        writer.input("x", dims);
        let bent = writer.node("Relu", &["x"], vec![]);
        writer.output(&bent);
        write(folder, writer);
        let errors = refused(folder, options);
        for word in words {
            assert!(errors.contains(word), "{word}: {errors}");
        }
    };
    inspect(&[1, 0, 4], &["input 'x'", "1x0x4 is empty"]);
    let limit = "67108864";
    inspect(&[1, 9000, 9000], &["1x9000x9000", "81000000", limit]);
    inspect(&[1 << 20, 1 << 20], &["input 'x'", "too large", limit]);
    inspect(
        &[1, 1, 1, 1, 1, 1, 1, 1, 1],
        &["too many: 9, and 6 are the most"],
    );
    let mut writer = Writer::default();
    writer.input("x", &[1, 4]);
    let repeats = writer.whole(&[9000, 9000]);
    let tiled = writer.node("Tile", &["x", &repeats], vec![]);
    let window = vec![ints("axes", &[1])];
    let mean = writer.node("ReduceMean", &[&tiled], window);
    writer.output(&mean);
    write(folder, writer);
    let errors = refused(folder, &["inspect", "model.onnx"]);
    for word in ["node 'Tile0'", "324000000", limit] {
        assert!(errors.contains(word), "{word}: {errors}");
    }
}

/// Weights that are no numbers are found before the calibration, and not blamed on the data.
#[test]
fn weights_that_are_not_finite_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("calib.npy"), npy(&[8, 1, 4], 1)).unwrap();
    for (value, text) in [(f32::NAN, "NaN"), (f32::NEG_INFINITY, "-inf")] {
        let mut weights = vec![0.5; 8];
        weights[5] = value;
        write(folder, layer(weights));
        let quantize = ["quantize", "model.onnx", "--calib", "calib.npy"];
        // The data are not looked at.
        for data in ["calib.npy", "gone.npy"] {
            let errors = refused(folder, &[&quantize[..3], &[data]].concat());
            for word in ["model.onnx", "node 'MatMul1'", "'c0'", text] {
                assert!(errors.contains(word), "{word}: {errors}");
            }
        }
        assert!(!folder.join("model.mopt").exists());
    }
}
