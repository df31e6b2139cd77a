//! Messages as frames: postcard, CRC-32, COBS, and a zero byte.

use core::fmt;
use serde::{Deserialize, Serialize};

const CHECKSUM_BYTES: usize = 4;
/// What a message has beside its data: discriminants, numbers, lengths.
const MESSAGE_OVERHEAD_BYTES: usize = 16;

/// Why bytes are no message, or a message no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The framing or the checksum is wrong: the frame was damaged on its way.
    Damaged,
    /// The checksum is right, but there is no such message: the other side has another version.
    Unknown,
    /// The buffer is too small.
    TooLarge,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FrameError::Damaged => "a frame arrived damaged",
            FrameError::Unknown => "there is no such message in this version",
            FrameError::TooLarge => "a frame is larger than its buffer",
        })
    }
}

impl core::error::Error for FrameError {}

/// Bytes of the frame of a message of `bytes`, at most.
pub const fn encoded_bytes_max(bytes: usize) -> usize {
    let checked = bytes + CHECKSUM_BYTES;
    // COBS adds one byte at the start and one for every 254, and the end is a zero.
    checked + checked / 254 + 2
}

/// Bytes of data that fit a frame of `frame_bytes`, at least.
pub const fn data_bytes_max(frame_bytes: usize) -> usize {
    let other = MESSAGE_OVERHEAD_BYTES + CHECKSUM_BYTES + frame_bytes / 254 + 2;
    frame_bytes.saturating_sub(other)
}

/// Writes a message's frame to `frame` and gives the part used. `plain` holds the message before
/// it is framed: its length must be that of the message and its checksum.
pub fn encode<'f, T: Serialize>(
    message: &T,
    plain: &mut [u8],
    frame: &'f mut [u8],
) -> Result<&'f [u8], FrameError> {
    let length = match postcard::to_slice(message, plain) {
        Ok(encoded) => encoded.len(),
        Err(_) => return Err(FrameError::TooLarge),
    };
    let checked = length + CHECKSUM_BYTES;
    let Some((encoded, checksum)) = plain
        .get_mut(..checked)
        .and_then(|bytes| bytes.split_at_mut_checked(length))
    else {
        return Err(FrameError::TooLarge);
    };
    checksum.copy_from_slice(&format::crc32(encoded).to_le_bytes());
    let plain = plain.get(..checked).unwrap_or(&[]);
    if encoded_bytes_max(length) > frame.len() {
        return Err(FrameError::TooLarge);
    }
    let framed = cobs::encode(plain, frame);
    *frame.get_mut(framed).ok_or(FrameError::TooLarge)? = 0;
    frame.get(..=framed).ok_or(FrameError::TooLarge)
}

/// Reads the message of a frame without its final zero. The frame is decoded in place.
pub fn decode<'f, T: Deserialize<'f>>(frame: &'f mut [u8]) -> Result<T, FrameError> {
    // A run of COBS that reaches beyond the frame's end is damage, which the decoder reports.
    let length = cobs::decode_in_place(frame).map_err(|_| FrameError::Damaged)?;
    let plain = frame.get(..length).ok_or(FrameError::Damaged)?;
    let (encoded, checksum) = plain.split_last_chunk().ok_or(FrameError::Damaged)?;
    if format::crc32(encoded) != u32::from_le_bytes(*checksum) {
        return Err(FrameError::Damaged);
    }
    match postcard::take_from_bytes(encoded) {
        Ok((message, [])) => Ok(message),
        _ => Err(FrameError::Unknown),
    }
}

/// Collects bytes until a frame is whole.
#[derive(Debug)]
pub struct Receiver<B> {
    buffer: B,
    length: usize,
    is_too_large: bool,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Receiver<B> {
    /// Frames may be as long as the buffer, without their final zero.
    pub const fn new(buffer: B) -> Self {
        Receiver {
            buffer,
            length: 0,
            is_too_large: false,
        }
    }

    /// The longest frame.
    pub fn capacity(&self) -> usize {
        self.buffer.as_ref().len()
    }

    /// Takes the next byte. `Some` when it ends a frame that is not empty: its length, or
    /// [`FrameError::TooLarge`] for one that did not fit, which is skipped.
    #[inline]
    pub fn push(&mut self, byte: u8) -> Option<Result<usize, FrameError>> {
        if byte != 0 {
            match self.buffer.as_mut().get_mut(self.length) {
                Some(place) => {
                    *place = byte;
                    self.length += 1;
                }
                None => self.is_too_large = true,
            }
            return None;
        }
        let length = core::mem::take(&mut self.length);
        if core::mem::take(&mut self.is_too_large) {
            return Some(Err(FrameError::TooLarge));
        }
        (length > 0).then_some(Ok(length))
    }

    /// The first `length` bytes received: the frame that [`Receiver::push`] told of. The buffer
    /// may be used for anything until the next byte is pushed.
    pub fn frame(&mut self, length: usize) -> &mut [u8] {
        self.buffer.as_mut().get_mut(..length).unwrap_or(&mut [])
    }
}
