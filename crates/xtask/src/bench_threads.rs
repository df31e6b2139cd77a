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

/// Turns of every way to run. Where a processor is one of two that share a core with strangers, a moment in which
/// two are fast is rare.
const TURNS: usize = 40;

/// How long the runs of a turn take, about, and how many tell how long one takes.
const TURN_MICROSECONDS: f64 = 2.5e5;
const RUNS_FIRST: u32 = 32;

/// Options that say on how many threads, and how many samples at a time.
const WAYS: [[u32; 2]; 3] = [[1, 1], [2, 1], [2, 16]];

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
    let once = time(places, model, WAYS[0], RUNS_FIRST)?.least;
    let runs = (TURN_MICROSECONDS / once).clamp(f64::from(RUNS_FIRST), 1e4) as u32;
    let mut turns = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        for (times, way) in turns.iter_mut().zip(WAYS) {
            let [_, batch] = way;
            times.push(time(places, model, way, runs / batch)?);
        }
    }
    let least =
        |times: &[Times], of: fn(&Times) -> f64| times.iter().map(of).fold(f64::INFINITY, f64::min);
    let [one, layers, samples] = &turns;
    // The least of medians, too: the shortest of many runs is that of a moment in which one processor is fast
    // because the other one does nothing.
    let pair = |times: &[Times]| [least(times, |t| t.least), least(times, |t| t.median)];
    let alone = pair(one);
    let divided = |kind: &str, times: &[Times]| {
        let together = pair(times);
        json!({
            "model": short, "device": "host", "runtime": OURS, "kind": kind, "us_min": together[0],
            "us_median": together[1], "speedup": alone[0] / together[0],
            "ratios": {
                "1 thread": together[0] / alone[0],
                "1 thread, by medians": together[1] / alone[1],
            },
        })
    };
    Ok(vec![
        divided("int8, 2 threads", layers),
        divided("int8, 2 threads, batches", samples),
        json!({
            "model": short, "device": "host", "runtime": OURS, "kind": "int8, load and first run",
            "us_min": least(one, |times| times.first),
        }),
    ])
}

fn time(places: &Places, model: &Path, [threads, batch]: [u32; 2], runs: u32) -> Result<Times> {
    let mut bench = Command::new(&places.program);
    bench.arg("bench").arg(model);
    let options = [("--runs", runs), ("--threads", threads), ("--batch", batch)];
    for (option, value) in options {
        bench.arg(option).arg(value.to_string());
    }
    let measured = figures::json(&mut bench)?;
    let at = |key: &str| measured[key].as_f64().context("no time");
    Ok(Times {
        least: at("min")?,
        median: at("median")?,
        first: at("first")?,
    })
}
