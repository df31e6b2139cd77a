//! The file itself, as ONNX's messages.

use format::DType;
use rten_onnx::onnx::{
    AttributeProto, AttributeType, DataType, Dimension, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto, TypeProtoTensor, ValueInfoProto,
};
use std::cell::RefCell;

/// The version of the operator set: the first with quantization by channels.
const OPSET: i64 = 13;

/// The version of the file format that goes with it.
const IR_VERSION: i64 = 7;

/// Bytes of elements by type.
pub(super) enum Elements {
    F32(Vec<u8>),
    I8(Vec<u8>),
    Bool(Vec<u8>),
    I32(Vec<u8>),
    I64(Vec<u8>),
}

/// What is collected of a file.
#[derive(Default)]
pub(super) struct File {
    graph: GraphProto,
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        r#type: Some(kind),
        ..AttributeProto::default()
    }
}

/// A whole number.
pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        i: Some(value),
        ..attribute(name, AttributeType::INT)
    }
}

/// A real number.
pub(super) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        f: Some(value),
        ..attribute(name, AttributeType::FLOAT)
    }
}

/// A name.
pub(super) fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        s: Some(value.into()),
        ..attribute(name, AttributeType::STRING)
    }
}

/// Whole numbers.
pub(super) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        ints: values.to_vec(),
        ..attribute(name, AttributeType::INTS)
    }
}

/// A port of floats or of whole numbers.
fn port(name: &str, shape: &[usize], dtype: DType) -> ValueInfoProto {
    let kind = match dtype {
        DType::I32 => DataType::INT32,
        DType::I64 => DataType::INT64,
        DType::Bool => DataType::BOOL,
        _ => DataType::FLOAT,
    };
    let dimension = |&size: &usize| Dimension {
        dim_value: Some(size as i64),
        ..Dimension::default()
    };
    let tensor = TypeProtoTensor {
        elem_type: Some(kind),
        shape: Some(TensorShapeProto {
            dim: shape.iter().map(dimension).collect(),
        }),
    };
    ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto {
            tensor_type: Some(tensor),
            ..TypeProto::default()
        }),
    }
}

impl File {
    pub(super) fn input(&mut self, name: &str, shape: &[usize], dtype: DType) {
        self.graph.input.push(port(name, shape, dtype));
    }

    pub(super) fn output(&mut self, name: &str, shape: &[usize], dtype: DType) {
        self.graph.output.push(port(name, shape, dtype));
    }

    /// Adds a constant, unless there is one of the name. Signed bytes become unsigned ones, 128
    /// higher, zero points as well: the values stay the same, and ONNX Runtime's fast products of
    /// unsigned and signed bytes, which overflow on processors without VNNI, are not taken.
    pub(super) fn constant(&mut self, name: &str, shape: &[usize], elements: Elements) {
        let mut known = self.graph.initializer.iter();
        if known.any(|tensor| tensor.name.as_deref() == Some(name)) {
            return;
        }
        let (kind, bytes) = match elements {
            Elements::F32(bytes) => (DataType::FLOAT, bytes),
            Elements::I8(bytes) => {
                let moved = bytes.iter().map(|byte| byte ^ 0x80);
                (DataType::UINT8, moved.collect())
            }
            Elements::Bool(bytes) => (DataType::BOOL, bytes),
            Elements::I32(bytes) => (DataType::INT32, bytes),
            Elements::I64(bytes) => (DataType::INT64, bytes),
        };
        self.graph.initializer.push(TensorProto {
            name: Some(name.into()),
            dims: shape.iter().map(|&size| size as i64).collect(),
            data_type: Some(kind),
            raw_data: Some(RefCell::new(bytes)),
            ..TensorProto::default()
        });
    }

    /// A constant row of whole numbers.
    pub(super) fn numbers(&mut self, name: &str, values: &[usize]) {
        let bytes = values
            .iter()
            .flat_map(|&value| (value as i64).to_le_bytes());
        self.constant(name, &[values.len()], Elements::I64(bytes.collect()));
    }

    pub(super) fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: Vec<AttributeProto>,
    ) {
        self.graph.node.push(NodeProto {
            name: Some(output.into()),
            input: inputs.iter().map(|&input| input.into()).collect(),
            output: vec![output.into()],
            op_type: Some(operator.into()),
            attribute: attributes,
            ..NodeProto::default()
        });
    }

    /// The bytes of the file.
    pub(super) fn finish(self, tool: &str) -> Result<Vec<u8>, String> {
        let standard = OperatorSetIdProto {
            domain: None,
            version: Some(OPSET),
        };
        let model = ModelProto {
            ir_version: Some(IR_VERSION),
            graph: Some(self.graph),
            opset_import: vec![standard],
            producer_name: Some(tool.into()),
            ..ModelProto::default()
        };
        model.write_buf().map_err(|error| error.to_string())
    }
}
