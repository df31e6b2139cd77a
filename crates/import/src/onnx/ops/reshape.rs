//! Operators that only change dimensions: Reshape, Flatten, Squeeze, Unsqueeze.

use crate::onnx::call::{Call, Item, Refusal, sizes};

/// Dimension 0 keeps the input's (unless `allowzero`), -1 is what is left.
pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let wanted = call.required_constant(1, "shape")?.data.to_i64()?;
    let keeps_zero = call.attributes.flag("allowzero")?;
    let from = call.shape(x);
    let mut dims = Vec::new();
    let mut open = None;
    for (axis, &size) in wanted.iter().enumerate() {
        dims.push(match size {
            0 if !keeps_zero && axis < from.rank() => from.dim(axis),
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            size => usize::try_from(size).map_err(|_| format!("{wanted:?} is not a shape"))?,
        });
    }
    let fixed = dims
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size));
    if let (Some(axis), Some(fixed @ 1..)) = (open, fixed) {
        dims[axis] = from.elements() / fixed;
    }
    let product = dims
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size));
    if product != Some(from.elements()) {
        let reason = format!("{from} cannot become {wanted:?}");
        let remedy = "check the shape, or give the batch size that it was made for with --dim";
        return Err(Refusal::new(reason, remedy));
    }
    Ok(vec![call.reshape(x, &dims)?])
}

/// Two dimensions: those before `axis`, and the rest.
pub(super) fn flatten(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let dims = sizes(&call.shape(x));
    // The axis may also stand behind the last.
    let axis = match call.attributes.int("axis", 1)? {
        axis if axis == dims.len() as i64 => dims.len(),
        axis => call.axis(axis, dims.len())?,
    };
    let halves = [dims[..axis].iter().product(), dims[axis..].iter().product()];
    Ok(vec![call.reshape(x, &halves)?])
}

/// Axes of Squeeze, Unsqueeze and reductions: an attribute at first, an operand since a version of
/// the operator set.
pub(super) fn axes(
    call: &Call<'_>,
    rank: usize,
    operand_since: i64,
) -> Result<Option<Vec<usize>>, Refusal> {
    let given = if call.opset < operand_since {
        call.attributes.ints("axes")?.map(<[i64]>::to_vec)
    } else {
        match call.optional_constant(1, "axes")? {
            Some(tensor) => Some(tensor.data.to_i64()?),
            None => None,
        }
    };
    let Some(given) = given else { return Ok(None) };
    let axes: Result<Vec<usize>, _> = given.iter().map(|&axis| call.axis(axis, rank)).collect();
    let mut axes = axes?;
    axes.sort_unstable();
    let count = axes.len();
    axes.dedup();
    if axes.len() == count {
        Ok(Some(axes))
    } else {
        Err("names an axis twice".into())
    }
}

/// Removes dimensions of 1: those named, or all.
pub(super) fn squeeze(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let dims = sizes(&call.shape(x));
    let removed = match axes(call, dims.len(), 13)? {
        Some(axes) => axes,
        None => (0..dims.len()).filter(|&axis| dims[axis] == 1).collect(),
    };
    if let Some(axis) = removed.iter().find(|&&axis| dims[axis] != 1) {
        return Err(format!("axis {axis} has {} elements, not 1", dims[*axis]).into());
    }
    let kept = (0..dims.len()).filter(|axis| !removed.contains(axis));
    let kept: Vec<usize> = kept.map(|axis| dims[axis]).collect();
    Ok(vec![call.reshape(x, &kept)?])
}

/// Inserts dimensions of 1 where the axes stand in the result.
pub(super) fn unsqueeze(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let mut dims = sizes(&call.shape(x));
    let count = match call.opset {
        ..13 => call.attributes.ints("axes")?.map_or(0, <[i64]>::len),
        _ => call.required_constant(1, "axes")?.data.len(),
    };
    let rank = dims.len().saturating_add(count);
    for axis in axes(call, rank, 13)?.ok_or("its axes are missing")? {
        dims.insert(axis, 1);
    }
    Ok(vec![call.reshape(x, &dims)?])
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, int, ints};

    const X: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];

    fn reshape(shape: &[i64]) -> Source {
        Source::new(13)
            .input(&[2, 3], &X)
            .whole(shape)
            .apply("Reshape", vec![])
    }

    #[test]
    fn zero_keeps_and_minus_one_is_the_rest() {
        assert_eq!(
            reshape(&[0, -1]).import().unwrap().graph.outputs[0]
                .shape
                .to_string(),
            "2x3"
        );
        assert_eq!(reshape(&[3, 1, -1]).run(), ("3x1x2".into(), X.to_vec()));
        assert_eq!(reshape(&[-1]).run().0, "6");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for shape in [
            vec![4, -1],
            vec![7],
            vec![-1, -1],
            vec![-2],
            vec![i64::MAX, 4],
        ] {
            let refusal = reshape(&shape).refusal();
            assert!(refusal.contains("cannot become") || refusal.contains("not a shape"));
        }
        let zero = Source::new(14).input(&[2, 3], &X).whole(&[0, -1]);
        let refusal = zero.apply("Reshape", vec![int("allowzero", 1)]).refusal();
        assert!(refusal.contains("cannot become [0, -1]"), "{refusal}");
    }

    #[test]
    fn flatten_splits_at_an_axis() {
        let flatten = |attributes| {
            Source::new(13)
                .input(&[1, 2, 3], &X)
                .apply("Flatten", attributes)
                .run()
                .0
        };
        assert_eq!(flatten(vec![]), "1x6");
        assert_eq!(flatten(vec![int("axis", 0)]), "1x6");
        assert_eq!(flatten(vec![int("axis", 2)]), "2x3");
        assert_eq!(flatten(vec![int("axis", 3)]), "6x1");
        assert_eq!(flatten(vec![int("axis", -1)]), "2x3");
    }

    #[test]
    fn ones_come_and_go() {
        let squeeze = Source::new(11)
            .input(&[1, 6, 1], &X)
            .apply("Squeeze", vec![]);
        assert_eq!(squeeze.run().0, "6");
        let squeeze = Source::new(11).input(&[1, 6, 1], &X);
        assert_eq!(
            squeeze.apply("Squeeze", vec![ints("axes", &[-1])]).run().0,
            "1x6"
        );
        let squeeze = Source::new(13).input(&[1, 6, 1], &X).whole(&[0]);
        assert_eq!(squeeze.apply("Squeeze", vec![]).run().0, "6x1");
        let unsqueeze = Source::new(11).input(&[6], &X);
        let unsqueeze = unsqueeze.apply("Unsqueeze", vec![ints("axes", &[0, 2])]);
        assert_eq!(unsqueeze.run().0, "1x6x1");
        let unsqueeze = Source::new(13).input(&[6], &X).whole(&[-1]);
        assert_eq!(unsqueeze.apply("Unsqueeze", vec![]).run().0, "6x1");
        let six = Source::new(13)
            .input(&[1, 6], &X)
            .whole(&[1])
            .apply("Squeeze", vec![]);
        assert!(six.refusal().contains("axis 1 has 6 elements"));
        let twice = Source::new(13)
            .input(&[6], &X)
            .whole(&[0, 0])
            .apply("Unsqueeze", vec![]);
        assert!(twice.refusal().contains("names an axis twice"));
    }
}
