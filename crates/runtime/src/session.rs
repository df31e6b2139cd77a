//! A model, its operators and its memory: load once, run often.
//!
//! The memory that a session takes is `[arena | extra scratch | packed weights]`. On a
//! microcontroller it is the arena alone: scratch memory is in the plan, and weights are used
//! where they lie in flash. A host kernel that wants more says so in
//! [`Op::scratch_bytes`] and [`Op::prepared_bytes`].

use crate::ops::history;
use crate::{Op, Run};
use core::cell::Cell;
use format::{ALIGNMENT, DType, Error, Model, Node, Place, Reason, Tensor, fixed};
use kernels::memory::{In, cells_as, slice_as};
#[cfg(feature = "host")]
use kernels::threads::Series;
use kernels::{Architecture, Binding, QuantizeI8, Threads};

/// A model ready to run.
#[derive(Debug)]
pub struct Session<'a> {
    model: Model<'a>,
    ops: &'a [&'static Op],
    memory: &'a [Cell<u8>],
    /// Weights packed for this machine, node after node.
    prepared: &'a [u8],
    threads: Threads<'a>,
}

/// Sizes of the parts of a session's memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Parts {
    arena: usize,
    scratch: usize,
    prepared: usize,
}

/// What parts of the memory start at multiples of, on machines that have caches: a line.
pub(crate) const LINE_BYTES: usize = 64;

fn find(ops: &[&'static Op], code: u16) -> Option<&'static Op> {
    ops.iter().copied().find(|op| op.code == code)
}

fn parts(model: &Model<'_>, ops: &[&'static Op]) -> Result<Parts, Error> {
    let architecture = Architecture::current();
    let mut parts = Parts {
        arena: model.arena_bytes(),
        ..Parts::default()
    };
    for node in model.nodes() {
        let op = find(ops, node.code()).ok_or(Error::new(Reason::UnknownOperator, node.index))?;
        (op.check)(&node).ok_or(Error::new(Reason::Operand, node.index))?;
        let scratch = (op.scratch_bytes)(&node, architecture);
        if scratch > node.scratch_bytes() {
            parts.scratch = parts.scratch.max(scratch.next_multiple_of(ALIGNMENT));
        }
        let prepared = (op.prepared_bytes)(&node, architecture);
        parts.prepared += prepared.next_multiple_of(LINE_BYTES);
    }
    if parts.prepared > 0 {
        parts.prepared += table_bytes(model);
    }
    if parts.scratch + parts.prepared > 0 {
        parts.arena = parts.arena.next_multiple_of(LINE_BYTES);
        parts.scratch = parts.scratch.next_multiple_of(LINE_BYTES);
    }
    Ok(parts)
}

/// Packs what every node wants packed, behind the table.
fn prepare(model: &Model<'_>, ops: &[&'static Op], prepared: &mut [u8]) {
    let (table, mut rest) = prepared.split_at_mut(table_bytes(model));
    let mut start = table.len();
    for (node, entry) in model.nodes().zip(table.chunks_exact_mut(size_of::<u32>())) {
        let Some(op) = find(ops, node.code()) else {
            continue;
        };
        let bytes = (op.prepared_bytes)(&node, Architecture::current());
        let (packed, after) = rest.split_at_mut(bytes.next_multiple_of(LINE_BYTES));
        if bytes > 0 {
            (op.prepare)(&node, &mut packed[..bytes]);
        }
        entry.copy_from_slice(&((start + bytes) as u32).to_ne_bytes());
        start += packed.len();
        rest = after;
    }
}

/// Bytes of the table in front of what was prepared: for each node, where its part ends.
fn table_bytes(model: &Model<'_>) -> usize {
    (model.nodes().count() * size_of::<u32>()).next_multiple_of(LINE_BYTES)
}

impl<'a> Session<'a> {
    /// Bytes of memory that [`Session::new`] needs on this machine. Checks every node.
    pub fn memory_bytes(model: &Model<'_>, ops: &[&'static Op]) -> Result<usize, Error> {
        let parts = parts(model, ops)?;
        Ok(parts.arena + parts.scratch + parts.prepared)
    }

    /// Checks every node against its operator and packs weights where this machine wants it.
    /// `memory` starts at a multiple of 16 and holds at least [`Session::memory_bytes`].
    pub fn new(
        model: Model<'a>,
        ops: &'a [&'static Op],
        memory: &'a mut [u8],
    ) -> Result<Self, Error> {
        let parts = parts(&model, ops)?;
        let working_bytes = (parts.arena + parts.scratch).min(memory.len());
        let (working, prepared) = memory.split_at_mut(working_bytes);
        Self::with_parts(model, ops, parts, working, prepared)
    }

    /// As [`Session::new`], with memory in two parts, as [`Session::memory_parts`] gives their sizes.
    #[cfg(feature = "host")]
    pub(crate) fn in_parts(
        model: Model<'a>,
        ops: &'a [&'static Op],
        working: &'a mut [u8],
        prepared: &'a mut [u8],
    ) -> Result<Self, Error> {
        let parts = parts(&model, ops)?;
        Self::with_parts(model, ops, parts, working, prepared)
    }

    fn with_parts(
        model: Model<'a>,
        ops: &'a [&'static Op],
        parts: Parts,
        working: &'a mut [u8],
        prepared: &'a mut [u8],
    ) -> Result<Self, Error> {
        let working_bytes = parts.arena + parts.scratch;
        let holds = working.len() >= working_bytes && prepared.len() >= parts.prepared;
        if !holds || !working.as_ptr().addr().is_multiple_of(ALIGNMENT) {
            return Err(Error::new(Reason::Memory, working_bytes + parts.prepared));
        }
        let prepared = &mut prepared[..parts.prepared];
        if !prepared.is_empty() {
            prepare(&model, ops, prepared);
        }
        let session = Self::resume(model, ops, &mut working[..working_bytes], prepared);
        session.reset();
        Ok(session)
    }

    /// A session over memory that [`Session::new`] has prepared before: `working` and `prepared`
    /// are its two parts, as [`Session::memory_parts`] gives their sizes.
    pub fn resume(
        model: Model<'a>,
        ops: &'a [&'static Op],
        working: &'a mut [u8],
        prepared: &'a [u8],
    ) -> Self {
        let memory = Cell::from_mut(working).as_slice_of_cells();
        Session {
            model,
            ops,
            memory,
            prepared,
            threads: Threads::ALONE,
        }
    }

    /// The same session with threads that help. The answers are the same, to the bit.
    #[cfg(feature = "host")]
    pub fn with_threads(self, threads: Threads<'a>) -> Self {
        Session { threads, ..self }
    }

    /// Bytes of the working and the prepared part of the memory.
    pub fn memory_parts(model: &Model<'_>, ops: &[&'static Op]) -> Result<[usize; 2], Error> {
        let parts = parts(model, ops)?;
        Ok([parts.arena + parts.scratch, parts.prepared])
    }

    /// The model.
    pub fn model(&self) -> Model<'a> {
        self.model
    }

    /// The set of kernels that this session runs.
    pub fn kernels(&self) -> &'static str {
        Architecture::current().name()
    }

    /// Sets the state that is kept between runs to what the file says that it starts from, else to its
    /// zero points.
    pub fn reset(&self) {
        let state = self.memory.get(..self.model.state_bytes()).unwrap_or(&[]);
        state.iter().for_each(|cell| cell.set(0));
        for node in self.model.nodes() {
            let inputs = (0..node.input_count()).filter_map(|i| node.input(i));
            let outputs = (0..node.output_count()).filter_map(|i| node.output(i));
            for tensor in inputs.chain(outputs) {
                if tensor.place == Place::State && tensor.dtype == DType::I8 {
                    self.cells(&tensor)
                        .iter()
                        .for_each(|cell| cell.set(tensor.zero_point as u8));
                }
            }
        }
        for (start, state) in self.model.nodes().filter_map(|node| history::start(&node)) {
            let cells = self.cells(&state).iter().zip(start);
            cells.for_each(|(cell, byte)| cell.set(*byte));
        }
    }

    /// Runs the plan once. It cannot fail. Inputs may be overwritten: write them before each run.
    pub fn run(&mut self) {
        #[cfg(feature = "host")]
        if self.threads.are_some() {
            return self.run_divided();
        }
        self.run_with(&mut |_, _| ());
    }

    /// Runs the plan once and calls `after` behind each node: for profiles and for calibration.
    pub fn run_with(&mut self, after: &mut dyn FnMut(&Session<'_>, &Node<'_>)) {
        self.walk(&mut |op, run| {
            (op.run)(run);
            after(self, &run.node);
        });
    }

    /// Runs the plan once. Threads go on from layer to layer by themselves.
    #[cfg(feature = "host")]
    fn run_divided(&self) {
        let mut series = Series::new(self.threads);
        self.walk(&mut |op, run| match (op.layer)(run) {
            Some(layer) => series.push(layer),
            None => {
                series.finish();
                (op.run)(run);
            }
        });
        series.finish();
    }

    /// Calls `each` with every node of the plan and its memory.
    fn walk(&self, each: &mut dyn FnMut(&'static Op, &Run<'a>)) {
        // Empty on microcontrollers, where weights are used in place.
        let ends: &[u32] = match cfg!(target_os = "none") {
            true => &[],
            false => slice_as(self.prepared).unwrap_or(&[]),
        };
        let extra = self
            .memory
            .get(self.model.arena_bytes().next_multiple_of(LINE_BYTES)..)
            .unwrap_or(&[]);
        let mut start = match ends {
            [] => 0,
            _ => table_bytes(&self.model),
        };
        for node in self.model.nodes() {
            let Some(op) = find(self.ops, node.code()) else {
                continue;
            };
            let mut prepared: &[u8] = &[];
            if let Some(&end) = ends.get(node.index) {
                let end = end as usize;
                prepared = self.prepared.get(start..end).unwrap_or(&[]);
                start = end.next_multiple_of(LINE_BYTES);
            }
            // What is behind the arena is enough for every node whose scratch in the plan is not:
            // the larger of the two is enough for any.
            let scratch = if extra.len() > node.scratch_bytes() {
                extra
            } else {
                let start = node.scratch_offset();
                let planned = self.memory.get(start..start + node.scratch_bytes());
                planned.unwrap_or(&[])
            };
            let binding = Binding {
                prepared,
                scratch,
                threads: self.threads,
            };
            each(
                op,
                &Run {
                    node,
                    arena: self.memory,
                    binding,
                },
            );
        }
    }

    fn cells(&self, tensor: &Tensor) -> &'a [Cell<u8>] {
        let end = tensor.offset.saturating_add(tensor.bytes());
        self.memory.get(tensor.offset..end).unwrap_or(&[])
    }

    /// Copies a tensor's bytes, wherever it is.
    pub fn read(&self, tensor: &Tensor, bytes: &mut [u8]) {
        if tensor.place == Place::Constant {
            let constant = self.model.constant(tensor);
            bytes
                .iter_mut()
                .zip(constant)
                .for_each(|(to, from)| *to = *from);
        } else {
            bytes
                .iter_mut()
                .zip(self.cells(tensor))
                .for_each(|(to, from)| *to = from.get());
        }
    }

    /// Copies a tensor as real numbers, dequantized where it is quantized.
    pub fn read_f32(&self, tensor: &Tensor, values: &mut [f32]) {
        let mut element = [0u8; 8];
        let width = tensor.dtype.bytes().min(8);
        let cells = self.cells(tensor);
        if let (DType::F32, Some(floats)) = (tensor.dtype, cells_as::<f32>(cells)) {
            values
                .iter_mut()
                .zip(floats)
                .for_each(|(to, from)| *to = from.get());
            return;
        }
        if tensor.dtype == DType::I8 && tensor.scale > 0.0 {
            for (value, cell) in values.iter_mut().zip(cells) {
                let integer = i32::from(cell.get() as i8);
                *value = (integer - tensor.zero_point) as f32 * tensor.scale;
            }
            return;
        }
        for (i, value) in values.iter_mut().enumerate() {
            let from = cells.get(i * width..(i + 1) * width).unwrap_or(&[]);
            element
                .iter_mut()
                .zip(from)
                .for_each(|(to, from)| *to = from.get());
            *value = real(tensor, element);
        }
    }

    /// Writes input `index` as it is stored. The length must be the tensor's.
    pub fn set_input(&mut self, index: usize, bytes: &[u8]) -> Result<(), Error> {
        let error = Error::new(Reason::Port, index);
        let tensor = self.model.input(index).ok_or(error)?;
        if bytes.len() != tensor.bytes() {
            return Err(error);
        }
        self.cells(&tensor)
            .iter()
            .zip(bytes)
            .for_each(|(to, from)| to.set(*from));
        Ok(())
    }

    /// Writes a part of input `index` as it is stored, from byte `offset` on: for links that
    /// carry less than a whole input at once.
    pub fn set_input_part(
        &mut self,
        index: usize,
        offset: usize,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let error = Error::new(Reason::Port, index);
        let tensor = self.model.input(index).ok_or(error)?;
        let end = offset.checked_add(bytes.len()).ok_or(error)?;
        let cells = self.cells(&tensor).get(offset..end).ok_or(error)?;
        cells.iter().zip(bytes).for_each(|(to, from)| to.set(*from));
        Ok(())
    }

    /// Writes input `index` from real numbers in the tensor's own layout, quantized where the
    /// tensor is: see [`format::fixed::quantize`]. On hosts inputs of whole numbers without a scale,
    /// such as positions and pixels, take them rounded down.
    pub fn set_input_f32(&mut self, index: usize, values: &[f32]) -> Result<(), Error> {
        let error = Error::new(Reason::Port, index);
        let tensor = self.model.input(index).ok_or(error)?;
        if values.len() != tensor.shape.elements() {
            return Err(error);
        }
        let cells = self.cells(&tensor);
        match tensor.dtype {
            DType::F32 => {
                let floats = cells_as::<f32>(cells).ok_or(error)?;
                floats
                    .iter()
                    .zip(values)
                    .for_each(|(to, from)| to.set(*from));
            }
            DType::I8 if tensor.scale > 0.0 => {
                kernels::i8::quantize(&QuantizeI8 {
                    input: In::from_slice(values),
                    output: cells_as(cells).ok_or(error)?,
                    scale: tensor.scale,
                    zero_point: tensor.zero_point,
                    halves_to_even: true,
                });
            }
            DType::I16 if tensor.scale > 0.0 => {
                let words = cells_as::<i16>(cells).ok_or(error)?;
                for (cell, &value) in words.iter().zip(values) {
                    let (scale, zero) = (tensor.scale, tensor.zero_point);
                    cell.set(fixed::quantize(value, scale, zero, -32_768, 32_767) as i16);
                }
            }
            #[cfg(feature = "host")]
            dtype if tensor.scale <= 0.0 => {
                for (cells, &value) in cells.chunks_exact(dtype.bytes().max(1)).zip(values) {
                    let bytes = crate::host::whole(dtype, value).ok_or(error)?;
                    let pairs = cells.iter().zip(bytes);
                    pairs.for_each(|(to, from)| to.set(from));
                }
            }
            _ => return Err(error),
        }
        Ok(())
    }

    /// Copies output `index` as it is stored.
    pub fn output(&self, index: usize, bytes: &mut [u8]) -> Result<(), Error> {
        let error = Error::new(Reason::Port, index);
        let tensor = self.model.output(index).ok_or(error)?;
        if bytes.len() != tensor.bytes() {
            return Err(error);
        }
        self.read(&tensor, bytes);
        Ok(())
    }

    /// Copies output `index` as real numbers.
    pub fn output_f32(&self, index: usize, values: &mut [f32]) -> Result<(), Error> {
        let error = Error::new(Reason::Port, index);
        let tensor = self.model.output(index).ok_or(error)?;
        if values.len() != tensor.shape.elements() {
            return Err(error);
        }
        self.read_f32(&tensor, values);
        Ok(())
    }
}

/// One element as a real number.
fn real(tensor: &Tensor, bytes: [u8; 8]) -> f32 {
    let [a, b, c, d, ..] = bytes;
    let integer = match tensor.dtype {
        DType::F32 => return f32::from_le_bytes([a, b, c, d]),
        DType::I8 => i32::from(a as i8),
        DType::U8 | DType::Bool => i32::from(a),
        DType::I16 => i32::from(i16::from_le_bytes([a, b])),
        DType::I32 => i32::from_le_bytes([a, b, c, d]),
        DType::I64 => return i64::from_le_bytes(bytes) as f32,
        DType::U16 => i32::from(u16::from_le_bytes([a, b])),
        DType::U32 => return u32::from_le_bytes([a, b, c, d]) as f32,
        DType::U64 => {
            // In halves, for which boards have instructions.
            let [a, b, c, d, e, f, g, h] = bytes;
            let [low, high] = [[a, b, c, d], [e, f, g, h]].map(u32::from_le_bytes);
            return high as f32 * 4_294_967_296.0 + low as f32;
        }
        DType::F16 | DType::I4 | DType::Channel | DType::ChannelWide => 0,
    };
    if tensor.scale > 0.0 {
        (integer - tensor.zero_point) as f32 * tensor.scale
    } else {
        integer as f32
    }
}
