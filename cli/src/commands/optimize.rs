//! `modelopt optimize`: graph passes, and a compact model that stays in float.

use crate::dataset::PreprocessArguments;
use crate::failure::Failure;
use crate::model::{self, ImportArguments};
use crate::output::{Output, default_path};
use crate::table::{self, grouped};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Optimize an ONNX or TFLite model without changing what it computes, and compile it as it is.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  modelopt optimize model.onnx -o model_float.mopt --without layout\n  modelopt optimize model_int8.tflite"
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
    let options = compile::Options {
        rounding: source.rounding,
        preprocess: inputs.into_iter().map(|input| input.preprocess).collect(),
        manifest: format::meta::Manifest {
            tool: crate::tool(),
            source_hash: source.source_hash.to_vec(),
            recipe: "optimize".into(),
            ..Default::default()
        },
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
            })
        );
        return Ok(());
    }
    let mut rows = table::table(&["pass", "what it does", "changes"], 2);
    for (pass, applied) in optimize::PASSES.iter().zip(&applied) {
        rows.add_row([
            pass.name.to_string(),
            pass.about.to_string(),
            applied.count.to_string(),
        ]);
    }
    table::print(&rows);
    println!(
        "\nnodes {before} -> {}, RAM {} bytes",
        compiled.plan.len(),
        grouped(compiled.arena_bytes as u64)
    );
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
