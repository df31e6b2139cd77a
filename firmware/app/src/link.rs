//! Frames over a board's bytes.

use crate::Board;
use wire::{FrameError, Receiver, Refusal, Reply, Request, decode, encode};

/// The receiving half, with its buffer.
pub(crate) struct Incoming<'a> {
    receiver: Receiver<&'a mut [u8]>,
}

impl<'a> Incoming<'a> {
    pub(crate) fn new(buffer: &'a mut [u8]) -> Self {
        Incoming {
            receiver: Receiver::new(buffer),
        }
    }

    /// Waits for the next request; `None` when the link has closed.
    pub(crate) fn next(&mut self, board: &mut impl Board) -> Option<Result<Request<'_>, Refusal>> {
        let outcome = loop {
            if let Some(outcome) = self.receiver.push(board.receive()?) {
                break outcome;
            }
        };
        let bytes = self.receiver.capacity() as u32;
        Some(match outcome {
            Ok(length) => decode(self.receiver.frame(length)).map_err(|_| Refusal::Damaged),
            Err(FrameError::TooLarge) => Err(Refusal::TooLarge { bytes }),
            Err(_) => Err(Refusal::Damaged),
        })
    }

    /// The buffer, free for other use until the next request.
    pub(crate) fn spare(&mut self, length: usize) -> &mut [u8] {
        self.receiver.frame(length)
    }

    pub(crate) fn capacity(&self) -> usize {
        self.receiver.capacity()
    }
}

/// The sending half, with its buffers.
pub(crate) struct Outgoing<'a> {
    pub(crate) plain: &'a mut [u8],
    pub(crate) frame: &'a mut [u8],
}

impl Outgoing<'_> {
    pub(crate) fn send(&mut self, board: &mut impl Board, reply: &Reply<'_>) {
        // A reply larger than the buffers cannot be made: `Data` is cut to what fits, and every
        // other reply is shorter than the smallest buffer that `serve` accepts.
        if let Ok(frame) = encode(reply, self.plain, self.frame) {
            board.send(frame);
        }
    }
}
