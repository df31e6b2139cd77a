//! `modelopt export`: a compact model in a form that other tools build on.

use crate::failure::Failure;
use crate::model::{self, ImportArguments, ModelFile};
use crate::output::{Output, OutputFolder};
use crate::say::say;
use compile::rust::{Dependency, Library, arena_bytes, is_package_name, rust};
use export::Exported;
use format::Model;
use format::meta::Meta;
use runtime::host::Runner;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Write a compact model as something else: a Rust library, a TFLite or an ONNX file.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  modelopt export kws.mopt --to rust -o kws\n  modelopt export kws.mopt --to tflite -o kws.tflite\n  modelopt export kws.mopt --to onnx -o kws_int8.onnx\n  modelopt export kws.mopt --to onnx --form qoperator -o kws_qoperator.onnx\n  modelopt export kws.mopt --to rust -o model --name kws --runtime ../modelopt/crates/runtime"
)]
pub(crate) struct Arguments {
    /// The model: .mopt
    model: PathBuf,
    /// What to write
    #[arg(long, value_name = "FORM")]
    to: Form,
    /// The file to write, or the folder of a Rust library, which must not exist yet [default: the
    /// model's name, if there is nothing of that name]
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// How an ONNX file has its operators [default: qdq]
    #[arg(long)]
    form: Option<OnnxForm>,
    /// The name of the Rust package [default: the folder's]
    #[arg(long)]
    name: Option<String>,
    /// Folder of the Rust package modelopt-runtime; a relative one starts at the folder that is
    /// written [default: the source that this program was built from; if it is gone, the registry]
    #[arg(long, value_name = "FOLDER")]
    runtime: Option<PathBuf>,
}

/// What a model can be written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// A library without std: one call per operator, for microcontrollers
    Rust,
    /// A TensorFlow Lite file of a model in int8
    Tflite,
    /// An ONNX file of a model in int8; `--form` says how it has its operators
    Onnx,
}

/// How operators stand in an ONNX file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum OnnxForm {
    /// On floats between QuantizeLinear and DequantizeLinear, which most runtimes read
    Qdq,
    /// Layers with weights as QLinearConv: the same integers whatever a runtime optimizes
    Qoperator,
}

pub(crate) fn run(arguments: &Arguments, json: bool) -> Result<(), Failure> {
    if arguments.form.is_some() && arguments.to != Form::Onnx {
        return Err(Failure::usage("--form is for --to onnx"));
    }
    let form = match arguments.form {
        Some(OnnxForm::Qoperator) => export::OnnxForm::QOperator,
        Some(OnnxForm::Qdq) | None => export::OnnxForm::Qdq,
    };
    let onnx = |model: &Model<'_>, meta: &Meta| export::onnx(model, meta, form);
    match arguments.to {
        Form::Rust => to_rust(arguments, json),
        Form::Tflite => to_file(arguments, "tflite", export::tflite, json),
        Form::Onnx => to_file(arguments, "onnx", onnx, json),
    }
}

fn to_file(
    arguments: &Arguments,
    extension: &str,
    write: impl Fn(&Model<'_>, &Meta) -> Result<Exported, export::Error>,
    json: bool,
) -> Result<(), Failure> {
    let path = &arguments.model;
    if arguments.name.is_some() || arguments.runtime.is_some() {
        let message = format!("--name and --runtime are for --to rust, not for --to {extension}");
        return Err(Failure::usage(message));
    }
    let output = match &arguments.output {
        Some(output) => output.clone(),
        None => unused_path(path, extension)?,
    };
    let output = Output::new(&output, "-o", &[path])?;
    let runner = compact(path)?;
    let model = runner
        .model()
        .map_err(|error| Failure::usage(error).of(path))?;
    let exported = write(&model, runner.meta()).map_err(|error| Failure::usage(error).of(path))?;
    output.write(&exported.bytes)?;
    let bytes = exported.bytes.len();
    if json {
        say!(
            "{}",
            json!({ "output": output.path().display().to_string(), "bytes": bytes, "notes": exported.notes })
        );
        return Ok(());
    }
    for note in &exported.notes {
        say!("note: {note}");
    }
    let size = crate::table::grouped(bytes as u64);
    say!("wrote {}: {size} bytes", output.path().display());
    Ok(())
}

/// The default path. A file that is there is likely to be the one that the model was made from.
fn unused_path(model: &Path, extension: &str) -> Result<PathBuf, Failure> {
    let path = crate::output::default_path(model, extension);
    if path.symlink_metadata().is_err() {
        return Ok(path);
    }
    let message = "exists already, and may be what the model was made from; name the file with -o";
    Err(Failure::usage(message).of(&path))
}

/// The compact model at a path.
fn compact(path: &Path) -> Result<Box<Runner>, Failure> {
    match model::load(path, &ImportArguments::default())? {
        ModelFile::Compact(runner) => Ok(runner),
        ModelFile::Source(..) => {
            let message = "is a source model; make a compact one with `modelopt quantize` or \
                           `modelopt optimize` and export that";
            Err(Failure::usage(message).of(path))
        }
    }
}

fn to_rust(arguments: &Arguments, json: bool) -> Result<(), Failure> {
    let path = &arguments.model;
    let folder = arguments.output.clone();
    let folder = folder.unwrap_or_else(|| crate::output::default_path(path, ""));
    let output = OutputFolder::new(&folder)?;
    let library = Library {
        name: package_name(arguments, &folder)?,
        source: file_name(path),
        tool: crate::tool(),
        runtime: runtime(arguments.runtime.as_deref(), &folder)?,
    };
    let runner = compact(path)?;
    let model = runner
        .model()
        .map_err(|error| Failure::usage(error).of(path))?;
    let files =
        rust(&model, runner.meta(), &library).map_err(|error| Failure::from(error).of(path))?;
    let files: Vec<(&Path, &[u8])> = files
        .iter()
        .map(|file| (Path::new(file.path), file.bytes.as_slice()))
        .collect();
    output.write(&files)?;
    let (ram, constants) = (arena_bytes(&model), model.constants().len());
    if json {
        say!(
            "{}",
            json!({
                "folder": folder.display().to_string(),
                "package": library.name,
                "ram_bytes": ram,
                "constant_bytes": constants,
                "nodes": model.node_count(),
            })
        );
    } else {
        say!(
            "{}: package '{}' with {} calls, {} bytes of constants, {} bytes of RAM",
            folder.display(),
            library.name,
            model.node_count(),
            crate::table::grouped(constants as u64),
            crate::table::grouped(ram as u64),
        );
    }
    Ok(())
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

fn package_name(arguments: &Arguments, folder: &Path) -> Result<String, Failure> {
    let name = arguments.name.clone().unwrap_or_else(|| file_name(folder));
    if is_package_name(&name) {
        return Ok(name);
    }
    let message = format!(
        "'{name}' is no name for a Rust package: letters, digits, '-' and '_', beginning with a \
         letter, and no word of Rust's own; choose one with --name"
    );
    Err(Failure::usage(message))
}

/// Where the library finds the runtime.
fn runtime(given: Option<&Path>, folder: &Path) -> Result<Dependency, Failure> {
    let is_there = |path: &Path| path.join("Cargo.toml").is_file();
    let Some(path) = given else {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/runtime");
        return Ok(match source.canonicalize() {
            Ok(source) if is_there(&source) => Dependency::Path(source.display().to_string()),
            _ => Dependency::Version(env!("CARGO_PKG_VERSION").to_string()),
        });
    };
    // The folder is not there yet, and so cannot be gone through.
    let parent = folder.parent().unwrap_or(Path::new(""));
    let from_folder = match path.strip_prefix("..") {
        Ok(rest) => parent.join(rest),
        Err(_) => folder.join(path),
    };
    if !is_there(&from_folder) {
        let message = "has no Cargo.toml; name the folder crates/runtime of modelopt's source, \
                       with a path that starts at the folder that is written";
        return Err(Failure::usage(message).of(path));
    }
    Ok(Dependency::Path(path.display().to_string()))
}
