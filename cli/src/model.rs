//! Model files, told apart by what is in them.

use crate::failure::Failure;
use format::MAGIC;
use format::fixed::Rounding;
use import::{Imported, Options};
use runtime::host::Runner;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// Values for what a source model leaves open.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct OpenArguments {
    /// Value of a dynamic dimension of an ONNX model, by its name; repeatable
    #[arg(long = "dim", value_name = "NAME=SIZE", value_parser = parse_dim)]
    dims: Vec<(String, usize)>,
    /// Shape of an input of an ONNX model; repeatable
    #[arg(long = "shape", value_name = "INPUT=1,3,32,32", value_parser = parse_shape)]
    shapes: Vec<(String, Vec<usize>)>,
    /// Values of an input of an ONNX model that never changes, such as a shape; repeatable
    #[arg(long = "constant", value_name = "INPUT=1,-1,64", value_parser = parse_constant)]
    constants: Vec<(String, Vec<f64>)>,
}

/// How a source model is read.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ImportArguments {
    #[command(flatten)]
    open: OpenArguments,
    /// How integer sums of a model that is quantized already are rounded: as TensorFlow Lite Micro does
    /// it (tflm), or once (single) [default: tflm for TFLite, single for ONNX]
    #[arg(long, value_name = "RULE", value_parser = parse_rounding)]
    rounding: Option<Rounding>,
}

impl ImportArguments {
    /// Fails where anything is given: a compact model leaves nothing open.
    fn check_unused(&self, path: &Path) -> Result<(), Failure> {
        if self.rounding.is_some() {
            return Err(unrounded(path));
        }
        let open = &self.open;
        if open.dims.is_empty() && open.shapes.is_empty() && open.constants.is_empty() {
            return Ok(());
        }
        let message =
            "is a compact model, whose shapes are fixed; leave out --dim, --shape and --constant";
        Err(Failure::usage(message).of(path))
    }

    fn options(&self) -> Options {
        Options {
            dims: BTreeMap::from_iter(self.open.dims.iter().cloned()),
            shapes: BTreeMap::from_iter(self.open.shapes.iter().cloned()),
            constants: BTreeMap::from_iter(self.open.constants.iter().cloned()),
            rounding: self.rounding,
        }
    }
}

fn parse_dim(text: &str) -> Result<(String, usize), String> {
    let (name, size) = text.split_once('=').ok_or("write it as NAME=SIZE")?;
    let size: usize = size
        .trim()
        .parse()
        .map_err(|_| format!("'{size}' is not a size"))?;
    Ok((name.trim().to_string(), size))
}

fn parse_shape(text: &str) -> Result<(String, Vec<usize>), String> {
    let (name, sizes) = text.split_once('=').ok_or("write it as INPUT=1,3,32,32")?;
    let sizes: Result<Vec<usize>, _> = sizes.split(',').map(|size| size.trim().parse()).collect();
    let sizes = sizes.map_err(|_| format!("'{text}' has a size that is not a number"))?;
    Ok((name.trim().to_string(), sizes))
}

fn parse_constant(text: &str) -> Result<(String, Vec<f64>), String> {
    let (name, values) = text.split_once('=').ok_or("write it as INPUT=1,-1,64")?;
    let values: Result<Vec<f64>, _> = values
        .split(',')
        .map(|value| value.trim().parse())
        .collect();
    let values = values.map_err(|_| format!("'{text}' has a value that is not a number"))?;
    Ok((name.trim().to_string(), values))
}

pub(crate) fn parse_rounding(text: &str) -> Result<Rounding, String> {
    match text {
        "tflm" => Ok(Rounding::Double),
        "single" => Ok(Rounding::Single),
        _ => Err("write tflm or single".into()),
    }
}

/// What [`parse_rounding`] reads.
pub(crate) fn rounding_option(rounding: Rounding) -> &'static str {
    match rounding {
        Rounding::Double => "tflm",
        Rounding::High | Rounding::Single => "single",
    }
}

/// A model file.
pub(crate) enum ModelFile {
    /// A source model, ONNX or TFLite, with the size of its file.
    Source(Box<Imported>, usize),
    /// A compact model.
    Compact(Box<Runner>),
}

/// Reads a model file.
pub(crate) fn load(path: &Path, arguments: &ImportArguments) -> Result<ModelFile, Failure> {
    let bytes = read(path)?;
    if bytes.starts_with(&MAGIC) {
        arguments.check_unused(path)?;
        let runner = Runner::new(&bytes).map_err(|error| refused(path, error))?;
        return Ok(ModelFile::Compact(Box::new(runner)));
    }
    let options = arguments.options();
    let imported = match import::is_tflite(&bytes) {
        true => import::tflite(path, &options),
        false => import::onnx(path, &options),
    };
    let imported = imported.map_err(|error| unreadable(path, &bytes, error))?;
    let has_integers = imported.graph.is_quantized() || imported.graph.simulates_integers;
    if arguments.rounding.is_some() && !has_integers {
        return Err(unrounded(path));
    }
    Ok(ModelFile::Source(Box::new(imported), bytes.len()))
}

/// Reads a source model.
pub(crate) fn source(path: &Path, arguments: &ImportArguments) -> Result<Imported, Failure> {
    match load(path, arguments)? {
        ModelFile::Source(imported, _) => Ok(*imported),
        ModelFile::Compact(_) => Err(compact_already(path)),
    }
}

/// Refuses a compact model where a source model is needed, before its name is taken for that of the output.
pub(crate) fn refuse_compact(path: &Path) -> Result<(), Failure> {
    match is_compact(path) {
        true => Err(compact_already(path)),
        false => Ok(()),
    }
}

fn compact_already(path: &Path) -> Failure {
    let message = "is a compact model already; pass the model that it was made from";
    Failure::usage(message).of(path)
}

/// Reads a source model that is not quantized yet, and so has no integers to round.
pub(crate) fn float_source(path: &Path, open: &OpenArguments) -> Result<Imported, Failure> {
    let arguments = ImportArguments {
        open: open.clone(),
        rounding: None,
    };
    let imported = source(path, &arguments)?;
    if imported.graph.is_quantized() || imported.quantized.is_some() {
        let file = path.display();
        let message = format!(
            "is already quantized; `modelopt optimize {file}` makes a compact model of it as it is, \
             or pass the float model that it was made from"
        );
        return Err(Failure::usage(message).of(path));
    }
    Ok(imported)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    if path.is_dir() {
        return Err(Failure::usage("is a folder; name a model file").of(path));
    }
    std::fs::read(path).map_err(|error| Failure::file(path, &error))
}

/// Whether a file is a compact model; one that cannot be read is none.
pub(crate) fn is_compact(path: &Path) -> bool {
    let mut start = [0; MAGIC.len()];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start == MAGIC
}

/// Of a file that is nothing known, what the kind that its name promises has to say.
fn unreadable(path: &Path, bytes: &[u8], error: import::Error) -> Failure {
    let is_unknown = matches!(error.problem, import::Problem::Malformed(_));
    let ending = path.extension().filter(|_| is_unknown);
    match ending.and_then(|ending| ending.to_str()) {
        Some("mopt") => {
            Runner::new(bytes).map_or_else(|error| refused(path, error), |_| error.into())
        }
        Some("tflite") => {
            import::tflite(path, &Options::default()).map_or_else(Failure::from, |_| error.into())
        }
        _ => error.into(),
    }
}

fn unrounded(path: &Path) -> Failure {
    let message = "has no integers of its own to round; leave out --rounding";
    Failure::usage(message).of(path)
}

fn refused(path: &Path, error: runtime::Error) -> Failure {
    let code = error.code();
    Failure::usage(format!("{error}; `modelopt explain M{code}` tells more")).of(path)
}
