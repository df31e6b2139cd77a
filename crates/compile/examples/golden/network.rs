//! A graph under construction, and the windows of its layers.

use crate::{Random, Result};
use graph::{DType, Data, Graph, Kind, Quantization, Shape, ValueId};
use runtime::host::Activation;
use runtime::ops::Window2d;
use runtime::ops::average_pool_2d::{AveragePool2d, Halves};
use runtime::ops::binary::{self, Binary};
use runtime::ops::conv_2d::Conv2d;
use runtime::ops::max_pool_2d::MaxPool2d;

/// A graph under construction, all of whose results are shown.
pub(crate) struct Network {
    pub(crate) graph: Graph,
    pub(crate) random: Random,
}

impl Default for Network {
    fn default() -> Self {
        Network {
            graph: Graph::default(),
            random: Random(7),
        }
    }
}

/// Scale and zero point.
pub(crate) type Steps = Option<(f32, i32)>;

impl Network {
    pub(crate) fn input(&mut self, dtype: DType, dims: &[u32], steps: Steps) -> Result<ValueId> {
        let name = format!("input_{}", self.graph.inputs.len());
        let id = self.graph.add_input(name, dtype, shape(dims)?);
        self.graph.value_mut(id).quantization = quantization(steps);
        Ok(id)
    }

    pub(crate) fn constant(&mut self, dims: &[u32], data: Data) -> Result<ValueId> {
        let name = format!("constant_{}", self.graph.values.len());
        Ok(self.graph.add_constant(name, shape(dims)?, data))
    }

    pub(crate) fn reals(&mut self, dims: &[u32]) -> Result<ValueId> {
        let count: u32 = dims.iter().product();
        let values = self.random.reals(count as usize);
        self.constant(dims, Data::F32(values))
    }

    /// int8 weights with a scale for each output, and a real bias.
    pub(crate) fn weights(&mut self, dims: &[u32]) -> Result<[ValueId; 2]> {
        self.weights_of(dims, |random| random.below(255) as u8 as i8)
    }

    /// The same within -8..=7.
    pub(crate) fn small_weights(&mut self, dims: &[u32]) -> Result<[ValueId; 2]> {
        self.weights_of(dims, |random| random.below(16) as i8 - 8)
    }

    fn weights_of(
        &mut self,
        dims: &[u32],
        weight: impl Fn(&mut Random) -> i8,
    ) -> Result<[ValueId; 2]> {
        let count: u32 = dims.iter().product();
        let values = (0..count).map(|_| weight(&mut self.random)).collect();
        let weights = self.constant(dims, Data::I8(values))?;
        let scales = (0..dims[0]).map(|_| 0.001 + self.random.below(64) as f32 / 20_000.0);
        let scales = scales.collect();
        self.graph.value_mut(weights).quantization = Some(Quantization {
            scales,
            zero_point: 0,
            axis: Some(0),
        });
        Ok([weights, self.reals(&dims[..1])?])
    }

    /// Appends a node and shows its outputs, of which the first has these steps.
    pub(crate) fn show(
        &mut self,
        kind: impl Into<Kind>,
        inputs: &[ValueId],
        steps: Steps,
    ) -> Result<ValueId> {
        let name = format!("node_{}", self.graph.nodes.len());
        let outputs = self.graph.push(name, kind, inputs)?;
        for &output in &outputs {
            let name = format!("output_{}", self.graph.outputs.len());
            self.graph.add_output(name, output);
        }
        let first = *outputs.first().ok_or("a node has no output")?;
        self.graph.value_mut(first).quantization = quantization(steps);
        Ok(first)
    }

    pub(crate) fn binary(
        &mut self,
        function: binary::Function,
        inputs: &[ValueId],
        steps: Steps,
    ) -> Result<ValueId> {
        let activation = Activation::None;
        let kind = Binary {
            function,
            activation,
        };
        self.show(kind, inputs, steps)
    }
}

pub(crate) fn shape(dims: &[u32]) -> Result<Shape> {
    Ok(Shape::new(dims).ok_or("too many dimensions")?)
}

pub(crate) fn quantization(steps: Steps) -> Option<Quantization> {
    steps.map(|(scale, zero_point)| Quantization::per_tensor(scale, zero_point))
}

pub(crate) fn window(kernel: usize, stride: usize, padding: usize) -> Window2d {
    Window2d {
        stride: [stride; 2],
        padding: [padding; 4],
        ..Window2d::dense([kernel; 2])
    }
}

pub(crate) fn conv(window: Window2d, groups: usize, activation: Activation) -> Conv2d {
    Conv2d {
        window,
        groups,
        activation,
    }
}

pub(crate) fn average(window: Window2d) -> AveragePool2d {
    AveragePool2d {
        window,
        count_include_pad: false,
        halves: Halves::Away,
        activation: Activation::None,
    }
}

pub(crate) fn largest(window: Window2d) -> MaxPool2d {
    MaxPool2d {
        window,
        activation: Activation::None,
    }
}

/// Positions and weights that double an axis, each element between two.
pub(crate) fn interpolation(n: &mut Network, size: i32) -> Result<(ValueId, ValueId)> {
    let rows = size as u32 * 2;
    let pairs = (0..size * 2).flat_map(|i| [i / 2, (i / 2 + 1).min(size - 1)]);
    let shares = (0..rows).flat_map(|i| {
        if i % 2 == 0 {
            [0.75, 0.25]
        } else {
            [0.25, 0.75]
        }
    });
    let (positions, shares) = (pairs.collect(), shares.collect());
    let positions = n.constant(&[rows, 2], Data::I32(positions))?;
    Ok((positions, n.constant(&[rows, 2], Data::F32(shares))?))
}
