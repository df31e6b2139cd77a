//! Comparisons, tests for infinity and NaN, and choices by truth values.

use crate::onnx::call::{Call, Item, Refusal};
use graph::DType;
use runtime::ops::compare::Relation;
use runtime::ops::unary::{Function, Unary};

/// `a` against `b`.
pub(super) fn import(call: &mut Call<'_>, relation: Relation) -> Result<Vec<Item>, Refusal> {
    let (a, b) = (call.required(0)?, call.required(1)?);
    let b = call.aligned(a, b)?;
    Ok(vec![call.compare(relation, a, b)?])
}

/// `b` against `a`: Greater is Less the other way round.
pub(super) fn reversed(call: &mut Call<'_>, relation: Relation) -> Result<Vec<Item>, Refusal> {
    let (a, b) = (call.required(0)?, call.required(1)?);
    let b = call.aligned(a, b)?;
    Ok(vec![call.compare(relation, b, a)?])
}

/// Only NaN differs from itself.
pub(super) fn is_nan(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.float(0)?;
    Ok(vec![call.compare(Relation::NotEqual, x, x)?])
}

/// Infinity of the signs that the attributes ask for.
pub(super) fn is_infinite(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.float(0)?;
    let negative = call.attributes.int("detect_negative", 1)? != 0;
    let positive = call.attributes.int("detect_positive", 1)? != 0;
    let infinity = call.floats(&[], vec![f32::INFINITY])?;
    let x = match (positive, negative) {
        (true, false) => x,
        (false, false) => return Ok(vec![call.compare(Relation::Less, x, x)?]),
        (true, true) => call.push(
            Unary {
                function: Function::Abs,
            },
            &[x],
        )?,
        (false, true) => call.push(
            Unary {
                function: Function::Neg,
            },
            &[x],
        )?,
    };
    Ok(vec![call.compare(Relation::Equal, x, infinity)?])
}

/// Where: one tensor where the condition holds, the other elsewhere.
pub(super) fn choice(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let (condition, a, b) = (call.required(0)?, call.required(1)?, call.required(2)?);
    if call.dtype(condition) != DType::Bool {
        return Err(format!("its condition is {}, not bool", call.dtype(condition)).into());
    }
    Ok(vec![call.choose(condition, a, b)?])
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, int};

    /// A relation between -1, 2, 3 and 2, then 1 where it holds and 0 elsewhere.
    fn holds(operator: &str) -> Vec<f32> {
        let source = Source::new(16)
            .input(&[3], &[-1.0, 2.0, 3.0])
            .constant(&[], &[2.0]);
        let source = source.constant(&[], &[1.0]).constant(&[], &[0.0]);
        let source = source.node(operator, &["x0", "x1"], "c", vec![]);
        let source = source.node("Where", &["c", "x2", "x3"], "y", vec![]);
        source.output("y").run().1
    }

    #[test]
    fn relations_hold_where_they_should() {
        assert_eq!(holds("Less"), [1.0, 0.0, 0.0]);
        assert_eq!(holds("LessOrEqual"), [1.0, 1.0, 0.0]);
        assert_eq!(holds("Equal"), [0.0, 1.0, 0.0]);
        assert_eq!(holds("GreaterOrEqual"), [0.0, 1.0, 1.0]);
        assert_eq!(holds("Greater"), [0.0, 0.0, 1.0]);
    }

    #[test]
    fn what_is_no_number_is_found() {
        let of = |operator: &str, attributes: Vec<_>| {
            let x = [f32::NEG_INFINITY, f32::NAN, 1.0, f32::INFINITY];
            let source = Source::new(13).constant(&[4], &x);
            source.apply(operator, attributes).folded().1
        };
        assert_eq!(of("IsNaN", vec![]), [0, 1, 0, 0]);
        assert_eq!(of("IsInf", vec![]), [1, 0, 0, 1]);
        assert_eq!(of("IsInf", vec![int("detect_negative", 0)]), [0, 0, 0, 1]);
        assert_eq!(of("IsInf", vec![int("detect_positive", 0)]), [1, 0, 0, 0]);
    }
}
