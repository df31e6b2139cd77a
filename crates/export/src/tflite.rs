//! TensorFlow Lite files: one operator a layer, integers as they are.

mod code;
mod file;
mod notes;
mod real;
mod tables;

use crate::network::{Binary, Fold, Kind, Layer, Network, Value, Weights, Window};
use crate::{Error, Exported};
use file::{Field, File, Operator, Tensor};
use format::meta::Meta;
use format::{DType, Model};

const TARGET: &str = "TensorFlow Lite";

/// Writes a compact int8 model as a TensorFlow Lite file.
///
/// Models with the rounding of TensorFlow Lite Micro give the same bits there. What others may make
/// differently, and where, the notes of the result say.
pub fn tflite(model: &Model<'_>, meta: &Meta) -> Result<Exported, Error> {
    let network = Network::of(model, meta, TARGET)?;
    let mut writer = Writer {
        file: File::default(),
        tensors: vec![None; network.values.len()],
        network: &network,
        real: Vec::new(),
    };
    for layer in &network.layers {
        writer.layer(layer)?;
    }
    let inputs: Vec<i32> = network
        .inputs
        .iter()
        .map(|&value| writer.value(value))
        .collect();
    let outputs: Vec<i32> = network
        .outputs
        .iter()
        .map(|&value| writer.value(value))
        .collect();
    let bytes = writer.file.finish(&inputs, &outputs, &meta.manifest.tool);
    let notes = notes::notes(&network.layers, &writer.real);
    Ok(Exported { bytes, notes })
}

struct Writer<'n> {
    network: &'n Network,
    file: File,
    /// Operators of layers that are written in floats.
    real: Vec<&'static str>,
    /// The tensor of each value, once something names it.
    tensors: Vec<Option<i32>>,
}

impl<'n> Writer<'n> {
    fn value(&mut self, index: usize) -> i32 {
        if let Some(tensor) = self.tensors[index] {
            return tensor;
        }
        let tensor = self.tensor_like(index, None);
        self.tensors[index] = Some(tensor);
        tensor
    }

    /// A tensor with the type and the scale of a value.
    fn tensor_like(&mut self, index: usize, name: Option<String>) -> i32 {
        let value = &self.network.values[index];
        let name = name.unwrap_or_else(|| value.name.clone());
        self.tensor_of(&Value {
            name,
            ..value.clone()
        })
    }

    fn tensor_of(&mut self, value: &Value) -> i32 {
        self.file.tensor(Tensor {
            name: value.name.clone(),
            dims: value.dims.clone(),
            code: type_code(value.dtype),
            scales: scales(value),
            zero_point: value.zero_point,
            axis: 0,
            data: value.data.clone(),
        })
    }

    fn numbers(&mut self, name: String, dims: Vec<usize>, values: &[i32]) -> i32 {
        self.file.tensor(Tensor {
            name,
            dims,
            code: 2,
            scales: Vec::new(),
            zero_point: 0,
            axis: 0,
            data: Some(
                values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect(),
            ),
        })
    }

    fn layer(&mut self, layer: &Layer) -> Result<(), Error> {
        if self.composed(layer)? {
            return Ok(());
        }
        let mut inputs: Vec<i32> = layer
            .inputs
            .iter()
            .map(|&value| self.value(value))
            .collect();
        let first = layer
            .inputs
            .first()
            .copied()
            .ok_or(Error::Plan(layer.index))?;
        let network = self.network;
        let (from, to) = (&network.values[first], &network.values[layer.output]);
        let name = |part: &str| format!("{}/{part}", to.name);
        let (kind, fields) = match &layer.kind {
            Kind::Convolution(weights, window, groups) => {
                let padding = self.padded(layer, window, &mut inputs, first);
                let depthwise = *groups > 1 && weights.dims[3] == 1;
                let order = if depthwise {
                    Order::Depthwise
                } else {
                    Order::Window
                };
                inputs.extend(self.weights(weights, &name("weights"), from, order));
                convolution(weights.dims[0] / (*groups).max(1), window, padding, order)
            }
            Kind::FullyConnected(weights) => {
                inputs.extend(self.weights(weights, &name("weights"), from, Order::Rows));
                let keeps = i8::from(to.dims.len() != 2);
                (code::FULLY_CONNECTED, vec![Field::i8(2, keeps)])
            }
            Kind::AveragePool(window) => (code::AVERAGE_POOL_2D, self.pool(layer, window)?),
            Kind::MaxPool(window) => (code::MAX_POOL_2D, self.pool(layer, window)?),
            Kind::Binary(function) => (binary(*function), Vec::new()),
            Kind::MatMul => (code::BATCH_MATMUL, Vec::new()),
            Kind::Table(table) => {
                let places = self.places(inputs[0], from, &to.name);
                inputs = vec![
                    self.constant_like(to, &name("table"), table.clone()),
                    places,
                ];
                (code::GATHER, Vec::new())
            }
            Kind::Softmax => (code::SOFTMAX, vec![Field::f32(0, 1.0)]),
            Kind::Concat(axis) => (code::CONCATENATION, vec![Field::i32(0, *axis as i32)]),
            Kind::Quantize => (code::QUANTIZE, Vec::new()),
            Kind::Dequantize => (code::DEQUANTIZE, Vec::new()),
            Kind::Choose => (code::SELECT_V2, Vec::new()),
            other => {
                let (kind, fields, operands) = self.arranged(other, from, to);
                inputs.extend(operands);
                (kind, fields)
            }
        };
        self.limited(layer, kind, inputs, fields);
        Ok(())
    }

    /// Layers that are several operators there; whether this is one.
    fn composed(&mut self, layer: &Layer) -> Result<bool, Error> {
        let first = layer.inputs.first().copied();
        let first = first.ok_or(Error::Plan(layer.index))?;
        let network = self.network;
        let (from, to) = (&network.values[first], &network.values[layer.output]);
        match &layer.kind {
            Kind::AveragePool(window) if !same_scale(from, to) => {
                self.scaled_pool(layer, window, first)?;
            }
            Kind::Softmax if (to.scale, to.zero_point) != (1.0 / 256.0, -128) => {
                self.shares(layer)?
            }
            Kind::Binary(Binary::Div) => self.quotient(layer)?,
            Kind::LayerNorm(norm) => self.layer_norm(layer, norm)?,
            Kind::Resample(mixes) => self.resample(layer, mixes)?,
            Kind::Gather(axis, places) => self.gather(layer, *axis, places.as_deref())?,
            Kind::Compare(comparison) => self.compare(layer, *comparison),
            Kind::Transpose(axes) if axes.len() > tables::MOST_AXES => {
                self.turned(layer, axes, first);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The integers of a value as places from 0 on.
    fn places(&mut self, input: i32, from: &Value, name: &str) -> i32 {
        let wide = self.widened(input, from, format!("{name}/wide"));
        let places = self.whole(from, format!("{name}/places"));
        let half = self.numbers(format!("{name}/half"), vec![1], &[128]);
        let sum = Operator::new(code::ADD, vec![wide, half], places, Vec::new());
        self.file.operator(sum);
        places
    }

    /// A row of constants with the type and the scale of a value.
    fn constant_like(&mut self, like: &Value, name: &str, bytes: Vec<u8>) -> i32 {
        self.file.tensor(Tensor {
            name: name.into(),
            dims: vec![bytes.len() / like.dtype.bytes()],
            code: type_code(like.dtype),
            scales: scales(like),
            zero_point: like.zero_point,
            axis: 0,
            data: Some(bytes),
        })
    }

    /// Operators whose axes and sizes are operands.
    fn arranged(
        &mut self,
        kind: &Kind,
        from: &Value,
        to: &Value,
    ) -> ([i32; 2], Vec<Field>, Vec<i32>) {
        let name = |part: &str| format!("{}/{part}", to.name);
        let mut operand =
            |what: &str, numbers: Vec<i32>| self.numbers(name(what), vec![numbers.len()], &numbers);
        match kind {
            Kind::Reduce(fold, first, last) => {
                let axes = operand("axes", (*first as i32..=*last as i32).collect());
                let function = match fold {
                    Fold::Mean => code::MEAN,
                    Fold::Sum => code::SUM,
                    Fold::Max => code::REDUCE_MAX,
                    Fold::Min => code::REDUCE_MIN,
                };
                (function, vec![Field::i8(0, 1)], vec![axes])
            }
            Kind::Transpose(axes) => {
                let axes = operand("axes", axes.iter().map(|&axis| axis as i32).collect());
                (code::TRANSPOSE, Vec::new(), vec![axes])
            }
            Kind::Slice(ranges) => {
                let part = |part: usize| {
                    let number = |&[start, step, size]: &[usize; 3]| {
                        [start, start + (size.max(1) - 1) * step + 1, step][part] as i32
                    };
                    ranges.iter().map(number).collect()
                };
                let operands = ["starts", "ends", "steps"].into_iter().enumerate();
                let operands = operands.map(|(index, what)| operand(what, part(index)));
                (code::STRIDED_SLICE, Vec::new(), operands.collect())
            }
            Kind::Pad(amounts, value) => {
                let operands = self.pad_operands(&name("amounts"), amounts, *value, from);
                (code::PADV2, Vec::new(), operands.to_vec())
            }
            _ => {
                let shape = operand("shape", to.dims.iter().map(|&size| size as i32).collect());
                (code::RESHAPE, Vec::new(), vec![shape])
            }
        }
    }

    /// Adds an operator whose output has limits: as a fused activation where there is one for
    /// them, and as a maximum and a minimum otherwise.
    fn limited(&mut self, layer: &Layer, kind: [i32; 2], inputs: Vec<i32>, mut fields: Vec<Field>) {
        let to = &self.network.values[layer.output];
        let field = match kind {
            code::CONV_2D => Some(3),
            code::DEPTHWISE_CONV_2D => Some(4),
            code::AVERAGE_POOL_2D | code::MAX_POOL_2D => Some(5),
            code::FULLY_CONNECTED | code::ADD | code::SUB | code::MUL => Some(0),
            _ => None,
        };
        let fused = field.and_then(|field| Some(Field::i8(field, activation(to, layer.limits)?)));
        fields.extend(fused);
        if fused.is_some() || layer.limits == [-128, 127] {
            let output = self.value(layer.output);
            return self
                .file
                .operator(Operator::new(kind, inputs, output, fields));
        }
        let mut made = self.tensor_like(layer.output, Some(format!("{}/sums", to.name)));
        self.file
            .operator(Operator::new(kind, inputs, made, fields));
        let [low, high] = layer.limits;
        for (function, bound, what) in [(code::MAXIMUM, low, "low"), (code::MINIMUM, high, "high")]
        {
            let name = format!("{}/{what}", to.name);
            let constant = self.constant_like(to, &name, vec![bound as i8 as u8]);
            let output = match what {
                "low" => self.tensor_like(layer.output, Some(format!("{}/limited", to.name))),
                _ => self.value(layer.output),
            };
            self.file.operator(Operator::new(
                function,
                vec![made, constant],
                output,
                Vec::new(),
            ));
            made = output;
        }
    }

    /// The padding's code, 0 for `SAME` and 1 for `VALID`; any other padding becomes an operator
    /// of its own in front.
    fn padded(&mut self, layer: &Layer, window: &Window, inputs: &mut [i32], first: usize) -> i8 {
        let from = &self.network.values[first];
        let to = &self.network.values[layer.output];
        if window.padding == [0; 4] {
            return 1;
        }
        if is_same(window, from, to) {
            return 0;
        }
        let [top, left, bottom, right] = window.padding;
        let amounts = [[0, 0], [top, bottom], [left, right], [0, 0]];
        let zero = [from.zero_point as i8 as u8, 0, 0, 0];
        let name = format!("{}/padded", to.name);
        let dims = from
            .dims
            .iter()
            .zip(amounts)
            .map(|(size, [a, b])| size + a + b);
        let padded = self.file.tensor(Tensor {
            name: name.clone(),
            dims: dims.collect(),
            code: type_code(from.dtype),
            scales: scales(from),
            zero_point: from.zero_point,
            axis: 0,
            data: None,
        });
        let mut operands = vec![inputs[0]];
        operands.extend(self.pad_operands(&name, &amounts, zero, from));
        self.file
            .operator(Operator::new(code::PADV2, operands, padded, Vec::new()));
        inputs[0] = padded;
        1
    }

    fn pad_operands(
        &mut self,
        name: &str,
        amounts: &[[usize; 2]],
        value: [u8; 4],
        like: &Value,
    ) -> [i32; 2] {
        let numbers: Vec<i32> = amounts.iter().flatten().map(|&n| n as i32).collect();
        let amounts = self.numbers(format!("{name}/amounts"), vec![amounts.len(), 2], &numbers);
        let value = value.iter().copied().take(like.dtype.bytes()).collect();
        let constant = self.constant_like(like, &format!("{name}/value"), value);
        [amounts, constant]
    }

    /// Weights in the order of TensorFlow Lite, and biases.
    fn weights(&mut self, weights: &Weights, name: &str, from: &Value, order: Order) -> [i32; 2] {
        let [outputs, rows, columns, inner] = weights.dims;
        let taps = rows * columns * inner;
        let (dims, axis) = match order {
            Order::Depthwise => (vec![1, rows, columns, outputs], 3),
            Order::Window => (vec![outputs, rows, columns, inner], 0),
            Order::Rows => (vec![outputs, inner], 0),
        };
        let values: Vec<u8> = match order {
            Order::Depthwise => (0..taps * outputs)
                .map(|i| weights.values[i % outputs * taps + i / outputs] as u8)
                .collect(),
            _ => weights.values.iter().map(|&w| w as u8).collect(),
        };
        let is_whole = dims.len() == 2 && weights.scales.iter().all(|&s| s == weights.scales[0]);
        let count = if is_whole { 1 } else { outputs };
        let tensor = self.file.tensor(Tensor {
            name: name.into(),
            dims,
            code: type_code(DType::I8),
            scales: weights.scales.iter().copied().take(count).collect(),
            zero_point: 0,
            axis,
            data: Some(values),
        });
        let bias = self.file.tensor(Tensor {
            name: format!("{name}/biases"),
            dims: vec![outputs],
            code: 2,
            scales: weights
                .scales
                .iter()
                .take(count)
                .map(|scale| scale * from.scale)
                .collect(),
            zero_point: 0,
            axis: 0,
            data: Some(
                weights
                    .biases
                    .iter()
                    .flat_map(|bias| bias.to_le_bytes())
                    .collect(),
            ),
        });
        [tensor, bias]
    }

    fn pool(&self, layer: &Layer, window: &Window) -> Result<Vec<Field>, Error> {
        let from = &self.network.values[layer.inputs[0]];
        let to = &self.network.values[layer.output];
        let padding = match window.padding == [0; 4] {
            true => 1,
            false if is_same(window, from, to) => 0,
            false => {
                return Err(Error::Node {
                    index: layer.index,
                    operator: "pool",
                    target: TARGET,
                    reason: format!("its padding {:?} is neither SAME nor VALID", window.padding),
                });
            }
        };
        let [rows, columns] = window.stride.map(|n| n as i32);
        let [height, width] = window.kernel.map(|n| n as i32);
        Ok(vec![
            Field::i8(0, padding),
            Field::i32(1, columns),
            Field::i32(2, rows),
            Field::i32(3, width),
            Field::i32(4, height),
        ])
    }

    /// A mean with a scale of its own: over a whole image there is an operator for it; otherwise it is a
    /// sum of products with ones, which are rounded once. Where windows reach beyond the image, and
    /// counts vary, a pool is quantized again.
    fn scaled_pool(&mut self, layer: &Layer, window: &Window, first: usize) -> Result<(), Error> {
        let from = &self.network.values[first];
        let to = &self.network.values[layer.output];
        let input = self.value(first);
        let is_inside = window.padding == [0; 4];
        if is_inside && window.kernel[..] == from.dims[1..3] {
            let axes = self.numbers(format!("{}/axes", to.name), vec![2], &[1, 2]);
            self.limited(layer, code::MEAN, vec![input, axes], vec![Field::i8(0, 1)]);
            return Ok(());
        }
        if is_inside {
            let [rows, columns] = window.kernel;
            let channels = from.dims[3];
            let ones = Weights {
                values: vec![1; rows * columns * channels],
                dims: [channels, rows, columns, 1],
                scales: vec![1.0 / (rows * columns) as f32; channels],
                biases: vec![0; channels],
                missed: 0,
            };
            let order = Order::Depthwise;
            let mut inputs = vec![input];
            inputs.extend(self.weights(&ones, &format!("{}/ones", to.name), from, order));
            let (kind, fields) = convolution(1, window, 1, order);
            self.limited(layer, kind, inputs, fields);
            return Ok(());
        }
        let fields = self.pool(layer, window)?;
        let pooled = self.file.tensor(Tensor {
            name: format!("{}/pooled", to.name),
            dims: to.dims.clone(),
            code: type_code(from.dtype),
            scales: scales(from),
            zero_point: from.zero_point,
            axis: 0,
            data: None,
        });
        self.file.operator(Operator::new(
            code::AVERAGE_POOL_2D,
            vec![input],
            pooled,
            fields,
        ));
        self.limited(layer, code::QUANTIZE, vec![pooled], Vec::new());
        Ok(())
    }
}

/// How TensorFlow Lite orders the weights of a layer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// `[O, KH, KW, I]`.
    Window,
    /// `[1, KH, KW, O]`.
    Depthwise,
    /// `[O, I]`.
    Rows,
}

/// Code and options of a convolution; a depthwise one has `multiplier` outputs for each input.
fn convolution(
    multiplier: usize,
    window: &Window,
    padding: i8,
    order: Order,
) -> ([i32; 2], Vec<Field>) {
    let [rows, columns] = window.stride.map(|n| n as i32);
    let mut fields = vec![
        Field::i8(0, padding),
        Field::i32(1, columns),
        Field::i32(2, rows),
    ];
    let [rows, columns] = window.dilation.map(|n| n as i32);
    match order {
        Order::Depthwise => {
            fields.push(Field::i32(3, multiplier as i32));
            fields.extend([Field::i32(5, columns), Field::i32(6, rows)]);
            (code::DEPTHWISE_CONV_2D, fields)
        }
        _ => {
            fields.extend([Field::i32(4, columns), Field::i32(5, rows)]);
            (code::CONV_2D, fields)
        }
    }
}

/// The code of a function of two numbers.
fn binary(function: Binary) -> [i32; 2] {
    match function {
        Binary::Add => code::ADD,
        Binary::Sub => code::SUB,
        Binary::Mul => code::MUL,
        Binary::Div => code::DIV,
        Binary::Min => code::MINIMUM,
        Binary::Max => code::MAXIMUM,
        Binary::SquaredDifference => code::SQUARED_DIFFERENCE,
    }
}

fn type_code(dtype: DType) -> i8 {
    match dtype {
        DType::F32 => 0,
        DType::I32 => 2,
        DType::U8 => 3,
        DType::I64 => 4,
        DType::Bool => 6,
        DType::I16 => 7,
        DType::U64 => 12,
        DType::U32 => 15,
        DType::U16 => 16,
        _ => 9,
    }
}

fn scales(value: &Value) -> Vec<f32> {
    match value.scale > 0.0 {
        true => vec![value.scale],
        false => Vec::new(),
    }
}

fn same_scale(from: &Value, to: &Value) -> bool {
    from.scale == to.scale && from.zero_point == to.zero_point
}

/// Whether this is the padding that `SAME` stands for.
fn is_same(window: &Window, from: &Value, to: &Value) -> bool {
    (0..2).all(|axis| {
        let (size, stride) = (from.dims[axis + 1], window.stride[axis].max(1));
        let reach = (window.kernel[axis].max(1) - 1) * window.dilation[axis] + 1;
        let rows = size.div_ceil(stride);
        let total = ((rows.max(1) - 1) * stride + reach).saturating_sub(size);
        rows == to.dims[axis + 1] && window.padding[axis] == total / 2
    })
}

/// The code of the fused activation with these limits.
fn activation(to: &Value, [low, high]: [i32; 2]) -> Option<i8> {
    let bound = |real: f32| ((real / to.scale).round() as i32).saturating_add(to.zero_point);
    let limits = |low: f32, high: f32| [bound(low).max(-128), bound(high).min(127)];
    match [low, high] {
        [-128, 127] => Some(0),
        found if found == [bound(0.0).max(-128), 127] => Some(1),
        found if found == limits(0.0, 6.0) => Some(3),
        found if found == limits(-1.0, 1.0) => Some(2),
        _ => None,
    }
}
