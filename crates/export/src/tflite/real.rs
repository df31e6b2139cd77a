//! Layers that TensorFlow Lite has for floats alone: their integers become floats, and what is made
//! becomes integers.

use super::file::{Field, Operator, Tensor};
use super::{Writer, code, type_code};
use crate::Error;
use crate::network::{Layer, Mix, Norm, SMALLEST_DIVISOR};
use format::DType;

impl Writer<'_> {
    fn float(&mut self, name: String, dims: &[usize], data: Option<&[f32]>) -> i32 {
        let bytes = |values: &[f32]| {
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect()
        };
        self.file.tensor(Tensor {
            name,
            dims: dims.to_vec(),
            code: type_code(DType::F32),
            scales: Vec::new(),
            zero_point: 0,
            axis: 0,
            data: data.map(bytes),
        })
    }

    /// Applies an operator that makes floats.
    fn made(
        &mut self,
        kind: [i32; 2],
        inputs: &[i32],
        (name, dims): (String, &[usize]),
        fields: Vec<Field>,
    ) -> i32 {
        let output = self.float(name, dims, None);
        let operator = Operator::new(kind, inputs.to_vec(), output, fields);
        self.file.operator(operator);
        output
    }

    /// An operand of a layer as floats.
    fn dequantized(&mut self, layer: &Layer, operand: usize) -> Result<i32, Error> {
        let index = layer.inputs.get(operand).copied();
        let index = index.ok_or(Error::Plan(layer.index))?;
        let (network, input) = (self.network, self.value(index));
        let value = &network.values[index];
        if value.dtype == DType::F32 {
            return Ok(input);
        }
        let name = format!("{}/real{operand}", network.values[layer.output].name);
        Ok(self.made(code::DEQUANTIZE, &[input], (name, &value.dims), Vec::new()))
    }

    /// Shares of other steps than those of its softmax of integers.
    pub(super) fn shares(&mut self, layer: &Layer) -> Result<(), Error> {
        let real = self.dequantized(layer, 0)?;
        let to = &self.network.values[layer.output];
        let name = (format!("{}/real", to.name), &to.dims[..]);
        let made = self.made(code::SOFTMAX, &[real], name, vec![Field::f32(0, 1.0)]);
        self.requantized(layer, made);
        Ok(())
    }

    /// Makes floats the output of a layer.
    fn requantized(&mut self, layer: &Layer, real: i32) {
        self.real.push(super::notes::name(&layer.kind));
        let output = self.value(layer.output);
        let operator = Operator::new(code::QUANTIZE, vec![real], output, Vec::new());
        self.file.operator(operator);
    }

    /// A quotient within the limits, where what is divided by zero goes too; zero by zero is zero.
    pub(super) fn quotient(&mut self, layer: &Layer) -> Result<(), Error> {
        let to = &self.network.values[layer.output];
        let named = |what: &str| (format!("{}/{what}", to.name), &to.dims[..]);
        let (dividend, divisor) = (self.dequantized(layer, 0)?, self.dequantized(layer, 1)?);
        let index = layer.inputs.get(1).ok_or(Error::Plan(layer.index))?;
        let dims = &self.network.values[*index].dims;
        let smallest = self.float(
            format!("{}/smallest", to.name),
            &[1],
            Some(&[SMALLEST_DIVISOR]),
        );
        let kept = (format!("{}/divisors", to.name), &dims[..]);
        let divisor = self.made(code::ADD, &[divisor, smallest], kept, Vec::new());
        let operands = [dividend, divisor];
        let mut real = self.made(code::DIV, &operands, named("quotients"), Vec::new());
        let [low, high] = layer
            .limits
            .map(|limit| (limit - to.zero_point) as f32 * to.scale);
        for (function, bound, what) in [(code::MAXIMUM, low, "low"), (code::MINIMUM, high, "high")]
        {
            let limit = self.float(format!("{}/{what}", to.name), &[1], Some(&[bound]));
            let limited = named(&format!("{what}_limited"));
            real = self.made(function, &[real, limit], limited, Vec::new());
        }
        self.requantized(layer, real);
        Ok(())
    }

    /// A normalization in its parts.
    pub(super) fn layer_norm(&mut self, layer: &Layer, norm: &Norm) -> Result<(), Error> {
        let to = &self.network.values[layer.output];
        let name = |what: &str| format!("{}/{what}", to.name);
        let rank = to.dims.len();
        let mut means = to.dims.clone();
        means[norm.first..].fill(1);
        let (rows, means, row) = (&to.dims[..], &means[..], &to.dims[norm.first..]);
        let axes: Vec<i32> = (norm.first..rank).map(|axis| axis as i32).collect();
        let axes = self.numbers(name("axes"), vec![axes.len()], &axes);
        let keep = || vec![Field::i8(0, 1)];

        let input = self.dequantized(layer, 0)?;
        let mean = self.made(code::MEAN, &[input, axes], (name("mean"), means), keep());
        let deviations = (name("deviations"), rows);
        let deviations = self.made(code::SUB, &[input, mean], deviations, Vec::new());
        let squares = (name("squares"), rows);
        let squares = self.made(code::MUL, &[deviations; 2], squares, Vec::new());
        let variance = (name("variance"), means);
        let variance = self.made(code::MEAN, &[squares, axes], variance, keep());
        let epsilon = self.float(name("epsilon"), &[1], Some(&[norm.epsilon]));
        let raised = (name("raised"), means);
        let raised = self.made(code::ADD, &[variance, epsilon], raised, Vec::new());
        let inverse = (name("inverse"), means);
        let inverse = self.made(code::RSQRT, &[raised], inverse, Vec::new());
        let normal = (name("normal"), rows);
        let normal = self.made(code::MUL, &[deviations, inverse], normal, Vec::new());
        let gamma = self.float(name("gamma"), row, Some(&norm.gamma));
        let scaled = (name("scaled"), rows);
        let scaled = self.made(code::MUL, &[normal, gamma], scaled, Vec::new());
        let beta = self.float(name("beta"), row, Some(&norm.beta));
        let moved = (name("moved"), rows);
        let moved = self.made(code::ADD, &[scaled, beta], moved, Vec::new());
        self.requantized(layer, moved);
        Ok(())
    }

    /// Means by any weights: products with matrices.
    pub(super) fn mixed(&mut self, layer: &Layer, mixes: &[Mix]) -> Result<(), Error> {
        let first = layer.inputs.first().copied();
        let from = &self.network.values[first.ok_or(Error::Plan(layer.index))?];
        let to = &self.network.values[layer.output];
        let mut dims = from.dims.clone();
        let mut real = self.dequantized(layer, 0)?;
        for (index, mix) in mixes.iter().enumerate() {
            let name = |what: &str| format!("{}/{what}{index}", to.name);
            let [before, after] = mix.sizes;
            let outer = dims[..mix.axis].iter().product();
            let inner = dims[mix.axis + 1..].iter().product();
            let stack = [outer, before, inner];
            real = self.reshaped(real, (name("stack"), &stack));
            let weights = self.float(name("weights"), &[1, after, before], Some(&mix.reals()));
            let mixed = (name("mixed"), &[outer, after, inner][..]);
            real = self.made(code::BATCH_MATMUL, &[weights, real], mixed, Vec::new());
            dims[mix.axis] = after;
            real = self.reshaped(real, (name("shaped"), &dims));
        }
        self.requantized(layer, real);
        Ok(())
    }

    fn reshaped(&mut self, real: i32, (name, dims): (String, &[usize])) -> i32 {
        let sizes: Vec<i32> = dims.iter().map(|&size| size as i32).collect();
        let sizes = self.numbers(format!("{name}/shape"), vec![sizes.len()], &sizes);
        self.made(code::RESHAPE, &[real, sizes], (name, dims), Vec::new())
    }
}
