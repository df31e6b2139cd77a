//! Builds the bytes of a model. Where things lie is decided elsewhere; this only lays them out.

use crate::meta::Meta;
use crate::view::NODE_HEADER_BYTES;
use crate::{ABSENT, ALIGNMENT, DType, HEADER_BYTES, MAGIC, Place, Shape, VERSION};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// A tensor to be written.
#[derive(Clone, Debug)]
pub struct TensorRecord {
    /// Element type.
    pub dtype: DType,
    /// Where the elements are.
    pub place: Place,
    /// Byte offset in that place; for constants, what [`Writer::constant`] returned.
    pub offset: u32,
    /// Dimensions.
    pub shape: Shape,
    /// Real value of one step, 0 where the tensor is not quantized.
    pub scale: f32,
    /// The integer that stands for 0.0.
    pub zero_point: i16,
}

/// A node to be written. Operands are what [`Writer::tensor`] returned, or [`ABSENT`].
#[derive(Clone, Debug, Default)]
pub struct NodeRecord {
    /// The operator's code.
    pub code: u16,
    /// Input operands.
    pub inputs: Vec<u16>,
    /// Output operands.
    pub outputs: Vec<u16>,
    /// Byte offset in the arena of the operator's scratch memory.
    pub scratch_offset: u32,
    /// Bytes of it.
    pub scratch_bytes: u32,
    /// The operator's parameters, from a [`ParamsWriter`].
    pub params: Vec<u8>,
}

/// Writes an operator's parameters in the order in which [`crate::Params`] reads them.
#[derive(Clone, Debug, Default)]
pub struct ParamsWriter {
    bytes: Vec<u8>,
}

impl ParamsWriter {
    /// Appends one byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes.push(value);
        self
    }

    /// Appends two bytes.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes.extend(value.to_le_bytes());
        self
    }

    /// Appends two bytes, signed.
    pub fn i16(&mut self, value: i16) -> &mut Self {
        self.u16(value as u16)
    }

    /// Appends four bytes.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes.extend(value.to_le_bytes());
        self
    }

    /// Appends four bytes, signed.
    pub fn i32(&mut self, value: i32) -> &mut Self {
        self.u32(value as u32)
    }

    /// Appends a float.
    pub fn f32(&mut self, value: f32) -> &mut Self {
        self.u32(value.to_bits())
    }

    /// The bytes, padded to a multiple of four.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut bytes = core::mem::take(&mut self.bytes);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }
}

/// Collects the parts of a model.
#[derive(Debug, Default)]
pub struct Writer {
    tensors: Vec<u8>,
    nodes: Vec<u8>,
    node_count: u16,
    constants: Vec<u8>,
    shared: BTreeMap<(usize, Vec<u8>), u32>,
    inputs: Vec<u16>,
    outputs: Vec<u16>,
}

impl Writer {
    /// Adds constant bytes and returns their offset. Equal constants are stored once.
    pub fn constant(&mut self, bytes: &[u8], alignment: usize) -> u32 {
        let key = (alignment, bytes.to_vec());
        if let Some(&offset) = self.shared.get(&key) {
            return offset;
        }
        let offset = self.constants.len().next_multiple_of(alignment.max(4));
        self.constants.resize(offset, 0);
        self.constants.extend_from_slice(bytes);
        self.shared.insert(key, offset as u32);
        offset as u32
    }

    /// Adds a tensor and returns its reference, or `None` when the section is full (256 kB).
    pub fn tensor(&mut self, record: &TensorRecord) -> Option<u16> {
        let mut bytes = Vec::with_capacity(12 + record.shape.rank() * 4);
        bytes.push(record.dtype as u8);
        bytes.push((record.place as u8) << 4 | record.shape.rank() as u8);
        bytes.extend(record.zero_point.to_le_bytes());
        bytes.extend(record.offset.to_le_bytes());
        bytes.extend(record.scale.to_bits().to_le_bytes());
        for dim in record.shape.dims() {
            bytes.extend(dim.to_le_bytes());
        }
        let reference = u16::try_from(self.tensors.len() / 4)
            .ok()
            .filter(|&r| r != ABSENT)?;
        self.tensors.extend(bytes);
        Some(reference)
    }

    /// Appends a node to the plan. `None` when a count does not fit its field.
    pub fn node(&mut self, record: &NodeRecord) -> Option<()> {
        let start = self.nodes.len();
        self.nodes.extend(record.code.to_le_bytes());
        self.nodes.push(u8::try_from(record.inputs.len()).ok()?);
        self.nodes.push(u8::try_from(record.outputs.len()).ok()?);
        self.nodes
            .extend(u16::try_from(record.params.len()).ok()?.to_le_bytes());
        self.nodes.extend([0, 0]);
        self.nodes.extend(record.scratch_offset.to_le_bytes());
        self.nodes.extend(record.scratch_bytes.to_le_bytes());
        debug_assert_eq!(self.nodes.len() - start, NODE_HEADER_BYTES);
        for reference in record.inputs.iter().chain(&record.outputs) {
            self.nodes.extend(reference.to_le_bytes());
        }
        self.nodes.resize(self.nodes.len().next_multiple_of(4), 0);
        self.nodes.extend_from_slice(&record.params);
        self.node_count = self.node_count.checked_add(1)?;
        Some(())
    }

    /// Names the tensors that are the model's inputs and outputs.
    pub fn ports(&mut self, inputs: Vec<u16>, outputs: Vec<u16>) {
        self.inputs = inputs;
        self.outputs = outputs;
    }

    /// Bytes of constants so far.
    pub fn constant_bytes(&self) -> usize {
        self.constants.len()
    }

    /// The finished file. `None` when there are more than 255 inputs or outputs, or 4 GiB.
    pub fn finish(&self, arena_bytes: u32, state_bytes: u32, meta: &Meta) -> Option<Vec<u8>> {
        let meta = meta.stored()?;
        let mut ports = Vec::new();
        for reference in self.inputs.iter().chain(&self.outputs) {
            ports.extend(reference.to_le_bytes());
        }
        let mut file = alloc::vec![0u8; HEADER_BYTES];
        let mut place = |part: &[u8], alignment: usize| -> (u32, u32) {
            file.resize(file.len().next_multiple_of(alignment), 0);
            let start = file.len() as u32;
            file.extend_from_slice(part);
            (start, part.len() as u32)
        };
        let tensors = place(&self.tensors, 4);
        let nodes = place(&self.nodes, 4);
        let ports = place(&ports, 4);
        let meta = place(&meta, 4);
        let constants = place(&self.constants, ALIGNMENT);
        let file_bytes = u32::try_from(file.len()).ok()?;
        let fields = [
            (8, file_bytes),
            (16, arena_bytes),
            (20, state_bytes),
            (24, tensors.0),
            (28, tensors.1),
            (32, nodes.0),
            (36, nodes.1),
            (40, ports.0),
            (48, meta.0),
            (52, meta.1),
            (56, constants.0),
            (60, constants.1),
        ];
        for (at, value) in fields {
            file[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        file[..4].copy_from_slice(&MAGIC);
        file[4..6].copy_from_slice(&VERSION.to_le_bytes());
        file[44..46].copy_from_slice(&self.node_count.to_le_bytes());
        file[46] = u8::try_from(self.inputs.len()).ok()?;
        file[47] = u8::try_from(self.outputs.len()).ok()?;
        let checksum = crate::checksum::crc32(&file[16..]);
        file[12..16].copy_from_slice(&checksum.to_le_bytes());
        Some(file)
    }
}

/// A finished file with another signature and manifest. `None` when it is no whole file, or too long.
pub fn with_meta(file: &[u8], meta: &Meta) -> Option<Vec<u8>> {
    let number = |at: usize| -> Option<usize> {
        let bytes = file.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    let (meta_start, start, size) = (number(48)?, number(56)?, number(60)?);
    let constants = file.get(start..start.checked_add(size)?)?;
    let meta = meta.stored()?;
    let mut changed = file.get(..meta_start)?.to_vec();
    changed.extend_from_slice(&meta);
    changed.resize(changed.len().next_multiple_of(ALIGNMENT), 0);
    let start = changed.len();
    changed.extend_from_slice(constants);
    for (at, value) in [(8, changed.len()), (52, meta.len()), (56, start)] {
        let bytes = u32::try_from(value).ok()?.to_le_bytes();
        changed.get_mut(at..at + 4)?.copy_from_slice(&bytes);
    }
    let checksum = crate::checksum::crc32(changed.get(16..)?);
    changed
        .get_mut(12..16)?
        .copy_from_slice(&checksum.to_le_bytes());
    Some(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::{Manifest, Port};
    use std::vec;

    #[test]
    fn another_manifest_is_as_if_it_had_been_written_first() {
        let mut writer = Writer::default();
        let shape = Shape::new(&[3]).unwrap();
        let offset = writer.constant(&[1, 2, 3], 16);
        let tensor = |writer: &mut Writer, place, offset| {
            let record = TensorRecord {
                dtype: DType::I8,
                place,
                shape,
                offset,
                scale: 0.5,
                zero_point: 0,
            };
            writer.tensor(&record).unwrap()
        };
        tensor(&mut writer, Place::Constant, offset);
        let port = tensor(&mut writer, Place::Arena, 0);
        writer.ports(vec![port], vec![port]);
        let meta = |recipe: &str| Meta {
            inputs: vec![Port::default()],
            outputs: vec![Port::default()],
            manifest: Manifest {
                recipe: recipe.into(),
                ..Manifest::default()
            },
        };
        let [short, long] = ["a", "a recipe of more than sixteen bytes"]
            .map(|recipe| writer.finish(16, 0, &meta(recipe)).unwrap());
        let changed = with_meta(&short, &meta("a recipe of more than sixteen bytes")).unwrap();
        assert_eq!(changed, long);
        assert_eq!(with_meta(&long, &meta("a")).unwrap(), short);
        assert_eq!(with_meta(&long[..40], &meta("a")), None);
    }
}
