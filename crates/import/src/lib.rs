//! Source model files to [`graph::Graph`].
//!
//! The graph mirrors the source and knows no target: no fusion, no quantization. Two things are
//! brought into the project's own form here, so that everything after sees one: convolutions
//! and pools work on `[N, H, W, C]` between transposes that later passes cancel, and what
//! depends on constants alone is a constant.

mod error;
mod onnx;
mod sizes;
mod tflite;
mod transposed;

pub use error::{Error, Problem, Unsupported};
pub use onnx::{microsoft_operators, onnx, onnx_bytes, onnx_inputs, onnx_operators, onnx_tensor};
pub use tflite::{is_tflite, tflite, tflite_bytes, tflite_operators};

use format::fixed::Rounding;
use graph::Graph;
use std::collections::BTreeMap;

/// What the file leaves open and the caller decides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Values of symbolic dimensions by name. A dimension without a name is called
    /// `INPUT.AXIS`, as in `image.2`.
    pub dims: BTreeMap<String, usize>,
    /// Whole shapes by input name, in the source's layout.
    pub shapes: BTreeMap<String, Vec<usize>>,
    /// Values of ONNX inputs that never change, in the order of the shape that the file declares:
    /// shapes, axes and the like, which must be known when a model is compiled.
    pub constants: BTreeMap<String, Vec<f64>>,
    /// The rounding rule of a file that is quantized already. Where nothing is said, that of TensorFlow
    /// Lite Micro for its files, and a single rounding for ONNX files.
    pub rounding: Option<Rounding>,
}

/// The kinds of source files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// ONNX.
    Onnx,
    /// TensorFlow Lite.
    Tflite,
}

/// A model read from a source file.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The model.
    pub graph: Graph,
    /// The kind of file that it was read from.
    pub format: Format,
    /// The version of the operator set that the file uses; of TensorFlow Lite, of the schema.
    pub opset: i64,
    /// How integer sums become outputs where the file is quantized already, and where it is
    /// quantized later.
    pub rounding: Rounding,
    /// The first ONNX node that computes with quantized numbers. Such nodes become float arithmetic
    /// that rounds as they do; the values of TensorFlow Lite say for themselves what they stand for.
    pub quantized: Option<String>,
    /// The program that wrote the file, with its version; empty where it does not say.
    pub producer: String,
    /// SHA-256 of the file.
    pub source_hash: [u8; 32],
    /// What a reader should know and no error is: assumed dimensions, widened types.
    pub notes: Vec<String>,
}
