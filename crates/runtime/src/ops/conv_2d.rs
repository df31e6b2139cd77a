//! Two-dimensional convolution, depthwise and grouped ones included:
//! `out[y, x, o] = activation(bias[o] + sum over taps and inputs of in * weight)`.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | input | `[N, H, W, I]` | int8, int16, f32 | per tensor, int16 symmetric |
//! | weights | `[O, KH, KW, I / groups]`, depthwise on the device `[KH, KW, O]` | int8 (for int16 too), f32 | per output channel, symmetric |
//! | bias | `[O]` | f32, int32, int64 (graph); channel records (device) | |
//! | output | `[N, OH, OW, O]` | as the input | per tensor |
//! | packed weights, on the device, optional | see [`packed`] | int32 words, for int8 | |
//!
//! Integer results are exact: see [`format::fixed`]. Padded taps count as real zero. Sums are of 32
//! bits: with int16 activations, lowering checks that a channel's weights and bias cannot exceed
//! them. Where biases of int16 layers are int64, as in TensorFlow Lite, sums have 64 bits: see [`LONG_I16`].

mod float;
mod kept;
mod narrow;
pub mod packed;
mod vector;

pub use float::F32;
pub use narrow::{NARROW_F32, NARROW_I8};

use super::{conv_2d_long, window};
use crate::{Architecture, Op, Run};
use core::cell::Cell;
use format::fixed::{Requantize, Rounding, are_plain};
use format::{DType, Node, Params, Tensor};
use kernels::memory::{In, slice_as};
use kernels::{Binding, Channels, Conv2dConstants, Conv2dInteger, Geometry, Integer};

/// int8 activations and weights.
pub static I8: Op = Op {
    code: 1,
    name: "conv_2d",
    check: |node| {
        check_integer(node, DType::I8)?;
        packed::check(node)
    },
    scratch_bytes: packed::scratch_bytes,
    prepared_bytes: kept::prepared_bytes,
    prepare: kept::prepare,
    run: packed::run,
    #[cfg(feature = "host")]
    layer: kept::layer,
};

/// int16 activations and int8 weights.
pub static I16: Op = Op::new(
    19,
    "conv_2d_i16",
    |node| check_integer(node, DType::I16),
    |run| run_integer(run, run.binding(), kernels::i16::conv_2d),
);

/// int16 activations, int8 weights and biases of 64 bits.
pub static LONG_I16: Op =
    Op::new(130, "conv_2d_long", conv_2d_long::check, conv_2d_long::run);

fn constant<'a, T: kernels::memory::Plain>(node: &Node<'a>, index: usize) -> Option<&'a [T]> {
    slice_as(node.constant(index))
}

fn geometry_from(node: &Node<'_>, params: &mut Params<'_>) -> Option<Geometry> {
    let moving = window::decode(params);
    let groups = usize::from(params.u16());
    window::geometry(node, moving, groups)
}

fn geometry(node: &Node<'_>) -> Option<Geometry> {
    geometry_from(node, &mut node.params())
}

fn constants<'a>(node: &Node<'a>) -> Option<Conv2dConstants<'a>> {
    let requantize = requantize(node, DType::I8);
    Some(Conv2dConstants {
        geometry: geometry(node)?,
        weights: constant(node, 1)?,
        channels: channels(&requantize, node.constant(2)),
        requantize,
    })
}

/// The records of output channels, as the rule has them.
fn channels<'a>(requantize: &Requantize, bytes: &'a [u8]) -> Channels<'a> {
    match requantize.rounding {
        Rounding::High => Channels::High(slice_as(bytes).unwrap_or(&[])),
        _ => Channels::Wide(slice_as(bytes).unwrap_or(&[])),
    }
}

fn scratch(node: &Node<'_>, architecture: Architecture, float: bool) -> usize {
    let bytes = if float {
        kernels::f32::conv_2d_scratch_bytes
    } else {
        kernels::i8::conv_2d_scratch_bytes
    };
    geometry(node).map_or(0, |geometry| bytes(&geometry, architecture))
}

/// Shapes that all types must satisfy.
fn check_shapes(node: &Node<'_>, dtype: DType, weight_type: DType) -> Option<()> {
    let geometry = geometry(node)?;
    window::check(node, &geometry)?;
    let (input, weights, output) = (node.input(0)?, node.input(1)?, node.output(0)?);
    let [inputs, outputs] = [geometry.input[2], geometry.output[2]];
    let divides = inputs % geometry.groups == 0 && outputs % geometry.groups == 0;
    let types = input.dtype == dtype && weights.dtype == weight_type && output.dtype == dtype;
    let held = weights.shape.elements() == outputs.checked_mul(geometry.taps())?;
    (divides && types && held && outputs > 0 && inputs > 0).then_some(())
}

fn check_integer(node: &Node<'_>, dtype: DType) -> Option<()> {
    check_shapes(node, dtype, DType::I8)?;
    channels_fit(node, dtype)
}

/// Whether there is a record for each channel, of the rule's kind.
fn channels_fit(node: &Node<'_>, dtype: DType) -> Option<()> {
    let geometry = geometry(node)?;
    let channels = node.input(2)?;
    let requantize = requantize(node, dtype);
    let kind = match requantize.rounding {
        Rounding::High => DType::Channel,
        _ => DType::ChannelWide,
    };
    if requantize.is_plain {
        let records = slice_as::<i32>(node.constant(2))?;
        are_plain(records, geometry.taps()).then_some(())?;
    }
    let fits = channels.dtype == kind && channels.shape.elements() == geometry.output[2];
    // 65,000 * 128 * 255 is below 2^31: the accumulator cannot overflow before the bias.
    (fits && geometry.taps() <= 65_000).then_some(())
}

fn requantize(node: &Node<'_>, dtype: DType) -> Requantize {
    let mut params = node.params();
    let _ = geometry_from(node, &mut params);
    decode_requantize(&mut params, dtype)
}

/// Reads what [`host::encode_requantize`] wrote for outputs of a type.
#[inline(always)]
pub(crate) fn decode_requantize(params: &mut Params<'_>, dtype: DType) -> Requantize {
    let rounding = Rounding::from_code(params.u8()).unwrap_or(Rounding::High);
    let (first, multiplier_shift) = (params.u8(), params.u8().min(19));
    let (bias_shift, is_plain) = match rounding {
        Rounding::High => (first.min(11), false),
        _ => (0, first == 1),
    };
    let zero_point = i16::from(params.u8() as i8);
    let [min, max] = match dtype {
        DType::I16 => super::limits_i16(params),
        _ => super::limits_i8(params).map(i16::from),
    };
    Requantize {
        rounding,
        bias_shift,
        multiplier_shift,
        is_plain,
        zero_point,
        min,
        max,
    }
}

/// What a node says of an integer convolution, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Images.
    pub batch: usize,
    /// Shapes of one image.
    pub geometry: Geometry,
    /// How accumulators become outputs.
    pub requantize: Requantize,
    /// The value of padded taps.
    pub input_zero_point: i8,
}

/// Where the elements of an integer convolution are.
pub(crate) struct Elements<'a, T: Integer> {
    pub(crate) input: In<'a, T>,
    pub(crate) output: &'a [Cell<T>],
    pub(crate) weights: &'a [i8],
    /// Channel records.
    pub(crate) channels: &'a [u8],
}

impl Convolution {
    /// Decodes a node; `None` where it has no image.
    pub fn of(node: &Node<'_>) -> Option<Self> {
        Some(Self::between(node, &node.input(0)?, &node.output(0)?))
    }

    /// As [`Convolution::of`], with the node's input and output: decoding them takes time.
    fn between(node: &Node<'_>, input: &Tensor, output: &Tensor) -> Self {
        let mut params = node.params();
        let moving = window::decode(&mut params);
        let groups = usize::from(params.u16());
        Convolution {
            batch: window::image(&input.shape)[0],
            geometry: window::between(&input.shape, &output.shape, moving, groups),
            requantize: decode_requantize(&mut params, input.dtype),
            input_zero_point: match input.dtype {
                DType::I8 => input.zero_point as i8,
                _ => 0,
            },
        }
    }

    /// Runs a kernel over every image.
    pub(crate) fn run<T: Integer>(
        &self,
        elements: &Elements<'_, T>,
        binding: Binding<'_>,
        kernel: impl Fn(&Conv2dInteger<'_, T>),
    ) {
        for image in 0..self.batch {
            kernel(&self.image(image, elements, binding));
        }
    }

    /// The operands of one image.
    fn image<'a, T: Integer>(
        &self,
        image: usize,
        elements: &Elements<'a, T>,
        binding: Binding<'a>,
    ) -> Conv2dInteger<'a, T> {
        let geometry = self.geometry;
        let [input, output] = [geometry.input, geometry.output].map(|[a, b, c]| a * b * c);
        let rows = image * output..(image + 1) * output;
        Conv2dInteger {
            geometry,
            input: elements.input.part(image * input, input),
            output: elements.output.get(rows).unwrap_or(&[]),
            weights: elements.weights,
            channels: channels(&self.requantize, elements.channels),
            requantize: self.requantize,
            input_zero_point: T::from_clamped(i32::from(self.input_zero_point)),
            binding,
        }
    }
}

fn run_integer<T: Integer>(
    run: &Run<'_>,
    binding: Binding<'_>,
    kernel: fn(&Conv2dInteger<'_, T>),
) {
    let (Some(input), Some(output)) = (run.node.input(0), run.node.output(0)) else { return };
    let convolution = Convolution::between(&run.node, &input, &output);
    let elements = Elements {
        input: run.view(&input),
        output: run.cells_of(&output),
        weights: run.constant(1),
        channels: run.constant(2),
    };
    convolution.run(&elements, binding, kernel);
}

#[cfg(feature = "host")]
pub use host::Conv2d;

#[cfg(feature = "host")]
pub(crate) mod host {
    use crate::host::{
        Activation, Inferred, Lowered, LoweredOperand, Operand, Operator, channel_operand,
        required,
    };
    use crate::ops::{Window2d, conv_2d_long};
    use format::fixed::{Requantize, Rounding};
    use format::{DType, ParamsWriter, Shape};
    use kernels::memory::as_bytes;
    use std::string::String;
    use std::vec::Vec;

    /// Attributes of a convolution.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Conv2d {
        /// The sliding window.
        pub window: Window2d,
        /// Channel groups.
        pub groups: usize,
        /// Fused activation.
        pub activation: Activation,
    }

    impl Operator for Conv2d {
        fn name(&self) -> &'static str {
            "conv_2d"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let (input, weights) = (required(inputs, 0)?, required(inputs, 1)?);
            if input.shape.rank() != 4 || weights.shape.rank() != 4 {
                return Err("needs an input [N, H, W, C] and weights [O, KH, KW, I]".into());
            }
            let (channels, outputs) = (input.shape.dim(3), weights.shape.dim(0));
            let groups = self.groups.max(1);
            if weights.shape.dim(3) * groups != channels || outputs % groups != 0 {
                return Err(std::format!(
                    "weights {} do not fit {channels} channels in {groups} groups",
                    weights.shape
                ));
            }
            if [weights.shape.dim(1), weights.shape.dim(2)] != self.window.kernel {
                return Err("the kernel size is not that of the weights".into());
            }
            let rows = self.window.output_size(0, input.shape.dim(1))?;
            let columns = self.window.output_size(1, input.shape.dim(2))?;
            let batch = input.shape.dim(0);
            let dims = [batch as u32, rows as u32, columns as u32, outputs as u32];
            Ok(std::vec![(input.dtype, Shape::new(&dims).ok_or("too many dimensions")?)])
        }

        fn macs(&self, inputs: &[Option<Operand<'_>>], outputs: &[Operand<'_>]) -> u64 {
            let weights = inputs.get(1).and_then(Option::as_ref);
            let taps = weights.map_or(0, |w| w.shape.elements() / w.shape.dim(0).max(1));
            outputs.first().map_or(0, |o| o.shape.elements() as u64 * taps as u64)
        }

        fn overlap(
            &self,
            index: usize,
            inputs: &[Option<Operand<'_>>],
            output: &Operand<'_>,
        ) -> Option<usize> {
            let input = required(inputs, 0).ok().filter(|_| index == 0)?;
            self.window.overlap(input, output)
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            rounding: Rounding,
        ) -> Result<Lowered, String> {
            self.window.fits_u16()?;
            let weights = required(inputs, 1)?;
            let depthwise = self.groups > 1 && weights.shape.dim(3) == 1;
            let layout = if depthwise { Layout::TapsFirst } else { Layout::OutputsFirst };
            let mut params = ParamsWriter::default();
            self.window.encode(&mut params);
            params.u16(self.groups as u16);
            lower_with(params, inputs, outputs, self.activation, layout, rounding)
        }
    }

    /// The order of the device's weights.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Layout {
        /// `[O, KH, KW, I]`.
        OutputsFirst,
        /// `[KH, KW, O]`.
        TapsFirst,
    }

    /// Lowers anything that runs as a convolution, given its encoded geometry.
    pub(crate) fn lower_with(
        mut params: ParamsWriter,
        inputs: &[Option<Operand<'_>>],
        outputs: &[Operand<'_>],
        activation: Activation,
        layout: Layout,
        rounding: Rounding,
    ) -> Result<Lowered, String> {
        let (input, weights) = (required(inputs, 0)?, required(inputs, 1)?);
        let output = outputs.first().ok_or("there is no output")?;
        let bias = inputs.get(2).and_then(Option::as_ref);
        let data = weights.data.ok_or("the weights must be constant")?;
        let outer = weights.shape.dim(0);
        let is_long = bias.is_some_and(|bias| bias.dtype == DType::I64);
        if is_long && [input.dtype, output.dtype] == [DType::I16; 2] {
            return conv_2d_long::lower(params, inputs, output, activation);
        }
        match (input.dtype, output.dtype) {
            (DType::I8, DType::I8) | (DType::I16, DType::I16) => {
                let (channels, requantize) =
                    channel_operand(input, weights, bias, output, activation, rounding)?;
                encode_requantize(&mut params, &requantize, output.dtype);
                let bytes = as_bytes(&reorder(data.i8()?, outer, layout)).to_vec();
                let operands = device_operands(weights, DType::I8, bytes, channels, layout)?;
                let is_wide = output.dtype == DType::I16;
                let code = if is_wide { super::I16.code } else { super::I8.code };
                Ok(Lowered { code, operands, params: params.finish() })
            }
            (DType::F32, DType::F32) => {
                let [low, high] = activation.limits();
                params.u16(0).f32(low).f32(high);
                let bytes = as_bytes(&reorder(data.f32()?, outer, layout)).to_vec();
                let bias = match bias {
                    Some(bias) => LoweredOperand::Constant {
                        dtype: DType::F32,
                        shape: bias.shape,
                        bytes: bias.data.ok_or("the bias must be constant")?.bytes().to_vec(),
                    },
                    None => LoweredOperand::Absent,
                };
                let operands = device_operands(weights, DType::F32, bytes, bias, layout)?;
                Ok(Lowered { code: super::F32.code, operands, params: params.finish() })
            }
            (from, to) => Err(std::format!("there is no convolution from {from} to {to}")),
        }
    }

    fn device_operands(
        weights: &Operand<'_>,
        dtype: DType,
        bytes: Vec<u8>,
        channels: LoweredOperand,
        layout: Layout,
    ) -> Result<Vec<LoweredOperand>, String> {
        let dims = weights.shape.dims();
        let shape = match layout {
            Layout::OutputsFirst => weights.shape,
            Layout::TapsFirst => {
                Shape::new(&[dims[1], dims[2], dims[0]]).ok_or("too many dimensions")?
            }
        };
        let constant = LoweredOperand::Constant { dtype, shape, bytes };
        Ok(std::vec![LoweredOperand::Input(0), constant, channels])
    }

    /// `[O, taps]` as it is, or as `[taps, O]`.
    fn reorder<T: Copy>(values: &[T], outer: usize, layout: Layout) -> Vec<T> {
        let taps = values.len() / outer.max(1);
        match layout {
            Layout::OutputsFirst => values.to_vec(),
            Layout::TapsFirst => (0..taps)
                .flat_map(|tap| (0..outer).map(move |o| values[o * taps + tap]))
                .collect(),
        }
    }

    /// Writes what [`super::decode_requantize`] reads.
    pub(crate) fn encode_requantize(
        params: &mut ParamsWriter,
        requantize: &Requantize,
        dtype: DType,
    ) {
        params.u8(requantize.rounding as u8);
        params.u8(match requantize.rounding {
            Rounding::High => requantize.bias_shift,
            _ => u8::from(requantize.is_plain),
        });
        params.u8(requantize.multiplier_shift);
        // An int16 tensor's zero point is 0.
        params.u8(requantize.zero_point as i8 as u8);
        for limit in [requantize.min, requantize.max] {
            match dtype {
                DType::I16 => params.i16(limit),
                _ => params.u8(limit as i8 as u8),
            };
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::Conv2d;
    use crate::host::{Activation, Data, Quantization, Tensor, evaluate};
    use crate::ops::Window2d;
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    fn tensor(dims: &[u32], data: Data) -> Tensor {
        Tensor { shape: Shape::new(dims).unwrap(), data }
    }

    /// A 2 x 2 window of ones over 3 x 3 pixels 1..=9, padded by nothing.
    #[test]
    fn a_window_of_ones_sums_its_pixels() {
        let pixels: vec::Vec<f32> = (1..=9).map(|v| v as f32).collect();
        let conv = Conv2d {
            window: Window2d::dense([2, 2]),
            groups: 1,
            activation: Activation::Clip(0.0, 25.0),
        };
        let inputs = [
            Some((tensor(&[1, 3, 3, 1], Data::F32(pixels)), None)),
            Some((tensor(&[1, 2, 2, 1], Data::F32(vec![1.0; 4])), None)),
            Some((tensor(&[1], Data::F32(vec![0.5])), None)),
        ];
        let outputs = evaluate(&conv, &inputs, &[], Rounding::High).unwrap();
        assert_eq!(outputs[0].data, Data::F32(vec![12.5, 16.5, 24.5, 25.0]));
    }

    /// Real input = 0.5 (q - 1), weights 0.25 q, output 0.5 (q + 2): 3 x 2 = 1.5 x 0.5.
    #[test]
    fn int8_follows_scales_and_zero_points() {
        let conv = Conv2d {
            window: Window2d { padding: [0, 0, 0, 1], ..Window2d::dense([1, 2]) },
            groups: 1,
            activation: Activation::None,
        };
        let q = |scale, zero| Some(Quantization::per_tensor(scale, zero));
        let inputs = [
            Some((tensor(&[1, 1, 2, 1], Data::I8(vec![4, 7])), q(0.5, 1))),
            Some((tensor(&[1, 1, 2, 1], Data::I8(vec![2, 5])), q(0.25, 0))),
            Some((tensor(&[1], Data::F32(vec![1.0])), None)),
        ];
        // Real: 1.5 * 0.5 + 3.0 * 1.25 + 1 = 5.5, and 3.0 * 0.5 + 0 + 1 = 2.5 (padding is 0.0).
        let expected = Data::I8(vec![9, 3]);
        for rounding in [Rounding::High, Rounding::Single, Rounding::Double] {
            let outputs = evaluate(&conv, &inputs, &[q(0.5, -2)], rounding).unwrap();
            assert_eq!(outputs[0].data, expected, "{rounding:?}");
        }
    }

    /// Real input = 0.001 q, weights 0.5 q, output 0.002 q: finer than int8 could tell.
    #[test]
    fn int16_activations_keep_their_precision() {
        let conv = Conv2d {
            window: Window2d { padding: [0, 0, 0, 1], ..Window2d::dense([1, 2]) },
            groups: 1,
            activation: Activation::Clip(-30.0, 30.0),
        };
        let q = |scale| Some(Quantization::per_tensor(scale, 0));
        let inputs = [
            Some((tensor(&[1, 1, 3, 1], Data::I16(vec![1001, -2002, 30_000])), q(0.001))),
            Some((tensor(&[1, 1, 2, 1], Data::I8(vec![2, 4])), q(0.5))),
            Some((tensor(&[1], Data::F32(vec![0.002])), None)),
        ];
        // 1.001 - 4.004 + 0.002 = -3.001 -> -1500.5, halves up; -2.002 + 60 + 0.002 -> 30; 30.002.
        let expected = Data::I16(vec![-1500, 15_000, 15_000]);
        for rounding in [Rounding::High, Rounding::Single] {
            let outputs = evaluate(&conv, &inputs, &[q(0.002)], rounding).unwrap();
            assert_eq!(outputs[0].data, expected, "{rounding:?}");
        }
    }

    #[test]
    fn int16_sums_that_could_overflow_are_refused() {
        let conv = Conv2d {
            window: Window2d::dense([1, 1]),
            groups: 1,
            activation: Activation::None,
        };
        let q = |scale| Some(Quantization::per_tensor(scale, 0));
        let inputs = [
            Some((tensor(&[1, 1, 1, 1000], Data::I16(vec![0; 1000])), q(0.001))),
            Some((tensor(&[1, 1, 1, 1000], Data::I8(vec![127; 1000])), q(0.5))),
        ];
        let refused = evaluate(&conv, &inputs, &[q(0.002)], Rounding::High);
        assert!(refused.is_err_and(|message| message.contains("32 bits")));
    }

    #[test]
    fn depthwise_keeps_channels_apart() {
        let conv = Conv2d {
            window: Window2d::dense([1, 2]),
            groups: 2,
            activation: Activation::Relu,
        };
        let inputs = [
            Some((tensor(&[1, 1, 2, 2], Data::F32(vec![1.0, 2.0, 3.0, 4.0])), None)),
            Some((tensor(&[2, 1, 2, 1], Data::F32(vec![1.0, 10.0, 1.0, -1.0])), None)),
        ];
        let outputs = evaluate(&conv, &inputs, &[], Rounding::High).unwrap();
        assert_eq!(outputs[0].data, Data::F32(vec![31.0, 0.0]));
    }
}
