//! What is chosen along an axis: ArgMax, ArgMin, Hardmax, TopK.

use crate::onnx::call::{Call, Item, Refusal, sizes};
use runtime::ops::extreme::Extreme;
use runtime::ops::gather::Gather;
use runtime::ops::top_k::TopK;

/// Positions of the largest or the smallest.
pub(super) fn position(call: &mut Call<'_>, largest: bool) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let mut dims = sizes(&call.shape(x));
    let axis = call.axis(call.attributes.int("axis", 0)?, dims.len())?;
    let last = call.attributes.flag("select_last_index")?;
    let found = call.push(
        Extreme {
            axis,
            largest,
            last,
        },
        &[x],
    )?;
    if call.attributes.int("keepdims", 1)? != 0 {
        return Ok(vec![found]);
    }
    dims.remove(axis);
    Ok(vec![call.reshape(found, &dims)?])
}

/// 1 at the largest along the axis, and 0 elsewhere: a row of the identity for each position.
/// Before operator set 13 all axes from `axis` on are one.
pub(super) fn hardmax(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let mut x = call.float(0)?;
    let dims = sizes(&call.shape(x));
    let is_old = call.opset < 13;
    let default = if is_old { 1 } else { -1 };
    let mut axis = call.axis(call.attributes.int("axis", default)?, dims.len())?;
    if is_old {
        let halves = [dims[..axis].iter().product(), dims[axis..].iter().product()];
        x = call.reshape(x, &halves)?;
        axis = 1;
    }
    let rank = call.shape(x).rank();
    let size = call.shape(x).dim(axis);
    call.afford(&crate::onnx::call::to_shape(&[size, size])?)?;
    let ones = (0..size * size).map(|at| f32::from(u8::from(at / size == at % size)));
    let identity = call.floats(&[size, size], ones.collect())?;
    let (largest, last) = (true, false);
    let found = call.push(
        Extreme {
            axis,
            largest,
            last,
        },
        &[x],
    )?;
    let mut rest = sizes(&call.shape(x));
    rest.remove(axis);
    let found = call.reshape(found, &rest)?;
    let rows = call.push(Gather { axis: 0 }, &[identity, found])?;
    let mut order: Vec<usize> = (0..rank - 1).collect();
    order.insert(axis, rank - 1);
    let result = call.transpose(rows, order)?;
    Ok(vec![call.reshape(result, &dims)?])
}

/// The largest or smallest in order, and their positions.
pub(super) fn top_k(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let axis = call.axis(call.attributes.int("axis", -1)?, call.shape(x).rank())?;
    let count = match call.opset {
        ..10 => call.attributes.int("k", 0)?,
        _ => {
            let count = call.required_constant(1, "count")?.data.to_i64()?;
            count.first().copied().unwrap_or(0)
        }
    };
    let count = usize::try_from(count).map_err(|_| format!("{count} elements are asked for"))?;
    let largest = call.attributes.int("largest", 1)? != 0;
    call.push_all(
        TopK {
            axis,
            count,
            largest,
        },
        &[x],
    )
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, int};

    const X: [f32; 6] = [1.0, 5.0, 5.0, 4.0, 0.0, 3.0];

    #[test]
    fn positions_are_whole_numbers() {
        let of = |operator, attributes| {
            let source = Source::new(13).constant(&[2, 3], &X);
            source.apply(operator, attributes).folded()
        };
        assert_eq!(
            of("ArgMax", vec![int("axis", 1)]),
            ("2x1".into(), vec![1, 0])
        );
        let flat = vec![
            int("axis", -1),
            int("keepdims", 0),
            int("select_last_index", 1),
        ];
        assert_eq!(of("ArgMax", flat), ("2".into(), vec![2, 0]));
        assert_eq!(of("ArgMin", vec![]), ("1x3".into(), vec![0, 1, 1]));
    }

    #[test]
    fn the_largest_becomes_1() {
        let source = |opset| Source::new(opset).input(&[2, 3], &X);
        let rows = source(13).apply("Hardmax", vec![]);
        assert_eq!(rows.run().1, [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
        let columns = source(13).apply("Hardmax", vec![int("axis", 0)]);
        assert_eq!(columns.run().1, [0.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
        let whole = source(11).apply("Hardmax", vec![int("axis", 0)]);
        assert_eq!(whole.run().1, [0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn the_first_of_an_order() {
        let source = Source::new(13).input(&[2, 3], &X).whole(&[2]);
        let top = source.apply("TopK", vec![]);
        assert_eq!(top.run(), ("2x2".into(), vec![5.0, 5.0, 4.0, 3.0]));
        let too_many = Source::new(13).input(&[2, 3], &X).whole(&[4]);
        assert!(too_many.apply("TopK", vec![]).refusal().contains("4 of 3"));
    }
}
