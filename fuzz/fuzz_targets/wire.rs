//! Frames: damaged ones are reported, whole ones say the same when they are sent again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{Receiver, Reply, Request};

/// Longer than any input here.
const FRAME_BYTES: usize = 1 << 13;

/// A frame that holds `message` with the right checksum.
fn framed(message: &[u8]) -> Vec<u8> {
    let mut plain = message.to_vec();
    plain.extend(wire::crc32(message).to_le_bytes());
    let mut frame = vec![0; cobs::max_encoding_length(plain.len())];
    let length = cobs::encode(&plain, &mut frame);
    frame.truncate(length);
    frame
}

fuzz_target!(|bytes: &[u8]| {
    if bytes.len() > FRAME_BYTES / 2 {
        return;
    }
    let mut receiver = Receiver::new(vec![0u8; 256]);
    for &byte in bytes {
        if let Some(Ok(length)) = receiver.push(byte) {
            let _ = wire::decode::<Request<'_>>(receiver.frame(length));
        }
    }
    let (mut plain, mut frame) = (vec![0; FRAME_BYTES], vec![0; 2 * FRAME_BYTES]);
    let mut copy = framed(bytes);
    if let Ok(request) = wire::decode::<Request<'_>>(&mut copy) {
        let sent = wire::encode(&request, &mut plain, &mut frame)
            .expect("it fits")
            .to_vec();
        let mut sent = sent[..sent.len() - 1].to_vec();
        assert_eq!(
            wire::decode::<Request<'_>>(&mut sent).as_ref(),
            Ok(&request)
        );
    }
    let _ = wire::decode::<Reply<'_>>(&mut framed(bytes));
});
