//! `modelopt evaluate`: one model on data, wherever it runs.

use crate::dataset::{self, PreprocessArguments, ReadArguments};
use crate::failure::Failure;
use crate::model::ImportArguments;
use crate::output::Output;
use crate::place::{self, Device};
use crate::say::say;
use evaluate::{Gate, Verdict};
use serde_json::Value;
use std::path::PathBuf;

/// Evaluate an ONNX, TFLite or .mopt file on data.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    modelopt evaluate kws.mopt --data inputs.npy --labels labels.npy\n  \
    modelopt evaluate kws.mopt --data inputs.npy --labels labels.npy --device qemu:mps2-an386 --limit 50 --json\n\n\
    An ONNX file runs through an independent executor, and is the reference for the others. A TFLite file is \
    compiled as it is and runs in modelopt's own runtime.")]
pub(crate) struct Arguments {
    /// The model: ONNX, TFLite or .mopt
    model: PathBuf,
    /// The data
    #[arg(long)]
    data: PathBuf,
    #[command(flatten)]
    read: ReadArguments,
    /// Where a compact model runs: host, wasm, wasm:scalar or qemu:BOARD; `modelopt devices` lists them
    #[arg(long, default_value_t = Device::Host)]
    device: Device,
    /// A bound that a metric must keep, such as 'top1>=0.91'; repeatable
    #[arg(long = "gate", value_name = "GATE")]
    gates: Vec<Gate>,
    /// Write a report as one HTML file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    import: ImportArguments,
    #[command(flatten)]
    preprocess: PreprocessArguments,
}

pub(crate) fn run(arguments: &Arguments, json: bool) -> Result<(), Failure> {
    let mut inputs = vec![arguments.model.as_path(), arguments.data.as_path()];
    inputs.extend(arguments.read.labels.as_deref());
    let report = match &arguments.report {
        Some(path) => Some(Output::new(path, "--report", &inputs)?),
        None => None,
    };
    let mut predict = place::open(
        &arguments.model,
        &arguments.import,
        &arguments.preprocess,
        &arguments.device,
    )?;
    let read = arguments.read.clone().in_sequence(predict.keeps_state());
    let source = dataset::open(&arguments.data, predict.inputs(), &read)?;
    let evaluation = place::evaluate(predict.as_mut(), &source)?;
    let verdicts = evaluate::judge(&arguments.gates, &evaluation, None);
    if let Some(report) = report {
        let name = arguments.model.display().to_string();
        report.write(evaluate::report(&name, &[&evaluation], &verdicts).as_bytes())?;
    }
    if json {
        let mut value = evaluation.to_json();
        value["verdicts"] = Value::from(verdicts.iter().map(Verdict::to_json).collect::<Vec<_>>());
        say!("{value}");
    } else {
        say!("{}", evaluate::table::one(&evaluation));
        place::print_verdicts(&verdicts);
    }
    place::check(&verdicts)
}
