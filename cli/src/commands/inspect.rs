//! `modelopt inspect`: what a model file holds, without any data.

use crate::failure::Failure;
use crate::model::{self, ImportArguments, ModelFile};
use crate::say::{self, say};
use crate::table::{self, grouped, shortened};
use format::meta::{Meta, Port, Preprocess};
use format::{Model, Node, Place};
use graph::Graph;
use import::{Format, Imported};
use runtime::host::{Runner, node_macs};
use runtime::ops::{self, conv_2d, conv_2d::packed};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Show operators, shapes, parameters, MACs and RAM of an ONNX, TFLite or .mopt file.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  modelopt inspect model.onnx --dim batch=1\n  modelopt inspect model.mopt --json"
)]
pub(crate) struct Arguments {
    /// The model: ONNX, TFLite or .mopt
    model: PathBuf,
    #[command(flatten)]
    import: ImportArguments,
}

/// A line of the table.
struct Row {
    name: String,
    operator: &'static str,
    shape: String,
    macs: u64,
    constant_bytes: usize,
    live_bytes: Option<usize>,
}

/// What is said of any model.
struct Summary {
    facts: Vec<(&'static str, Value)>,
    inputs: Vec<Value>,
    outputs: Vec<Value>,
    /// What is kept from run to run.
    states: Vec<Value>,
    rows: Vec<Row>,
}

pub(crate) fn run(arguments: &Arguments, json: bool) -> Result<(), Failure> {
    let summary = match model::load(&arguments.model, &arguments.import)? {
        ModelFile::Source(imported, bytes) => source(*imported, bytes)?,
        ModelFile::Compact(runner) => compact(&runner)?,
    };
    if json {
        say!("{}", as_json(&summary));
    } else {
        print(&summary);
    }
    Ok(())
}

/// A source model, as it runs in float once the passes have run.
fn source(imported: Imported, bytes: usize) -> Result<Summary, Failure> {
    let Imported {
        mut graph,
        format,
        rounding,
        opset,
        producer,
        notes,
        ..
    } = imported;
    let is_quantized = graph.is_quantized();
    let source_nodes = graph.nodes.len();
    let parameters = parameters(&graph);
    let (inputs, outputs) = (ports(&graph, true), ports(&graph, false));
    let applied = optimize::run(&mut graph, |_| true)?;
    let passes: Vec<String> = applied
        .iter()
        .filter(|pass| pass.count > 0)
        .map(|pass| format!("{} {}", pass.name, pass.count))
        .collect();
    let options = compile::Options {
        rounding,
        ..compile::Options::default()
    };
    let compiled = compile::compile(&graph, &options)?;
    let rows = planned_rows(&compiled, &graph);
    let mut facts = vec![
        ("kind", json!(kind(format, opset))),
        ("producer", json!(producer)),
        ("bytes", json!(bytes)),
        ("parameters", json!(parameters)),
        ("nodes_source", json!(source_nodes)),
        ("nodes", json!(rows.len())),
        ("passes", json!(passes.join(", "))),
        ("macs", json!(rows.iter().map(|row| row.macs).sum::<u64>())),
        ("ram_bytes", json!(compiled.arena_bytes)),
        ("state_bytes", json!(compiled.state_bytes)),
    ];
    let runner = Runner::new(&compiled.bytes).map_err(Failure::internal)?;
    let states = states(&runner.model().map_err(Failure::internal)?, |index| {
        rows.get(index)
            .map_or(String::new(), |row| row.name.clone())
    });
    facts.push(match is_quantized {
        true => ("rounding", json!(rounding.name())),
        false => ("ram_bytes_int8", json!(int8_ram_bytes(&graph))),
    });
    facts.extend(notes.into_iter().map(|note| ("note", json!(note))));
    Ok(Summary {
        facts,
        inputs,
        outputs,
        states,
        rows,
    })
}

fn planned_rows(compiled: &compile::Compiled, graph: &Graph) -> Vec<Row> {
    compiled
        .plan
        .iter()
        .map(|node| {
            let shape = node
                .outputs
                .first()
                .map(|&id| graph.value(id).shape.to_string());
            Row {
                name: node.name.clone(),
                operator: node.operator,
                shape: shape.unwrap_or_default(),
                macs: node.macs,
                constant_bytes: node.constant_bytes,
                live_bytes: Some(node.live_bytes),
            }
        })
        .collect()
}

fn kind(format: Format, version: i64) -> String {
    match format {
        Format::Onnx => format!("ONNX, operator set {version}"),
        Format::Tflite => format!("TFLite, schema version {version}"),
    }
}

/// What the model needs once it is quantized. `None` where that depends on the data.
fn int8_ram_bytes(graph: &Graph) -> Option<usize> {
    let preview = optimize::quantize::preview(graph).ok()?;
    let compiled = compile::compile(&preview, &compile::Options::default()).ok()?;
    Some(compiled.arena_bytes)
}

fn parameters(graph: &Graph) -> usize {
    graph
        .constants()
        .iter()
        .map(|&id| graph.value(id).shape.elements())
        .sum()
}

fn ports(graph: &Graph, is_input: bool) -> Vec<Value> {
    let ports = if is_input {
        &graph.inputs
    } else {
        &graph.outputs
    };
    ports
        .iter()
        .map(|port| {
            let dtype = graph.value(port.value).dtype.to_string();
            json!({ "name": port.name, "shape": port.shape.dims(), "type": dtype })
        })
        .collect()
}

/// A compact model.
fn compact(runner: &Runner) -> Result<Summary, Failure> {
    let model = runner.model().map_err(Failure::internal)?;
    let Meta {
        inputs,
        outputs,
        manifest,
    } = runner.meta();
    let rows: Vec<Row> = model.nodes().map(|node| row(&node)).collect();
    let describe = |ports: &[Port], is_input: bool| -> Vec<Value> {
        ports
            .iter()
            .enumerate()
            .map(|(index, port)| {
                let tensor = if is_input {
                    model.input(index)
                } else {
                    model.output(index)
                };
                let mut value = json!({ "name": port.name, "shape": port.shape });
                if let Some(tensor) = tensor {
                    value["type"] = json!(tensor.dtype.to_string());
                    if tensor.scale > 0.0 {
                        value["scale"] = json!(tensor.scale);
                        value["zero_point"] = json!(tensor.zero_point);
                    }
                }
                if is_input && port.preprocess != Preprocess::default() {
                    value["preprocess"] = preparation(&port.preprocess);
                }
                if !port.labels.is_empty() {
                    value["labels"] = json!(port.labels);
                }
                value
            })
            .collect()
    };
    let mut facts = vec![
        (
            "kind",
            json!(format!("compact model, format version {}", format::VERSION)),
        ),
        ("tool", json!(manifest.tool)),
        ("recipe", json!(manifest.recipe)),
        ("source_sha256", json!(hexadecimal(&manifest.source_hash))),
        ("data_sha256", json!(hexadecimal(&manifest.data_hash))),
        ("bytes", json!(model.bytes().len())),
        ("constant_bytes", json!(model.constants().len())),
        ("packed_bytes", json!(packed_bytes(&model))),
        ("nodes", json!(rows.len())),
        ("macs", json!(rows.iter().map(|row| row.macs).sum::<u64>())),
        ("ram_bytes", json!(model.arena_bytes())),
        ("state_bytes", json!(model.state_bytes())),
    ];
    facts.extend(rules(&model).map(|rules| ("rounding", json!(rules))));
    if !manifest.figures.is_empty() {
        let figures: serde_json::Map<String, Value> = manifest
            .figures
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        facts.push(("figures", Value::Object(figures)));
    }
    Ok(Summary {
        facts,
        inputs: describe(inputs, true),
        outputs: describe(outputs, false),
        states: states(&model, |index| index.to_string()),
        rows,
    })
}

/// How sums of integer layers with weights are rounded; `None` where there are none.
fn rules(model: &Model<'_>) -> Option<String> {
    let layers = model.nodes().filter_map(|node| {
        let is_layer = [&conv_2d::I8, &conv_2d::NARROW_I8]
            .iter()
            .any(|op| op.code == node.code());
        is_layer.then(|| conv_2d::Convolution::of(&node)).flatten()
    });
    let rules: BTreeSet<&str> = layers
        .map(|layer| layer.requantize.rounding.name())
        .collect();
    let rules = rules.into_iter().collect::<Vec<_>>().join(", ");
    (!rules.is_empty()).then_some(rules)
}

/// What nodes keep from run to run, by the names of the nodes.
fn states(model: &Model<'_>, name: impl Fn(usize) -> String) -> Vec<Value> {
    let mut states = Vec::new();
    for node in model.nodes() {
        let outputs = (0..node.output_count()).filter_map(|index| node.output(index));
        for state in outputs.filter(|tensor| tensor.place == Place::State) {
            states.push(json!({
                "name": name(node.index), "operator": row(&node).operator,
                "shape": state.shape.dims(), "type": state.dtype.to_string(), "bytes": state.bytes(),
            }));
        }
    }
    states
}

/// What is done to raw data.
fn preparation(how: &Preprocess) -> Value {
    let mut value = json!({ "scale": how.scale, "mean": how.mean, "std": how.std });
    if let Some(channel) = how.channel {
        value["channel"] = json!(channel.to_string());
    }
    value
}

/// Bytes of weights that are there a second time, packed for an architecture.
fn packed_bytes(model: &Model<'_>) -> usize {
    let integer = model.nodes().filter(|node| node.code() == conv_2d::I8.code);
    integer.filter_map(|node| packed::bytes(&node)).sum()
}

fn row(node: &Node<'_>) -> Row {
    let op = ops::ALL.iter().find(|op| op.code == node.code());
    let constants = (0..node.input_count()).filter_map(|index| node.input(index));
    let constants = constants.filter(|tensor| tensor.place == Place::Constant);
    Row {
        name: node.index.to_string(),
        operator: op.map_or("unknown", |op| op.name),
        shape: node
            .output(0)
            .map(|tensor| tensor.shape.to_string())
            .unwrap_or_default(),
        macs: node_macs(node),
        constant_bytes: constants.map(|tensor| tensor.bytes()).sum(),
        live_bytes: None,
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn as_json(summary: &Summary) -> Value {
    let mut notes = Vec::new();
    let mut value = serde_json::Map::new();
    for (name, fact) in &summary.facts {
        if *name == "note" {
            notes.push(fact.clone());
        } else {
            value.insert((*name).to_string(), fact.clone());
        }
    }
    let rows: Vec<Value> = summary
        .rows
        .iter()
        .map(|row| {
            json!({
                "name": row.name, "operator": row.operator, "shape": row.shape, "macs": row.macs,
                "constant_bytes": row.constant_bytes, "live_bytes": row.live_bytes,
            })
        })
        .collect();
    value.insert("notes".into(), Value::from(notes));
    value.insert("inputs".into(), json!(summary.inputs));
    value.insert("outputs".into(), json!(summary.outputs));
    value.insert("states".into(), json!(summary.states));
    value.insert("layers".into(), Value::from(rows));
    Value::Object(value)
}

fn print(summary: &Summary) {
    for (name, fact) in &summary.facts {
        let text = match fact {
            Value::Number(number) => number.as_u64().map_or(number.to_string(), grouped),
            Value::String(text) => say::name(text),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        if !text.is_empty() {
            say!("{name:14} {text}");
        }
    }
    let ports = [
        ("input", &summary.inputs),
        ("output", &summary.outputs),
        ("state", &summary.states),
    ];
    for (what, ports) in ports {
        for port in ports {
            say!("{what:14} {}", describe(port));
        }
    }
    say!("");
    let has_live = summary.rows.iter().any(|row| row.live_bytes.is_some());
    let mut header = vec!["node", "operator", "output", "MACs", "constant bytes"];
    if has_live {
        header.push("live bytes");
    }
    let mut rows = table::table(&header, 3);
    for row in &summary.rows {
        let mut cells = vec![
            shortened(&row.name),
            row.operator.to_string(),
            row.shape.clone(),
            grouped(row.macs),
            grouped(row.constant_bytes as u64),
        ];
        cells.extend(row.live_bytes.map(|bytes| grouped(bytes as u64)));
        rows.add_row(cells);
    }
    table::print(rows);
}

/// `name 1x49x10x1 int8 scale=… zero_point=…`.
fn describe(port: &Value) -> String {
    let text = |key: &str| port[key].as_str().unwrap_or_default().to_string();
    let shape: Vec<String> = port["shape"]
        .as_array()
        .into_iter()
        .flatten()
        .map(Value::to_string)
        .collect();
    let name = say::name(&text("name"));
    let mut line = format!("{name} {} {}", shape.join("x"), text("type"));
    for key in ["bytes", "scale", "zero_point", "preprocess", "labels"] {
        if !port[key].is_null() {
            line.push_str(&format!(" {key}={}", port[key]));
        }
    }
    line
}
