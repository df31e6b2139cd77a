//! From sums to outputs, 64 of them at a time.

use super::lanes::Lanes;
use crate::x86::i8::finish::{Finish, Scale};

/// The parts of a record behind the bias.
///
/// # Safety
///
/// The record is whole, and the machine has the lanes.
#[inline(always)]
pub(in crate::x86::i8) unsafe fn parts<L: Lanes>(record: *const i32) -> [L; 3] {
    // SAFETY: the caller's promise.
    unsafe {
        [
            L::load(record.add(16)),
            L::load(record.add(32)),
            L::load(record.add(48)),
        ]
    }
}

/// Four times 16 sums as bytes: those of each quarter are the same quarters of the four, in order. Where they
/// are `FEW` at a time, asking whether to limit them takes longer than limiting them.
///
/// # Safety
///
/// The parts are of records of the rule `S`, and the machine has the lanes.
#[inline(always)]
pub(in crate::x86::i8) unsafe fn bytes<L: Lanes, S: Scale, const FEW: bool>(
    finish: &Finish,
    [a, b, c, d]: [L; 4],
    parts: [[L; 3]; 4],
) -> L {
    // SAFETY: the caller's promise.
    unsafe {
        let mut low = a
            .scale::<S>(finish, parts[0])
            .words(b.scale::<S>(finish, parts[1]));
        let mut high = c
            .scale::<S>(finish, parts[2])
            .words(d.scale::<S>(finish, parts[3]));
        if !S::HAS_ZERO_POINT {
            low = low.with_zero_point(finish);
            high = high.with_zero_point(finish);
        }
        let outputs = low.bytes(high);
        match !S::IS_LIMITED && (FEW || finish.limits) {
            true => outputs.limited(finish),
            false => outputs,
        }
    }
}

/// The 16 outputs of each of four pixels, in a quarter each.
///
/// # Safety
///
/// As [`bytes`].
#[inline(always)]
pub(in crate::x86::i8) unsafe fn pixels<L: Lanes, S: Scale, const FEW: bool>(
    finish: &Finish,
    sums: [L; 4],
    parts: [L; 3],
) -> L {
    // SAFETY: the caller's promise.
    unsafe { bytes::<L, S, FEW>(finish, sums, [parts; 4]).transposed() }
}
