//! Lays out a lowered and placed graph as a file.

use crate::Error;
use crate::arena::{self, Buffer, OFFSET_ALIGNMENT, Placement};
use crate::lifetimes::{Buffers, buffers};
use crate::narrow::narrowed;
use crate::pack::pack;
use crate::replay::replay;
use crate::variables::settled;
use format::fixed::Rounding;
use format::meta::{Manifest, Meta, Port, Preprocess};
use format::{ABSENT, DType, NodeRecord, Place, TensorRecord, Writer};
use graph::{Graph, Kind, ValueId};
use kernels::Architecture;
use runtime::host::{AlignedBytes, Lowered, LoweredOperand, Operand, tensor_record};
use runtime::{Model, ops};
use std::borrow::Cow;
use std::collections::HashMap;

/// What to compile for, and what to say in the file.
#[derive(Clone, Debug)]
pub struct Options {
    /// The rounding rule of requantized outputs.
    pub rounding: Rounding,
    /// Architectures whose scratch memory is planned inside the arena.
    pub targets: Vec<Architecture>,
    /// Orders tried by the arena's planner.
    pub effort: usize,
    /// Whether weights of convolutions are stored as int4 or f16 where each of them is such a number: it
    /// halves the file, and costs devices scratch memory for the widened weights of one node.
    pub narrow_weights: bool,
    /// Whether convolutions of int8 carry weights packed for Cortex-M with the DSP extension, too, where
    /// it has faster loops for such: see [`runtime::ops::conv_2d::packed`].
    pub packed_weights: bool,
    /// Whether slices and concatenations always copy, for those who watch values while nodes run: else what
    /// is a part of another value is where that is, if it takes no more memory.
    pub copies: bool,
    /// What is done to raw data, per input.
    pub preprocess: Vec<Preprocess>,
    /// Names of classes, for the first output.
    pub labels: Vec<String>,
    /// Where the model came from.
    pub manifest: Manifest,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            rounding: Rounding::High,
            targets: vec![
                Architecture::Scalar,
                Architecture::Armv7em,
                Architecture::Helium,
            ],
            effort: 300,
            narrow_weights: false,
            packed_weights: false,
            copies: false,
            preprocess: Vec::new(),
            labels: Vec::new(),
            manifest: Manifest::default(),
        }
    }
}

/// A node of the plan, for tables and profiles.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanNode {
    /// The index of the graph's node.
    pub graph_node: usize,
    /// The node's name.
    pub name: String,
    /// The operator on the device.
    pub operator: &'static str,
    /// The graph's values that exist once it has run.
    pub outputs: Vec<ValueId>,
    /// Multiply-accumulate operations.
    pub macs: u64,
    /// Bytes of constants that it reads.
    pub constant_bytes: usize,
    /// Bytes of the arena in use while it runs.
    pub live_bytes: usize,
}

/// A finished model.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    /// The file.
    pub bytes: Vec<u8>,
    /// Bytes of working memory, the state included.
    pub arena_bytes: usize,
    /// Bytes of it that are kept from run to run.
    pub state_bytes: usize,
    /// Bytes of weights that are there a second time, packed.
    pub packed_bytes: usize,
    /// The nodes in order of execution.
    pub plan: Vec<PlanNode>,
}

/// Compiles a graph whose types are final.
pub fn compile(graph: &Graph, options: &Options) -> Result<Compiled, Error> {
    graph.verify()?;
    let known = graph.values.len();
    let graph = &*settled(graph)?;
    let graph = &*with_reshaped_constants(graph);
    let mut lowered = lower(graph, options.rounding)?;
    if options.narrow_weights {
        lowered = lowered.into_iter().map(narrowed).collect();
    }
    let packed_bytes = match options.packed_weights {
        true => pack(&draft(graph, options, &lowered, false)?.1, &mut lowered)?,
        false => 0,
    };
    let plan = plan(graph, options, &lowered, !options.copies)?;
    // A part keeps the whole alive, which may take more than a copy of it.
    let plan = match plan.buffers.has_parts {
        true => smaller(plan, self::plan(graph, options, &lowered, false)?),
        false => plan,
    };
    let mut compiled = emit(graph, options, &lowered, &plan)?;
    let all = compiled.plan.iter_mut();
    all.for_each(|node| node.outputs.retain(|id| id.0 < known));
    scratch_bytes(&compiled.bytes, options)?;
    Ok(Compiled {
        packed_bytes,
        ..compiled
    })
}

/// Where everything is.
struct Plan {
    buffers: Buffers,
    placement: Placement,
    /// The buffers of working memory, per node.
    scratch: HashMap<usize, usize>,
}

fn smaller(a: Plan, b: Plan) -> Plan {
    match b.placement.bytes < a.placement.bytes {
        true => b,
        false => a,
    }
}

/// A first file, in which nothing shares memory and no node has scratch.
fn draft(
    graph: &Graph,
    options: &Options,
    lowered: &[Lowered],
    parts: bool,
) -> Result<(Plan, Compiled), Error> {
    let buffers = buffers(graph, lowered, parts);
    let plan = Plan {
        placement: Placement {
            offsets: apart(&buffers.buffers),
            bytes: total(&buffers.buffers),
        },
        buffers,
        scratch: HashMap::new(),
    };
    let draft = emit(graph, options, lowered, &plan)?;
    Ok((plan, draft))
}

/// Finds places, and proves that nothing is lost by them.
fn plan(graph: &Graph, options: &Options, lowered: &[Lowered], parts: bool) -> Result<Plan, Error> {
    // Scratch is not known before operands have places: a first file tells each node's bytes.
    let (mut plan, draft) = draft(graph, options, lowered, parts)?;
    let scratch = scratch_bytes(&draft.bytes, options)?;
    let Buffers {
        buffers, sharings, ..
    } = &mut plan.buffers;
    for (node, &bytes) in draft.plan.iter().zip(&scratch) {
        if bytes > 0 {
            plan.scratch.insert(node.graph_node, buffers.len());
            let life = node.graph_node..=node.graph_node;
            buffers.push(Buffer { bytes, life });
        }
    }
    plan.placement = arena::place(buffers, sharings, options.effort);
    if !arena::verify(buffers, sharings, &plan.placement) {
        return Err(Error::Refused("the arena's placement is not valid".into()));
    }
    replay(graph, &plan.buffers, &plan.placement, &plan.scratch).map_err(Error::Refused)?;
    Ok(plan)
}

/// The graph with the elements of reshaped constants, which no node of the plan makes.
fn with_reshaped_constants(graph: &Graph) -> Cow<'_, Graph> {
    let mut graph = Cow::Borrowed(graph);
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        let source = node.inputs.first().copied().flatten();
        let data = source.and_then(|id| graph.value(id).data.clone());
        if let (Kind::Reshape(_), Some(data), &[output]) = (&node.kind, data, &node.outputs[..]) {
            graph.to_mut().value_mut(output).data = Some(data);
        }
    }
    graph
}

fn lower(graph: &Graph, rounding: Rounding) -> Result<Vec<Lowered>, Error> {
    let one = |node: &graph::Node| {
        let outputs: Vec<Operand<'_>> = node.outputs.iter().map(|&id| graph.operand(id)).collect();
        let operator = node.kind.operator();
        operator
            .lower(&graph.operands(&node.inputs), &outputs, rounding)
            .map_err(|reason| Error::Lower {
                node: node.name.clone(),
                operator: operator.name().into(),
                reason,
            })
    };
    graph.nodes.iter().map(one).collect()
}

fn apart(buffers: &[Buffer]) -> Vec<usize> {
    let mut at = 0;
    let place = |buffer: &Buffer| {
        let start = at;
        at += buffer.bytes.next_multiple_of(OFFSET_ALIGNMENT);
        start
    };
    buffers.iter().map(place).collect()
}

fn total(buffers: &[Buffer]) -> usize {
    buffers
        .iter()
        .map(|b| b.bytes.next_multiple_of(OFFSET_ALIGNMENT))
        .sum()
}

/// Scratch bytes of every node, the most that any target needs; checks the file on the way.
fn scratch_bytes(file: &[u8], options: &Options) -> Result<Vec<usize>, Error> {
    let refused = |error: runtime::Error| Error::Refused(error.to_string());
    let aligned = AlignedBytes::copy_of(file);
    let model = Model::new(aligned.bytes()).map_err(refused)?;
    let mut bytes = Vec::new();
    for node in model.nodes() {
        let op = ops::ALL.iter().find(|op| op.code == node.code());
        let op = op.ok_or_else(|| Error::Refused(format!("operator {}", node.code())))?;
        if (op.check)(&node).is_none() {
            let (index, name) = (node.index, op.name);
            return Err(Error::Refused(format!("operands of node {index} ({name})")));
        }
        let need = options
            .targets
            .iter()
            .map(|&target| (op.scratch_bytes)(&node, target));
        bytes.push(need.max().unwrap_or(0).next_multiple_of(OFFSET_ALIGNMENT));
    }
    Ok(bytes)
}

/// Writes constants, tensors and nodes, each tensor once.
struct Emitter<'a> {
    graph: &'a Graph,
    buffers: &'a Buffers,
    placement: &'a Placement,
    writer: Writer,
    references: HashMap<ValueId, u16>,
}

const TOO_MANY_TENSORS: Error = Error::TooLarge("more than 65,535 words of tensors");

impl Emitter<'_> {
    fn value(&mut self, id: ValueId) -> Result<u16, Error> {
        if let Some(&reference) = self.references.get(&id) {
            return Ok(reference);
        }
        let operand = self.graph.operand(id);
        let record = match (operand.data, self.buffers.of_value.get(&id)) {
            (Some(data), None) => {
                let offset = self
                    .writer
                    .constant(data.bytes(), operand.dtype.alignment());
                tensor_record(&operand, Place::Constant, offset)
            }
            (_, Some(&(buffer, start))) => {
                let offset = self.placement.offsets.get(buffer).copied().unwrap_or(0);
                let offset = self.buffers.state_bytes + offset + start;
                tensor_record(&operand, Place::Arena, offset as u32)
            }
            (None, None) => {
                let offset = self.buffers.of_state.get(&id).copied().unwrap_or(0);
                tensor_record(&operand, Place::State, offset as u32)
            }
        };
        let reference = self.writer.tensor(&record).ok_or(TOO_MANY_TENSORS)?;
        self.references.insert(id, reference);
        Ok(reference)
    }

    fn node(
        &mut self,
        node: &graph::Node,
        lowered: &Lowered,
        scratch: Option<(usize, usize)>,
    ) -> Result<(), Error> {
        let mut record = NodeRecord {
            code: lowered.code,
            params: lowered.params.clone(),
            ..Default::default()
        };
        if let Some((offset, bytes)) = scratch {
            (record.scratch_offset, record.scratch_bytes) = (offset as u32, bytes as u32);
        }
        for operand in &lowered.operands {
            let reference = match operand {
                LoweredOperand::Absent => ABSENT,
                LoweredOperand::Input(index) => match node.inputs.get(*index).copied().flatten() {
                    Some(id) => self.value(id)?,
                    None => ABSENT,
                },
                LoweredOperand::Constant {
                    dtype,
                    shape,
                    bytes,
                } => self.constant(*dtype, *shape, bytes)?,
            };
            record.inputs.push(reference);
        }
        for &output in &node.outputs {
            let reference = self.value(output)?;
            record.outputs.push(reference);
        }
        self.writer
            .node(&record)
            .ok_or(Error::TooLarge("a node has more than 255 operands"))
    }

    fn constant(&mut self, dtype: DType, shape: format::Shape, bytes: &[u8]) -> Result<u16, Error> {
        let offset = self.writer.constant(bytes, dtype.alignment());
        let place = Place::Constant;
        let record = TensorRecord {
            dtype,
            place,
            offset,
            shape,
            scale: 0.0,
            zero_point: 0,
        };
        self.writer.tensor(&record).ok_or(TOO_MANY_TENSORS)
    }
}

fn emit(
    graph: &Graph,
    options: &Options,
    lowered: &[Lowered],
    plan: &Plan,
) -> Result<Compiled, Error> {
    let Plan {
        buffers,
        placement,
        scratch,
    } = plan;
    let references = HashMap::new();
    let mut emitter = Emitter {
        graph,
        buffers,
        placement,
        writer: Writer::default(),
        references,
    };
    let mut nodes = Vec::new();
    for (index, (node, lowered)) in graph.nodes.iter().zip(lowered).enumerate() {
        if buffers.still.contains(&index) {
            continue;
        }
        let before = emitter.writer.constant_bytes();
        let place = scratch.get(&index).map(|&b| {
            (
                buffers.state_bytes + placement.offsets[b],
                buffers.buffers[b].bytes,
            )
        });
        emitter.node(node, lowered, place)?;
        let op = ops::ALL.iter().find(|op| op.code == lowered.code);
        let live = buffers
            .buffers
            .iter()
            .filter(|buffer| buffer.life.contains(&index));
        nodes.push(PlanNode {
            graph_node: index,
            name: node.name.clone(),
            operator: op.map_or("unknown", |op| op.name),
            outputs: node.outputs.clone(),
            macs: graph.node_macs(node),
            constant_bytes: emitter.writer.constant_bytes() - before,
            live_bytes: live.map(|buffer| buffer.bytes).sum(),
        });
    }
    let mut ports = |list: &[graph::Port]| -> Result<Vec<u16>, Error> {
        list.iter().map(|port| emitter.value(port.value)).collect()
    };
    let (inputs, outputs) = (ports(&graph.inputs)?, ports(&graph.outputs)?);
    emitter.writer.ports(inputs, outputs);
    let state_bytes = buffers.state_bytes;
    let arena_bytes = state_bytes + placement.bytes;
    let [planned, kept] = [u32::try_from(arena_bytes), u32::try_from(state_bytes)]
        .map(|bytes| bytes.map_err(|_| Error::TooLarge("the arena exceeds 4 GiB")));
    let file = emitter
        .writer
        .finish(planned?, kept?, &meta(graph, options));
    let bytes = file.ok_or(Error::TooLarge("more than 255 inputs or outputs, or 4 GiB"))?;
    Ok(Compiled {
        bytes,
        arena_bytes,
        state_bytes,
        packed_bytes: 0,
        plan: nodes,
    })
}

fn meta(graph: &Graph, options: &Options) -> Meta {
    let port = |port: &graph::Port| Port {
        name: port.name.clone(),
        shape: port.shape.dims().to_vec(),
        axes: port.axes.clone(),
        ..Port::default()
    };
    let mut inputs: Vec<Port> = graph.inputs.iter().map(port).collect();
    for (input, preprocess) in inputs.iter_mut().zip(&options.preprocess) {
        input.preprocess = preprocess.clone();
    }
    let mut outputs: Vec<Port> = graph.outputs.iter().map(port).collect();
    if let Some(first) = outputs.first_mut() {
        first.labels = options.labels.clone();
    }
    Meta {
        inputs,
        outputs,
        manifest: options.manifest.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use graph::{Data, Shape};
    use runtime::host::Runner;
    use runtime::ops::concat::Concat;
    use runtime::ops::reshape::Reshape;
    use runtime::ops::unary::{Function, Unary};

    /// relu(exp(x)) runs in place: one buffer for all three values.
    #[test]
    fn a_chain_of_functions_runs_in_place() {
        let mut graph = Graph::default();
        let x = graph.add_input("x", DType::F32, Shape::new(&[1, 4]).unwrap());
        let e = graph
            .push(
                "e",
                Unary {
                    function: Function::Exp,
                },
                &[x],
            )
            .unwrap()[0];
        let y = graph
            .push(
                "y",
                Unary {
                    function: Function::Neg,
                },
                &[e],
            )
            .unwrap()[0];
        graph.add_output("y", y);
        let compiled = compile(&graph, &Options::default()).unwrap();
        assert_eq!(compiled.arena_bytes, 16);
        let mut runner = Runner::new(&compiled.bytes).unwrap();
        let mut session = runner.session().unwrap();
        session.set_input_f32(0, &[0.0, 1.0, -1.0, 0.0]).unwrap();
        session.run();
        let mut output = [0.0; 4];
        session.output_f32(0, &mut output).unwrap();
        assert_eq!(output, [-1.0, -std::f32::consts::E, -0.367_879_45, -1.0]);
    }

    /// A constant under another shape has its elements, whether or not passes ran before.
    #[test]
    fn reshaped_constants_keep_their_elements() {
        let mut graph = Graph::default();
        let shape = |dims: &[u32]| Shape::new(dims).unwrap();
        let x = graph.add_input("x", DType::F32, shape(&[1, 2]));
        let c = graph.add_constant("c", shape(&[2]), Data::F32(vec![3.0, 5.0]));
        let reshape = |dims: &[u32]| Reshape { shape: shape(dims) };
        let c = graph.push("flat", reshape(&[2, 1]), &[c]).unwrap()[0];
        let c = graph.push("row", reshape(&[1, 2]), &[c]).unwrap()[0];
        let y = graph.push("y", Concat { axis: 0 }, &[x, c]).unwrap()[0];
        graph.add_output("y", y);
        let compiled = compile(&graph, &Options::default()).unwrap();
        let mut runner = Runner::new(&compiled.bytes).unwrap();
        let mut session = runner.session().unwrap();
        session.set_input_f32(0, &[1.0, 2.0]).unwrap();
        session.run();
        let mut output = [0.0; 4];
        session.output_f32(0, &mut output).unwrap();
        assert_eq!(output, [1.0, 2.0, 3.0, 5.0]);
    }
}
