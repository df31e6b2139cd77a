//! Rewrites a float graph with chosen scales: integer values, integer weights, and conversions
//! where types meet.

use super::Error;
use super::assign::{Assignment, integer_values};
use super::constants;
use super::forms::scale_giver;
use super::range::Scales;
use super::weights::{self, Weights};
use format::fixed::Rounding;
use graph::{DType, Data, Graph, Kind, Node, Quantization, Value, ValueId};
use runtime::host::Activation;
use runtime::ops::dequantize::Dequantize;
use runtime::ops::quantize::Quantize;
use std::collections::{HashMap, HashSet};

/// Biases by node index, where correction replaces the model's own.
pub(crate) type Biases = HashMap<usize, Vec<f32>>;

/// What is not as in the float graph, by node index.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    /// Corrected biases.
    pub biases: Biases,
    /// Rebuilt weights.
    pub weights: HashMap<usize, Weights>,
}

/// The scales that suit each layer's weights best, by the weights' ids.
pub(crate) type BestScales = HashMap<ValueId, Vec<f64>>;

/// Everything that a float graph becomes an integer one by, but for its changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe<'a> {
    /// The float graph.
    pub graph: &'a Graph,
    /// What runs in which type.
    pub assignment: &'a Assignment,
    /// The scales of every activation.
    pub scales: &'a HashMap<ValueId, Scales>,
    /// From [`best_scales`].
    pub best: &'a BestScales,
    /// Weights that become int4.
    pub narrow: &'a HashSet<ValueId>,
    /// The rule of sums.
    pub rounding: Rounding,
}

impl Recipe<'_> {
    /// The largest integer that weights become.
    pub(crate) fn largest(&self, weights: ValueId) -> f32 {
        match self.narrow.contains(&weights) {
            true => weights::INT4,
            false => weights::INT8,
        }
    }
}

/// Looks for the best scales once: it takes long, and a graph is quantized many times.
pub(crate) fn best_scales(graph: &Graph, largest: f32) -> BestScales {
    let weighted = graph.nodes.iter().filter(|node| has_weights(&node.kind));
    let ids = weighted.filter_map(|node| node.inputs.get(1).copied().flatten());
    ids.filter_map(|id| {
        let weights = graph.value(id);
        let values = weights.data.as_ref()?.f32().ok()?;
        Some((
            id,
            weights::best_scales(values, weights.shape.dim(0), largest),
        ))
    })
    .collect()
}

pub(crate) fn has_weights(kind: &Kind) -> bool {
    matches!(kind, Kind::Conv2d(_) | Kind::FullyConnected(_))
}

/// What a layer with weights ends with.
pub(crate) fn activation(kind: &Kind) -> Activation {
    match kind {
        Kind::Conv2d(conv) => conv.activation,
        Kind::FullyConnected(layer) => layer.activation,
        _ => Activation::None,
    }
}

/// The quantized graph. Nodes and values keep their ids; conversions are added.
pub(crate) fn apply(recipe: &Recipe<'_>, changes: &Changes) -> Result<Graph, Error> {
    let Recipe {
        graph: float,
        assignment,
        scales,
        ..
    } = *recipe;
    let mut graph = float.clone();
    for (id, dtype) in integer_values(float, &assignment.types) {
        let value = graph.value_mut(id);
        value.dtype = dtype;
        value.quantization = scales.get(&id).and_then(|scales| scales.of(dtype));
    }
    let mut nodes = Vec::new();
    let mut conversions = Conversions::default();
    for (index, mut node) in std::mem::take(&mut graph.nodes).into_iter().enumerate() {
        let dtype = assignment.types[index];
        // Operands that must have one scale; others have their own.
        let giver = scale_giver(float, &node).filter(|_| dtype != DType::F32);
        let shared = giver.and_then(|id| scales.get(&id)?.of(dtype));
        if dtype != DType::F32 {
            constants::quantize(&mut graph, &mut node, dtype, shared.as_ref());
        }
        for input in node.inputs.iter_mut().flatten() {
            let tensor = graph.value(*input);
            // Whole numbers and truth values of the model itself stay what they are.
            let is_activation = float
                .values
                .get(input.0)
                .is_some_and(|v| v.dtype == DType::F32);
            if tensor.data.is_some() || !is_activation {
                continue;
            }
            let own = || scales.get(input).and_then(|scales| scales.of(dtype));
            let wanted = shared.clone().or_else(own);
            let is_same =
                tensor.dtype == dtype && (shared.is_none() || tensor.quantization == wanted);
            if !is_same {
                *input = conversions.of(&mut graph, &mut nodes, *input, (dtype, wanted));
            }
        }
        if dtype != DType::F32 && has_weights(&node.kind) {
            let change = (changes.weights.get(&index), changes.biases.get(&index));
            quantize_weights(&mut graph, &mut node, recipe, change)?;
        }
        nodes.push(node);
    }
    graph.nodes = nodes;
    Ok(graph)
}

/// A type, and for integers the scale.
pub(crate) type Form = (DType, Option<Quantization>);

/// What values were converted to so far.
#[derive(Default)]
struct Conversions {
    made: HashMap<ValueId, Vec<(Form, ValueId)>>,
}

impl Conversions {
    /// The value in another form; the node that makes it is added where there is none yet.
    fn of(
        &mut self,
        graph: &mut Graph,
        nodes: &mut Vec<Node>,
        from: ValueId,
        form: Form,
    ) -> ValueId {
        let made = self.made.entry(from).or_default();
        if let Some((_, value)) = made.iter().find(|(other, _)| *other == form) {
            return *value;
        }
        let (node, value) = convert(graph, from, form.clone());
        nodes.push(node);
        made.push((form, value));
        value
    }
}

/// A node that turns a value into another type or scale, and its output.
pub(crate) fn convert(
    graph: &mut Graph,
    from: ValueId,
    (dtype, quantization): Form,
) -> (Node, ValueId) {
    let source = graph.value(from).clone();
    let (kind, suffix): (Kind, _) = match dtype {
        DType::F32 => (Dequantize.into(), "dequantize"),
        _ if source.dtype == dtype => (Quantize { dtype }.into(), "rescale"),
        DType::I16 => (Quantize { dtype }.into(), "int16"),
        _ => (Quantize { dtype }.into(), "int8"),
    };
    let name = format!("{}/{suffix}", source.name);
    let value = Value {
        name: name.clone(),
        dtype,
        shape: source.shape,
        quantization,
        data: None,
    };
    let to = graph.add_value(value);
    let node = Node {
        name,
        kind,
        inputs: vec![Some(from)],
        outputs: vec![to],
    };
    (node, to)
}

fn quantize_weights(
    graph: &mut Graph,
    node: &mut graph::Node,
    recipe: &Recipe<'_>,
    (rebuilt, bias): (Option<&Weights>, Option<&Vec<f32>>),
) -> Result<(), Error> {
    let missing = || Error::Inconsistent(node.name.clone());
    let (Some(&Some(input)), Some(&Some(id))) = (node.inputs.first(), node.inputs.get(1)) else {
        return Err(missing());
    };
    let output = *node.outputs.first().ok_or_else(missing)?;
    let affine = |id: ValueId| {
        graph
            .value(id)
            .quantization
            .as_ref()
            .map(|q| (q.scale(0), q.zero_point))
    };
    let (from, to) = (
        affine(input).ok_or_else(missing)?,
        affine(output).ok_or_else(missing)?,
    );
    let dtype = graph.value(input).dtype;
    let source = graph.value(id).clone();
    let values = source
        .data
        .as_ref()
        .and_then(|data| data.f32().ok())
        .ok_or_else(missing)?;
    let own = node
        .inputs
        .get(2)
        .copied()
        .flatten()
        .and_then(|id| graph.value(id).data.as_ref());
    let own = own.and_then(|data| data.f32().ok()).unwrap_or(&[]);
    let held = bias.map_or(own, Vec::as_slice);
    let layer = weights::Layer {
        dtype,
        input: from,
        output: to,
        activation: activation(&node.kind),
        bias: held,
        best: recipe.best.get(&id).ok_or_else(missing)?,
        largest: recipe.largest(id),
        rounding: recipe.rounding,
    };
    let quantized = match rebuilt {
        Some(weights) => weights.clone(),
        None => weights::quantize(values, source.shape.dim(0), &layer, None),
    };
    let constant = graph.add_constant(source.name, source.shape, Data::I8(quantized.values));
    graph.value_mut(constant).quantization = Some(quantized.quantization);
    node.inputs[1] = Some(constant);
    if let Some(bias) = bias {
        let shape = graph::Shape::new(&[bias.len() as u32]).ok_or_else(missing)?;
        let name = format!("{}/bias", node.name);
        let constant = graph.add_constant(name, shape, Data::F32(bias.clone()));
        node.inputs.truncate(2);
        node.inputs.push(Some(constant));
    }
    Ok(())
}
