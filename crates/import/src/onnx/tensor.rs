//! Constant tensors of the file: `TensorProto` to host memory.

use super::external::External;
use crate::error::Problem;
use crate::sizes;
use graph::Data;
use half::{bf16, f16};
use rten_onnx::onnx::{DataLocation, DataType, TensorProto};
use runtime::host::Tensor;

/// Reads a tensor. Every float type becomes f32.
pub(super) fn read(proto: &TensorProto, external: &External<'_>) -> Result<Tensor, Problem> {
    let name = proto.name.clone().unwrap_or_default();
    decode(proto, external).map_err(|reason| Problem::Tensor { name, reason })
}

fn decode(proto: &TensorProto, external: &External<'_>) -> Result<Tensor, String> {
    let shape = sizes::shape(&proto.dims)?;
    let count = shape.elements();
    let dtype = proto.data_type.unwrap_or(DataType(0));
    let width = width(dtype).ok_or_else(|| format!("elements of type {dtype} are not known"))?;
    let bytes = if proto.data_location == Some(DataLocation::EXTERNAL) {
        Some(external.read(&proto.external_data, count as u64 * width as u64)?)
    } else {
        proto.raw_data.as_ref().map(|raw| raw.borrow().clone())
    };
    // Writers of empty tensors and of typed fields may leave an empty `raw_data` beside them.
    let data = match bytes.filter(|bytes| !bytes.is_empty() || count == 0) {
        Some(bytes) if bytes.len() == count * width => from_raw(dtype, &bytes)?,
        Some(bytes) => {
            let (has, needs) = (bytes.len(), count * width);
            return Err(format!(
                "has {has} bytes where {shape} of {dtype} needs {needs}"
            ));
        }
        None => from_fields(dtype, proto)?,
    };
    if data.len() != count {
        return Err(format!(
            "has {} elements where {shape} needs {count}",
            data.len()
        ));
    }
    Ok(Tensor { shape, data })
}

/// Bytes of an element in `raw_data`.
fn width(dtype: DataType) -> Option<usize> {
    Some(match dtype {
        DataType::INT8 | DataType::UINT8 | DataType::BOOL => 1,
        DataType::INT16 | DataType::UINT16 | DataType::FLOAT16 | DataType::BFLOAT16 => 2,
        DataType::FLOAT | DataType::INT32 | DataType::UINT32 => 4,
        DataType::DOUBLE | DataType::INT64 | DataType::UINT64 => 8,
        _ => return None,
    })
}

fn each<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, _) = bytes.as_chunks::<N>();
    chunks.iter().map(|chunk| read(*chunk)).collect()
}

fn from_raw(dtype: DataType, bytes: &[u8]) -> Result<Data, String> {
    Ok(match dtype {
        DataType::FLOAT => Data::F32(each(bytes, f32::from_le_bytes)),
        DataType::FLOAT16 => Data::F32(each(bytes, |b| f16::from_le_bytes(b).to_f32())),
        DataType::BFLOAT16 => Data::F32(each(bytes, |b| bf16::from_le_bytes(b).to_f32())),
        DataType::DOUBLE => Data::F32(each(bytes, |b| f64::from_le_bytes(b) as f32)),
        DataType::INT8 => Data::I8(each(bytes, i8::from_le_bytes)),
        DataType::UINT8 => Data::U8(bytes.to_vec()),
        DataType::BOOL => Data::Bool(bytes.iter().map(|&b| u8::from(b != 0)).collect()),
        DataType::INT16 => Data::I16(each(bytes, i16::from_le_bytes)),
        DataType::UINT16 => Data::U16(each(bytes, u16::from_le_bytes)),
        DataType::INT32 => Data::I32(each(bytes, i32::from_le_bytes)),
        DataType::UINT32 => Data::U32(each(bytes, u32::from_le_bytes)),
        DataType::INT64 => Data::I64(each(bytes, i64::from_le_bytes)),
        DataType::UINT64 => Data::U64(each(bytes, u64::from_le_bytes)),
        other => return Err(format!("elements of type {other} are not known")),
    })
}

/// The typed fields; ONNX keeps everything of 32 bits or less that is no float in `int32_data`.
fn from_fields(dtype: DataType, proto: &TensorProto) -> Result<Data, String> {
    let small = &proto.int32_data;
    let halves = |convert: fn(u16) -> f32| small.iter().map(|&v| convert(v as u16)).collect();
    Ok(match dtype {
        DataType::FLOAT => Data::F32(proto.float_data.clone()),
        DataType::DOUBLE => Data::F32(proto.double_data.iter().map(|&v| v as f32).collect()),
        DataType::FLOAT16 => Data::F32(halves(|bits| f16::from_bits(bits).to_f32())),
        DataType::BFLOAT16 => Data::F32(halves(|bits| bf16::from_bits(bits).to_f32())),
        DataType::INT8 => Data::I8(small.iter().map(|&v| v as i8).collect()),
        DataType::UINT8 => Data::U8(small.iter().map(|&v| v as u8).collect()),
        DataType::BOOL => Data::Bool(small.iter().map(|&v| u8::from(v != 0)).collect()),
        DataType::INT16 => Data::I16(small.iter().map(|&v| v as i16).collect()),
        DataType::UINT16 => Data::U16(small.iter().map(|&v| v as u16).collect()),
        DataType::INT32 => Data::I32(small.clone()),
        DataType::INT64 => Data::I64(proto.int64_data.clone()),
        other => {
            return Err(format!(
                "elements of type {other} are only read from raw data"
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn proto(dims: &[i64], dtype: DataType) -> TensorProto {
        TensorProto {
            dims: dims.to_vec(),
            data_type: Some(dtype),
            ..TensorProto::default()
        }
    }

    fn reason(proto: &TensorProto) -> String {
        read(proto, &External::none()).unwrap_err().to_string()
    }

    #[test]
    fn floats_of_every_width_become_f32() {
        let raw = |bytes: &[u8]| Some(RefCell::new(bytes.to_vec()));
        let half = TensorProto {
            raw_data: raw(&[0, 0x3c]),
            ..proto(&[1], DataType::FLOAT16)
        };
        let brain = TensorProto {
            raw_data: raw(&[0x80, 0x3f]),
            ..proto(&[], DataType::BFLOAT16)
        };
        let double = TensorProto {
            raw_data: raw(&1f64.to_le_bytes()),
            ..proto(&[1], DataType::DOUBLE)
        };
        for proto in [half, brain, double] {
            let tensor = read(&proto, &External::none()).unwrap();
            assert_eq!(tensor.data, Data::F32(vec![1.0]));
        }
    }

    #[test]
    fn lengths_that_disagree_are_named() {
        let tensor = TensorProto {
            float_data: vec![1.0; 3],
            ..proto(&[2, 2], DataType::FLOAT)
        };
        assert_eq!(
            reason(&tensor),
            "tensor '': has 3 elements where 2x2 needs 4"
        );
        let raw = Some(RefCell::new(vec![0; 3]));
        let tensor = TensorProto {
            raw_data: raw,
            ..proto(&[1], DataType::FLOAT)
        };
        assert!(reason(&tensor).contains("has 3 bytes where 1 of FLOAT needs 4"));
        let huge = proto(&[1 << 20, 1 << 20], DataType::FLOAT);
        assert!(reason(&huge).contains("too large"));
        assert!(reason(&proto(&[-1], DataType::FLOAT)).contains("negative"));
        assert!(reason(&proto(&[1], DataType::STRING)).contains("STRING"));
    }
}
