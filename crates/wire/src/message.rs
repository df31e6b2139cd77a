//! What host and device say.

use crate::Refusal;
use serde::{Deserialize, Serialize, Serializer};

/// The protocol's version. Both sides must have the same.
pub const PROTOCOL_VERSION: u16 = 1;

/// The number of nodes that one [`Request::Profile`] measures at most.
pub const PROFILE_NODES: usize = 32;

/// From the host to the device.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request<'a> {
    /// Asks for [`Reply::Hello`].
    Hello,
    /// Begins to send a model. Only [`Request::ModelPart`] and [`Request::EndModel`] may follow;
    /// another request ends the transfer and is refused. The answer is [`Reply::Done`].
    BeginModel {
        /// Length of the whole model.
        bytes: u32,
        /// Its CRC-32.
        checksum: u32,
    },
    /// The next bytes of the model. The answer is [`Reply::Done`].
    ModelPart {
        /// Where they belong: the number of bytes sent before.
        offset: u32,
        /// The bytes.
        #[serde(borrow, serialize_with = "plain_bytes")]
        data: &'a [u8],
    },
    /// Checks the model sent and makes it ready. The answer is [`Reply::Loaded`].
    EndModel,
    /// Makes the model ready that is already in the device's model memory, such as flash. The
    /// answer is [`Reply::Loaded`].
    UseStored {
        /// Length of the model.
        bytes: u32,
    },
    /// Writes a part of an input as it is stored. The answer is [`Reply::Done`].
    SetInput {
        /// Which input.
        index: u8,
        /// Byte offset in the input.
        offset: u32,
        /// The bytes.
        #[serde(borrow, serialize_with = "plain_bytes")]
        data: &'a [u8],
    },
    /// Runs the plan once. The answer is [`Reply::Ran`]. Inputs may be overwritten by it.
    Run,
    /// Asks for a part of an output as it is stored: [`Reply::Data`].
    Output {
        /// Which output.
        index: u8,
        /// Byte offset in the output.
        offset: u32,
        /// How many bytes.
        bytes: u32,
    },
    /// Sets the state that is kept between runs to its zero points. The answer is
    /// [`Reply::Done`].
    Reset,
    /// Runs the plan once, like [`Request::Run`], and measures [`PROFILE_NODES`] nodes of it.
    /// The answer is [`Reply::Profile`].
    Profile {
        /// The first node to be measured.
        first: u16,
    },
    /// Asks for [`Reply::Stats`].
    Stats,
    /// Asks a device under a debugger or an emulator to go on over the debugger's standard input
    /// and output, which is much faster than an emulated UART. The answer, [`Reply::Done`], still
    /// comes over the old link. Without a debugger the processor stops.
    SwitchToDebugger,
}

/// From the device to the host: one for each request, in order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply<'a> {
    /// What the device is.
    #[serde(borrow)]
    Hello(Hello<'a>),
    /// It is done.
    Done,
    /// The model is ready.
    Loaded(Loaded),
    /// The plan ran.
    Ran {
        /// Ticks of the device's counter, of [`Hello::clock_hz`].
        ticks: u64,
    },
    /// A part of an output.
    Data {
        /// The bytes.
        #[serde(borrow, serialize_with = "plain_bytes")]
        data: &'a [u8],
    },
    /// The plan ran.
    Profile {
        /// How many of `ticks` are nodes.
        count: u8,
        /// Ticks of each node.
        ticks: [u32; PROFILE_NODES],
    },
    /// What is used of the device's memory.
    Stats(Stats),
    /// The request was not carried out.
    Refused(Refusal),
}

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello<'a> {
    /// [`PROTOCOL_VERSION`] of the firmware.
    pub protocol_version: u16,
    /// Version of the compact model's format that the firmware reads.
    pub format_version: u16,
    /// Name of the board.
    pub board: &'a str,
    /// Version of the firmware.
    pub firmware: &'a str,
    /// The set of kernels that runs.
    pub kernels: &'a str,
    /// Frequency of the counter that measures runs.
    pub clock_hz: u32,
    /// The largest frame that the device takes, with its end.
    pub frame_bytes: u32,
    /// Memory for a model's arena.
    pub arena_bytes: u32,
    /// Memory for a model.
    pub model_bytes: u32,
    /// Whether [`Request::BeginModel`] can write that memory.
    pub is_model_writable: bool,
}

/// What a device says of a model that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    /// The number of inputs.
    pub inputs: u8,
    /// The number of outputs.
    pub outputs: u8,
    /// The number of nodes in the plan.
    pub nodes: u16,
    /// Memory that the session uses: arena, scratch, packed weights.
    pub memory_bytes: u32,
}

/// What is used of a device's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// The plan's arena, with the state kept between runs.
    pub arena_bytes: u32,
    /// The part of it that is state.
    pub state_bytes: u32,
    /// All memory of the session: the arena, more scratch, packed weights.
    pub memory_bytes: u32,
    /// The session itself.
    pub session_bytes: u32,
    /// The deepest that the stack has been since the start.
    pub stack_used_bytes: u32,
    /// The stack's size. When it is used up, it has run into the arena.
    pub stack_bytes: u32,
}

/// As one piece: serde's own way is byte by byte. The bytes are the same.
fn plain_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}
