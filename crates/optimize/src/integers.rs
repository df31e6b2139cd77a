//! Makes integer operators of float ones between Dequantize and Quantize, as quantized ONNX files have
//! them.
//!
//! Four rules, again and again until none applies:
//!
//! 1. Quantize behind Dequantize is nothing where both have one scale, and otherwise rescales integers.
//! 2. Dequantize moves down through what moves or compares elements, which integers do as well.
//! 3. An operator whose operands are dequantized and whose result is quantized becomes one of integers.
//!    Where it demands one scale, what has another is rescaled before or behind it.
//! 4. What is left at the ports is done by the caller, who gives and takes real numbers in any case.
//!
//! Weights are recovered from floats that remember their steps. The integer operator rounds once where
//! the file's arithmetic rounds once, so answers are those of other executors but for ties.

mod weights;

use crate::quantize::constants;
use crate::quantize::forms::{activations, keeps_scale, scale_giver};
use crate::quantize::forms::{float_reason, int16_reason, is_real};
use crate::quantize::has_weights;
use crate::quantize::{FloatNode, convert, fixed_scale};
use format::fixed::Rounding;
use graph::{DType, Error, Graph, Kind, Node, Operand, Quantization, Value, ValueId};
use runtime::host::Activation;
use runtime::ops::average_pool_2d::Halves;
use runtime::ops::dequantize::Dequantize;

/// What integers of a type stand for.
#[derive(Clone, Debug, PartialEq)]
struct Form {
    dtype: DType,
    quantization: Quantization,
}

impl Form {
    fn of(value: &Value) -> Option<Self> {
        let dtype = value.dtype;
        let quantization = value.quantization.clone()?;
        matches!(dtype, DType::I8 | DType::I16).then_some(Form {
            dtype,
            quantization,
        })
    }
}

/// Applies all rules until none applies.
pub(crate) fn run(graph: &mut Graph) -> Result<usize, Error> {
    if !graph.simulates_integers {
        return Ok(0);
    }
    let mut changes = 0;
    let mut index = 0;
    while index < graph.nodes.len() {
        if cancel(graph, index) {
            changes += 1;
            continue;
        }
        let changed = sink(graph, index).is_some() || integerize(graph, index).is_ok();
        changes += usize::from(changed);
        index += 1;
    }
    Ok(changes + absorb_inputs(graph) + absorb_outputs(graph))
}

/// The nodes of a graph that compute with real numbers, and why.
pub fn float_nodes(graph: &Graph) -> Vec<FloatNode> {
    let mut tried = graph.clone();
    let mut nodes = Vec::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        let converts = matches!(node.kind, Kind::Quantize(_) | Kind::Dequantize(_));
        if converts || !is_real(graph, node) {
            continue;
        }
        let reason = match integerize(&mut tried, index) {
            Err(reason) => reason,
            Ok(()) => "it is left out with the pass 'integers'".into(),
        };
        nodes.push(FloatNode {
            node: node.name.clone(),
            operator: node.kind.operator().name(),
            reason,
        });
    }
    nodes
}

/// The integers behind a value that Dequantize makes.
fn dequantized(graph: &Graph, id: ValueId) -> Option<ValueId> {
    let node = &graph.nodes[graph.producer(id)?];
    match node.kind {
        Kind::Dequantize(_) => node.inputs.first().copied().flatten(),
        _ => None,
    }
}

/// Quantize behind Dequantize or behind integers; whether the node is gone.
fn cancel(graph: &mut Graph, index: usize) -> bool {
    let node = &graph.nodes[index];
    let (Kind::Quantize(_), Some(&Some(real)), Some(&to)) =
        (&node.kind, node.inputs.first(), node.outputs.first())
    else {
        return false;
    };
    let is_integer = Form::of(graph.value(real)).is_some();
    let Some(from) = dequantized(graph, real).or(is_integer.then_some(real)) else {
        return false;
    };
    if Form::of(graph.value(from)) == Form::of(graph.value(to)) {
        graph.replace_uses(to, from);
        graph.nodes.remove(index);
        return true;
    }
    graph.nodes[index].inputs[0] = Some(from);
    false
}

/// Whether an operator makes elements of its operands only, whatever they stand for.
fn moves(kind: &Kind) -> bool {
    let is_exact = |activation| matches!(activation, Activation::None | Activation::Relu);
    match kind {
        Kind::Resample(_) | Kind::Resample2d(_) | Kind::AveragePool2d(_) => false,
        Kind::Pad(pad) => pad.value == 0.0,
        Kind::MaxPool2d(pool) => is_exact(pool.activation),
        Kind::Binary(binary) => keeps_scale(kind) && is_exact(binary.activation),
        _ => keeps_scale(kind),
    }
}

/// Why a node cannot run in integers of a type.
fn unfit(graph: &Graph, node: &Node, dtype: DType) -> Option<String> {
    match dtype {
        DType::I16 => int16_reason(graph, node),
        _ => float_reason(graph, node),
    }
}

/// Moves Dequantize from in front of an operator to behind it.
fn sink(graph: &mut Graph, index: usize) -> Option<()> {
    let node = graph.nodes[index].clone();
    let (true, &[output]) = (moves(&node.kind), &node.outputs[..]) else {
        return None;
    };
    let mut form = None;
    let mut inputs = node.inputs.clone();
    for input in inputs.get_mut(activations(&node))?.iter_mut().flatten() {
        let integers = dequantized(graph, *input)?;
        let own = Form::of(graph.value(integers))?;
        if *form.get_or_insert_with(|| own.clone()) != own {
            return None;
        }
        *input = integers;
    }
    let Form {
        dtype,
        quantization,
    } = form?;
    if unfit(graph, &node, dtype).is_some() {
        return None;
    }
    let inner = graph.make_node(node.name.clone(), node.kind, inputs).ok()?;
    let made = *inner.outputs.first()?;
    let name = graph.value(output).name.clone();
    let value = graph.value_mut(made);
    (value.name, value.quantization) = (name.clone(), Some(quantization));
    graph.nodes[index] = inner;
    let outer = Node {
        name: format!("{name}/dequantize"),
        kind: Dequantize.into(),
        inputs: vec![Some(made)],
        outputs: vec![output],
    };
    graph.nodes.insert(index + 1, outer);
    Some(())
}

/// What all readers of a value quantize it to, if they all do and alike.
fn quantized_to(graph: &Graph, id: ValueId) -> Option<Form> {
    let readers = graph.consumers(id);
    let forms = readers
        .iter()
        .map(|&reader| match graph.nodes[reader].kind {
            Kind::Quantize(_) => Form::of(graph.value(*graph.nodes[reader].outputs.first()?)),
            _ => None,
        });
    let forms: Vec<Form> = forms.collect::<Option<_>>()?;
    let first = forms.first()?;
    let is_alike = forms.iter().all(|form| form == first) && !graph.is_output(id);
    is_alike.then(|| first.clone())
}

/// Makes an operator between Dequantize and Quantize one of integers; refused with the reason.
fn integerize(graph: &mut Graph, index: usize) -> Result<(), String> {
    let node = graph.nodes[index].clone();
    if matches!(node.kind, Kind::Quantize(_) | Kind::Dequantize(_)) {
        return Err("it converts".into());
    }
    if let Some(reason) = float_reason(graph, &node) {
        return Err(reason);
    }
    let output = match node.outputs[..] {
        [output] if graph.value(output).dtype == DType::F32 => output,
        _ => return Err("it makes no real numbers, or more than one tensor of them".into()),
    };
    let wanted = quantized_to(graph, output);
    let dtype = wanted.as_ref().map(|form| form.dtype);
    let operands = operands(graph, &node, dtype)?;
    let wanted = wanted.ok_or("its result is not quantized in the file, or not for all readers")?;
    if let Some(reason) = unfit(graph, &node, wanted.dtype) {
        return Err(reason);
    }
    let made = result(graph, &node, &operands, &wanted);
    let mut integer = node;
    if let Kind::AveragePool2d(pool) = &mut integer.kind
        && pool.halves == Halves::Away
    {
        pool.halves = Halves::Real;
    }
    let layer = match has_weights(&integer.kind) {
        true => Some(weights::integers(graph, &integer)?),
        false => None,
    };
    for &(place, id) in &operands {
        integer.inputs[place] = Some(id);
    }
    let is_shared = scale_giver(graph, &integer).is_some();
    let shared = is_shared.then_some(&made.quantization);
    constants::quantize(graph, &mut integer, made.dtype, shared);
    let before = match (layer, is_shared) {
        (Some(layer), _) => weights::apply(graph, &mut integer, layer)?,
        (None, true) => rescaled(graph, &mut integer, &made),
        (None, false) => Vec::new(),
    };
    can_lower(graph, &integer, &made)?;
    let value = graph.value_mut(output);
    (value.dtype, value.quantization) = (made.dtype, Some(made.quantization));
    graph.nodes[index] = integer;
    graph.nodes.splice(index..index, before);
    Ok(())
}

/// Whether the integer operator takes scales as they are: some must not be too far apart.
fn can_lower(graph: &Graph, node: &Node, made: &Form) -> Result<(), String> {
    let operator = node.kind.operator();
    let operands = graph.operands(&node.inputs);
    let inferred = operator.infer(&operands)?;
    let quantization = Some(&made.quantization);
    let outputs = inferred.into_iter().map(|(dtype, shape)| Operand {
        dtype,
        shape,
        quantization,
        data: None,
    });
    let outputs: Vec<Operand<'_>> = outputs.collect();
    if outputs.iter().any(|output| output.dtype != made.dtype) {
        return Err("its integer form makes another type".into());
    }
    // What moves nothing has no device half.
    if matches!(node.kind, Kind::Reshape(_)) {
        return Ok(());
    }
    operator.lower(&operands, &outputs, Rounding::Single)?;
    Ok(())
}

/// The places of activations that are computed and the integers for them, all of a type where that is
/// given.
fn operands(
    graph: &Graph,
    node: &Node,
    dtype: Option<DType>,
) -> Result<Vec<(usize, ValueId)>, String> {
    let mut found = Vec::new();
    for place in activations(node) {
        let Some(id) = node.inputs.get(place).copied().flatten() else {
            continue;
        };
        if graph.value(id).data.is_some() {
            continue;
        }
        let name = &graph.value(id).name;
        let integers = dequantized(graph, id);
        let integers =
            integers.ok_or_else(|| format!("its operand '{name}' is not quantized in the file"))?;
        let held = graph.value(integers).dtype;
        if let Some(dtype) = dtype.filter(|&dtype| dtype != held) {
            return Err(format!(
                "its operand '{name}' is {held}, and its result {dtype}"
            ));
        }
        found.push((place, integers));
    }
    match found.is_empty() {
        true => Err("all its operands are constant".into()),
        false => Ok(found),
    }
}

/// What an operator's integers stand for: what the file says, unless the operator knows only another
/// scale. One with a single operand of another scale keeps that; Quantize behind it rescales.
fn result(graph: &Graph, node: &Node, operands: &[(usize, ValueId)], wanted: &Form) -> Form {
    if let (Kind::Softmax(_), DType::I16) = (&node.kind, wanted.dtype)
        && let Some(quantization) = fixed_scale(&node.kind).and_then(|fixed| fixed.of(DType::I16))
    {
        return Form {
            dtype: DType::I16,
            quantization,
        };
    }
    let has_one = activations(node).len() == 1;
    match operands {
        &[(_, only)] if has_one && keeps_scale(&node.kind) => {
            Form::of(graph.value(only)).unwrap_or_else(|| wanted.clone())
        }
        _ => wanted.clone(),
    }
}

/// Gives a node operands of one scale; the nodes that rescale those that have another.
fn rescaled(graph: &mut Graph, node: &mut Node, form: &Form) -> Vec<Node> {
    let mut made = Vec::new();
    for place in activations(node) {
        let Some(id) = node.inputs.get(place).copied().flatten() else {
            continue;
        };
        let source = graph.value(id);
        if source.data.is_some() || Form::of(source).as_ref() == Some(form) {
            continue;
        }
        let wanted = (form.dtype, Some(form.quantization.clone()));
        let (rescale, to) = convert(graph, id, wanted);
        made.push(rescale);
        node.inputs[place] = Some(to);
    }
    made
}

/// Inputs that are quantized first of all are given as integers.
fn absorb_inputs(graph: &mut Graph) -> usize {
    let mut absorbed = 0;
    for port in 0..graph.inputs.len() {
        let value = graph.inputs[port].value;
        let Some(reader) = graph.only_consumer(value) else {
            continue;
        };
        let is_real = graph.value(value).dtype == DType::F32;
        if is_real && matches!(graph.nodes[reader].kind, Kind::Quantize(_)) {
            let node = graph.nodes.remove(reader);
            graph.inputs[port].value = node.outputs[0];
            absorbed += 1;
        }
    }
    absorbed
}

/// Outputs that are dequantized last of all are taken as integers.
fn absorb_outputs(graph: &mut Graph) -> usize {
    let mut absorbed = 0;
    for port in 0..graph.outputs.len() {
        let Some(integers) = dequantized(graph, graph.outputs[port].value) else {
            continue;
        };
        let is_port = graph.inputs.iter().any(|input| input.value == integers);
        if !is_port && !graph.is_output(integers) {
            graph.outputs[port].value = integers;
            absorbed += 1;
        }
    }
    absorbed
}

#[cfg(test)]
mod tests;
