//! The host half: what a compiler, a calibrator or an evaluator needs to know of operators.
//!
//! An operator's semantic attributes are a struct in its own file; [`Operator`] gives its shape
//! rule, its costs and its lowering to a node of the plan. The graph holds real meaning (scales,
//! float biases, symmetric or not); lowering turns it into the integers that the device uses.

mod batch;
mod data;
mod lower;
mod onnx;
mod parts;
mod runner;
mod spread;
mod support;
mod tflm;

pub use batch::Batch;
pub use data::{Data, Tensor, whole};
pub use lower::{
    Lowered, LoweredOperand, Multipliers, activation_limits, channel_operand, common_multipliers,
    fits_high, integer_limits, reach_i16, reached_i8,
};
pub use onnx::{exact_weight_scale, is_served, served_weight_scale, weight_scale};
pub use parts::{split_weights, weight_parts};
pub use runner::{AlignedBytes, Runner, evaluate, tensor_record};
pub use support::{Support, support};
pub(crate) use tflm::tflm_unary;

use format::fixed::Rounding;
use format::{DType, Shape};
use std::string::String;
use std::vec::Vec;

/// How integers stand for real numbers: `real = scale * (integer - zero_point)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantization {
    /// One scale, or one for each index along `axis`.
    pub scales: Vec<f32>,
    /// The integer that stands for 0.0.
    pub zero_point: i32,
    /// The dimension along which scales differ.
    pub axis: Option<usize>,
}

impl Quantization {
    /// One scale for the whole tensor.
    pub fn per_tensor(scale: f32, zero_point: i32) -> Self {
        Quantization {
            scales: std::vec![scale],
            zero_point,
            axis: None,
        }
    }

    /// The scale at `index` along the axis, or the only one.
    pub fn scale(&self, index: usize) -> f32 {
        *self
            .scales
            .get(index)
            .or(self.scales.first())
            .unwrap_or(&1.0)
    }
}

/// An operand of a node, as shape rules and lowering see it.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a> {
    /// Element type.
    pub dtype: DType,
    /// Dimensions.
    pub shape: Shape,
    /// Present for integer tensors that stand for real numbers.
    pub quantization: Option<&'a Quantization>,
    /// The elements of a constant.
    pub data: Option<&'a Data>,
}

impl Operand<'_> {
    /// The scale and zero point of a tensor quantized as a whole.
    pub fn affine(&self) -> Result<(f32, i32), String> {
        match self.quantization {
            Some(q) if q.axis.is_none() => Ok((q.scale(0), q.zero_point)),
            Some(_) => Err("is quantized per channel, but only weights may be".into()),
            None => Err("is not quantized".into()),
        }
    }
}

/// The type and the shape of an output.
pub type Inferred = (DType, Shape);

/// An activation fused into the operator before it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Activation {
    /// The identity.
    #[default]
    None,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, low), high)`, in real numbers.
    Clip(f32, f32),
}

impl Activation {
    /// The smallest and the largest real output.
    pub fn limits(self) -> [f32; 2] {
        match self {
            Activation::None => [f32::NEG_INFINITY, f32::INFINITY],
            Activation::Relu => [0.0, f32::INFINITY],
            Activation::Clip(low, high) => [low, high],
        }
    }

    /// Applies it to a number.
    pub fn apply(self, value: f32) -> f32 {
        let [low, high] = self.limits();
        value.max(low).min(high)
    }
}

/// The host half of an operator. `inputs` has an entry for every operand, `None` where an
/// optional one is left out.
pub trait Operator {
    /// The name in tables, as in the file's documentation.
    fn name(&self) -> &'static str;

    /// Types and shapes of the outputs, or the reason why the operands do not fit.
    fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String>;

    /// Multiply-accumulate operations.
    fn macs(&self, _inputs: &[Option<Operand<'_>>], _outputs: &[Operand<'_>]) -> u64 {
        0
    }

    /// How far behind the output's start input `index` must start when both share memory:
    /// the row contract of `kernels` for this operator. `None` where they may not share.
    fn overlap(
        &self,
        _index: usize,
        _inputs: &[Option<Operand<'_>>],
        _output: &Operand<'_>,
    ) -> Option<usize> {
        None
    }

    /// Whether an output is kept from run to run.
    fn keeps_state(&self, _output: usize) -> bool {
        false
    }

    /// The node of the plan, or the reason why these types cannot run.
    fn lower(
        &self,
        inputs: &[Option<Operand<'_>>],
        outputs: &[Operand<'_>],
        rounding: Rounding,
    ) -> Result<Lowered, String>;
}

/// The operand at `index`, or a message.
pub fn required<'a, 'b>(
    inputs: &'b [Option<Operand<'a>>],
    index: usize,
) -> Result<&'b Operand<'a>, String> {
    let operand = inputs.get(index).and_then(Option::as_ref);
    operand.ok_or_else(|| std::format!("input {index} is missing"))
}

/// int4 weights of a file as bytes of int8; 0 where there are fewer of them.
pub fn widened_i4(packed: &[u8], elements: usize) -> Vec<u8> {
    let mut wide = std::vec![0; elements.min(packed.len() * 2)];
    kernels::narrow::widen_i4(packed, &mut wide);
    wide
}

/// Multiply-accumulate operations of a node of a plan: for models that are only there as a
/// file. Windows of convolutions are counted whole, padding included.
pub fn node_macs(node: &format::Node<'_>) -> u64 {
    let is_convolution = [
        &crate::ops::conv_2d::I8,
        &crate::ops::conv_2d::I16,
        &crate::ops::conv_2d::F32,
        &crate::ops::conv_2d::NARROW_I8,
        &crate::ops::conv_2d::NARROW_F32,
    ]
    .map(|op| op.code);
    let (Some(weights), Some(output)) = (node.input(1), node.output(0)) else {
        return 0;
    };
    if !is_convolution.contains(&node.code()) {
        return 0;
    }
    let channels = output.shape.dims().last().map_or(1, |&c| c as usize).max(1);
    (output.shape.elements() as u64) * (weights.shape.elements() / channels) as u64
}
