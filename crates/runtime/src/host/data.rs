//! Tensors in host memory.

use format::{DType, Shape};
use kernels::memory::as_bytes;
use std::string::String;
use std::vec::Vec;

/// The whole number that a type without a scale holds for a real one, rounded down and kept in the
/// type's range; `None` for types of other numbers. The bytes behind the type's own are no part of it.
pub fn whole(dtype: DType, value: f32) -> Option<[u8; 8]> {
    let value = libm::floorf(value);
    let integer = match dtype {
        DType::I8 => i64::from(value as i8),
        DType::I16 => i64::from(value as i16),
        DType::I32 => i64::from(value as i32),
        DType::I64 => value as i64,
        DType::U8 => i64::from(value as u8),
        DType::U16 => i64::from(value as u16),
        DType::U32 => i64::from(value as u32),
        DType::U64 => (value as u64).cast_signed(),
        DType::Bool => i64::from(value != 0.0),
        DType::F32 | DType::F16 | DType::I4 | DType::Channel | DType::ChannelWide => return None,
    };
    Some(integer.to_le_bytes())
}

/// Elements of a constant or of a result.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Single precision.
    F32(Vec<f32>),
    /// Signed 8 bits.
    I8(Vec<i8>),
    /// Unsigned 8 bits.
    U8(Vec<u8>),
    /// Signed 16 bits.
    I16(Vec<i16>),
    /// Signed 32 bits.
    I32(Vec<i32>),
    /// Signed 64 bits.
    I64(Vec<i64>),
    /// Unsigned 16 bits.
    U16(Vec<u16>),
    /// Unsigned 32 bits.
    U32(Vec<u32>),
    /// Unsigned 64 bits.
    U64(Vec<u64>),
    /// Truth values, one byte each.
    Bool(Vec<u8>),
}

impl Data {
    /// The element type.
    pub fn dtype(&self) -> DType {
        match self {
            Data::F32(_) => DType::F32,
            Data::I8(_) => DType::I8,
            Data::U8(_) => DType::U8,
            Data::I16(_) => DType::I16,
            Data::I32(_) => DType::I32,
            Data::I64(_) => DType::I64,
            Data::U16(_) => DType::U16,
            Data::U32(_) => DType::U32,
            Data::U64(_) => DType::U64,
            Data::Bool(_) => DType::Bool,
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.bytes().len() / self.dtype().bytes()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements as they are stored in a file (little endian).
    pub fn bytes(&self) -> &[u8] {
        match self {
            Data::F32(values) => as_bytes(values),
            Data::I8(values) => as_bytes(values),
            Data::U8(values) | Data::Bool(values) => values,
            Data::I16(values) => as_bytes(values),
            Data::I32(values) => as_bytes(values),
            Data::I64(values) => as_bytes(values),
            Data::U16(values) => as_bytes(values),
            Data::U32(values) => as_bytes(values),
            Data::U64(values) => as_bytes(values),
        }
    }

    /// Whether all bytes are what a session's state is before its first run, where nothing else is said:
    /// the zero point where these are int8, else 0.
    pub fn is_state_at_rest(&self, zero_point: i32) -> bool {
        match self {
            Data::I8(values) => values.iter().all(|&value| i32::from(value) == zero_point),
            _ => self.bytes().iter().all(|&byte| byte == 0),
        }
    }

    /// Elements of `dtype` from their little-endian bytes.
    pub fn from_bytes(dtype: DType, bytes: &[u8]) -> Result<Self, String> {
        fn each<const N: usize, T>(bytes: &[u8], read: fn([u8; N]) -> T) -> Vec<T> {
            let (chunks, _) = bytes.as_chunks::<N>();
            chunks.iter().map(|chunk| read(*chunk)).collect()
        }
        Ok(match dtype {
            DType::F32 => Data::F32(each(bytes, f32::from_le_bytes)),
            DType::I8 => Data::I8(each(bytes, i8::from_le_bytes)),
            DType::U8 => Data::U8(bytes.to_vec()),
            DType::Bool => Data::Bool(bytes.to_vec()),
            DType::I16 => Data::I16(each(bytes, i16::from_le_bytes)),
            DType::I32 => Data::I32(each(bytes, i32::from_le_bytes)),
            DType::I64 => Data::I64(each(bytes, i64::from_le_bytes)),
            DType::U16 => Data::U16(each(bytes, u16::from_le_bytes)),
            DType::U32 => Data::U32(each(bytes, u32::from_le_bytes)),
            DType::U64 => Data::U64(each(bytes, u64::from_le_bytes)),
            other => return Err(std::format!("{other} has no elements of its own")),
        })
    }

    /// The floats, where these are floats.
    pub fn f32(&self) -> Result<&[f32], String> {
        match self {
            Data::F32(values) => Ok(values),
            other => Err(std::format!("is {} where f32 is needed", other.dtype())),
        }
    }

    /// The bytes as signed numbers, where these are int8.
    pub fn i8(&self) -> Result<&[i8], String> {
        match self {
            Data::I8(values) => Ok(values),
            other => Err(std::format!("is {} where int8 is needed", other.dtype())),
        }
    }

    /// Whole numbers of any type, widened; refused where one is 2^63 or more.
    pub fn to_i64(&self) -> Result<Vec<i64>, String> {
        Ok(match self {
            Data::I8(values) => values.iter().map(|&v| i64::from(v)).collect(),
            Data::U8(values) | Data::Bool(values) => values.iter().map(|&v| v.into()).collect(),
            Data::I16(values) => values.iter().map(|&v| i64::from(v)).collect(),
            Data::I32(values) => values.iter().map(|&v| i64::from(v)).collect(),
            Data::I64(values) => values.clone(),
            Data::U16(values) => values.iter().map(|&v| i64::from(v)).collect(),
            Data::U32(values) => values.iter().map(|&v| i64::from(v)).collect(),
            Data::U64(values) => {
                let narrow = values.iter().map(|&v| i64::try_from(v));
                let narrow: Result<_, _> = narrow.collect();
                narrow.map_err(|_| "has numbers of 2^63 or more")?
            }
            Data::F32(_) => return Err("is f32 where whole numbers are needed".into()),
        })
    }
}

/// A tensor in host memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Dimensions.
    pub shape: Shape,
    /// Elements in row-major order.
    pub data: Data,
}
