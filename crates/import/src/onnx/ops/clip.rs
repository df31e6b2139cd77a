//! Clip: limits are attributes before operator set 11 and operands from then on.

use crate::onnx::call::{Call, Item, Refusal};
use graph::DType;
use runtime::ops::binary::Function as Limit;
use runtime::ops::unary::{Function, Unary};

pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    if call.dtype(x) != DType::F32 {
        return limits_at_run_time(call, x);
    }
    let computed = |index| call.input(index).is_some() && call.constant_input(index).is_none();
    if computed(1) || computed(2) {
        return limits_at_run_time(call, x);
    }
    let [low, high] = if call.opset < 11 {
        [
            call.attributes.float("min", f32::MIN)?,
            call.attributes.float("max", f32::MAX)?,
        ]
    } else {
        [
            limit(call, 1, f32::NEG_INFINITY)?,
            limit(call, 2, f32::INFINITY)?,
        ]
    };
    // Limits at the ends of the range limit nothing.
    let low = if low == f32::MIN {
        f32::NEG_INFINITY
    } else {
        low
    };
    let high = if high == f32::MAX {
        f32::INFINITY
    } else {
        high
    };
    let function = match (low, high) {
        (f32::NEG_INFINITY, f32::INFINITY) => return Ok(vec![x]),
        (0.0, f32::INFINITY) => Function::Relu,
        _ => Function::Clip(low, high),
    };
    Ok(vec![call.push(Unary { function }, &[x])?])
}

fn limit(call: &Call<'_>, index: usize, default: f32) -> Result<f32, Refusal> {
    Ok(call.scalar(index, "limit")?.unwrap_or(default))
}

fn limits_at_run_time(call: &mut Call<'_>, x: Item) -> Result<Vec<Item>, Refusal> {
    let mut clipped = x;
    for (index, function) in [(1, Limit::Max), (2, Limit::Min)] {
        if let Some(limit) = call.input(index) {
            clipped = call.arithmetic(function, clipped, limit)?;
        }
    }
    Ok(vec![clipped])
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, float};

    const X: [f32; 3] = [-2.0, 1.0, 9.0];

    #[test]
    fn limits_are_attributes_then_operands() {
        let old = Source::new(10).input(&[3], &X);
        let old = old.apply("Clip", vec![float("min", 0.0), float("max", 6.0)]);
        assert_eq!(old.run().1, [0.0, 1.0, 6.0]);
        let new = Source::new(13)
            .input(&[3], &X)
            .constant(&[], &[0.0])
            .constant(&[], &[6.0]);
        assert_eq!(new.apply("Clip", vec![]).run().1, [0.0, 1.0, 6.0]);
        let upper = Source::new(13)
            .input(&[3], &X)
            .absent()
            .constant(&[], &[6.0]);
        assert_eq!(upper.apply("Clip", vec![]).run().1, [-2.0, 1.0, 6.0]);
    }

    #[test]
    fn limits_that_limit_nothing_vanish() {
        let none = Source::new(13).input(&[3], &X).apply("Clip", vec![]);
        assert!(none.operators().is_empty());
        let lower = Source::new(13)
            .input(&[3], &X)
            .constant(&[], &[0.0])
            .apply("Clip", vec![]);
        assert_eq!(lower.operators(), ["relu"]);
    }

    #[test]
    fn limits_may_be_computed() {
        let computed = Source::new(13)
            .input(&[3], &X)
            .input(&[], &[-1.0])
            .constant(&[], &[6.0]);
        let computed = computed.apply("Clip", vec![]);
        assert_eq!(computed.operators(), ["max", "min"]);
        assert_eq!(computed.run().1, [-1.0, 1.0, 6.0]);
    }
}
