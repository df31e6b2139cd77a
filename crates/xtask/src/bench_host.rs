//! `cargo xtask bench host`: the time of one inference on one thread of this machine, beside LiteRT
//! and ONNX Runtime, which run in turns with ours.
//!
//! Before any time is shown, the outputs of every contender are compared with those of the float
//! model in ONNX Runtime: one that is far from them is no rival, however quick.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::figures::{self, Places};
use crate::process;
use crate::setup::ORACLES_FOLDER;
use crate::workspace::Workspace;

const RIVALS: &str = "benches/host/rivals.py";
const HISTORY: &str = "benches/host/history.jsonl";

/// Turns that every contender takes, and about how long one is.
const TURNS: usize = 12;
const TURN_MICROSECONDS: f64 = 60_000.0;

/// The distance from the float model up to which outputs are right: of their root mean square.
const DISTANCE_MAX: f64 = 0.25;

/// A model, in the forms that there are of it.
struct Subject {
    short: &'static str,
    float_onnx: Option<&'static str>,
    float_tflite: Option<&'static str>,
    int8_tflite: &'static str,
}

const SUBJECTS: &[Subject] = &[
    Subject {
        short: "kws",
        float_onnx: Some("kws_ds_cnn_f32.onnx"),
        float_tflite: None,
        int8_tflite: "kws_ds_cnn_int8.tflite",
    },
    Subject {
        short: "vww",
        float_onnx: Some("vww_mobilenet_v1_025_f32.onnx"),
        float_tflite: None,
        int8_tflite: "vww_mobilenet_v1_025_int8.tflite",
    },
    Subject {
        short: "ic",
        float_onnx: Some("ic_resnet8_f32.onnx"),
        float_tflite: Some("ic_resnet8_f32.tflite"),
        int8_tflite: "ic_resnet8_int8.tflite",
    },
    Subject {
        short: "ad",
        float_onnx: Some("ad_autoencoder_f32.onnx"),
        float_tflite: Some("ad_autoencoder_f32.tflite"),
        int8_tflite: "ad_autoencoder_int8.tflite",
    },
    Subject {
        short: "ww",
        float_onnx: None,
        float_tflite: None,
        int8_tflite: "streaming_wakeword_int8.tflite",
    },
];

/// Whose runtime it is.
enum Runner {
    Ours { program: PathBuf, model: PathBuf },
    Rival { process: Rival },
}

struct Contender {
    runtime: &'static str,
    kind: &'static str,
    runner: Runner,
    outputs: Vec<Vec<f64>>,
    /// Microseconds: the shortest, and the median of each turn.
    shortest: f64,
    medians: Vec<f64>,
}

/// A rival's process, which stays.
struct Rival {
    child: Child,
    input: ChildStdin,
    output: BufReader<std::process::ChildStdout>,
}

/// The program that runs them.
fn rivals(workspace: &Workspace) -> Command {
    let mut rivals = Command::new(workspace.root.join(ORACLES_FOLDER).join("bin/python"));
    rivals.arg(workspace.root.join(RIVALS));
    rivals
}

impl Rival {
    fn start(workspace: &Workspace, runtime: &str, model: &Path, samples: &Path) -> Result<Self> {
        let mut child = rivals(workspace)
            .args([Path::new(runtime), model, samples])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("`cargo xtask setup` installs what this needs")?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("a rival has no pipes");
        };
        Ok(Rival {
            child,
            input,
            output: BufReader::new(output),
        })
    }

    fn line(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        serde_json::from_str(&line).context("the rival ended")
    }

    /// The shortest and the median time of so many runs, in microseconds.
    fn time(&mut self, runs: usize) -> Result<[f64; 2]> {
        writeln!(self.input, "{runs}")?;
        let times = self.line()?;
        let at = |i: usize| times[i].as_f64().context("no time");
        Ok([at(0)?, at(1)?])
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Contender {
    /// The shortest and the median time of so many runs, in microseconds.
    fn time(&mut self, runs: usize) -> Result<[f64; 2]> {
        match &mut self.runner {
            Runner::Rival { process } => process.time(runs),
            Runner::Ours { program, model } => {
                let mut bench = Command::new(program);
                bench.arg("bench").arg(model);
                let measured = figures::json(bench.args(["--runs", &runs.to_string()]))?;
                let at = |key: &str| measured[key].as_f64().context("no time");
                Ok([at("min")?, at("median")?])
            }
        }
    }

    fn turn(&mut self) -> Result<()> {
        let runs = match self.shortest.is_finite() {
            true => (TURN_MICROSECONDS / self.shortest) as usize,
            false => 10,
        };
        let [shortest, median] = self.time(runs.clamp(5, 2_000))?;
        self.shortest = self.shortest.min(shortest);
        self.medians.push(median);
        Ok(())
    }

    fn median(&self) -> f64 {
        let mut medians = self.medians.clone();
        medians.sort_by(f64::total_cmp);
        medians.get(medians.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// Measures all models, prints them, and adds a line to the history.
pub(crate) fn run(workspace: &Workspace, as_json: bool) -> Result<()> {
    let places = figures::prepare(workspace)?;
    let samples = places.out.join("samples");
    std::fs::create_dir_all(&samples)?;
    let mut inputs = rivals(workspace);
    process::run(inputs.arg("inputs").arg(&places.shared).arg(&samples))
        .context("`cargo xtask setup` installs what this needs")?;
    let compacts = figures::compacts(&places)?;
    let mut rows = Vec::new();
    for subject in SUBJECTS {
        let compact = compacts.iter().find(|made| made.short == subject.short);
        let compact = &compact.context("there is no such model")?.compact;
        let mut contenders = contenders(workspace, &places, subject, compact, &samples)?;
        let right = right(&contenders);
        for _ in 0..TURNS {
            contenders.iter_mut().try_for_each(Contender::turn)?;
        }
        rows.extend(rows_of(subject, &contenders, &right));
    }
    match as_json {
        true => println!("{}", Value::from(rows.clone())),
        false => print(&rows),
    }
    remember(workspace, rows)
}

fn contenders(
    workspace: &Workspace,
    places: &Places,
    subject: &Subject,
    compact: &Path,
    samples: &Path,
) -> Result<Vec<Contender>> {
    let models = places.shared.join("models");
    let [real, raw] =
        ["real", "raw"].map(|kind| samples.join(format!("{}_{kind}.npy", subject.short)));
    let ours = |kind, model: PathBuf, input: &Path| -> Result<Contender> {
        let mut run = Command::new(&places.program);
        let answers = figures::json(run.arg("run").arg(&model).arg("--input").arg(input))?;
        let program = places.program.clone();
        let outputs = answers.as_array().context("run prints a list")?.iter();
        let outputs = outputs.map(|sample| numbers(&sample["outputs"][0]["values"]));
        let runner = Runner::Ours { program, model };
        Ok(contender("modelopt", kind, runner, outputs))
    };
    let rival = |runtime, kind, model: &Path| -> Result<Contender> {
        let mut process = Rival::start(workspace, runtime, model, &real)?;
        let outputs = process.line()?;
        let outputs = outputs
            .as_array()
            .context("no outputs")?
            .iter()
            .map(numbers);
        Ok(contender(runtime, kind, Runner::Rival { process }, outputs))
    };
    let mut all = Vec::new();
    if let Some(onnx) = subject.float_onnx {
        all.push(rival("onnxruntime", "float", &models.join(onnx))?);
        let float = places.out.join(format!("{}_float.mopt", subject.short));
        let mut optimize = Command::new(&places.program);
        optimize.arg("optimize").arg(models.join(onnx));
        figures::json(optimize.arg("-o").arg(&float))?;
        all.push(ours("float", float, &real)?);
    }
    if let Some(tflite) = subject.float_tflite {
        all.push(rival("litert", "float", &models.join(tflite))?);
    }
    all.push(rival("litert", "int8", &models.join(subject.int8_tflite))?);
    if subject.float_onnx.is_some() {
        let exported = compact.with_extension("qdq.onnx");
        let mut export = Command::new(&places.program);
        export.arg("export").arg(compact).args(["--to", "onnx"]);
        figures::json(export.arg("-o").arg(&exported))?;
        all.push(rival("onnxruntime", "int8", &exported)?);
    }
    all.push(ours("int8", compact.to_owned(), &raw)?);
    Ok(all)
}

fn contender(
    runtime: &'static str,
    kind: &'static str,
    runner: Runner,
    outputs: impl Iterator<Item = Vec<f64>>,
) -> Contender {
    Contender {
        runtime,
        kind,
        runner,
        outputs: outputs.collect(),
        shortest: f64::INFINITY,
        medians: Vec::new(),
    }
}

fn numbers(values: &Value) -> Vec<f64> {
    let values = values.as_array().into_iter().flatten();
    values.filter_map(Value::as_f64).collect()
}

/// Whether each contender's outputs are those of the first, within [`DISTANCE_MAX`].
fn right(contenders: &[Contender]) -> Vec<bool> {
    let flat = |contender: &Contender| contender.outputs.concat();
    let Some(expected) = contenders.first().map(flat) else {
        return Vec::new();
    };
    let power: f64 = expected.iter().map(|x| x * x).sum();
    let is_right = |contender: &Contender| {
        let given = flat(contender);
        let pairs = given.iter().zip(&expected);
        let error: f64 = pairs.map(|(a, b)| (a - b) * (a - b)).sum();
        given.len() == expected.len() && error <= DISTANCE_MAX * DISTANCE_MAX * power
    };
    contenders.iter().map(is_right).collect()
}

/// A row for each contender; ours have the ratio to the best rival: of any kind where ours is
/// int8, of its own kind where it is float.
fn rows_of(subject: &Subject, contenders: &[Contender], right: &[bool]) -> Vec<Value> {
    let rivals = contenders
        .iter()
        .zip(right)
        .filter(|(contender, right)| **right && contender.runtime != "modelopt");
    let best = |kind: &str| {
        let fair = rivals
            .clone()
            .filter(|(rival, _)| kind == "int8" || rival.kind == kind);
        fair.map(|(rival, _)| rival.shortest)
            .fold(f64::INFINITY, f64::min)
    };
    let row = |(contender, right): (&Contender, &bool)| {
        let ratio = contender.shortest / best(contender.kind);
        json!({
            "model": subject.short, "device": "host", "runtime": contender.runtime,
            "kind": contender.kind, "us_min": contender.shortest, "us_median": contender.median(),
            "is_right": right,
            "ratio": (contender.runtime == "modelopt" && ratio > 0.0).then_some(ratio),
        })
    };
    contenders.iter().zip(right).map(row).collect()
}

fn print(rows: &[Value]) {
    println!("\n| model | runtime | kind | shortest, µs | median, µs | ratio to the best rival |");
    println!("|---|---|---|---|---|---|");
    for row in rows {
        let text = |key: &str| row[key].as_str().unwrap_or_default();
        let time = |key: &str| row[key].as_f64().unwrap_or(f64::NAN);
        let ratio = match (row["ratio"].as_f64(), row["is_right"].as_bool()) {
            (_, Some(false)) => "wrong outputs".to_owned(),
            (Some(ratio), _) => format!("{ratio:.2}"),
            _ => String::new(),
        };
        println!(
            "| {} | {} | {} | {:.1} | {:.1} | {ratio} |",
            text("model"),
            text("runtime"),
            text("kind"),
            time("us_min"),
            time("us_median"),
        );
    }
}

/// Adds the rows to the history, with the day and the processor.
fn remember(workspace: &Workspace, rows: Vec<Value>) -> Result<()> {
    let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = information
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, name)| name);
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let line = json!({ "unix_seconds": since.as_secs(), "processor": processor, "rows": rows });
    let path = workspace.root.join(HISTORY);
    let mut history = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?;
    writeln!(history, "{line}")?;
    Ok(())
}
