//! Between the caller's layout and the tensor's, and between real numbers and stored bytes.

use format::{DType, Tensor, fixed};
use runtime::host::whole;

/// Values in the caller's order of dimensions, as the tensor orders them: axis `i` of the tensor
/// is axis `axes[i]` of `shape`. Empty `axes` change nothing.
pub fn to_tensor<T: Copy>(values: &[T], shape: &[usize], axes: &[u8]) -> Vec<T> {
    match source_indices(shape, axes, values.len()) {
        Some(from) => from.iter().map(|&at| values[at]).collect(),
        None => values.to_vec(),
    }
}

/// The way back: values in the tensor's order, as the caller orders them.
pub fn to_caller<T: Copy>(values: &[T], shape: &[usize], axes: &[u8]) -> Vec<T> {
    let mut result = values.to_vec();
    for (at, &value) in source_indices(shape, axes, values.len())
        .into_iter()
        .flatten()
        .zip(values)
    {
        result[at] = value;
    }
    result
}

/// For every one of `count` elements of the tensor, where it is in the caller's order; `None`
/// where both orders are the same, or `shape` and `axes` do not fit.
fn source_indices(shape: &[usize], axes: &[u8], count: usize) -> Option<Vec<usize>> {
    let elements = shape
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size));
    if elements != Some(count) || count == 0 {
        return None;
    }
    let mut seen = axes.to_vec();
    seen.sort_unstable();
    let is_permutation = seen
        .iter()
        .enumerate()
        .all(|(index, &axis)| usize::from(axis) == index);
    if axes.is_empty() || !is_permutation || axes.len() != shape.len() {
        return None;
    }
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    let mut indices = vec![0];
    for &axis in axes {
        let axis = usize::from(axis);
        let steps = (0..shape[axis]).map(|step| step * strides[axis]);
        indices = indices
            .iter()
            .flat_map(|&start| steps.clone().map(move |step| start + step))
            .collect();
    }
    Some(indices)
}

/// Real numbers as an input tensor stores them; `None` for types that hold no real numbers. The
/// same rule as [`runtime::Session::set_input_f32`].
pub fn encode(tensor: &Tensor, values: &[f32]) -> Option<Vec<u8>> {
    let quantize =
        |value, min, max| fixed::quantize(value, tensor.scale, tensor.zero_point, min, max);
    match tensor.dtype {
        DType::F32 => Some(
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        ),
        DType::I8 if tensor.scale > 0.0 => Some(
            values
                .iter()
                .map(|&value| quantize(value, -128, 127) as u8)
                .collect(),
        ),
        DType::I16 if tensor.scale > 0.0 => {
            let words = values
                .iter()
                .map(|&value| quantize(value, -32_768, 32_767) as i16);
            Some(words.flat_map(i16::to_le_bytes).collect())
        }
        dtype if tensor.scale <= 0.0 => {
            let each = values.iter().map(|&value| whole(dtype, value));
            let each = each.map(|bytes| Some(bytes?.into_iter().take(dtype.bytes())));
            Some(
                each.collect::<Option<Vec<_>>>()?
                    .into_iter()
                    .flatten()
                    .collect(),
            )
        }
        _ => None,
    }
}

/// Stored bytes of an output tensor as real numbers.
pub fn decode(tensor: &Tensor, bytes: &[u8]) -> Vec<f32> {
    let real = |integer: i32| {
        if tensor.scale > 0.0 {
            (integer - tensor.zero_point) as f32 * tensor.scale
        } else {
            integer as f32
        }
    };
    bytes
        .chunks_exact(tensor.dtype.bytes())
        .map(|element| match (tensor.dtype, element) {
            (DType::F32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
            (DType::I8, &[a]) => real(i32::from(a as i8)),
            (DType::U8 | DType::Bool, &[a]) => real(i32::from(a)),
            (DType::I16, &[a, b]) => real(i32::from(i16::from_le_bytes([a, b]))),
            (DType::U16, &[a, b]) => real(i32::from(u16::from_le_bytes([a, b]))),
            (DType::U32, &[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]) as f32,
            (DType::U64, &[a, b, c, d, e, f, g, h]) => {
                u64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32
            }
            (DType::I32, &[a, b, c, d]) => real(i32::from_le_bytes([a, b, c, d])),
            (DType::I64, &[a, b, c, d, e, f, g, h]) => {
                i64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32
            }
            _ => 0.0,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use format::{Place, Shape};

    /// Two channels of 1 x 3 pixels become three pixels of two channels.
    #[test]
    fn channels_move_behind_pixels_and_back() {
        let planes = [1, 2, 3, 10, 20, 30];
        let pixels = to_tensor(&planes, &[1, 2, 1, 3], &[0, 2, 3, 1]);
        assert_eq!(pixels, [1, 10, 2, 20, 3, 30]);
        assert_eq!(to_caller(&pixels, &[1, 2, 1, 3], &[0, 2, 3, 1]), planes);
    }

    #[test]
    fn axes_that_do_not_fit_change_nothing() {
        assert_eq!(to_tensor(&[1, 2], &[1, 2], &[]), [1, 2]);
        assert_eq!(to_tensor(&[1, 2], &[1, 2], &[0, 7]), [1, 2]);
        assert_eq!(to_tensor(&[1, 2, 3], &[1, 2], &[1, 0]), [1, 2, 3]);
    }

    #[test]
    fn stored_bytes_and_real_numbers() {
        let shape = Shape::new(&[3]).unwrap();
        let tensor = Tensor {
            dtype: DType::I8,
            place: Place::Arena,
            offset: 0,
            shape,
            scale: 0.5,
            zero_point: 1,
        };
        let bytes = encode(&tensor, &[0.0, 1.0, -1000.0]).unwrap();
        assert_eq!(bytes, [1, 3, 0x80]);
        assert_eq!(decode(&tensor, &bytes), [0.0, 1.0, -64.5]);
    }

    /// Without a scale integers are the numbers themselves.
    #[test]
    fn whole_numbers_are_rounded_down_and_stay_in_range() {
        let stored = |dtype, values: &[f32]| {
            let tensor = Tensor {
                dtype,
                place: Place::Arena,
                offset: 0,
                shape: Shape::new(&[values.len() as u32]).unwrap(),
                scale: 0.0,
                zero_point: 0,
            };
            decode(&tensor, &encode(&tensor, values).unwrap())
        };
        assert_eq!(stored(DType::I8, &[-3.0, 2.5, 300.0]), [-3.0, 2.0, 127.0]);
        assert_eq!(stored(DType::U8, &[-3.0, 2.5, 300.0]), [0.0, 2.0, 255.0]);
        assert_eq!(stored(DType::I64, &[-2.5, 65_536.0]), [-3.0, 65_536.0]);
        assert_eq!(stored(DType::Bool, &[0.0, 7.0]), [0.0, 1.0]);
    }
}
