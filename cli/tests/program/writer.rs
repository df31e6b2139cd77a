//! Small ONNX files, written node by node, and samples for them.

use rten_onnx::onnx::{
    AttributeProto, AttributeType, DataType, Dimension, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto, TypeProtoTensor, ValueInfoProto,
};

/// Numbers from -1 to 1 that look random.
pub(crate) fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// A model under construction; nodes are called as what they make.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) graph: GraphProto,
}

impl Writer {
    pub(crate) fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attribute: Vec<AttributeProto>,
    ) -> String {
        let output = format!("{operator}{}", self.graph.node.len());
        self.graph.node.push(NodeProto {
            domain: None,
            name: Some(output.clone()),
            input: inputs.iter().map(|&name| name.into()).collect(),
            output: vec![output.clone()],
            op_type: Some(operator.into()),
            attribute,
        });
        output
    }

    pub(crate) fn constant(&mut self, dims: &[usize], values: Vec<f32>) -> String {
        let name = format!("c{}", self.graph.initializer.len());
        self.graph.initializer.push(TensorProto {
            name: Some(name.clone()),
            dims: dims.iter().map(|&size| size as i64).collect(),
            data_type: Some(DataType::FLOAT),
            float_data: values,
            ..TensorProto::default()
        });
        name
    }

    pub(crate) fn scalar(&mut self, value: f32) -> String {
        self.constant(&[], vec![value])
    }

    pub(crate) fn whole(&mut self, values: &[i64]) -> String {
        let name = format!("c{}", self.graph.initializer.len());
        self.graph.initializer.push(TensorProto {
            name: Some(name.clone()),
            dims: vec![values.len() as i64],
            data_type: Some(DataType::INT64),
            int64_data: values.to_vec(),
            ..TensorProto::default()
        });
        name
    }

    pub(crate) fn weights(&mut self, dims: &[usize], scale: f32) -> String {
        let seed = self.graph.initializer.len() as u64 + 1;
        let values = noise(dims.iter().product(), seed);
        self.constant(dims, values.into_iter().map(|v| v * scale).collect())
    }

    pub(crate) fn input(&mut self, name: &str, dims: &[usize]) {
        self.graph.input.push(declaration(name, dims));
    }

    pub(crate) fn output(&mut self, name: &str) {
        self.graph.output.push(ValueInfoProto {
            name: Some(name.into()),
            r#type: None,
        });
    }
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        r#type: Some(kind),
        ..AttributeProto::default()
    }
}

pub(crate) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        i: Some(value),
        ..attribute(name, AttributeType::INT)
    }
}

pub(crate) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        f: Some(value),
        ..attribute(name, AttributeType::FLOAT)
    }
}

pub(crate) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        ints: values.to_vec(),
        ..attribute(name, AttributeType::INTS)
    }
}

pub(crate) fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        s: Some(value.into()),
        ..attribute(name, AttributeType::STRING)
    }
}

pub(crate) fn declaration(name: &str, dims: &[usize]) -> ValueInfoProto {
    let size = |&d: &usize| Dimension {
        dim_value: Some(d as i64),
        dim_param: None,
    };
    let shape = Some(TensorShapeProto {
        dim: dims.iter().map(size).collect(),
    });
    let tensor_type = Some(TypeProtoTensor {
        elem_type: Some(DataType::FLOAT),
        shape,
    });
    ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto {
            tensor_type,
            sequence: None,
        }),
    }
}

pub(crate) fn file(graph: GraphProto, opset: i64) -> Vec<u8> {
    let opset = OperatorSetIdProto {
        domain: None,
        version: Some(opset),
    };
    let model = ModelProto {
        ir_version: Some(8),
        graph: Some(graph),
        opset_import: vec![opset],
        ..ModelProto::default()
    };
    model.write_buf().unwrap()
}

/// Samples from -2 to 2 as a file of NumPy.
pub(crate) fn npy(dims: &[usize], seed: u64) -> Vec<u8> {
    let values = noise(dims.iter().product(), seed);
    npy_of(dims, values.into_iter().map(|value| 2.0 * value))
}

/// Numbers as a file of NumPy.
pub(crate) fn npy_of(dims: &[usize], values: impl Iterator<Item = f32>) -> Vec<u8> {
    let sizes: String = dims.iter().map(|size| format!("{size}, ")).collect();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({sizes}), }}");
    while !(header.len() + 11).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.flat_map(f32::to_le_bytes));
    bytes
}
