//! A compact model in the WebAssembly module, under Node: the npm package's own code runs it.

use crate::Error;
use evaluate::layout::{decode, encode, to_tensor};
use evaluate::{Facts, Input, Output, Predict, PredictError, Prediction, signature};
use format::meta::Meta;
use format::{Model, Tensor};
use runtime::host::{AlignedBytes, node_macs};
use serde::Deserialize;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A compact model in a process of Node.
#[derive(Debug)]
pub struct Node {
    process: Process,
    greeting: Greeting,
    inputs: Vec<(Input, Slot)>,
    outputs: Vec<(Output, Slot)>,
    signature: (Vec<Input>, Vec<Output>),
    facts: Facts,
    keeps_state: bool,
}

/// A process that ends with its value.
#[derive(Debug)]
struct Process {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    /// Keeps the model's file until the process ends.
    _file: tempfile::NamedTempFile,
}

/// A tensor, and the caller's order of its dimensions.
#[derive(Debug)]
struct Slot {
    tensor: Tensor,
    axes: Vec<u8>,
}

/// The process's first line.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Greeting {
    #[serde(default)]
    kernels: String,
    #[serde(default)]
    ram_bytes: f64,
    #[serde(default)]
    node: String,
    error: Option<String>,
}

/// The package's folder: what MODELOPT_WASM names, or that of this program's own source.
pub fn package_folder() -> PathBuf {
    match std::env::var_os("MODELOPT_WASM") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .unwrap_or(Path::new("."))
            .join("wasm"),
    }
}

/// What is missing to run models in Node; `None` when nothing is.
pub fn missing() -> Option<String> {
    let folder = package_folder();
    if !folder.join("pkg/modelopt.simd.wasm").is_file() {
        return Some(format!(
            "the module is not built; run `npm ci && npm run build` in {}",
            folder.display()
        ));
    }
    let version = Command::new("node")
        .arg("--version")
        .stdin(Stdio::null())
        .output();
    match version.is_ok_and(|output| output.status.success()) {
        true => None,
        false => Some("Node is not installed; install the package nodejs (20 or later)".into()),
    }
}

fn failed(what: impl std::fmt::Display) -> PredictError {
    PredictError {
        what: format!("the model in Node: {what}"),
        remedy: "see whether `npm test` passes in the folder wasm".into(),
    }
}

impl Process {
    fn start(model: &[u8], is_scalar: bool) -> Result<(Self, Greeting), PredictError> {
        let mut file = tempfile::NamedTempFile::new().map_err(failed)?;
        file.write_all(model)
            .and_then(|()| file.flush())
            .map_err(failed)?;
        let mut command = Command::new("node");
        command
            .arg(package_folder().join("bin/modelopt-run.mjs"))
            .arg(file.path());
        if is_scalar {
            command.arg("--scalar");
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed("its streams are missing"));
        };
        let from = BufReader::new(from);
        let mut process = Process {
            child,
            to,
            from,
            _file: file,
        };
        let mut line = String::new();
        process.from.read_line(&mut line).map_err(failed)?;
        let greeting: Greeting = serde_json::from_str(&line)
            .map_err(|_| failed(format!("it began with '{}'", line.trim())))?;
        match &greeting.error {
            Some(error) => Err(failed(error)),
            None => Ok((process, greeting)),
        }
    }
}

impl Node {
    /// Starts Node with the package's module, the one without SIMD if asked, and loads a model.
    pub fn open(model: &[u8], is_scalar: bool) -> Result<Self, PredictError> {
        if let Some(what) = missing() {
            let (what, remedy) = what.split_once("; ").unwrap_or((&what, ""));
            return Err(PredictError {
                what: what.into(),
                remedy: remedy.into(),
            });
        }
        let aligned = AlignedBytes::copy_of(model);
        let view = Model::new(aligned.bytes()).map_err(Error::from)?;
        let meta = Meta::of(&view).map_err(Error::from)?;
        let signature = signature(&meta, &view);
        let (process, greeting) = Process::start(model, is_scalar)?;
        let slot = |tensor: Option<Tensor>, axes: &[u8]| {
            tensor.map(|tensor| Slot {
                tensor,
                axes: axes.to_vec(),
            })
        };
        let inputs = signature.0.iter().zip(&meta.inputs).enumerate();
        let inputs = inputs.filter_map(|(index, (input, port))| {
            Some((input.clone(), slot(view.input(index), &port.axes)?))
        });
        let outputs = signature.1.iter().zip(&meta.outputs).enumerate();
        let outputs = outputs.filter_map(|(index, (output, port))| {
            Some((output.clone(), slot(view.output(index), &port.axes)?))
        });
        let macs: u64 = view.nodes().map(|node| node_macs(&node)).sum();
        let facts = vec![
            ("bytes", model.len() as f64),
            ("ram_bytes", greeting.ram_bytes),
            ("macs", macs as f64),
            ("nodes", view.node_count() as f64),
        ];
        let (inputs, outputs) = (inputs.collect(), outputs.collect());
        Ok(Node {
            process,
            greeting,
            inputs,
            outputs,
            signature,
            facts,
            keeps_state: view.state_bytes() > 0,
        })
    }

    /// The kernels that run, such as `simd128`.
    pub fn kernels(&self) -> &str {
        &self.greeting.kernels
    }

    fn request(&self, inputs: &[&[f32]]) -> Result<Vec<u8>, PredictError> {
        let mut request = vec![0; 4];
        if inputs.len() != self.inputs.len() {
            return Err(failed(format!(
                "takes {} inputs, not {}",
                self.inputs.len(),
                inputs.len()
            )));
        }
        for ((signature, slot), values) in self.inputs.iter().zip(inputs) {
            let ordered = to_tensor(values, &signature.shape, &slot.axes);
            let bytes =
                encode(&slot.tensor, &ordered).filter(|bytes| bytes.len() == slot.tensor.bytes());
            request.extend(bytes.ok_or_else(|| {
                failed(format!(
                    "input '{}' does not take these values",
                    signature.name
                ))
            })?);
        }
        let length = (request.len() - 4) as u32;
        request[..4].copy_from_slice(&length.to_le_bytes());
        Ok(request)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; nothing is left to be told.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Predict for Node {
    fn name(&self) -> String {
        format!(
            "wasm in Node {} ({})",
            self.greeting.node, self.greeting.kernels
        )
    }

    fn inputs(&self) -> &[Input] {
        &self.signature.0
    }

    fn outputs(&self) -> &[Output] {
        &self.signature.1
    }

    fn facts(&self) -> Facts {
        self.facts.clone()
    }

    fn keeps_state(&self) -> bool {
        self.keeps_state
    }

    fn predict(&mut self, inputs: &[&[f32]]) -> Result<Prediction, PredictError> {
        let request = self.request(inputs)?;
        self.process
            .to
            .write_all(&request)
            .and_then(|()| self.process.to.flush())
            .map_err(failed)?;
        let mut length = [0; 4];
        self.process.from.read_exact(&mut length).map_err(failed)?;
        let expected: usize = self
            .outputs
            .iter()
            .map(|(_, slot)| slot.tensor.bytes())
            .sum();
        if u32::from_le_bytes(length) as usize != expected {
            return Err(failed("its answer has another length than the outputs"));
        }
        let mut prediction = Prediction::default();
        for (signature, slot) in &self.outputs {
            let mut raw = vec![0; slot.tensor.bytes()];
            self.process.from.read_exact(&mut raw).map_err(failed)?;
            prediction.outputs.push(decode(&slot.tensor, &raw));
            // The package answers in the caller's order; bits are compared in the tensor's.
            let elements: Vec<&[u8]> = raw.chunks(slot.tensor.dtype.bytes()).collect();
            let ordered = to_tensor(&elements, &signature.shape, &slot.axes);
            prediction.raw.push(ordered.concat());
        }
        Ok(prediction)
    }
}
