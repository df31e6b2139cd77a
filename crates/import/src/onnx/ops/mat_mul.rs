//! MatMul: with one constant matrix a fully connected layer.

use crate::onnx::call::{Call, Item, Refusal, sizes, to_shape};
use crate::onnx::constant::transpose;
use runtime::host::Tensor;
use runtime::ops::fully_connected::FullyConnected;
use runtime::ops::mat_mul::MatMul;

pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let (a, b) = (call.float(0)?, call.float(1)?);
    if call.tensor(b).is_none() && call.tensor(a).is_some() && call.shape(b).rank() == 2 {
        return left(call, a, b);
    }
    let Some(matrix) = call.tensor(b) else {
        return stacks(call, a, b);
    };
    let dims = sizes(&matrix.shape);
    let (leading, last) = dims.split_at(dims.len().saturating_sub(2));
    let turned = match (leading.iter().all(|&size| size == 1), last) {
        (true, &[inputs, outputs]) => {
            let shape = to_shape(&[inputs, outputs])?;
            let matrix = Tensor {
                shape,
                data: matrix.data.clone(),
            };
            transpose(&matrix, &[1, 0]).ok_or("its matrix does not transpose")?
        }
        (true, &[inputs]) => Tensor {
            shape: to_shape(&[1, inputs])?,
            data: matrix.data.clone(),
        },
        _ => return stacks(call, a, b),
    };
    let name = call.operand_name(1);
    // Leading ones are gone; the columns, whose steps may differ, come first.
    let to = dims.len().saturating_sub(1);
    let weights = call.turned(name, turned, b, &[to]);
    let product = call.push(FullyConnected::default(), &[a, weights])?;
    let mut result = sizes(&call.shape(product));
    if dims.len() == 1 {
        result.pop();
    }
    // A vector has no rows, and nor has its product.
    let is_vector = call.shape(a).rank() == 1;
    // Leading ones of the matrix broadcast into the result.
    while result.len() + usize::from(is_vector) < dims.len() {
        result.insert(0, 1);
    }
    Ok(vec![call.reshape(product, &result)?])
}

/// Matrices or stacks of them, of which none is one constant matrix. A vector is a row on the left
/// and a column on the right, and leaves no axis behind.
fn stacks(call: &mut Call<'_>, a: Item, b: Item) -> Result<Vec<Item>, Refusal> {
    let (rows, columns) = (sizes(&call.shape(a)), sizes(&call.shape(b)));
    let (is_row, is_column) = (rows.len() == 1, columns.len() == 1);
    let a = if is_row {
        call.reshape(a, &[1, rows[0]])?
    } else {
        a
    };
    let b = if is_column {
        call.reshape(b, &[columns[0], 1])?
    } else {
        b
    };
    let product = call.push(MatMul, &[a, b])?;
    let mut result = sizes(&call.shape(product));
    if is_column {
        result.pop();
    }
    if is_row {
        let rows = result.len() - if is_column { 1 } else { 2 };
        result.remove(rows);
    }
    Ok(vec![call.reshape(product, &result)?])
}

/// A constant on the left: `A B` is the transpose of `B' A'`.
fn left(call: &mut Call<'_>, a: Item, b: Item) -> Result<Vec<Item>, Refusal> {
    let rank = call.shape(a).rank();
    if rank == 0 || rank > 2 {
        return Err(format!("a stack of matrices {} is not supported", call.shape(a)).into());
    }
    let columns = call.shape(b).dim(1);
    let dims = sizes(&call.shape(a));
    let weights = call.reshape(a, &[dims[..rank - 1].iter().product(), dims[rank - 1]])?;
    let turned = call.transpose(b, vec![1, 0])?;
    let product = call.push(FullyConnected::default(), &[turned, weights])?;
    let result = call.transpose(product, vec![1, 0])?;
    let result = if rank == 1 {
        call.reshape(result, &[columns])?
    } else {
        result
    };
    Ok(vec![result])
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::Source;

    const B: [f32; 4] = [1.0, 2.0, 3.0, 4.0];

    #[test]
    fn a_constant_on_the_right_is_a_layer() {
        let rows = Source::new(13)
            .input(&[1, 2, 2], &[1.0, 2.0, 0.0, 1.0])
            .constant(&[2, 2], &B);
        let rows = rows.apply("MatMul", vec![]);
        assert_eq!(rows.run(), ("1x2x2".into(), vec![7.0, 10.0, 3.0, 4.0]));
        assert_eq!(rows.operators(), ["fully_connected"]);
        let row = Source::new(13)
            .input(&[2], &[1.0, 2.0])
            .constant(&[2, 2], &B);
        assert_eq!(
            row.apply("MatMul", vec![]).run(),
            ("2".into(), vec![7.0, 10.0])
        );
        let column = Source::new(13)
            .input(&[1, 2], &[1.0, 2.0])
            .constant(&[2], &[1.0, 3.0]);
        assert_eq!(
            column.apply("MatMul", vec![]).run(),
            ("1".into(), vec![7.0])
        );
        let stack = Source::new(13)
            .input(&[1, 2], &[1.0, 2.0])
            .constant(&[1, 2, 2], &B);
        assert_eq!(
            stack.apply("MatMul", vec![]).run(),
            ("1x1x2".into(), vec![7.0, 10.0])
        );
    }

    #[test]
    fn a_constant_on_the_left_too() {
        let left = Source::new(13)
            .constant(&[2, 2], &B)
            .input(&[2, 1], &[1.0, 2.0]);
        assert_eq!(
            left.apply("MatMul", vec![]).run(),
            ("2x1".into(), vec![5.0, 11.0])
        );
    }

    #[test]
    fn two_computed_matrices_are_multiplied() {
        let both = |a: &[i64], b: &[i64]| {
            let both = Source::new(13).input(a, &[1.0, 2.0]).input(b, &[3.0, 4.0]);
            both.apply("MatMul", vec![]).run()
        };
        assert_eq!(both(&[1, 2], &[2, 1]), ("1x1".into(), vec![11.0]));
        assert_eq!(both(&[2], &[2]), ("scalar".into(), vec![11.0]));
        assert_eq!(
            both(&[2, 1, 1], &[1, 2]),
            ("2x1x2".into(), vec![3.0, 4.0, 6.0, 8.0])
        );
        assert_eq!(both(&[2], &[1, 2, 1]), ("1x1".into(), vec![11.0]));
        assert_eq!(both(&[1, 1, 2], &[2]), ("1x1".into(), vec![11.0]));
    }

    #[test]
    fn sizes_must_fit() {
        let sizes = Source::new(13)
            .input(&[1, 3], &[1.0; 3])
            .constant(&[2, 2], &B);
        assert!(
            sizes
                .apply("MatMul", vec![])
                .refusal()
                .contains("do not fit")
        );
    }
}
