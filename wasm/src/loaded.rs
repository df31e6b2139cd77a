//! A model with its memory, and the elements that go in and out.

use crate::aligned::AlignedBytes;
use crate::layout::Layout;
use bytemuck::{try_cast_slice, try_cast_slice_mut};
use format::meta::{Meta, Port};
use format::{DType, Error, Reason, Tensor};
use runtime::{Model, Session, ops};

/// How elements are handed over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As single precision numbers.
    Real,
    /// As the tensor stores them.
    Stored,
}

/// A model that is ready to run.
pub(crate) struct Loaded {
    file: AlignedBytes,
    meta: Meta,
    /// The arena and extra scratch memory, then weights packed for this machine.
    memory: AlignedBytes,
    working_bytes: usize,
    inputs: Vec<Layout>,
    outputs: Vec<Layout>,
    /// Where JavaScript writes inputs and reads outputs, in its own order of elements.
    exchange: AlignedBytes,
    /// The same elements in the tensor's order; empty where all layouts are the same.
    ordered: AlignedBytes,
}

/// Bytes that a tensor's elements take in the wider of the two forms.
fn exchange_bytes(tensor: &Tensor) -> usize {
    tensor
        .shape
        .elements()
        .saturating_mul(tensor.dtype.bytes().max(size_of::<f32>()))
}

/// The layouts of some ports, and the bytes that the largest of them needs.
fn layouts(
    ports: &[Port],
    tensor: impl Fn(usize) -> Option<Tensor>,
) -> Result<(Vec<Layout>, usize), Error> {
    let mut layouts = Vec::new();
    let mut bytes = 0;
    for (index, port) in ports.iter().enumerate() {
        let tensor = tensor(index).ok_or(Error::new(Reason::Port, index))?;
        let layout = Layout::new(&port.shape, &port.axes, &tensor.shape);
        layouts.push(layout.ok_or(Error::new(Reason::Meta, index))?);
        bytes = exchange_bytes(&tensor).max(bytes);
    }
    Ok((layouts, bytes))
}

/// Memory, or an error that says how much was asked for.
fn reserve(bytes: usize) -> Result<AlignedBytes, Error> {
    AlignedBytes::zeroed(bytes).ok_or(Error::new(Reason::Memory, bytes))
}

impl Loaded {
    /// Checks the file and makes it ready to run; gives the file back with the error.
    pub(crate) fn new(file: AlignedBytes) -> Result<Self, (Error, AlignedBytes)> {
        match Self::parts(&file) {
            Ok((meta, memory, working_bytes, [inputs, outputs], [exchange, ordered])) => {
                Ok(Loaded {
                    file,
                    meta,
                    memory,
                    working_bytes,
                    inputs,
                    outputs,
                    exchange,
                    ordered,
                })
            }
            Err(error) => Err((error, file)),
        }
    }

    #[allow(
        clippy::type_complexity,
        reason = "the parts are put together in one place"
    )]
    fn parts(
        file: &AlignedBytes,
    ) -> Result<
        (
            Meta,
            AlignedBytes,
            usize,
            [Vec<Layout>; 2],
            [AlignedBytes; 2],
        ),
        Error,
    > {
        let model = Model::new(file.bytes())?;
        let meta = Meta::of(&model)?;
        let (inputs, input_bytes) = layouts(&meta.inputs, |i| model.input(i))?;
        let (outputs, output_bytes) = layouts(&meta.outputs, |i| model.output(i))?;
        let [working_bytes, prepared_bytes] = Session::memory_parts(&model, ops::ALL)?;
        let mut memory = reserve(working_bytes.saturating_add(prepared_bytes))?;
        Session::new(model, ops::ALL, memory.bytes_mut())?;
        let exchange_bytes = input_bytes.max(output_bytes);
        let reorders = inputs
            .iter()
            .chain(&outputs)
            .any(|layout| *layout != Layout::Same);
        let ordered_bytes = if reorders { exchange_bytes } else { 0 };
        let buffers = [reserve(exchange_bytes)?, reserve(ordered_bytes)?];
        Ok((meta, memory, working_bytes, [inputs, outputs], buffers))
    }

    /// Names, layouts, labels and the manifest.
    pub(crate) fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The checked model.
    pub(crate) fn model(&self) -> Result<Model<'_>, Error> {
        Model::resume(self.file.bytes())
    }

    /// Bytes of working memory and packed weights.
    pub(crate) fn ram_bytes(&self) -> usize {
        self.memory.bytes().len()
    }

    /// Where JavaScript writes inputs and reads outputs.
    pub(crate) fn exchange_address(&mut self) -> u32 {
        self.exchange.address()
    }

    fn session(&mut self) -> Result<(Session<'_>, Buffers<'_>), Error> {
        let model = Model::resume(self.file.bytes())?;
        let memory = self.memory.bytes_mut();
        let (working, prepared) = memory.split_at_mut(self.working_bytes.min(memory.len()));
        let session = Session::resume(model, ops::ALL, working, prepared);
        let exchange = self.exchange.bytes_mut();
        let ordered = self.ordered.bytes_mut();
        let (inputs, outputs) = (&self.inputs, &self.outputs);
        Ok((
            session,
            Buffers {
                exchange,
                ordered,
                inputs,
                outputs,
            },
        ))
    }

    /// Hands over the exchange memory's elements as input `index`.
    pub(crate) fn set_input(&mut self, index: usize, form: Form) -> Result<(), Error> {
        let error = Error::new(Reason::Port, index);
        let (mut session, buffers) = self.session()?;
        let tensor = session.model().input(index).ok_or(error)?;
        let layout = buffers.inputs.get(index).ok_or(error)?;
        let (width, bytes) = form.sizes(&tensor);
        let given = buffers.exchange.get(..bytes).ok_or(error)?;
        let elements = if *layout == Layout::Same {
            given
        } else {
            let ordered = buffers.ordered.get_mut(..bytes).ok_or(error)?;
            layout.gather(width, given, ordered);
            ordered
        };
        match form {
            Form::Stored => session.set_input(index, elements),
            Form::Real => {
                session.set_input_f32(index, try_cast_slice(elements).map_err(|_| error)?)
            }
        }
    }

    /// Runs the plan once.
    pub(crate) fn run(&mut self) -> Result<(), Error> {
        self.session()?.0.run();
        Ok(())
    }

    /// Puts output `index` into the exchange memory.
    pub(crate) fn get_output(&mut self, index: usize, form: Form) -> Result<(), Error> {
        let error = Error::new(Reason::Port, index);
        let (session, buffers) = self.session()?;
        let tensor = session.model().output(index).ok_or(error)?;
        let layout = buffers.outputs.get(index).ok_or(error)?;
        let (width, bytes) = form.sizes(&tensor);
        let given = buffers.exchange.get_mut(..bytes).ok_or(error)?;
        if *layout == Layout::Same {
            return read(&session, index, form, given);
        }
        let ordered = buffers.ordered.get_mut(..bytes).ok_or(error)?;
        read(&session, index, form, ordered)?;
        layout.scatter(width, ordered, given);
        Ok(())
    }

    /// Forgets the state that is kept between runs.
    pub(crate) fn reset(&mut self) -> Result<(), Error> {
        self.session()?.0.reset();
        Ok(())
    }
}

/// What a session does not own.
struct Buffers<'a> {
    exchange: &'a mut [u8],
    ordered: &'a mut [u8],
    inputs: &'a [Layout],
    outputs: &'a [Layout],
}

impl Form {
    /// Bytes of one element and of all.
    fn sizes(self, tensor: &Tensor) -> (usize, usize) {
        let dtype = if self == Form::Real {
            DType::F32
        } else {
            tensor.dtype
        };
        (
            dtype.bytes(),
            tensor.shape.elements().saturating_mul(dtype.bytes()),
        )
    }
}

fn read(session: &Session<'_>, index: usize, form: Form, to: &mut [u8]) -> Result<(), Error> {
    match form {
        Form::Stored => session.output(index, to),
        Form::Real => {
            let values = try_cast_slice_mut(to).map_err(|_| Error::new(Reason::Port, index))?;
            session.output_f32(index, values)
        }
    }
}
