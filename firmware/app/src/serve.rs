//! The conversation: load a model, then inputs, runs and outputs, until another model comes.

use crate::OPERATORS;
use crate::link::{Incoming, Outgoing};
use format::{DType, Shape, Tensor};
use runtime::{Architecture, Error, Model, Reason, Session};
use wire::{
    Hello, Loaded, PROFILE_NODES, PROTOCOL_VERSION, Refusal, Reply, Request, Stats, crc32,
    data_bytes_max,
};

/// The smallest frame buffer: the largest reply that is not data is a profile.
const FRAME_BYTES_MIN: usize = 256;

/// What a board's own code does.
pub trait Board {
    /// Waits for the next byte of the link; `None` when there will be no more.
    fn receive(&mut self) -> Option<u8>;
    /// Sends bytes over the link.
    fn send(&mut self, bytes: &[u8]);
    /// Ticks of a counter of [`Profile::clock_hz`] since some time. It never runs backwards.
    fn ticks(&mut self) -> u64;
    /// Goes on over the standard input and output of the debugger, where there is one.
    fn switch_to_debugger(&mut self);
    /// The deepest that the stack has been, in bytes.
    fn stack_used_bytes(&mut self) -> u32;
}

/// A board's facts.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// Its name.
    pub name: &'static str,
    /// Frequency of [`Board::ticks`].
    pub clock_hz: u32,
    /// Size of the stack.
    pub stack_bytes: u32,
}

/// Where models are kept: at a multiple of 16.
#[derive(Debug)]
pub enum Store<'a> {
    /// Memory that this program may write.
    Ram(&'a mut [u8]),
    /// Memory that only a debugger or a boot loader writes.
    Flash(&'a [u8]),
}

impl Store<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Store::Ram(bytes) => bytes,
            Store::Flash(bytes) => bytes,
        }
    }
}

/// A board's memory.
#[derive(Debug)]
pub struct Memory<'a> {
    /// Holds the request that arrives, and data on its way out. At least 256 bytes.
    pub received: &'a mut [u8],
    /// Holds a reply before it is framed; as long as `received`.
    pub plain: &'a mut [u8],
    /// Holds a reply's frame; as long as `received`.
    pub frame: &'a mut [u8],
    /// Holds the model.
    pub store: Store<'a>,
    /// Holds the session's arena; starts at a multiple of 16.
    pub arena: &'a mut [u8],
}

/// A request that replaces the model.
enum Load {
    Stream { bytes: u32, checksum: u32 },
    Stored { bytes: u32 },
}

struct Server<'a, B> {
    board: &'a mut B,
    profile: Profile,
    incoming: Incoming<'a>,
    outgoing: Outgoing<'a>,
    model_bytes: u32,
    is_model_writable: bool,
    arena_bytes: u32,
}

/// Answers requests until the link closes.
pub fn serve<B: Board>(board: &mut B, profile: Profile, memory: Memory<'_>) {
    let Memory {
        received,
        plain,
        frame,
        mut store,
        arena,
    } = memory;
    if received.len().min(plain.len()).min(frame.len()) < FRAME_BYTES_MIN {
        return;
    }
    let mut server = Server {
        board,
        profile,
        incoming: Incoming::new(received),
        outgoing: Outgoing { plain, frame },
        model_bytes: store.bytes().len() as u32,
        is_model_writable: matches!(store, Store::Ram(_)),
        arena_bytes: arena.len() as u32,
    };
    let mut next = server.converse(None);
    while let Some(load) = next {
        let ready = match load {
            Load::Stored { bytes } => Ok(bytes),
            Load::Stream { bytes, checksum } => {
                let Some(outcome) = server.receive_model(&mut store, bytes, checksum) else {
                    return;
                };
                outcome.map(|()| bytes)
            }
        };
        let session = ready.and_then(|bytes| open(store.bytes(), bytes, arena));
        server.reply_loaded(&session);
        next = server.converse(session.ok());
    }
}

fn open<'a>(store: &'a [u8], bytes: u32, arena: &'a mut [u8]) -> Result<Session<'a>, Refusal> {
    let too_large = Refusal::TooLarge {
        bytes: store.len() as u32,
    };
    let model = Model::new(store.get(..bytes as usize).ok_or(too_large)?)?;
    Ok(Session::new(model, OPERATORS, arena)?)
}

impl<B: Board> Server<'_, B> {
    fn reply(&mut self, reply: &Reply<'_>) {
        self.outgoing.send(self.board, reply);
    }

    fn reply_outcome<E: Into<Refusal>>(&mut self, outcome: Result<(), E>) {
        match outcome {
            Ok(()) => self.reply(&Reply::Done),
            Err(error) => self.reply(&Reply::Refused(error.into())),
        }
    }

    fn reply_loaded(&mut self, session: &Result<Session<'_>, Refusal>) {
        let loaded = session
            .as_ref()
            .map_err(|&refusal| refusal)
            .and_then(|session| {
                let model = session.model();
                let memory_bytes = Session::memory_bytes(&model, OPERATORS)?;
                Ok(Loaded {
                    inputs: model.input_count() as u8,
                    outputs: model.output_count() as u8,
                    nodes: model.node_count() as u16,
                    memory_bytes: memory_bytes as u32,
                })
            });
        match loaded {
            Ok(loaded) => self.reply(&Reply::Loaded(loaded)),
            Err(refusal) => self.reply(&Reply::Refused(refusal)),
        }
    }

    /// Answers until another model is to be loaded; `None` when the link has closed.
    fn converse(&mut self, mut session: Option<Session<'_>>) -> Option<Load> {
        loop {
            let request = match self.incoming.next(self.board)? {
                Ok(request) => request,
                Err(refusal) => {
                    self.reply(&Reply::Refused(refusal));
                    continue;
                }
            };
            match (request, session.as_mut()) {
                (Request::Hello, _) => self.reply_hello(),
                (Request::SwitchToDebugger, _) => {
                    self.reply(&Reply::Done);
                    self.board.switch_to_debugger();
                }
                (Request::UseStored { bytes }, _) => return Some(Load::Stored { bytes }),
                (Request::BeginModel { bytes, checksum }, _) => match self.may_begin(bytes) {
                    Ok(()) => {
                        self.reply(&Reply::Done);
                        return Some(Load::Stream { bytes, checksum });
                    }
                    Err(refusal) => self.reply(&Reply::Refused(refusal)),
                },
                (Request::ModelPart { .. } | Request::EndModel, _) => {
                    self.reply(&Reply::Refused(Refusal::OutOfOrder));
                }
                (_, None) => self.reply(&Reply::Refused(Refusal::NoModel)),
                (
                    Request::SetInput {
                        index,
                        offset,
                        data,
                    },
                    Some(session),
                ) => {
                    let outcome = session.set_input_part(usize::from(index), offset as usize, data);
                    self.reply_outcome(outcome);
                }
                (
                    Request::Output {
                        index,
                        offset,
                        bytes,
                    },
                    Some(session),
                ) => {
                    self.reply_output(session, index, offset, bytes);
                }
                (Request::Run, Some(session)) => {
                    let start = self.board.ticks();
                    session.run();
                    let ticks = self.board.ticks().saturating_sub(start);
                    self.reply(&Reply::Ran { ticks });
                }
                (Request::Profile { first }, Some(session)) => {
                    self.reply_profile(session, usize::from(first));
                }
                (Request::Reset, Some(session)) => {
                    session.reset();
                    self.reply(&Reply::Done);
                }
                (Request::Stats, Some(session)) => self.reply_stats(session),
            }
        }
    }

    fn may_begin(&self, bytes: u32) -> Result<(), Refusal> {
        if !self.is_model_writable {
            return Err(Refusal::ReadOnly);
        }
        if bytes > self.model_bytes {
            return Err(Refusal::TooLarge {
                bytes: self.model_bytes,
            });
        }
        Ok(())
    }

    /// Takes the parts of a model; `None` when the link has closed.
    fn receive_model(
        &mut self,
        store: &mut Store<'_>,
        bytes: u32,
        checksum: u32,
    ) -> Option<Result<(), Refusal>> {
        let Store::Ram(memory) = store else {
            return Some(Err(Refusal::ReadOnly));
        };
        let Some(model) = memory.get_mut(..bytes as usize) else {
            return Some(Err(Refusal::TooLarge {
                bytes: memory.len() as u32,
            }));
        };
        let mut written = 0;
        loop {
            match self.incoming.next(self.board)? {
                Ok(Request::ModelPart { offset, data }) if offset as usize == written => {
                    let end = written.saturating_add(data.len());
                    let Some(place) = model.get_mut(written..end) else {
                        return Some(Err(Refusal::OutOfOrder));
                    };
                    place.copy_from_slice(data);
                    written = end;
                }
                Ok(Request::EndModel) if written == model.len() => {
                    let error = Error::new(Reason::Checksum, 0);
                    let is_right = crc32(model) == checksum;
                    return Some(if is_right { Ok(()) } else { Err(error.into()) });
                }
                Ok(_) => return Some(Err(Refusal::OutOfOrder)),
                Err(refusal) => return Some(Err(refusal)),
            }
            self.reply(&Reply::Done);
        }
    }

    fn reply_hello(&mut self) {
        let hello = Hello {
            protocol_version: PROTOCOL_VERSION,
            format_version: format::VERSION,
            board: self.profile.name,
            firmware: env!("CARGO_PKG_VERSION"),
            kernels: Architecture::current().name(),
            clock_hz: self.profile.clock_hz,
            frame_bytes: self.incoming.capacity() as u32,
            arena_bytes: self.arena_bytes,
            model_bytes: self.model_bytes,
            is_model_writable: self.is_model_writable,
        };
        self.reply(&Reply::Hello(hello));
    }

    fn reply_output(&mut self, session: &Session<'_>, index: u8, offset: u32, bytes: u32) {
        let bytes = bytes.min(data_bytes_max(self.incoming.capacity()) as u32);
        let Some(part) = output_part(session, index, offset, bytes) else {
            let error = Error::new(Reason::Port, usize::from(index));
            return self.reply(&Reply::Refused(error.into()));
        };
        let data = self.incoming.spare(bytes as usize);
        session.read(&part, data);
        self.outgoing.send(self.board, &Reply::Data { data });
    }

    fn reply_profile(&mut self, session: &mut Session<'_>, first: usize) {
        let mut ticks = [0u32; PROFILE_NODES];
        let mut count = 0;
        let mut last = self.board.ticks();
        session.run_with(&mut |_, node| {
            let now = self.board.ticks();
            let slot = node
                .index
                .checked_sub(first)
                .and_then(|slot| ticks.get_mut(slot));
            if let Some(slot) = slot {
                *slot = u32::try_from(now.saturating_sub(last)).unwrap_or(u32::MAX);
                count += 1;
            }
            last = self.board.ticks();
        });
        self.reply(&Reply::Profile { count, ticks });
    }

    fn reply_stats(&mut self, session: &Session<'_>) {
        let model = session.model();
        let memory_bytes = match Session::memory_bytes(&model, OPERATORS) {
            Ok(bytes) => bytes as u32,
            Err(error) => return self.reply(&Reply::Refused(error.into())),
        };
        let stats = Stats {
            arena_bytes: model.arena_bytes() as u32,
            state_bytes: model.state_bytes() as u32,
            memory_bytes,
            session_bytes: size_of::<Session<'_>>() as u32,
            stack_used_bytes: self.board.stack_used_bytes(),
            stack_bytes: self.profile.stack_bytes,
        };
        self.reply(&Reply::Stats(stats));
    }
}

/// `bytes` of an output from `offset` on, as a tensor of bytes; `None` outside the output.
fn output_part(session: &Session<'_>, index: u8, offset: u32, bytes: u32) -> Option<Tensor> {
    let output = session.model().output(usize::from(index))?;
    let (offset, end) = (offset as usize, offset.checked_add(bytes)? as usize);
    let part = Tensor {
        dtype: DType::U8,
        offset: output.offset + offset,
        shape: Shape::new(&[bytes])?,
        ..output
    };
    (end <= output.bytes()).then_some(part)
}
