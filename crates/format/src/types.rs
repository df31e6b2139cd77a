//! Element types, shapes and the places where tensors live.

use core::fmt;

/// The largest number of dimensions.
pub const MAX_RANK: usize = 6;

/// Element types. The numbers are those in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum DType {
    /// IEEE 754 single precision.
    F32 = 0,
    /// Signed 8 bits.
    I8 = 1,
    /// Signed 16 bits.
    I16 = 2,
    /// Signed 32 bits.
    I32 = 3,
    /// Signed 64 bits.
    I64 = 4,
    /// IEEE 754 half precision.
    F16 = 5,
    /// One byte, 0 or 1.
    Bool = 6,
    /// Unsigned 8 bits.
    U8 = 7,
    /// Per output channel, 4 bytes: 20-bit bias, 12-bit multiplier. See [`crate::fixed`].
    Channel = 8,
    /// Per output channel, 12 bytes: 32-bit bias, 32-bit multiplier, shift. See [`crate::fixed`].
    ChannelWide = 9,
    /// Unsigned 16 bits.
    U16 = 10,
    /// Unsigned 32 bits.
    U32 = 11,
    /// Unsigned 64 bits.
    U64 = 12,
    /// Signed 4 bits, two in a byte, the first in its lower half. Constants only.
    I4 = 13,
}

impl DType {
    /// Bytes of one element; 1 where two share a byte.
    pub const fn bytes(self) -> usize {
        match self {
            DType::I8 | DType::Bool | DType::U8 | DType::I4 => 1,
            DType::I16 | DType::F16 | DType::U16 => 2,
            DType::F32 | DType::I32 | DType::Channel | DType::U32 => 4,
            DType::I64 | DType::U64 => 8,
            DType::ChannelWide => 12,
        }
    }

    /// Bytes of so many elements; `None` where they do not fit `usize`.
    pub const fn bytes_of(self, elements: usize) -> Option<usize> {
        match self {
            DType::I4 => Some(elements.div_ceil(2)),
            other => elements.checked_mul(other.bytes()),
        }
    }

    /// The alignment in bytes that an element needs.
    pub const fn alignment(self) -> usize {
        match self {
            DType::ChannelWide => 4,
            other => other.bytes(),
        }
    }

    /// The type with this number.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => DType::F32,
            1 => DType::I8,
            2 => DType::I16,
            3 => DType::I32,
            4 => DType::I64,
            5 => DType::F16,
            6 => DType::Bool,
            7 => DType::U8,
            8 => DType::Channel,
            9 => DType::ChannelWide,
            10 => DType::U16,
            11 => DType::U32,
            12 => DType::U64,
            13 => DType::I4,
            _ => return None,
        })
    }

    /// The name used in messages and tables.
    pub const fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::I8 => "int8",
            DType::I16 => "int16",
            DType::I32 => "int32",
            DType::I64 => "int64",
            DType::F16 => "f16",
            DType::Bool => "bool",
            DType::U8 => "uint8",
            DType::Channel => "channel",
            DType::ChannelWide => "channel-wide",
            DType::U16 => "uint16",
            DType::U32 => "uint32",
            DType::U64 => "uint64",
            DType::I4 => "int4",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a tensor's elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Place {
    /// In the arena, for part of one run.
    Arena = 0,
    /// In the file's constants.
    Constant = 1,
    /// In the arena's state region, kept from one run to the next.
    State = 2,
}

/// Up to [`MAX_RANK`] dimensions, outermost first. Images are `[N, H, W, C]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    dims: [u32; MAX_RANK],
    rank: u8,
}

impl Shape {
    /// No dimensions: one element.
    pub const SCALAR: Shape = Shape {
        dims: [1; MAX_RANK],
        rank: 0,
    };

    /// A shape from its dimensions; `None` above [`MAX_RANK`].
    pub const fn new(dims: &[u32]) -> Option<Self> {
        let mut shape = Shape {
            dims: [1; MAX_RANK],
            rank: dims.len() as u8,
        };
        let Some((place, _)) = shape.dims.split_at_mut_checked(dims.len()) else {
            return None;
        };
        place.copy_from_slice(dims);
        Some(shape)
    }

    /// A shape from its dimensions in a file: four bytes each.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (dims, _) = bytes.as_chunks::<4>();
        // Axis by axis: a copy of so few bytes would be a call of `memcpy`, which takes longer.
        let dim = |axis| dims.get(axis).map_or(1, |dim| u32::from_le_bytes(*dim));
        (dims.len() <= MAX_RANK).then(|| Shape {
            dims: core::array::from_fn(dim),
            rank: dims.len() as u8,
        })
    }

    /// The dimensions.
    pub fn dims(&self) -> &[u32] {
        self.dims.get(..self.rank as usize).unwrap_or(&self.dims)
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.rank as usize
    }

    /// Dimension `axis`, 1 where there is none.
    pub fn dim(&self, axis: usize) -> usize {
        self.dims.get(axis).map_or(1, |&d| d as usize)
    }

    /// The number of elements, or `None` when it does not fit `u32`.
    pub fn checked_elements(&self) -> Option<usize> {
        let mut product = 1u32;
        for &d in self.dims() {
            product = product.checked_mul(d)?;
        }
        Some(product as usize)
    }

    /// The number of elements (saturating).
    pub fn elements(&self) -> usize {
        self.checked_elements().unwrap_or(u32::MAX as usize)
    }

    /// The last dimension, 1 for a scalar.
    pub fn last(&self) -> usize {
        self.dims().last().map_or(1, |&d| d as usize)
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, d) in self.dims().iter().enumerate() {
            if i > 0 {
                f.write_str("x")?;
            }
            write!(f, "{d}")?;
        }
        if self.rank == 0 {
            f.write_str("scalar")?;
        }
        Ok(())
    }
}
