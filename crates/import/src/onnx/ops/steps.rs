//! Integers that stand for real numbers: what later passes make integer kernels of.
//!
//! Where scale and zero point are constant numbers, quantization becomes the nodes Quantize and
//! Dequantize around float operators, and unsigned bytes become signed ones, 128 lower. Operators that
//! move elements take the real numbers; all others see the integers as the source has them.

use super::quantized::requantized;
use super::{Import, is_quantized};
use crate::onnx::call::{Builder, Call, Item, Quantized, Refusal};
use crate::onnx::constant::walk;
use crate::onnx::is_standard;
use graph::{DType, Data, Quantization, ValueId};
use rten_onnx::onnx::{GraphProto, NodeProto};
use runtime::host::Tensor;
use runtime::ops::binary::Function as Of2;
use runtime::ops::dequantize::Dequantize;
use runtime::ops::quantize::Quantize;
use std::rc::Rc;

/// Operators whose first operand is moved or compared, whatever it stands for.
const MOVING: [&str; 16] = [
    "DepthToSpace",
    "Expand",
    "Flatten",
    "Gather",
    "GatherElements",
    "Identity",
    "MaxPool",
    "Reshape",
    "Resize",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
];

/// What unsigned bytes are moved by.
fn offset(dtype: DType) -> i32 {
    match dtype {
        DType::U8 => 128,
        _ => 0,
    }
}

/// The type that integers of the source have in the graph, where integer kernels take them.
fn held(dtype: DType) -> Option<DType> {
    match dtype {
        DType::I8 | DType::U8 => Some(DType::I8),
        DType::I16 => Some(DType::I16),
        _ => None,
    }
}

/// What integers of a type stand for with one scale and one zero point; `None` where no integer kernel
/// computes with such.
fn quantization(scale: &Tensor, zero_point: Option<&Tensor>, dtype: DType) -> Option<Quantization> {
    let [scale] = scale.data.f32().ok()? else {
        return None;
    };
    let zero_point = match zero_point {
        Some(tensor) => tensor.data.to_i64().ok()?,
        None => vec![0],
    };
    let [zero_point] = zero_point[..] else {
        return None;
    };
    let smallest = i64::from(i8::MIN);
    let zero_point = zero_point.saturating_sub(i64::from(offset(dtype)));
    let fits = match held(dtype)? {
        DType::I16 => zero_point == 0,
        _ => (smallest..=i64::from(i8::MAX)).contains(&zero_point),
    };
    let is_usable = fits && scale.is_normal() && *scale > 0.0;
    is_usable.then(|| Quantization::per_tensor(*scale, zero_point as i32))
}

impl Call<'_> {
    /// What integers stand for whose scale and zero point are these operands.
    fn quantization(
        &self,
        scale: Item,
        zero_point: Option<Item>,
        dtype: DType,
    ) -> Option<Quantization> {
        let scale = self.tensor(scale)?;
        let zero_point = match zero_point {
            Some(item) => Some(self.tensor(item)?),
            None => None,
        };
        quantization(&scale, zero_point.as_deref(), dtype)
    }

    /// Real numbers as integers of a scale and a zero point; `None` where those are not constant
    /// numbers that integer kernels compute with.
    pub(super) fn quantized(
        &mut self,
        source: Item,
        [scale, zero_point]: [Option<Item>; 2],
        dtype: DType,
    ) -> Result<Option<Item>, Refusal> {
        // Constants are rounded here, as the file says.
        let is_constant = self.tensor(source).is_some();
        let found = scale.and_then(|scale| self.quantization(scale, zero_point, dtype));
        match found.filter(|_| !is_constant) {
            Some(quantization) => Ok(Some(self.integers_of(source, quantization, dtype)?)),
            None => Ok(None),
        }
    }

    fn integers_of(
        &mut self,
        source: Item,
        quantization: Quantization,
        dtype: DType,
    ) -> Result<Item, Refusal> {
        let to = held(dtype).ok_or("there are no such integers")?;
        let made = self.push(Quantize { dtype: to }, &[source])?;
        let integers = self.builder.value(made);
        self.builder.graph.value_mut(integers).quantization = Some(quantization);
        let source = Some(source);
        let quantized = Quantized {
            integers,
            dtype,
            source,
            real: None,
        };
        self.builder.quantized.push(quantized);
        Ok(Item::Quantized(self.builder.quantized.len() - 1))
    }

    /// The real numbers that an item stands for, with this scale and this zero point; `None` where it
    /// is neither constant nor known to stand for such.
    pub(super) fn real(
        &mut self,
        item: Item,
        scale: Item,
        zero_point: Option<Item>,
        axis: usize,
    ) -> Result<Option<Item>, Refusal> {
        if let Item::Quantized(index) = item {
            let Quantized {
                integers, dtype, ..
            } = self.builder.quantized[index];
            let said = self.quantization(scale, zero_point, dtype);
            let is_same = said.is_some() && said == self.builder.graph.value(integers).quantization;
            return match is_same {
                true => Ok(Some(self.real_of(index)?)),
                false => Ok(None),
            };
        }
        self.real_constant(item, scale, zero_point, axis)
    }

    /// The real numbers of integers that are computed.
    pub(super) fn real_of(&mut self, index: usize) -> Result<Item, Refusal> {
        let Quantized { integers, real, .. } = self.builder.quantized[index];
        if let Some(real) = real {
            return Ok(real);
        }
        let real = self.push(Dequantize, &[Item::Value(integers)])?;
        self.builder.quantized[index].real = Some(real);
        Ok(real)
    }

    /// A constant of integers as floats that remember their steps: one scale, or one for each index along
    /// an axis.
    fn real_constant(
        &mut self,
        item: Item,
        scale: Item,
        zero_point: Option<Item>,
        axis: usize,
    ) -> Result<Option<Item>, Refusal> {
        let zero_points = match zero_point.map(|zero_point| self.tensor(zero_point)) {
            None => None,
            Some(Some(tensor)) => Some(tensor),
            Some(None) => return Ok(None),
        };
        let (Some(tensor), Some(scales)) = (self.tensor(item), self.tensor(scale)) else {
            return Ok(None);
        };
        let name = self.name_of(item);
        let zero_points = zero_points.as_deref();
        Ok(
            real_numbers(&tensor, &scales, zero_points, axis).map(|(data, steps)| {
                let shape = tensor.shape;
                self.builder
                    .constant_of_steps(name, Tensor { shape, data }, steps)
            }),
        )
    }

    /// Integers as the source has them, by the arithmetic that made them.
    fn whole_numbers(&mut self, index: usize) -> Result<Item, Refusal> {
        let Quantized {
            integers,
            dtype,
            source,
            ..
        } = self.builder.quantized[index];
        let quantization = self.builder.graph.value(integers).quantization.clone();
        let quantization = quantization.ok_or("its integers have no scale")?;
        let source = match source {
            Some(source) => source,
            None => self.real_of(index)?,
        };
        let zero_point = quantization.zero_point + offset(dtype);
        let scale = self.floats(&[], vec![quantization.scale(0)])?;
        let zero_point = self.floats(&[], vec![zero_point as f32])?;
        let steps = self.arithmetic(Of2::Div, source, scale)?;
        requantized(self, steps, Some(zero_point), dtype)
    }

    /// Gives the node integers as the source has them for all operands that are known to stand for real
    /// numbers.
    pub(super) fn forget_steps(&mut self) -> Result<(), Refusal> {
        for place in 0..self.inputs.len() {
            if let Some(Item::Quantized(index)) = self.inputs[place] {
                self.inputs[place] = Some(self.whole_numbers(index)?);
            }
        }
        Ok(())
    }

    /// Real numbers quantized as others are.
    fn quantized_as(&mut self, real: Item, index: usize) -> Result<Item, Refusal> {
        let Quantized {
            integers, dtype, ..
        } = self.builder.quantized[index];
        let quantization = self.builder.graph.value(integers).quantization.clone();
        match quantization.filter(|_| self.dtype(real) == DType::F32) {
            Some(quantization) => self.integers_of(real, quantization, dtype),
            None => Ok(real),
        }
    }
}

/// `(integer - zero_point) scale` of every element, and the steps where bytes have them.
fn real_numbers(
    tensor: &Tensor,
    scales: &Tensor,
    zero_points: Option<&Tensor>,
    axis: usize,
) -> Option<(Data, Option<Quantization>)> {
    let dtype = tensor.data.dtype();
    let values = tensor.data.to_i64().ok()?;
    let mut parameters = [Some(scales), zero_points].into_iter().flatten();
    // Others stand for blocks of elements.
    if parameters.any(|held| held.shape.rank() > 1 && held.shape.elements() > 1) {
        return None;
    }
    let scales = scales.data.f32().ok()?;
    let zero_points = match zero_points {
        Some(tensor) => tensor.data.to_i64().ok()?,
        None => vec![0],
    };
    let count = scales.len().max(zero_points.len());
    let is_along = count > 1;
    if is_along && (axis >= tensor.shape.rank() || tensor.shape.dim(axis) != count) {
        return None;
    }
    let fits = |length: usize| length == 1 || length == count;
    if !fits(scales.len()) || !fits(zero_points.len()) {
        return None;
    }
    // The index along the axis of every element.
    let dims: Vec<usize> = tensor.shape.dims().iter().map(|&d| d as usize).collect();
    let mut strides = vec![0; dims.len()];
    if is_along {
        strides[axis] = 1;
    }
    let at = |list: usize, index: usize| if list == 1 { 0 } else { index };
    let pairs = values.iter().zip(walk(&dims, &strides, 0));
    let real = pairs.map(|(&value, index)| {
        let centred = value.saturating_sub(zero_points[at(zero_points.len(), index)]);
        centred as f32 * scales[at(scales.len(), index)]
    });
    let is_usable = scales.iter().all(|scale| scale.is_normal() && *scale > 0.0);
    let steps = (held(dtype).is_some() && is_usable).then(|| Quantization {
        scales: scales.to_vec(),
        zero_point: 0,
        axis: (scales.len() > 1).then_some(axis),
    });
    Some((Data::F32(real.collect()), steps))
}

/// Imports a node whose operands may be integers that stand for real numbers.
pub(in crate::onnx) fn import(
    node: &NodeProto,
    import: Import,
    call: &mut Call<'_>,
) -> Result<Vec<Item>, Refusal> {
    let index = |item: &Option<Item>| match item {
        Some(Item::Quantized(index)) => Some(*index),
        _ => None,
    };
    let Some(first) = call.inputs.iter().find_map(index) else {
        return import(call);
    };
    if is_quantized(node) {
        return import(call);
    }
    let others = call.inputs.iter().skip(1).filter_map(index).count();
    let operator = node.op_type.as_deref().unwrap_or_default();
    let is_moving = is_moving(node) && others == 0;
    let is_extreme = matches!(operator, "ArgMax" | "ArgMin");
    if is_moving || is_extreme || is_alike(call, operator, first) {
        for place in 0..call.inputs.len() {
            if let Some(Item::Quantized(index)) = call.inputs[place] {
                call.inputs[place] = Some(call.real_of(index)?);
            }
        }
        let results = import(call)?;
        return results
            .into_iter()
            .map(|real| call.quantized_as(real, first))
            .collect();
    }
    call.forget_steps()?;
    import(call)
}

/// Whether this concatenates integers that all stand for the same real numbers.
fn is_alike(call: &Call<'_>, operator: &str, first: usize) -> bool {
    let meaning = |index: usize| {
        let quantized = call.builder.quantized[index];
        (
            quantized.dtype,
            call.builder
                .graph
                .value(quantized.integers)
                .quantization
                .clone(),
        )
    };
    let same = |item: &Option<Item>| match item {
        Some(Item::Quantized(index)) => meaning(*index) == meaning(first),
        _ => false,
    };
    operator == "Concat" && call.inputs.iter().all(same)
}

/// The operands of a node that are integers, each with the places of its scale and its zero point.
fn integer_operands(node: &NodeProto) -> Vec<[usize; 3]> {
    let operator = node.op_type.as_deref().unwrap_or_default();
    let plain = |places: &[usize]| places.iter().map(|&at| [at, at + 1, at + 2]).collect();
    match operator {
        "QLinearConv" | "QLinearMatMul" | "QLinearAdd" | "QLinearMul" | "QGemm" => plain(&[0, 3]),
        "QLinearConcat" => (2..node.input.len())
            .step_by(3)
            .map(|at| [at, at + 1, at + 2])
            .collect(),
        "QLinearWhere" => plain(&[1, 4]),
        _ if operator == "DequantizeLinear" || operator.starts_with("QLinear") => plain(&[0]),
        _ => Vec::new(),
    }
}

/// What the integers of an input stand for, where all nodes that read it say the same of it.
pub(in crate::onnx) fn input_quantization(
    graph: &GraphProto,
    input: &str,
    dtype: DType,
    constant: impl Fn(&str) -> Option<Rc<Tensor>>,
) -> Option<Quantization> {
    let mut found = None;
    // The input, and what is moved of it.
    let mut names = vec![input];
    let mut at = 0;
    while let Some(&moved) = names.get(at) {
        at += 1;
        if graph
            .output
            .iter()
            .any(|output| output.name.as_deref() == Some(moved))
        {
            return None;
        }
        for (node, place) in readers(graph, moved) {
            if place == 0 && is_moving(node) {
                for name in node.output.iter().map(String::as_str) {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
                continue;
            }
            let operands = integer_operands(node);
            let [_, scale, zero_point] = *operands.iter().find(|operand| operand[0] == place)?;
            let scale = constant(node.input.get(scale)?)?;
            let zero_point = match node.input.get(zero_point).filter(|name| !name.is_empty()) {
                Some(name) => Some(constant(name)?),
                None => None,
            };
            let said = quantization(&scale, zero_point.as_deref(), dtype)?;
            if *found.get_or_insert_with(|| said.clone()) != said {
                return None;
            }
        }
    }
    found
}

/// The nodes that read a name, each with the place at which it does.
fn readers<'a>(graph: &'a GraphProto, name: &str) -> impl Iterator<Item = (&'a NodeProto, usize)> {
    graph.node.iter().flat_map(move |node| {
        let places = node
            .input
            .iter()
            .enumerate()
            .filter(move |(_, input)| *input == name);
        places.map(move |(place, _)| (node, place))
    })
}

/// Whether a node moves or compares elements of its first operand, whatever they stand for.
fn is_moving(node: &NodeProto) -> bool {
    let operator = node.op_type.as_deref().unwrap_or_default();
    is_standard(node.domain.as_deref()) && MOVING.contains(&operator)
}

/// The type in the graph of integers that stand for real numbers.
pub(in crate::onnx) fn held_type(dtype: DType) -> DType {
    held(dtype).unwrap_or(dtype)
}

/// Whether unsigned bytes of an input or an output are moved.
pub(in crate::onnx) fn has_moved_port(builder: &Builder) -> bool {
    let moved = builder
        .quantized
        .iter()
        .filter(|quantized| offset(quantized.dtype) != 0);
    let moved: Vec<ValueId> = moved.map(|quantized| quantized.integers).collect();
    let mut ports = builder.graph.inputs.iter().chain(&builder.graph.outputs);
    ports.any(|port| moved.contains(&port.value))
}

/// An input of integers that stand for real numbers.
pub(in crate::onnx) fn input(builder: &mut Builder, integers: ValueId, dtype: DType) -> Item {
    builder.quantized.push(Quantized {
        integers,
        dtype,
        source: None,
        real: None,
    });
    Item::Quantized(builder.quantized.len() - 1)
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, int};
    use graph::{DType, Graph, Kind, Quantization};
    use rten_onnx::onnx::DataType;

    /// `x` in halves from 130, as unsigned bytes called `q`: operand 0, its scale and its zero point.
    fn halves(values: &[f32]) -> Source {
        let source = Source::new(13).input(&[1, values.len() as i64], values);
        let source = source.constant(&[], &[0.5]);
        let source = source.bytes_of(DataType::UINT8, &[], &[130]);
        source.node("QuantizeLinear", &["x0", "x1", "x2"], "q", vec![])
    }

    fn names(graph: &Graph) -> Vec<&'static str> {
        let nodes = graph.nodes.iter();
        nodes.map(|node| node.kind.operator().name()).collect()
    }

    #[test]
    fn unsigned_steps_become_signed_ones() {
        let source = halves(&[1.0, -65.5, 100.0]);
        let source = source.node("DequantizeLinear", &["q", "x1", "x2"], "y", vec![]);
        let source = source.output("y");
        assert_eq!(source.run().1, [1.0, -65.0, 62.5]);
        let graph = source.import().unwrap().graph;
        assert!(graph.simulates_integers);
        assert_eq!(names(&graph), ["quantize", "dequantize"]);
        let steps = &graph.value(graph.nodes[0].outputs[0]).quantization;
        assert_eq!(*steps, Some(Quantization::per_tensor(0.5, 2)));
    }

    /// A file may look at the integers themselves: they are what it says.
    #[test]
    fn other_operators_see_the_integers_of_the_file() {
        let source = halves(&[1.0, -65.5, 100.0]).node("Cast", &["q"], "y", vec![int("to", 1)]);
        assert_eq!(source.output("y").run().1, [132.0, 0.0, 255.0]);
    }

    #[test]
    fn what_is_moved_stands_for_the_same() {
        let source = halves(&[1.0, 2.0]).whole(&[2, 1]);
        let source = source.node("Reshape", &["q", "x3"], "r", vec![]);
        let source = source.node("DequantizeLinear", &["r", "x1", "x2"], "y", vec![]);
        let source = source.output("y");
        assert_eq!(source.run(), ("2x1".into(), vec![1.0, 2.0]));
        let graph = source.import().unwrap().graph;
        let expected = [
            "quantize",
            "dequantize",
            "reshape",
            "quantize",
            "dequantize",
        ];
        assert_eq!(names(&graph), expected);
    }

    /// Ports of bytes take and give real numbers.
    #[test]
    fn inputs_and_outputs_of_integers_have_steps() {
        let source = || {
            let source = Source::new(13).input_of(DataType::UINT8, &[1, 2]);
            let source = source.constant(&[], &[0.5]);
            let source = source.bytes_of(DataType::UINT8, &[], &[3]);
            let source = source.node("DequantizeLinear", &["x0", "x1", "x2"], "r", vec![]);
            let source = source.node("Relu", &["r"], "s", vec![]);
            let source = source.node("QuantizeLinear", &["s", "x1", "x2"], "y", vec![]);
            source.output("y")
        };
        let imported = source().import().unwrap();
        let graph = &imported.graph;
        for port in [&graph.inputs[0], &graph.outputs[0]] {
            let value = graph.value(port.value);
            assert_eq!(value.dtype, DType::I8);
            let steps = Quantization::per_tensor(0.5, -125);
            assert_eq!(value.quantization, Some(steps));
        }
        assert!(imported.notes.iter().any(|note| note.contains("128 lower")));
        // Read as whole numbers as well, they stay as they are.
        let both = source().node("Cast", &["x0"], "z", vec![int("to", 1)]);
        let graph = both.output("z").import().unwrap().graph;
        assert_eq!(graph.value(graph.inputs[0].value).dtype, DType::U8);
    }

    /// The layer's node and its weights' steps.
    fn weights(graph: &Graph) -> Option<Quantization> {
        let layer = |kind: &Kind| matches!(kind, Kind::Conv2d(_) | Kind::FullyConnected(_));
        let node = graph.nodes.iter().find(|node| layer(&node.kind)).unwrap();
        graph.value(node.inputs[1].unwrap()).quantization.clone()
    }

    #[test]
    fn weights_remember_their_steps() {
        let scales = [0.5, 0.25];
        let along = |axis| {
            Some(Quantization {
                scales: scales.into(),
                zero_point: 0,
                axis,
            })
        };
        let source = halves(&[1.0, 2.0]).bytes_of(DataType::INT8, &[2, 2], &[1, 2, 3, 4]);
        let source = source.constant(&[2], &scales);
        let source = source.node("DequantizeLinear", &["q", "x1", "x2"], "a", vec![]);
        let source = source.node("DequantizeLinear", &["x3", "x4"], "b", vec![int("axis", 1)]);
        let product = source.node("MatMul", &["a", "b"], "y", vec![]).output("y");
        assert_eq!(product.run().1, [3.5, 2.5]);
        assert_eq!(weights(&product.import().unwrap().graph), along(Some(0)));
        let source = halves(&[1.0]).bytes_of(DataType::UINT8, &[2, 1, 1, 1], &[3, 255]);
        let source = source
            .constant(&[2], &scales)
            .bytes_of(DataType::UINT8, &[2], &[1, 0]);
        let source = source.node("DequantizeLinear", &["q", "x1", "x2"], "a", vec![]);
        let source = source
            .whole(&[1, 1, 1, 1])
            .node("Reshape", &["a", "x6"], "i", vec![]);
        let axis = vec![int("axis", 0)];
        let source = source.node("DequantizeLinear", &["x3", "x4", "x5"], "w", axis);
        let conv = source.node("Conv", &["i", "w"], "y", vec![]).output("y");
        assert_eq!(conv.run().1, [1.0, 63.75]);
        assert_eq!(weights(&conv.import().unwrap().graph), along(Some(0)));
    }

    /// 16 bits around another number than 0 have no kernels: arithmetic does.
    #[test]
    fn what_no_kernel_takes_stays_arithmetic() {
        let source = Source::new(21).input(&[1], &[1.0]).constant(&[], &[0.5]);
        let source = source.bytes_of(DataType::INT16, &[], &[5]);
        let source = source.node("QuantizeLinear", &["x0", "x1", "x2"], "q", vec![]);
        let source = source.node("DequantizeLinear", &["q", "x1", "x2"], "y", vec![]);
        let source = source.output("y");
        assert_eq!(source.run().1, [1.0]);
        assert!(!source.import().unwrap().graph.simulates_integers);
    }
}
