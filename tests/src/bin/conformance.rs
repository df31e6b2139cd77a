//! Runs the public ONNX node tests: `conformance FOLDER REFUSALS [--json] [--accept]`.
//!
//! Every folder in FOLDER has a `model.onnx` and `test_data_set_N` with inputs and expected
//! outputs. A model is imported, optimized, compiled and run, as `modelopt optimize` and
//! `modelopt run` do it. Where that is refused because an input must be known beforehand, inputs are
//! given as constants (`--constant` on the command line): those of whole numbers, then all but the
//! first, which are what models in files have as initializers, then all, for operators that make constants.
//!
//! REFUSALS lists what may be refused, with reasons: anything else that is refused, and anything
//! wrong, fails.

use compile::compile;
use evaluate::layout;
use graph::{Data, Graph};
use import::Options;
use runtime::host::{Runner, Tensor};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// ONNX's own tolerances.
const RELATIVE: f64 = 1e-3;
const ABSOLUTE: f64 = 1e-7;

/// Tests that expect -236 to wrap round to 20 in int8, where the definition of QLinearMatMul says
/// that it saturates, as it does here. They do not count as passed.
const DISPUTED: [&str; 4] = [
    "test_qlinearmatmul_2D_int8_float16",
    "test_qlinearmatmul_2D_int8_float32",
    "test_qlinearmatmul_3D_int8_float16",
    "test_qlinearmatmul_3D_int8_float32",
];

/// How a case ended.
enum Outcome {
    Passed,
    /// Refused with a message.
    Refused(String),
    Wrong(String),
    Panicked,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let [folder, refusals, ..] = &arguments[..] else {
        eprintln!("usage: conformance FOLDER REFUSALS [--json] [--accept]");
        return ExitCode::from(2);
    };
    match run(
        Path::new(folder),
        Path::new(refusals),
        has("--json"),
        has("--accept"),
    ) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(3)
        }
    }
}

/// How all cases ended.
#[derive(Default)]
struct Report {
    passed: usize,
    /// Reasons by case.
    refused: BTreeMap<String, String>,
    wrong: Vec<String>,
    panicked: Vec<String>,
}

/// Whether every case ended as it may.
fn run(folder: &Path, refusals: &Path, json: bool, accept: bool) -> Result<bool, Box<dyn Error>> {
    let mut cases: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.join("model.onnx").is_file() {
            cases.push(path);
        }
    }
    cases.sort();
    let report = Report::of(&cases);
    report.print(json);
    if accept {
        let line = |(name, reason): (&String, &String)| format!("{name}\t{reason}\n");
        std::fs::write(
            refusals,
            report.refused.iter().map(line).collect::<String>(),
        )?;
    }
    let expected = std::fs::read_to_string(refusals).unwrap_or_default();
    let is_expected = report.compare(&expected);
    Ok(report.wrong.is_empty() && report.panicked.is_empty() && is_expected)
}

impl Report {
    fn of(cases: &[PathBuf]) -> Self {
        // Panics are counted and named in the report.
        std::panic::set_hook(Box::new(|_| ()));
        let mut report = Report::default();
        for case in cases {
            let name = case.file_name().unwrap_or_default();
            let name = name.to_string_lossy().into_owned();
            match catch_unwind(AssertUnwindSafe(|| outcome(case))).unwrap_or(Outcome::Panicked) {
                Outcome::Passed => report.passed += 1,
                Outcome::Refused(reason) => {
                    report.refused.insert(name, shortened(&reason));
                }
                Outcome::Wrong(how) => report.wrong.push(format!("{name}: {how}")),
                Outcome::Panicked => report.panicked.push(name),
            }
        }
        report
    }

    fn print(&self, json: bool) {
        let ended = [
            ("passed", self.passed),
            ("refused", self.refused.len()),
            ("wrong", self.wrong.len()),
            ("panicked", self.panicked.len()),
        ];
        let total: usize = ended.iter().map(|(_, count)| count).sum();
        if json {
            let figures = ended.map(|(name, count)| format!("\"{name}\": {count}"));
            println!("{{\"total\": {total}, {}}}", figures.join(", "));
        } else {
            println!("total    {total:>5}");
            for (name, count) in ended {
                let percent = 100.0 * count as f64 / total.max(1) as f64;
                println!("{name:<9}{count:>5}  {percent:5.1} %");
            }
        }
        self.wrong
            .iter()
            .for_each(|case| eprintln!("wrong: {case}"));
        self.panicked
            .iter()
            .for_each(|case| eprintln!("panicked: {case}"));
    }

    /// Whether exactly the cases are refused that a list names, one on each line.
    fn compare(&self, list: &str) -> bool {
        let names = list.lines().filter_map(|line| line.split('\t').next());
        let expected: BTreeSet<&str> = names.collect();
        let refused: BTreeSet<&str> = self.refused.keys().map(String::as_str).collect();
        for &name in refused.difference(&expected) {
            eprintln!("refused, and was not: {name}: {}", self.refused[name]);
        }
        for name in expected.difference(&refused) {
            eprintln!("not refused any more: {name}; write it down with --accept");
        }
        expected == refused
    }
}

/// A reason on one line, without its remedy.
fn shortened(reason: &str) -> String {
    let lines: Vec<&str> = reason.lines().map(str::trim).collect();
    let line = lines.join(" ");
    let cause = line.split(';').next().unwrap_or_default();
    cause.chars().take(160).collect()
}

fn outcome(case: &Path) -> Outcome {
    let is_disputed = DISPUTED.iter().any(|name| case.ends_with(name));
    if is_disputed {
        let reason = "the test expects -236 to wrap round in int8, but the operator saturates";
        return Outcome::Refused(reason.into());
    }
    let bytes = match std::fs::read(case.join("model.onnx")) {
        Ok(bytes) => bytes,
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    let mut sets: Vec<PathBuf> = std::fs::read_dir(case)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect();
    sets.sort();
    for set in &sets {
        match run_set(&bytes, set) {
            Ok(None) => {}
            Ok(Some(how)) => return Outcome::Wrong(how),
            Err(reason) => return Outcome::Refused(reason),
        }
    }
    Outcome::Passed
}

/// `Ok(Some(_))` where an output is wrong, `Err` where the model is refused.
fn run_set(bytes: &[u8], set: &Path) -> Result<Option<String>, String> {
    let inputs = tensors(set, "input")?;
    let expected = tensors(set, "output")?;
    let answers = match prepared(bytes, &Options::default()) {
        Ok(graph) => answer(&graph, &inputs.iter().collect::<Vec<_>>())?,
        Err(reason) => with_constants(bytes, &inputs, |_, tensor| tensor.data.to_i64().is_ok())
            .or_else(|_| with_constants(bytes, &inputs, |index, _| index > 0))
            .or_else(|_| with_constants(bytes, &inputs, |_, _| true))
            .map_err(|_| reason)?,
    };
    if answers.len() != expected.len() {
        return Ok(Some(format!(
            "{} outputs, not {}",
            answers.len(),
            expected.len()
        )));
    }
    for (answer, expected) in answers.iter().zip(&expected) {
        let (has, wanted) = (answer.data.dtype(), expected.data.dtype());
        if has != wanted {
            return Err(format!(
                "an output is {has} in the compact model, not {wanted}"
            ));
        }
    }
    let different = answers
        .iter()
        .zip(&expected)
        .position(|(answer, expected)| !is_close(answer, expected));
    Ok(different.map(|index| format!("output {index}")))
}

/// The same with the inputs given beforehand that `is_constant` chooses.
fn with_constants(
    bytes: &[u8],
    inputs: &[Tensor],
    is_constant: impl Fn(usize, &Tensor) -> bool,
) -> Result<Vec<Tensor>, String> {
    let names = input_names(bytes)?;
    let mut options = Options::default();
    let mut others = Vec::new();
    for (index, (name, tensor)) in names.iter().zip(inputs).enumerate() {
        if is_constant(index, tensor) {
            let values = numbers(&tensor.data)?;
            options.constants.insert(name.clone(), values);
        } else {
            others.push(tensor);
        }
    }
    if options.constants.is_empty() {
        return Err("there are no inputs to give beforehand".into());
    }
    answer(&prepared(bytes, &options)?, &others)
}

/// Numbers as the command line takes them, where nothing is lost by it.
fn numbers(data: &Data) -> Result<Vec<f64>, String> {
    if let Data::F32(values) = data {
        return Ok(values.iter().map(|&value| f64::from(value)).collect());
    }
    let exact = |value: i64| match value as f64 {
        real if real as i64 == value => Ok(real),
        _ => Err(format!("{value} is too large to be given beforehand")),
    };
    data.to_i64()?.into_iter().map(exact).collect()
}

/// Inputs that are not initializers, in the file's order.
fn input_names(bytes: &[u8]) -> Result<Vec<String>, String> {
    import::onnx_inputs(bytes).map_err(|problem| problem.to_string())
}

fn prepared(bytes: &[u8], options: &Options) -> Result<Graph, String> {
    let imported =
        import::onnx_bytes("model", bytes, options).map_err(|error| error.problem.to_string())?;
    let mut graph = imported.graph;
    optimize::run(&mut graph, |_| true).map_err(|error| error.to_string())?;
    Ok(graph)
}

fn answer(graph: &Graph, inputs: &[&Tensor]) -> Result<Vec<Tensor>, String> {
    let compiled =
        compile(graph, &compile::Options::default()).map_err(|error| error.to_string())?;
    let mut runner = Runner::new(&compiled.bytes).map_err(|error| error.to_string())?;
    let mut session = runner.session().map_err(|error| error.to_string())?;
    if graph.inputs.len() != inputs.len() {
        return Err(format!(
            "it has {} inputs for {} tensors",
            graph.inputs.len(),
            inputs.len()
        ));
    }
    for (index, (port, tensor)) in graph.inputs.iter().zip(inputs).enumerate() {
        let (has, needs) = (tensor.data.dtype(), graph.value(port.value).dtype);
        if has != needs {
            return Err(format!(
                "input {index} is {has} where the compact model takes {needs}"
            ));
        }
        let stored = permuted(tensor, &port.axes, true);
        session.set_input(index, stored.data.bytes()).map_err(|_| {
            format!(
                "input {index} is not {} of {}",
                tensor.data.dtype(),
                tensor.shape
            )
        })?;
    }
    session.run();
    let mut answers = Vec::new();
    for (index, port) in graph.outputs.iter().enumerate() {
        let tensor = session
            .model()
            .output(index)
            .ok_or("there is no such output")?;
        let mut bytes = vec![0; tensor.bytes()];
        session
            .output(index, &mut bytes)
            .map_err(|error| error.to_string())?;
        let data = Data::from_bytes(tensor.dtype, &bytes)?;
        answers.push(permuted(
            &Tensor {
                shape: port.shape,
                data,
            },
            &port.axes,
            false,
        ));
    }
    Ok(answers)
}

/// Between the caller's order of axes and the graph's.
fn permuted(tensor: &Tensor, axes: &[u8], inward: bool) -> Tensor {
    let shape: Vec<usize> = tensor
        .shape
        .dims()
        .iter()
        .map(|&size| size as usize)
        .collect();
    let data = match &tensor.data {
        Data::F32(values) if inward => Data::F32(layout::to_tensor(values, &shape, axes)),
        Data::F32(values) => Data::F32(layout::to_caller(values, &shape, axes)),
        other => other.clone(),
    };
    Tensor {
        shape: tensor.shape,
        data,
    }
}

fn tensors(set: &Path, kind: &str) -> Result<Vec<Tensor>, String> {
    let mut tensors = Vec::new();
    loop {
        let path = set.join(format!("{kind}_{}.pb", tensors.len()));
        let Ok(bytes) = std::fs::read(&path) else {
            return Ok(tensors);
        };
        // A sequence or an optional value begins with its name, a tensor with its dimensions.
        let tensor = match import::onnx_tensor(&bytes) {
            Err(_) if bytes.first() == Some(&0x0a) => {
                Err("is a sequence or an optional value, not a tensor".into())
            }
            other => other.map_err(|problem| problem.to_string()),
        };
        tensors.push(
            tensor.map_err(|problem: String| format!("{kind} {}: {problem}", tensors.len()))?,
        );
    }
}

/// Whether every element is as expected: floats within the tolerances, anything else to the bit.
fn is_close(answer: &Tensor, expected: &Tensor) -> bool {
    let near = |(&a, &b): (&f32, &f32)| {
        let (a, b) = (f64::from(a), f64::from(b));
        let tolerance = ABSOLUTE + RELATIVE * b.abs();
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance
    };
    answer.shape == expected.shape
        && match (&answer.data, &expected.data) {
            (Data::F32(a), Data::F32(b)) => a.len() == b.len() && a.iter().zip(b).all(near),
            (a, b) => a == b,
        }
}
