//! `modelopt optimize`: graph passes, and a compact model that stays in float.

use crate::dataset::PreprocessArguments;
use crate::failure::Failure;
use crate::front_end;
use crate::model::{self, ImportArguments};
use crate::output::{Output, default_path};
use crate::table::{self, grouped};
use format::meta::Manifest;
use graph::Graph;
use runtime::ops::log_mel::LogMel;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Optimize an ONNX or TFLite model without changing what it computes, and compile it as it is.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  modelopt optimize model.onnx -o model_float.mopt --without layout\n  modelopt optimize model_int8.tflite\n  modelopt optimize wakeword_int8.tflite --streaming 1\n  modelopt optimize wakeword_int8.tflite --front-end mlperf-wake-word --streaming 1"
)]
pub(crate) struct Arguments {
    /// The model: ONNX or TFLite
    model: PathBuf,
    /// The compact model to write [default: MODEL's name with .mopt]
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// A pass to leave out; repeatable
    #[arg(long, value_name = "PASS", value_parser = clap::builder::PossibleValuesParser::new(optimize::PASSES.map(|pass| pass.name)))]
    without: Vec<String>,
    /// Make a model over a window of time one that takes the newest steps alone and keeps what it
    /// still needs of the others: AXIS is that of time, counted from 0
    #[arg(long, value_name = "AXIS")]
    streaming: Option<usize>,
    /// New steps in a run of such a model [default: 1, or the samples from one frame to the next]
    #[arg(long, value_name = "N", requires = "streaming")]
    steps: Option<usize>,
    /// Put a front end before a model of features, so that it takes sound: mlperf-wake-word, or
    /// KEY=VALUE,… with the keys rate, frame, hop, points, window (flat, hann, hamming),
    /// pre-emphasis, sum (energy, magnitude), bands, low, high, scale, offset, lowest, highest,
    /// coefficients: scale * log10(sum) + offset of each band, or so many coefficients of their
    /// cosine transform
    #[arg(long, value_name = "SPEC", value_parser = front_end::parse)]
    front_end: Option<LogMel>,
    #[command(flatten)]
    import: ImportArguments,
    #[command(flatten)]
    preprocess: PreprocessArguments,
}

pub(crate) fn run(arguments: &Arguments, json: bool) -> Result<(), Failure> {
    let path = arguments
        .output
        .clone()
        .unwrap_or_else(|| default_path(&arguments.model, "mopt"));
    let output = Output::new(&path, &[&arguments.model])?;
    let source = model::source(&arguments.model, &arguments.import)?;
    let mut graph = source.graph;
    let is_quantized = graph.is_quantized();
    let before = graph.nodes.len();
    let inputs = crate::dataset::inputs(&graph, &arguments.preprocess)?;
    let applied = optimize::run(&mut graph, |name| {
        !arguments.without.iter().any(|other| other == name)
    })?;
    if let Some(front_end) = &arguments.front_end {
        optimize::front_end::attach(&mut graph, front_end)?;
    }
    let macs = graph.macs();
    let priming_runs = stream(&mut graph, arguments)?;
    let options = compile::Options {
        rounding: source.rounding,
        preprocess: inputs.into_iter().map(|input| input.preprocess).collect(),
        manifest: manifest(&source.source_hash, arguments.streaming),
        ..Default::default()
    };
    let compiled = compile::compile(&graph, &options)?;
    output.write(&compiled.bytes)?;
    if json {
        let passes: Vec<Value> = applied
            .iter()
            .map(|pass| json!({ "name": pass.name, "changes": pass.count }))
            .collect();
        println!(
            "{}",
            json!({
                "output": output.path(), "passes": passes, "nodes_before": before, "nodes": compiled.plan.len(),
                "bytes": compiled.bytes.len(), "ram_bytes": compiled.arena_bytes,
                "state_bytes": compiled.state_bytes, "macs": graph.macs(), "macs_before": macs,
                "priming_runs": priming_runs,
            })
        );
        return Ok(());
    }
    print_passes(&applied);
    println!(
        "\nnodes {before} -> {}, RAM {} bytes",
        compiled.plan.len(),
        grouped(compiled.arena_bytes as u64)
    );
    if let Some(runs) = priming_runs {
        println!(
            "streaming: {} -> {} MACs a run, {} bytes of state, full after {runs} runs",
            grouped(macs),
            grouped(graph.macs()),
            grouped(compiled.state_bytes as u64)
        );
    }
    println!(
        "wrote {}: {} bytes, {}",
        output.path().display(),
        grouped(compiled.bytes.len() as u64),
        if is_quantized {
            source.rounding.name()
        } else {
            "float"
        }
    );
    Ok(())
}

/// Turns the graph into its streaming form, if it is asked for; how many runs fill its state.
fn stream(graph: &mut Graph, arguments: &Arguments) -> Result<Option<usize>, Failure> {
    let Some(axis) = arguments.streaming else {
        return Ok(None);
    };
    let hop = arguments.front_end.as_ref().map_or(1, |end| end.hop);
    let steps = arguments.steps.unwrap_or(hop);
    let options = optimize::streaming::Options { axis, steps };
    let streaming = optimize::streaming::stream(graph, &options)?;
    *graph = streaming.graph;
    Ok(Some(streaming.priming_runs))
}

fn print_passes(applied: &[optimize::Applied]) {
    let mut rows = table::table(&["pass", "what it does", "changes"], 2);
    for (pass, applied) in optimize::PASSES.iter().zip(applied) {
        rows.add_row([
            pass.name.to_string(),
            pass.about.to_string(),
            applied.count.to_string(),
        ]);
    }
    table::print(&rows);
}

fn manifest(source_hash: &[u8], streaming: Option<usize>) -> Manifest {
    Manifest {
        tool: crate::tool(),
        source_hash: source_hash.to_vec(),
        recipe: match streaming {
            None => "optimize".into(),
            Some(axis) => format!("optimize, streaming along axis {axis}"),
        },
        ..Default::default()
    }
}
