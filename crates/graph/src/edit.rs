//! Reading and changing a graph.

use crate::{Error, Graph, Kind, Node, Operand, Port, Value, ValueId};
use format::{DType, Shape};
use runtime::host::Data;
use std::collections::HashSet;

impl Graph {
    /// The value behind an id.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0]
    }

    /// The value behind an id, to be changed.
    pub fn value_mut(&mut self, id: ValueId) -> &mut Value {
        &mut self.values[id.0]
    }

    /// Adds a value.
    pub fn add_value(&mut self, value: Value) -> ValueId {
        self.values.push(value);
        ValueId(self.values.len() - 1)
    }

    /// Adds a constant.
    pub fn add_constant(&mut self, name: impl Into<String>, shape: Shape, data: Data) -> ValueId {
        let dtype = data.dtype();
        let (name, data) = (name.into(), Some(data));
        self.add_value(Value {
            name,
            dtype,
            shape,
            quantization: None,
            data,
        })
    }

    /// Adds an input that the caller sees as it is.
    pub fn add_input(&mut self, name: impl Into<String>, dtype: DType, shape: Shape) -> ValueId {
        let name = name.into();
        let value = self.add_value(Value {
            name: name.clone(),
            dtype,
            shape,
            quantization: None,
            data: None,
        });
        self.inputs.push(Port {
            name,
            value,
            shape,
            axes: Vec::new(),
        });
        value
    }

    /// Makes a value an output that the caller sees as it is.
    pub fn add_output(&mut self, name: impl Into<String>, value: ValueId) {
        let shape = self.value(value).shape;
        self.outputs.push(Port {
            name: name.into(),
            value,
            shape,
            axes: Vec::new(),
        });
    }

    /// An operand as shape rules and lowering see it.
    pub fn operand(&self, id: ValueId) -> Operand<'_> {
        let value = self.value(id);
        Operand {
            dtype: value.dtype,
            shape: value.shape,
            quantization: value.quantization.as_ref(),
            data: value.data.as_ref(),
        }
    }

    /// All input operands of a node.
    pub fn operands(&self, inputs: &[Option<ValueId>]) -> Vec<Option<Operand<'_>>> {
        inputs
            .iter()
            .map(|input| input.map(|id| self.operand(id)))
            .collect()
    }

    /// The types and shapes that a node would produce.
    pub fn infer(
        &self,
        name: &str,
        kind: &Kind,
        inputs: &[Option<ValueId>],
    ) -> Result<Vec<(DType, Shape)>, Error> {
        let operator = kind.operator();
        operator
            .infer(&self.operands(inputs))
            .map_err(|reason| Error {
                node: name.into(),
                operator: operator.name().into(),
                reason,
            })
    }

    /// A node with new values for its outputs; the caller places it.
    pub fn make_node(
        &mut self,
        name: impl Into<String>,
        kind: impl Into<Kind>,
        inputs: Vec<Option<ValueId>>,
    ) -> Result<Node, Error> {
        let (name, kind) = (name.into(), kind.into());
        let inferred = self.infer(&name, &kind, &inputs)?;
        let outputs = inferred
            .into_iter()
            .map(|(dtype, shape)| {
                let name = name.clone();
                self.add_value(Value {
                    name,
                    dtype,
                    shape,
                    quantization: None,
                    data: None,
                })
            })
            .collect();
        Ok(Node {
            name,
            kind,
            inputs,
            outputs,
        })
    }

    /// Appends a node and returns its outputs.
    pub fn push(
        &mut self,
        name: impl Into<String>,
        kind: impl Into<Kind>,
        inputs: &[ValueId],
    ) -> Result<Vec<ValueId>, Error> {
        let node = self.make_node(name, kind, inputs.iter().copied().map(Some).collect())?;
        let outputs = node.outputs.clone();
        self.nodes.push(node);
        Ok(outputs)
    }

    /// The index of the node that makes a value.
    pub fn producer(&self, id: ValueId) -> Option<usize> {
        self.nodes
            .iter()
            .position(|node| node.outputs.contains(&id))
    }

    /// The indices of the nodes that read a value, each once.
    pub fn consumers(&self, id: ValueId) -> Vec<usize> {
        let reads = |node: &Node| node.inputs.contains(&Some(id));
        (0..self.nodes.len())
            .filter(|&i| reads(&self.nodes[i]))
            .collect()
    }

    /// Whether a value is an output of the graph.
    pub fn is_output(&self, id: ValueId) -> bool {
        self.outputs.iter().any(|port| port.value == id)
    }

    /// The only reader of a value that is no output.
    pub fn only_consumer(&self, id: ValueId) -> Option<usize> {
        match self.consumers(id)[..] {
            [reader] if !self.is_output(id) => Some(reader),
            _ => None,
        }
    }

    /// Makes every reader of `from`, outputs included, read `to` instead.
    pub fn replace_uses(&mut self, from: ValueId, to: ValueId) {
        let inputs = self
            .nodes
            .iter_mut()
            .flat_map(|node| node.inputs.iter_mut());
        inputs
            .filter(|input| **input == Some(from))
            .for_each(|input| *input = Some(to));
        let outputs = self.outputs.iter_mut().filter(|port| port.value == from);
        outputs.for_each(|port| port.value = to);
    }

    /// Infers types and shapes again, in order, after an edit.
    pub fn infer_all(&mut self) -> Result<(), Error> {
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
            let inferred = self.infer(&node.name, &node.kind, &node.inputs)?;
            for (id, (dtype, shape)) in node.outputs.clone().into_iter().zip(inferred) {
                let value = self.value_mut(id);
                (value.dtype, value.shape) = (dtype, shape);
            }
        }
        Ok(())
    }

    /// Removes nodes whose results nobody reads; returns how many. What is assigned to a variable is read
    /// where the variable is, in the next run.
    pub fn remove_dead(&mut self) -> usize {
        let mut live: HashSet<ValueId> = self.outputs.iter().map(|port| port.value).collect();
        let mut kept = vec![false; self.nodes.len()];
        loop {
            let before = kept.clone();
            for (node, kept) in self.nodes.iter().zip(&mut kept).rev() {
                let assigned = node.assigned().is_some_and(|id| live.contains(&id));
                if !*kept && (assigned || node.outputs.iter().any(|id| live.contains(id))) {
                    live.extend(node.inputs.iter().flatten());
                    *kept = true;
                }
            }
            if kept == before {
                break;
            }
        }
        let before = self.nodes.len();
        let mut is_kept = kept.into_iter();
        self.nodes.retain(|_| is_kept.next() == Some(true));
        before - self.nodes.len()
    }

    /// Multiply-accumulate operations of one node.
    pub fn node_macs(&self, node: &Node) -> u64 {
        let outputs: Vec<Operand<'_>> = node.outputs.iter().map(|&id| self.operand(id)).collect();
        node.kind
            .operator()
            .macs(&self.operands(&node.inputs), &outputs)
    }

    /// Multiply-accumulate operations of one run.
    pub fn macs(&self) -> u64 {
        self.nodes.iter().map(|node| self.node_macs(node)).sum()
    }

    /// Whether any node keeps something from run to run, so that samples follow one another.
    pub fn keeps_state(&self) -> bool {
        self.nodes.iter().any(Node::keeps_state)
    }

    /// Whether any node reads or makes integers that stand for real numbers.
    pub fn is_quantized(&self) -> bool {
        let read = self.nodes.iter().flat_map(|node| {
            let inputs = node.inputs.iter().flatten();
            inputs.chain(&node.outputs).copied()
        });
        let mut values = read.map(|id| self.value(id));
        values.any(|value| value.quantization.is_some() && value.dtype != DType::F32)
    }

    /// The constants that nodes read, each once.
    pub fn constants(&self) -> Vec<ValueId> {
        let mut seen = HashSet::new();
        let read = self
            .nodes
            .iter()
            .flat_map(|node| node.inputs.iter().flatten().copied());
        read.filter(|&id| self.value(id).data.is_some() && seen.insert(id))
            .collect()
    }

    /// Elements of all constants that nodes read.
    pub fn parameters(&self) -> usize {
        self.constants()
            .iter()
            .map(|&id| self.value(id).shape.elements())
            .sum()
    }
}
