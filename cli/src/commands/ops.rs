//! `modelopt ops`: the operators of the runtime by type and kernel set, and those of the source formats
//! that become them, from the declarations. `crates/runtime/OPERATORS.md` is what it prints.

use crate::say::say;
use comfy_table::{ContentArrangement, Table, presets};
use format::DType;
use runtime::host::{Support, support};
use serde_json::{Value, json};

/// The types that have a column.
const TYPES: [DType; 3] = [DType::I8, DType::I16, DType::F32];

const ABOUT: &str = "\
Which operators compiled models have, in which types. A cell names the kernel sets that have loops of
their own, `plain` stands for the loops in plain Rust that every other set runs: integers give the same
bits in all of them. `any type` moves or compares elements of any type, those of int8 and int16
included. Fully connected layers run as `conv_2d`, and a reshape moves nothing.";

/// Prints the operators of the runtime.
pub(crate) fn run(json: bool) {
    if json {
        say!("{}", as_json());
        return;
    }
    say!("# Operators\n\n{ABOUT}\n");
    say!("{}", evaluate::table::fitted(table()).join("\n"));
    say!(
        "\nONNX operators that import turns into these:\n\n{}",
        wrapped(import::onnx_operators())
    );
    say!(
        "\nOperators of com.microsoft, which ONNX Runtime's quantization writes:\n\n{}",
        wrapped(import::microsoft_operators())
    );
    say!(
        "\nTensorFlow Lite operators that import turns into these:\n\n{}",
        wrapped(import::tflite_operators())
    );
}

fn as_json() -> Value {
    let ops = runtime::ops::ALL.iter();
    let forms: Vec<Value> = ops
        .map(|op| json!({ "code": op.code, "operator": op.name }))
        .collect();
    let of_type = |row: &Support| -> Value {
        let cells = row.types.iter().map(|(dtype, sets)| {
            let names: Vec<&str> = sets.iter().map(|set| set.name()).collect();
            (dtype.name().to_string(), Value::from(names))
        });
        Value::Object(cells.collect())
    };
    let rows: Vec<Value> = support()
        .iter()
        .map(|row| json!({ "operator": row.operator, "codes": row.codes, "own_loops": of_type(row), "any_type": row.is_general }))
        .collect();
    let onnx: Vec<&str> = import::onnx_operators().collect();
    let microsoft: Vec<&str> = import::microsoft_operators().collect();
    let tflite: Vec<&str> = import::tflite_operators().collect();
    json!({
        "support": rows, "runtime": forms, "onnx": onnx, "microsoft": microsoft, "tflite": tflite
    })
}

/// Operators by types, as a table of Markdown.
fn table() -> Table {
    let mut rows = Table::new();
    rows.load_style(presets::ASCII_MARKDOWN);
    rows.set_content_arrangement(ContentArrangement::Disabled);
    let types = TYPES.map(|dtype| dtype.name());
    rows.set_header(
        ["operator"]
            .iter()
            .chain(&types)
            .chain(&["others", "codes"]),
    );
    for row in support() {
        let mut cells = vec![row.operator.to_string()];
        cells.extend(TYPES.map(|dtype| cell(&row, dtype)));
        cells.push(if row.is_general { "any type" } else { "" }.into());
        let codes: Vec<String> = row.codes.iter().map(u16::to_string).collect();
        cells.push(codes.join(", "));
        rows.add_row(cells);
    }
    rows
}

fn cell(row: &Support, dtype: DType) -> String {
    let Some((_, sets)) = row.types.iter().find(|(other, _)| *other == dtype) else {
        return String::new();
    };
    let names = ["plain"]
        .into_iter()
        .chain(sets.iter().map(|set| set.name()));
    names.collect::<Vec<_>>().join(", ")
}

/// Names in lines of at most 96 characters.
fn wrapped(names: impl Iterator<Item = &'static str>) -> String {
    let mut lines = vec![String::new()];
    for name in names {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(name),
            Some(line) if line.len() + name.len() + 2 <= 96 => {
                line.push_str(", ");
                line.push_str(name);
            }
            Some(line) => {
                line.push(',');
                lines.push(name.to_string());
            }
            None => {}
        }
    }
    lines.join("\n")
}
