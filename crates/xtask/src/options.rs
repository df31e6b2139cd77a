//! `cargo xtask figures options`: what options of the program cost and gain on real models, as one table.
//!
//! Everything but the share of other answers and the metric is a count that never differs:
//! `benches/mcu/options.json` holds what was reached, and more fails. README shows the same table.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::bench::{self, RIVAL};
use crate::bench_contest::numbers;
use crate::bench_subjects::python;
use crate::figures::{self, Places, Subject};
use crate::process;
use crate::setup::ORACLES_FOLDER;
use crate::totals::Totals;
use crate::workspace::Workspace;

/// How to report.
#[derive(clap::Args, Default)]
pub(crate) struct Arguments {
    /// Print a list of rows as JSON
    #[arg(long)]
    json: bool,
    /// Write what is measured as the new budgets
    #[arg(long)]
    accept: bool,
}

/// A model, and the options that it is made with, besides none.
struct Group {
    model: &'static str,
    /// Its name among the figures of TensorFlow Lite Micro.
    short: &'static str,
    source: Source,
    /// Data beside the repository on which answers with and without options are compared, and how many
    /// samples of it.
    compared: Option<[&'static str; 2]>,
    options: &'static [&'static str],
}

/// What a compact model is made of.
enum Source {
    /// A file that is quantized already.
    Quantized(&'static str),
    /// A subject of `cargo xtask figures`, quantized here.
    Float,
    /// The same, quantized by ONNX Runtime's tool.
    OnnxRuntime,
}

const ROUNDINGS: &[&str] = &["--rounding tflm", "--rounding single"];

const GROUPS: &[Group] = &[
    Group {
        model: "KWS, scales of ONNX Runtime's tool",
        short: "kws",
        source: Source::OnnxRuntime,
        compared: Some(["kws/test_inputs_f32.npy", "200"]),
        options: &["--rounding tflm"],
    },
    Group {
        model: "IC, QDQ of a converter",
        short: "ic",
        source: Source::Quantized("ic_resnet8_int8_qdq.onnx"),
        compared: Some(["cifar10/test.tar.gz", "200"]),
        options: &["--rounding tflm"],
    },
    Group {
        model: "WW, TFLite",
        short: "ww",
        source: Source::Quantized("streaming_wakeword_int8.tflite"),
        compared: None,
        options: &[
            "--streaming 1",
            "--front-end mlperf-wake-word --streaming 1",
        ],
    },
    Group {
        model: "IC, TFLite",
        short: "ic",
        source: Source::Quantized("ic_resnet8_int8.tflite"),
        compared: Some(["cifar10/test.tar.gz", "200"]),
        options: &["--patches 2", "--patches 4"],
    },
    Group {
        model: "VWW, TFLite",
        short: "vww",
        source: Source::Quantized("vww_mobilenet_v1_025_int8.tflite"),
        compared: Some(["cifar10/test.tar.gz", "50"]),
        options: &["--patches 8"],
    },
    Group {
        model: "KWS, TFLite",
        short: "kws",
        source: Source::Quantized("kws_ds_cnn_int8.tflite"),
        compared: None,
        options: &[],
    },
    Group {
        model: "AD, TFLite",
        short: "ad",
        source: Source::Quantized("ad_autoencoder_int8.tflite"),
        compared: None,
        options: &[],
    },
    Group {
        model: "IC, quantized here",
        short: "ic",
        source: Source::Float,
        compared: Some(["cifar10/test.tar.gz", "200"]),
        options: &[
            "--rounding tflm",
            "--rounding single",
            "--goal latency --target cortex-m4",
        ],
    },
    Group {
        model: "KWS, quantized here",
        short: "kws",
        source: Source::Float,
        compared: Some(["kws/test_inputs_f32.npy", "200"]),
        options: ROUNDINGS,
    },
    Group {
        model: "VWW, quantized here",
        short: "vww",
        source: Source::Float,
        compared: Some(["cifar10/test.tar.gz", "50"]),
        options: ROUNDINGS,
    },
    Group {
        model: "AD, quantized here",
        short: "ad",
        source: Source::Float,
        compared: None,
        options: ROUNDINGS,
    },
];

impl Group {
    fn subject(&self) -> Result<&'static Subject> {
        let mut subjects = figures::SUBJECTS.iter();
        let found = subjects.find(|subject| subject.short() == self.short);
        found.with_context(|| format!("there is no subject {}", self.short))
    }
}

/// Boards that count instructions; RAM is that of the first.
const BOARDS: [&str; 2] = ["mps2-an386", "mps3-an547"];

const BUDGETS: &str = "benches/mcu/options.json";

/// Instructions as a share of the rival's, board by board.
const SHARES: [(&str, &str); 2] = [
    ("mps2-an386_share", "of TFLM, M4"),
    ("mps3-an547_share", "of TFLM, M55"),
];

/// The metric of `cargo xtask figures` that counts, and how far it may be from the one before.
const REACHED: &str = "reached";
const REACHED_TOLERANCE: f64 = 0.003;

/// What may not rise, in the order of the table's columns.
const MEASURES: [(&str, &str); 6] = [
    ("macs", "MACs"),
    ("bytes", "file, bytes"),
    ("ram_bytes", "RAM, bytes"),
    (BOARDS[0], "Cortex-M4"),
    (BOARDS[1], "Cortex-M55"),
    ("other_answers", "other answers"),
];

/// The share by which a figure may exceed its budget. What is 0 stays 0.
const TOLERANCE: f64 = 0.02;

/// Measures all, prints the table, and fails where something takes more than before.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let rows = measure(workspace, &figures::prepare(workspace)?)?;
    match arguments.json {
        true => println!("{}", Value::from(rows.clone())),
        false => println!("\n{}", table(&rows)),
    }
    if arguments.accept {
        let text = serde_json::to_string_pretty(&Value::from(rows.clone()))?;
        std::fs::write(workspace.root.join(BUDGETS), text + "\n")?;
    }
    check(&rows, &bench::read(workspace, BUDGETS)?)
}

/// The same as a part of the test run.
pub(crate) fn test(workspace: &Workspace) -> Result<Totals> {
    let Some(places) = figures::prepare_test(workspace)? else {
        println!("skipped: ../shared is missing");
        return Ok(Totals {
            skipped: 1,
            ..Totals::default()
        });
    };
    let rows = measure(workspace, &places)?;
    check(&rows, &bench::read(workspace, BUDGETS)?)?;
    Ok(Totals {
        passed: rows.len() as u64,
        ..Totals::default()
    })
}

/// Every group's model without options, then with each.
fn measure(workspace: &Workspace, places: &Places) -> Result<Vec<Value>> {
    let rival = bench::read(workspace, RIVAL)?;
    let mut rows = Vec::new();
    for group in GROUPS {
        let Some(command) = command(workspace, places, group)? else {
            println!(
                "skipped: {}: `cargo xtask setup` installs the tool",
                group.model
            );
            continue;
        };
        let mut plain = None;
        for options in [""].iter().chain(group.options) {
            let row = row(places, group, &command, options, plain.as_deref());
            let (mut row, answers) = row.with_context(|| format!("{} {options}", group.model))?;
            add_shares(&mut row, group.short, &rival);
            plain = plain.or(answers);
            rows.push(row);
        }
    }
    Ok(rows)
}

/// Adds instructions as shares of the rival's; a step of a stream is no whole inference, as those are.
fn add_shares(row: &mut Value, short: &str, rival: &Value) {
    let is_step = row["options"]
        .as_str()
        .is_some_and(|options| options.contains("--streaming"));
    for (board, (share, _)) in BOARDS.into_iter().zip(SHARES) {
        let both = row[board]
            .as_f64()
            .zip(rival["instructions"][board][short].as_f64());
        let both = both.filter(|_| !is_step);
        row[share] = both.map(|(ours, theirs)| ours / theirs).into();
    }
}

/// The arguments that make a compact model of a source; `None` where the tool for it is missing.
fn command(workspace: &Workspace, places: &Places, group: &Group) -> Result<Option<Vec<PathBuf>>> {
    let models = places.shared.join("models");
    Ok(Some(match group.source {
        Source::Quantized(file) => vec!["optimize".into(), models.join(file)],
        Source::Float => figures::arguments(group.subject()?, places),
        Source::OnnxRuntime => {
            let packages = workspace.root.join(ORACLES_FOLDER);
            if !packages.join("bin/python").exists() {
                return Ok(None);
            }
            let subject = group.subject()?;
            let raw = places.out.join("options.calib");
            std::fs::write(&raw, raw_samples(&places.calibration(subject))?)?;
            let made = places.out.join("options.onnx");
            let mut tool = python(workspace, "tests/oracles/quantize_onnx.py");
            tool.args(["QOperator", "QInt8", "channel"]);
            tool.arg(models.join(subject.model));
            process::run(tool.args([&raw, &made]))?;
            vec!["optimize".into(), made]
        }
    }))
}

/// The numbers of a file of NumPy without its header.
fn raw_samples(path: &std::path::Path) -> Result<Vec<u8>> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let length = bytes.get(8..10).context("no file of NumPy")?;
    let header = 10 + usize::from(length[0]) + (usize::from(length[1]) << 8);
    Ok(bytes.get(header..).unwrap_or_default().to_vec())
}

/// What a model with options takes, and its answers.
fn row(
    places: &Places,
    group: &Group,
    command: &[PathBuf],
    options: &str,
    plain: Option<&[f64]>,
) -> Result<(Value, Option<Vec<f64>>)> {
    let compact = places.out.join("options.mopt");
    let mut make = Command::new(&places.program);
    make.args(command).args(options.split_whitespace());
    figures::json(make.arg("-o").arg(&compact))?;
    let inspect = figures::json(Command::new(&places.program).arg("inspect").arg(&compact))?;
    let mut row = json!({
        "model": group.model, "options": options, "macs": inspect["macs"], "bytes": inspect["bytes"],
    });
    for board in BOARDS {
        let mut bench = Command::new(&places.program);
        bench.arg("bench").arg(&compact);
        let measured = figures::json(bench.args(["--device", &format!("qemu:{board}")]))?;
        row[board] = measured["min"].clone();
        if board == BOARDS[0] {
            row["ram_bytes"] = measured["ram_bytes"].clone();
        }
    }
    if let Source::Float = group.source {
        row[REACHED] = figures::reached(group.subject()?, places, &compact)?.into();
    }
    let Some([data, samples]) = group.compared else {
        return Ok((row, None));
    };
    let mut run = Command::new(&places.program);
    run.arg("run").arg(&compact).arg("--input");
    run.arg(places.shared.join("data").join(data));
    let printed = figures::json(run.args(["--limit", samples]))?;
    let printed = printed.as_array().context("run prints a list")?;
    let outputs = printed
        .iter()
        .flat_map(|sample| numbers(&sample["outputs"][0]["values"]));
    let answers: Vec<f64> = outputs.collect();
    if let Some(plain) = plain {
        let pairs = plain.iter().zip(&answers);
        let others = pairs.filter(|(a, b)| a != b).count();
        row["other_answers"] = (others as f64 / plain.len().max(1) as f64).into();
    }
    Ok((row, Some(answers)))
}

/// As README shows it.
fn table(rows: &[Value]) -> String {
    let names = MEASURES.iter().chain(&SHARES).map(|(_, name)| *name);
    let names: Vec<&str> = names.chain([REACHED]).collect();
    let mut lines = vec![
        format!("| | options | {} |", names.join(" | ")),
        "|---".repeat(2 + names.len()) + "|",
    ];
    for row in rows {
        let text = |key: &str| row[key].as_str().unwrap_or_default();
        let keys = MEASURES.iter().chain(&SHARES).map(|(key, _)| *key);
        let cells = keys
            .chain([REACHED])
            .map(|key| match (key, row[key].as_f64()) {
                ("other_answers", Some(share)) => format!("{:.0} %", share * 100.0),
                (REACHED, Some(metric)) => format!("{metric:.4}"),
                (key, Some(share)) if key.ends_with("_share") => format!("{share:.2}"),
                (_, Some(count)) => grouped(count as u64),
                (_, None) => "–".to_owned(),
            });
        let options = match text("options") {
            "" => "–".to_owned(),
            options => format!("`{options}`"),
        };
        let cells = cells.collect::<Vec<_>>().join(" | ");
        lines.push(format!("| {} | {options} | {cells} |", text("model")));
    }
    lines.join("\n")
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let (head, rest) = digits.split_at((digits.len() + 2) % 3 + 1);
    let parts = rest.as_bytes().chunks(3).map(String::from_utf8_lossy);
    parts.fold(head.to_owned(), |text, part| text + "," + &part)
}

/// Fails where a figure is above its budget, or has none.
fn check(rows: &[Value], budgets: &Value) -> Result<()> {
    let mut failures = 0;
    let mut fail = |row: &Value, key: &str, now: f64, before: &Value| {
        let (model, options) = (&row["model"], &row["options"]);
        eprintln!("{model} {options}: {key} {now}, budget {before}");
        failures += 1;
    };
    for row in rows {
        let is_same = |budget: &&Value| {
            let keys = ["model", "options"];
            keys.iter().all(|key| budget[*key] == row[*key])
        };
        let mut budgets = budgets.as_array().into_iter().flatten();
        let budget = budgets.find(is_same).unwrap_or(&Value::Null);
        for (key, _) in MEASURES {
            let Some(now) = row[key].as_f64() else {
                continue;
            };
            let most = budget[key].as_f64();
            if most.is_none_or(|most| now > most * (1.0 + TOLERANCE)) {
                fail(row, key, now, &budget[key]);
            }
        }
        if let Some(now) = row[REACHED].as_f64() {
            let before = budget[REACHED].as_f64();
            if before.is_none_or(|before| (now - before).abs() > REACHED_TOLERANCE) {
                fail(row, REACHED, now, &budget[REACHED]);
            }
        }
    }
    match failures {
        0 => Ok(()),
        count => bail!(
            "{count} figures are above {BUDGETS}; `cargo xtask figures options --accept` sets new ones"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rise_fails_and_other_answers_where_there_were_none() {
        let row = |macs: u32, other: f64| json!({ "model": "ic", "options": "--patches 2", "macs": macs, "other_answers": other });
        let budgets = json!([row(1000, 0.0)]);
        assert!(check(&[row(1020, 0.0)], &budgets).is_ok());
        assert!(check(&[row(1021, 0.0)], &budgets).is_err());
        assert!(check(&[row(1000, 0.001)], &budgets).is_err());
        assert!(check(&[row(1000, 0.0)], &json!([])).is_err());
        let reached = |metric: f64| json!([{ "model": "ic", "options": "", "reached": metric }]);
        let judged = |metric| check(reached(metric).as_array().unwrap(), &reached(0.917));
        assert!(judged(0.9169).is_ok() && judged(0.9).is_err() && judged(0.93).is_err());
    }

    #[test]
    fn digits_stand_in_groups() {
        let numbers = [0, 12, 123, 1234, 123_456, 1_234_567].map(grouped);
        let expected = ["0", "12", "123", "1,234", "123,456", "1,234,567"];
        assert_eq!(numbers, expected);
    }

    /// What README says is what the budgets hold.
    #[test]
    fn readme_has_the_table_of_the_budgets() {
        let budgets = include_str!("../../../benches/mcu/options.json");
        let budgets: Vec<Value> = serde_json::from_str(budgets).unwrap_or_default();
        let table = table(&budgets);
        let readme = include_str!("../../../README.md");
        assert!(readme.contains(&table), "README.md lacks:\n{table}");
    }
}
