//! Constant and ConstantOfShape.

use crate::onnx::call::{Call, Item, Refusal, to_shape};
use crate::onnx::constant::broadcast;
use crate::onnx::tensor;
use graph::{Data, Shape};
use rten_onnx::onnx::TensorProto;
use runtime::host::Tensor;

/// A tensor in one of several attributes.
pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let attributes = call.attributes;
    let (dims, data) = if let Some(proto) = attributes.tensor("value")? {
        let tensor = read(call, proto)?;
        return Ok(vec![call.rearranged(call.name.clone(), tensor)]);
    } else if attributes.has("value_float") {
        (
            vec![],
            Data::F32(vec![attributes.float("value_float", 0.0)?]),
        )
    } else if attributes.has("value_int") {
        (vec![], Data::I64(vec![attributes.int("value_int", 0)?]))
    } else if let Some(values) = attributes.floats("value_floats")? {
        (vec![values.len()], Data::F32(values.to_vec()))
    } else if let Some(values) = attributes.ints("value_ints")? {
        (vec![values.len()], Data::I64(values.to_vec()))
    } else {
        return Err("only dense constants of numbers are supported".into());
    };
    let tensor = Tensor {
        shape: to_shape(&dims)?,
        data,
    };
    Ok(vec![call.rearranged(call.name.clone(), tensor)])
}

/// One number, repeated.
pub(super) fn of_shape(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let dims = call.required_constant(0, "shape")?.data.to_i64()?;
    let sizes: Result<Vec<usize>, _> = dims.into_iter().map(usize::try_from).collect();
    let shape = to_shape(&sizes.map_err(|_| "its shape has negative dimensions")?)?;
    let value = match call.attributes.tensor("value")? {
        Some(proto) => read(call, proto)?.data,
        None => Data::F32(vec![0.0]),
    };
    if value.len() != 1 {
        return Err("its value is not a single number".into());
    }
    call.afford(&shape)?;
    let one = Tensor {
        shape: Shape::new(&[]).ok_or("no shape")?,
        data: value,
    };
    Ok(vec![
        call.rearranged(call.name.clone(), broadcast(&one, &shape)),
    ])
}

fn read(call: &Call<'_>, proto: &TensorProto) -> Result<Tensor, Refusal> {
    tensor::read(proto, call.external).map_err(|problem| problem.to_string().into())
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, float, floats, int, ints, tensor, text};

    #[test]
    fn constants_are_in_many_attributes() {
        let of = |attribute| {
            Source::new(13)
                .node("Constant", &[], "y", vec![attribute])
                .output("y")
        };
        assert_eq!(
            of(tensor("value", &[1, 2], &[1.0, 2.0])).run(),
            ("1x2".into(), vec![1.0, 2.0])
        );
        assert_eq!(
            of(float("value_float", 0.5)).run(),
            ("scalar".into(), vec![0.5])
        );
        assert_eq!(
            of(floats("value_floats", &[1.0, 2.0])).run(),
            ("2".into(), vec![1.0, 2.0])
        );
        assert_eq!(of(int("value_int", 5)).folded(), ("scalar".into(), vec![5]));
        assert_eq!(
            of(ints("value_ints", &[5, 6])).folded(),
            ("2".into(), vec![5, 6])
        );
        assert!(
            of(text("value_string", "a"))
                .refusal()
                .contains("constants of numbers")
        );
    }

    #[test]
    fn a_shape_is_filled() {
        let source = Source::new(13).whole(&[2, 2]);
        let source = source.apply("ConstantOfShape", vec![tensor("value", &[1], &[7.0])]);
        assert_eq!(source.run(), ("2x2".into(), vec![7.0; 4]));
        let zeros = Source::new(13).whole(&[3]).apply("ConstantOfShape", vec![]);
        assert_eq!(zeros.run().1, [0.0; 3]);
    }

    #[test]
    fn a_small_file_cannot_ask_for_gigabytes() {
        for shape in [vec![1 << 15, 1 << 15], vec![1 << 40], vec![i64::MAX, 2]] {
            let source = Source::new(13)
                .whole(&shape)
                .apply("ConstantOfShape", vec![]);
            let refusal = source.refusal();
            assert!(
                refusal.contains("can be folded") || refusal.contains("too large"),
                "{refusal}"
            );
        }
    }
}
