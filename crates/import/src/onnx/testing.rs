//! Tiny ONNX models for tests, and a plain interpreter for graphs.

use crate::{Error, Imported, Options, Problem, Unsupported};
use graph::{DType, Data, Graph, Shape, ValueId};
use rten_onnx::onnx::{
    AttributeProto, AttributeType, DataType, Dimension, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto, TypeProtoTensor, ValueInfoProto,
};
use runtime::host::{Tensor, evaluate};
use std::collections::HashMap;

/// A model under construction: operands are called `x0`, `x1`, … in their order.
pub(super) struct Source {
    opset: i64,
    graph: GraphProto,
    operands: Vec<String>,
    feeds: Vec<Vec<f32>>,
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        r#type: Some(kind),
        ..AttributeProto::default()
    }
}

pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        i: Some(value),
        ..attribute(name, AttributeType::INT)
    }
}

pub(super) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        f: Some(value),
        ..attribute(name, AttributeType::FLOAT)
    }
}

pub(super) fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        s: Some(value.into()),
        ..attribute(name, AttributeType::STRING)
    }
}

pub(super) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        ints: values.to_vec(),
        ..attribute(name, AttributeType::INTS)
    }
}

pub(super) fn floats(name: &str, values: &[f32]) -> AttributeProto {
    AttributeProto {
        floats: values.to_vec(),
        ..attribute(name, AttributeType::FLOATS)
    }
}

pub(super) fn tensor(name: &str, dims: &[i64], values: &[f32]) -> AttributeProto {
    let t = Some(float_tensor("", dims, values));
    AttributeProto {
        t,
        ..attribute(name, AttributeType::TENSOR)
    }
}

pub(super) fn float_tensor(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        name: Some(name.into()),
        dims: dims.to_vec(),
        data_type: Some(DataType::FLOAT),
        float_data: values.to_vec(),
        ..TensorProto::default()
    }
}

/// Declares a tensor of a type and of fixed dimensions.
pub(super) fn declaration(name: &str, dtype: DataType, dims: &[i64]) -> ValueInfoProto {
    let size = |&d: &i64| Dimension {
        dim_value: Some(d),
        dim_param: None,
    };
    let shape = Some(TensorShapeProto {
        dim: dims.iter().map(size).collect(),
    });
    let tensor_type = Some(TypeProtoTensor {
        elem_type: Some(dtype),
        shape,
    });
    let r#type = Some(TypeProto {
        tensor_type,
        sequence: None,
    });
    ValueInfoProto {
        name: Some(name.into()),
        r#type,
    }
}

impl Source {
    pub(super) fn new(opset: i64) -> Self {
        let (operands, feeds) = (Vec::new(), Vec::new());
        Source {
            opset,
            graph: GraphProto::default(),
            operands,
            feeds,
        }
    }

    fn operand(&mut self) -> String {
        let name = format!("x{}", self.operands.len());
        self.operands.push(name.clone());
        name
    }

    /// A float input and what to feed it.
    pub(super) fn input(mut self, dims: &[i64], values: &[f32]) -> Self {
        let name = self.operand();
        self.graph
            .input
            .push(declaration(&name, DataType::FLOAT, dims));
        self.feeds.push(values.to_vec());
        self
    }

    /// An input of another type, for models that are not run.
    pub(super) fn input_of(mut self, dtype: DataType, dims: &[i64]) -> Self {
        let name = self.operand();
        self.graph.input.push(declaration(&name, dtype, dims));
        self
    }

    /// A float constant.
    pub(super) fn constant(mut self, dims: &[i64], values: &[f32]) -> Self {
        let name = self.operand();
        self.graph
            .initializer
            .push(float_tensor(&name, dims, values));
        self
    }

    /// A constant list of whole numbers.
    pub(super) fn whole(self, values: &[i64]) -> Self {
        self.whole_of(&[values.len() as i64], values)
    }

    /// A constant of whole numbers.
    pub(super) fn whole_of(mut self, dims: &[i64], values: &[i64]) -> Self {
        let name = self.operand();
        self.graph.initializer.push(TensorProto {
            name: Some(name),
            dims: dims.to_vec(),
            data_type: Some(DataType::INT64),
            int64_data: values.to_vec(),
            ..TensorProto::default()
        });
        self
    }

    /// A constant of integers of a type.
    pub(super) fn bytes_of(mut self, dtype: DataType, dims: &[i64], values: &[i32]) -> Self {
        let name = self.operand();
        self.graph.initializer.push(TensorProto {
            name: Some(name),
            dims: dims.to_vec(),
            data_type: Some(dtype),
            int32_data: values.to_vec(),
            ..TensorProto::default()
        });
        self
    }

    /// An operand that is left out.
    pub(super) fn absent(mut self) -> Self {
        self.operands.push(String::new());
        self
    }

    /// A node.
    pub(super) fn node(
        mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attribute: Vec<AttributeProto>,
    ) -> Self {
        self.graph.node.push(NodeProto {
            domain: None,
            name: Some(format!("{operator}-{output}")),
            input: inputs.iter().map(|&name| name.into()).collect(),
            output: vec![output.into()],
            op_type: Some(operator.into()),
            attribute,
        });
        self
    }

    /// An output.
    pub(super) fn output(mut self, name: &str) -> Self {
        self.graph.output.push(ValueInfoProto {
            name: Some(name.into()),
            r#type: None,
        });
        self
    }

    /// A node over all operands, whose result `y` is the output.
    pub(super) fn apply(self, operator: &str, attributes: Vec<AttributeProto>) -> Self {
        let operands = self.operands.clone();
        let inputs: Vec<&str> = operands.iter().map(String::as_str).collect();
        self.node(operator, &inputs, "y", attributes).output("y")
    }

    /// How many operands there are.
    pub(super) fn operand_count(&self) -> usize {
        self.operands.len()
    }

    /// Changes the parts that other methods do not reach.
    pub(super) fn edit(mut self, edit: impl FnOnce(&mut GraphProto)) -> Self {
        edit(&mut self.graph);
        self
    }

    /// The file.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let opset = OperatorSetIdProto {
            domain: None,
            version: Some(self.opset),
        };
        let model = ModelProto {
            ir_version: Some(8),
            graph: Some(self.graph.clone()),
            opset_import: vec![opset],
            ..ModelProto::default()
        };
        model.write_buf().unwrap()
    }

    pub(super) fn import(&self) -> Result<Imported, Error> {
        crate::onnx_bytes("test", &self.bytes(), &Options::default())
    }

    /// The only output's shape and elements, computed by the runtime's operators.
    pub(super) fn run(&self) -> (String, Vec<f32>) {
        let graph = self.import().unwrap().graph;
        let tensor = run(&graph, &self.feeds);
        (
            tensor.shape.to_string(),
            tensor.data.f32().unwrap().to_vec(),
        )
    }

    /// The output, which must be a constant of whole numbers.
    pub(super) fn folded(&self) -> (String, Vec<i64>) {
        let graph = self.import().unwrap().graph;
        assert!(graph.nodes.is_empty(), "{graph}");
        let value = graph.value(graph.outputs[0].value);
        (
            value.shape.to_string(),
            value.data.as_ref().unwrap().to_i64().unwrap(),
        )
    }

    /// The operators of the graph, in order.
    pub(super) fn operators(&self) -> Vec<&'static str> {
        let graph = self.import().unwrap().graph;
        graph
            .nodes
            .iter()
            .map(|node| node.kind.operator().name())
            .collect()
    }

    /// All refused nodes.
    pub(super) fn refused(&self) -> Vec<Unsupported> {
        match self.import().unwrap_err().problem {
            Problem::Unsupported(nodes) => nodes,
            other => panic!("{other}"),
        }
    }

    /// The message about the only refused node.
    pub(super) fn refusal(&self) -> String {
        let nodes = self.refused();
        assert_eq!(nodes.len(), 1, "{nodes:?}");
        nodes[0].to_string()
    }
}

/// Runs the nodes one by one.
fn run(graph: &Graph, feeds: &[Vec<f32>]) -> Tensor {
    let mut values: HashMap<ValueId, Tensor> = HashMap::new();
    for (port, feed) in graph.inputs.iter().zip(feeds) {
        let shape: Shape = graph.value(port.value).shape;
        assert_eq!(feed.len(), shape.elements());
        values.insert(
            port.value,
            Tensor {
                shape,
                data: Data::F32(feed.clone()),
            },
        );
    }
    let read = |values: &HashMap<ValueId, Tensor>, id: ValueId| match &graph.value(id).data {
        Some(data) => Tensor {
            shape: graph.value(id).shape,
            data: data.clone(),
        },
        None => values[&id].clone(),
    };
    // Floats that remember their steps are floats.
    let steps = |id: ValueId| {
        let value = graph.value(id);
        value
            .quantization
            .clone()
            .filter(|_| value.dtype != DType::F32)
    };
    for node in &graph.nodes {
        let operands: Vec<_> = node
            .inputs
            .iter()
            .map(|id| id.map(|id| (read(&values, id), steps(id))))
            .collect();
        let made: Vec<_> = node.outputs.iter().map(|&id| steps(id)).collect();
        let results = match &node.kind {
            // It has no device half.
            graph::Kind::Reshape(reshape) => {
                let (tensor, _) = operands[0].clone().unwrap();
                vec![Tensor {
                    shape: reshape.shape,
                    data: tensor.data,
                }]
            }
            kind => {
                let rounding = format::fixed::Rounding::Single;
                evaluate(kind.operator(), &operands, &made, rounding).unwrap()
            }
        };
        values.extend(node.outputs.iter().copied().zip(results));
    }
    read(&values, graph.outputs[0].value)
}
