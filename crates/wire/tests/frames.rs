//! Messages survive the way, and nothing that arrives makes either side panic.

use proptest::prelude::*;
use wire::{
    FrameError, Hello, Loaded, PROFILE_NODES, PROTOCOL_VERSION, Receiver, Refusal, Reply, Request,
    Stats, data_bytes_max, decode, encode, encoded_bytes_max,
};

const FRAME_BYTES: usize = 1024;

fn frame_of<T: serde::Serialize>(message: &T) -> Vec<u8> {
    let mut plain = [0; FRAME_BYTES];
    let mut frame = [0; encoded_bytes_max(FRAME_BYTES)];
    encode(message, &mut plain, &mut frame).unwrap().to_vec()
}

/// Sends a frame through a receiver and gives what it holds.
fn receive(bytes: &[u8]) -> Vec<Result<Vec<u8>, FrameError>> {
    let mut receiver = Receiver::new([0u8; FRAME_BYTES]);
    let mut frames = Vec::new();
    for &byte in bytes {
        if let Some(outcome) = receiver.push(byte) {
            frames.push(outcome.map(|length| receiver.frame(length).to_vec()));
        }
    }
    frames
}

fn returns_as_it_was(request: &Request<'_>) {
    let sent = frame_of(request);
    assert_eq!(
        sent.iter().position(|&byte| byte == 0),
        Some(sent.len() - 1)
    );
    let mut frames = receive(&sent);
    assert_eq!(frames.len(), 1);
    let mut frame = frames.remove(0).unwrap();
    assert_eq!(decode::<Request<'_>>(&mut frame).as_ref(), Ok(request));
}

#[test]
fn requests_return_as_they_were() {
    let data = &[0, 1, 2, 0, 0, 255][..];
    for request in [
        Request::Hello,
        Request::BeginModel {
            bytes: 27_000,
            checksum: 0xDEAD_BEEF,
        },
        Request::ModelPart { offset: 300, data },
        Request::EndModel,
        Request::UseStored { bytes: 1 },
        Request::SetInput {
            index: 255,
            offset: 0,
            data: &[],
        },
        Request::Run,
        Request::Output {
            index: 1,
            offset: 2,
            bytes: u32::MAX,
        },
        Request::Reset,
        Request::Profile { first: 64 },
        Request::Stats,
        Request::SwitchToDebugger,
    ] {
        returns_as_it_was(&request);
    }
}

#[test]
fn replies_return_as_they_were() {
    let hello = Hello {
        protocol_version: PROTOCOL_VERSION,
        format_version: 1,
        board: "mps2-an386",
        firmware: "0.1.0",
        kernels: "armv7em",
        clock_hz: 25_000_000,
        frame_bytes: 4096,
        arena_bytes: 1 << 22,
        model_bytes: 1 << 24,
        is_model_writable: true,
    };
    let stats = Stats {
        arena_bytes: 1,
        state_bytes: 2,
        memory_bytes: 3,
        session_bytes: 4,
        stack_used_bytes: 5,
        stack_bytes: 6,
    };
    for reply in [
        Reply::Hello(hello),
        Reply::Done,
        Reply::Loaded(Loaded {
            inputs: 1,
            outputs: 2,
            nodes: 300,
            memory_bytes: 70_000,
        }),
        Reply::Ran { ticks: u64::MAX },
        Reply::Data { data: &[0; 300] },
        Reply::Profile {
            count: 3,
            ticks: [u32::MAX; PROFILE_NODES],
        },
        Reply::Stats(stats),
        Reply::Refused(Refusal::Model { code: 4, at: 9 }),
        Reply::Refused(Refusal::TooLarge { bytes: 9 }),
    ] {
        let mut frame = receive(&frame_of(&reply)).remove(0).unwrap();
        assert_eq!(decode::<Reply<'_>>(&mut frame), Ok(reply));
    }
}

/// The bytes of a request are the protocol: when this fails, raise `PROTOCOL_VERSION`.
#[test]
fn the_bytes_are_those_of_this_version() {
    // Number 6 is `Run`; then its CRC-32, and the frame's end.
    let checksum = wire::crc32(&[6]).to_le_bytes();
    assert!(!checksum.contains(&0));
    let mut expected = vec![6, 6];
    expected.extend(checksum);
    expected.push(0);
    assert_eq!(frame_of(&Request::Run), expected);
}

#[test]
fn a_frame_longer_than_the_buffer_is_skipped_and_the_next_is_read() {
    let mut bytes = vec![1; FRAME_BYTES + 1];
    bytes.push(0);
    bytes.extend(frame_of(&Request::Stats));
    let mut frames = receive(&bytes);
    assert_eq!(frames[0], Err(FrameError::TooLarge));
    assert_eq!(decode(frames[1].as_mut().unwrap()), Ok(Request::Stats));
}

#[test]
fn a_buffer_too_small_is_told() {
    let request = Request::ModelPart {
        offset: 0,
        data: &[7; 100],
    };
    assert_eq!(
        encode(&request, &mut [0; 50], &mut [0; 200]),
        Err(FrameError::TooLarge)
    );
    assert_eq!(
        encode(&request, &mut [0; 104], &mut [0; 200]),
        Err(FrameError::TooLarge)
    );
    assert_eq!(
        encode(&request, &mut [0; 200], &mut [0; 50]),
        Err(FrameError::TooLarge)
    );
}

#[test]
fn the_largest_part_fits_its_frame() {
    for frame_bytes in [64, 256, 512, 1024, 4096, 40_960] {
        let data = vec![1; data_bytes_max(frame_bytes)];
        let request = Request::SetInput {
            index: 255,
            offset: u32::MAX,
            data: &data,
        };
        let mut frame = vec![0; frame_bytes];
        assert!(
            encode(&request, &mut vec![0; frame_bytes], &mut frame).is_ok(),
            "{frame_bytes}"
        );
    }
}

proptest! {
    #[test]
    fn any_data_returns_as_it_was(
        data in proptest::collection::vec(any::<u8>(), 0..900),
        offset in any::<u32>(),
        index in any::<u8>(),
    ) {
        returns_as_it_was(&Request::SetInput { index, offset, data: &data });
        returns_as_it_was(&Request::ModelPart { offset, data: &data });
    }

    #[test]
    fn a_damaged_frame_is_found(
        data in proptest::collection::vec(any::<u8>(), 0..300),
        place in any::<prop::sample::Index>(),
        change in 1u8..,
    ) {
        let mut sent = frame_of(&Request::ModelPart { offset: 5, data: &data });
        let place = place.index(sent.len() - 1);
        sent[place] ^= change;
        // A changed byte may split the frame; no part of it may pass for a message.
        for frame in receive(&sent) {
            let mut frame = frame.unwrap();
            prop_assert_eq!(decode::<Request<'_>>(&mut frame), Err(FrameError::Damaged));
        }
    }

    #[test]
    fn noise_is_never_a_message(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let mut whole = bytes.clone();
        prop_assert!(decode::<Request<'_>>(&mut whole).is_err());
        for mut frame in receive(&bytes).into_iter().flatten() {
            prop_assert!(decode::<Reply<'_>>(&mut frame).is_err());
        }
    }

    /// With a right checksum, so that the message itself is read.
    #[test]
    fn a_checked_frame_of_noise_panics_nothing(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        let mut plain = bytes.clone();
        plain.extend(wire::crc32(&bytes).to_le_bytes());
        let mut frame = vec![0; encoded_bytes_max(plain.len())];
        let length = cobs::encode(&plain, &mut frame);
        frame.truncate(length);
        let mut copy = frame.clone();
        let request = decode::<Request<'_>>(&mut frame);
        prop_assert!(request != Err(FrameError::Damaged));
        prop_assert!(decode::<Reply<'_>>(&mut copy) != Err(FrameError::Damaged));
    }
}
