//! Post-training quantization: int8 weights, int8 or int16 activations.
//!
//! 0. [`masks`]: what masks softmax is brought near to what it masks.
//! 1. [`assign`]: which nodes run in integers of which type, and which values share a scale.
//! 2. [`equalize`]: a second variant of the graph with equalized channels.
//! 3. [`calibrate`]: the float graph runs over samples; histograms grow, nothing is stored.
//! 4. [`range`]: every group of values gets its scale; scales of sums are aligned.
//! 5. [`weights`]: one scale per output channel; [`narrow`]: which weights become int4.
//! 6. [`correct`]: biases are corrected.
//! 7. [`reconstruct`]: fully connected layers are rebuilt.
//!
//! Of steps 2, 6 and 7 only what brings the output closer to the float one is kept.
//!
//! The rules for ranges, zero points and weights are those of the TensorFlow Lite int8
//! specification, but for average pools, which get a scale of their own unless sums are to be rounded as
//! TensorFlow Lite does it.

mod apply;
mod assign;
mod calibrate;
mod cholesky;
pub(crate) mod constants;
mod correct;
mod equalize;
mod finite;
pub(crate) mod forms;
mod halves;
mod histogram;
mod masks;
mod narrow;
mod pools;
pub mod range;
mod reconstruct;
mod repeated;
mod scales;
mod sums;
mod weights;

pub(crate) use apply::{convert, has_weights};
pub use assign::FloatNode;
pub use calibrate::Sample;
pub use finite::check_constants;
pub use forms::int16_reason;
pub use histogram::Histogram;
pub use narrow::WeightType;
pub use range::Method;
pub(crate) use scales::fixed_scale;

use apply::{Changes, Recipe};
use assign::Assignment;
use calibrate::{Float, Statistics};
use correct::Fidelity;
use format::fixed::Rounding;
use graph::{DType, Data, Graph, Kind, ValueId};
use range::Scales;
use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

/// Samples that are worth comparing layers on.
pub const COMPARED_SAMPLES: usize = 32;

/// Numbers of samples that are kept for rebuilding layers: 4 MiB, whatever the data.
const KEPT_VALUES: usize = 1 << 20;

/// Samples that are read before they run.
const CHUNK_SAMPLES: usize = 16;

/// The type of activations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activations {
    /// int8 everywhere.
    #[default]
    Int8,
    /// int16 where the operator has it: twice the memory, 256 times as fine.
    Int16,
}

impl FromStr for Activations {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "int8" => Ok(Activations::Int8),
            "int16" => Ok(Activations::Int16),
            _ => Err(format!("'{text}' is neither int8 nor int16")),
        }
    }
}

impl fmt::Display for Activations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Activations::Int8 => "int8",
            Activations::Int16 => "int16",
        })
    }
}

/// What to do.
pub struct Options<'a> {
    /// The type of activations.
    pub activations: Activations,
    /// Names of nodes to run with int16 activations where the others do not; see
    /// [`int16_reason`].
    pub int16: &'a (dyn Fn(&str) -> bool + Sync),
    /// The type of weights.
    pub weights: WeightType,
    /// How ranges of activations are chosen.
    pub method: Method,
    /// Whether biases are corrected.
    pub bias_correction: bool,
    /// Whether fully connected layers are rebuilt for the inputs that they get.
    pub reconstruct: bool,
    /// Whether channels are equalized between layers, where that helps.
    pub equalize: bool,
    /// Names of nodes to be left in float.
    pub keep_float: &'a (dyn Fn(&str) -> bool + Sync),
    /// How sums of int8 are rounded: the graph is to be compiled with the same.
    pub rounding: Rounding,
}

/// Why a graph is not quantized.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// There was no calibration data.
    #[error("there are no calibration samples; pass data with --calib")]
    NoSamples,
    /// A sample cannot be used.
    #[error("{0}")]
    Data(String),
    /// A value became infinite or not a number.
    #[error("'{value}' is not finite for calibration sample {sample}; check the data's scale")]
    NotFinite {
        /// The sample's number, from 0.
        sample: usize,
        /// The value's name.
        value: String,
    },
    /// A constant that no range can hold.
    #[error(
        "node '{node}' ({operator}): number {index} of its constant '{constant}' is {number}; \
         train or export the model again"
    )]
    Constant {
        /// The node that reads it.
        node: String,
        /// The node's operator.
        operator: &'static str,
        /// The constant's name.
        constant: String,
        /// Which of its numbers.
        index: usize,
        /// NaN, or an infinite one.
        number: f32,
    },
    /// A graph that breaks its own rules.
    #[error("node '{0}' has no operands to quantize")]
    Inconsistent(String),
    /// The graph does not compile.
    #[error(transparent)]
    Compile(#[from] compile::Error),
    /// The runtime refuses the compiled graph.
    #[error("the runtime refuses the model: {0}")]
    Refused(runtime::Error),
}

impl Error {
    fn refused(error: runtime::Error) -> Self {
        Error::Refused(error)
    }
}

/// A node of the quantized graph, for the report.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// The node's name.
    pub name: String,
    /// Its operator.
    pub operator: &'static str,
    /// The shape of its output.
    pub shape: graph::Shape,
    /// Multiply-accumulate operations.
    pub macs: u64,
    /// Bytes of its constants as stored.
    pub bytes: usize,
    /// The type of its output.
    pub dtype: DType,
    /// Scale and zero point of its output, where that is quantized.
    pub output: Option<(f32, i32)>,
    /// Signal to quantization noise of its output in decibels.
    pub sqnr_db: Option<f64>,
    /// Whether its bias was corrected.
    pub corrected: bool,
    /// Whether its weights were rebuilt.
    pub rebuilt: bool,
    /// Whether its weights are int4, two in a byte.
    pub narrow: bool,
}

/// A quantized graph and what was done.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// The graph, ready to be compiled.
    pub graph: Graph,
    /// Its nodes.
    pub layers: Vec<Layer>,
    /// Nodes left in float.
    pub float: Vec<FloatNode>,
    /// Calibration samples used.
    pub samples: usize,
    /// Layers whose bias correction was kept, and those where it was rolled back.
    pub corrections: [usize; 2],
    /// Inputs of sums that were given one scale.
    pub aligned: usize,
    /// Whether the variant with equalized channels was the better one.
    pub equalized: bool,
}

/// Quantizes an optimized float graph. `progress` is told the number of samples seen.
///
/// Two variants are made, with and without equalized channels, each with its best bias
/// correction; the one whose output is closer to the float model's is returned. `compared` are
/// the samples on which closeness is measured, about [`COMPARED_SAMPLES`] from all over the data;
/// they are kept in memory, while `samples` are not.
pub fn quantize(
    graph: &Graph,
    compared: &[Sample],
    samples: &mut dyn Iterator<Item = Result<Sample, Error>>,
    options: &Options<'_>,
    progress: &mut dyn FnMut(usize),
) -> Result<Quantized, Error> {
    let is_wide = |name: &str| options.activations == Activations::Int16 || (options.int16)(name);
    // Less than half a step of a share, which is 1 / 256 or 1 / 32,768.
    let below = match options.activations {
        Activations::Int8 => 8.0,
        Activations::Int16 => 12.0,
    };
    let raised = masks::raised(graph, compared, below)?;
    let graph = raised.as_ref().unwrap_or(graph);
    let renamed = (options.rounding != Rounding::High).then(|| pools::as_means(graph));
    let graph = renamed.as_ref().unwrap_or(graph);
    let assignment = assign::assign(graph, options.keep_float, &is_wide, options.rounding);
    let mut float = Float::new(graph)?;
    if compared.is_empty() {
        return Err(Error::NoSamples);
    }
    let equal = match options.equalize {
        true => equalize::equalize(graph, &mut float, compared)?,
        false => None,
    };
    let mut variants = vec![Variant::new(graph.clone())?];
    if let Some(equal) = equal {
        variants.push(Variant::new(equal)?);
    }
    let mut kept = Kept::new(graph, options.reconstruct);
    let mut count = 0;
    loop {
        let chunk: Result<Vec<Sample>, Error> = (&mut *samples).take(CHUNK_SAMPLES).collect();
        let chunk = chunk?;
        if chunk.is_empty() {
            break;
        }
        in_parallel(variants.iter_mut(), |variant| {
            variant.add(&assignment, &chunk)
        })?;
        count += chunk.len();
        kept.add(chunk);
        progress(count);
    }
    if count == 0 {
        return Err(Error::NoSamples);
    }
    let candidates = in_parallel(variants, |variant| {
        let mut float = Float::new(graph)?;
        variant.finish(&assignment, &mut float, compared, &kept.samples, options)
    })?;
    // The first of equals: the graph as it was.
    let best = candidates.into_iter().enumerate().reduce(|best, next| {
        let is_better = next.1.quality > best.1.quality;
        if is_better { next } else { best }
    });
    let (equalized, best) = best.ok_or(Error::NoSamples)?;
    let layers = layers(graph, &best);
    Ok(Quantized {
        graph: best.graph,
        layers,
        float: assignment.float,
        samples: count,
        corrections: best.corrections,
        aligned: best.aligned,
        equalized: equalized > 0,
    })
}

/// Samples from all over the data, as many as fit.
#[derive(Default)]
struct Kept {
    samples: Vec<Sample>,
    /// How many samples were seen.
    seen: usize,
    /// One in so many is kept; 0 for none.
    stride: usize,
}

impl Kept {
    /// Keeps samples where there is a layer that needs them.
    fn new(graph: &Graph, is_wanted: bool) -> Self {
        let is_dense = |node: &graph::Node| matches!(node.kind, Kind::FullyConnected(_));
        Kept {
            stride: usize::from(is_wanted && graph.nodes.iter().any(is_dense)),
            ..Kept::default()
        }
    }

    fn add(&mut self, samples: Vec<Sample>) {
        for sample in samples {
            if self.stride > 0 && self.seen.is_multiple_of(self.stride) {
                self.samples.push(sample);
            }
            self.seen += 1;
            let held: usize = self.samples.iter().flatten().map(Vec::len).sum();
            if held > KEPT_VALUES && self.samples.len() > 1 {
                let mut index = 0;
                self.samples.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.stride *= 2;
            }
        }
    }
}

/// Works on every item on a thread of its own; the results are in the items' order.
fn in_parallel<T: Send, R: Send>(
    items: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    std::thread::scope(|scope| {
        let work = &work;
        let items = items.into_iter();
        let threads: Vec<_> = items.map(|item| scope.spawn(move || work(item))).collect();
        let results = threads.into_iter().map(|thread| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        results.collect()
    })
}

/// A float graph that is being calibrated.
struct Variant {
    graph: Graph,
    float: Float,
    statistics: Statistics,
}

/// A quantized graph that is compared with others.
struct Candidate {
    graph: Graph,
    fidelity: Fidelity,
    changes: Changes,
    corrections: [usize; 2],
    aligned: usize,
    quality: f64,
    /// Weights of the float graph that became int4.
    narrow: HashSet<ValueId>,
}

impl Variant {
    fn new(graph: Graph) -> Result<Self, Error> {
        let float = Float::new(&graph)?;
        Ok(Variant {
            statistics: Statistics::new(&graph),
            graph,
            float,
        })
    }

    /// Feeds samples through the graph.
    fn add(&mut self, assignment: &Assignment, samples: &[Sample]) -> Result<(), Error> {
        for sample in samples {
            let (graph, float) = (&self.graph, &mut self.float);
            self.statistics
                .add(graph, &assignment.group, float, sample)?;
        }
        Ok(())
    }

    /// Quantizes with the statistics gathered; `float` is the model as it was.
    fn finish(
        mut self,
        assignment: &Assignment,
        float: &mut Float,
        compared: &[Sample],
        kept: &[Sample],
        options: &Options<'_>,
    ) -> Result<Candidate, Error> {
        self.statistics.finish();
        let (scales, aligned) =
            scales::scales(&self.graph, assignment, &self.statistics, options.method);
        let mut recipe = Recipe {
            graph: &self.graph,
            assignment,
            scales: &scales,
            best: &apply::best_scales(&self.graph, weights::INT8),
            narrow: &HashSet::new(),
            rounding: options.rounding,
        };
        // Inner values of an equalized graph differ from the original's by their factors.
        let own = &mut self.float;
        let chosen = match options.weights {
            WeightType::Int8 => HashSet::new(),
            WeightType::Int4 => narrow::choose(&recipe, own, &self.statistics, compared)?,
        };
        recipe.narrow = &chosen;
        let best_scales = narrow::best_scales(&recipe);
        recipe.best = &best_scales;
        let judge = Judge {
            recipe,
            samples: compared,
        };
        let mut best = judge.attempt(own, Changes::default())?;
        let mut corrections = [0, 0];
        if options.bias_correction {
            let graph = &self.graph;
            let proposed = correct::biases(graph, &best.graph, assignment, &self.statistics);
            let count = proposed.len();
            best = judge.corrected(own, best, proposed)?;
            corrections = [best.changes.biases.len(), count - best.changes.biases.len()];
        }
        if !kept.is_empty() {
            let rebuilt = reconstruct::reconstruct(&judge, own, kept, &best.changes)?;
            best = judge.better(best, judge.attempt(own, rebuilt)?);
        }
        let Attempt { graph, changes, .. } = best;
        let made = (&graph, options.rounding);
        let quality = judge.quality(&Fidelity::measure(float, made, compared)?);
        let fidelity = Fidelity::measure(own, made, compared)?;
        Ok(Candidate {
            graph,
            fidelity,
            changes,
            corrections,
            aligned,
            quality,
            narrow: chosen,
        })
    }
}

/// Compares corrected graphs with the plain one.
struct Judge<'a> {
    recipe: Recipe<'a>,
    samples: &'a [Sample],
}

/// A graph with changes and how close it comes.
struct Attempt {
    graph: Graph,
    fidelity: Fidelity,
    changes: Changes,
}

impl Judge<'_> {
    /// The best of no correction, the computed one, and that followed by a measured one.
    fn corrected(
        &self,
        float: &mut Float,
        plain: Attempt,
        biases: apply::Biases,
    ) -> Result<Attempt, Error> {
        let computed = Changes {
            biases,
            ..Changes::default()
        };
        let measured = correct::measured_biases(self, float, &computed)?;
        let best = self.better(plain, self.attempt(float, computed)?);
        Ok(self.better(best, self.attempt(float, measured)?))
    }

    fn attempt(&self, float: &mut Float, changes: Changes) -> Result<Attempt, Error> {
        let graph = apply::apply(&self.recipe, &changes)?;
        let made = (&graph, self.recipe.rounding);
        let fidelity = Fidelity::measure(float, made, self.samples)?;
        Ok(Attempt {
            graph,
            fidelity,
            changes,
        })
    }

    /// The first, unless the second is better.
    fn better(&self, first: Attempt, second: Attempt) -> Attempt {
        if self.quality(&second.fidelity) > self.quality(&first.fidelity) {
            second
        } else {
            first
        }
    }

    /// The worst output's signal to noise ratio.
    fn quality(&self, fidelity: &Fidelity) -> f64 {
        let graph = self.recipe.graph;
        let outputs = graph.outputs.iter();
        let ratios =
            outputs.filter_map(|port| fidelity.sqnr_db(calibrate::shown(graph, port.value)));
        ratios.fold(f64::INFINITY, f64::min)
    }
}

/// The graph in int8 with every range from -1 to 1: for plans of memory before there is any
/// data. Its results mean nothing.
pub fn preview(graph: &Graph) -> Result<Graph, Error> {
    let assignment = assign::assign(graph, &|_| false, &|_| false, Rounding::High);
    let unit = Scales {
        int8: range::affine(-1.0, 1.0),
        int16: range::symmetric(-1.0, 1.0),
    };
    let ids = (0..graph.values.len()).map(ValueId);
    let mut scales = ids.map(|id| (id, unit.clone())).collect();
    scales::fix_scales(graph, &assignment, &mut scales);
    let recipe = Recipe {
        graph,
        assignment: &assignment,
        scales: &scales,
        best: &apply::best_scales(graph, weights::INT8),
        narrow: &HashSet::new(),
        rounding: Rounding::High,
    };
    apply::apply(&recipe, &Changes::default())
}

fn layers(float: &Graph, made: &Candidate) -> Vec<Layer> {
    let (quantized, changes) = (&made.graph, &made.changes);
    let source = |node: &graph::Node| {
        let same = |f: &graph::Node| f.outputs == node.outputs;
        float.nodes.iter().position(same)
    };
    let is_narrow = |node: &graph::Node| {
        let weights = source(node).and_then(|index| float.nodes[index].inputs.get(1).copied());
        weights
            .flatten()
            .is_some_and(|id| made.narrow.contains(&id))
    };
    let stored = |node: &graph::Node| -> usize {
        let constants = node.inputs.iter().flatten().map(|&id| quantized.value(id));
        let bytes = |data: &Data| match data {
            Data::I8(weights) if is_narrow(node) => weights.len().div_ceil(2),
            other => other.bytes().len(),
        };
        constants
            .filter_map(|value| value.data.as_ref())
            .map(bytes)
            .sum()
    };
    let describe = |node: &graph::Node| {
        let output = node.outputs.first().map(|&id| quantized.value(id));
        let no_shape = || graph::Shape::new(&[]).unwrap_or_else(|| quantized.values[0].shape);
        let quantization = output.and_then(|value| value.quantization.as_ref());
        Layer {
            name: node.name.clone(),
            operator: node.kind.operator().name(),
            shape: output.map_or_else(no_shape, |value| value.shape),
            dtype: output.map_or(DType::F32, |value| value.dtype),
            macs: quantized.node_macs(node),
            bytes: stored(node),
            output: quantization.map(|q| (q.scale(0), q.zero_point)),
            sqnr_db: node
                .outputs
                .first()
                .and_then(|&id| made.fidelity.sqnr_db(id)),
            corrected: source(node).is_some_and(|index| changes.biases.contains_key(&index)),
            rebuilt: source(node).is_some_and(|index| changes.weights.contains_key(&index)),
            narrow: is_narrow(node),
        }
    };
    quantized.nodes.iter().map(describe).collect()
}
