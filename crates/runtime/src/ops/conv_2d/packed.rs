//! Weights that a file carries packed for an architecture, beside those that every other one reads.

use super::{geometry, kept, run_integer};
use crate::{Architecture, Run};
use format::{DType, Node};
use kernels::Binding;

/// Where a node has them.
pub const OPERAND: usize = 3;

/// What they are packed for: the one architecture whose kernels take such.
pub const ARCHITECTURE: Architecture = Architecture::Armv7em;

/// Bytes of them; `None` where the node has none.
pub fn bytes(node: &Node<'_>) -> Option<usize> {
    node.input(OPERAND).map(|packed| packed.bytes())
}

/// Whether they have the size that kernels expect, where there are such.
pub(super) fn check(node: &Node<'_>) -> Option<()> {
    let Some(packed) = node.input(OPERAND) else { return Some(()) };
    let expected = kernels::i8::conv_2d_packed_bytes(&geometry(node)?, ARCHITECTURE);
    let fits = packed.dtype == DType::I32 && node.constant(OPERAND).len() == expected;
    (fits && expected > 0).then_some(())
}

/// Working memory of a node with or without them.
pub(super) fn scratch_bytes(node: &Node<'_>, architecture: Architecture) -> usize {
    if node.input(OPERAND).is_none() {
        return super::scratch(node, architecture, false);
    }
    geometry(node).map_or(0, |geometry| {
        kernels::i8::conv_2d_packed_scratch_bytes(&geometry, architecture)
    })
}

pub(super) fn run(run: &Run<'_>) {
    match kernels::i8::TAKES_PACKED && run.node.input_count() > OPERAND {
        true => {
            let binding = Binding {
                prepared: run.node.constant(OPERAND),
                ..run.binding()
            };
            run_integer(run, binding, kernels::i8::conv_2d_packed);
        }
        false => kept::run(run),
    }
}

/// The weights of a node of [`super::I8`] packed for [`ARCHITECTURE`]; `None` where that has no faster
/// loops for its form.
#[cfg(feature = "host")]
pub fn pack(node: &Node<'_>) -> Option<std::vec::Vec<u8>> {
    let geometry = geometry(node)?;
    if !kernels::i8::conv_2d_packed_is_worth(&geometry, ARCHITECTURE) {
        return None;
    }
    let bytes = kernels::i8::conv_2d_packed_bytes(&geometry, ARCHITECTURE);
    let mut packed = std::vec![0; bytes];
    kernels::i8::pack_conv_2d(&geometry, super::constant(node, 1)?, ARCHITECTURE, &mut packed);
    Some(packed)
}
