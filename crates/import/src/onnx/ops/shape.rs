//! Shape and Size: constants, since every dimension is known at import.

use crate::onnx::call::{Call, Item, Refusal, to_shape};
use graph::Data;
use runtime::host::Tensor;

/// The dimensions from `start` to `end`.
pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let shape = call.shape(call.required(0)?);
    let rank = shape.rank() as i64;
    let bound = |value: i64| {
        let from_start = if value < 0 {
            value.saturating_add(rank)
        } else {
            value
        };
        from_start.clamp(0, rank) as usize
    };
    let start = bound(call.attributes.int("start", 0)?);
    let end = bound(call.attributes.int("end", rank)?).max(start);
    let dims: Vec<i64> = shape.dims()[start..end]
        .iter()
        .map(|&d| i64::from(d))
        .collect();
    whole_numbers(call, &[dims.len()], dims)
}

/// The number of elements.
pub(super) fn size(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let elements = call.shape(call.required(0)?).elements() as i64;
    whole_numbers(call, &[], vec![elements])
}

fn whole_numbers(
    call: &mut Call<'_>,
    dims: &[usize],
    values: Vec<i64>,
) -> Result<Vec<Item>, Refusal> {
    let tensor = Tensor {
        shape: to_shape(dims)?,
        data: Data::I64(values),
    };
    Ok(vec![call.constant(tensor)?])
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, int};

    #[test]
    fn dimensions_are_constants() {
        let x = || Source::new(15).input(&[1, 2, 3], &[0.0; 6]);
        assert_eq!(
            x().apply("Shape", vec![]).folded(),
            ("3".into(), vec![1, 2, 3])
        );
        assert_eq!(x().apply("Shape", vec![int("start", 1)]).folded().1, [2, 3]);
        let middle = vec![int("start", -2), int("end", -1)];
        assert_eq!(x().apply("Shape", middle).folded().1, [2]);
        assert_eq!(
            x().apply("Size", vec![]).folded(),
            ("scalar".into(), vec![6])
        );
    }

    /// What exporters write for `x.view(x.size(0), -1)`.
    #[test]
    fn a_shape_is_computed_from_a_shape() {
        let source = Source::new(13)
            .input(&[2, 2, 3], &[1.0; 12])
            .whole_of(&[], &[0]);
        let source = source
            .whole(&[0])
            .whole(&[-1])
            .node("Shape", &["x0"], "s", vec![]);
        let source = source.node("Gather", &["s", "x1"], "n", vec![int("axis", 0)]);
        let source = source.node("Unsqueeze", &["n", "x2"], "n1", vec![]);
        let source = source.node("Concat", &["n1", "x3"], "shape", vec![int("axis", 0)]);
        let source = source.node("Cast", &["shape"], "cast", vec![int("to", 7)]);
        let source = source
            .node("Reshape", &["x0", "cast"], "y", vec![])
            .output("y");
        assert_eq!(source.operators(), ["reshape"]);
        assert_eq!(source.run().0, "2x6");
    }
}
