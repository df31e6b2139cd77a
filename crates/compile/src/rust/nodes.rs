//! The nodes of a plan as constants.

use super::{operator_path, real};
use crate::Error;
use format::{DType, Model, Node, Params, Place, Tensor};
use std::fmt::Write;

/// The file `nodes.rs` of the library.
pub(super) fn write(model: &Model<'_>) -> Result<String, Error> {
    let mut code = String::from(
        "//! The nodes of the plan: operands and parameters.\n\n\
         use runtime::program::{DType, Place, ProgramNode, tensor};\n",
    );
    for node in model.nodes() {
        code.push_str(&constant(&node)?);
    }
    Ok(code)
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
        node.scratch_offset(),
        node.scratch_bytes(),
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
    }
}

fn bytes(mut params: Params<'_>) -> Vec<u8> {
    (0..params.remaining()).map(|_| params.u8()).collect()
}
