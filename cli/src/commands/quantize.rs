//! `modelopt quantize`: a float model to int8, judged before it is written.

mod summary;

use crate::commands::optimize::FloatWeights;
use crate::dataset::{self, PreprocessArguments, ReadArguments, SoundArguments};
use crate::failure::Failure;
use crate::float;
use crate::front_end;
use crate::goal::GoalArguments;
use crate::model::{self, OpenArguments};
use crate::output::{Output, default_path};
use crate::patches::{PatchArguments, Patches};
use crate::place;
use crate::progress;
use crate::say::say;
use evaluate::{Evaluation, Gate, Input, Verdict};
use format::Model;
use format::fixed::Rounding;
use format::meta::{Manifest, Meta, Preprocess};
use graph::Graph;
use import::Imported;
use optimize::quantize::{self, Activations, Method, Quantized, Sample, WeightType};
use runtime::ops::log_mel::LogMel;
use std::path::PathBuf;
use std::time::Instant;

/// Quantize an ONNX or TFLite model to int8 with calibration data.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    modelopt quantize kws.onnx --calib inputs.npy --limit 200 -o kws.mopt\n  \
    modelopt quantize digits.onnx --calib train.npy --scale 0.0625 --eval test.npy --labels test_labels.npy --gate 'top1>=-0.01@baseline'\n  \
    modelopt quantize words.onnx --calib features.npy --front-end mlperf-wake-word\n  \
    modelopt quantize vww.onnx --calib images/ --patches 4\n  \
    modelopt quantize ic.onnx --calib images/ --goal latency --target cortex-m4\n  \
    modelopt quantize kws.onnx --calib inputs.npy --rounding tflm && modelopt export kws.mopt --to tflite\n\n\
    Data: .npy, .npz, .csv, idx (.gz), .bin (f32), .wav, an image, a folder or .tar(.gz) of class folders with images.")]
pub(crate) struct Arguments {
    /// The model, in float: ONNX or TFLite
    model: PathBuf,
    /// Calibration data: what the model will see, a few hundred samples
    #[arg(long, value_name = "DATA")]
    calib: PathBuf,
    /// Use at most this many samples, spread evenly over the data; the first ones where a model keeps
    /// state from one to the next
    #[arg(long, value_name = "N", default_value_t = 200, allow_negative_numbers = true, value_parser = dataset::parse_limit)]
    limit: usize,
    /// For .bin files: a sample is this many consecutive rows, the next starts one row later
    #[arg(long, value_name = "ROWS")]
    window: Option<usize>,
    #[command(flatten)]
    sound: SoundArguments,
    /// Evaluate the result and the source on this data before writing
    #[arg(long, value_name = "DATA")]
    eval: Option<PathBuf>,
    /// Labels of the --eval data, where they are in a file of their own
    #[arg(long, value_name = "FILE", requires = "eval")]
    labels: Option<PathBuf>,
    /// A bound that the result must keep, such as 'top1>=0.91' or 'top1>=-0.01@baseline'; repeatable
    #[arg(long = "gate", value_name = "GATE", requires = "eval")]
    gates: Vec<Gate>,
    /// The compact model to write [default: MODEL's name with .mopt]
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// How ranges of activations are chosen: minmax, percentile[:99.99] or mse
    #[arg(long, default_value_t = Method::Mse)]
    method: Method,
    /// The type of activations: int8, or int16 where the operator has it (twice the RAM, 256 times
    /// as fine)
    #[arg(long, value_name = "TYPE", default_value_t = Activations::Int8)]
    activations: Activations,
    /// Name of a node to run with int16 activations, among others with int8; repeatable
    #[arg(long, value_name = "NODE")]
    int16: Vec<String>,
    /// The type of weights: int8, or int4 where that costs little precision (layers are tried one by one,
    /// and the others stay int8); int4 takes half the bytes, and on devices working memory for the
    /// widened weights of one layer
    #[arg(long, value_name = "TYPE", default_value_t = WeightType::Int8)]
    weights: WeightType,
    /// How weights of layers that stay in float are stored: f32, or rounded to f16
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = FloatWeights::F32)]
    float_weights: FloatWeights,
    /// Leave biases as they are
    #[arg(long)]
    no_bias_correction: bool,
    /// Leave the weights of fully connected layers as they are
    #[arg(long)]
    no_reconstruct: bool,
    /// Leave the ranges of channels as they are
    #[arg(long)]
    no_equalize: bool,
    /// Name of a node to leave in float; repeatable
    #[arg(long, value_name = "NODE")]
    keep_float: Vec<String>,
    /// Fail when a node stays in float
    #[arg(long)]
    require_int8: bool,
    /// Put a front end before a model of features, so that what is written takes sound; data for
    /// calibration and evaluation is features as before. See `modelopt optimize --help`
    #[arg(long, value_name = "SPEC", value_parser = front_end::parse, conflicts_with_all = ["scale", "mean", "std"])]
    front_end: Option<LogMel>,
    /// File with the names of the classes, one a line; stored in the model
    #[arg(long, value_name = "FILE")]
    class_names: Option<PathBuf>,
    /// Write a report as one HTML file
    #[arg(long, value_name = "FILE", requires = "eval")]
    report: Option<PathBuf>,
    /// How sums are rounded: as TensorFlow Lite Micro does it (tflm) or LiteRT (single), which then answers
    /// what the compact model answers, to the bit, from the file of `export --to tflite` [default: once, with
    /// the multipliers that cost devices the least]
    #[arg(long, value_name = "RULE", value_parser = model::parse_rounding)]
    rounding: Option<Rounding>,
    #[command(flatten)]
    goal: GoalArguments,
    #[command(flatten)]
    patches: PatchArguments,
    #[command(flatten)]
    open: OpenArguments,
    #[command(flatten)]
    preprocess: PreprocessArguments,
}

impl Arguments {
    fn rounding(&self) -> Rounding {
        self.rounding.unwrap_or(Rounding::High)
    }

    /// Fails where the rule would say nothing of layers.
    fn check_rounding(&self) -> Result<(), Failure> {
        let has_int16 = self.activations == Activations::Int16 || !self.int16.is_empty();
        if self.rounding.is_none() || !has_int16 {
            return Ok(());
        }
        Err(Failure::usage(
            "--rounding is of int8, which TensorFlow Lite files that are exported have; leave it out, or \
             --activations int16 and --int16",
        ))
    }
}

/// The compact model and all that is said of it.
struct Product {
    bytes: Vec<u8>,
    options: compile::Options,
    ram_bytes: usize,
    packed_bytes: usize,
    quantized: Quantized,
    patches: Option<Patches>,
    seconds: f64,
}

impl Product {
    /// Puts the manifest, which is known after what it tells of, into the finished file.
    fn store_manifest(&mut self) -> Result<(), Failure> {
        let lost = || Failure::internal("the finished model cannot be read again");
        let model = Model::new(&self.bytes).map_err(|_| lost())?;
        let mut meta = Meta::of(&model).map_err(|_| lost())?;
        meta.manifest = self.options.manifest.clone();
        self.bytes = format::with_meta(&self.bytes, &meta).ok_or_else(lost)?;
        Ok(())
    }

    /// Puts a front end before the model, which was judged on features.
    fn take_sound(&mut self, front_end: &LogMel) -> Result<(), Failure> {
        let graph = &mut self.quantized.graph;
        optimize::front_end::attach(graph, front_end).map_err(Failure::usage)?;
        // Sound is taken as it is.
        self.options.preprocess = vec![Preprocess::default()];
        let compiled = compile::compile(&self.quantized.graph, &self.options)?;
        self.bytes = compiled.bytes;
        self.ram_bytes = compiled.arena_bytes;
        Ok(())
    }
}

pub(crate) fn run(arguments: &Arguments, json: bool) -> Result<(), Failure> {
    model::refuse_compact(&arguments.model)?;
    let (output, report) = outputs(arguments)?;
    arguments.goal.is_latency()?;
    arguments.check_rounding()?;
    let source = model::float_source(&arguments.model, &arguments.open)?;
    quantize::check_constants(&source.graph)
        .map_err(|error| Failure::usage(error).of(&arguments.model))?;
    if let Some(front_end) = &arguments.front_end {
        optimize::front_end::check(&source.graph, front_end).map_err(Failure::usage)?;
    }
    let mut inputs = dataset::inputs(&source.graph, &arguments.preprocess)?;
    arguments.sound.note(&mut inputs);
    // What cannot be judged is refused before any work.
    let reference = match &arguments.eval {
        Some(data) => Some(reference(arguments, &source, &inputs, data)?),
        None => None,
    };
    let mut product = quantized(arguments, &source, &inputs)?;
    if arguments.require_int8 {
        float::refuse(&product.quantized.float)?;
    }
    let judged = match reference {
        Some(reference) => Some(judge(arguments, reference, &mut product)?),
        None => None,
    };
    if let Some(front_end) = &arguments.front_end {
        product.take_sound(front_end)?;
    }
    if let (Some(report), Some(judged)) = (&report, &judged) {
        let html = evaluate::report(
            &judged.name,
            &[&judged.baseline, &judged.evaluation],
            &judged.verdicts,
        );
        report.write(html.as_bytes())?;
    }
    let verdict = match &judged {
        Some(judged) => place::check(&judged.verdicts),
        None => Ok(()),
    };
    // What is printed tells of files that are there.
    if verdict.is_ok() {
        output.write(&product.bytes)?;
    }
    let written = verdict.is_ok().then(|| output.path());
    let source_bytes = std::fs::metadata(&arguments.model).map_or(0, |file| file.len());
    if json {
        say!(
            "{}",
            summary::as_json(&product, judged.as_ref(), written, source_bytes)
        );
    } else {
        summary::print(&product, &arguments.goal, judged.as_ref(), source_bytes);
        if let Some(path) = written {
            say!("wrote {}", path.display());
        }
    }
    verdict
}

/// The files to be written, checked before any work.
fn outputs(arguments: &Arguments) -> Result<(Output, Option<Output>), Failure> {
    let path = arguments
        .output
        .clone()
        .unwrap_or_else(|| default_path(&arguments.model, "mopt"));
    let mut inputs = vec![arguments.model.as_path(), arguments.calib.as_path()];
    inputs.extend(arguments.eval.as_deref());
    inputs.extend(arguments.labels.as_deref());
    inputs.extend(arguments.class_names.as_deref());
    let output = Output::new(&path, "-o", &inputs)?;
    let report = match &arguments.report {
        Some(report) if *report == path => {
            let message = "is named by -o and by --report; name another file with one of them";
            return Err(Failure::usage(message).of(report));
        }
        Some(report) => Some(Output::new(report, "--report", &inputs)?),
        None => None,
    };
    Ok((output, report))
}

/// Imports, optimizes, calibrates, compiles.
fn quantized(
    arguments: &Arguments,
    source: &Imported,
    inputs: &[Input],
) -> Result<Product, Failure> {
    let start = Instant::now();
    let mut graph = source.graph.clone();
    optimize::run(&mut graph, |_| true)?;
    check_kept(&graph, &arguments.keep_float)?;
    check_int16(&graph, &arguments.int16)?;
    let calibration = dataset::open(
        &arguments.calib,
        inputs,
        &ReadArguments::new(None, Some(arguments.limit), arguments.window)
            .with_sound(arguments.sound)
            .in_sequence(graph.keeps_state())
            .beside(&arguments.calib, arguments.eval.as_deref()),
    )?;
    let bar = progress::bar("calibrating", calibration.len());
    let axes: Vec<Vec<u8>> = graph.inputs.iter().map(|port| port.axes.clone()).collect();
    let mut compared = Vec::new();
    for sample in calibration.some_samples(quantize::COMPARED_SAMPLES)? {
        compared.push(stored(&sample?.values, inputs, &axes));
    }
    let mut failure = None;
    let mut samples = calibration.samples()?.map_while(|sample| match sample {
        Ok(sample) => Some(Ok(stored(&sample.values, inputs, &axes))),
        Err(error) => {
            failure = Some(Failure::from(error));
            None
        }
    });
    let options = quantize::Options {
        activations: arguments.activations,
        int16: &|name| arguments.int16.iter().any(|wide| wide == name),
        weights: arguments.weights,
        method: arguments.method,
        bias_correction: !arguments.no_bias_correction,
        reconstruct: !arguments.no_reconstruct,
        equalize: !arguments.no_equalize,
        keep_float: &|name| arguments.keep_float.iter().any(|kept| kept == name),
        rounding: arguments.rounding(),
    };
    let mut progress = |count| bar.set_position(count as u64);
    let quantized = quantize::quantize(&graph, &compared, &mut samples, &options, &mut progress);
    bar.finish_and_clear();
    drop(samples);
    if let Some(failure) = failure {
        return Err(failure);
    }
    let mut quantized = quantized?;
    if arguments.float_weights == FloatWeights::F16 {
        optimize::half::round_weights(&mut quantized.graph);
    }
    let options = compile_options(arguments, source, inputs, &calibration)?;
    let patches = arguments.patches.apply(&mut quantized.graph, &options)?;
    let compiled = compile::compile(&quantized.graph, &options)?;
    Ok(Product {
        bytes: compiled.bytes,
        options,
        ram_bytes: compiled.arena_bytes,
        packed_bytes: compiled.packed_bytes,
        quantized,
        patches,
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// A sample in the layout of the graph's tensors.
fn stored(values: &[f32], inputs: &[Input], axes: &[Vec<u8>]) -> Sample {
    let prepared = dataset::prepare(values, inputs);
    let inputs = inputs.iter().zip(axes);
    prepared
        .iter()
        .zip(inputs)
        .map(|(values, (input, axes))| evaluate::layout::to_tensor(values, &input.shape, axes))
        .collect()
}

fn check_kept(graph: &Graph, kept: &[String]) -> Result<(), Failure> {
    let unknown = kept
        .iter()
        .find(|name| !graph.nodes.iter().any(|node| node.name == **name));
    match unknown {
        Some(name) => Err(Failure::usage(format!(
            "--keep-float: there is no node '{name}'; `modelopt inspect` lists them"
        ))),
        None => Ok(()),
    }
}

/// Nodes to run in int16 must be there, and have such a form.
fn check_int16(graph: &Graph, wide: &[String]) -> Result<(), Failure> {
    for name in wide {
        let node = graph.nodes.iter().find(|node| node.name == *name);
        let reason = match node {
            Some(node) => match quantize::int16_reason(graph, node) {
                Some(reason) => format!("node '{name}' stays as it is: {reason}"),
                None => continue,
            },
            None => format!("there is no node '{name}'; `modelopt inspect` lists them"),
        };
        return Err(Failure::usage(format!("--int16: {reason}")));
    }
    Ok(())
}

fn compile_options(
    arguments: &Arguments,
    source: &Imported,
    inputs: &[Input],
    calibration: &data::Source,
) -> Result<compile::Options, Failure> {
    let labels = match &arguments.class_names {
        Some(path) => class_names(path)?,
        None => calibration.class_names().to_vec(),
    };
    let outputs = source
        .graph
        .outputs
        .first()
        .map_or(0, |port| port.shape.elements());
    if arguments.class_names.is_some() && labels.len() != outputs {
        let count = labels.len();
        return Err(Failure::usage(format!(
            "--class-names has {count} names, but the model has {outputs} classes"
        )));
    }
    let labels = if labels.len() == outputs {
        labels
    } else {
        Vec::new()
    };
    Ok(compile::Options {
        preprocess: inputs
            .iter()
            .map(|input| input.preprocess.clone())
            .collect(),
        labels,
        manifest: Manifest {
            tool: crate::tool(),
            source_hash: source.source_hash.to_vec(),
            data_hash: calibration.hash()?.to_vec(),
            recipe: recipe(arguments),
            figures: Vec::new(),
        },
        narrow_weights: arguments.weights == WeightType::Int4
            || arguments.float_weights == FloatWeights::F16,
        packed_weights: arguments.goal.is_latency()?,
        rounding: arguments.rounding(),
        ..compile::Options::default()
    })
}

/// The options that shape the result, as they would be typed.
fn recipe(arguments: &Arguments) -> String {
    let mut recipe = format!(
        "quantize --method {} --limit {}",
        arguments.method, arguments.limit
    );
    if arguments.activations != Activations::Int8 {
        recipe.push_str(&format!(" --activations {}", arguments.activations));
    }
    if let Some(rounding) = arguments.rounding {
        recipe.push_str(&format!(" --rounding {}", model::rounding_option(rounding)));
    }
    if arguments.weights != WeightType::Int8 {
        recipe.push_str(&format!(" --weights {}", arguments.weights));
    }
    for (is_given, option) in [
        (
            arguments.float_weights == FloatWeights::F16,
            " --float-weights f16",
        ),
        (arguments.no_bias_correction, " --no-bias-correction"),
        (arguments.no_reconstruct, " --no-reconstruct"),
        (arguments.no_equalize, " --no-equalize"),
    ] {
        if is_given {
            recipe.push_str(option);
        }
    }
    if arguments.front_end.is_some() {
        recipe.push_str(", a front end before it");
    }
    for node in &arguments.int16 {
        recipe.push_str(&format!(" --int16 {node}"));
    }
    for node in &arguments.keep_float {
        recipe.push_str(&format!(" --keep-float {node}"));
    }
    recipe.push_str(&arguments.goal.recipe());
    recipe.push_str(&arguments.patches.recipe());
    recipe
}

fn class_names(path: &std::path::Path) -> Result<Vec<String>, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::file(path, &error))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::usage("is no text; write one name a line").of(path))?;
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(String::from)
        .collect())
}

/// What the evaluator found.
struct Judged {
    name: String,
    baseline: Evaluation,
    evaluation: Evaluation,
    verdicts: Vec<Verdict>,
}

/// The source as it runs, and the data that it is compared on.
type Reference = (Box<dyn evaluate::Predict>, data::Source);

fn reference(
    arguments: &Arguments,
    source: &Imported,
    inputs: &[Input],
    data: &std::path::Path,
) -> Result<Reference, Failure> {
    let how = ReadArguments::new(arguments.labels.clone(), None, arguments.window)
        .with_sound(arguments.sound)
        .beside(data, Some(&arguments.calib));
    let samples = dataset::open(data, inputs, &how)?;
    let oracle = place::oracle(&arguments.model, source, inputs)?;
    Ok((oracle, samples))
}

/// Evaluates the source and the product on the same data, and stores the figures in the product.
fn judge(
    arguments: &Arguments,
    (mut oracle, samples): Reference,
    product: &mut Product,
) -> Result<Judged, Failure> {
    let mut compact = place::compact(&product.bytes, &place::Device::Host)?;
    let comparison = place::compare(oracle.as_mut(), compact.as_mut(), &samples)?;
    let verdicts = evaluate::judge(&arguments.gates, &comparison.b, Some(&comparison.a));
    // The figures are in the manifest of the file that they are about.
    let facts: Vec<&str> = compact.facts().into_iter().map(|(name, _)| name).collect();
    let measured = comparison
        .b
        .metrics
        .iter()
        .filter(|(name, _)| !facts.contains(&name.as_str()));
    product.options.manifest.figures = measured
        .map(|(name, value)| (name.clone(), *value as f32))
        .collect();
    product.store_manifest()?;
    let mut comparison = comparison;
    for (_, value) in comparison
        .b
        .metrics
        .iter_mut()
        .filter(|(name, _)| name == "bytes")
    {
        *value = product.bytes.len() as f64;
    }
    let name = arguments.model.display().to_string();
    Ok(Judged {
        name,
        baseline: comparison.a,
        evaluation: comparison.b,
        verdicts,
    })
}
