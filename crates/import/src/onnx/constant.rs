//! Movement of elements inside constants: everything is a list of flat indices to read.

use graph::{DType, Data, Shape};
use runtime::host::Tensor;

/// The elements at flat `indices`, in that order; indices outside are left out.
pub(super) fn select(data: &Data, indices: impl Iterator<Item = usize>) -> Data {
    fn pick<T: Copy>(values: &[T], indices: impl Iterator<Item = usize>) -> Vec<T> {
        indices
            .filter_map(|index| values.get(index).copied())
            .collect()
    }
    match data {
        Data::F32(values) => Data::F32(pick(values, indices)),
        Data::I8(values) => Data::I8(pick(values, indices)),
        Data::U8(values) => Data::U8(pick(values, indices)),
        Data::I16(values) => Data::I16(pick(values, indices)),
        Data::I32(values) => Data::I32(pick(values, indices)),
        Data::I64(values) => Data::I64(pick(values, indices)),
        Data::U16(values) => Data::U16(pick(values, indices)),
        Data::U32(values) => Data::U32(pick(values, indices)),
        Data::U64(values) => Data::U64(pick(values, indices)),
        Data::Bool(values) => Data::Bool(pick(values, indices)),
    }
}

/// Flat indices of a walk over `dims` with `strides` from `start`, the last axis fastest.
pub(super) fn walk(
    dims: &[usize],
    strides: &[isize],
    start: usize,
) -> impl Iterator<Item = usize> + use<> {
    let (dims, strides) = (dims.to_vec(), strides.to_vec());
    let count: usize = dims.iter().product();
    let mut index = vec![0usize; dims.len()];
    let mut at = start as isize;
    (0..count).map(move |_| {
        let here = at as usize;
        for axis in (0..dims.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < dims[axis] {
                break;
            }
            at -= strides[axis] * index[axis] as isize;
            index[axis] = 0;
        }
        here
    })
}

/// Row-major strides in elements.
pub(super) fn strides(shape: &Shape) -> Vec<isize> {
    let mut strides = vec![1isize; shape.rank()];
    for axis in (1..shape.rank()).rev() {
        strides[axis - 1] = strides[axis] * shape.dim(axis) as isize;
    }
    strides
}

/// Axis `i` of the result is axis `permutation[i]`, which must permute all axes.
pub(super) fn transpose(tensor: &Tensor, permutation: &[usize]) -> Option<Tensor> {
    let from = strides(&tensor.shape);
    let dims: Vec<usize> = permutation
        .iter()
        .map(|&axis| tensor.shape.dim(axis))
        .collect();
    let steps: Option<Vec<isize>> = permutation
        .iter()
        .map(|&axis| from.get(axis).copied())
        .collect();
    let data = select(&tensor.data, walk(&dims, &steps?, 0));
    let dims: Vec<u32> = dims.iter().map(|&d| d as u32).collect();
    Some(Tensor {
        shape: Shape::new(&dims)?,
        data,
    })
}

/// The tensor stretched to `to`, which must be a shape that it broadcasts to.
pub(super) fn broadcast(tensor: &Tensor, to: &Shape) -> Tensor {
    let from = strides(&tensor.shape);
    let missing = to.rank() - tensor.shape.rank().min(to.rank());
    let steps: Vec<isize> = (0..to.rank())
        .map(|axis| match axis.checked_sub(missing) {
            Some(own) if tensor.shape.dim(own) > 1 => from[own],
            _ => 0,
        })
        .collect();
    let dims: Vec<usize> = to.dims().iter().map(|&d| d as usize).collect();
    Tensor {
        shape: *to,
        data: select(&tensor.data, walk(&dims, &steps, 0)),
    }
}

/// The numbers as f32.
pub(super) fn to_f32(data: &Data) -> Vec<f32> {
    match (data, data.to_i64()) {
        (Data::F32(values), _) => values.clone(),
        (Data::U64(values), _) => values.iter().map(|&v| v as f32).collect(),
        (_, Ok(values)) => values.into_iter().map(|v| v as f32).collect(),
        _ => Vec::new(),
    }
}

/// Whole numbers as elements of a type; refused where it does not hold them.
pub(super) fn from_i64(dtype: DType, values: &[i64]) -> Result<Data, String> {
    fn narrow<T: TryFrom<i64>>(values: &[i64], dtype: DType) -> Result<Vec<T>, String> {
        let each = |&value: &i64| {
            T::try_from(value).map_err(|_| format!("{value} is not a number of {dtype}"))
        };
        values.iter().map(each).collect()
    }
    Ok(match dtype {
        DType::F32 => Data::F32(values.iter().map(|&v| v as f32).collect()),
        DType::I8 => Data::I8(narrow(values, dtype)?),
        DType::U8 => Data::U8(narrow(values, dtype)?),
        DType::I16 => Data::I16(narrow(values, dtype)?),
        DType::U16 => Data::U16(narrow(values, dtype)?),
        DType::I32 => Data::I32(narrow(values, dtype)?),
        DType::U32 => Data::U32(narrow(values, dtype)?),
        DType::I64 => Data::I64(values.to_vec()),
        DType::U64 => Data::U64(narrow(values, dtype)?),
        DType::Bool => Data::Bool(values.iter().map(|&v| u8::from(v != 0)).collect()),
        other => return Err(format!("there are no numbers of {other}")),
    })
}

#[cfg(test)]
mod tests {
    use super::{broadcast, transpose, walk};
    use graph::{Data, Shape};
    use runtime::host::Tensor;

    fn tensor(dims: &[u32], values: &[i64]) -> Tensor {
        Tensor {
            shape: Shape::new(dims).unwrap(),
            data: Data::I64(values.to_vec()),
        }
    }

    #[test]
    fn columns_become_rows() {
        let turned = transpose(&tensor(&[2, 3], &[1, 2, 3, 4, 5, 6]), &[1, 0]).unwrap();
        assert_eq!(turned, tensor(&[3, 2], &[1, 4, 2, 5, 3, 6]));
    }

    #[test]
    fn a_column_is_stretched() {
        let shape = Shape::new(&[2, 2, 2]).unwrap();
        let wide = broadcast(&tensor(&[2, 1], &[1, 2]), &shape);
        assert_eq!(wide, tensor(&[2, 2, 2], &[1, 1, 2, 2, 1, 1, 2, 2]));
    }

    #[test]
    fn a_walk_goes_backwards_too() {
        assert_eq!(walk(&[2, 2], &[3, -1], 1).collect::<Vec<_>>(), [1, 0, 4, 3]);
    }
}
