//! Constants among activations: tables that are picked from, parts of a whole, one side of a sum.

use super::forms::{activations, has_number, is_constant};
use super::range;
use graph::{DType, Data, Graph, Kind, Node, Quantization, Value, ValueId};
use runtime::ops::binary::{Binary, Function};

/// Gives a node that runs in `dtype` integers for its constant activations. They have the scale that is
/// `shared` where the operator asks for one, are what they were where they remember it, and cover their
/// own range otherwise. A division by a
/// constant becomes a multiplication. A single number beside int8 stays as it is: it becomes a table.
pub(crate) fn quantize(
    graph: &mut Graph,
    node: &mut Node,
    dtype: DType,
    shared: Option<&Quantization>,
) {
    if dtype == DType::I8 && matches!(node.kind, Kind::Binary(_)) && has_number(graph, node) {
        return;
    }
    let inverted = matches!(
        node.kind,
        Kind::Binary(Binary {
            function: Function::Div,
            ..
        })
    ) && is_constant(graph, node, 1);
    if let Kind::Binary(binary) = &mut node.kind
        && inverted
    {
        binary.function = Function::Mul;
    }
    for index in activations(node) {
        let Some(Some(id)) = node.inputs.get(index).copied() else {
            continue;
        };
        let is_divisor = inverted && index == 1;
        if let Some(constant) = integers(graph, id, dtype, shared.cloned(), is_divisor) {
            node.inputs[index] = Some(constant);
        }
    }
}

/// The constant in integers; `None` for what is computed.
fn integers(
    graph: &mut Graph,
    id: ValueId,
    dtype: DType,
    shared: Option<Quantization>,
    is_divisor: bool,
) -> Option<ValueId> {
    let value = graph.value(id).clone();
    let values = value.data.as_ref()?.f32().ok()?;
    let held = remembered(&value, dtype).filter(|_| shared.is_none() && !is_divisor);
    if let Some((data, quantization)) = held {
        let constant = graph.add_constant(value.name, value.shape, data);
        graph.value_mut(constant).quantization = Some(quantization);
        return Some(constant);
    }
    let inverse = |&v: &f32| if is_divisor { 1.0 / v } else { v };
    let values: Vec<f32> = values.iter().map(inverse).collect();
    let low = values.iter().copied().fold(0.0, f32::min);
    let high = values.iter().copied().fold(0.0, f32::max);
    let quantization = shared.unwrap_or_else(|| match dtype {
        DType::I16 => range::symmetric(low, high),
        _ => range::affine(low, high),
    });
    let (scale, zero_point) = (quantization.scale(0), quantization.zero_point);
    let whole = |[low, high]: [i32; 2]| {
        let each = move |&v: &f32| format::fixed::quantize(v, scale, zero_point, low, high);
        values.iter().map(each)
    };
    let data = match dtype {
        DType::I16 => Data::I16(whole([-32_768, 32_767]).map(|v| v as i16).collect()),
        _ => Data::I8(whole([-128, 127]).map(|v| v as i8).collect()),
    };
    let constant = graph.add_constant(value.name, value.shape, data);
    graph.value_mut(constant).quantization = Some(quantization);
    Some(constant)
}

/// The integers that floats of a constant were, where the floats remember their steps and the type holds
/// them.
fn remembered(value: &Value, dtype: DType) -> Option<(Data, Quantization)> {
    let steps = value
        .quantization
        .as_ref()
        .filter(|steps| steps.axis.is_none())?;
    let scale = steps.scale(0);
    let values = value.data.as_ref()?.f32().ok()?.iter();
    let whole: Vec<i64> = values.map(|v| (v / scale).round() as i64).collect();
    if dtype == DType::I16 {
        let narrow: Option<Vec<i16>> = whole.iter().map(|&v| i16::try_from(v).ok()).collect();
        return Some((Data::I16(narrow?), Quantization::per_tensor(scale, 0)));
    }
    // The zero point next to 0 with which int8 holds them all.
    let (low, high) = (*whole.iter().min()?, *whole.iter().max()?);
    let (least, most) = ((-128i64).saturating_sub(low), 127i64.saturating_sub(high));
    let zero_point = (least <= most).then(|| 0i64.clamp(least, most))?;
    let narrow = whole
        .iter()
        .map(|&v| i8::try_from(v.saturating_add(zero_point)).ok());
    let narrow: Option<Vec<i8>> = narrow.collect();
    let zero_point = i32::from(i8::try_from(zero_point).ok()?);
    let quantization = Quantization::per_tensor(scale, zero_point);
    Some((Data::I8(narrow?), quantization))
}
