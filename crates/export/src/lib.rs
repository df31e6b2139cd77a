//! Compact int8 models as files that other runtimes read: TensorFlow Lite, and ONNX with
//! QuantizeLinear and DequantizeLinear or with operators of integers.
//!
//! What is exported is the finished model, not the graph that it came from: its plan is read back
//! into [layers](network), with the scales that its multipliers stand for. Where the other runtime
//! rounds in another way than the model, a note says so.

pub mod network;
mod onnx;
mod tflite;

pub use onnx::{OnnxForm, onnx};
pub use tflite::tflite;

/// A finished file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What the reader's runtime will do in another way than ours.
    pub notes: Vec<String>,
}

/// Why a model cannot be exported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A node of the plan has no counterpart.
    #[error(
        "node {index} ({operator}) has no counterpart in {target}: {reason}; \
         quantize the model without it, or export to Rust"
    )]
    Node {
        /// The node's place in the plan.
        index: usize,
        /// Its operator.
        operator: &'static str,
        /// The format that is written.
        target: &'static str,
        /// What is missing.
        reason: String,
    },
    /// A node keeps state from run to run.
    #[error(
        "node {index} ({operator}) keeps state from run to run, which is not written to {target} files; \
         export to Rust"
    )]
    State {
        /// The node's place in the plan.
        index: usize,
        /// Its operator.
        operator: &'static str,
        /// The format that is written.
        target: &'static str,
    },
    /// The plan contradicts itself: no compiler wrote it.
    #[error("the plan is inconsistent at node {0}")]
    Plan(usize),
    /// The other format's writer fails.
    #[error("cannot write the file: {0}")]
    Write(String),
}
