//! Cast: between float types it is nothing, since all of them are f32 here.

use crate::onnx::call::{Call, Item, Refusal};
use graph::DType;
use rten_onnx::onnx::DataType;

pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let to = if call.opset < 6 {
        named(call.attributes.text("to", "")?)
    } else {
        i32::try_from(call.attributes.int("to", 0)?).map_or(DataType(0), DataType)
    };
    let Some(dtype) = element_type(to) else {
        let reason = format!("conversion to {to} is not supported");
        return Err(Refusal::new(reason, "keep to numbers and truth values"));
    };
    Ok(vec![call.cast(x, dtype)?])
}

/// To the type of the second operand.
pub(super) fn like(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let (x, like) = (call.required(0)?, call.required(1)?);
    let to = call.dtype(like);
    Ok(vec![call.cast(x, to)?])
}

/// The type here that stands for one of ONNX.
pub(super) fn element_type(dtype: DataType) -> Option<DType> {
    Some(match dtype {
        DataType::FLOAT | DataType::FLOAT16 | DataType::BFLOAT16 | DataType::DOUBLE => DType::F32,
        DataType::INT8 => DType::I8,
        DataType::UINT8 => DType::U8,
        DataType::INT16 => DType::I16,
        DataType::UINT16 => DType::U16,
        DataType::INT32 => DType::I32,
        DataType::UINT32 => DType::U32,
        DataType::INT64 => DType::I64,
        DataType::UINT64 => DType::U64,
        DataType::BOOL => DType::Bool,
        _ => return None,
    })
}

/// A type by its name, as versions before 6 have it.
fn named(name: &str) -> DataType {
    match name.to_ascii_uppercase().as_str() {
        "FLOAT" => DataType::FLOAT,
        "FLOAT16" => DataType::FLOAT16,
        "DOUBLE" => DataType::DOUBLE,
        "INT8" => DataType::INT8,
        "UINT8" => DataType::UINT8,
        "INT16" => DataType::INT16,
        "UINT16" => DataType::UINT16,
        "INT32" => DataType::INT32,
        "UINT32" => DataType::UINT32,
        "INT64" => DataType::INT64,
        "UINT64" => DataType::UINT64,
        "BOOL" => DataType::BOOL,
        _ => DataType(0),
    }
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
    fn whole_numbers_keep_their_lower_bits() {
        let wide = Source::new(13)
            .whole(&[(1 << 40) + 5])
            .apply("Cast", vec![int("to", 6)]);
        assert_eq!(wide.folded().1, [5]);
    }

    #[test]
    fn inputs_are_converted_at_run_time() {
        let whole = Source::new(13).input_of(DataType::UINT8, &[1]);
        let whole = whole.apply("Cast", vec![int("to", 1)]);
        assert_eq!(whole.operators(), ["cast"]);
        let text = Source::new(13).input_of(DataType::UINT8, &[1]);
        let text = text.apply("Cast", vec![int("to", 8)]);
        assert!(text.refusal().contains("to STRING"), "{}", text.refusal());
    }

    #[test]
    fn the_first_versions_name_types() {
        let old = Source::new(5).whole(&[3]);
        let old = old.apply("Cast", vec![crate::onnx::testing::text("to", "FLOAT")]);
        assert_eq!(old.run().1, [3.0]);
    }
}
