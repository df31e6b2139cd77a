//! `modelopt compare`: two models on the same data, the first being the baseline.

use crate::dataset::{self, PreprocessArguments, ReadArguments};
use crate::failure::Failure;
use crate::model::{self, ImportArguments};
use crate::output::Output;
use crate::place::{self, Device};
use crate::say::say;
use evaluate::{Gate, Predict, Verdict};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Compare two models on the same data: agreement, error, and each one's metrics.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    modelopt compare kws.onnx kws.mopt --data inputs.npy --labels labels.npy --gate 'top1>=-0.01@baseline'\n  \
    modelopt compare kws.mopt kws.mopt --data inputs.npy --device qemu:mps3-an547 --limit 50\n\n\
    Where one is an ONNX or TFLite file and the other a compact model, it gets the preprocessing that is stored there.")]
pub(crate) struct Arguments {
    /// The baseline: ONNX, TFLite or .mopt
    a: PathBuf,
    /// The model that is judged: ONNX, TFLite or .mopt
    b: PathBuf,
    /// The data
    #[arg(long)]
    data: PathBuf,
    #[command(flatten)]
    read: ReadArguments,
    /// Where B runs; A runs on the host
    #[arg(long, default_value_t = Device::Host)]
    device: Device,
    /// A bound that a metric of B must keep, such as 'agreement>=0.98'; repeatable
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

/// Both models.
type Pair = (Box<dyn Predict>, Box<dyn Predict>);

impl Arguments {
    /// What is said of a model's source is for the other one where this one is compact.
    fn import_of(&self, model: &Path, other: &Path) -> ImportArguments {
        match model::is_compact(model) && !model::is_compact(other) {
            true => ImportArguments::default(),
            false => self.import.clone(),
        }
    }

    /// The one that stores how its data are prepared comes first, as the other one follows it.
    fn open(&self) -> Result<Pair, Failure> {
        let a = (&self.a, self.import_of(&self.a, &self.b), &Device::Host);
        let b = (&self.b, self.import_of(&self.b, &self.a), &self.device);
        let leads = model::is_compact(&self.a) && !model::is_compact(&self.b);
        let leads = leads && !self.preprocess.is_given();
        let (first, second) = if leads { (a, b) } else { (b, a) };
        let (path, import, device) = first;
        let first = place::open(path, &import, &self.preprocess, device)?;
        let (path, import, device) = second;
        let second = place::open_beside(path, &import, &self.preprocess, device, first.as_ref())?;
        Ok(if leads {
            (first, second)
        } else {
            (second, first)
        })
    }
}

pub(crate) fn run(arguments: &Arguments, json: bool) -> Result<(), Failure> {
    let mut inputs = vec![
        arguments.a.as_path(),
        arguments.b.as_path(),
        arguments.data.as_path(),
    ];
    inputs.extend(arguments.read.labels.as_deref());
    let report = match &arguments.report {
        Some(path) => Some(Output::new(path, "--report", &inputs)?),
        None => None,
    };
    let (mut a, mut b) = arguments.open()?;
    let keeps_state = a.keeps_state() || b.keeps_state();
    let read = arguments.read.clone().in_sequence(keeps_state);
    let source = dataset::open(&arguments.data, b.inputs(), &read)?;
    let comparison = place::compare(a.as_mut(), b.as_mut(), &source)?;
    let verdicts = evaluate::judge(&arguments.gates, &comparison.b, Some(&comparison.a));
    if let Some(report) = report {
        let name = format!("{} and {}", arguments.a.display(), arguments.b.display());
        report.write(
            evaluate::report(&name, &[&comparison.a, &comparison.b], &verdicts).as_bytes(),
        )?;
    }
    if json {
        let mut value = comparison.to_json();
        value["verdicts"] = Value::from(verdicts.iter().map(Verdict::to_json).collect::<Vec<_>>());
        say!("{value}");
    } else {
        say!(
            "{}",
            evaluate::table::side_by_side(&comparison.a, &comparison.b)
        );
        place::print_verdicts(&verdicts);
    }
    place::check(&verdicts)
}
