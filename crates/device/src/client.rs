//! The host's side of the protocol: one request, one reply.

use crate::{Error, Link};
use std::time::{Duration, Instant};
use wire::{
    Hello, Loaded, PROFILE_NODES, PROTOCOL_VERSION, Receiver, Reply, Request, Stats, crc32,
    data_bytes_max, decode, encode, encoded_bytes_max,
};

/// Room for a frame, until the device has said how much it takes.
const FRAME_BYTES: usize = 1 << 16;
/// The limit for requests that take the device no time to speak of.
const REPLY_LIMIT: Duration = Duration::from_secs(60);
/// The limit for one run of the plan, of thousands of millions of instructions.
const RUN_LIMIT: Duration = Duration::from_secs(900);

/// What a device says of itself: [`Hello`], with texts of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Name of the board.
    pub board: String,
    /// Version of the firmware.
    pub firmware: String,
    /// The set of kernels that runs.
    pub kernels: String,
    /// Frequency in Hz of the counter that measures runs.
    pub clock_hz: u32,
    /// The largest frame that the device takes, in bytes.
    pub frame_bytes: usize,
    /// Memory for a model's arena, in bytes.
    pub arena_bytes: usize,
    /// Memory for a model, in bytes.
    pub model_bytes: usize,
    /// Whether [`Client::load`] can write that memory.
    pub is_model_writable: bool,
}

impl From<Hello<'_>> for DeviceInfo {
    fn from(hello: Hello<'_>) -> Self {
        DeviceInfo {
            board: hello.board.to_owned(),
            firmware: hello.firmware.to_owned(),
            kernels: hello.kernels.to_owned(),
            clock_hz: hello.clock_hz,
            frame_bytes: hello.frame_bytes as usize,
            arena_bytes: hello.arena_bytes as usize,
            model_bytes: hello.model_bytes as usize,
            is_model_writable: hello.is_model_writable,
        }
    }
}

/// A conversation with a device.
#[derive(Debug)]
pub struct Client<L> {
    link: L,
    receiver: Receiver<Vec<u8>>,
    /// Bytes that have arrived behind the last frame.
    pending: Vec<u8>,
    plain: Vec<u8>,
    frame: Vec<u8>,
    data_bytes: usize,
}

impl<L: Link> Client<L> {
    /// A client that has not spoken yet.
    pub(crate) fn over(link: L) -> Self {
        Client {
            link,
            receiver: Receiver::new(vec![0; FRAME_BYTES]),
            pending: Vec::new(),
            plain: vec![0; FRAME_BYTES],
            frame: vec![0; encoded_bytes_max(FRAME_BYTES)],
            data_bytes: 0,
        }
    }

    /// Greets the device, and checks that both speak the same version.
    pub fn connect(link: L) -> Result<(Self, DeviceInfo), Error> {
        let mut client = Self::over(link);
        let hello = match client.request(&Request::Hello, "a greeting")? {
            Reply::Hello(hello) => hello,
            _ => return Err(client.unexpected("a greeting")),
        };
        let theirs = hello.protocol_version;
        let info = DeviceInfo::from(hello);
        if theirs != PROTOCOL_VERSION {
            return Err(Error::Version {
                device: client.link.name().to_owned(),
                theirs,
                ours: PROTOCOL_VERSION,
            });
        }
        client.data_bytes = data_bytes_max(info.frame_bytes.min(FRAME_BYTES));
        if client.data_bytes == 0 {
            return Err(client.unexpected("a greeting"));
        }
        Ok((client, info))
    }

    /// Sends a model and has the device check it.
    pub fn load(&mut self, model: &[u8]) -> Result<Loaded, Error> {
        let begin = Request::BeginModel {
            bytes: length_u32(model),
            checksum: crc32(model),
        };
        self.request_done(&begin, "a model")?;
        let mut offset = 0;
        for data in model.chunks(self.data_bytes) {
            self.request_done(&Request::ModelPart { offset, data }, "a part of a model")?;
            offset += length_u32(data);
        }
        self.loaded(&Request::EndModel)
    }

    /// Has the device check the model of `bytes` that is already in its memory.
    pub fn use_stored(&mut self, bytes: usize) -> Result<Loaded, Error> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.loaded(&Request::UseStored { bytes })
    }

    fn loaded(&mut self, request: &Request<'_>) -> Result<Loaded, Error> {
        match self.request(request, "the model")? {
            Reply::Loaded(loaded) => Ok(loaded),
            _ => Err(self.unexpected("the model")),
        }
    }

    /// Writes a whole input as it is stored.
    pub fn set_input(&mut self, index: u8, bytes: &[u8]) -> Result<(), Error> {
        let mut offset = 0;
        for data in bytes.chunks(self.data_bytes) {
            let request = Request::SetInput {
                index,
                offset,
                data,
            };
            self.request_done(&request, "an input")?;
            offset += length_u32(data);
        }
        Ok(())
    }

    /// Runs the plan once: ticks of the device's counter.
    pub fn run(&mut self) -> Result<u64, Error> {
        match self.request_within(&Request::Run, "a run", RUN_LIMIT)? {
            Reply::Ran { ticks } => Ok(ticks),
            _ => Err(self.unexpected("a run")),
        }
    }

    /// Reads a whole output of `bytes` as it is stored.
    pub fn output(&mut self, index: u8, bytes: usize) -> Result<Vec<u8>, Error> {
        let mut output = Vec::new();
        while output.len() < bytes {
            let part = (bytes - output.len()).min(self.data_bytes);
            let request = Request::Output {
                index,
                offset: length_u32(&output),
                bytes: u32::try_from(part).unwrap_or(u32::MAX),
            };
            match self.request(&request, "an output")? {
                Reply::Data { data } if !data.is_empty() && data.len() <= part => {
                    output.extend_from_slice(data);
                }
                _ => return Err(self.unexpected("an output")),
            }
        }
        Ok(output)
    }

    /// Runs the plan as often as it takes to measure `nodes` nodes: ticks of each. State that is
    /// kept between runs goes on.
    pub fn profile(&mut self, nodes: u16) -> Result<Vec<u32>, Error> {
        let mut all = Vec::new();
        while all.len() < usize::from(nodes) {
            let first = u16::try_from(all.len()).unwrap_or(u16::MAX);
            let request = Request::Profile { first };
            match self.request_within(&request, "a profile", RUN_LIMIT)? {
                Reply::Profile { count, ticks } if (1..=PROFILE_NODES as u8).contains(&count) => {
                    all.extend(ticks.into_iter().take(usize::from(count)));
                }
                _ => return Err(self.unexpected("a profile")),
            }
        }
        Ok(all)
    }

    /// Sets the state that is kept between runs to its zero points.
    pub fn reset(&mut self) -> Result<(), Error> {
        self.request_done(&Request::Reset, "a reset")
    }

    /// What is used of the device's memory.
    pub fn stats(&mut self) -> Result<Stats, Error> {
        match self.request(&Request::Stats, "statistics")? {
            Reply::Stats(stats) => Ok(stats),
            _ => Err(self.unexpected("statistics")),
        }
    }

    pub(crate) fn request_done(
        &mut self,
        request: &Request<'_>,
        what: &'static str,
    ) -> Result<(), Error> {
        match self.request(request, what)? {
            Reply::Done => Ok(()),
            _ => Err(self.unexpected(what)),
        }
    }

    fn request(&mut self, request: &Request<'_>, what: &'static str) -> Result<Reply<'_>, Error> {
        self.request_within(request, what, REPLY_LIMIT)
    }

    fn request_within(
        &mut self,
        request: &Request<'_>,
        what: &'static str,
        limit: Duration,
    ) -> Result<Reply<'_>, Error> {
        let device = self.link.name().to_owned();
        match encode(request, &mut self.plain, &mut self.frame) {
            Ok(frame) => self.link.send(frame)?,
            Err(reason) => return Err(Error::Frame { device, reason }),
        }
        let length = self.receive_frame(what, limit)?;
        match decode(self.receiver.frame(length)) {
            Ok(Reply::Refused(reason)) => Err(Error::Refused {
                device,
                request: what,
                reason,
            }),
            Ok(reply) => Ok(reply),
            Err(reason) => Err(Error::Frame { device, reason }),
        }
    }

    /// Waits for a whole frame: its length in the receiver.
    fn receive_frame(&mut self, what: &'static str, limit: Duration) -> Result<usize, Error> {
        let deadline = Instant::now() + limit;
        loop {
            for (i, &byte) in self.pending.iter().enumerate() {
                if let Some(outcome) = self.receiver.push(byte) {
                    self.pending.drain(..=i);
                    return outcome.map_err(|reason| Error::Frame {
                        device: self.link.name().to_owned(),
                        reason,
                    });
                }
            }
            self.pending.clear();
            match self.link.receive(deadline)? {
                Some(bytes) => self.pending = bytes,
                None => {
                    return Err(Error::Timeout {
                        device: self.link.name().to_owned(),
                        request: what,
                        seconds: limit.as_secs(),
                    });
                }
            }
        }
    }

    fn unexpected(&self, request: &'static str) -> Error {
        Error::Unexpected {
            device: self.link.name().to_owned(),
            request,
        }
    }
}

/// A length that a message can carry. Every device's memory is smaller than what does not fit,
/// so that the device refuses it.
fn length_u32(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link that answers each request with the next of some bytes.
    #[derive(Debug)]
    struct Script(Vec<Vec<u8>>);

    impl Link for Script {
        fn name(&self) -> &str {
            "script"
        }

        fn send(&mut self, _bytes: &[u8]) -> Result<(), Error> {
            Ok(())
        }

        fn receive(&mut self, _deadline: Instant) -> Result<Option<Vec<u8>>, Error> {
            Ok((!self.0.is_empty()).then(|| self.0.remove(0)))
        }
    }

    fn frame_of(reply: &Reply<'_>) -> Vec<u8> {
        let (mut plain, mut frame) = (vec![0; 4096], vec![0; 5000]);
        encode(reply, &mut plain, &mut frame).unwrap().to_vec()
    }

    const HELLO: Hello<'static> = Hello {
        protocol_version: PROTOCOL_VERSION,
        format_version: 1,
        board: "b",
        firmware: "f",
        kernels: "k",
        clock_hz: 1,
        frame_bytes: 4096,
        arena_bytes: 1,
        model_bytes: 1,
        is_model_writable: true,
    };

    fn connect(parts: Vec<Vec<u8>>) -> Result<(Client<Script>, DeviceInfo), Error> {
        Client::connect(Script(parts))
    }

    #[test]
    fn silence_ends_at_the_limit() {
        assert!(matches!(connect(vec![]), Err(Error::Timeout { .. })));
    }

    #[test]
    fn noise_is_no_answer() {
        let noise = vec![5, 4, 3, 0];
        assert!(matches!(connect(vec![noise]), Err(Error::Frame { .. })));
        let too_long = vec![vec![1; FRAME_BYTES], vec![1, 0]];
        assert!(matches!(connect(too_long), Err(Error::Frame { .. })));
    }

    #[test]
    fn another_version_and_another_reply_are_told_apart() {
        let done = frame_of(&Reply::Done);
        assert!(matches!(connect(vec![done]), Err(Error::Unexpected { .. })));
        let old = Hello {
            protocol_version: PROTOCOL_VERSION + 1,
            ..HELLO
        };
        let error = connect(vec![frame_of(&Reply::Hello(old))]).map(|_| ());
        assert!(matches!(error, Err(Error::Version { .. })));
        // So small a frame would carry no data, and a model would never end.
        let small = Hello {
            frame_bytes: 8,
            ..HELLO
        };
        assert!(connect(vec![frame_of(&Reply::Hello(small))]).is_err());
    }

    #[test]
    fn frames_may_arrive_in_pieces_and_together() {
        let mut all = frame_of(&Reply::Hello(HELLO));
        all.extend(frame_of(&Reply::Ran { ticks: 5 }));
        all.extend(frame_of(&Reply::Data { data: &[1, 2] }));
        for size in [1, 7, all.len()] {
            let parts = all.chunks(size).map(<[u8]>::to_vec).collect();
            let (mut client, info) = connect(parts).unwrap();
            assert_eq!(info.board, "b");
            assert_eq!(client.run().unwrap(), 5);
            assert_eq!(client.output(0, 2).unwrap(), [1, 2]);
            assert!(matches!(client.run(), Err(Error::Timeout { .. })));
        }
    }

    #[test]
    fn an_output_without_end_is_refused() {
        let hello = frame_of(&Reply::Hello(HELLO));
        let empty = frame_of(&Reply::Data { data: &[] });
        let (mut client, _) = connect(vec![hello.clone(), empty]).unwrap();
        assert!(matches!(client.output(0, 2), Err(Error::Unexpected { .. })));
        let more = frame_of(&Reply::Data { data: &[0; 3] });
        let (mut client, _) = connect(vec![hello, more]).unwrap();
        assert!(matches!(client.output(0, 2), Err(Error::Unexpected { .. })));
    }
}
