//! A session that owns its model and its memory, for hosts.

use super::spread::spread;
use super::{Data, Lowered, LoweredOperand, Operand, Operator, Tensor};
use crate::session::LINE_BYTES;
use crate::{Error, Model, Op, Reason, Session};
use format::fixed::Rounding;
use format::meta::{Meta, Port};
use format::{ABSENT, ALIGNMENT, Node, NodeRecord, Place, TensorRecord, Writer};
use kernels::Threads;
use kernels::memory::{as_bytes, as_bytes_mut};
use kernels::threads::ThreadPool;
use std::string::String;
use std::vec::Vec;

/// Bytes that start at a multiple of 64: a line of the cache.
#[derive(Debug, Default)]
pub struct AlignedBytes {
    words: Vec<u64>,
    start: usize,
    length: usize,
}

impl AlignedBytes {
    /// Zeros.
    pub fn zeroed(length: usize) -> Self {
        let words = std::vec![0u64; length.div_ceil(8) + LINE_BYTES / 8 - 1];
        // A vector of u64 is aligned to 8: no more than seven words are skipped.
        let start = words
            .as_ptr()
            .align_offset(LINE_BYTES)
            .min(LINE_BYTES / 8 - 1)
            * 8;
        AlignedBytes {
            start,
            words,
            length,
        }
    }

    /// A copy.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut copy = AlignedBytes::zeroed(bytes.len());
        copy.bytes_mut().copy_from_slice(bytes);
        copy
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &as_bytes(&self.words)[self.start..self.start + self.length]
    }

    /// The bytes, writable.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let (start, length) = (self.start, self.length);
        &mut as_bytes_mut(&mut self.words)[start..start + length]
    }
}

impl Clone for AlignedBytes {
    fn clone(&self) -> Self {
        // Another allocation may be aligned differently.
        AlignedBytes::copy_of(self.bytes())
    }
}

/// The most memory that a model may ask for: a file of a few bytes can ask for anything.
const MEMORY_BYTES_MAX: usize = 1 << 30;

/// A loaded model with its memory.
#[derive(Debug)]
pub struct Runner {
    file: AlignedBytes,
    meta: Meta,
    ops: &'static [&'static Op],
    working: AlignedBytes,
    prepared: AlignedBytes,
    /// The threads that help, and the file that they run.
    helped: Option<(ThreadPool, AlignedBytes)>,
}

impl Runner {
    /// Checks a model and makes it ready to run with every operator there is.
    pub fn new(file: &[u8]) -> Result<Self, Error> {
        Self::with_ops(file, crate::ops::ALL)
    }

    /// The same with the operators given.
    pub fn with_ops(file: &[u8], ops: &'static [&'static Op]) -> Result<Self, Error> {
        let file = AlignedBytes::copy_of(file);
        let model = Model::new(file.bytes())?;
        let meta = Meta::of(&model)?;
        let [working, prepared] = memory(model, ops)?;
        Ok(Runner {
            file,
            meta,
            ops,
            working,
            prepared,
            helped: None,
        })
    }

    /// The same model on so many threads, the calling one included. Layers are divided among them
    /// where that gains time, and the answers are the same, to the bit. State starts anew. 0 is 1.
    ///
    /// # Errors
    ///
    /// The system has no more threads to give.
    pub fn with_threads(mut self, threads: usize) -> std::io::Result<Self> {
        if threads < 2 {
            self.helped = None;
            return Ok(self);
        }
        let Ok(model) = self.model() else {
            return Ok(self);
        };
        let ops = self.ops;
        let scratch_bytes = |node: Node<'_>| {
            let op = ops.iter().find(|op| op.code == node.code())?;
            Some((op.scratch_bytes)(&node, kernels::Architecture::current()))
        };
        let scratch_bytes = model.nodes().filter_map(scratch_bytes).max().unwrap_or(0);
        let pool = ThreadPool::new(threads, scratch_bytes)?;
        let roomy = spread(&model, &self.meta, MEMORY_BYTES_MAX / 2);
        let mut file = AlignedBytes::copy_of(roomy.as_deref().unwrap_or(self.file.bytes()));
        let mut made = Model::new(file.bytes()).and_then(|model| memory(model, ops));
        if made.is_err() {
            // There is not enough memory for more room.
            file = self.file.clone();
            made = Model::new(file.bytes()).and_then(|model| memory(model, ops));
        }
        if let Ok([working, prepared]) = made {
            (self.working, self.prepared) = (working, prepared);
            self.helped = Some((pool, file));
        }
        Ok(self)
    }

    /// How many threads a session computes on.
    pub fn threads(&self) -> usize {
        self.helped.as_ref().map_or(1, |(pool, _)| pool.threads())
    }

    /// Names, layouts, labels and the manifest.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The file's bytes.
    pub fn file(&self) -> &[u8] {
        self.file.bytes()
    }

    /// The checked model.
    pub fn model(&self) -> Result<Model<'_>, Error> {
        Model::resume(self.file.bytes())
    }

    /// A session over the memory; state is kept between calls.
    pub fn session(&mut self) -> Result<Session<'_>, Error> {
        let file = self.helped.as_ref().map_or(&self.file, |(_, file)| file);
        let threads = self.helped.as_ref().map(|(pool, _)| Threads::of(pool));
        let model = Model::resume(file.bytes())?;
        let working = self.working.bytes_mut();
        let session = Session::resume(model, self.ops, working, self.prepared.bytes());
        Ok(session.with_threads(threads.unwrap_or(Threads::ALONE)))
    }
}

/// The working and the prepared part of a session's memory, made by a first session.
fn memory(model: Model<'_>, ops: &[&'static Op]) -> Result<[AlignedBytes; 2], Error> {
    let [working_bytes, prepared_bytes] = Session::memory_parts(&model, ops)?;
    let bytes = working_bytes.saturating_add(prepared_bytes);
    if bytes > MEMORY_BYTES_MAX {
        return Err(Error::new(Reason::Memory, bytes));
    }
    let [mut working, mut prepared] = [working_bytes, prepared_bytes].map(AlignedBytes::zeroed);
    Session::in_parts(model, ops, working.bytes_mut(), prepared.bytes_mut())?;
    Ok([working, prepared])
}

/// Runs one operator on host tensors, through the same lowering and kernels as a whole model.
/// For constant folding and for tests. Inputs that `constant` names are stored in the file.
pub fn evaluate(
    operator: &dyn Operator,
    inputs: &[Option<(Tensor, Option<super::Quantization>)>],
    output_quantization: &[Option<super::Quantization>],
    rounding: Rounding,
) -> Result<Vec<Tensor>, String> {
    let operands: Vec<Option<Operand<'_>>> = inputs
        .iter()
        .map(|input| {
            input.as_ref().map(|(tensor, quantization)| Operand {
                dtype: tensor.data.dtype(),
                shape: tensor.shape,
                quantization: quantization.as_ref(),
                data: Some(&tensor.data),
            })
        })
        .collect();
    let inferred = operator.infer(&operands)?;
    let outputs: Vec<Operand<'_>> = inferred
        .iter()
        .enumerate()
        .map(|(i, &(dtype, shape))| {
            let quantization = output_quantization.get(i).and_then(Option::as_ref);
            Operand {
                dtype,
                shape,
                quantization,
                data: None,
            }
        })
        .collect();
    let lowered = operator.lower(&operands, &outputs, rounding)?;
    let file = single_node(&lowered, &operands, &outputs).ok_or("the model is too large")?;
    let mut runner = Runner::new(&file).map_err(|error| std::format!("{error}"))?;
    let mut session = runner.session().map_err(|error| std::format!("{error}"))?;
    session.run();
    let mut results = Vec::new();
    for (i, output) in outputs.iter().enumerate() {
        let mut bytes = std::vec![0u8; output.shape.elements() * output.dtype.bytes()];
        session
            .output(i, &mut bytes)
            .map_err(|error| std::format!("{error}"))?;
        let data = Data::from_bytes(output.dtype, &bytes)?;
        results.push(Tensor {
            shape: output.shape,
            data,
        });
    }
    Ok(results)
}

/// A file whose plan is one node with constant inputs.
fn single_node(
    lowered: &Lowered,
    inputs: &[Option<Operand<'_>>],
    outputs: &[Operand<'_>],
) -> Option<Vec<u8>> {
    let mut writer = Writer::default();
    let mut record = NodeRecord {
        code: lowered.code,
        params: lowered.params.clone(),
        ..NodeRecord::default()
    };
    for operand in &lowered.operands {
        record.inputs.push(match operand {
            LoweredOperand::Absent => ABSENT,
            LoweredOperand::Input(index) => {
                let source = inputs.get(*index)?.as_ref()?;
                let bytes = source.data?.bytes();
                let offset = writer.constant(bytes, source.dtype.alignment());
                writer.tensor(&tensor_record(source, Place::Constant, offset))?
            }
            LoweredOperand::Constant {
                dtype,
                shape,
                bytes,
            } => {
                let offset = writer.constant(bytes, dtype.alignment());
                let source = Operand {
                    dtype: *dtype,
                    shape: *shape,
                    quantization: None,
                    data: None,
                };
                writer.tensor(&tensor_record(&source, Place::Constant, offset))?
            }
        });
    }
    let mut arena = 0u32;
    for output in outputs {
        record
            .outputs
            .push(writer.tensor(&tensor_record(output, Place::Arena, arena))?);
        let bytes = output.shape.elements() * output.dtype.bytes();
        arena += bytes.next_multiple_of(ALIGNMENT) as u32;
    }
    writer.node(&record)?;
    let ports = std::vec![Port::default(); outputs.len()];
    let meta = Meta {
        outputs: ports,
        ..Meta::default()
    };
    writer.ports(Vec::new(), record.outputs);
    writer.finish(arena, 0, &meta)
}

/// The record of an operand at a place.
pub fn tensor_record(operand: &Operand<'_>, place: Place, offset: u32) -> TensorRecord {
    let affine = operand.quantization.filter(|q| q.axis.is_none());
    TensorRecord {
        dtype: operand.dtype,
        place,
        offset,
        shape: operand.shape,
        scale: affine.map_or(0.0, |q| q.scale(0)),
        zero_point: affine.map_or(0, |q| q.zero_point as i16),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_cannot_ask_for_gigabytes() {
        let file = |arena_bytes| Writer::default().finish(arena_bytes, 0, &Meta::default());
        assert!(Runner::new(&file(1 << 20).unwrap()).is_ok());
        let refused = Runner::new(&file(3 << 30).unwrap()).unwrap_err();
        assert_eq!(refused.reason, Reason::Memory);
    }
}
