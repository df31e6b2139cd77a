//! What indices pick: Gather, GatherElements, GatherND, Compress, ReverseSequence.

use crate::onnx::call::{Call, Item, Refusal, sizes};
use graph::Data;
use runtime::host::Tensor;
use runtime::ops::gather::Gather;
use runtime::ops::gather_elements::GatherElements;

/// Slices along one axis, by indices that may be computed.
pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let data = call.required(0)?;
    let axis = call.axis(call.attributes.int("axis", 0)?, call.shape(data).rank())?;
    let indices = checked(call, axis)?;
    Ok(vec![call.push(Gather { axis }, &[data, indices])?])
}

/// Single elements along one axis, by indices that may be computed.
pub(super) fn elements(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let data = call.required(0)?;
    let axis = call.axis(call.attributes.int("axis", 0)?, call.shape(data).rank())?;
    let indices = checked(call, axis)?;
    Ok(vec![call.push(GatherElements { axis }, &[data, indices])?])
}

/// The indices; those known now must be inside, and take half the memory.
fn checked(call: &mut Call<'_>, axis: usize) -> Result<Item, Refusal> {
    let (data, indices) = (call.required(0)?, call.required(1)?);
    let Some(tensor) = call.tensor(indices) else {
        return Ok(indices);
    };
    let size = call.shape(data).dim(axis);
    let inside = tensor.data.to_i64()?.into_iter().map(|index| {
        let at = call.axis(index, size);
        at.map_err(|_| format!("an index is outside the {size} elements"))
    });
    let inside: Vec<usize> = inside.collect::<Result<_, _>>()?;
    let table = Tensor {
        shape: tensor.shape,
        data: Data::I32(inside.into_iter().map(|at| at as i32).collect()),
    };
    let name = call.operand_name(1);
    Ok(call.rearranged(name, table))
}

/// Slices by coordinates, which are constant.
pub(super) fn nd(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let data = call.required(0)?;
    let indices = call.required_constant(1, "indices")?;
    let batch = call.attributes.int("batch_dims", 0)?;
    let (dims, given) = (sizes(&call.shape(data)), sizes(&indices.shape));
    let Some((&depth, outer)) = given.split_last() else {
        return Err("its indices are a single number".into());
    };
    let batch = usize::try_from(batch)
        .ok()
        .filter(|&batch| batch <= outer.len());
    let batch =
        batch.filter(|&batch| batch + depth <= dims.len() && dims[..batch] == outer[..batch]);
    let batch = batch.ok_or_else(|| format!("indices {} do not fit {dims:?}", indices.shape))?;
    let picked = &dims[batch..batch + depth];
    let places: usize = picked.iter().product();
    let per_batch: usize = outer[batch..].iter().product();
    let values = indices.data.to_i64()?;
    let mut table = Vec::new();
    for (row, coordinates) in values.chunks_exact(depth.max(1)).enumerate() {
        let at = flat(call, coordinates, picked)?;
        table.push((row / per_batch.max(1) * places + at) as i32);
    }
    let rows = dims[..batch + depth].iter().product();
    let rest = &dims[batch + depth..];
    let x = call.reshape(data, &[rows, rest.iter().product()])?;
    let slices = call.picked(x, 0, table)?;
    Ok(vec![call.reshape(slices, &[outer, rest].concat())?])
}

/// The row-major index of coordinates, which may count from the end.
pub(super) fn flat(call: &Call<'_>, coordinates: &[i64], dims: &[usize]) -> Result<usize, Refusal> {
    let mut at = 0;
    for (&index, &size) in coordinates.iter().zip(dims) {
        let inside = call.axis(index, size);
        at = at * size + inside.map_err(|_| format!("an index is outside the {size} elements"))?;
    }
    Ok(at)
}

/// Slices where a condition holds, which is constant: else the result's size is not known.
pub(super) fn compress(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let mut x = call.required(0)?;
    let condition = call.required_constant(1, "condition")?.data.to_i64()?;
    let axis = match call.attributes.has("axis") {
        true => call.axis(call.attributes.int("axis", 0)?, call.shape(x).rank())?,
        false => {
            x = call.reshape(x, &[call.shape(x).elements()])?;
            0
        }
    };
    let holds = condition
        .iter()
        .enumerate()
        .filter(|(_, holds)| **holds != 0);
    let table: Vec<i32> = holds.map(|(at, _)| at as i32).collect();
    let size = call.shape(x).dim(axis);
    if table.is_empty() || table.iter().any(|&at| at as usize >= size) {
        return Err("its condition picks nothing, or more than there is".into());
    }
    Ok(vec![call.picked(x, axis, table)?])
}

/// The first elements of every sequence backwards; their numbers are constant.
pub(super) fn reverse_sequence(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let lengths = call
        .required_constant(1, "sequence lengths")?
        .data
        .to_i64()?;
    let dims = sizes(&call.shape(x));
    let batch = call.axis(call.attributes.int("batch_axis", 1)?, dims.len())?;
    let time = call.axis(call.attributes.int("time_axis", 0)?, dims.len())?;
    let fits = lengths
        .iter()
        .all(|&n| (0..=dims[time] as i64).contains(&n));
    if batch == time || batch > 1 || time > 1 || lengths.len() != dims[batch] || !fits {
        return Err(format!("{lengths:?} are no lengths of sequences in {dims:?}").into());
    }
    call.room_for(dims[0].checked_mul(dims[1]))?;
    let mut table = Vec::new();
    for place in 0..dims[0] * dims[1] {
        let (first, second) = (place / dims[1], place % dims[1]);
        let (t, b) = if time == 0 {
            (first, second)
        } else {
            (second, first)
        };
        let length = lengths[b] as usize;
        let from = if t < length { length - 1 - t } else { t };
        let at = if time == 0 {
            from * dims[1] + b
        } else {
            b * dims[1] + from
        };
        table.push(at as i32);
    }
    let flat = [&[dims[0] * dims[1]], &dims[2..]].concat();
    let rows = call.reshape(x, &flat)?;
    let reversed = call.picked(rows, 0, table)?;
    Ok(vec![call.reshape(reversed, &dims)?])
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, int};

    #[test]
    fn rows_and_columns_are_picked() {
        let data = || Source::new(13).whole_of(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        let rows = data().whole(&[1, -2]).apply("Gather", vec![]);
        assert_eq!(rows.folded(), ("2x3".into(), vec![4, 5, 6, 1, 2, 3]));
        let column = data()
            .whole_of(&[], &[2])
            .apply("Gather", vec![int("axis", 1)]);
        assert_eq!(column.folded(), ("2".into(), vec![3, 6]));
        let elements = data().whole_of(&[1, 3], &[1, 0, -1]);
        let elements = elements.apply("GatherElements", vec![]);
        assert_eq!(elements.folded(), ("1x3".into(), vec![4, 2, 6]));
    }

    #[test]
    fn computed_data_is_picked_from_too() {
        let source = Source::new(13).input(&[3], &[1.0, 2.0, 3.0]);
        let source = source.whole(&[2, 0]).apply("Gather", vec![]);
        assert_eq!(source.run(), ("2".into(), vec![3.0, 1.0]));
    }

    #[test]
    fn indices_outside_are_refused() {
        let source = Source::new(13).whole(&[1, 2]).whole(&[2]);
        let refusal = source.apply("Gather", vec![]).refusal();
        assert!(refusal.contains("outside the 2 elements"), "{refusal}");
    }

    #[test]
    fn coordinates_pick_slices() {
        let data = || Source::new(13).input(&[2, 2, 2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        let rows = data()
            .whole_of(&[2, 2], &[0, 1, -1, 0])
            .apply("GatherND", vec![]);
        assert_eq!(rows.run(), ("2x2".into(), vec![2.0, 3.0, 4.0, 5.0]));
        let batch = data().whole_of(&[2, 1], &[1, 0]);
        let batch = batch.apply("GatherND", vec![int("batch_dims", 1)]);
        assert_eq!(batch.run(), ("2x2".into(), vec![2.0, 3.0, 4.0, 5.0]));
    }

    #[test]
    fn conditions_and_lengths_are_tables() {
        let data = || Source::new(13).input(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
        let some = data()
            .whole(&[0, 1])
            .apply("Compress", vec![int("axis", 1)]);
        assert_eq!(some.run(), ("2x1".into(), vec![2.0, 4.0]));
        let none = data().whole(&[0]).apply("Compress", vec![]);
        assert!(none.refusal().contains("picks nothing"));
        let reversed = data().whole(&[1, 2]).apply("ReverseSequence", vec![]);
        assert_eq!(reversed.run().1, [1.0, 4.0, 3.0, 2.0]);
    }
}
