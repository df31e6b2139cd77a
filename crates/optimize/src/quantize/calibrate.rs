//! Runs the float graph over samples and gathers what quantization needs, in constant memory.

use super::Error;
use super::histogram::Histogram;
use compile::{Compiled, Options};
use graph::{Graph, Kind, ValueId};
use runtime::host::Runner;
use std::collections::HashMap;

/// One sample: the values of every input, in the tensors' own layout.
pub type Sample = Vec<Vec<f32>>;

/// A graph that is ready to run and to be watched.
#[derive(Debug)]
pub(crate) struct Executable {
    runner: Runner,
    plan: Compiled,
    inputs: Vec<ValueId>,
}

/// The one with float values.
pub(crate) type Float = Executable;

/// What samples told about every value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Statistics {
    /// Per group of values that share a scale.
    pub histograms: HashMap<ValueId, Histogram>,
    /// Per value that weights multiply: the mean of each channel.
    pub means: HashMap<ValueId, Vec<f64>>,
    /// Samples seen.
    pub samples: usize,
}

impl Executable {
    pub(crate) fn new(graph: &Graph) -> Result<Self, Error> {
        let options = Options {
            effort: 0,
            copies: true,
            ..Options::default()
        };
        let plan = compile::compile(graph, &options)?;
        let runner = Runner::new(&plan.bytes).map_err(Error::refused)?;
        let inputs = graph.inputs.iter().map(|port| port.value).collect();
        Ok(Executable {
            runner,
            plan,
            inputs,
        })
    }

    /// The part of a graph that makes one value, which becomes its output.
    pub(crate) fn up_to(graph: &Graph, value: ValueId) -> Result<Self, Error> {
        let mut part = graph.clone();
        part.outputs.clear();
        part.add_output("value", value);
        part.remove_dead();
        Executable::new(&part)
    }

    /// Takes what is kept from run to run back to its start, before samples that others see, too.
    pub(crate) fn reset(&mut self) -> Result<(), Error> {
        let session = self.runner.session().map_err(Error::refused)?;
        session.reset();
        Ok(())
    }

    /// Runs one sample and gives the first output as real numbers.
    pub(crate) fn run(&mut self, sample: &Sample, output: &mut Vec<f32>) -> Result<(), Error> {
        let mut session = self.runner.session().map_err(Error::refused)?;
        for (index, values) in sample.iter().enumerate() {
            session
                .set_input_f32(index, values)
                .map_err(Error::refused)?;
        }
        session.run();
        let elements = session
            .model()
            .output(0)
            .map_or(0, |tensor| tensor.shape.elements());
        output.resize(elements, 0.0);
        session.output_f32(0, output).map_err(Error::refused)
    }

    /// Runs one sample and shows every value as real numbers when it is made, inputs first.
    pub(crate) fn watch(
        &mut self,
        sample: &Sample,
        see: &mut dyn FnMut(ValueId, &[f32]),
    ) -> Result<(), Error> {
        let mut session = self.runner.session().map_err(Error::refused)?;
        for (index, values) in sample.iter().enumerate() {
            session
                .set_input_f32(index, values)
                .map_err(Error::refused)?;
            if let Some(&id) = self.inputs.get(index) {
                see(id, values);
            }
        }
        let mut buffer = Vec::new();
        session.run_with(&mut |session, node| {
            let outputs = self
                .plan
                .plan
                .get(node.index)
                .map(|planned| &planned.outputs[..]);
            for (position, &id) in outputs.unwrap_or(&[]).iter().enumerate() {
                if let Some(tensor) = node.output(position) {
                    buffer.resize(tensor.shape.elements(), 0.0);
                    session.read_f32(&tensor, &mut buffer);
                    see(id, &buffer);
                }
            }
        });
        Ok(())
    }
}

impl Statistics {
    /// Nothing seen yet.
    pub(crate) fn new(graph: &Graph) -> Self {
        let weighted = weighted_inputs(graph).into_iter();
        let means = weighted
            .map(|id| (id, vec![0.0; graph.value(id).shape.last()]))
            .collect();
        Statistics {
            means,
            ..Statistics::default()
        }
    }

    /// Feeds one sample through the graph.
    pub(crate) fn add(
        &mut self,
        graph: &Graph,
        group: &[ValueId],
        float: &mut Float,
        sample: &Sample,
    ) -> Result<(), Error> {
        let mut bad = None;
        float.watch(sample, &mut |id, values| {
            let shared = group.get(id.0).copied().unwrap_or(id);
            if !self.histograms.entry(shared).or_default().add(values) {
                bad.get_or_insert(id);
            }
            if let Some(means) = self.means.get_mut(&id) {
                add_means(means, values);
            }
        })?;
        if let Some(id) = bad {
            let value = graph.value(id).name.clone();
            return Err(Error::NotFinite {
                sample: self.samples,
                value,
            });
        }
        self.samples += 1;
        Ok(())
    }

    /// Turns sums into means.
    pub(crate) fn finish(&mut self) {
        let count = self.samples.max(1) as f64;
        self.means
            .values_mut()
            .flatten()
            .for_each(|sum| *sum /= count);
    }
}

/// Values that a convolution or a fully connected layer reads, seen through reshapes: a reshaped
/// value is never shown, so the statistics of what it was made from serve.
fn weighted_inputs(graph: &Graph) -> Vec<ValueId> {
    let weighted = |kind: &Kind| matches!(kind, Kind::Conv2d(_) | Kind::FullyConnected(_));
    let nodes = graph.nodes.iter().filter(|node| weighted(&node.kind));
    nodes
        .filter_map(|node| node.inputs.first().copied().flatten())
        .map(|id| shown(graph, id))
        .collect()
}

/// The value behind reshapes that is made by a node of the plan, or is an input.
pub(crate) fn shown(graph: &Graph, mut id: ValueId) -> ValueId {
    while let Some(index) = graph.producer(id) {
        match (&graph.nodes[index].kind, graph.nodes[index].inputs.first()) {
            (Kind::Reshape(_), Some(&Some(from))) => id = from,
            _ => break,
        }
    }
    id
}

/// Adds the mean of every channel of one sample.
pub(crate) fn add_means(means: &mut [f64], values: &[f32]) {
    let channels = means.len().max(1);
    let pixels = (values.len() / channels).max(1) as f64;
    for pixel in values.chunks(channels) {
        for (mean, &value) in means.iter_mut().zip(pixel) {
            *mean += f64::from(value) / pixels;
        }
    }
}
