//! Parts of matrices by their diagonals, and running sums: Trilu, CumSum.

use crate::onnx::call::{Call, Item, Refusal, sizes};
use runtime::ops::cumulate::Cumulate;

/// The triangle above or below a diagonal, and zeros.
pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let diagonal = match call.optional_constant(1, "diagonal")? {
        Some(k) => k.data.to_i64()?.first().copied().unwrap_or(0),
        None => 0,
    };
    let upper = call.attributes.int("upper", 1)? != 0;
    let dims = sizes(&call.shape(x));
    let [outer @ .., rows, columns] = &dims[..] else {
        return Err(format!("{} is no matrix", call.shape(x)).into());
    };
    let size = rows * columns;
    call.room_for(Some(size))?;
    let distance = |at: usize| (at % columns) as i64 - (at / columns) as i64;
    let stays = |at: usize| match upper {
        true => distance(at) >= diagonal,
        false => distance(at) <= diagonal,
    };
    // A place behind the end picks zero.
    let table = (0..size).map(|at| if stays(at) { at } else { size } as i32);
    let flat = call.reshape(x, &[outer.iter().product(), size])?;
    let part = call.picked(flat, 1, table.collect())?;
    Ok(vec![call.reshape(part, &dims)?])
}

/// Running sums along a constant axis.
pub(super) fn cumulative_sum(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let axis = call.required_constant(1, "axis")?.data.to_i64()?;
    let axis = axis.first().copied().ok_or("its axis is missing")?;
    let axis = call.axis(axis, call.shape(x).rank())?;
    let exclusive = call.attributes.flag("exclusive")?;
    let reverse = call.attributes.flag("reverse")?;
    let sums = Cumulate {
        axis,
        exclusive,
        reverse,
    };
    Ok(vec![call.push(sums, &[x])?])
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, int};

    const X: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];

    #[test]
    fn triangles_stay() {
        let source = || Source::new(14).input(&[2, 3], &X);
        let upper = source().apply("Trilu", vec![]);
        assert_eq!(upper.run().1, [1.0, 2.0, 3.0, 0.0, 5.0, 6.0]);
        let lower = source()
            .whole_of(&[], &[-1])
            .apply("Trilu", vec![int("upper", 0)]);
        assert_eq!(lower.run().1, [0.0, 0.0, 0.0, 4.0, 0.0, 0.0]);
    }

    #[test]
    fn sums_run() {
        let source = Source::new(14).input(&[2, 3], &X).whole_of(&[], &[-1]);
        let sums = source.apply("CumSum", vec![int("exclusive", 1)]);
        assert_eq!(sums.run().1, [0.0, 1.0, 3.0, 0.0, 4.0, 9.0]);
    }
}
