//! Sets of rules that sums become outputs by, a bit each: functions for some rules link no loops of
//! others. With other rules than [`HIGH`] there is plain Rust besides, for records that loops do not
//! take.
#![cfg_attr(
    not(any(armv7em, all(target_arch = "arm", feature = "helium"))),
    allow(dead_code)
)]

pub(crate) const HIGH: u8 = 1;
pub(crate) const SINGLE: u8 = 2;
pub(crate) const DOUBLE: u8 = 4;
pub(crate) const ALL: u8 = HIGH | SINGLE | DOUBLE;
