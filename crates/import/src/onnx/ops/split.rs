//! Split along an axis: sizes are an attribute before operator set 13, then an operand; without
//! them the parts are equal, but for the last.

use crate::onnx::call::{Call, Item, Refusal, sizes};
use runtime::ops::slice::Slice;

pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let dims = sizes(&call.shape(x));
    let axis = call.axis(call.attributes.int("axis", 0)?, dims.len())?;
    if call.opset < 2 && call.input(1).is_some() {
        return Err("sizes as an operand of operator set 1 are not supported".into());
    }
    let given = match call.opset {
        ..13 => call.attributes.ints("split")?.map(<[i64]>::to_vec),
        _ => match call.optional_constant(1, "split")? {
            Some(tensor) => Some(tensor.data.to_i64()?),
            None => None,
        },
    };
    let parts: Vec<usize> = match given {
        Some(given) => {
            let parts = given
                .iter()
                .map(|&size| usize::try_from(size).unwrap_or(usize::MAX));
            parts.collect()
        }
        None => {
            let count = call.attributes.int("num_outputs", call.outputs as i64)?;
            let count = usize::try_from(count)
                .unwrap_or(0)
                .clamp(1, dims[axis].max(1));
            let size = dims[axis].div_ceil(count);
            (0..count)
                .map(|part| size.min(dims[axis].saturating_sub(part * size)))
                .collect()
        }
    };
    let whole = parts
        .iter()
        .try_fold(0usize, |sum, &size| sum.checked_add(size));
    if whole != Some(dims[axis]) {
        return Err(format!("parts of {parts:?} do not make {}", dims[axis]).into());
    }
    let mut start = 0;
    let mut outputs = Vec::new();
    for size in parts {
        let mut slice = Slice {
            starts: vec![0; dims.len()],
            steps: vec![1; dims.len()],
            sizes: dims.clone(),
        };
        (slice.starts[axis], slice.sizes[axis]) = (start, size);
        outputs.push(call.push(slice, &[x])?);
        start += size;
    }
    Ok(outputs)
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, int};

    #[test]
    fn the_first_part_comes_first() {
        let source = Source::new(13)
            .input(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
            .whole(&[2, 1]);
        let split = source.apply("Split", vec![int("axis", 1)]);
        assert_eq!(split.run(), ("2x2".into(), vec![1.0, 2.0, 4.0, 5.0]));
        let source = Source::new(13).input(&[2, 3], &[0.0; 6]).whole(&[2, 2]);
        assert!(
            source
                .apply("Split", vec![int("axis", 1)])
                .refusal()
                .contains("[2, 2]")
        );
    }
}
