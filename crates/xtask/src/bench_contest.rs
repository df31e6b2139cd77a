//! What the benchmarks beside rivals share: contenders take turns, and become rows.
//!
//! Before any time is shown, the outputs of every contender are compared with those of the float
//! model in ONNX Runtime: one that is far from them is no rival, however quick.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::figures;
use crate::workspace::Workspace;

/// Turns that every contender takes, and about how long one is.
const TURNS: usize = 24;
const TURN_MICROSECONDS: f64 = 100_000.0;

/// The distance from the float model up to which outputs are right: of their root mean square.
const DISTANCE_MAX: f64 = 0.25;

/// The runtime that is no rival.
pub(crate) const OURS: &str = "modelopt";

/// A model in a runtime.
pub(crate) struct Contender {
    runtime: &'static str,
    kind: &'static str,
    runner: Runner,
    outputs: Vec<Vec<f64>>,
    /// Microseconds: the shortest, and the median of each turn.
    shortest: f64,
    medians: Vec<f64>,
}

/// What runs a contender's model.
enum Runner {
    /// Our program, which is started for every turn.
    Program { program: PathBuf, model: PathBuf },
    /// A process that stays.
    Worker(Worker),
}

/// A process that prints the outputs of all samples and then, for every number of runs that it
/// reads, the shortest and the median time of one in microseconds; each is a line of JSON.
struct Worker {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Worker {
    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("`cargo xtask setup` installs what this needs")?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("a contender has no pipes");
        };
        Ok(Worker {
            child,
            input,
            output: BufReader::new(output),
        })
    }

    fn line(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        serde_json::from_str(&line).context("the contender ended")
    }

    fn time(&mut self, runs: usize) -> Result<[f64; 2]> {
        writeln!(self.input, "{runs}")?;
        let times = self.line()?;
        let at = |i: usize| times[i].as_f64().context("no time");
        Ok([at(0)?, at(1)?])
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Contender {
    /// One that a process runs, which is started here: see [`Worker`].
    pub(crate) fn worker(
        runtime: &'static str,
        kind: &'static str,
        command: &mut Command,
    ) -> Result<Self> {
        let mut worker = Worker::start(command)?;
        let outputs = worker
            .line()
            .with_context(|| format!("{runtime}, {kind}"))?;
        let outputs = outputs.as_array().context("no outputs")?.iter();
        let outputs = outputs.map(numbers).collect();
        Ok(Self::new(runtime, kind, Runner::Worker(worker), outputs))
    }

    /// One that our program runs: `answers` are what it gave for the samples.
    pub(crate) fn program(
        kind: &'static str,
        program: PathBuf,
        model: PathBuf,
        answers: Vec<Vec<f64>>,
    ) -> Self {
        let runner = Runner::Program { program, model };
        Self::new(OURS, kind, runner, answers)
    }

    /// Fails unless the outputs are `answers`, bit for bit as 32-bit floats.
    pub(crate) fn require_same(&self, answers: &[Vec<f64>]) -> Result<()> {
        let bits = |outputs: &[Vec<f64>]| -> Vec<u32> {
            let values = outputs.iter().flatten();
            values.map(|&value| (value as f32).to_bits()).collect()
        };
        if bits(&self.outputs) != bits(answers) {
            bail!(
                "{}, {}: the outputs are not what the host answers",
                self.runtime,
                self.kind
            );
        }
        Ok(())
    }

    fn new(
        runtime: &'static str,
        kind: &'static str,
        runner: Runner,
        outputs: Vec<Vec<f64>>,
    ) -> Self {
        Contender {
            runtime,
            kind,
            runner,
            outputs,
            shortest: f64::INFINITY,
            medians: Vec::new(),
        }
    }

    /// The shortest and the median time of so many runs, in microseconds.
    fn time(&mut self, runs: usize) -> Result<[f64; 2]> {
        match &mut self.runner {
            Runner::Worker(worker) => worker.time(runs),
            Runner::Program { program, model } => {
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

/// The numbers of a list.
pub(crate) fn numbers(values: &Value) -> Vec<f64> {
    let values = values.as_array().into_iter().flatten();
    values.filter_map(Value::as_f64).collect()
}

/// Lets contenders run `model` on `device` in turns, and gives a row for each; the first of them
/// is right by definition.
pub(crate) fn hold(
    model: &'static str,
    device: &'static str,
    contenders: &mut [Contender],
) -> Result<Vec<Value>> {
    let right = right(contenders);
    for _ in 0..TURNS {
        contenders.iter_mut().try_for_each(Contender::turn)?;
    }
    Ok(rows(model, device, contenders, &right))
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

/// Ours have the ratio to each rival that is right, and `ratio`, the one to the best of them: rivals
/// of any kind where ours is int8, of its own kind where it is float.
fn rows(
    model: &'static str,
    device: &'static str,
    contenders: &[Contender],
    right: &[bool],
) -> Vec<Value> {
    let pairs = contenders.iter().zip(right);
    let ratios = |ours: &Contender| -> Vec<(String, f64)> {
        let rivals = pairs.clone().filter(|(rival, right)| {
            **right && rival.runtime != OURS && (ours.kind == "int8" || rival.kind == ours.kind)
        });
        let ratio = |(rival, _): (&Contender, _)| {
            let name = format!("{} {}", rival.runtime, rival.kind);
            (name, ours.shortest / rival.shortest)
        };
        rivals.map(ratio).collect()
    };
    let row = |(contender, right): (&Contender, &bool)| {
        let ratios = match contender.runtime {
            OURS => ratios(contender),
            _ => Vec::new(),
        };
        let ratio = ratios.iter().map(|(_, ratio)| *ratio).reduce(f64::max);
        json!({
            "model": model, "device": device, "runtime": contender.runtime,
            "kind": contender.kind, "us_min": contender.shortest, "us_median": contender.median(),
            "is_right": right, "ratio": ratio,
            "ratios": ratios.into_iter().collect::<BTreeMap<_, _>>(),
        })
    };
    pairs.clone().map(row).collect()
}

/// Prints the rows, as one JSON list or as a table.
pub(crate) fn print(rows: &[Value], as_json: bool) {
    if as_json {
        println!("{}", Value::from(rows.to_vec()));
        return;
    }
    println!(
        "\n| model | runtime | kind | shortest, µs | median, µs | ratio to the best rival | to each |\n\
         |---|---|---|---|---|---|---|"
    );
    rows.iter().for_each(|row| println!("{}", line(row)));
}

/// A row of the table.
fn line(row: &Value) -> String {
    let text = |key: &str| row[key].as_str().unwrap_or_default();
    let time = |key: &str| {
        let time = row[key].as_f64();
        time.map_or("–".to_owned(), |time| format!("{time:.1}"))
    };
    let ratio = match (row["ratio"].as_f64(), row["is_right"].as_bool()) {
        (_, Some(false)) => "wrong outputs".to_owned(),
        (Some(ratio), _) => format!("{ratio:.2}"),
        _ => String::new(),
    };
    let each = row["ratios"].as_object().into_iter().flatten();
    let each =
        each.map(|(rival, ratio)| format!("{rival} {:.2}", ratio.as_f64().unwrap_or(f64::NAN)));
    format!(
        "| {} | {} | {} | {} | {} | {ratio} | {} |",
        text("model"),
        text("runtime"),
        text("kind"),
        time("us_min"),
        time("us_median"),
        each.collect::<Vec<_>>().join(", "),
    )
}

/// Adds the rows to a history, a file of lines, with the day and the processor.
pub(crate) fn remember(workspace: &Workspace, history: &str, rows: Vec<Value>) -> Result<()> {
    let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = information
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, name)| name);
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let line = json!({ "unix_seconds": since.as_secs(), "processor": processor, "rows": rows });
    let mut history = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(workspace.root.join(history))?;
    writeln!(history, "{line}")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contender(
        runtime: &'static str,
        kind: &'static str,
        outputs: [f64; 2],
        shortest: f64,
    ) -> Contender {
        let runner = Runner::Program {
            program: PathBuf::new(),
            model: PathBuf::new(),
        };
        let mut made = Contender::new(runtime, kind, runner, vec![outputs.to_vec()]);
        made.shortest = shortest;
        made.medians = vec![shortest + 2.0, shortest + 1.0, shortest];
        made
    }

    #[test]
    fn ratios_leave_out_rivals_that_are_wrong_and_float_ones_of_another_kind() {
        let all = [
            contender("a", "float", [1.0, 2.0], 10.0),
            contender("b", "int8", [1.1, 2.0], 4.0),
            contender("c", "int8", [2.0, 1.0], 1.0),
            contender(OURS, "int8", [1.0, 1.9], 2.0),
            contender(OURS, "float", [1.0, 2.0], 5.0),
        ];
        let right = right(&all);
        assert_eq!(right, [true, true, false, true, true]);
        let rows = rows("kws", "host", &all, &right);
        assert_eq!(rows[3]["ratio"], 0.5);
        assert_eq!(rows[3]["ratios"], json!({ "a float": 0.2, "b int8": 0.5 }));
        assert_eq!(rows[4]["ratios"], json!({ "a float": 0.5 }));
        assert_eq!(rows[0]["ratio"], Value::Null);
        assert_eq!(rows[0]["us_median"], 11.0);
        assert_eq!(
            line(&rows[3]),
            "| kws | modelopt | int8 | 2.0 | 3.0 | 0.50 | a float 0.20, b int8 0.50 |"
        );
        assert!(line(&rows[2]).contains("| wrong outputs |"));
    }

    #[test]
    fn outputs_are_compared_as_single_precision_bit_for_bit() {
        let ours = contender(OURS, "int8", [0.1, 0.5], 1.0);
        assert!(ours.require_same(&[vec![f64::from(0.1f32), 0.5]]).is_ok());
        assert!(ours.require_same(&[vec![0.1, 0.500_000_1]]).is_err());
        assert!(ours.require_same(&[vec![0.1]]).is_err());
    }
}
