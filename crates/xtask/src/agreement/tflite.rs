//! Models that are quantized here by each rule of rounding and exported to TensorFlow Lite, in its runtimes.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};

use super::{Answers, TOLERANCE_INTEGERS, below, compare, floats, quantized};
use crate::bench_subjects::python;
use crate::figures::{self, Places, SUBJECTS};
use crate::process;
use crate::workspace::Workspace;

/// Runs files in both runtimes.
const RUNNER: &str = "tests/oracles/tflite.py";

/// The runtimes, as [`RUNNER`] has them.
const RUNTIMES: [&str; 3] = ["tflm", "litert", "mixed"];

/// A rule of rounding.
pub(super) struct Rule {
    /// How rows of the table call it.
    format: &'static str,
    options: &'static [&'static str],
    /// The runtime whose bits it makes.
    exact: Option<&'static str>,
}

const RULES: [Rule; 3] = [
    Rule {
        format: "exported TFLite",
        options: &[],
        exact: None,
    },
    Rule {
        format: "with `--rounding tflm`",
        options: &["--rounding", "tflm"],
        exact: Some("tflm"),
    },
    Rule {
        format: "with `--rounding single`",
        options: &["--rounding", "single"],
        exact: Some("mixed"),
    },
];

/// The rule of a row; `None` for rows of other files.
pub(super) fn rule(format: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.format == format)
}

/// A row for each model and rule. Samples are in the folder.
pub(super) fn measure(workspace: &Workspace, places: &Places, folder: &Path) -> Result<Vec<Value>> {
    let mut rows = Vec::new();
    for subject in SUBJECTS {
        for rule in &RULES {
            let short = subject.short();
            let rounding = rule.options.last().unwrap_or(&"default");
            let file = folder.join(format!("{short}_tflite_{rounding}.tflite"));
            let compact = quantized(places, subject, &file, rule.options)?;
            let mut export = Command::new(&places.program);
            export.arg("export").arg(&compact);
            figures::json(export.args(["--to", "tflite", "-o"]).arg(&file))?;
            let ours = Answers::of(places, folder, subject, &compact)?;
            let stem = file.file_stem().map(|name| name.to_string_lossy());
            let mut row = json!({ "model": short, "format": rule.format, "file": stem });
            for runtime in RUNTIMES {
                let made = file.with_extension("out");
                let mut run = python(workspace, RUNNER);
                run.args(["real", runtime]).arg(&file);
                run.arg(folder.join(short).with_extension("in"));
                process::run(run.arg(&made))?;
                row[runtime] = compare(&ours.values, &floats(&made)?, ours.step, ours.width)?;
            }
            rows.push(row);
        }
    }
    Ok(rows)
}

/// How much of a row is below its floor. What is to be the same to the bit is.
pub(super) fn failures([row, floor]: [&Value; 2], rule: &Rule, file: &str) -> usize {
    let of = |&runtime: &&str| {
        let tolerance = match rule.exact {
            Some(exact) if exact == runtime => 0.0,
            _ => TOLERANCE_INTEGERS,
        };
        below([row, floor], (runtime, tolerance), file)
    };
    RUNTIMES.iter().map(of).sum()
}

/// The rows as lines.
pub(super) fn table(rows: &[Value]) -> String {
    let mut lines = vec![
        "| | in TFLM: outputs equal | at most, steps | best class | in LiteRT: outputs equal | at most, steps | best class | but for softmax |"
            .to_owned(),
        "|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    for row in rows {
        let Some(rule) = row["format"].as_str().and_then(rule) else {
            continue;
        };
        let share = |runtime: &str, what: &str| {
            let share = row[runtime][what].as_f64().unwrap_or_default();
            format!("{} %", (share * 10_000.0).floor() / 100.0)
        };
        let most = |runtime: &str| row[runtime]["most_steps"].as_f64().unwrap_or_default();
        let model = row["model"].as_str().unwrap_or_default().to_uppercase();
        lines.push(format!(
            "| {model} {} | {} | {} | {} | {} | {} | {} | {}, {} |",
            rule.format,
            share("tflm", "equal"),
            most("tflm"),
            share("tflm", "best"),
            share("litert", "equal"),
            most("litert"),
            share("litert", "best"),
            share("mixed", "equal"),
            most("mixed"),
        ));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::{failures, rule};
    use serde_json::json;

    #[test]
    fn what_is_the_same_to_the_bit_stays_so() {
        let row = |tflm: f64, litert: f64| {
            let pair = |equal: f64| json!({ "equal": equal, "within_a_step": 1.0, "best": 1.0 });
            json!({ "tflm": pair(tflm), "litert": pair(litert), "mixed": pair(litert) })
        };
        let rule = rule("with `--rounding tflm`").unwrap();
        let floor = row(1.0, 0.9);
        assert_eq!(failures([&row(1.0, 0.895), &floor], rule, "kws"), 0);
        assert_eq!(failures([&row(0.9999, 0.88), &floor], rule, "kws"), 3);
    }
}
