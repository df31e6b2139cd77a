//! The nodes of a plan as constants.

use super::constants::Constants;
use super::{operator_path, real, scratch};
use crate::Error;
use format::{DType, Model, Node, Params, Place, Tensor};
use kernels::i8::Conv2dLoops;
use runtime::ops::conv_2d::{self, packed};
use runtime::program::{Convolution, ConvolutionNode};
use std::fmt::Write;

const PACKED_IMPORT: &str = "use runtime::program::PackedConvolutionNode;\n";
const CONVOLUTION_IMPORTS: &str = "use runtime::program::{Convolution, ConvolutionNode, Geometry, Requantize, Rounding, Window};\n";
const OTHER_IMPORTS: &str = "use runtime::program::{DType, Place, ProgramNode, tensor};\n";

/// The file `nodes.rs` of the library.
pub(super) fn write(model: &Model<'_>, constants: &Constants) -> Result<String, Error> {
    let mut code = String::from("//! The nodes of the plan: operands and parameters.\n\n");
    if model.nodes().any(|node| is_convolution(&node)) {
        code.push_str(CONVOLUTION_IMPORTS);
    }
    if model.nodes().any(|node| is_packed(&node)) {
        code.push_str(PACKED_IMPORT);
    }
    if has_others(model) {
        code.push_str(OTHER_IMPORTS);
    }
    for node in model.nodes() {
        code.push_str(&match convolution(&node, constants) {
            Some((convolution, _)) => {
                let packed = constants.twice(&node).map(|[_, packed]| packed);
                convolution_constant(node.index, &convolution, packed)
            }
            None => constant(&node, constants)?,
        });
    }
    Ok(code)
}

/// Whether there are nodes that are no convolutions of integers.
pub(super) fn has_others(model: &Model<'_>) -> bool {
    model.nodes().any(|node| !is_convolution(&node))
}

/// Whether a node is a convolution of integers whose input the model computes.
fn is_convolution(node: &Node<'_>) -> bool {
    let is_integer = [conv_2d::I8.code, conv_2d::I16.code].contains(&node.code());
    let is_computed = |input: Tensor| input.place != Place::Constant;
    is_integer && node.input(0).is_some_and(is_computed)
}

/// Whether such a convolution has its weights twice, as they are and packed.
pub(super) fn is_packed(node: &Node<'_>) -> bool {
    let is_i8 = node.code() == conv_2d::I8.code && is_convolution(node);
    is_i8 && node.input(packed::OPERAND).is_some()
}

/// The call of a node.
pub(super) fn call(node: &Node<'_>, constants: &Constants) -> Result<String, Error> {
    let index = node.index;
    Ok(match convolution(node, constants) {
        Some((_, kernel)) if is_packed(node) => {
            // Kernels for any rule fall back on those that take the weights as they are.
            let (packed, weights) = match kernel == DENSE {
                true => ("program::i8_kernels::conv_2d_squares", "&[]"),
                false => ("program::i8_kernels::conv_2d_packed", "&WEIGHTS.0"),
            };
            format!(
                "program::convolve_packed(&nodes::NODE_{index}, [{kernel}, {packed}], \
                 [&WEIGHTS.0, {weights}], &PACKED.0, constants, arena);"
            )
        }
        Some((_, kernel)) => {
            format!("program::convolve(&nodes::NODE_{index}, {kernel}, constants, arena);")
        }
        None => {
            let path = operator_path(node.code())?;
            format!("program::call(&ops::{path}, &nodes::NODE_{index}, constants, arena);")
        }
    })
}

const DENSE: &str = "program::i8_kernels::conv_2d_dense";

/// What a convolution of integers needs, and the path of its kernel; `None` for other nodes.
fn convolution(node: &Node<'_>, constants: &Constants) -> Option<(ConvolutionNode, &'static str)> {
    let (input, output) = (node.input(0)?, node.output(0)?);
    if !is_convolution(node) {
        return None;
    }
    let convolution = Convolution::of(node)?;
    let rounding = convolution.requantize.rounding;
    let loops = Conv2dLoops::of(&convolution.geometry, rounding);
    let kernel = match (input.dtype, loops) {
        (DType::I8, Conv2dLoops::Dense) => DENSE,
        (DType::I8, Conv2dLoops::Depthwise) => "program::i8_kernels::conv_2d_depthwise",
        (DType::I8, Conv2dLoops::Single) => "program::i8_kernels::conv_2d_single",
        (DType::I8, Conv2dLoops::Double) => "program::i8_kernels::conv_2d_double",
        (DType::I8, Conv2dLoops::Any) => "program::i8_kernels::conv_2d",
        _ => "program::i16_kernels::conv_2d",
    };
    let (scratch_offset, scratch_bytes) = scratch(node);
    let weights = match constants.twice(node) {
        Some([weights, _]) => weights,
        None => constants.offset(node.input(1)?.offset),
    };
    let node = ConvolutionNode {
        convolution,
        input: input.offset,
        output: output.offset,
        weights,
        channels: constants.offset(node.input(2)?.offset),
        scratch_offset,
        scratch_bytes,
    };
    Some((node, kernel))
}

/// The derived form of a structure for debugging is that of Rust's expressions, but for the paths
/// of variants.
fn convolution_constant(index: usize, node: &ConvolutionNode, packed: Option<usize>) -> String {
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
    let (kind, open, close) = match packed {
        Some(packed) => (
            "PackedConvolutionNode",
            format!("PackedConvolutionNode {{ packed: {packed}, node: "),
            " }",
        ),
        None => ("ConvolutionNode", String::new(), ""),
    };
    format!(
        "\n/// `conv_2d`.\n\
         pub(crate) static NODE_{index}: {kind} = {open}ConvolutionNode {{\n    \
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
         }}{close};\n"
    )
}

fn constant(node: &Node<'_>, constants: &Constants) -> Result<String, Error> {
    let mut code = String::new();
    let path = operator_path(node.code())?;
    let inputs: Vec<String> = (0..node.input_count())
        .map(|index| match node.input(index) {
            Some(tensor) => format!("Some({})", operand(&tensor, constants)),
            None => "None".into(),
        })
        .collect();
    let outputs: Vec<String> = (0..node.output_count())
        .filter_map(|index| node.output(index))
        .map(|tensor| operand(&tensor, constants))
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

fn operand(tensor: &Tensor, constants: &Constants) -> String {
    let (place, offset) = match tensor.place {
        Place::Arena => ("Arena", tensor.offset),
        Place::Constant => ("Constant", constants.offset(tensor.offset)),
        Place::State => ("State", tensor.offset),
    };
    format!(
        "tensor(DType::{}, Place::{place}, {offset}, {:?}, {}, {})",
        variant(tensor.dtype),
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
