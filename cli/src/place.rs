//! Where models run: one grammar for `--device`, and one evaluation for all of it.

use crate::dataset::{self, PreprocessArguments};
use crate::failure::{Code, Failure};
use crate::model::{self, ImportArguments, ModelFile};
use crate::progress;
use crate::say::say;
use ::evaluate::{Case, Comparison, Evaluation, Host, Input, Predict, PredictError, Verdict};
use data::Source;
use import::{Format, Imported};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A place where a compact model runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Device {
    /// This program.
    #[default]
    Host,
    /// The WebAssembly module under Node.
    Wasm {
        /// The module without SIMD.
        is_scalar: bool,
    },
    /// Firmware on a board, emulated or at a serial port.
    Board(String),
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "host" => Ok(Device::Host),
            "wasm" => Ok(Device::Wasm { is_scalar: false }),
            "wasm:scalar" => Ok(Device::Wasm { is_scalar: true }),
            _ => match device::Place::parse(text) {
                Ok(_) => Ok(Device::Board(text.to_string())),
                Err(_) => Err("write host, wasm, wasm:scalar, qemu:BOARD or serial:PORT@BAUD; `modelopt devices` lists the boards".into()),
            },
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Host => f.write_str("host"),
            Device::Wasm { is_scalar: false } => f.write_str("wasm"),
            Device::Wasm { is_scalar: true } => f.write_str("wasm:scalar"),
            Device::Board(spec) => f.write_str(spec),
        }
    }
}

/// A place did not answer.
pub(crate) fn failure(error: PredictError) -> Failure {
    Failure::device(error)
}

/// A compact model at a place.
pub(crate) fn compact(bytes: &[u8], device: &Device) -> Result<Box<dyn Predict>, Failure> {
    Ok(match device {
        Device::Host => {
            // Samples are divided among all processors: answers and their order stay the same.
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            Box::new(Host::with_threads(bytes, threads).map_err(failure)?)
        }
        Device::Wasm { is_scalar } => {
            Box::new(device::node::Node::open(bytes, *is_scalar).map_err(failure)?)
        }
        Device::Board(spec) => {
            let images = device::Images::locate();
            Box::new(
                device::Device::open(spec, bytes, &images)
                    .map_err(|error| failure(error.into()))?,
            )
        }
    })
}

/// Whether a source model runs in our own runtime: the independent executor takes ONNX files, and of
/// those only the ones in float.
fn is_ours(source: &Imported) -> bool {
    source.format == Format::Tflite || source.quantized.is_some()
}

/// A source model as it is: a float ONNX model in the independent executor, others in our own runtime.
pub(crate) fn oracle(
    path: &Path,
    source: &Imported,
    inputs: &[Input],
) -> Result<Box<dyn Predict>, Failure> {
    if is_ours(source) {
        return as_it_is(source, inputs, &Device::Host);
    }
    let outputs = source.graph.outputs.iter().map(|port| ::evaluate::Output {
        name: port.name.clone(),
        shape: port
            .shape
            .dims()
            .iter()
            .map(|&size| size as usize)
            .collect(),
        labels: Vec::new(),
    });
    let opened = oracle::Oracle::open(path, inputs.to_vec(), outputs.collect());
    Ok(Box::new(
        opened.map_err(|error| Failure::usage(error).of(path))?,
    ))
}

/// A source model compiled without any change of what it computes.
fn as_it_is(
    source: &Imported,
    inputs: &[Input],
    device: &Device,
) -> Result<Box<dyn Predict>, Failure> {
    let mut graph = source.graph.clone();
    optimize::run(&mut graph, |_| true)?;
    let options = compile::Options {
        rounding: source.rounding,
        preprocess: inputs
            .iter()
            .map(|input| input.preprocess.clone())
            .collect(),
        ..compile::Options::default()
    };
    compact(&compile::compile(&graph, &options)?.bytes, device)
}

/// A model file at a place, told apart by its content.
pub(crate) fn open(
    path: &Path,
    import: &ImportArguments,
    preprocess: &PreprocessArguments,
    device: &Device,
) -> Result<Box<dyn Predict>, Failure> {
    match model::load(path, import)? {
        ModelFile::Compact(runner) => {
            if preprocess.is_given() {
                let message =
                    "stores its own preprocessing; leave out --scale, --mean, --std and --layout";
                return Err(Failure::usage(message).of(path));
            }
            compact(runner.file(), device)
        }
        ModelFile::Source(imported, _) => {
            let inputs = dataset::inputs(&imported.graph, preprocess)?;
            source_at(path, &imported, &inputs, device)
        }
    }
}

/// A source model at a place.
fn source_at(
    path: &Path,
    source: &Imported,
    inputs: &[Input],
    device: &Device,
) -> Result<Box<dyn Predict>, Failure> {
    if is_ours(source) {
        return as_it_is(source, inputs, device);
    }
    if *device != Device::Host {
        let message = format!("is an ONNX model, which cannot run on {device}; quantize it first");
        return Err(Failure::usage(message).of(path));
    }
    oracle(path, source, inputs)
}

/// A model file at a place, prepared as `beside` is where it does not say itself.
pub(crate) fn open_beside(
    path: &Path,
    import: &ImportArguments,
    preprocess: &PreprocessArguments,
    device: &Device,
    beside: &dyn Predict,
) -> Result<Box<dyn Predict>, Failure> {
    match model::load(path, import)? {
        ModelFile::Source(imported, _) => {
            let mut inputs = dataset::inputs(&imported.graph, preprocess)?;
            if !preprocess.is_given() {
                for (input, other) in inputs.iter_mut().zip(beside.inputs()) {
                    input.preprocess = other.preprocess.clone();
                }
            }
            source_at(path, &imported, &inputs, device)
        }
        ModelFile::Compact(runner) => compact(runner.file(), device),
    }
}

fn cases<'a>(
    source: &'a Source,
) -> Result<impl Iterator<Item = Result<Case, Failure>> + 'a, Failure> {
    Ok(source.samples()?.map(|sample| {
        let sample = sample?;
        Ok(Case {
            values: sample.values,
            label: sample.label,
            name: sample.name,
        })
    }))
}

/// Runs a model over data.
pub(crate) fn evaluate(predict: &mut dyn Predict, source: &Source) -> Result<Evaluation, Failure> {
    let bar = progress::bar("evaluating", source.len());
    let outcome = ::evaluate::evaluate(
        predict,
        &mut cases(source)?,
        source.class_names(),
        &mut |count| bar.set_position(count as u64),
    );
    bar.finish_and_clear();
    outcome.map_err(refused)
}

/// Runs two models over the same data.
pub(crate) fn compare(
    a: &mut dyn Predict,
    b: &mut dyn Predict,
    source: &Source,
) -> Result<Comparison, Failure> {
    let bar = progress::bar("comparing", source.len());
    let outcome = ::evaluate::compare(
        a,
        b,
        &mut cases(source)?,
        source.class_names(),
        &mut |count| bar.set_position(count as u64),
    );
    bar.finish_and_clear();
    outcome.map_err(refused)
}

fn refused(error: ::evaluate::Error<Failure>) -> Failure {
    match error {
        ::evaluate::Error::Data(failure) => failure,
        ::evaluate::Error::Predict(error) => failure(error),
        ::evaluate::Error::Case(message) => Failure::usage(message),
    }
}

/// Prints gates and whether they hold.
pub(crate) fn print_verdicts(verdicts: &[Verdict]) {
    for verdict in verdicts {
        say!("{verdict}");
    }
}

/// Fails when a gate does not hold.
pub(crate) fn check(verdicts: &[Verdict]) -> Result<(), Failure> {
    let failed: Vec<String> = verdicts
        .iter()
        .filter(|verdict| !verdict.passed)
        .map(Verdict::finding)
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    let message = format!("not passed: {}", failed.join("; "));
    Err(Failure::new(Code::NotPassed, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read_as_they_are_written() {
        for text in [
            "host",
            "wasm",
            "wasm:scalar",
            "qemu:mps2-an386",
            "serial:/dev/ttyACM0@9600",
        ] {
            assert_eq!(text.parse::<Device>().unwrap().to_string(), text);
        }
        assert!("qemu:".parse::<Device>().is_err());
        assert!("gpu".parse::<Device>().is_err());
    }
}
