//! Gather of constants, as exporters use it to pick dimensions.

use crate::onnx::call::{Call, Item, Refusal, sizes, to_shape};
use crate::onnx::constant::select;
use runtime::host::Tensor;

pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let data = call.required_constant(0, "data")?;
    let indices = call.required_constant(1, "indices")?;
    let dims = sizes(&data.shape);
    let axis = call.axis(call.attributes.int("axis", 0)?, dims.len())?;
    let rows: Result<Vec<usize>, _> = indices
        .data
        .to_i64()?
        .into_iter()
        .map(|index| call.axis(index, dims[axis]))
        .collect();
    let rows = rows.map_err(|_| format!("an index is outside the {} elements", dims[axis]))?;
    let result = [&dims[..axis], &sizes(&indices.shape), &dims[axis + 1..]].concat();
    let shape = to_shape(&result)?;
    call.afford(&shape)?;
    let outer: usize = dims[..axis].iter().product();
    let inner: usize = dims[axis + 1..].iter().product();
    let flat = (0..outer).flat_map(|o| {
        let length = dims[axis];
        rows.iter().map(move |&row| (o * length + row) * inner)
    });
    let flat = flat.flat_map(|start| start..start + inner);
    let tensor = Tensor {
        shape,
        data: select(&data.data, flat),
    };
    Ok(vec![call.rearranged(call.name.clone(), tensor)])
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
            .whole_of(&[], &[-1])
            .apply("Gather", vec![int("axis", 1)]);
        assert_eq!(column.folded(), ("2".into(), vec![3, 6]));
        assert!(
            data()
                .whole(&[2])
                .apply("Gather", vec![])
                .refusal()
                .contains("outside")
        );
    }

    #[test]
    fn what_is_computed_at_run_time_is_refused() {
        let source = Source::new(13).input(&[2], &[1.0, 2.0]).whole(&[0]);
        let refusal = source.apply("Gather", vec![]).refusal();
        assert!(
            refusal.contains("its data (input 0) is computed at run time"),
            "{refusal}"
        );
    }
}
