//! `modelopt optimize`: graph passes, and a compact model that stays in float.

use crate::check::Check;
use crate::dataset::{self, PreprocessArguments, ReadArguments, SoundArguments};
use crate::failure::Failure;
use crate::float;
use crate::front_end;
use crate::goal::GoalArguments;
use crate::model::{self, ImportArguments};
use crate::output::{Output, default_path};
use crate::patches::{PatchArguments, Patches};
use crate::say::say;
use crate::table::{self, grouped};
use clap::ValueEnum;
use format::meta::Manifest;
use graph::Graph;
use import::Imported;
use runtime::ops::log_mel::LogMel;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Optimize an ONNX or TFLite model without changing what it computes, and compile it as it is.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  modelopt optimize model.onnx -o model_float.mopt --without layout\n  modelopt optimize model_int8.tflite\n  modelopt optimize model.onnx --check test.npy\n  modelopt optimize wakeword_int8.tflite --streaming 1\n  modelopt optimize wakeword_int8.tflite --front-end mlperf-wake-word --streaming 1\n  modelopt optimize vww_int8.tflite --patches 4\n  modelopt optimize ic_int8.tflite --goal latency --target cortex-m4"
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
    /// How float weights of convolutions and fully connected layers are stored: f32, or rounded to f16,
    /// which halves the file; sums are of f32 either way
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = FloatWeights::F32)]
    weights: FloatWeights,
    /// Fail when a node computes in float: for models that are quantized already
    #[arg(long)]
    require_int8: bool,
    /// Run the model over samples of this data after every change, and fail if an answer changes
    #[arg(long, value_name = "DATA")]
    check: Option<PathBuf>,
    /// For .bin files of --check: a sample is this many consecutive rows, the next starts one row later
    #[arg(long, value_name = "ROWS", requires = "check")]
    window: Option<usize>,
    #[command(flatten)]
    sound: SoundArguments,
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
    goal: GoalArguments,
    #[command(flatten)]
    patches: PatchArguments,
    #[command(flatten)]
    import: ImportArguments,
    #[command(flatten)]
    preprocess: PreprocessArguments,
}

/// The compact model and all that is said of it.
struct Made {
    applied: Vec<optimize::Applied>,
    check: Option<Check>,
    compiled: compile::Compiled,
    nodes_before: usize,
    macs: u64,
    /// Before the model was turned into one that takes steps.
    macs_before: u64,
    /// Runs that fill the state of such a model.
    priming_runs: Option<usize>,
    patches: Option<Patches>,
    /// What stays in float of a model that is quantized already.
    float: Vec<optimize::quantize::FloatNode>,
    /// What the numbers are, and how integers are rounded.
    numbers: String,
}

pub(crate) fn run(arguments: &Arguments, json: bool) -> Result<(), Failure> {
    model::refuse_compact(&arguments.model)?;
    let path = arguments
        .output
        .clone()
        .unwrap_or_else(|| default_path(&arguments.model, "mopt"));
    let mut inputs = vec![arguments.model.as_path()];
    inputs.extend(arguments.check.as_deref());
    let output = Output::new(&path, "-o", &inputs)?;
    let source = model::source(&arguments.model, &arguments.import)?;
    let made = make(arguments, source)?;
    output.write(&made.compiled.bytes)?;
    match json {
        true => say!("{}", made.as_json(output.path())),
        false => made.print(&arguments.goal, output.path()),
    }
    Ok(())
}

/// Applies passes and what else is asked for, and compiles.
fn make(arguments: &Arguments, source: Imported) -> Result<Made, Failure> {
    let mut graph = source.graph;
    let is_quantized = graph.is_quantized() || source.quantized.is_some();
    let nodes_before = graph.nodes.len();
    let mut inputs = dataset::inputs(&graph, &arguments.preprocess)?;
    arguments.sound.note(&mut inputs);
    let preprocess = inputs.iter().map(|input| input.preprocess.clone());
    let options = compile::Options {
        rounding: source.rounding,
        preprocess: preprocess.collect(),
        manifest: manifest(&source.source_hash, arguments),
        narrow_weights: arguments.weights == FloatWeights::F16,
        packed_weights: arguments.goal.is_latency()?,
        ..Default::default()
    };
    let mut check = match &arguments.check {
        Some(data) => {
            let how = ReadArguments::new(None, Some(CHECKED_SAMPLES), arguments.window)
                .with_sound(arguments.sound)
                .in_sequence(graph.keeps_state());
            let samples = dataset::open(data, &inputs, &how)?;
            let has_steps = source.quantized.is_some();
            Some(Check::new(&graph, has_steps, &samples, &inputs, &options)?)
        }
        None => None,
    };
    let is_enabled = |name: &str| !arguments.without.iter().any(|other| other == name);
    let applied = optimize::run_observed(
        &mut graph,
        is_enabled,
        &mut |pass, graph| match &mut check {
            Some(check) => check.observe(pass, graph),
            None => Ok(()),
        },
    )?;
    let float = match is_quantized {
        true => optimize::float_nodes(&graph),
        false => Vec::new(),
    };
    if arguments.require_int8 {
        refuse_float(&arguments.model, is_quantized, &float)?;
    }
    if let Some(front_end) = &arguments.front_end {
        optimize::front_end::attach(&mut graph, front_end).map_err(Failure::usage)?;
    }
    if arguments.weights == FloatWeights::F16 {
        optimize::half::round_weights(&mut graph);
    }
    let macs_before = graph.macs();
    let priming_runs = stream(&mut graph, arguments)?;
    let patches = arguments.patches.apply(&mut graph, &options)?;
    Ok(Made {
        applied,
        check,
        compiled: compile::compile(&graph, &options)?,
        nodes_before,
        macs: graph.macs(),
        macs_before,
        priming_runs,
        patches,
        numbers: match graph.is_quantized() {
            true => format!("integers, rounding {}", source.rounding.name()),
            false => "float".into(),
        },
        float,
    })
}

/// Fails where a node is in float.
fn refuse_float(
    model: &Path,
    is_quantized: bool,
    float: &[optimize::quantize::FloatNode],
) -> Result<(), Failure> {
    if is_quantized {
        return float::refuse(float);
    }
    let message = "is a model in float; make it one of integers with `modelopt quantize`";
    Err(Failure::usage(message).of(model))
}

impl Made {
    fn as_json(&self, path: &Path) -> Value {
        let difference = |name| self.check.as_ref().and_then(|check| check.difference(name));
        let passes = self.applied.iter().map(|pass| {
            json!({ "name": pass.name, "changes": pass.count, "difference": difference(pass.name) })
        });
        json!({
            "output": path.display().to_string(), "passes": passes.collect::<Vec<Value>>(),
            "nodes_before": self.nodes_before, "nodes": self.compiled.plan.len(),
            "bytes": self.compiled.bytes.len(), "ram_bytes": self.compiled.arena_bytes,
            "state_bytes": self.compiled.state_bytes, "macs": self.macs,
            "macs_before": self.macs_before, "priming_runs": self.priming_runs,
            "packed_bytes": self.compiled.packed_bytes,
            "patches": self.patches.as_ref().map(Patches::as_json),
            "float": float::as_json(&self.float),
        })
    }

    fn print(&self, goal: &GoalArguments, path: &Path) {
        print_passes(&self.applied, self.check.as_ref());
        say!("");
        float::print(&self.float);
        say!(
            "nodes {} -> {}, RAM {} bytes",
            self.nodes_before,
            self.compiled.plan.len(),
            grouped(self.compiled.arena_bytes as u64)
        );
        match self.priming_runs {
            None => {}
            Some(1) => say!("streaming: all steps are new in every run; nothing was changed"),
            Some(runs) => say!(
                "streaming: {} -> {} MACs a run, {} bytes of state, full after {runs} runs",
                grouped(self.macs_before),
                grouped(self.macs),
                grouped(self.compiled.state_bytes as u64)
            ),
        }
        if let Some(patches) = &self.patches {
            patches.print();
        }
        goal.print(self.compiled.packed_bytes);
        say!(
            "wrote {}: {} bytes, {}",
            path.display(),
            grouped(self.compiled.bytes.len() as u64),
            self.numbers
        );
    }
}

/// Turns the graph into its streaming form, if it is asked for; how many runs fill its state.
fn stream(graph: &mut Graph, arguments: &Arguments) -> Result<Option<usize>, Failure> {
    let Some(axis) = arguments.streaming else {
        return Ok(None);
    };
    let hop = arguments.front_end.as_ref().map_or(1, |end| end.hop);
    let steps = arguments.steps.unwrap_or(hop);
    let options = optimize::streaming::Options { axis, steps };
    let streaming = optimize::streaming::stream(graph, &options).map_err(Failure::usage)?;
    *graph = streaming.graph;
    Ok(Some(streaming.priming_runs))
}

/// The largest number of samples that changes are checked on.
const CHECKED_SAMPLES: usize = 16;

fn print_passes(applied: &[optimize::Applied], check: Option<&Check>) {
    let mut heads = vec!["pass", "what it does", "changes"];
    heads.extend(check.map(|_| "answers differ by"));
    let mut rows = table::table(&heads, 2);
    for (pass, applied) in optimize::PASSES.iter().zip(applied) {
        let mut row = vec![
            pass.name.to_string(),
            pass.about.to_string(),
            applied.count.to_string(),
        ];
        row.extend(check.map(|check| match check.difference(pass.name) {
            Some(0.0) => "nothing".to_string(),
            Some(share) => format!("{share:.1e} of the largest"),
            None => String::new(),
        }));
        rows.add_row(row);
    }
    table::print(rows);
    if let Some(check) = check {
        say!("checked on {} samples", check.samples());
    }
}

fn manifest(source_hash: &[u8], arguments: &Arguments) -> Manifest {
    let mut recipe = String::from("optimize");
    for pass in &arguments.without {
        recipe.push_str(&format!(" --without {pass}"));
    }
    if arguments.front_end.is_some() {
        recipe.push_str(", a front end before it");
    }
    if let Some(axis) = arguments.streaming {
        recipe.push_str(&format!(", streaming along axis {axis}"));
    }
    if arguments.weights == FloatWeights::F16 {
        recipe.push_str(", weights of f16");
    }
    recipe.push_str(&arguments.goal.recipe());
    recipe.push_str(&arguments.patches.recipe());
    Manifest {
        tool: crate::tool(),
        source_hash: source_hash.to_vec(),
        recipe,
        ..Default::default()
    }
}

/// The type that float weights are stored in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum FloatWeights {
    /// Single precision
    #[default]
    F32,
    /// Half precision
    F16,
}
