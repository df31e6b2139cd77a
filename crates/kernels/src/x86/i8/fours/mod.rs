//! Sets that multiply fours of bytes (`vpdpbusd`), of which inputs are unsigned: raised by 128 while
//! they are staged. Records take off what that adds to sums.

pub(super) mod depthwise;
mod finish;
mod lanes;
mod sets;
pub(super) mod tile;

use super::finish::Scale;
use super::multiply::Multiply;
use super::squares::{Corner, Form, Task};
use crate::tiled::i8::{Strip, Tiles};
use depthwise::Channels;
pub(super) use finish::{parts, pixels};
pub(super) use lanes::Lanes;
#[cfg(test)]
pub(crate) use sets::EmulatedVnni;
use tile::Product;
pub(super) use tile::tiles;

/// An int8 input raised by 128, which makes it unsigned.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(crate) struct Raised(u8);

/// What inputs are raised by.
pub(super) const RAISED_BY: i32 = 128;

impl From<i8> for Raised {
    #[inline(always)]
    fn from(input: i8) -> Self {
        // The bits of a number between -128 and 127 that is moved to 0 to 255.
        Raised(input as u8 ^ 0x80)
    }
}

/// A set. A value proves that this machine has what the loops need; functions are for code that is
/// compiled for it.
pub(crate) trait Fours: Multiply + Tiles<Input = Raised, Weight = i8> {
    /// Sixteen sums.
    type Lanes: Lanes;

    /// [`tile::wide`], compiled for the set.
    ///
    /// # Safety
    ///
    /// As there.
    unsafe fn wide<const N: usize, S: Scale>(
        strip: &Strip<'_, Raised>,
        product: &Product<'_>,
        output: *mut i8,
    );

    /// [`tile::narrow`], compiled for the set.
    ///
    /// # Safety
    ///
    /// As there.
    unsafe fn narrow<S: Scale>(strip: &Strip<'_, Raised>, product: &Product<'_>, output: *mut i8);

    /// [`Channels::run`], compiled for the set.
    ///
    /// # Safety
    ///
    /// As there.
    unsafe fn channels<const HELD: usize, S: Scale>(channels: &Channels<'_>);

    /// [`squares::multiply`](super::squares::multiply), compiled for the set.
    ///
    /// # Safety
    ///
    /// As there.
    unsafe fn multiply_squares<const SIDE: usize, const REACH: usize, F>(
        task: &Task<'_>,
        squares: usize,
    ) where
        F: Form<SIDE, REACH>;

    /// [`squares::write`](super::squares::write), compiled for the set.
    ///
    /// # Safety
    ///
    /// As there.
    unsafe fn write_square<const SIDE: usize, const REACH: usize, F, S>(
        corner: &Corner<'_>,
        to: *mut i8,
    ) where
        F: Form<SIDE, REACH>,
        S: Scale;
}
