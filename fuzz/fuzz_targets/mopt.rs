//! Compact models: refused, or run. The checksum is put right first, or nothing but it would be
//! tested.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runtime::host::{AlignedBytes, Runner, node_macs};

/// Memory and work that a run may take here.
const WORK_MAX: usize = 1 << 22;

fuzz_target!(|bytes: &[u8]| {
    if bytes.len() < 64 {
        return;
    }
    let mut file = AlignedBytes::copy_of(bytes);
    let length = bytes.len() as u32;
    file.bytes_mut()[8..12].copy_from_slice(&length.to_le_bytes());
    let checksum = format::crc32(&file.bytes()[16..]);
    file.bytes_mut()[12..16].copy_from_slice(&checksum.to_le_bytes());
    let Ok(model) = runtime::Model::new(file.bytes()) else {
        return;
    };
    let macs: u64 = model
        .nodes()
        .map(|node| node_macs(&node))
        .fold(0, u64::saturating_add);
    if model.arena_bytes() > WORK_MAX || macs > WORK_MAX as u64 {
        return;
    }
    let Ok(mut runner) = Runner::new(file.bytes()) else {
        return;
    };
    let mut session = runner.session().expect("a checked model has a session");
    session.run();
});
