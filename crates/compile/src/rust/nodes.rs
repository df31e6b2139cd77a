//! The nodes of a plan as constants.

use super::{operator_path, real, scratch};
use crate::Error;
use format::{DType, Model, Node, Params, Place, Tensor};
use kernels::i8::Conv2dLoops;
use runtime::ops::conv_2d;
use runtime::program::{Convolution, ConvolutionNode};
use std::fmt::Write;

const CONVOLUTION_IMPORTS: &str = "use runtime::program::{Convolution, ConvolutionNode, Geometry, Requantize, Rounding, Window};\n";
const OTHER_IMPORTS: &str = "use runtime::program::{DType, Place, ProgramNode, tensor};\n";

/// The file `nodes.rs` of the library.
pub(super) fn write(model: &Model<'_>) -> Result<String, Error> {
    let mut code = String::from("//! The nodes of the plan: operands and parameters.\n\n");
    if model.nodes().any(|node| convolution(&node).is_some()) {
        code.push_str(CONVOLUTION_IMPORTS);
    }
    if has_others(model) {
        code.push_str(OTHER_IMPORTS);
    }
    for node in model.nodes() {
        code.push_str(&match convolution(&node) {
            Some((convolution, _)) => convolution_constant(node.index, &convolution),
            None => constant(&node)?,
        });
    }
    Ok(code)
}

/// Whether there are nodes that are no convolutions of integers.
pub(super) fn has_others(model: &Model<'_>) -> bool {
    model.nodes().any(|node| convolution(&node).is_none())
}

/// The call of a node.
pub(super) fn call(node: &Node<'_>) -> Result<String, Error> {
    let index = node.index;
    Ok(match convolution(node) {
        Some((_, kernel)) => {
            format!("program::convolve(&nodes::NODE_{index}, {kernel}, constants, arena);")
        }
        None => {
            let path = operator_path(node.code())?;
            format!("program::call(&ops::{path}, &nodes::NODE_{index}, constants, arena);")
        }
    })
}

/// What a convolution of integers needs, and the path of its kernel; `None` for other nodes.
fn convolution(node: &Node<'_>) -> Option<(ConvolutionNode, &'static str)> {
    let is_integer = [conv_2d::I8.code, conv_2d::I16.code].contains(&node.code());
    let (input, output) = (node.input(0)?, node.output(0)?);
    if !is_integer || input.place == Place::Constant {
        return None;
    }
    let convolution = Convolution::of(node)?;
    let rounding = convolution.requantize.rounding;
    let loops = Conv2dLoops::of(&convolution.geometry, rounding);
    let kernel = match (input.dtype, loops) {
        (DType::I8, Conv2dLoops::Dense) => "program::i8_kernels::conv_2d_dense",
        (DType::I8, Conv2dLoops::Depthwise) => "program::i8_kernels::conv_2d_depthwise",
        (DType::I8, Conv2dLoops::Any) => "program::i8_kernels::conv_2d",
        _ => "program::i16_kernels::conv_2d",
    };
    let (scratch_offset, scratch_bytes) = scratch(node);
    let node = ConvolutionNode {
        convolution,
        input: input.offset,
        output: output.offset,
        weights: node.input(1)?.offset,
        channels: node.input(2)?.offset,
        scratch_offset,
        scratch_bytes,
    };
    Some((node, kernel))
}

/// The derived form of a structure for debugging is that of Rust's expressions, but for the paths
/// of variants.
fn convolution_constant(index: usize, node: &ConvolutionNode) -> String {
    let ConvolutionNode {
        convolution:
            Convolution {
                batch,
                geometry,
                requantize,
                input_zero_point,
            },
        input,
        output,
        weights,
        channels,
        scratch_offset,
        scratch_bytes,
    } = node;
    let requantize = format!("{requantize:?}").replace("rounding: ", "rounding: Rounding::");
    format!(
        "\n/// `conv_2d`.\n\
         pub(crate) static NODE_{index}: ConvolutionNode = ConvolutionNode {{\n    \
         convolution: Convolution {{\n        \
         batch: {batch},\n        \
         geometry: {geometry:?},\n        \
         requantize: {requantize},\n        \
         input_zero_point: {input_zero_point},\n    \
         }},\n    \
         input: {input},\n    \
         output: {output},\n    \
         weights: {weights},\n    \
         channels: {channels},\n    \
         scratch_offset: {scratch_offset},\n    \
         scratch_bytes: {scratch_bytes},\n\
         }};\n"
    )
}

fn constant(node: &Node<'_>) -> Result<String, Error> {
    let mut code = String::new();
    let path = operator_path(node.code())?;
    let inputs: Vec<String> = (0..node.input_count())
        .map(|index| match node.input(index) {
            Some(tensor) => format!("Some({})", operand(&tensor)),
            None => "None".into(),
        })
        .collect();
    let outputs: Vec<String> = (0..node.output_count())
        .filter_map(|index| node.output(index))
        .map(|tensor| operand(&tensor))
        .collect();
    let params: Vec<String> = bytes(node.params()).iter().map(u8::to_string).collect();
    let (scratch_offset, scratch_bytes) = scratch(node);
    // Writing to a string cannot fail.
    let _ = write!(
        code,
        "\n/// `{path}`.\n\
         pub(crate) static NODE_{}: ProgramNode<'static> = ProgramNode {{\n    \
         code: {},\n    \
         inputs: &[{}],\n    \
         outputs: &[{}],\n    \
         params: &[{}],\n    \
         scratch_offset: {},\n    \
         scratch_bytes: {},\n\
         }};\n",
        node.index,
        node.code(),
        list(&inputs),
        list(&outputs),
        params.join(", "),
        scratch_offset,
        scratch_bytes,
    );
    Ok(code)
}

/// One operand a line.
fn list(operands: &[String]) -> String {
    let lines = operands
        .iter()
        .map(|operand| format!("\n        {operand},"));
    let mut text: String = lines.collect();
    if !text.is_empty() {
        text.push_str("\n    ");
    }
    text
}

fn operand(tensor: &Tensor) -> String {
    let place = match tensor.place {
        Place::Arena => "Arena",
        Place::Constant => "Constant",
        Place::State => "State",
    };
    format!(
        "tensor(DType::{}, Place::{place}, {}, {:?}, {}, {})",
        variant(tensor.dtype),
        tensor.offset,
        tensor.shape.dims(),
        real(tensor.scale),
        tensor.zero_point
    )
}

fn variant(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "F32",
        DType::I8 => "I8",
        DType::I16 => "I16",
        DType::I32 => "I32",
        DType::I64 => "I64",
        DType::F16 => "F16",
        DType::Bool => "Bool",
        DType::U8 => "U8",
        DType::Channel => "Channel",
        DType::ChannelWide => "ChannelWide",
        DType::U16 => "U16",
        DType::U32 => "U32",
        DType::U64 => "U64",
        DType::I4 => "I4",
    }
}

fn bytes(mut params: Params<'_>) -> Vec<u8> {
    (0..params.remaining()).map(|_| params.u8()).collect()
}
