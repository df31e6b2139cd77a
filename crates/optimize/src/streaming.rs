//! Turns a model over a window of time into one that takes the newest steps alone.
//!
//! A convolution over the last `n` steps has computed all its outputs but the newest before: it
//! is enough to keep the steps that its next window still reaches, and to compute one output (as
//! in Rybakov et al., "Streaming keyword spotting on mobile devices", 2020). Here that is a
//! [`History`] before each window, whose state the session keeps. What cannot be computed step by
//! step, such as a product with all of time, gets a history of all of its steps, so that every
//! graph can be turned, and gives exactly what it gave once histories are full.

use graph::{Error, Graph, Kind, Node, Shape, ValueId};
use runtime::ops::Window2d;
use runtime::ops::history::History;
use std::collections::HashMap;

/// What to turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The axis of time, as the callers of the inputs count it.
    pub axis: usize,
    /// New steps in a run.
    pub steps: usize,
}

/// A graph that takes new steps, and how often it must run before its answers are those of the
/// whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Streaming {
    /// The graph.
    pub graph: Graph,
    /// Runs from a reset on until every history is full.
    pub priming_runs: usize,
}

/// A value of the new graph.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Turned {
    id: ValueId,
    /// The axis of time and all steps along it, where the value has the newest ones only.
    time: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Time {
    axis: usize,
    /// Steps of the value in the graph that was.
    total: usize,
    /// New ones in a run.
    steps: usize,
}

/// How a node is computed step by step: the steps that it needs of its inputs, and what it makes.
struct Rule {
    history: usize,
    output: Time,
}

/// Turns a graph.
pub fn stream(source: &Graph, options: &Options) -> Result<Streaming, Error> {
    let mut turning = Turning {
        source,
        keeps_state: source.nodes.iter().any(Node::keeps_state),
        graph: Graph {
            name: source.name.clone(),
            ..Graph::default()
        },
        values: HashMap::new(),
    };
    let total = turning.inputs(options)?;
    for node in &source.nodes {
        turning.node(node)?;
    }
    turning.outputs()?;
    turning.graph.remove_dead();
    turning.graph.verify()?;
    Ok(Streaming {
        graph: turning.graph,
        priming_runs: total.div_ceil(options.steps),
    })
}

struct Turning<'a> {
    source: &'a Graph,
    /// Whether the source does.
    keeps_state: bool,
    graph: Graph,
    values: HashMap<ValueId, Turned>,
}

impl Turning<'_> {
    /// Inputs that have the axis take new steps; tells how many they took.
    fn inputs(&mut self, options: &Options) -> Result<usize, Error> {
        let refused = |reason: String| Error {
            node: self.source.name.clone(),
            operator: "streaming".into(),
            reason,
        };
        let mut total = 0;
        for port in &self.source.inputs {
            let value = self.source.value(port.value);
            let axis = match port.axes.is_empty() {
                true => Some(options.axis),
                false => port
                    .axes
                    .iter()
                    .position(|&a| usize::from(a) == options.axis),
            };
            let Some(axis) = axis.filter(|&axis| axis < value.shape.rank()) else {
                let (name, last) = (&port.name, value.shape.rank().saturating_sub(1));
                return Err(refused(format!(
                    "input '{name}' has no axis {}; give --streaming one from 0 to {last}",
                    options.axis
                )));
            };
            let steps = value.shape.dim(axis);
            if options.steps == 0 || options.steps > steps {
                let name = &port.name;
                let given = options.steps;
                return Err(refused(format!(
                    "input '{name}' has {steps} steps, of which {given} cannot be new; give --steps 1 to {steps}"
                )));
            }
            total = total.max(steps);
            let shape = resized(&value.shape, axis, options.steps);
            let id = self.graph.add_input(port.name.clone(), value.dtype, shape);
            self.graph.value_mut(id).quantization = value.quantization.clone();
            if let Some(last) = self.graph.inputs.last_mut() {
                last.axes.clone_from(&port.axes);
                last.shape = resized(&port.shape, options.axis, options.steps);
            }
            let time = Time {
                axis,
                total: steps,
                steps: options.steps,
            };
            self.keep(port.value, id, Some(time));
        }
        Ok(total)
    }

    /// Where all steps are new, the value is what it was.
    fn keep(&mut self, source: ValueId, id: ValueId, time: Option<Time>) {
        let time = time.filter(|time| time.steps < time.total);
        self.values.insert(source, Turned { id, time });
    }

    /// A value of the source; constants come along when they are needed.
    fn turned(&mut self, source: ValueId) -> Turned {
        if let Some(&turned) = self.values.get(&source) {
            return turned;
        }
        let id = self.graph.add_value(self.source.value(source).clone());
        self.keep(source, id, None);
        Turned { id, time: None }
    }

    fn node(&mut self, node: &Node) -> Result<(), Error> {
        let inputs: Vec<Option<Turned>> = node
            .inputs
            .iter()
            .map(|input| input.map(|id| self.turned(id)))
            .collect();
        let has_time = inputs.iter().flatten().any(|input| input.time.is_some());
        if has_time && self.keeps_state && !matches!(node.kind, Kind::LogMel(_)) {
            return Err(Error {
                node: node.name.clone(),
                operator: node.kind.operator().name().into(),
                reason:
                    "the model keeps state of its own, and takes all steps of its inputs in a run: \
                         leave out --streaming"
                        .into(),
            });
        }
        let rule = self.rule(node, &inputs);
        let mut operands = Vec::new();
        for input in inputs {
            operands.push(match (input, &rule) {
                (
                    Some(Turned {
                        id,
                        time: Some(time),
                    }),
                    Some(rule),
                ) => Some(self.history(id, time, rule.history)?),
                (
                    Some(Turned {
                        id,
                        time: Some(time),
                    }),
                    None,
                ) => Some(self.history(id, time, time.total)?),
                (input, _) => input.map(|input| input.id),
            });
        }
        let made = self
            .graph
            .make_node(node.name.clone(), node.kind.clone(), operands)?;
        for (&source, &id) in node.outputs.iter().zip(&made.outputs) {
            let value = self.source.value(source);
            let new = self.graph.value_mut(id);
            new.name.clone_from(&value.name);
            new.quantization.clone_from(&value.quantization);
            self.keep(source, id, rule.as_ref().map(|rule| rule.output));
        }
        self.graph.nodes.push(made);
        Ok(())
    }

    /// The latest `steps` of a value that has fewer.
    fn history(&mut self, id: ValueId, time: Time, steps: usize) -> Result<ValueId, Error> {
        if steps == time.steps {
            return Ok(id);
        }
        let name = format!("{}.history", self.graph.value(id).name);
        let history = History {
            axis: time.axis,
            steps,
        };
        let outputs = self.graph.push(name, history, &[id])?;
        let quantization = self.graph.value(id).quantization.clone();
        self.graph.value_mut(outputs[0]).quantization = quantization;
        Ok(outputs[0])
    }

    /// Outputs that have time give their newest steps.
    fn outputs(&mut self) -> Result<(), Error> {
        for port in &self.source.outputs {
            let turned = self.turned(port.value);
            self.graph.add_output(port.name.clone(), turned.id);
            let Some(last) = self.graph.outputs.last_mut() else {
                continue;
            };
            last.axes.clone_from(&port.axes);
            last.shape = match turned.time {
                None => port.shape,
                Some(time) => {
                    let axis = port.axes.get(time.axis).map_or(time.axis, |&a| a.into());
                    resized(&port.shape, axis, time.steps)
                }
            };
        }
        Ok(())
    }

    /// How a node is computed step by step, if that is known.
    fn rule(&self, node: &Node, inputs: &[Option<Turned>]) -> Option<Rule> {
        let time = inputs.iter().flatten().find_map(|input| input.time)?;
        let all_alike = inputs
            .iter()
            .flatten()
            .all(|input| input.time.is_none_or(|other| other == time));
        let first_alone = inputs.iter().skip(1).flatten().all(|i| i.time.is_none());
        let last = self
            .graph
            .value(inputs[0]?.id)
            .shape
            .rank()
            .checked_sub(1)?;
        let as_it_is = Some(Rule {
            history: time.steps,
            output: time,
        });
        match &node.kind {
            Kind::Conv2d(conv) if first_alone => windows(&conv.window, time),
            Kind::MaxPool2d(pool) => windows(&pool.window, time),
            Kind::AveragePool2d(pool) => windows(&pool.window, time),
            Kind::LogMel(front_end) if time.axis == 1 => {
                moving(front_end.reach(), front_end.hop, time)
            }
            Kind::Unary(_) | Kind::Quantize(_) | Kind::Dequantize(_) => as_it_is,
            Kind::Softmax(_) if time.axis != last => as_it_is,
            Kind::FullyConnected(_) if first_alone && time.axis != last => as_it_is,
            Kind::Concat(concat) if concat.axis != time.axis => {
                let every = inputs.iter().flatten().all(|input| input.time.is_some());
                as_it_is.filter(|_| every && all_alike)
            }
            Kind::Binary(_) => as_it_is.filter(|_| all_alike && self.spreads(inputs, time)),
            Kind::Pad(pad) if pad.amounts.get(time.axis) == Some(&[0, 0]) => as_it_is,
            Kind::Transpose(transpose) => Some(Rule {
                history: time.steps,
                output: Time {
                    axis: transpose.permutation.iter().position(|&a| a == time.axis)?,
                    ..time
                },
            }),
            _ => None,
        }
    }

    /// Whether operands without time are the same for every step, and all others have one rank.
    fn spreads(&self, inputs: &[Option<Turned>], time: Time) -> bool {
        let shapes = |with_time: bool| {
            let chosen = inputs.iter().flatten();
            let chosen = chosen.filter(move |input| input.time.is_some() == with_time);
            chosen.map(|input| self.graph.value(input.id).shape)
        };
        let rank = shapes(true).map(|shape| shape.rank()).max().unwrap_or(0);
        let constant = |shape: Shape| match (time.axis + shape.rank()).checked_sub(rank) {
            Some(axis) => shape.dim(axis) == 1,
            None => true,
        };
        shapes(true).all(|shape| shape.rank() == rank) && shapes(false).all(constant)
    }
}

/// Windows that move along time over what is there: none reaches over an edge, and the last one
/// ends with the last step.
fn windows(window: &Window2d, time: Time) -> Option<Rule> {
    // Images are `[N, H, W, C]`.
    let axis = time.axis.checked_sub(1).filter(|&axis| axis < 2)?;
    let is_inside = window.padding[axis] == 0 && window.padding[axis + 2] == 0;
    let reach = window.kernel[axis].checked_sub(1)? * window.dilation[axis] + 1;
    moving(reach, window.stride[axis], time).filter(|_| is_inside)
}

/// Windows that reach over so many steps, a stride apart. Where there are no more than come anew in a run,
/// they are those of all steps.
fn moving(reach: usize, stride: usize, time: Time) -> Option<Rule> {
    let rest = time.total.checked_sub(reach)?;
    let is_even = rest.is_multiple_of(stride) && time.steps.is_multiple_of(stride);
    let total = rest / stride + 1;
    let steps = (time.steps / stride).min(total);
    let history = steps.checked_sub(1)? * stride + reach;
    // New steps that no window reaches would put the others out of step.
    (is_even && history >= time.steps).then_some(Rule {
        history,
        output: Time {
            total,
            steps,
            ..time
        },
    })
}

fn resized(shape: &Shape, axis: usize, size: usize) -> Shape {
    let mut dims = shape.dims().to_vec();
    if let Some(dim) = dims.get_mut(axis) {
        *dim = size as u32;
    }
    Shape::new(&dims).unwrap_or(*shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use graph::{DType, Data};
    use runtime::host::{Activation, Runner};
    use runtime::ops::conv_2d::Conv2d;
    use runtime::ops::max_pool_2d::MaxPool2d;
    use runtime::ops::mean::Mean;
    use runtime::ops::reshape::Reshape;
    use runtime::ops::unary::{Function, Unary};

    const STEPS: usize = 20;
    const CHANNELS: usize = 3;

    fn noise(count: usize, mut seed: u32) -> Vec<f32> {
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) as f32 / 32_768.0 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    fn conv(
        graph: &mut Graph,
        x: ValueId,
        kernel: usize,
        stride: usize,
        padding: usize,
    ) -> ValueId {
        let shape = Shape::new(&[CHANNELS as u32, kernel as u32, 1, CHANNELS as u32]).unwrap();
        let weights = noise(shape.elements(), kernel as u32);
        let weights = graph.add_constant("w", shape, Data::F32(weights));
        let window = Window2d {
            stride: [stride, 1],
            padding: [padding, 0, padding, 0],
            ..Window2d::dense([kernel, 1])
        };
        let conv = Conv2d {
            window,
            groups: 1,
            activation: Activation::None,
        };
        graph.push("conv", conv, &[x, weights]).unwrap()[0]
    }

    fn input(graph: &mut Graph) -> ValueId {
        let shape = Shape::new(&[1, STEPS as u32, 1, CHANNELS as u32]).unwrap();
        graph.add_input("x", DType::F32, shape)
    }

    fn outputs(runner: &mut Runner, input: &[f32]) -> Vec<f32> {
        let mut session = runner.session().unwrap();
        session.set_input_f32(0, input).unwrap();
        session.run();
        let elements = session.model().output(0).unwrap().shape.elements();
        let mut values = vec![0.0; elements];
        session.output_f32(0, &mut values).unwrap();
        values
    }

    /// The graph over a window that slides against its streaming form; the share of MACs.
    fn agree(graph: &Graph, steps: usize) -> f64 {
        let options = Options { axis: 1, steps };
        let streaming = stream(graph, &options).unwrap();
        let compiled = |graph| {
            let compiled = compile::compile(graph, &compile::Options::default()).unwrap();
            Runner::new(&compiled.bytes).unwrap()
        };
        let (mut whole, mut newest) = (compiled(graph), compiled(&streaming.graph));
        let all = noise(60 * CHANNELS, 1);
        for (run, new) in all.chunks_exact(steps * CHANNELS).enumerate() {
            let given = outputs(&mut newest, new);
            let end = (run + 1) * steps * CHANNELS;
            if run + 1 >= streaming.priming_runs {
                let window = &all[end - STEPS * CHANNELS..end];
                let expected = outputs(&mut whole, window);
                // The newest ones, where outputs have time.
                let expected = &expected[expected.len() - given.len()..];
                let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&given), bits(expected), "run {run}");
            }
        }
        streaming.graph.macs() as f64 / graph.macs() as f64
    }

    #[test]
    fn convolutions_and_pools_go_step_by_step() {
        let mut graph = Graph::default();
        let x = input(&mut graph);
        let a = conv(&mut graph, x, 3, 1, 0);
        let function = Function::Tanh;
        let a = graph.push("tanh", Unary { function }, &[a]).unwrap()[0];
        let pool = MaxPool2d {
            window: Window2d::dense([4, 1]),
            activation: Activation::None,
        };
        let a = graph.push("pool", pool, &[a]).unwrap()[0];
        let y = conv(&mut graph, a, 5, 1, 0);
        graph.add_output("y", y);
        assert!(agree(&graph, 1) < 0.08);
        assert!(agree(&graph, 3) < 0.25);
    }

    #[test]
    fn strides_take_several_steps_at_once() {
        let mut graph = Graph::default();
        let x = input(&mut graph);
        let a = conv(&mut graph, x, 4, 2, 0);
        let y = conv(&mut graph, a, 3, 2, 0);
        graph.add_output("y", y);
        assert!(agree(&graph, 4) < 0.4);
        // What cannot be done step by step is done over the whole window.
        assert_eq!(agree(&graph, 5), 1.0);
    }

    #[test]
    fn windows_of_all_there_is_are_computed_once() {
        let mut graph = Graph::default();
        let x = input(&mut graph);
        let a = conv(&mut graph, x, 6, 1, 0);
        let y = conv(&mut graph, a, 14, 1, 0);
        let shape = Shape::new(&[1, 2 * CHANNELS as u32]).unwrap();
        let y = graph.push("flat", Reshape { shape }, &[y]).unwrap()[0];
        graph.add_output("y", y);
        for steps in [1, 2, 3, 4, 20] {
            agree(&graph, steps);
        }
    }

    #[test]
    fn what_needs_all_of_time_has_its_history() {
        let mut graph = Graph::default();
        let x = input(&mut graph);
        let a = conv(&mut graph, x, 3, 1, 0);
        let mean = Mean { first: 1, last: 2 };
        let y = graph.push("mean", mean, &[a]).unwrap()[0];
        graph.add_output("y", y);
        assert!(agree(&graph, 1) < 0.06);
        let mut graph = Graph::default();
        let x = input(&mut graph);
        // Padded along time: the edges of the window are not those of the stream.
        let y = conv(&mut graph, x, 3, 1, 1);
        graph.add_output("y", y);
        assert_eq!(agree(&graph, 1), 1.0);
    }

    #[test]
    fn an_axis_that_is_not_there_is_refused() {
        let mut graph = Graph::default();
        let x = input(&mut graph);
        graph.add_output("x", x);
        let refused = |axis, steps| stream(&graph, &Options { axis, steps }).unwrap_err().reason;
        assert!(refused(4, 1).contains("no axis 4; give --streaming one from 0 to 3"));
        assert!(
            refused(1, 21).contains("20 steps, of which 21 cannot be new; give --steps 1 to 20")
        );
    }
}
