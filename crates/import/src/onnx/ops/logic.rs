//! Logical functions of truth values, and functions of the bits of whole numbers.

use crate::onnx::call::{Call, Item, Refusal};
use graph::DType;
use runtime::ops::whole::Function;

/// And, Or, Xor: of truth values.
pub(super) fn truth(call: &mut Call<'_>, function: Function) -> Result<Vec<Item>, Refusal> {
    let (a, b) = (call.required(0)?, call.required(1)?);
    if call.dtype(a) != DType::Bool {
        return Err(format!("there are no truth values of {}", call.dtype(a)).into());
    }
    let b = call.aligned(a, b)?;
    Ok(vec![call.whole(function, a, b)?])
}

/// Not: the other truth value.
pub(super) fn not(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let yes = call.number(DType::Bool, 1)?;
    Ok(vec![call.whole(Function::Xor, x, yes)?])
}

/// BitwiseAnd, BitwiseOr, BitwiseXor: of whole numbers.
pub(super) fn bits(call: &mut Call<'_>, function: Function) -> Result<Vec<Item>, Refusal> {
    let (a, b) = (call.required(0)?, call.required(1)?);
    Ok(vec![call.whole(function, a, b)?])
}

/// BitwiseNot: the bits that `x` does not have.
pub(super) fn bitwise_not(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let dtype = call.dtype(x);
    // All bits: the number below 0, which unsigned types reach by wrapping.
    let (zero, one) = (call.number(dtype, 0)?, call.number(dtype, 1)?);
    let all = call.whole(Function::Sub, zero, one)?;
    Ok(vec![call.whole(Function::Xor, x, all)?])
}

/// BitShift to the left or to the right.
pub(super) fn shift(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let function = match call.attributes.text("direction", "")? {
        "LEFT" => Function::ShiftLeft,
        "RIGHT" => Function::ShiftRight,
        other => return Err(format!("its direction '{other}' is not known").into()),
    };
    bits(call, function)
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, int, text};

    #[test]
    fn bits_are_combined() {
        let of = |operator: &str| {
            let source = Source::new(18).whole(&[12, -1]).whole(&[10, 3]);
            source.apply(operator, vec![]).folded().1
        };
        assert_eq!(of("BitwiseAnd"), [8, 3]);
        assert_eq!(of("BitwiseOr"), [14, -1]);
        assert_eq!(of("BitwiseXor"), [6, -4]);
        let not = Source::new(18).whole(&[5, -1]).apply("BitwiseNot", vec![]);
        assert_eq!(not.folded().1, [-6, 0]);
        let shift = Source::new(18).whole(&[5]).whole(&[2]);
        let shift = shift.apply("BitShift", vec![text("direction", "LEFT")]);
        assert_eq!(shift.folded().1, [20]);
    }

    #[test]
    fn truth_values_are_no_numbers() {
        let source = Source::new(13).whole(&[1]).whole(&[0]);
        assert!(source.apply("And", vec![]).refusal().contains("int64"));
        let source = Source::new(13)
            .whole(&[3, 0])
            .node("Cast", &["x0"], "b", vec![int("to", 9)]);
        let source = source.node("Not", &["b"], "y", vec![]).output("y");
        assert_eq!(source.folded().1, [0, 1]);
    }
}
