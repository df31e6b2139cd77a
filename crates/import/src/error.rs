//! Why a file is not imported.

use std::fmt;

/// A source file that cannot be imported.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct Error {
    /// The file, as the caller named it.
    pub file: String,
    /// What is wrong with it.
    #[source]
    pub problem: Problem,
}

/// What is wrong with a source file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("{0}")]
    Read(#[from] std::io::Error),
    /// The bytes are not an ONNX model.
    #[error("{0}: the file is truncated, corrupt or no ONNX model; export it again")]
    Malformed(String),
    /// The bytes are not a TensorFlow Lite model.
    #[error(
        "{0}: the file is truncated, corrupt or no TensorFlow Lite model; convert or copy it again"
    )]
    MalformedTflite(String),
    /// The operator set is outside the range that is known.
    #[error(
        "the operator set version {found} is outside {} to {}; \
         export again with `opset_version=17`, or convert with `onnx.version_converter`",
        .supported[0], .supported[1]
    )]
    Opset {
        /// The version in the file.
        found: i64,
        /// The first and the last version that can be imported.
        supported: [i64; 2],
    },
    /// A constant tensor is inconsistent or of a type that is not known.
    #[error("tensor '{name}': {reason}")]
    Tensor {
        /// The tensor's name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The nodes do not form a graph.
    #[error("{0}; the file breaks the rules of ONNX: check it with `onnx.checker`")]
    Structure(String),
    /// A dimension has no value.
    #[error(
        "input '{input}': dimension {axis} ('{name}') is dynamic and has no value; \
         pass `--dim {name}=VALUE`"
    )]
    Dimension {
        /// The input.
        input: String,
        /// Which of its dimensions.
        axis: usize,
        /// The name to give a value to.
        name: String,
    },
    /// An input cannot be what the file or the caller says.
    #[error("input '{input}': {reason}")]
    Input {
        /// The input.
        input: String,
        /// What is wrong, and what helps.
        reason: String,
    },
    /// The caller gives a value to something that the file does not have.
    #[error("there is no {what} '{name}' in the model; it has {known}")]
    UnknownOption {
        /// "dynamic dimension" or "input".
        what: &'static str,
        /// What the caller named.
        name: String,
        /// What there is.
        known: String,
    },
    /// Some nodes cannot be imported: all of them.
    #[error("{}", list(.0))]
    Unsupported(Vec<Unsupported>),
    /// The finished graph is inconsistent: a mistake in this program.
    #[error("the imported graph is inconsistent: {0}")]
    Graph(#[from] graph::Error),
}

/// A node that cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// The node's name, or its first output where it has none.
    pub node: String,
    /// The operator, as the source calls it.
    pub operator: String,
    /// What is not possible.
    pub reason: String,
    /// What the user can do about it.
    pub remedy: String,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unsupported {
            node,
            operator,
            reason,
            remedy,
        } = self;
        write!(f, "node '{node}' ({operator}): {reason}; {remedy}")
    }
}

fn list(nodes: &[Unsupported]) -> String {
    match nodes {
        [only] => only.to_string(),
        _ => {
            let lines: Vec<String> = nodes.iter().map(|node| format!("\n  {node}")).collect();
            format!(
                "{} nodes cannot be imported:{}",
                nodes.len(),
                lines.concat()
            )
        }
    }
}
