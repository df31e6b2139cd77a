//! Rows and matrices of ones: OneHot, EyeLike; and rows of numbers: NonZero, Range.

use crate::onnx::call::{Call, Item, Refusal, sizes, to_shape};
use crate::onnx::constant::to_f32;
use graph::{DType, Data};
use runtime::host::Tensor;
use runtime::ops::gather::Gather;

/// Row `i` of the identity for each index `i`, in two values. Where indices are known, they pick from
/// the values; else from the matrix of them, where an index outside picks zeros.
pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let (indices, values) = (call.required(0)?, call.required(2)?);
    let depth = to_f32(&call.required_constant(1, "depth")?.data);
    let depth = depth.first().copied().unwrap_or(0.0) as i64;
    let depth = usize::try_from(depth)
        .ok()
        .filter(|depth| (1..=65_536).contains(depth));
    let depth = depth.ok_or("its depth is not from 1 to 65,536")?;
    let dims = sizes(&call.shape(indices));
    let axis = call.axis(call.attributes.int("axis", -1)?, dims.len() + 1)?;
    let rows = match call.tensor(indices) {
        Some(indices) => {
            let count = indices.data.len();
            call.afford(&to_shape(&[count, depth])?)?;
            let on = to_f32(&indices.data)
                .into_iter()
                .map(|index| match index < 0.0 {
                    true => index as i64 + depth as i64,
                    false => index as i64,
                });
            let on = on.flat_map(|on| (0..depth as i64).map(move |at| i32::from(at == on)));
            call.picked(values, 0, on.collect())?
        }
        None => {
            let off = call.tensor(values).map(|values| to_f32(&values.data));
            if off.is_none_or(|values| values.first() != Some(&0.0)) {
                let reason = "its values are not 0 and another constant";
                return Err(Refusal::new(
                    reason,
                    "make its indices or its values constant",
                ));
            }
            call.room_for(depth.checked_mul(depth))?;
            let ones = (0..depth * depth).map(|at| i32::from(at / depth == at % depth));
            let matrix = call.picked(values, 0, ones.collect())?;
            let matrix = call.reshape(matrix, &[depth, depth])?;
            call.push(Gather { axis: 0 }, &[matrix, indices])?
        }
    };
    let rows = call.reshape(rows, &[&dims[..], &[depth]].concat())?;
    let mut order: Vec<usize> = (0..dims.len()).collect();
    order.insert(axis, dims.len());
    Ok(vec![call.transpose(rows, order)?])
}

/// Ones on a diagonal of a matrix of the input's size.
pub(super) fn eye_like(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let &[rows, columns] = &sizes(&call.shape(x))[..] else {
        return Err(format!("{} is no matrix", call.shape(x)).into());
    };
    let diagonal = call.attributes.int("k", 0)?;
    let shape = call.shape(x);
    call.afford(&shape)?;
    let is_one = |at: usize| (at % columns) as i64 - (at / columns) as i64 == diagonal;
    let ones: Vec<i64> = (0..rows * columns)
        .map(|at| i64::from(is_one(at)))
        .collect();
    // The numbers of types in the standard.
    let dtype = match call.attributes.int("dtype", 0)? {
        0 => call.dtype(x),
        1 | 10 | 11 | 16 => DType::F32,
        2 => DType::U8,
        3 => DType::I8,
        5 => DType::I16,
        6 => DType::I32,
        7 => DType::I64,
        9 => DType::Bool,
        other => return Err(format!("results of type {other} are not supported").into()),
    };
    let data = of_type(&ones, dtype)?;
    Ok(vec![
        call.rearranged(call.name.clone(), Tensor { shape, data }),
    ])
}

/// Coordinates of what is not zero in a constant, a column for each: else their number is not known.
pub(super) fn non_zero(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let tensor = call.required_constant(0, "input")?;
    let dims = sizes(&tensor.shape);
    let values = to_f32(&tensor.data);
    let places: Vec<usize> = (0..values.len()).filter(|&at| values[at] != 0.0).collect();
    if places.is_empty() || dims.is_empty() {
        return Err("there is nothing but zeros, or a single number".into());
    }
    let shape = to_shape(&[dims.len(), places.len()])?;
    call.afford(&shape)?;
    let mut coordinates = Vec::new();
    for axis in 0..dims.len() {
        let step: usize = dims[axis + 1..].iter().product();
        coordinates.extend(places.iter().map(|at| (at / step % dims[axis]) as i64));
    }
    let data = Data::I64(coordinates);
    Ok(vec![
        call.rearranged(call.name.clone(), Tensor { shape, data }),
    ])
}

/// Numbers from a start to before a limit, all constant.
pub(super) fn range(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let mut values = [0.0; 3];
    for (index, what) in ["start", "limit", "step"].iter().enumerate() {
        let tensor = call.required_constant(index, what)?;
        let number = match &tensor.data {
            Data::F32(values) => values.first().map(|&value| f64::from(value)),
            other => other.to_i64()?.first().map(|&value| value as f64),
        };
        values[index] = number.ok_or_else(|| format!("its {what} is empty"))?;
    }
    let [start, limit, step] = values;
    let count = ((limit - start) / step).ceil();
    if !(1.0..=(1u32 << 26) as f64).contains(&count) {
        return Err(format!("there are {count} numbers from {start} to {limit}").into());
    }
    let count = count as usize;
    let shape = to_shape(&[count])?;
    call.afford(&shape)?;
    let numbers = (0..count).map(|at| start + at as f64 * step);
    let dtype = call.dtype(call.required(0)?);
    let data = match dtype {
        DType::F32 => Data::F32(numbers.map(|value| value as f32).collect()),
        _ => of_type(
            &numbers.map(|value| value as i64).collect::<Vec<_>>(),
            dtype,
        )?,
    };
    Ok(vec![
        call.rearranged(call.name.clone(), Tensor { shape, data }),
    ])
}

fn of_type(whole: &[i64], dtype: DType) -> Result<Data, Refusal> {
    fn narrow<T: TryFrom<i64>>(whole: &[i64]) -> Result<Vec<T>, Refusal> {
        let each = |&value| T::try_from(value).map_err(|_| "a number does not fit its type".into());
        whole.iter().map(each).collect()
    }
    Ok(match dtype {
        DType::F32 => Data::F32(whole.iter().map(|&value| value as f32).collect()),
        DType::I64 => Data::I64(whole.to_vec()),
        DType::I32 => Data::I32(narrow(whole)?),
        DType::I16 => Data::I16(narrow(whole)?),
        DType::I8 => Data::I8(narrow(whole)?),
        DType::U8 => Data::U8(narrow(whole)?),
        DType::Bool => Data::Bool(narrow(whole)?),
        other => return Err(format!("results of type {other} are not supported").into()),
    })
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, int};

    #[test]
    fn indices_become_rows() {
        let values = |indices: Source| indices.whole_of(&[], &[3]).constant(&[2], &[0.0, 5.0]);
        let known = values(Source::new(11).whole(&[1, -1, 9])).apply("OneHot", vec![]);
        let expected = vec![0.0, 5.0, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0];
        assert_eq!(known.run(), ("3x3".into(), expected));
        let computed = Source::new(11).input_of(rten_onnx::onnx::DataType::INT64, &[1]);
        let computed = values(computed).apply("OneHot", vec![int("axis", 0)]);
        assert_eq!(computed.operators(), ["gather", "transpose"]);
        let shape = computed.import().unwrap().graph.outputs[0].shape;
        assert_eq!(shape.to_string(), "3x1");
    }

    #[test]
    fn coordinates_are_columns() {
        let source = Source::new(13).whole_of(&[2, 2], &[1, 0, 5, -1]);
        let places = source.apply("NonZero", vec![]).folded();
        assert_eq!(places, ("2x3".into(), vec![0, 1, 1, 0, 0, 1]));
    }

    #[test]
    fn diagonals_and_ranges_are_constants() {
        let eye = Source::new(9)
            .whole_of(&[2, 3], &[0; 6])
            .apply("EyeLike", vec![int("k", 1)]);
        assert_eq!(eye.folded(), ("2x3".into(), vec![0, 1, 0, 0, 0, 1]));
        let range = Source::new(11)
            .whole_of(&[], &[10])
            .whole_of(&[], &[4])
            .whole_of(&[], &[-3]);
        assert_eq!(
            range.apply("Range", vec![]).folded(),
            ("2".into(), vec![10, 7])
        );
        let empty = Source::new(11)
            .whole_of(&[], &[1])
            .whole_of(&[], &[1])
            .whole_of(&[], &[1]);
        assert!(empty.apply("Range", vec![]).refusal().contains("0 numbers"));
    }
}
