//! Gemm: `alpha A B + beta C`; with constant `B` a fully connected layer.

use crate::onnx::call::{Call, Item, Refusal, sizes};
use crate::onnx::constant::{broadcast, to_f32, transpose};
use graph::{Data, Shape};
use runtime::host::{Activation, Tensor};
use runtime::ops::binary::{Binary, Function, broadcast as broadcast_shape};
use runtime::ops::fully_connected::FullyConnected;
use runtime::ops::mat_mul::MatMul;

pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let mut x = call.float(0)?;
    call.float(1)?;
    let [alpha, beta] = [
        call.attributes.float("alpha", 1.0)?,
        call.attributes.float("beta", 1.0)?,
    ];
    if call.shape(x).rank() != 2 || call.shape(call.required(1)?).rank() != 2 {
        return Err("its operands are not matrices".into());
    }
    if call.attributes.flag("transA")? {
        x = call.transpose(x, vec![1, 0])?;
    }
    if call.constant_input(1).is_none() {
        return computed(call, x, alpha, beta);
    }
    let weights = weights(call, alpha)?;
    let outputs = call.shape(weights).dim(0);
    let rows = call.shape(x).dim(0);
    let addend = addend(call, beta, [rows, outputs])?;
    let bias = addend.filter(|&item| is_row(call, item, outputs));
    let operands: Vec<Item> = [x, weights].into_iter().chain(bias).collect();
    let product = call.push(FullyConnected::default(), &operands)?;
    match addend {
        Some(addend) if bias.is_none() => {
            let add = Binary {
                function: Function::Add,
                activation: Activation::None,
            };
            Ok(vec![call.push(add, &[product, addend])?])
        }
        _ => Ok(vec![product]),
    }
}

/// The same with `B` computed at run time.
fn computed(call: &mut Call<'_>, x: Item, alpha: f32, beta: f32) -> Result<Vec<Item>, Refusal> {
    let mut b = call.float(1)?;
    if call.attributes.flag("transB")? {
        b = call.transpose(b, vec![1, 0])?;
    }
    let mut product = call.push(MatMul, &[x, b])?;
    if alpha != 1.0 {
        product = call.with_number(Function::Mul, product, alpha)?;
    }
    let shape = call.shape(product);
    match addend(call, beta, [shape.dim(0), shape.dim(1)])? {
        Some(addend) => Ok(vec![call.binary(Function::Add, product, addend)?]),
        None => Ok(vec![product]),
    }
}

/// `alpha B` as `[O, I]`.
fn weights(call: &mut Call<'_>, alpha: f32) -> Result<Item, Refusal> {
    let weights = call.required_constant(1, "matrix B")?;
    let name = call.operand_name(1);
    if call.attributes.flag("transB")? && alpha == 1.0 {
        return call.required(1);
    }
    let mut turned = if call.attributes.flag("transB")? {
        (*weights).clone()
    } else {
        transpose(&weights, &[1, 0]).ok_or("its matrix B does not transpose")?
    };
    if alpha == 1.0 {
        return Ok(call.turned(name, turned, call.required(1)?, &[1, 0]));
    }
    if let Data::F32(values) = &mut turned.data {
        values.iter_mut().for_each(|value| *value *= alpha);
    }
    Ok(call.rearranged(name, turned))
}

/// `beta C`: a bias `[O]` where every row gets the same.
fn addend(
    call: &mut Call<'_>,
    beta: f32,
    [rows, outputs]: [usize; 2],
) -> Result<Option<Item>, Refusal> {
    let Some(item) = call.input(2).filter(|_| beta != 0.0) else {
        return Ok(None);
    };
    call.float(2)?;
    let result = crate::onnx::call::to_shape(&[rows, outputs])?;
    if broadcast_shape(&call.shape(item), &result) != Some(result) {
        return Err(format!("its matrix C {} does not fit {result}", call.shape(item)).into());
    }
    let Some(tensor) = call.tensor(item) else {
        let factor = call.floats(&[], vec![beta])?;
        let scale = Binary {
            function: Function::Mul,
            activation: Activation::None,
        };
        let scaled = if beta == 1.0 {
            item
        } else {
            call.push(scale, &[item, factor])?
        };
        return Ok(Some(scaled));
    };
    let dims = sizes(&tensor.shape);
    let is_one_row = dims.len() < 2 || dims[0] == 1;
    let values = to_f32(&tensor.data)
        .into_iter()
        .map(|value| value * beta)
        .collect();
    let scaled = Tensor {
        shape: tensor.shape,
        data: Data::F32(values),
    };
    let name = call.operand_name(2);
    if !is_one_row {
        return Ok(Some(call.rearranged(name, scaled)));
    }
    let row = Shape::new(&[1, outputs as u32]).ok_or("too many dimensions")?;
    let data = broadcast(&scaled, &row).data;
    let shape = Shape::new(&[outputs as u32]).ok_or("too many dimensions")?;
    Ok(Some(call.rearranged(name, Tensor { shape, data })))
}

fn is_row(call: &Call<'_>, item: Item, outputs: usize) -> bool {
    call.tensor(item)
        .is_some_and(|tensor| sizes(&tensor.shape) == [outputs])
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, float, int};

    const A: [f32; 2] = [1.0, 2.0];
    const B: [f32; 4] = [1.0, 2.0, 3.0, 4.0];

    #[test]
    fn factors_are_folded_into_constants() {
        let source = || Source::new(13).input(&[1, 2], &A).constant(&[2, 2], &B);
        assert_eq!(source().apply("Gemm", vec![]).run().1, [7.0, 10.0]);
        assert_eq!(
            source().apply("Gemm", vec![int("transB", 1)]).run().1,
            [5.0, 11.0]
        );
        let scaled = vec![float("alpha", 2.0), float("beta", 0.5)];
        let scaled = source().constant(&[2], &[2.0, 4.0]).apply("Gemm", scaled);
        assert_eq!(scaled.run().1, [15.0, 22.0]);
        assert_eq!(scaled.operators(), ["fully_connected"]);
        let one = source().constant(&[], &[1.0]).apply("Gemm", vec![]);
        assert_eq!(one.run().1, [8.0, 11.0]);
    }

    #[test]
    fn both_matrices_may_be_computed() {
        let source = Source::new(13).input(&[1, 2], &A).input(&[2, 2], &B);
        let source = source.input(&[2], &[1.0, 2.0]);
        let scaled = vec![float("alpha", 2.0), int("transB", 1), float("beta", 0.5)];
        assert_eq!(source.apply("Gemm", scaled).run().1, [10.5, 23.0]);
    }

    #[test]
    fn rows_may_be_columns() {
        let source = Source::new(13).input(&[2, 1], &A).constant(&[2, 2], &B);
        assert_eq!(
            source.apply("Gemm", vec![int("transA", 1)]).run().1,
            [7.0, 10.0]
        );
    }

    #[test]
    fn other_addends_are_added() {
        let source = || {
            Source::new(13)
                .input(&[2, 1], &A)
                .constant(&[1, 2], &[1.0, 1.0])
        };
        let column = source()
            .constant(&[2, 1], &[10.0, 20.0])
            .apply("Gemm", vec![]);
        assert_eq!(column.run().1, [11.0, 11.0, 22.0, 22.0]);
        assert_eq!(column.operators(), ["fully_connected", "add"]);
        let computed = source()
            .input(&[2], &[1.0, 2.0])
            .apply("Gemm", vec![float("beta", 2.0)]);
        assert_eq!(computed.run().1, [3.0, 5.0, 4.0, 6.0]);
        let wrong = source().constant(&[3], &[1.0; 3]).apply("Gemm", vec![]);
        assert!(wrong.refusal().contains("does not fit 2x2"));
    }
}
