//! How the nodes of a plan round their sums.

use format::Node;
use format::fixed::Rounding;
use runtime::ops::{self, conv_2d};

/// The rule of a node; `None` where it has no sums to round.
pub(super) fn rounding(node: &Node<'_>) -> Option<Rounding> {
    let mut params = node.params();
    let code = node.code();
    let is = |op: &runtime::Op| op.code == code;
    if is(&conv_2d::I8) || is(&conv_2d::NARROW_I8) {
        return Some(conv_2d::Convolution::of(node)?.requantize.rounding);
    }
    if is(&ops::binary::ADD_I8) {
        return Some(Rounding::High);
    }
    if is(&ops::average_pool_2d::SCALED_I8) {
        return Some(Rounding::Single);
    }
    if is(&ops::binary::STEPWISE_I8) {
        let function = params.u8();
        // The smaller and the larger are operands.
        let is_picked = function == 4 || function == 5;
        return stored(params.u8()).filter(|_| !is_picked);
    }
    if is(&ops::mean::I8) {
        // Axes come first.
        params.u32();
    }
    if is(&ops::mean::I8) || is(&ops::mat_mul::I8) || is(&ops::quantize::RESCALE) {
        params.i32();
        params.i32();
        return stored(params.u8());
    }
    None
}

/// Operators that round twice if the file says so round once otherwise.
fn stored(code: u8) -> Option<Rounding> {
    match Rounding::from_code(code)? {
        Rounding::Double => Some(Rounding::Double),
        Rounding::High | Rounding::Single => Some(Rounding::Single),
    }
}
