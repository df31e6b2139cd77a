//! `cargo xtask figures`: the main job on real models, as one table of what it reaches.
//!
//! Models and data are beside the repository, in `../shared` or the folder that MODELOPT_SHARED
//! names; everything is measured by the program itself, as a user would type it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process;
use crate::workspace::Workspace;

/// A model, its data, and what it is to reach.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) model: &'static str,
    calibration: &'static str,
    evaluation: &'static str,
    quantize: &'static [&'static str],
    compare: &'static [&'static str],
    bytes_max: u64,
    /// The metric of the result that counts, and its bound.
    goal: (&'static str, Bound),
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

const PIXELS: &str = "0.00392156862745098";

pub(crate) const SUBJECTS: &[Subject] = &[
    Subject {
        name: "keywords (KWS)",
        model: "kws_ds_cnn_f32.onnx",
        calibration: "kws/test_inputs_f32.npy",
        evaluation: "kws/test_inputs_f32.npy",
        quantize: &[],
        compare: &["--labels", "DATA/kws/test_labels.npy"],
        bytes_max: 27_000,
        goal: ("top1", Bound::AtLeast(0.911)),
    },
    Subject {
        name: "images (IC)",
        model: "ic_resnet8_f32.onnx",
        calibration: "cifar10/train.tar.gz",
        evaluation: "cifar10/test.tar.gz",
        quantize: &[],
        compare: &[],
        bytes_max: 81_000,
        goal: ("top1", Bound::AtLeast(0.7530)),
    },
    Subject {
        name: "persons (VWW)",
        model: "vww_mobilenet_v1_025_f32.onnx",
        calibration: "cifar10/train.tar.gz",
        evaluation: "cifar10/test.tar.gz",
        quantize: &["--scale", PIXELS],
        compare: &["--no-labels", "--limit", "1000"],
        bytes_max: 232_000,
        goal: ("agreement", Bound::AtLeast(0.98)),
    },
    Subject {
        name: "anomalies (AD)",
        model: "ad_autoencoder_f32.onnx",
        calibration: "anomaly/normal_id_01_f32_le.bin",
        evaluation: "anomaly/normal_id_01_f32_le.bin",
        quantize: &["--window", "5"],
        compare: &["--window", "5"],
        bytes_max: 274_000,
        goal: ("reconstruction_deviation_max", Bound::AtMost(0.02)),
    },
];

/// The program, and the folders of what it reads and writes.
pub(crate) struct Places {
    pub(crate) program: PathBuf,
    pub(crate) shared: PathBuf,
    pub(crate) out: PathBuf,
}

impl Subject {
    /// Its model's short name, such as `kws`.
    pub(crate) fn short(&self) -> &'static str {
        self.model.split('_').next().unwrap_or(self.model)
    }
}

impl Places {
    /// The data that a model is calibrated on.
    pub(crate) fn calibration(&self, subject: &Subject) -> PathBuf {
        self.shared.join("data").join(subject.calibration)
    }

    /// The data that a model is evaluated on.
    pub(crate) fn data(&self, subject: &Subject) -> PathBuf {
        self.shared.join("data").join(subject.evaluation)
    }
}

/// The folder of the models beside the repository, whether it is there or not.
fn shared(workspace: &Workspace) -> PathBuf {
    std::env::var_os("MODELOPT_SHARED")
        .map_or_else(|| workspace.root.join("../shared"), PathBuf::from)
}

/// Builds the program for release, and finds the models.
pub(crate) fn prepare(workspace: &Workspace) -> Result<Places> {
    let shared = shared(workspace);
    if !shared.join("models").is_dir() {
        bail!(
            "{} has no models; name their folder in MODELOPT_SHARED",
            shared.display()
        );
    }
    build(workspace, shared)
}

/// The same; `None` without models.
pub(crate) fn prepare_test(workspace: &Workspace) -> Result<Option<Places>> {
    let shared = shared(workspace);
    match shared.join("models").is_dir() {
        true => build(workspace, shared).map(Some),
        false => Ok(None),
    }
}

fn build(workspace: &Workspace, shared: PathBuf) -> Result<Places> {
    let mut build = workspace.command("cargo");
    build.args(["build", "--locked", "--quiet", "--package", "modelopt"]);
    process::run(build.arg("--release"))?;
    let target = workspace.metadata(&workspace.root)?.target_directory;
    let program = target.join("release/modelopt").into_std_path_buf();
    let out = target.join("figures").into_std_path_buf();
    std::fs::create_dir_all(&out)?;
    Ok(Places {
        program,
        shared,
        out,
    })
}

/// Runs the program on every model, prints the table.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let places = prepare(workspace)?;
    println!(
        "\n| model | float | int8 | goal | reached | file, bytes | at most | RAM, bytes | quantize, s |\n\
         |---|---|---|---|---|---|---|---|---|"
    );
    for subject in SUBJECTS {
        println!("{}", row(subject, &places).context(subject.name)?);
    }
    Ok(())
}

/// Quantizes a model: the compact file, and what the program says of it.
pub(crate) fn quantize(subject: &Subject, places: &Places) -> Result<(PathBuf, Value)> {
    let compact = places.out.join(subject.model).with_extension("mopt");
    let made = json(&mut quantization(subject, places, &compact))?;
    Ok((compact, made))
}

/// The command that quantizes a model to a file.
fn quantization(subject: &Subject, places: &Places, compact: &Path) -> Command {
    let mut quantize = Command::new(&places.program);
    quantize
        .args(arguments(subject, places))
        .arg("-o")
        .arg(compact);
    quantize
}

/// The arguments that quantize a model.
pub(crate) fn arguments(subject: &Subject, places: &Places) -> Vec<PathBuf> {
    let data = places.shared.join("data");
    let model = places.shared.join("models").join(subject.model);
    let mut arguments = vec![
        "quantize".into(),
        model,
        "--calib".into(),
        places.calibration(subject),
    ];
    arguments.extend(
        subject
            .quantize
            .iter()
            .map(|part| placed(part, &data).into()),
    );
    arguments
}

/// A compact file that is measured on devices, and inputs for it.
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    /// The name in measurements and budgets.
    pub(crate) short: &'static str,
    pub(crate) compact: PathBuf,
    pub(crate) data: PathBuf,
}

/// The wake word, which comes quantized and is rounded as TensorFlow Lite Micro does it.
const WAKE_WORD: &str = "streaming_wakeword_int8.tflite";

/// The model that is measured with weights packed for a Cortex-M4, too, and its name then.
const LATENCY: [&str; 2] = ["ic", "ic_latency"];

/// Every model of [`SUBJECTS`], quantized, one of them for latency, too, and one that was quantized
/// elsewhere.
pub(crate) fn compacts(places: &Places) -> Result<Vec<Measured>> {
    let mut all = Vec::new();
    for subject in SUBJECTS {
        let measured = |short, compact| Measured {
            name: subject.name,
            short,
            compact,
            data: places.data(subject),
        };
        all.push(measured(subject.short(), quantize(subject, places)?.0));
        let [short, fast] = LATENCY;
        if subject.short() == short {
            let compact = places.out.join(fast).with_extension("mopt");
            let mut quantize = quantization(subject, places, &compact);
            json(quantize.args(["--goal", "latency", "--target", "cortex-m4"]))?;
            all.push(Measured {
                name: "images (IC), --goal latency",
                ..measured(fast, compact)
            });
        }
    }
    let compact = places.out.join(WAKE_WORD).with_extension("mopt");
    let mut optimize = Command::new(&places.program);
    let model = places.shared.join("models").join(WAKE_WORD);
    json(optimize.arg("optimize").arg(model).arg("-o").arg(&compact))?;
    let data = "data/streaming_wakeword/calibration_samples.npz";
    all.push(Measured {
        name: "wake word (WW)",
        short: "ww",
        compact,
        data: places.shared.join(data),
    });
    Ok(all)
}

/// An argument with the folder of the data in it.
fn placed(argument: &str, data: &Path) -> String {
    argument.replace("DATA", &data.to_string_lossy())
}

/// What the program says of a model's source and of a compact file of it.
fn compared(subject: &Subject, places: &Places, compact: &Path) -> Result<Value> {
    let data = places.shared.join("data");
    let mut compare = Command::new(&places.program);
    compare
        .arg("compare")
        .arg(places.shared.join("models").join(subject.model))
        .arg(compact)
        .arg("--data")
        .arg(places.data(subject));
    json(compare.args(subject.compare.iter().map(|part| placed(part, &data))))
}

fn goal_metric(subject: &Subject, compared: &Value) -> Result<f64> {
    let (metric, _) = subject.goal;
    let value = compared["b"][metric].as_f64();
    value.with_context(|| format!("no metric {metric}"))
}

/// What a compact file of a model reaches of the metric that counts.
pub(crate) fn reached(subject: &Subject, places: &Places, compact: &Path) -> Result<f64> {
    goal_metric(subject, &compared(subject, places, compact)?)
}

fn row(subject: &Subject, places: &Places) -> Result<String> {
    let start = Instant::now();
    let (compact, made) = quantize(subject, places)?;
    let seconds = start.elapsed().as_secs_f64();
    let compared = compared(subject, places, &compact)?;
    let (metric, bound) = subject.goal;
    let number = |side: &str, metric: &str| compared[side][metric].as_f64();
    let shown = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.4}"));
    let plain = if number("b", "top1").is_some() {
        "top1"
    } else {
        "rmse"
    };
    let value = goal_metric(subject, &compared)?;
    let (goal, is_met) = match bound {
        Bound::AtLeast(least) => (format!("{metric} ≥ {least}"), value >= least),
        Bound::AtMost(most) => (format!("{metric} ≤ {most}"), value <= most),
    };
    let bytes = made["bytes"].as_u64().context("no bytes")?;
    let verdict = if is_met { "yes" } else { "no" };
    Ok(format!(
        "| {} | {} | {} | {goal} | {verdict}: {value:.4} | {bytes} | {} | {} | {seconds:.2} |",
        subject.name,
        shown(number("a", plain)),
        shown(number("b", plain)),
        subject.bytes_max,
        made["ram_bytes"],
    ))
}

pub(crate) fn json(command: &mut Command) -> Result<Value> {
    let text = process::capture(command.arg("--json"))?;
    serde_json::from_str(&text).context("the program printed no JSON")
}
