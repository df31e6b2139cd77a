//! `cargo xtask agreement`: quantized ONNX files here and in ONNX Runtime, both ways, and exported TensorFlow
//! Lite files in their runtimes ([`tflite`]).
//!
//! Files that ONNX Runtime's tool makes of the MLPerf Tiny models are imported; models that are quantized here
//! are exported. Both sides get the same samples. ONNX Runtime runs every file twice, as it is and with its
//! optimizations, so that its distance from itself stands beside ours. `tests/agreement/floors.json` holds
//! what was reached: less fails.

mod tflite;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::bench_contest::numbers;
use crate::bench_subjects::python;
use crate::figures::{self, Places, SUBJECTS, Subject};
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
    /// Write what is measured as the new floors
    #[arg(long)]
    accept: bool,
}

/// Makes samples and files.
const MAKER: &str = "tests/oracles/agreement.py";

/// Runs files in ONNX Runtime.
const RUNNER: &str = "tests/oracles/onnx_runtime.py";

const FLOORS: &str = "tests/agreement/floors.json";

/// Formats, and what ONNX Runtime's tool is told of each, as [`MAKER`] has them.
const FORMATS: [&str; 2] = ["QOperator", "QDQ"];
const WAYS: [&str; 2] = ["QUInt8_tensor", "QInt8_channel"];

/// The names of what is quantized here and exported, and the forms of the files.
const EXPORTED: [(&str, &str); 2] = [("exported", "qdq"), ("exported QOperator", "qoperator")];

/// A file of integers from TensorFlow that another tool made QDQ, and the model that it is: its ports are of
/// int8.
const CONVERTED: [&str; 3] = ["ic", "converted", "ic_resnet8_int8_qdq.onnx"];

/// Pictures that calibrate and that are tested, and where they come from.
const PICTURES: [(&str, &str, &str); 2] = [
    ("calib", "cifar10/train.tar.gz", "60"),
    ("in", "cifar10/test.tar.gz", "200"),
];

/// By how much shares may fall below their floors. QDQ files are run in float as they are, where the last
/// bits of sums differ from processor to processor, and decide near halves.
const TOLERANCE: f64 = 0.05;

/// The same for files that ONNX Runtime runs in integers.
const TOLERANCE_INTEGERS: f64 = 0.01;

/// Measures all files, prints the table, and fails where less agrees than before.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    if !has_oracles(workspace) {
        bail!("other runtimes are missing; `cargo xtask setup` installs them");
    }
    let rows = measure(workspace, &figures::prepare(workspace)?)?;
    match arguments.json {
        true => println!("{}", Value::from(rows.clone())),
        false => println!("{}\n\n{}", table(&rows), tflite::table(&rows)),
    }
    let path = workspace.root.join(FLOORS);
    if arguments.accept {
        let text = serde_json::to_string_pretty(&Value::from(rows.clone()))?;
        std::fs::write(&path, text + "\n")?;
    }
    let floors = std::fs::read_to_string(&path).context(FLOORS)?;
    check(&rows, &serde_json::from_str(&floors).context(FLOORS)?)
}

/// The same as a part of the test run.
pub(crate) fn test(workspace: &Workspace) -> Result<Totals> {
    let places = figures::prepare_test(workspace)?;
    if places.is_none() || !has_oracles(workspace) {
        println!("skipped: models beside the repository, or other runtimes, are missing");
        return Ok(Totals {
            skipped: 1,
            ..Totals::default()
        });
    }
    run(workspace, &Arguments::default())?;
    Ok(Totals::ONE_PASSED)
}

fn has_oracles(workspace: &Workspace) -> bool {
    workspace
        .root
        .join(ORACLES_FOLDER)
        .join("bin/python")
        .exists()
}

/// A file, and the compact model that it is compared with.
struct File {
    subject: &'static Subject,
    format: &'static str,
    onnx: PathBuf,
    compact: PathBuf,
}

fn measure(workspace: &Workspace, places: &Places) -> Result<Vec<Value>> {
    let folder = places.out.join("agreement");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    make_samples(workspace, places, &folder)?;
    let files = make_files(workspace, places, &folder)?;
    let runs = ["plain", "optimized"].map(|how| -> Result<Vec<Vec<f64>>> {
        let mut runner = python(workspace, RUNNER);
        process::run(runner.args(["each", how]).arg(&folder))?;
        let outputs = files
            .iter()
            .map(|file| floats(&file.onnx.with_extension("out")));
        outputs.collect()
    });
    let [plain, optimized] = runs;
    let theirs = plain?.into_iter().zip(optimized?);
    let mut rows = Vec::new();
    for (file, (plain, optimized)) in files.iter().zip(theirs) {
        rows.push(row(places, &folder, file, [&plain, &optimized]).context(file.format)?);
    }
    rows.extend(tflite::measure(workspace, places, &folder)?);
    Ok(rows)
}

/// Samples of all models as files of floats.
fn make_samples(workspace: &Workspace, places: &Places, folder: &Path) -> Result<()> {
    // A model that answers with its input: pictures are decoded by the program itself.
    let model = folder.join("pictures.onnx");
    process::run(python(workspace, MAKER).arg("pictures").arg(&model))?;
    for (part, data, count) in PICTURES {
        let mut run = Command::new(&places.program);
        run.arg("run").arg(&model).arg("--input");
        run.arg(places.shared.join("data").join(data));
        let pictures = answers(run.args(["--limit", count]))?;
        write(&folder.join("pictures").with_extension(part), &pictures)?;
    }
    // It is none of those that are compared.
    std::fs::remove_file(&model)?;
    let mut samples = python(workspace, MAKER);
    samples.arg("samples").arg(&places.shared);
    process::run(samples.arg(folder.join("pictures")).arg(folder))
}

/// All files with the compact models beside them, and the samples under each file's name.
fn make_files(workspace: &Workspace, places: &Places, folder: &Path) -> Result<Vec<File>> {
    let models = places.shared.join("models");
    let mut quantize = python(workspace, MAKER);
    quantize.arg("quantize").arg(folder);
    let named = SUBJECTS.iter().map(|subject| {
        let path = models.join(subject.model);
        format!("{}={}", subject.short(), path.display())
    });
    process::run(quantize.args(named))?;
    let mut files = Vec::new();
    for subject in SUBJECTS {
        let short = subject.short();
        let samples = folder.join(short).with_extension("in");
        for format in FORMATS {
            for way in WAYS {
                let onnx = folder.join(format!("{short}_{format}_{way}.onnx"));
                std::fs::copy(&samples, onnx.with_extension("in"))?;
                files.push(imported(places, subject, format, onnx)?);
            }
        }
        let [name, format, converted] = CONVERTED;
        if short == name {
            let onnx = folder.join(format!("{short}_{format}.onnx"));
            std::fs::copy(models.join(converted), &onnx)?;
            files.push(imported(places, subject, format, onnx)?);
        }
        for (format, form) in EXPORTED {
            let onnx = folder.join(format!("{short}_exported_{form}.onnx"));
            std::fs::copy(&samples, onnx.with_extension("in"))?;
            files.push(exported(places, subject, (format, form), onnx)?);
        }
        std::fs::copy(&samples, samples.with_extension("bin"))?;
    }
    Ok(files)
}

/// A quantized file with the compact model that is made of it.
fn imported(
    places: &Places,
    subject: &'static Subject,
    format: &'static str,
    onnx: PathBuf,
) -> Result<File> {
    let compact = onnx.with_extension("mopt");
    let mut optimize = Command::new(&places.program);
    optimize.arg("optimize").arg(&onnx).arg("--require-int8");
    figures::json(optimize.arg("-o").arg(&compact))?;
    Ok(File {
        subject,
        format,
        onnx,
        compact,
    })
}

/// A model that is quantized here, and exported.
fn exported(
    places: &Places,
    subject: &'static Subject,
    (format, form): (&'static str, &str),
    onnx: PathBuf,
) -> Result<File> {
    let compact = quantized(places, subject, &onnx, &[])?;
    let mut export = Command::new(&places.program);
    export.arg("export").arg(&compact);
    export.args(["--to", "onnx", "--form", form, "-o"]);
    figures::json(export.arg(&onnx))?;
    Ok(File {
        subject,
        format,
        onnx,
        compact,
    })
}

/// The compact model that is made of a subject beside a file that it is to be exported to.
fn quantized(places: &Places, subject: &Subject, file: &Path, options: &[&str]) -> Result<PathBuf> {
    let compact = file.with_extension("mopt");
    let held = file.with_file_name(subject.short()).with_extension("calib");
    let calibration = file.with_extension("bin");
    std::fs::copy(held, &calibration)?;
    let mut quantize = Command::new(&places.program);
    quantize.arg("quantize");
    quantize.arg(places.shared.join("models").join(subject.model));
    quantize.arg("--calib").arg(&calibration).args(options);
    figures::json(quantize.arg("-o").arg(&compact))?;
    Ok(compact)
}

/// What was found of a file: agreement of ours with the file as it is and as it is optimized, and of these two.
fn row(
    places: &Places,
    folder: &Path,
    file: &File,
    [plain, optimized]: [&[f64]; 2],
) -> Result<Value> {
    let ours = Answers::of(places, folder, file.subject, &file.compact)?;
    // Outputs of integers, as steps from their zero point.
    let Answers {
        values: ours,
        width,
        step,
        zero_point,
    } = ours;
    let is_raw = file.format == CONVERTED[1];
    let real = |outputs: &[f64]| -> Vec<f64> {
        let one = |&value: &f64| {
            if is_raw {
                (value - zero_point) * step
            } else {
                value
            }
        };
        outputs.iter().map(one).collect()
    };
    let [plain, optimized] = [plain, optimized].map(real);
    let pairs = [(&ours, &plain), (&ours, &optimized), (&plain, &optimized)];
    let [plain, optimized, itself] = pairs.map(|(a, b)| compare(a, b, step, width));
    Ok(json!({
        "model": file.subject.short(), "format": file.format,
        "file": file.onnx.file_stem().map(|name| name.to_string_lossy()),
        "plain": plain?, "optimized": optimized?, "itself": itself?,
    }))
}

/// What a compact model answers to the samples of its subject.
struct Answers {
    values: Vec<f64>,
    /// Values of a sample.
    width: usize,
    /// The scale of the output.
    step: f64,
    zero_point: f64,
}

impl Answers {
    fn of(places: &Places, folder: &Path, subject: &Subject, compact: &Path) -> Result<Self> {
        let mut inspect = Command::new(&places.program);
        let inspected = figures::json(inspect.arg("inspect").arg(compact))?;
        let output = &inspected["outputs"][0];
        let step = output["scale"].as_f64();
        let step = step.context("the output has no scale")?;
        let mut run = Command::new(&places.program);
        run.arg("run").arg(compact).arg("--input");
        let samples = folder.join(subject.short()).with_extension("bin");
        let (values, width) = with_width(run.arg(samples))?;
        Ok(Answers {
            values,
            width,
            step,
            zero_point: output["zero_point"].as_f64().unwrap_or_default(),
        })
    }
}

/// Shares of outputs that are equal and within a step, the most steps between two, and the share of samples
/// whose largest outputs are the same.
fn compare(a: &[f64], b: &[f64], step: f64, width: usize) -> Result<Value> {
    if a.len() != b.len() || a.is_empty() || width == 0 {
        bail!("{} outputs stand beside {}", a.len(), b.len());
    }
    let steps = a.iter().zip(b).map(|(a, b)| ((a - b).abs() / step).round());
    let steps: Vec<f64> = steps.collect();
    let share = |most: f64| {
        let within = steps.iter().filter(|&&steps| steps <= most).count();
        within as f64 / steps.len() as f64
    };
    // Of equal outputs the first.
    let best = |row: &[f64]| {
        let largest = row.iter().copied().fold(f64::MIN, f64::max);
        row.iter().position(|&value| value == largest)
    };
    let rows = a.chunks(width).zip(b.chunks(width));
    let alike = rows.filter(|(a, b)| best(a) == best(b)).count();
    Ok(json!({
        "equal": share(0.0), "within_a_step": share(1.0),
        "most_steps": steps.iter().copied().fold(0.0, f64::max),
        "best": alike as f64 * width as f64 / a.len() as f64,
    }))
}

/// The first output's values of all samples that a command of the program prints.
fn answers(run: &mut Command) -> Result<Vec<f64>> {
    Ok(with_width(run)?.0)
}

/// The same, and how many values belong to a sample.
fn with_width(run: &mut Command) -> Result<(Vec<f64>, usize)> {
    let printed = figures::json(run)?;
    let samples = printed.as_array().context("run prints a list")?;
    let values = |sample: &Value| numbers(&sample["outputs"][0]["values"]);
    let width = samples.first().map_or(0, |sample| values(sample).len());
    Ok((samples.iter().flat_map(values).collect(), width))
}

fn write(path: &Path, values: &[f64]) -> Result<()> {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|&value| (value as f32).to_le_bytes())
        .collect();
    Ok(std::fs::write(path, bytes)?)
}

fn floats(path: &Path) -> Result<Vec<f64>> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let words = bytes.as_chunks().0.iter();
    Ok(words
        .map(|word| f64::from(f32::from_le_bytes(*word)))
        .collect())
}

/// The rows of a model and a format as one line each: the least share and the most steps of its files.
fn table(rows: &[Value]) -> String {
    let mut lines = vec![
        "| | outputs equal | within a step | at most, steps | best class | with its optimizations | it with and without |"
            .to_owned(),
        "|---|---|---|---|---|---|---|".to_owned(),
    ];
    for subject in SUBJECTS {
        let others = [CONVERTED[1]]
            .into_iter()
            .chain(EXPORTED.map(|(name, _)| name));
        for format in FORMATS.into_iter().chain(others) {
            let is_meant =
                |row: &&Value| row["model"] == subject.short() && row["format"] == format;
            let files: Vec<&Value> = rows.iter().filter(is_meant).collect();
            if files.is_empty() {
                continue;
            }
            let all = |pair: &str, what: &str| -> Vec<f64> {
                let values = files.iter().filter_map(|row| row[pair][what].as_f64());
                values.collect()
            };
            let share = |pair: &str, what: &str| {
                let least = all(pair, what).into_iter().fold(1.0, f64::min);
                format!("{} %", (least * 10_000.0).floor() / 100.0)
            };
            let most = |pair: &str| all(pair, "most_steps").into_iter().fold(0.0, f64::max);
            lines.push(format!(
                "| {} {format} | {} | {} | {} | {} | {}, {} | {}, {} |",
                subject.short().to_uppercase(),
                share("plain", "equal"),
                share("plain", "within_a_step"),
                most("plain"),
                share("plain", "best"),
                share("optimized", "equal"),
                most("optimized"),
                share("itself", "equal"),
                most("itself"),
            ));
        }
    }
    lines.join("\n")
}

/// Fails where a share is below its floor, and names the file. Exported files are judged with ONNX Runtime's
/// optimizations as well.
fn check(rows: &[Value], floors: &Value) -> Result<()> {
    let mut failures = 0;
    for row in rows {
        let format = row["format"].as_str().unwrap_or_default();
        let rule = tflite::rule(format);
        let is_integer = format == FORMATS[0];
        let floors = floors.as_array().into_iter().flatten();
        let floor = floors.clone().find(|floor| floor["file"] == row["file"]);
        let file = row["file"].as_str().unwrap_or_default();
        let Some(floor) = floor else {
            eprintln!("{file} has no floor in {FLOORS}");
            failures += 1;
            continue;
        };
        if let Some(rule) = rule {
            failures += tflite::failures([row, floor], rule, file);
            continue;
        }
        let tolerance = match is_integer || format == EXPORTED[1].0 {
            true => TOLERANCE_INTEGERS,
            false => TOLERANCE,
        };
        failures += below([row, floor], ("plain", tolerance), file);
        if EXPORTED.iter().any(|(name, _)| *name == format) {
            failures += below([row, floor], ("optimized", TOLERANCE_INTEGERS), file);
        }
    }
    match failures {
        0 => Ok(()),
        _ => bail!("{failures} shares are below {FLOORS}"),
    }
}

/// How many shares of a pair are below their floors, and whether outputs are further apart than a step that
/// were not.
fn below([row, floor]: [&Value; 2], (pair, tolerance): (&str, f64), file: &str) -> usize {
    let number = |row: &Value, what: &str| row[pair][what].as_f64().unwrap_or_default();
    let mut failures = 0;
    for what in ["equal", "within_a_step", "best"] {
        let (found, least) = (number(row, what), number(floor, what));
        if found + tolerance < least {
            eprintln!("{file}, {pair}: {what} is {found:.4}, and was {least:.4}");
            failures += 1;
        }
    }
    let (found, most) = (number(row, "most_steps"), number(floor, "most_steps"));
    if pair == "optimized" && found > most.max(1.0) {
        eprintln!("{file}, {pair}: outputs are {found} steps apart, and were {most}");
        failures += 1;
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::{check, compare, table};
    use serde_json::{Value, json};

    #[test]
    fn steps_are_counted() {
        let found = compare(&[0.5, 0.25, 0.0, 1.0], &[0.5, 0.5, 0.0, 0.5], 0.25, 2).unwrap();
        let expected = json!({
            "equal": 0.5, "within_a_step": 0.75, "most_steps": 2.0, "best": 1.0,
        });
        assert_eq!(found, expected);
        assert!(compare(&[0.5], &[0.5, 1.0], 0.25, 1).is_err());
    }

    #[test]
    fn less_than_the_floor_fails() {
        let rows = |format: &str, share: f64| {
            let plain = json!({ "equal": share, "within_a_step": 1.0, "best": 1.0 });
            json!([{ "file": "kws", "format": format, "plain": plain }])
        };
        let judge = |format: &str, found: f64| {
            let found = rows(format, found);
            check(found.as_array().unwrap(), &rows(format, 0.99)).is_ok()
        };
        assert!(judge("QDQ", 0.99) && judge("QDQ", 0.95) && judge("QDQ", 1.0));
        assert!(!judge("QDQ", 0.93));
        assert!(judge("QOperator", 0.985) && !judge("QOperator", 0.97));
        let exported = |share: f64, most: f64| {
            let pair =
                json!({ "equal": share, "within_a_step": 1.0, "best": 1.0, "most_steps": most });
            json!([{ "file": "kws", "format": "exported", "plain": pair, "optimized": pair }])
        };
        let judge = |share: f64, most: f64| {
            let found = exported(share, most);
            check(found.as_array().unwrap(), &exported(1.0, 0.0)).is_ok()
        };
        assert!(judge(1.0, 1.0) && judge(0.995, 1.0));
        assert!(!judge(0.98, 1.0) && !judge(1.0, 2.0));
        let found = rows("QDQ", 1.0);
        assert!(check(found.as_array().unwrap(), &json!([])).is_err());
    }

    /// What README says is what the floors hold.
    #[test]
    fn the_table_is_that_of_the_floors() {
        let floors = include_str!("../../../tests/agreement/floors.json");
        let floors: Value = serde_json::from_str(floors).unwrap();
        let readme = include_str!("../../../README.md");
        let rows = floors.as_array().unwrap();
        for table in [table(rows), super::tflite::table(rows)] {
            assert!(readme.contains(&table), "README.md lacks:\n{table}");
        }
    }
}
