//! Post-training quantization: int8 weights, int8 or int16 activations.
//!
//! 1. [`assign`]: which nodes run in integers of which type, and which values share a scale.
//! 2. [`equalize`]: a second variant of the graph with equalized channels.
//! 3. [`calibrate`]: the float graph runs over samples; histograms grow, nothing is stored.
//! 4. [`range`]: every group of values gets its scale; scales of sums are aligned.
//! 5. [`weights`]: one scale per output channel.
//! 6. [`correct`]: biases are corrected, and corrections that do not help are rolled back.
//!
//! The rules for ranges, zero points and weights are those of the TensorFlow Lite int8
//! specification, but for average pools, which get a scale of their own.

mod apply;
mod assign;
mod calibrate;
mod correct;
mod equalize;
mod histogram;
pub mod range;
mod weights;

pub use assign::FloatNode;
pub use calibrate::Sample;
pub use histogram::Histogram;
pub use range::Method;

use apply::{Biases, Recipe};
use assign::Assignment;
use calibrate::{Float, Statistics};
use correct::Fidelity;
use graph::{DType, Graph, Kind, Quantization, ValueId};
use range::Scales;
use runtime::ops::unary::Function;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

/// Samples that are worth comparing layers on.
pub const COMPARED_SAMPLES: usize = 32;

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
    /// How ranges of activations are chosen.
    pub method: Method,
    /// Whether biases are corrected.
    pub bias_correction: bool,
    /// Whether channels are equalized between layers, where that helps.
    pub equalize: bool,
    /// Names of nodes to be left in float.
    pub keep_float: &'a dyn Fn(&str) -> bool,
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
    let assignment = assign::assign(graph, options.keep_float, options.activations);
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
        progress(count);
    }
    if count == 0 {
        return Err(Error::NoSamples);
    }
    let how = (options.method, options.bias_correction);
    let candidates = in_parallel(variants, |variant| {
        let mut float = Float::new(graph)?;
        variant.finish(&assignment, &mut float, compared, how)
    })?;
    // The first of equals: the graph as it was.
    let best = candidates.into_iter().enumerate().reduce(|best, next| {
        let is_better = next.1.quality > best.1.quality;
        if is_better { next } else { best }
    });
    let (equalized, best) = best.ok_or(Error::NoSamples)?;
    let layers = layers(graph, &best.graph, &best.fidelity, &best.biases);
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
    biases: Biases,
    corrections: [usize; 2],
    aligned: usize,
    quality: f64,
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
        (method, correct): (Method, bool),
    ) -> Result<Candidate, Error> {
        self.statistics.finish();
        let (scales, aligned) = scales(&self.graph, assignment, &self.statistics, method);
        let recipe = Recipe {
            graph: &self.graph,
            assignment,
            scales: &scales,
            best: &apply::best_scales(&self.graph),
        };
        let judge = Judge {
            recipe,
            samples: compared,
        };
        // Inner values of an equalized graph differ from the original's by their factors.
        let own = &mut self.float;
        let plain = judge.try_biases(own, &Biases::new())?;
        let (mut best, mut corrections) = ((plain.0, plain.1, Biases::new()), [0, 0]);
        if correct {
            let proposed = correct::biases(&self.graph, &best.0, assignment, &self.statistics);
            let count = proposed.len();
            best = judge.best(own, (best.0, best.1), proposed)?;
            corrections = [best.2.len(), count - best.2.len()];
        }
        let (graph, _, biases) = best;
        let quality = judge.quality(&Fidelity::measure(float, &graph, compared)?);
        let fidelity = Fidelity::measure(own, &graph, compared)?;
        Ok(Candidate {
            graph,
            fidelity,
            biases,
            corrections,
            aligned,
            quality,
        })
    }
}

/// Compares corrected graphs with the plain one.
struct Judge<'a> {
    recipe: Recipe<'a>,
    samples: &'a [Sample],
}

impl Judge<'_> {
    /// The best of no correction, the computed one, and that followed by a measured one.
    fn best(
        &self,
        float: &mut Float,
        plain: (Graph, Fidelity),
        computed: Biases,
    ) -> Result<(Graph, Fidelity, Biases), Error> {
        let measured = correct::measured_biases(self, float, &computed)?;
        let mut best = (plain.0, plain.1, Biases::new());
        for biases in [computed, measured] {
            let (graph, fidelity) = self.try_biases(float, &biases)?;
            if self.quality(&fidelity) > self.quality(&best.1) {
                best = (graph, fidelity, biases);
            }
        }
        Ok(best)
    }

    fn try_biases(&self, float: &mut Float, biases: &Biases) -> Result<(Graph, Fidelity), Error> {
        let graph = apply::apply(&self.recipe, biases)?;
        let fidelity = Fidelity::measure(float, &graph, self.samples)?;
        Ok((graph, fidelity))
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

/// The scale of every value, and how many inputs of sums were aligned.
fn scales(
    graph: &Graph,
    assignment: &Assignment,
    statistics: &Statistics,
    method: Method,
) -> (HashMap<ValueId, Scales>, usize) {
    let mut ranges: HashMap<ValueId, [f32; 2]> = statistics
        .histograms
        .iter()
        .map(|(&group, histogram)| (group, range::choose(histogram, method)))
        .collect();
    let aligned = align_sums(graph, assignment, &mut ranges);
    let mut scales = HashMap::new();
    for (index, &group) in assignment.group.iter().enumerate() {
        if let (Some(&[low, high]), Some(seen)) =
            (ranges.get(&group), statistics.histograms.get(&group))
        {
            // 16 bits are enough for everything that was seen.
            let int16 = range::symmetric(seen.smallest(), seen.largest());
            let int8 = range::affine(low, high);
            scales.insert(ValueId(index), Scales { int8, int16 });
        }
    }
    fix_scales(graph, assignment, &mut scales);
    (scales, aligned)
}

/// Gives outputs whose range is known beforehand their scale.
fn fix_scales(graph: &Graph, assignment: &Assignment, scales: &mut HashMap<ValueId, Scales>) {
    for node in &graph.nodes {
        if let Some(fixed) = fixed_scale(&node.kind) {
            let Some(&output) = node.outputs.first() else {
                continue;
            };
            let same = |id: &ValueId| assignment.group[id.0] == assignment.group[output.0];
            for id in (0..assignment.group.len()).map(ValueId).filter(same) {
                scales.insert(id, fixed.clone());
            }
        }
    }
}

/// The graph in int8 with every range from -1 to 1: for plans of memory before there is any
/// data. Its results mean nothing.
pub fn preview(graph: &Graph) -> Result<Graph, Error> {
    let assignment = assign::assign(graph, &|_| false, Activations::Int8);
    let unit = Scales {
        int8: range::affine(-1.0, 1.0),
        int16: range::symmetric(-1.0, 1.0),
    };
    let ids = (0..graph.values.len()).map(ValueId);
    let mut scales = ids.map(|id| (id, unit.clone())).collect();
    fix_scales(graph, &assignment, &mut scales);
    let recipe = Recipe {
        graph,
        assignment: &assignment,
        scales: &scales,
        best: &apply::best_scales(graph),
    };
    apply::apply(&recipe, &Biases::new())
}

/// Operators whose output has the same range whatever the data.
fn fixed_scale(kind: &Kind) -> Option<Scales> {
    let (scale, zero_point) = match kind {
        Kind::Softmax(_) => (1.0 / 256.0, -128),
        Kind::Unary(unary) => match unary.function {
            Function::Sigmoid => (1.0 / 256.0, -128),
            Function::Tanh => (1.0 / 128.0, 0),
            _ => return None,
        },
        _ => return None,
    };
    Some(Scales {
        int8: Quantization::per_tensor(scale, zero_point),
        int16: Quantization::per_tensor(1.0 / 32_768.0, 0),
    })
}

/// Gives both inputs of a sum the wider of two ranges that differ by at most a quarter: the sum
/// is then one of plain integers, and loses less than half a bit.
fn align_sums(
    graph: &Graph,
    assignment: &Assignment,
    ranges: &mut HashMap<ValueId, [f32; 2]>,
) -> usize {
    let mut aligned = 0;
    for (node, &dtype) in graph.nodes.iter().zip(&assignment.types) {
        let [Some(a), Some(b)] = node.inputs[..] else {
            continue;
        };
        if dtype != DType::I8 || !matches!(node.kind, Kind::Binary(_)) {
            continue;
        }
        let (a, b) = (assignment.group[a.0], assignment.group[b.0]);
        let (Some(&x), Some(&y)) = (ranges.get(&a), ranges.get(&b)) else {
            continue;
        };
        let (wide, other) = (x[1] - x[0], y[1] - y[0]);
        let joined = [x[0].min(y[0]), x[1].max(y[1])];
        if a != b && joined[1] - joined[0] <= 1.25 * wide.min(other) {
            ranges.insert(a, joined);
            ranges.insert(b, joined);
            aligned += 1;
        }
    }
    aligned
}

fn layers(float: &Graph, quantized: &Graph, fidelity: &Fidelity, biases: &Biases) -> Vec<Layer> {
    let corrected = |node: &graph::Node| {
        let same = |f: &graph::Node| f.outputs == node.outputs;
        float
            .nodes
            .iter()
            .position(same)
            .is_some_and(|index| biases.contains_key(&index))
    };
    let stored = |node: &graph::Node| -> usize {
        let constants = node.inputs.iter().flatten().map(|&id| quantized.value(id));
        constants
            .filter_map(|value| value.data.as_ref())
            .map(|data| data.bytes().len())
            .sum()
    };
    let describe = |node: &graph::Node| {
        let output = node.outputs.first().map(|&id| quantized.value(id));
        Layer {
            name: node.name.clone(),
            operator: node.kind.operator().name(),
            shape: output.map_or(
                graph::Shape::new(&[]).unwrap_or_else(|| quantized.values[0].shape),
                |v| v.shape,
            ),
            dtype: output.map_or(DType::F32, |v| v.dtype),
            macs: quantized.node_macs(node),
            bytes: stored(node),
            output: output
                .and_then(|v| v.quantization.as_ref())
                .map(|q| (q.scale(0), q.zero_point)),
            sqnr_db: node.outputs.first().and_then(|&id| fidelity.sqnr_db(id)),
            corrected: corrected(node),
        }
    };
    quantized.nodes.iter().map(describe).collect()
}
