//! The editable graph between an imported model and a compiled one.
//!
//! Nodes stand in an order of execution; every value has one producer, or is an input, or is
//! constant. Operators mean what their file in `runtime/src/ops` says: images are
//! `[N, H, W, C]`, convolution weights `[O, KH, KW, I]`. Real numbers are the meaning; a value
//! with a [`Quantization`] holds integers that stand for them.

mod edit;
mod print;
mod verify;

pub use format::{DType, Shape};
pub use runtime::host::{Data, Operand, Quantization};
pub use runtime::ops::Kind;

/// A value's place in [`Graph::values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub usize);

/// A tensor that flows through the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// The name in the source model, or one made by a pass.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Dimensions; a batch is 1.
    pub shape: Shape,
    /// Present where integers stand for real numbers, and at constants of floats that are whole numbers
    /// of steps, from which the integers can be had again.
    pub quantization: Option<Quantization>,
    /// The elements of a constant.
    pub data: Option<Data>,
}

/// An operator applied to values.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The name in the source model, or one made by a pass.
    pub name: String,
    /// The operator and its attributes.
    pub kind: Kind,
    /// Operands, `None` where an optional one is left out.
    pub inputs: Vec<Option<ValueId>>,
    /// Results.
    pub outputs: Vec<ValueId>,
}

impl Node {
    /// The variable that it assigns to.
    pub fn assigned(&self) -> Option<ValueId> {
        match self.kind {
            Kind::Assign(_) => self.inputs.first().copied().flatten(),
            _ => None,
        }
    }

    /// Whether it keeps anything from run to run.
    pub fn keeps_state(&self) -> bool {
        let operator = self.kind.operator();
        (0..self.outputs.len()).any(|output| operator.keeps_state(output))
    }
}

/// An input or an output as the caller sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// The name in the source model.
    pub name: String,
    /// The value inside the graph.
    pub value: ValueId,
    /// The shape that the source model declares.
    pub shape: Shape,
    /// Axis `i` of the value is the caller's axis `axes[i]`; empty when they are the same.
    pub axes: Vec<u8>,
}

/// A model as a graph.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// The name in the source model.
    pub name: String,
    /// All values; some may be unused after edits.
    pub values: Vec<Value>,
    /// Nodes in an order of execution.
    pub nodes: Vec<Node>,
    /// What the caller passes.
    pub inputs: Vec<Port>,
    /// What the caller gets.
    pub outputs: Vec<Port>,
    /// Whether float operators between Dequantize and Quantize stand for integer ones, as in ONNX files.
    pub simulates_integers: bool,
}

/// What is wrong at a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node '{node}' ({operator}): {reason}")]
pub struct Error {
    /// The node's name.
    pub node: String,
    /// Its operator.
    pub operator: String,
    /// What does not fit.
    pub reason: String,
}
