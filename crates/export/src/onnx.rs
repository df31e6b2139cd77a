//! ONNX files with QuantizeLinear and DequantizeLinear: every integer value is a float one that
//! has been quantized and dequantized with its scale, and operators work on floats between them.
//! Integers are unsigned, 128 above ours: see [`File::constant`].
//!
//! ONNX has images as `[N, C, H, W]`: all values of four dimensions are turned to that, and what
//! the caller sees is in the caller's order.

mod file;
mod layers;
mod tables;

use crate::network::{Fold, Kind, Layer, Network, Value, Window};
use crate::{Error, Exported};
use file::{Elements, File, int, ints};
use format::meta::{Meta, Port};
use format::{DType, Model};
use std::collections::BTreeMap;

const TARGET: &str = "ONNX";

/// ONNX axis `i` of an image is our axis `TO_ONNX[i]`.
const TO_ONNX: [usize; 4] = [0, 3, 1, 2];

/// Our axis `i` of an image is ONNX's axis `FROM_ONNX[i]`.
const FROM_ONNX: [usize; 4] = [0, 2, 3, 1];

/// How operators stand in an ONNX file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnnxForm {
    /// All on floats, between QuantizeLinear and DequantizeLinear: runtimes make of that what they can.
    #[default]
    Qdq,
    /// Layers with weights are QLinearConv, on integers: their sums are whole numbers in every runtime.
    QOperator,
}

/// Writes a compact int8 model as an ONNX file with quantization between the operators.
///
/// Inputs and outputs are floats in the layout of the model's source. Where runtimes multiply integers, as ONNX
/// Runtime does with its optimizations or in [`OnnxForm::QOperator`], layers of models quantized here agree with
/// ours; sums of floats differ in their last bits, which decide near halves.
pub fn onnx(model: &Model<'_>, meta: &Meta, form: OnnxForm) -> Result<Exported, Error> {
    let network = Network::of(model, meta, TARGET)?;
    let mut writer = Writer {
        network: &network,
        form,
        file: File::default(),
        names: vec![None; network.values.len()],
        constants: BTreeMap::new(),
    };
    for (index, &value) in network.inputs.iter().enumerate() {
        writer.input(value, meta.inputs.get(index));
    }
    for layer in &network.layers {
        writer.layer(layer)?;
    }
    for (index, &value) in network.outputs.iter().enumerate() {
        writer.output(value, meta.outputs.get(index));
    }
    let bytes = writer
        .file
        .finish(&meta.manifest.tool)
        .map_err(Error::Write)?;
    let note = match form {
        OnnxForm::Qdq => {
            "sums are of floats there, unless a runtime makes integers of them, and rounded to even; \
             what nodes make may be a step off"
        }
        OnnxForm::QOperator => {
            "sums of two values, means and softmax are of floats there and rounded to even; what they make \
             may be a step off"
        }
    };
    Ok(Exported {
        bytes,
        notes: vec![note.into()],
    })
}

struct Writer<'n> {
    network: &'n Network,
    form: OnnxForm,
    file: File,
    /// The float of each value that is computed.
    names: Vec<Option<String>>,
    /// The float of each constant, for images and for others.
    constants: BTreeMap<(usize, bool), String>,
}

/// An axis in ONNX's order.
fn axis(value: &Value, axis: usize) -> usize {
    match value.dims.len() {
        4 => FROM_ONNX.get(axis).copied().unwrap_or(axis),
        _ => axis,
    }
}

/// Something per axis in ONNX's order.
fn per_axis<T: Copy>(value: &Value, items: &[T]) -> Vec<T> {
    match items.len() == 4 && value.dims.len() == 4 {
        true => TO_ONNX.iter().map(|&axis| items[axis]).collect(),
        false => items.to_vec(),
    }
}

/// For every one of our axes, the caller's.
fn callers_axes(value: &Value, port: Option<&Port>) -> Vec<usize> {
    let given = port
        .map(|port| &port.axes)
        .filter(|axes| axes.len() == value.dims.len());
    match given {
        Some(axes) => axes.iter().map(|&axis| usize::from(axis)).collect(),
        None => (0..value.dims.len()).collect(),
    }
}

fn is_identity(axes: &[usize]) -> bool {
    axes.iter().enumerate().all(|(i, &axis)| i == axis)
}

impl Writer<'_> {
    /// The float of an operand of a node that makes images, or something else; constants become one
    /// here.
    fn name(&mut self, index: usize, is_image: bool) -> String {
        if let Some(name) = &self.names[index] {
            return name.clone();
        }
        if let Some(name) = self.constants.get(&(index, is_image)) {
            return name.clone();
        }
        let value = &self.network.values[index];
        let name = match is_image {
            true => value.name.clone(),
            false => format!("{}_plain", value.name),
        };
        self.constant(value, &name, is_image);
        self.constants.insert((index, is_image), name.clone());
        name
    }

    /// A constant operand, beside images stretched to four dimensions so that it lies along the channels.
    fn constant(&mut self, value: &Value, name: &str, is_image: bool) {
        let bytes = value.data.clone().unwrap_or_default();
        let width = value.dtype.bytes();
        let mut whole = match is_image {
            true => vec![1; 4usize.saturating_sub(value.dims.len())],
            false => Vec::new(),
        };
        whole.extend(&value.dims);
        let (shape, bytes) = match whole[..] {
            [n, h, w, c] => {
                let turned = (0..n * c * h * w).flat_map(|i| {
                    let (image, channel) = (i / (c * h * w), i / (h * w) % c);
                    let at = ((image * h * w + i % (h * w)) * c + channel) * width;
                    bytes[at..at + width].to_vec()
                });
                (vec![n, c, h, w], turned.collect())
            }
            _ => (value.dims.clone(), bytes),
        };
        let stored = format!("{name}_integers");
        let elements = match value.dtype {
            DType::F32 => Elements::F32(bytes),
            DType::Bool => Elements::Bool(bytes),
            _ => Elements::I8(bytes),
        };
        let is_integer = value.dtype == DType::I8;
        self.file
            .constant(if is_integer { &stored } else { name }, &shape, elements);
        if is_integer {
            let parameters = self.parameters(value);
            self.file.node(
                "DequantizeLinear",
                &[&stored, &parameters[0], &parameters[1]],
                name,
                vec![],
            );
        }
    }

    /// Scale and zero point of a value.
    fn parameters(&mut self, value: &Value) -> [String; 2] {
        let names = [
            format!("{}_scale", value.name),
            format!("{}_zero_point", value.name),
        ];
        self.file.constant(
            &names[0],
            &[],
            Elements::F32(value.scale.to_le_bytes().to_vec()),
        );
        self.file.constant(
            &names[1],
            &[],
            Elements::I8(vec![value.zero_point as i8 as u8]),
        );
        names
    }

    /// Quantizes a float and dequantizes it again, as `value`.
    fn quantized(&mut self, float: &str, index: usize) {
        let value = &self.network.values[index];
        if value.scale > 0.0 {
            let integers = format!("{}_integers", value.name);
            let [scale, zero] = self.parameters(value);
            self.file
                .node("QuantizeLinear", &[float, &scale, &zero], &integers, vec![]);
            return self.dequantized(index);
        }
        let name = format!("{}_float", value.name);
        self.file.node("Identity", &[float], &name, vec![]);
        self.names[index] = Some(name);
    }

    fn input(&mut self, index: usize, port: Option<&Port>) {
        let value = &self.network.values[index];
        let axes = callers_axes(value, port);
        let mut shape = value.dims.clone();
        for (ours, &callers) in axes.iter().enumerate() {
            shape[callers] = value.dims[ours];
        }
        self.file.input(&value.name, &shape, value.dtype);
        let order: Vec<usize> = per_axis(value, &axes);
        let name = value.name.clone();
        let turned = self.turned(&name, &order, &format!("{name}_turned"));
        self.quantized(&turned, index);
    }

    fn output(&mut self, index: usize, port: Option<&Port>) {
        let value = &self.network.values[index];
        let from = self.name(index, value.dims.len() == 4);
        let axes = callers_axes(value, port);
        let mut order = vec![0; axes.len()];
        let mut shape = value.dims.clone();
        for (ours, &callers) in axes.iter().enumerate() {
            order[callers] = axis(value, ours);
            shape[callers] = value.dims[ours];
        }
        let name = match self.network.inputs.contains(&index) {
            true => format!("{}_output", value.name),
            false => value.name.clone(),
        };
        let axes: Vec<i64> = order.iter().map(|&axis| axis as i64).collect();
        match is_identity(&order) {
            true => self.file.node("Identity", &[&from], &name, vec![]),
            false => self
                .file
                .node("Transpose", &[&from], &name, vec![ints("perm", &axes)]),
        }
        self.file.output(&name, &shape, value.dtype);
    }

    /// A value with its axes permuted, under a new name if they are.
    fn turned(&mut self, from: &str, order: &[usize], name: &str) -> String {
        if is_identity(order) {
            return from.into();
        }
        let axes: Vec<i64> = order.iter().map(|&axis| axis as i64).collect();
        self.file
            .node("Transpose", &[from], name, vec![ints("perm", &axes)]);
        name.into()
    }

    fn reshaped(&mut self, from: &str, shape: &[usize], name: &str) -> String {
        let sizes = format!("{name}_shape");
        self.file.numbers(&sizes, shape);
        self.file.node("Reshape", &[from, &sizes], name, vec![]);
        name.into()
    }

    /// The floats of a layer's operands.
    fn operands(&mut self, layer: &Layer) -> Vec<String> {
        let is_image = self.network.values[layer.output].dims.len() == 4;
        let operands = layer.inputs.iter();
        operands.map(|&value| self.name(value, is_image)).collect()
    }

    fn layer(&mut self, layer: &Layer) -> Result<(), Error> {
        let inputs = self.operands(layer);
        let first = layer
            .inputs
            .first()
            .copied()
            .ok_or(Error::Plan(layer.index))?;
        let network = self.network;
        let (from, to) = (&network.values[first], &network.values[layer.output]);
        refuse_plain(layer, to)?;
        if self.form == OnnxForm::QOperator && self.integer_layer(layer) {
            return Ok(());
        }
        let made = format!("{}_made", to.name);
        let operands: Vec<&str> = inputs.iter().map(String::as_str).collect();
        match &layer.kind {
            Kind::Convolution(weights, window, groups) => {
                let [w, b] = self.weights(weights, to, from, true);
                let mut attributes = windowed(window);
                attributes.push(ints("dilations", &window.dilation.map(|n| n as i64)));
                attributes.push(int("group", *groups as i64));
                self.file
                    .node("Conv", &[&inputs[0], &w, &b], &made, attributes);
            }
            Kind::FullyConnected(weights) => {
                self.fully_connected(weights, &inputs[0], from, to, &made)
            }
            Kind::AveragePool(window) => {
                let attributes = windowed(window);
                self.file.node("AveragePool", &operands, &made, attributes);
            }
            Kind::MaxPool(window) => self
                .file
                .node("MaxPool", &operands, &made, windowed(window)),
            Kind::Binary(function) => self.binary(*function, &operands, &made),
            Kind::Reduce(fold, first, last) => {
                let axes: Vec<usize> = (*first..=*last).map(|a| axis(from, a)).collect();
                self.reduced(*fold, &inputs[0], &axes, &made);
            }
            Kind::Softmax => {
                let last = axis(from, from.dims.len().saturating_sub(1)) as i64;
                self.file
                    .node("Softmax", &operands, &made, vec![int("axis", last)]);
            }
            Kind::Concat(along) => {
                let along = axis(from, *along) as i64;
                self.file
                    .node("Concat", &operands, &made, vec![int("axis", along)]);
            }
            Kind::MatMul => self.product(layer, &inputs, &made),
            Kind::Table(table) if from.scale > 0.0 => {
                self.table(table, from, layer.output);
                return Ok(());
            }
            Kind::Quantize | Kind::Dequantize => {
                self.file.node("Identity", &operands, &made, vec![])
            }
            Kind::Gather(..) | Kind::Resample(_) | Kind::LayerNorm(_) | Kind::Compare(_) => {
                self.composed(layer, &inputs, &made)?;
            }
            Kind::Choose => self.file.node("Where", &operands, &made, vec![]),
            other => self.arranged(other, &inputs[0], [from, to], &made),
        }
        let limited = self.limited(layer, &made);
        self.quantized(&limited, layer.output);
        Ok(())
    }

    fn reduced(&mut self, fold: Fold, input: &str, axes: &[usize], made: &str) {
        let name = match fold {
            Fold::Mean => "ReduceMean",
            Fold::Max => "ReduceMax",
            Fold::Min => "ReduceMin",
            // Its axes are an operand.
            Fold::Sum => {
                let operand = format!("{made}_axes");
                self.file.numbers(&operand, axes);
                let keeps = vec![int("keepdims", 1)];
                return self.file.node("ReduceSum", &[input, &operand], made, keeps);
            }
        };
        let axes: Vec<i64> = axes.iter().map(|&axis| axis as i64).collect();
        let attributes = vec![ints("axes", &axes), int("keepdims", 1)];
        self.file.node(name, &[input], made, attributes);
    }

    /// Picks the integers of a value from a table by those of another, which are unsigned as places are.
    fn table(&mut self, table: &[u8], from: &Value, index: usize) {
        let to = &self.network.values[index];
        let [places, held, integers] =
            ["places", "table", "integers"].map(|part| format!("{}_{part}", to.name));
        self.file
            .constant(&held, &[table.len()], Elements::I8(table.to_vec()));
        let from = format!("{}_integers", from.name);
        // 6 stands for int32.
        self.file
            .node("Cast", &[&from], &places, vec![int("to", 6)]);
        self.file
            .node("Gather", &[&held, &places], &integers, vec![]);
        self.dequantized(index);
    }

    /// The float of a value whose integers are there.
    fn dequantized(&mut self, index: usize) {
        let value = &self.network.values[index];
        let [integers, float] = ["integers", "float"].map(|part| format!("{}_{part}", value.name));
        let [scale, zero] = self.parameters(value);
        self.file.node(
            "DequantizeLinear",
            &[&integers, &scale, &zero],
            &float,
            vec![],
        );
        self.names[index] = Some(float);
    }

    /// The product of matrices, which are the last two of our axes.
    fn product(&mut self, layer: &Layer, inputs: &[String], made: &str) {
        let mut operands = Vec::new();
        for (&index, name) in layer.inputs.iter().zip(inputs) {
            let value = &self.network.values[index];
            // Constants are stretched to four dimensions.
            let is_image = self.network.values[layer.output].dims.len() == 4;
            let plain = format!("{made}_plain{}", operands.len());
            operands.push(match value.data.is_some() && is_image {
                true => self.turned(name, &FROM_ONNX, &plain),
                false => self.plain(name, value, &plain),
            });
        }
        let operands: Vec<&str> = operands.iter().map(String::as_str).collect();
        let product = format!("{made}_product");
        self.file.node("MatMul", &operands, &product, vec![]);
        self.placed(&product, &self.network.values[layer.output], made);
    }

    /// A value in our order of axes.
    fn plain(&mut self, name: &str, value: &Value, plain: &str) -> String {
        match value.dims.len() {
            4 => self.turned(name, &FROM_ONNX, plain),
            _ => name.into(),
        }
    }

    /// What has our order of axes under a value's dimensions, and in ONNX's order where it is an image.
    fn placed(&mut self, plain: &str, to: &Value, made: &str) {
        if to.dims.len() == 4 {
            let shaped = self.reshaped(plain, &to.dims, &format!("{made}_shaped"));
            self.turned(&shaped, &TO_ONNX, made);
        } else {
            self.reshaped(plain, &to.dims, made);
        }
    }

    /// Operators that move elements.
    fn arranged(&mut self, kind: &Kind, input: &str, [from, to]: [&Value; 2], made: &str) {
        match kind {
            Kind::Transpose(axes) => {
                let order: Vec<usize> = per_axis(from, axes);
                let order: Vec<i64> = order.iter().map(|&a| axis(from, a) as i64).collect();
                self.file
                    .node("Transpose", &[input], made, vec![ints("perm", &order)]);
            }
            Kind::Pad(amounts, value) => {
                let amounts = per_axis(from, amounts);
                let before = amounts.iter().map(|[before, _]| *before);
                let both: Vec<usize> = before
                    .chain(amounts.iter().map(|[_, after]| *after))
                    .collect();
                let real = match from.dtype {
                    DType::F32 => f32::from_le_bytes(*value),
                    _ => (i32::from(value[0] as i8) - from.zero_point) as f32 * from.scale,
                };
                let names = [format!("{made}_amounts"), format!("{made}_value")];
                self.file.numbers(&names[0], &both);
                self.file
                    .constant(&names[1], &[], Elements::F32(real.to_le_bytes().to_vec()));
                self.file
                    .node("Pad", &[input, &names[0], &names[1]], made, vec![]);
            }
            Kind::Slice(ranges) => {
                let ranges = per_axis(from, ranges);
                let mut operands = vec![input.to_string()];
                for (part, what) in ["starts", "ends", "axes", "steps"].iter().enumerate() {
                    let number = |(axis, &[start, step, size]): (usize, &[usize; 3])| {
                        [start, start + (size.max(1) - 1) * step + 1, axis, step][part]
                    };
                    let numbers: Vec<usize> = ranges.iter().enumerate().map(number).collect();
                    operands.push(format!("{made}_{what}"));
                    self.file.numbers(&operands[part + 1], &numbers);
                }
                let operands: Vec<&str> = operands.iter().map(String::as_str).collect();
                self.file.node("Slice", &operands, made, vec![]);
            }
            _ => {
                // Elements keep our order of them.
                let plain = self.plain(input, from, &format!("{made}_plain"));
                self.placed(&plain, to, made);
            }
        }
    }

    /// The name behind the limits of a layer, where these are tighter than those of the type.
    fn limited(&mut self, layer: &Layer, made: &str) -> String {
        let to = &self.network.values[layer.output];
        let [low, high] = layer.limits;
        if to.scale <= 0.0 || [low, high] == [-128, 127] {
            return made.into();
        }
        let name = format!("{made}_limited");
        if high == 127 && low == to.zero_point {
            self.file.node("Relu", &[made], &name, vec![]);
            return name;
        }
        let mut operands = vec![made.to_string()];
        for (what, bound) in [("low", low), ("high", high)] {
            let real = (bound - to.zero_point) as f32 * to.scale;
            operands.push(format!("{made}_{what}"));
            let bytes = Elements::F32(real.to_le_bytes().to_vec());
            self.file
                .constant(operands.last().unwrap_or(&name), &[], bytes);
        }
        let operands: Vec<&str> = operands.iter().map(String::as_str).collect();
        self.file.node("Clip", &operands, &name, vec![]);
        name
    }
}

/// Refuses integers that stand for themselves: between operators there are floats.
fn refuse_plain(layer: &Layer, to: &Value) -> Result<(), Error> {
    if to.dtype != DType::I8 || to.scale > 0.0 {
        return Ok(());
    }
    Err(Error::Node {
        index: layer.index,
        operator: "reshape",
        target: TARGET,
        reason: "its integers have no scale".into(),
    })
}

/// Window, stride and padding as attributes.
fn windowed(window: &Window) -> Vec<rten_onnx::onnx::AttributeProto> {
    let wide = |pair: [usize; 2]| pair.map(|n| n as i64);
    vec![
        ints("kernel_shape", &wide(window.kernel)),
        ints("strides", &wide(window.stride)),
        ints("pads", &window.padding.map(|n| n as i64)),
    ]
}
