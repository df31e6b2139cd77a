//! A checked view over the bytes of a model: no copy, no allocation, no panic.
//!
//! [`Model::new`] verifies the header, the checksum, every tensor record that a node or a port
//! names, and every node record. After that the accessors cannot fail; they still never index
//! out of bounds, because they read through [`u16_at`] and [`u32_at`], which return 0 there.

use crate::{ABSENT, ALIGNMENT, DType, Error, HEADER_BYTES, MAGIC, Place, Reason, Shape};

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    match bytes.get(at..at.wrapping_add(2)) {
        Some(&[a, b]) => u16::from_le_bytes([a, b]),
        _ => 0,
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    match bytes.get(at..at.wrapping_add(4)) {
        Some(&[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]),
        _ => 0,
    }
}

/// A model file that has been checked.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    bytes: &'a [u8],
    tensors: &'a [u8],
    nodes: &'a [u8],
    constants: &'a [u8],
}

/// One tensor record, decoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tensor {
    /// Element type.
    pub dtype: DType,
    /// Where the elements are.
    pub place: Place,
    /// Byte offset in that place.
    pub offset: usize,
    /// Dimensions.
    pub shape: Shape,
    /// Real value of one step, for integer types. 0 where the tensor is not quantized.
    pub scale: f32,
    /// The integer that stands for 0.0.
    pub zero_point: i32,
}

impl Tensor {
    /// Bytes of all elements.
    pub fn bytes(&self) -> usize {
        self.dtype
            .bytes_of(self.shape.elements())
            .unwrap_or(usize::MAX)
    }

    fn end(&self) -> Option<usize> {
        let elements = self.shape.checked_elements()?;
        self.offset.checked_add(self.dtype.bytes_of(elements)?)
    }
}

/// A tensor in working memory of which all dimensions but the last are 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Byte offset in the arena.
    pub offset: usize,
    /// The last dimension.
    pub elements: usize,
}

/// One node of the plan: an operator's code, its operands and its parameters.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    model: Model<'a>,
    source: Source<'a>,
    /// Position in the plan.
    pub index: usize,
}

/// Where a node is described.
#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    /// In a record of the file. The decoder comes along as a pointer, so that programs without
    /// files do not link it.
    Record {
        bytes: &'a [u8],
        tensor: fn(&Model<'a>, u16) -> Option<Tensor>,
    },
    /// In the program.
    Program(&'a ProgramNode<'a>),
}

/// A node that is part of a program instead of a file: what its record says, decoded.
#[derive(Clone, Copy, Debug)]
pub struct ProgramNode<'a> {
    /// The operator's code.
    pub code: u16,
    /// The input operands, `None` where one is left out.
    pub inputs: &'a [Option<Tensor>],
    /// The output operands.
    pub outputs: &'a [Tensor],
    /// The operator's own parameters, as in the file.
    pub params: &'a [u8],
    /// Byte offset in the arena of the memory that the operator may use while it runs.
    pub scratch_offset: usize,
    /// Bytes of that memory.
    pub scratch_bytes: usize,
}

impl<'a> Model<'a> {
    /// Checks `bytes` and gives a view over them. They must start at a multiple of 16.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        if bytes.get(..4) != Some(&MAGIC[..]) {
            return Err(Error::new(Reason::NotAModel, 0));
        }
        let version = u16_at(bytes, 4);
        if version != crate::VERSION {
            return Err(Error::new(Reason::Version, usize::from(version)));
        }
        if bytes.len() < HEADER_BYTES || u32_at(bytes, 8) as usize != bytes.len() {
            return Err(Error::new(Reason::Truncated, bytes.len()));
        }
        if !bytes.as_ptr().addr().is_multiple_of(ALIGNMENT) {
            return Err(Error::new(Reason::Alignment, 0));
        }
        let summed = bytes.get(16..).unwrap_or(&[]);
        if crate::checksum::crc32(summed) != u32_at(bytes, 12) {
            return Err(Error::new(Reason::Checksum, 0));
        }
        let model = Self::resume(bytes)?;
        if !(u32_at(bytes, 56) as usize).is_multiple_of(ALIGNMENT) {
            return Err(Error::new(Reason::Alignment, 56));
        }
        model.check()?;
        Ok(model)
    }

    /// A view over bytes that [`Model::new`] has accepted before, without checking them again.
    /// Over other bytes it is safe too, but tells nonsense.
    pub fn resume(bytes: &'a [u8]) -> Result<Self, Error> {
        let region = |at: usize| -> Result<&'a [u8], Error> {
            let (start, length) = (u32_at(bytes, at) as usize, u32_at(bytes, at + 4) as usize);
            let end = start
                .checked_add(length)
                .ok_or(Error::new(Reason::Truncated, at))?;
            bytes
                .get(start..end)
                .ok_or(Error::new(Reason::Truncated, at))
        };
        region(48)?;
        Ok(Model {
            bytes,
            tensors: region(24)?,
            nodes: region(32)?,
            constants: region(56)?,
        })
    }

    fn check(&self) -> Result<(), Error> {
        if self.state_bytes() > self.arena_bytes() {
            return Err(Error::new(Reason::Truncated, 20));
        }
        for port in 0..self.input_count() + self.output_count() {
            let tensor = self.port(port).filter(|tensor| self.holds(tensor));
            let tensor = tensor.ok_or(Error::new(Reason::Port, port))?;
            if tensor.place == Place::Constant && port < self.input_count() {
                return Err(Error::new(Reason::Port, port));
            }
        }
        let mut consumed = 0;
        for index in 0..self.node_count() {
            let node = self
                .node_at(consumed, index)
                .ok_or(Error::new(Reason::Node, index))?;
            for operand in 0..node.input_count() + node.output_count() {
                let tensor = node.operand(operand).filter(|tensor| self.holds(tensor));
                if !node.is_absent(operand) && tensor.is_none() {
                    return Err(Error::new(Reason::Tensor, index));
                }
            }
            let scratch_end = node.scratch_offset().checked_add(node.scratch_bytes());
            if scratch_end.is_none_or(|end| end > self.arena_bytes()) {
                return Err(Error::new(Reason::Node, index));
            }
            consumed += node.record().len();
        }
        if consumed != self.nodes.len() {
            return Err(Error::new(Reason::Node, self.node_count()));
        }
        Ok(())
    }

    /// The whole file.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Bytes of working memory that the plan uses, the state region included.
    pub fn arena_bytes(&self) -> usize {
        u32_at(self.bytes, 16) as usize
    }

    /// Bytes at the start of the arena that keep their values from run to run.
    pub fn state_bytes(&self) -> usize {
        u32_at(self.bytes, 20) as usize
    }

    /// The number of nodes in the plan.
    pub fn node_count(&self) -> usize {
        usize::from(u16_at(self.bytes, 44))
    }

    /// The number of inputs, at most 255.
    pub fn input_count(&self) -> usize {
        usize::from(*self.bytes.get(46).unwrap_or(&0))
    }

    /// The number of outputs, at most 255.
    pub fn output_count(&self) -> usize {
        usize::from(*self.bytes.get(47).unwrap_or(&0))
    }

    fn port(&self, index: usize) -> Option<Tensor> {
        let ports = u32_at(self.bytes, 40) as usize;
        self.tensor(u16_at(self.bytes, ports.checked_add(index * 2)?))
    }

    /// The tensor of input `index`.
    pub fn input(&self, index: usize) -> Option<Tensor> {
        if index < self.input_count() {
            self.port(index)
        } else {
            None
        }
    }

    /// The tensor of output `index`.
    pub fn output(&self, index: usize) -> Option<Tensor> {
        if index < self.output_count() {
            self.port(self.input_count() + index)
        } else {
            None
        }
    }

    /// All constants, 16-byte aligned.
    pub fn constants(&self) -> &'a [u8] {
        self.constants
    }

    /// The postcard-encoded signature and manifest.
    pub fn meta_bytes(&self) -> &'a [u8] {
        let (start, length) = (
            u32_at(self.bytes, 48) as usize,
            u32_at(self.bytes, 52) as usize,
        );
        self.bytes
            .get(start..start.saturating_add(length))
            .unwrap_or(&[])
    }

    /// The nodes in the order of execution.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'a>> + use<'a> {
        let model = *self;
        let mut at = 0;
        (0..self.node_count()).map_while(move |index| {
            let node = model.node_at(at, index)?;
            at += node.record().len();
            Some(node)
        })
    }

    /// The bytes of a constant tensor, empty for others.
    pub fn constant(&self, tensor: &Tensor) -> &'a [u8] {
        let Some(end) = tensor.end() else { return &[] };
        match tensor.place {
            Place::Constant => self.constants.get(tensor.offset..end).unwrap_or(&[]),
            _ => &[],
        }
    }

    fn node_at(&self, at: usize, index: usize) -> Option<Node<'a>> {
        let rest = self.nodes.get(at..)?;
        let operands = usize::from(*rest.get(2)?) + usize::from(*rest.get(3)?);
        let params = usize::from(u16_at(rest, 4));
        let length = (NODE_HEADER_BYTES + operands * 2).next_multiple_of(4) + params;
        if params % 4 != 0 {
            return None;
        }
        let source = Source::Record {
            bytes: rest.get(..length)?,
            tensor: Model::tensor,
        };
        Some(Node {
            model: *self,
            source,
            index,
        })
    }

    /// The tensor record at word `reference` of the tensor section, and what follows its header.
    fn record_at(&self, reference: u16) -> Option<(&'a [u8; TENSOR_HEADER_BYTES], &'a [u8])> {
        let record = self.tensors.get(usize::from(reference) * 4..)?;
        record.split_first_chunk()
    }

    /// The bytes of the constant whose record is at word `reference` of the tensor section.
    fn constant_at(&self, reference: u16) -> Option<&'a [u8]> {
        let (header, rest) = self.record_at(reference)?;
        let rank = usize::from(header[1] & 15);
        if header[1] >> 4 != CONSTANT {
            return None;
        }
        let mut elements = 1usize;
        for dim in rest.get(..rank * 4)?.chunks_exact(4) {
            elements = elements.checked_mul(u32_at(dim, 0) as usize)?;
        }
        let bytes = DType::from_code(header[0])?.bytes_of(elements)?;
        let start = u32_at(header, 4) as usize;
        self.constants.get(start..start.checked_add(bytes)?)
    }

    /// Decodes the tensor record at word `reference` of the tensor section.
    fn tensor(&self, reference: u16) -> Option<Tensor> {
        let (header, rest) = self.record_at(reference)?;
        let place = match header[1] >> 4 {
            0 => Place::Arena,
            CONSTANT => Place::Constant,
            2 => Place::State,
            _ => return None,
        };
        Some(Tensor {
            dtype: DType::from_code(header[0])?,
            place,
            offset: u32_at(header, 4) as usize,
            shape: Shape::decode(rest.get(..usize::from(header[1] & 15) * 4)?)?,
            scale: f32::from_bits(u32_at(header, 8)),
            zero_point: i32::from(u16_at(header, 2) as i16),
        })
    }

    /// Whether a tensor lies where it may.
    fn holds(&self, tensor: &Tensor) -> bool {
        let limit = match tensor.place {
            Place::Arena => self.arena_bytes(),
            Place::Constant => self.constants.len(),
            Place::State => self.state_bytes(),
        };
        (tensor.dtype != DType::I4 || tensor.place == Place::Constant)
            && tensor.offset.is_multiple_of(tensor.dtype.alignment())
            && tensor.end().is_some_and(|end| end <= limit)
    }
}

/// Bytes before a tensor's dimensions.
const TENSOR_HEADER_BYTES: usize = 12;

/// The code of [`Place::Constant`].
const CONSTANT: u8 = 1;

/// Bytes before a node's operand references.
pub(crate) const NODE_HEADER_BYTES: usize = 16;

impl<'a> Node<'a> {
    /// A node of a program, whose constant operands are in `constants`, aligned as a file's.
    pub const fn of_program(node: &'a ProgramNode<'a>, constants: &'a [u8]) -> Self {
        let model = Model {
            bytes: &[],
            tensors: &[],
            nodes: &[],
            constants,
        };
        Node {
            model,
            source: Source::Program(node),
            index: 0,
        }
    }

    /// The bytes in the file, of which a node of a program has none.
    fn record(&self) -> &'a [u8] {
        match self.source {
            Source::Record { bytes, .. } => bytes,
            Source::Program(_) => &[],
        }
    }

    /// The operator's code.
    pub fn code(&self) -> u16 {
        match self.source {
            Source::Record { bytes, .. } => u16_at(bytes, 0),
            Source::Program(node) => node.code,
        }
    }

    /// The number of input operands, absent ones included.
    pub fn input_count(&self) -> usize {
        match self.source {
            Source::Record { bytes, .. } => usize::from(*bytes.get(2).unwrap_or(&0)),
            Source::Program(node) => node.inputs.len(),
        }
    }

    /// The number of output operands.
    pub fn output_count(&self) -> usize {
        match self.source {
            Source::Record { bytes, .. } => usize::from(*bytes.get(3).unwrap_or(&0)),
            Source::Program(node) => node.outputs.len(),
        }
    }

    fn is_absent(&self, operand: usize) -> bool {
        u16_at(self.record(), NODE_HEADER_BYTES + operand * 2) == ABSENT
    }

    fn operand(&self, operand: usize) -> Option<Tensor> {
        match self.source {
            Source::Record { bytes, tensor } => {
                tensor(&self.model, u16_at(bytes, NODE_HEADER_BYTES + operand * 2))
            }
            Source::Program(node) => match operand.checked_sub(node.inputs.len()) {
                None => *node.inputs.get(operand)?,
                Some(output) => node.outputs.get(output).copied(),
            },
        }
    }

    /// Input operand `index`, `None` where it is absent.
    pub fn input(&self, index: usize) -> Option<Tensor> {
        if index < self.input_count() {
            self.operand(index)
        } else {
            None
        }
    }

    /// The bytes of input operand `index`, empty where it is absent or no constant. Like
    /// [`Node::input`] and [`Model::constant`], without decoding what is not asked for.
    pub fn constant(&self, index: usize) -> &'a [u8] {
        if index >= self.input_count() {
            return &[];
        }
        match self.source {
            Source::Record { bytes, .. } => {
                let reference = u16_at(bytes, NODE_HEADER_BYTES + index * 2);
                self.model.constant_at(reference).unwrap_or(&[])
            }
            Source::Program(_) => {
                let tensor = self.operand(index);
                tensor.map_or(&[], |tensor| self.model.constant(&tensor))
            }
        }
    }

    /// Where operand `index` is, outputs being counted behind inputs, if it is a row in working memory.
    /// `None` elsewhere, and for nodes of programs: for operators that are fast enough to notice what
    /// decoding takes.
    #[inline(always)]
    pub fn row(&self, index: usize) -> Option<Row> {
        let reference = u16_at(self.record(), NODE_HEADER_BYTES + index * 2);
        let (header, rest) = self.model.record_at(reference)?;
        let (dims, _) = rest.as_chunks::<4>();
        let (last, others) = dims.get(..usize::from(header[1] & 15))?.split_last()?;
        let is_row = others.iter().all(|dim| *dim == 1u32.to_le_bytes());
        (is_row && header[1] >> 4 != CONSTANT).then_some(Row {
            offset: u32_at(header, 4) as usize,
            elements: u32::from_le_bytes(*last) as usize,
        })
    }

    /// The constants from the first byte of input operand `index` on, for those who know its size; empty
    /// where it is absent or no constant, and for nodes of programs.
    #[inline(always)]
    pub fn constants_from(&self, index: usize) -> &'a [u8] {
        let reference = u16_at(self.record(), NODE_HEADER_BYTES + index * 2);
        match self.model.record_at(reference) {
            Some((header, _)) if header[1] >> 4 == CONSTANT => {
                let start = u32_at(header, 4) as usize;
                self.model.constants.get(start..).unwrap_or(&[])
            }
            _ => &[],
        }
    }

    /// Output operand `index`.
    pub fn output(&self, index: usize) -> Option<Tensor> {
        if index < self.output_count() {
            self.operand(self.input_count() + index)
        } else {
            None
        }
    }

    /// Byte offset in the arena of the memory that the operator may use while it runs.
    pub fn scratch_offset(&self) -> usize {
        match self.source {
            Source::Record { bytes, .. } => u32_at(bytes, 8) as usize,
            Source::Program(node) => node.scratch_offset,
        }
    }

    /// Bytes of that memory.
    pub fn scratch_bytes(&self) -> usize {
        match self.source {
            Source::Record { bytes, .. } => u32_at(bytes, 12) as usize,
            Source::Program(node) => node.scratch_bytes,
        }
    }

    /// The operator's own parameters.
    pub fn params(&self) -> Params<'a> {
        let bytes = match self.source {
            Source::Record { bytes, .. } => {
                let operands = self.input_count() + self.output_count();
                let start = (NODE_HEADER_BYTES + operands * 2).next_multiple_of(4);
                bytes.get(start..).unwrap_or(&[])
            }
            Source::Program(node) => node.params,
        };
        Params { bytes, at: 0 }
    }

    /// The model that this node belongs to; for a node of a program, one of constants alone.
    pub fn model(&self) -> Model<'a> {
        self.model
    }
}

/// Reads an operator's parameters in the order in which they were written. Past the end it
/// gives zeros.
#[derive(Clone, Copy, Debug)]
pub struct Params<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Params<'a> {
    /// Reads from the first byte on.
    pub fn new(bytes: &'a [u8]) -> Self {
        Params { bytes, at: 0 }
    }

    /// The next byte.
    pub fn u8(&mut self) -> u8 {
        let value = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        value
    }

    /// The next two bytes.
    pub fn u16(&mut self) -> u16 {
        let value = u16_at(self.bytes, self.at);
        self.at += 2;
        value
    }

    /// The next two bytes, signed.
    pub fn i16(&mut self) -> i16 {
        self.u16() as i16
    }

    /// The next four bytes.
    pub fn u32(&mut self) -> u32 {
        let value = u32_at(self.bytes, self.at);
        self.at += 4;
        value
    }

    /// The next four bytes, signed.
    pub fn i32(&mut self) -> i32 {
        self.u32() as i32
    }

    /// The next four bytes as a float.
    pub fn f32(&mut self) -> f32 {
        f32::from_bits(self.u32())
    }

    /// The next `N` bytes; `None` where there are fewer.
    pub fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let array = self.bytes.get(self.at..)?.first_chunk()?;
        self.at += N;
        Some(array)
    }

    /// Bytes not read.
    pub fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }
}
