//! What `cargo xtask bench host` measures of ours alone: two threads beside one, in turns, and the time
//! from a file in memory to its first answer.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::bench_contest::OURS;
use crate::figures::{self, Places};

/// Models with layers that are large enough to be divided.
const MODELS: [&str; 2] = ["ic", "mnv2"];

/// Turns of either number of threads, and the runs of each.
const TURNS: usize = 8;
const RUNS: &str = "100";

/// What one call of the program measures, in microseconds.
struct Times {
    least: f64,
    median: f64,
    first: f64,
}

/// Rows for the int8 form of a model, none where it is too small.
pub(crate) fn rows(places: &Places, short: &str, model: &Path) -> Result<Vec<Value>> {
    if !MODELS.contains(&short) {
        return Ok(Vec::new());
    }
    let mut turns = [Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        for (times, threads) in turns.iter_mut().zip(["1", "2"]) {
            times.push(time(places, model, threads)?);
        }
    }
    let least =
        |times: &[Times], of: fn(&Times) -> f64| times.iter().map(of).fold(f64::INFINITY, f64::min);
    let [one, two] = &turns;
    let median = least(two, |times| times.median);
    let [alone, together] = [one, two].map(|times| least(times, |times| times.least));
    Ok(vec![
        json!({
            "model": short, "device": "host", "runtime": OURS, "kind": "int8, 2 threads",
            "us_min": together, "us_median": median, "speedup": alone / together,
            "ratios": { "1 thread": together / alone },
        }),
        json!({
            "model": short, "device": "host", "runtime": OURS, "kind": "int8, load and first run",
            "us_min": least(one, |times| times.first),
        }),
    ])
}

fn time(places: &Places, model: &Path, threads: &str) -> Result<Times> {
    let mut bench = Command::new(&places.program);
    bench.arg("bench").arg(model);
    let measured = figures::json(bench.args(["--runs", RUNS, "--threads", threads]))?;
    let at = |key: &str| measured[key].as_f64().context("no time");
    Ok(Times {
        least: at("min")?,
        median: at("median")?,
        first: at("first")?,
    })
}
