//! Cast: between float types it is nothing; constants are converted.

use crate::onnx::call::{Call, Item, Refusal};
use crate::onnx::constant::to_f32;
use graph::{DType, Data};
use rten_onnx::onnx::DataType;
use runtime::host::Tensor;

pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let to = i32::try_from(call.attributes.int("to", 0)?)
        .map(DataType)
        .unwrap_or(DataType(0));
    convert(call, x, to)
}

fn convert(call: &mut Call<'_>, x: Item, to: DataType) -> Result<Vec<Item>, Refusal> {
    let is_float = matches!(
        to,
        DataType::FLOAT | DataType::FLOAT16 | DataType::BFLOAT16 | DataType::DOUBLE
    );
    let from = call.dtype(x);
    if is_float && from == DType::F32 {
        return Ok(vec![x]);
    }
    let Some(tensor) = call.tensor(x) else {
        let reason = format!("conversion from {from} to {to} at run time is not supported");
        return Err(Refusal::new(reason, "give the model float inputs"));
    };
    call.afford(&tensor.shape)?;
    let data = if is_float {
        Data::F32(to_f32(&tensor.data))
    } else {
        whole(&tensor.data, to)?
    };
    let tensor = Tensor {
        shape: tensor.shape,
        data,
    };
    Ok(vec![call.rearranged(call.name.clone(), tensor)])
}

/// To the type of the second operand.
pub(super) fn like(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let (x, to) = (call.required(0)?, call.dtype(call.required(1)?));
    if call.dtype(x) == to {
        return Ok(vec![x]);
    }
    let to = match to {
        DType::F32 => DataType::FLOAT,
        DType::I8 => DataType::INT8,
        DType::U8 => DataType::UINT8,
        DType::I16 => DataType::INT16,
        DType::I32 => DataType::INT32,
        DType::I64 => DataType::INT64,
        DType::Bool => DataType::BOOL,
        other => return Err(format!("conversion to {other} is not supported").into()),
    };
    convert(call, x, to)
}

/// Whole numbers and truth values. Fractions are cut off.
fn whole(data: &Data, to: DataType) -> Result<Data, Refusal> {
    if to == DataType::BOOL {
        let truths = match data {
            Data::F32(values) => values.iter().map(|&v| u8::from(v != 0.0)).collect(),
            other => other
                .to_i64()?
                .into_iter()
                .map(|v| u8::from(v != 0))
                .collect(),
        };
        return Ok(Data::Bool(truths));
    }
    let values: Vec<i64> = match data {
        Data::F32(values) => values.iter().map(|&v| v as i64).collect(),
        other => other.to_i64()?,
    };
    fn narrow<T: TryFrom<i64>>(values: Vec<i64>) -> Result<Vec<T>, Refusal> {
        let narrowed: Result<Vec<T>, _> = values.into_iter().map(T::try_from).collect();
        narrowed.map_err(|_| "a number does not fit the type it is cast to".into())
    }
    Ok(match to {
        DataType::INT64 => Data::I64(values),
        DataType::INT32 => Data::I32(narrow(values)?),
        DataType::INT16 => Data::I16(narrow(values)?),
        DataType::INT8 => Data::I8(narrow(values)?),
        DataType::UINT8 => Data::U8(narrow(values)?),
        other => return Err(format!("conversion to {other} is not supported").into()),
    })
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, int};
    use rten_onnx::onnx::DataType;

    #[test]
    fn floats_stay_and_constants_change() {
        let double = Source::new(13)
            .input(&[1], &[1.5])
            .apply("Cast", vec![int("to", 11)]);
        assert!(double.operators().is_empty());
        let cut = Source::new(13)
            .constant(&[2], &[1.7, -1.7])
            .apply("Cast", vec![int("to", 7)]);
        assert_eq!(cut.folded().1, [1, -1]);
        let float = Source::new(13)
            .whole(&[3])
            .apply("Cast", vec![int("to", 1)]);
        assert_eq!(float.run().1, [3.0]);
        let truth = Source::new(13)
            .whole(&[3, 0])
            .apply("Cast", vec![int("to", 9)]);
        assert_eq!(truth.folded().1, [1, 0]);
    }

    #[test]
    fn the_type_may_be_that_of_another() {
        let like = Source::new(15).whole(&[3]).input(&[1], &[0.0]);
        assert_eq!(like.apply("CastLike", vec![]).run().1, [3.0]);
    }

    #[test]
    fn conversions_at_run_time_are_refused() {
        let whole = Source::new(13).input_of(DataType::UINT8, &[1]);
        assert!(
            whole
                .apply("Cast", vec![int("to", 1)])
                .refusal()
                .contains("from uint8 to FLOAT")
        );
        let wide = Source::new(13)
            .whole(&[1 << 40])
            .apply("Cast", vec![int("to", 6)]);
        assert!(wide.refusal().contains("does not fit"));
    }
}
