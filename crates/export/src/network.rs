//! The plan of a compact model as layers between values.
//!
//! A plan knows places in memory, which one value after another takes; here every value is on its
//! own again. Multipliers become the scales of weights that they were computed from, and biases
//! lose what the input's zero point added to them.

mod places;
mod rules;
mod tables;

pub use tables::{Mix, Norm};

use crate::Error;
use format::fixed::{Channel, Requantize, Rounding};
use format::meta::{Meta, Port};
use format::{DType, Model, Node, Params, Place, Tensor};
use places::Places;
use runtime::host::{is_served, reached_i8, weight_scale};
use runtime::ops::{self, conv_2d};
use std::borrow::Cow;
use std::collections::HashMap;

/// A tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// A name of its own.
    pub name: String,
    /// Element type: int8 or f32.
    pub dtype: DType,
    /// Dimensions; images are `[N, H, W, C]`.
    pub dims: Vec<usize>,
    /// Real value of one step, 0 where the value is not quantized.
    pub scale: f32,
    /// The integer that stands for 0.0.
    pub zero_point: i32,
    /// The bytes of a constant.
    pub data: Option<Vec<u8>>,
}

/// A sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Rows and columns.
    pub kernel: [usize; 2],
    /// Steps between windows.
    pub stride: [usize; 2],
    /// Steps between taps.
    pub dilation: [usize; 2],
    /// Top, left, bottom, right.
    pub padding: [usize; 4],
}

/// Weights of a layer, by output channels.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// `[O, KH, KW, I]`.
    pub values: Vec<i8>,
    /// Those dimensions.
    pub dims: [usize; 4],
    /// One per output channel.
    pub scales: Vec<f32>,
    /// One per output channel, in units of `input scale * weight scale`.
    pub biases: Vec<i32>,
    /// Channels with sums that are rounded once here, and elsewhere where their products are of single
    /// precision.
    pub missed: usize,
}

/// What a layer computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A convolution, by input groups.
    Convolution(Weights, Window, usize),
    /// Rows times weights.
    FullyConnected(Weights),
    /// Two values, element by element.
    Binary(Binary),
    /// Matrices, or stacks of them, times others.
    MatMul,
    /// For every element what a table has for it, from the lowest integer on.
    Table(Vec<u8>),
    /// Means of windows.
    AveragePool(Window),
    /// Largest elements of windows.
    MaxPool(Window),
    /// One element for those along the axes from the first to the second, which become 1.
    Reduce(Fold, usize, usize),
    /// Shares over the last axis.
    Softmax,
    /// Values one behind the other along an axis.
    Concat(usize),
    /// Output axis `i` is input axis `axes[i]`.
    Transpose(Vec<usize>),
    /// Elements along an axis by their places, of which the one behind the last stands for zero; where
    /// places are computed, they are the second input.
    Gather(usize, Option<Vec<usize>>),
    /// Weighted means along one axis, or along two.
    Resample(Vec<Mix>),
    /// The second operand where the first, a condition, holds, and the third where it does not.
    Choose,
    /// Whether two values are in a relation.
    Compare(Comparison),
    /// Rows with mean 0 and variance 1, times factors, plus offsets.
    LayerNorm(Norm),
    /// Elements before and after each axis, and the integer or float put there, as bytes.
    Pad(Vec<[usize; 2]>, [u8; 4]),
    /// Starts, steps and sizes of each axis.
    Slice(Vec<[usize; 3]>),
    /// Other dimensions.
    Reshape,
    /// To the output's type and scale.
    Quantize,
    /// To floats.
    Dequantize,
}

/// Functions of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// The sum.
    Add,
    /// The difference.
    Sub,
    /// The product.
    Mul,
    /// The quotient.
    Div,
    /// The smaller.
    Min,
    /// The larger.
    Max,
    /// The square of the difference.
    SquaredDifference,
}

/// A relation of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// What is asked.
    pub relation: Relation,
    /// Whether real numbers of 8 binary places are compared, as TensorFlow Lite does; otherwise both have
    /// one scale, and their integers are.
    pub is_scaled: bool,
}

/// What is asked of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Whether they are equal.
    Equal,
    /// Whether they are not.
    NotEqual,
    /// Whether the first is less.
    Less,
    /// Whether the first is less or equal.
    LessOrEqual,
}

/// How many elements become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// Their mean.
    Mean,
    /// Their sum.
    Sum,
    /// The largest.
    Max,
    /// The smallest.
    Min,
}

/// One step of the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// The node of the plan.
    pub index: usize,
    /// How it rounds sums; `None` where it has none to round.
    pub rounding: Option<Rounding>,
    /// What it computes.
    pub kind: Kind,
    /// Values that it reads.
    pub inputs: Vec<usize>,
    /// The value that it makes.
    pub output: usize,
    /// The smallest and the largest integer of the output.
    pub limits: [i32; 2],
}

/// A model as layers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Network {
    /// All values.
    pub values: Vec<Value>,
    /// In order of execution.
    pub layers: Vec<Layer>,
    /// Values that the caller passes.
    pub inputs: Vec<usize>,
    /// Values that the caller gets.
    pub outputs: Vec<usize>,
    places: Places,
}

/// Added to divisors, of which it changes none but zero: quotients of zero by zero are zero then.
pub(crate) const SMALLEST_DIVISOR: f32 = 1e-30;

const WHOLE: [i32; 2] = [-128, 127];

impl Network {
    /// Reads the plan of a model.
    pub fn of(model: &Model<'_>, meta: &Meta, target: &'static str) -> Result<Self, Error> {
        let mut network = Network::default();
        let named = |ports: &[Port], index: usize, other: &str| {
            let name = ports.get(index).map(|port| port.name.clone());
            name.filter(|name| !name.is_empty())
                .unwrap_or_else(|| format!("{other}{index}"))
        };
        for index in 0..model.input_count() {
            let tensor = model.input(index).ok_or(Error::Plan(0))?;
            let value = network.add(&tensor, named(&meta.inputs, index, "input"));
            network.places.write(&tensor, value);
            network.inputs.push(value);
        }
        for node in model.nodes() {
            network.node(&node, target)?;
        }
        for index in 0..model.output_count() {
            let tensor = model.output(index).ok_or(Error::Plan(0))?;
            let value = network.read(model, &tensor, model.node_count())?;
            let name = named(&meta.outputs, index, "output");
            if !network.inputs.contains(&value) && !network.outputs.contains(&value) {
                network.values[value].name = name;
            }
            network.outputs.push(value);
        }
        network.tell_apart();
        Ok(network)
    }

    fn add(&mut self, tensor: &Tensor, name: String) -> usize {
        self.values.push(Value {
            name,
            dtype: tensor.dtype,
            dims: tensor
                .shape
                .dims()
                .iter()
                .map(|&size| size as usize)
                .collect(),
            scale: tensor.scale,
            zero_point: tensor.zero_point,
            data: None,
        });
        self.values.len() - 1
    }

    fn node(&mut self, node: &Node<'_>, target: &'static str) -> Result<(), Error> {
        let index = node.index;
        let operator = ops::ALL.iter().find(|op| op.code == node.code());
        let operator = operator.map_or("unknown", |op| op.name);
        let refused = |reason: &str| Error::Node {
            index,
            operator,
            target,
            reason: reason.into(),
        };
        let (from, to) = (node.input(0), node.output(0));
        let (from, to) = (
            from.ok_or(Error::Plan(index))?,
            to.ok_or(Error::Plan(index))?,
        );
        let mut made = (0..node.output_count()).filter_map(|output| node.output(output));
        if made.any(|tensor| tensor.place == Place::State) {
            return Err(Error::State {
                index,
                operator,
                target,
            });
        }
        let (kind, limits) = match self.kind(node, &from, &to) {
            Some(found) => found,
            None => return Err(refused("there is no int8 operator for it")),
        };
        let read = match kind {
            Kind::Convolution(..) | Kind::FullyConnected(_) | Kind::Table(_) => 1,
            Kind::Resample(_) | Kind::LayerNorm(_) | Kind::Gather(_, Some(_)) => 1,
            _ => node.input_count(),
        };
        let mut inputs = Vec::new();
        for operand in (0..read).filter_map(|operand| node.input(operand)) {
            inputs.push(self.read(&node.model(), &operand, index)?);
        }
        let output = self.add(&to, format!("value{}", self.values.len()));
        self.places.write(&to, output);
        self.layers.push(Layer {
            index,
            rounding: rules::rounding(node),
            kind,
            inputs,
            output,
            limits,
        });
        Ok(())
    }

    /// What a node computes, and its limits; `None` where it is not known here.
    fn kind(&mut self, node: &Node<'_>, from: &Tensor, to: &Tensor) -> Option<(Kind, [i32; 2])> {
        let mut params = node.params();
        let code = node.code();
        let is = |op: &runtime::Op| op.code == code;
        if is(&conv_2d::I8) || is(&conv_2d::NARROW_I8) {
            return self.convolution(node, from, to);
        }
        if is(&ops::binary::ADD_I8) {
            params.u32();
            params.u32();
            params.u8();
            return Some((Kind::Binary(Binary::Add), limits(&mut params)));
        }
        if is(&ops::binary::STEPWISE_I8) {
            let code = params.u8();
            params.u8();
            let limits = limits(&mut params);
            params.u32();
            params.u32();
            let function = match code {
                0 => Binary::Add,
                1 => Binary::Sub,
                2 => Binary::Mul,
                4 => Binary::Min,
                5 => Binary::Max,
                // The sign is the second factor's.
                ops::binary::SINGLE_SUM if params.i32() < 0 => Binary::Sub,
                ops::binary::SINGLE_SUM => Binary::Add,
                8 => Binary::SquaredDifference,
                _ => return None,
            };
            return Some((Kind::Binary(function), limits));
        }
        if is(&ops::binary::DIVIDE_I8) {
            params.u32();
            params.u32();
            return Some((Kind::Binary(Binary::Div), limits(&mut params)));
        }
        let is_image = from.shape.rank() == 4 && to.shape.rank() == 4;
        let pools = [
            &ops::average_pool_2d::I8,
            &ops::average_pool_2d::UP_I8,
            &ops::average_pool_2d::EVEN_I8,
            &ops::average_pool_2d::REAL_I8,
            &ops::max_pool_2d::I8,
        ];
        if is_image && pools.into_iter().any(is) {
            let window = window(&mut params, from, to);
            let kind = match is(&ops::max_pool_2d::I8) {
                true => Kind::MaxPool(window),
                false => Kind::AveragePool(window),
            };
            return Some((kind, limits(&mut params)));
        }
        if is_image && is(&ops::average_pool_2d::SCALED_I8) {
            let window = window(&mut params, from, to);
            params.u32();
            params.u32();
            let limits = [i32::from(params.i16()), i32::from(params.i16())];
            return Some((Kind::AveragePool(window), limits));
        }
        self.further(node, from, to).map(|kind| (kind, WHOLE))
    }

    /// Operators without limits of their own.
    fn further(&mut self, node: &Node<'_>, from: &Tensor, to: &Tensor) -> Option<Kind> {
        let mut params = node.params();
        let code = node.code();
        let is = |op: &runtime::Op| op.code == code;
        let rank = from.shape.rank();
        if is(&ops::mean::I8) || (is(&ops::reduce::WHOLE) && from.dtype == DType::I8) {
            return tables::reduce(node, [from, to]);
        }
        if is(&ops::softmax::I8) || is(&ops::softmax::SCALED_I8) {
            return Some(Kind::Softmax);
        }
        if is(&ops::mat_mul::I8) {
            return Some(Kind::MatMul);
        }
        if is(&ops::unary::I8) {
            // Stored tables begin with what 0 becomes.
            let mut table = node.model().constant(&node.input(1)?).to_vec();
            let half = table.len() / 2;
            table.rotate_left(half);
            return Some(Kind::Table(table));
        }
        if is(&ops::concat::ANY) {
            return Some(Kind::Concat(usize::from(params.u8())));
        }
        if is(&ops::transpose::ANY) {
            return Some(Kind::Transpose(
                (0..rank).map(|_| usize::from(params.u8())).collect(),
            ));
        }
        if is(&ops::choose::ANY) && to.dtype == DType::I8 {
            return Some(Kind::Choose);
        }
        let is_scaled = is(&ops::compare::SCALED_I8);
        if is_scaled || (is(&ops::compare::ANY) && from.dtype == DType::I8) {
            return tables::compare(node, is_scaled);
        }
        if is(&ops::gather::ANY) {
            return tables::gather(node, from);
        }
        if is(&ops::resample::I8) || is(&ops::resample_2d::I8) {
            return tables::resample(node, from);
        }
        if is(&ops::layer_norm::I8) {
            return tables::layer_norm(node, [from, to]);
        }
        if is(&ops::pad::ANY) {
            let value = [params.u8(), params.u8(), params.u8(), params.u8()];
            params.u32();
            let amounts = (0..rank).map(|axis| {
                let before = usize::from(params.u16());
                let both = to.shape.dim(axis) - from.shape.dim(axis);
                [before, both.saturating_sub(before)]
            });
            return Some(Kind::Pad(amounts.collect(), value));
        }
        if is(&ops::slice::ANY) {
            let ranges = (0..rank).map(|axis| {
                let (start, step) = (params.u32() as usize, params.u32() as usize);
                [start, step, to.shape.dim(axis)]
            });
            return Some(Kind::Slice(ranges.collect()));
        }
        let is_rescaled = is(&ops::quantize::RESCALE) && from.dtype == DType::I8;
        if to.dtype == DType::I8 && (is(&ops::quantize::F32_TO_I8) || is_rescaled) {
            return Some(Kind::Quantize);
        }
        is(&ops::dequantize::I8_TO_F32).then_some(Kind::Dequantize)
    }

    fn convolution(
        &mut self,
        node: &Node<'_>,
        from: &Tensor,
        to: &Tensor,
    ) -> Option<(Kind, [i32; 2])> {
        let decoded = conv_2d::Convolution::of(node)?;
        let (geometry, rule) = (decoded.geometry, decoded.requantize);
        let model = node.model();
        let constant = |operand: usize| Some(model.constant(&node.input(operand)?));
        let (mut stored, records) = (Cow::from(constant(1)?), constant(2)?);
        if node.input(1)?.dtype == DType::I4 {
            let elements = node.input(1)?.shape.elements();
            stored = runtime::host::widened_i4(&stored, elements).into();
        }
        let outputs = geometry.output[2];
        let (words, _) = records.as_chunks::<4>();
        let depthwise = geometry.groups > 1 && geometry.is_depthwise();
        let taps = geometry.taps();
        let weight = |output: usize, tap: usize| match depthwise {
            true => stored.get(tap * outputs + output).map(|&byte| byte as i8),
            false => stored.get(output * taps + tap).map(|&byte| byte as i8),
        };
        let [rows, columns] = geometry.window.kernel;
        let inner = geometry.input[2] / geometry.groups.max(1);
        let mut weights = Weights {
            values: Vec::new(),
            dims: [outputs, rows, columns, inner],
            scales: Vec::new(),
            biases: Vec::new(),
            missed: 0,
        };
        for output in 0..outputs {
            let row: Option<Vec<i8>> = (0..taps).map(|tap| weight(output, tap)).collect();
            let row = row?;
            let (bias, factor) = record(&rule, words, output)?;
            let reached = reached_i8(&row, bias, factor);
            let sum: i32 = row.iter().map(|&w| i32::from(w)).sum();
            let bias = i64::from(bias) + i64::from(sum) * i64::from(from.zero_point);
            weights.biases.push(i32::try_from(bias).ok()?);
            // A factor of zero is one that is too small to be told from it.
            let factor = if factor > 0.0 { factor } else { 2f64.powi(-40) };
            let scale = match rule.rounding {
                // Both round sums once.
                Rounding::High | Rounding::Single => {
                    let limit = |limit: i16| i32::from(limit) - to.zero_point;
                    let steps = reached[0].max(limit(rule.min))..reached[1].min(limit(rule.max));
                    let scales = [from.scale, to.scale];
                    let scale = weight_scale(factor, scales, &steps);
                    weights.missed += usize::from(!is_served(scale, factor, scales, &steps));
                    scale
                }
                Rounding::Double => (factor * f64::from(to.scale) / f64::from(from.scale)) as f32,
            };
            weights.scales.push(scale);
            weights.values.extend(row);
        }
        let limits = [i32::from(rule.min), i32::from(rule.max)];
        let is_flat = from.shape.rank() != 4 || to.shape.rank() != 4;
        let kind = match is_flat && geometry.window.kernel == [1, 1] && geometry.groups == 1 {
            true => Kind::FullyConnected(weights),
            // A window needs an image.
            false if is_flat => return None,
            false => {
                let window = window(&mut node.params(), from, to);
                Kind::Convolution(weights, window, geometry.groups)
            }
        };
        Some((kind, limits))
    }

    /// Gives every value a name of its own.
    fn tell_apart(&mut self) {
        let mut seen: HashMap<String, usize> = HashMap::new();
        let ports: Vec<usize> = self.inputs.iter().chain(&self.outputs).copied().collect();
        let others = (0..self.values.len()).filter(|value| !ports.contains(value));
        for value in ports.iter().copied().chain(others) {
            let name = &mut self.values[value].name;
            match seen.get(name) {
                Some(&other) if other != value => *name = format!("{name}_{value}"),
                _ => {}
            }
            seen.insert(name.clone(), value);
        }
    }
}

/// Bias and real factor of an output channel.
fn record(rule: &Requantize, words: &[[u8; 4]], output: usize) -> Option<(i32, f64)> {
    let word = |index: usize| words.get(index).map(|bytes| i32::from_le_bytes(*bytes));
    Some(match rule.rounding {
        Rounding::High => {
            let channel = Channel::unpack(word(output)? as u32);
            let unit = 2f64.powi(i32::from(rule.multiplier_shift) - 32);
            let factor = f64::from(channel.multiplier) * unit;
            (channel.bias << rule.bias_shift, factor)
        }
        _ => {
            let (multiplier, shift) = (word(output * 3 + 1)?, word(output * 3 + 2)?);
            let factor = f64::from(multiplier) * 2f64.powi(shift - 31);
            (word(output * 3)?, factor)
        }
    })
}

fn limits(params: &mut Params<'_>) -> [i32; 2] {
    [i32::from(params.u8() as i8), i32::from(params.u8() as i8)]
}

/// Reads a window; the padding behind is what the output's size needs.
fn window(params: &mut Params<'_>, from: &Tensor, to: &Tensor) -> Window {
    let mut pair = || [usize::from(params.u16()), usize::from(params.u16())];
    let (kernel, stride, dilation, [top, left]) = (pair(), pair(), pair(), pair());
    let behind = |axis: usize, before: usize| {
        let last = to.shape.dim(axis + 1).saturating_sub(1) * stride[axis];
        let reach = kernel[axis].saturating_sub(1) * dilation[axis] + 1;
        (last + reach).saturating_sub(from.shape.dim(axis + 1) + before)
    };
    Window {
        kernel,
        stride,
        dilation,
        padding: [top, left, behind(0, top), behind(1, left)],
    }
}
