//! Layers with weights: on floats that come from integers, or on the integers themselves with QLinearConv,
//! whose sums are whole numbers wherever it runs.

use super::file::{Elements, float, int, ints};
use super::{Writer, windowed};
use crate::network::{Kind, Layer, Value, Weights, Window};

impl Writer<'_> {
    /// A layer with weights whose values are integers, as one operator on these. False for any other.
    pub(super) fn integer_layer(&mut self, layer: &Layer) -> bool {
        let network = self.network;
        let Some(&first) = layer.inputs.first() else {
            return false;
        };
        let (from, to) = (&network.values[first], &network.values[layer.output]);
        let is_integer = |value: &Value| value.scale > 0.0 && value.data.is_none();
        if !is_integer(from) || !is_integer(to) {
            return false;
        }
        let held = format!("{}_integers", from.name);
        let integers = format!("{}_integers", to.name);
        match &layer.kind {
            Kind::Convolution(weights, window, groups) => {
                let how = (window, *groups);
                self.integer_convolution(layer, weights, how, [&held, &integers], [from, to]);
            }
            Kind::FullyConnected(weights) => {
                let columns = weights.dims[3];
                let rows = from.dims.iter().product::<usize>() / columns.max(1);
                let plain = self.plain(&held, from, &format!("{integers}_plain"));
                let stack = format!("{integers}_stack");
                let stack = self.reshaped(&plain, &[rows, columns, 1, 1], &stack);
                let sums = format!("{integers}_sums");
                let window = Window {
                    kernel: [1; 2],
                    stride: [1; 2],
                    dilation: [1; 2],
                    padding: [0; 4],
                };
                self.integer_convolution(layer, weights, (&window, 1), [&stack, &sums], [from, to]);
                self.placed(&sums, to, &integers);
            }
            _ => return false,
        }
        self.dequantized(layer.output);
        true
    }

    /// Windows over integers, from one name to another, within the limits of the layer.
    fn integer_convolution(
        &mut self,
        layer: &Layer,
        weights: &Weights,
        (window, groups): (&Window, usize),
        [held, made]: [&str; 2],
        [from, to]: [&Value; 2],
    ) {
        let [[_, w, w_scale, w_zero], [_, biases, ..]] = self.stored(weights, to, from, true);
        let [from_scale, from_zero] = self.parameters(from);
        let [to_scale, to_zero] = self.parameters(to);
        let mut attributes = windowed(window);
        attributes.push(ints("dilations", &window.dilation.map(|n| n as i64)));
        attributes.push(int("group", groups as i64));
        let is_limited = layer.limits != [-128, 127];
        let whole = match is_limited {
            true => format!("{made}_whole"),
            false => made.to_string(),
        };
        let operands = [
            held,
            &from_scale,
            &from_zero,
            &w,
            &w_scale,
            &w_zero,
            &to_scale,
            &to_zero,
            &biases,
        ];
        self.file.node("QLinearConv", &operands, &whole, attributes);
        if is_limited {
            let limits = ["low", "high"].map(|what| format!("{made}_{what}"));
            for (name, limit) in limits.iter().zip(layer.limits) {
                self.file
                    .constant(name, &[], Elements::I8(vec![limit as i8 as u8]));
            }
            let operands = [whole.as_str(), &limits[0], &limits[1]];
            self.file.node("Clip", &operands, made, vec![]);
        }
    }

    /// Rows times weights, in floats.
    pub(super) fn fully_connected(
        &mut self,
        weights: &Weights,
        input: &str,
        from: &Value,
        to: &Value,
        made: &str,
    ) {
        let [w, b] = self.weights(weights, to, from, false);
        let columns = weights.dims[3];
        let rows = from.dims.iter().product::<usize>() / columns.max(1);
        let transposed = vec![int("transB", 1), float("alpha", 1.0)];
        if from.dims.len() == 2 {
            return self.file.node("Gemm", &[input, &w, &b], made, transposed);
        }
        let plain = self.plain(input, from, &format!("{made}_plain"));
        let flat = self.reshaped(&plain, &[rows, columns], &format!("{made}_flat"));
        let product = format!("{made}_product");
        self.file
            .node("Gemm", &[&flat, &w, &b], &product, transposed);
        self.placed(&product, to, made);
    }

    /// Weights and biases as floats that come from integers.
    pub(super) fn weights(
        &mut self,
        weights: &Weights,
        to: &Value,
        from: &Value,
        is_window: bool,
    ) -> [String; 2] {
        self.stored(weights, to, from, is_window)
            .map(|[name, integers, scale, zero]| {
                let operands = [integers.as_str(), &scale, &zero];
                self.file
                    .node("DequantizeLinear", &operands, &name, vec![int("axis", 0)]);
                name
            })
    }

    /// Weights and biases: for each a name, and those of its integers, scales and zero points, which are added.
    fn stored(
        &mut self,
        weights: &Weights,
        to: &Value,
        from: &Value,
        is_window: bool,
    ) -> [[String; 4]; 2] {
        let [outputs, rows, columns, inner] = weights.dims;
        let taps = rows * columns;
        let (shape, values): (Vec<usize>, Vec<u8>) = match is_window {
            true => {
                let turned = (0..outputs * inner * taps).map(|i| {
                    let (output, channel) = (i / (inner * taps), i / taps % inner);
                    weights.values[(output * taps + i % taps) * inner + channel] as u8
                });
                (vec![outputs, inner, rows, columns], turned.collect())
            }
            false => (
                vec![outputs, inner],
                weights.values.iter().map(|&w| w as u8).collect(),
            ),
        };
        let bytes = |scales: &dyn Fn(f32) -> f32| -> Vec<u8> {
            weights
                .scales
                .iter()
                .flat_map(|&scale| scales(scale).to_le_bytes())
                .collect()
        };
        let biases = weights
            .biases
            .iter()
            .flat_map(|bias| bias.to_le_bytes())
            .collect();
        let parts = [
            (
                "weights",
                shape,
                Elements::I8(values),
                bytes(&|scale| scale),
                Elements::I8(vec![0; outputs]),
            ),
            (
                "biases",
                vec![outputs],
                Elements::I32(biases),
                bytes(&|scale| scale * from.scale),
                Elements::I32(vec![0; outputs * 4]),
            ),
        ];
        parts.map(|(what, shape, elements, scales, zeros)| {
            let name = format!("{}_{what}", to.name);
            let [integers, scale, zero] =
                ["integers", "scale", "zero_point"].map(|part| format!("{name}_{part}"));
            self.file.constant(&integers, &shape, elements);
            self.file
                .constant(&scale, &[outputs], Elements::F32(scales));
            self.file.constant(&zero, &[outputs], zeros);
            [name, integers, scale, zero]
        })
    }
}
