//! `modelopt ops`: the operators of the runtime, from their declarations.

use crate::table;
use serde_json::{Value, json};

/// Prints the operators of the runtime.
pub(crate) fn run(json: bool) {
    let ops = runtime::ops::ALL;
    if json {
        let rows: Vec<Value> = ops
            .iter()
            .map(|op| json!({ "code": op.code, "operator": op.name }))
            .collect();
        let onnx: Vec<&str> = import::onnx_operators().collect();
        let tflite: Vec<&str> = import::tflite_operators().collect();
        println!(
            "{}",
            json!({ "runtime": rows, "onnx": onnx, "tflite": tflite })
        );
        return;
    }
    let mut rows = table::table(&["operator", "code"], 1);
    for op in ops {
        rows.add_row([op.name.to_string(), op.code.to_string()]);
    }
    table::print(&rows);
    println!(
        "\nONNX operators that import turns into these:\n{}",
        wrapped(import::onnx_operators())
    );
    println!(
        "\nTFLite operators that import turns into these:\n{}",
        wrapped(import::tflite_operators())
    );
}

/// Names in lines of at most 96 characters.
fn wrapped(names: impl Iterator<Item = &'static str>) -> String {
    let mut text = String::new();
    let mut width = 0;
    for name in names {
        if width + name.len() + 2 > 96 {
            text.push('\n');
            width = 0;
        }
        text.push_str(name);
        text.push_str("  ");
        width += name.len() + 2;
    }
    text
}
