//! Softmax and LogSoftmax over any axis.

use crate::onnx::call::{Call, Item, Refusal, sizes};
use runtime::ops::softmax::Softmax;
use runtime::ops::unary::{Function, Unary};

/// Before operator set 13 all axes from `axis` on are one.
pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.float(0)?;
    let dims = sizes(&call.shape(x));
    let rank = dims.len();
    if call.opset < 13 {
        let axis = call.axis(call.attributes.int("axis", 1)?, rank)?;
        let rows = if axis + 1 == rank {
            x
        } else {
            let halves = [dims[..axis].iter().product(), dims[axis..].iter().product()];
            call.reshape(x, &halves)?
        };
        let result = call.push(Softmax, &[rows])?;
        return Ok(vec![call.reshape(result, &dims)?]);
    }
    let axis = call.axis(call.attributes.int("axis", -1)?, rank)?;
    // Its own inverse: the axis changes places with the last.
    let mut swap: Vec<usize> = (0..rank).collect();
    swap.swap(axis, rank - 1);
    let rows = call.transpose(x, swap.clone())?;
    let result = call.push(Softmax, &[rows])?;
    Ok(vec![call.transpose(result, swap)?])
}

/// The logarithm of Softmax.
pub(super) fn log(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let shares = import(call)?;
    Ok(vec![call.push(
        Unary {
            function: Function::Log,
        },
        &shares,
    )?])
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, int};

    /// Logarithms of 1, 3 and 1, 1: shares of 1/4, 3/4 and 1/2, 1/2 by rows.
    fn rows(opset: i64, operator: &str, axis: i64) -> Vec<f32> {
        let x = [0.0, 3f32.ln(), 0.0, 0.0];
        let source = Source::new(opset).input(&[1, 2, 2], &x);
        source.apply(operator, vec![int("axis", axis)]).run().1
    }

    fn close(values: &[f32], expected: &[f32]) {
        let near = values
            .iter()
            .zip(expected)
            .all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(
            near && values.len() == expected.len(),
            "{values:?}, not {expected:?}"
        );
    }

    #[test]
    fn shares_are_along_the_axis() {
        close(&rows(13, "Softmax", -1), &[0.25, 0.75, 0.5, 0.5]);
        close(&rows(13, "Softmax", 1), &[0.5, 0.75, 0.5, 0.25]);
        // One row of four before operator set 13.
        close(
            &rows(11, "Softmax", 1),
            &[1.0 / 6.0, 0.5, 1.0 / 6.0, 1.0 / 6.0],
        );
        close(&rows(11, "Softmax", 2), &[0.25, 0.75, 0.5, 0.5]);
    }

    #[test]
    fn logarithms_of_shares() {
        close(
            &rows(13, "LogSoftmax", 2),
            &[0.25f32.ln(), 0.75f32.ln(), 0.5f32.ln(), 0.5f32.ln()],
        );
    }
}
