//! The part of a model that only hosts and browsers read: names, layouts, preprocessing, labels,
//! and where the model came from. It is stored with postcard.

use crate::{Error, Model, Reason};
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Everything about a model that its execution does not need.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// The inputs, in order.
    pub inputs: Vec<Port>,
    /// The outputs, in order.
    pub outputs: Vec<Port>,
    /// Where the model came from and how it was made.
    pub manifest: Manifest,
}

/// A named input or output as the caller sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Port {
    /// The name in the source model.
    pub name: String,
    /// The shape that the source model declares; the leading batch dimension is 1.
    pub shape: Vec<u32>,
    /// How the caller's dimensions map to those of the tensor: tensor axis `i` is the caller's
    /// axis `axes[i]`. Empty when they are the same. An image model from PyTorch takes
    /// `[N, C, H, W]` and stores `[0, 2, 3, 1]` here.
    pub axes: Vec<u8>,
    /// What is done to raw data before it becomes this input.
    pub preprocess: Preprocess,
    /// The names of the classes, where the port is a vector of scores.
    pub labels: Vec<String>,
}

/// `(value * scale - mean[c]) / std[c]` per channel of the raw data, after resizing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    /// Factor applied first.
    pub scale: f32,
    /// Subtracted per channel; one value serves all channels; empty means 0.
    pub mean: Vec<f32>,
    /// Divisor per channel; one value serves all channels; empty means 1.
    pub std: Vec<f32>,
    /// Whether channels come first (`CHW`) in what the model takes, for raw data in `HWC`.
    pub channels_first: bool,
}

impl Default for Preprocess {
    fn default() -> Self {
        Preprocess {
            scale: 1.0,
            mean: Vec::new(),
            std: Vec::new(),
            channels_first: false,
        }
    }
}

/// How a model was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Name and version of the program that wrote the file.
    pub tool: String,
    /// SHA-256 of the source model, empty when unknown.
    pub source_hash: Vec<u8>,
    /// SHA-256 of the calibration data, empty when there was none.
    pub data_hash: Vec<u8>,
    /// The options that made it, as they would be typed.
    pub recipe: String,
    /// The evaluator's figures, by name.
    pub figures: Vec<(String, f32)>,
}

impl Meta {
    /// Reads the signature and the manifest of a checked model.
    pub fn of(model: &Model<'_>) -> Result<Self, Error> {
        let meta: Meta =
            postcard::from_bytes(model.meta_bytes()).map_err(|_| Error::new(Reason::Meta, 0))?;
        let fits =
            meta.inputs.len() == model.input_count() && meta.outputs.len() == model.output_count();
        if fits {
            Ok(meta)
        } else {
            Err(Error::new(Reason::Meta, 0))
        }
    }
}
