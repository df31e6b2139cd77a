//! `cargo xtask bench`: what one inference takes on emulated boards, beside a rival, and whether
//! that is within the budgets.
//!
//! Instructions are counted by the emulator and never differ, so a budget is exact: a rise of more
//! than [`TOLERANCE`] fails and names the operator. Code is that of images of one model each. The rival's figures are measured once, in
//! `benches/mcu/tflm.json`; ours that may not rise are in `benches/mcu/budgets.json`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::bench_host;
use crate::bench_wasm;
use crate::figures::{self, Measured, Places};
use crate::one_model;
use crate::options;
use crate::totals::Totals;
use crate::workspace::Workspace;

/// What to measure.
#[derive(clap::Subcommand)]
pub(crate) enum Arguments {
    /// Time on this machine, in turns with LiteRT and ONNX Runtime
    Host {
        /// Print a list of rows as JSON
        #[arg(long)]
        json: bool,
    },
    /// Time of the WebAssembly module in Node, in turns with ONNX Runtime Web and TensorFlow.js
    Wasm {
        /// Print a list of rows as JSON
        #[arg(long)]
        json: bool,
    },
    /// Executed instructions, RAM and code on emulated microcontrollers
    Mcu {
        /// Print a list of rows as JSON
        #[arg(long)]
        json: bool,
        /// Write what is measured as the new budgets
        #[arg(long)]
        accept: bool,
    },
}

/// The share by which a figure may exceed its budget.
const TOLERANCE: f64 = 0.02;

/// Boards with budgets; those of the rival come first.
const BOARDS: [&str; 4] = ["mps2-an386", "mps3-an547", "mps2-an505", "mps2-an500"];

/// Boards of the test run: one for each kernel set.
const TEST_BOARDS: usize = 2;

const BUDGETS: &str = "benches/mcu/budgets.json";
pub(crate) const RIVAL: &str = "benches/mcu/tflm.json";

pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let (json, accept) = match arguments {
        Arguments::Host { json } => return bench_host::run(workspace, *json),
        Arguments::Wasm { json } => return bench_wasm::run(workspace, *json),
        Arguments::Mcu { json, accept } => (json, accept),
    };
    let places = figures::prepare(workspace)?;
    let rows = measure(workspace, &places, &BOARDS)?;
    let rival = read(workspace, RIVAL)?;
    match json {
        true => println!("{}", Value::from(with_ratios(&rows, &rival))),
        false => print(&rows, &rival),
    }
    if *accept {
        let text = serde_json::to_string_pretty(&Value::from(rows.clone()))?;
        std::fs::write(workspace.root.join(BUDGETS), text + "\n")?;
    }
    check(&rows, &read(workspace, BUDGETS)?)
}

/// The budgets of the boards of the test run.
pub(crate) fn test(workspace: &Workspace) -> Result<Totals> {
    let Some(places) = figures::prepare_test(workspace)? else {
        println!("skipped: ../shared is missing");
        return Ok(Totals {
            skipped: 1,
            ..Totals::default()
        });
    };
    let rows = measure(workspace, &places, &BOARDS[..TEST_BOARDS])?;
    check(&rows, &read(workspace, BUDGETS)?)?;
    let mut totals = options::test(workspace)?;
    totals.passed += rows.len() as u64;
    Ok(totals)
}

pub(crate) fn read(workspace: &Workspace, path: &'static str) -> Result<Value> {
    let text = std::fs::read_to_string(workspace.root.join(path)).context(path)?;
    serde_json::from_str(&text).context(path)
}

/// A row for every model and board, once the board's answers are found to be the host's.
fn measure(workspace: &Workspace, places: &Places, boards: &[&str]) -> Result<Vec<Value>> {
    let models = figures::compacts(places)?;
    let images = one_model::image_bytes(workspace, places, &models)?;
    let mut rows = Vec::new();
    for model in &models {
        let Measured { compact, data, .. } = model;
        let expected = answers(places, compact, data, "host")?;
        for board in boards {
            let device = format!("qemu:{board}");
            if answers(places, compact, data, &device)? != expected {
                bail!(
                    "{}: {board} does not answer what the host answers",
                    model.name
                );
            }
            let mut bench = Command::new(&places.program);
            bench
                .arg("bench")
                .arg(compact)
                .args(["--per-op", "--device", &device]);
            let measured = figures::json(&mut bench)?;
            let image = images.get(&(model.short, board));
            rows.push(json!({
                "model": model.short, "device": board, "instructions": measured["min"],
                "ram_bytes": measured["ram_bytes"], "code_bytes": image.map(|image| image.code),
                "image_bytes": image.map(|image| image.whole), "nodes": measured["nodes"],
            }));
        }
    }
    Ok(rows)
}

/// What a model answers to three samples.
fn answers(places: &Places, compact: &Path, data: &PathBuf, device: &str) -> Result<Vec<Value>> {
    let mut run = Command::new(&places.program);
    run.arg("run")
        .arg(compact)
        .arg("--input")
        .arg(data)
        .args(["--limit", "3", "--device", device]);
    let samples = figures::json(&mut run)?;
    let samples = samples.as_array().context("run prints a list")?;
    Ok(samples
        .iter()
        .map(|sample| sample["outputs"].clone())
        .collect())
}

/// The rows with the rival's figures beside ours, without the nodes.
fn with_ratios(rows: &[Value], rival: &Value) -> Vec<Value> {
    let one = |row: &Value| {
        let (model, device) = (text(row, "model"), text(row, "device"));
        let theirs = rival["instructions"][device][model].as_f64();
        let ratio = theirs
            .zip(row["instructions"].as_f64())
            .map(|(theirs, ours)| ours / theirs);
        json!({
            "model": model, "device": device, "instructions": row["instructions"],
            "ram_bytes": row["ram_bytes"], "code_bytes": row["code_bytes"],
            "image_bytes": row["image_bytes"], "tflm_instructions": theirs, "ratio": ratio,
            "tflm_ram_bytes": rival["ram_bytes"][model],
            "tflm_code_bytes": rival["code_bytes"][device][model],
        })
    };
    rows.iter().map(one).collect()
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_default()
}

fn print(rows: &[Value], rival: &Value) {
    println!(
        "\n| model | board | instructions | TFLM | ratio | RAM, bytes | TFLM | code, bytes | TFLM | image, bytes |\n\
         |---|---|---|---|---|---|---|---|---|---|"
    );
    let whole = |value: &Value| value.as_f64().map_or("–".to_owned(), |n| format!("{n:.0}"));
    for row in with_ratios(rows, rival) {
        let ratio = row["ratio"]
            .as_f64()
            .map_or("–".to_owned(), |ratio| format!("{ratio:.3}"));
        println!(
            "| {} | {} | {} | {} | {ratio} | {} | {} | {} | {} | {} |",
            text(&row, "model"),
            text(&row, "device"),
            whole(&row["instructions"]),
            whole(&row["tflm_instructions"]),
            whole(&row["ram_bytes"]),
            whole(&row["tflm_ram_bytes"]),
            whole(&row["code_bytes"]),
            whole(&row["tflm_code_bytes"]),
            whole(&row["image_bytes"]),
        );
    }
}

/// Fails where a figure is above its budget, and names the nodes that rose.
fn check(rows: &[Value], budgets: &Value) -> Result<()> {
    let empty = Vec::new();
    let budgets = budgets.as_array().unwrap_or(&empty);
    let mut failures = 0;
    for row in rows {
        let same = |budget: &&Value| {
            ["model", "device"]
                .iter()
                .all(|key| budget[*key] == row[*key])
        };
        let name = format!("{} on {}", text(row, "model"), text(row, "device"));
        let budget = budgets.iter().find(same).unwrap_or(&Value::Null);
        for key in ["instructions", "ram_bytes", "code_bytes", "image_bytes"] {
            let Some(excess) = excess(&row[key], &budget[key]) else {
                continue;
            };
            eprintln!("{name}: {key} {excess}");
            if key == "instructions" {
                rises(row, budget)
                    .iter()
                    .for_each(|line| eprintln!("  {line}"));
            }
            failures += 1;
        }
    }
    match failures {
        0 => Ok(()),
        count => bail!(
            "{count} figures are above {BUDGETS}; `cargo xtask bench mcu --accept` sets new ones"
        ),
    }
}

/// What is wrong with a figure: it is too much of a rise, or has no budget.
fn excess(now: &Value, before: &Value) -> Option<String> {
    match before {
        Value::Null => now.as_f64().map(|now| format!("{now} has no budget")),
        before => rise(now, before),
    }
}

/// `now, was before`, where that is too much of a rise.
fn rise(now: &Value, before: &Value) -> Option<String> {
    let (now, before) = (now.as_f64()?, before.as_f64()?);
    (now > before * (1.0 + TOLERANCE)).then(|| format!("{now}, was {before}"))
}

/// The nodes that take more than before.
fn rises(row: &Value, budget: &Value) -> Vec<String> {
    let nodes = |value: &Value| value["nodes"].as_array().cloned().unwrap_or_default();
    let pairs = nodes(row).into_iter().zip(nodes(budget));
    pairs
        .filter_map(|(now, before)| {
            let rise = rise(&now["cost"], &before["cost"])?;
            Some(format!(
                "node {} ({}): {rise}",
                now["node"],
                text(&now, "operator")
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(instructions: u32, cost: u32) -> Value {
        json!({
            "model": "kws", "device": "mps2-an386", "instructions": instructions, "ram_bytes": 10,
            "code_bytes": 50,
            "nodes": [{ "node": 0, "operator": "conv_2d", "cost": cost }],
        })
    }

    #[test]
    fn a_rise_of_more_than_two_percent_fails_and_names_the_operator() {
        let budgets = json!([row(1000, 900)]);
        assert!(check(&[row(1019, 919)], &budgets).is_ok());
        assert!(check(&[row(1021, 921)], &budgets).is_err());
        let lines = rises(&row(1021, 921), &budgets[0]);
        assert_eq!(lines, ["node 0 (conv_2d): 921, was 900"]);
        assert!(check(&[row(1, 1)], &json!([])).is_err());
    }

    #[test]
    fn more_code_and_code_without_a_budget_fail() {
        let budgets = json!([row(1000, 900)]);
        let mut larger = row(1000, 900);
        larger["code_bytes"] = 51.into();
        assert!(check(&[larger.clone()], &budgets).is_ok());
        larger["code_bytes"] = 52.into();
        assert!(check(&[larger.clone()], &budgets).is_err());
        let mut unlimited = row(1000, 900);
        unlimited["code_bytes"] = Value::Null;
        assert!(check(&[larger], &json!([unlimited])).is_err());
        // Boards without an image have no code to limit.
        assert!(check(&[unlimited], &budgets).is_ok());
    }
}
