//! Adds weights packed for an architecture to the convolutions that it has loops for.

use crate::{Compiled, Error};
use format::{DType, Node, Shape};
use runtime::Model;
use runtime::host::{AlignedBytes, Lowered, LoweredOperand};
use runtime::ops::conv_2d::{self, packed};

/// Adds them to the nodes of a first file without them; tells how many bytes they are.
pub(crate) fn pack(draft: &Compiled, lowered: &mut [Lowered]) -> Result<usize, Error> {
    let refused = |error: runtime::Error| Error::Refused(error.to_string());
    let aligned = AlignedBytes::copy_of(&draft.bytes);
    let model = Model::new(aligned.bytes()).map_err(refused)?;
    let mut bytes = 0;
    for (node, plan) in model.nodes().zip(&draft.plan) {
        if node.code() == conv_2d::I8.code
            && let Some(operand) = operand(&node)
            && let Some(lowered) = lowered.get_mut(plan.graph_node)
            && lowered.operands.len() == packed::OPERAND
        {
            if let LoweredOperand::Constant { bytes: packed, .. } = &operand {
                bytes += packed.len();
            }
            lowered.operands.push(operand);
        }
    }
    Ok(bytes)
}

/// The operand that a node takes besides its others, where there is one for it.
fn operand(node: &Node<'_>) -> Option<LoweredOperand> {
    let bytes = packed::pack(node)?;
    let words = Shape::new(&[u32::try_from(bytes.len() / 4).ok()?])?;
    Some(LoweredOperand::Constant {
        dtype: DType::I32,
        shape: words,
        bytes,
    })
}
