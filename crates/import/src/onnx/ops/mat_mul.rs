//! MatMul with one constant matrix, as a fully connected layer.

use crate::onnx::call::{Call, Item, Refusal, sizes, to_shape};
use crate::onnx::constant::transpose;
use runtime::host::Tensor;
use runtime::ops::fully_connected::FullyConnected;

pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let (a, b) = (call.float(0)?, call.float(1)?);
    if call.tensor(b).is_none() && call.tensor(a).is_some() && call.shape(b).rank() == 2 {
        return left(call, a, b);
    }
    let Some(matrix) = call.tensor(b) else {
        let reason = "products of two matrices computed at run time are not supported";
        return Err(Refusal::new(reason, "make one operand constant, or cut the model before it"));
    };
    let dims = sizes(&matrix.shape);
    let (leading, last) = dims.split_at(dims.len().saturating_sub(2));
    let turned = match (leading.iter().all(|&size| size == 1), last) {
        (true, &[inputs, outputs]) => {
            let shape = to_shape(&[inputs, outputs])?;
            let matrix = Tensor { shape, data: matrix.data.clone() };
            transpose(&matrix, &[1, 0]).ok_or("its matrix does not transpose")?
        }
        (true, &[inputs]) => {
            Tensor { shape: to_shape(&[1, inputs])?, data: matrix.data.clone() }
        }
        _ => return Err(format!("a stack of matrices {} is not supported", matrix.shape).into()),
    };
    let name = call.operand_name(1);
    let weights = call.rearranged(name, turned);
    let product = call.push(FullyConnected::default(), &[a, weights])?;
    let mut result = sizes(&call.shape(product));
    if dims.len() == 1 {
        result.pop();
    }
    // Leading ones of the matrix broadcast into the result.
    while result.len() < dims.len() && dims.len() > 1 {
        result.insert(0, 1);
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
    let result = if rank == 1 { call.reshape(result, &[columns])? } else { result };
    Ok(vec![result])
}
