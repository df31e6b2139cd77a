//! From sums to outputs.

use super::dsp::multiply_high;
use crate::{Channels, Conv2dI8};
use format::fixed::{Requantize, Rounding};

/// What turns the sums of an operator's channels, without bias, into outputs.
#[derive(Clone, Copy)]
pub(super) struct Finish<'a> {
    channels: Channels<'a>,
    requantize: Requantize,
}

/// The high-word rule for one operator.
struct High {
    zero_point: i32,
    low: i32,
    high: i32,
}

impl High {
    /// The output of a sum: a multiplier is below 2^31, so the scaled sum is within 2^30.
    #[inline(always)]
    fn output(&self, sum: i32, multiplier: u32) -> i8 {
        let scaled = multiply_high(sum as u32, multiplier) as i32;
        (scaled + self.zero_point).max(self.low).min(self.high) as i8
    }
}

impl<'a> Finish<'a> {
    pub(super) fn new(operands: &Conv2dI8<'a>) -> Self {
        Finish {
            channels: operands.channels,
            requantize: operands.requantize,
        }
    }

    /// The rule and the packed records, where outputs are high words.
    #[inline(always)]
    fn high(&self) -> Option<(High, &'a [u32])> {
        match self.channels {
            Channels::High(words) if self.requantize.rounding == Rounding::High => {
                let [zero_point, low, high] = [
                    self.requantize.zero_point,
                    self.requantize.min,
                    self.requantize.max,
                ]
                .map(i32::from);
                Some((
                    High {
                        zero_point,
                        low,
                        high,
                    },
                    words,
                ))
            }
            _ => None,
        }
    }

    /// The bias and the multiplier of a packed record.
    #[inline(always)]
    fn unpack(&self, word: u32) -> (i32, u32) {
        let bias = ((word as i32) >> 12) << self.requantize.bias_shift;
        (bias, (word & 0xFFF) << self.requantize.multiplier_shift)
    }

    #[inline(never)]
    fn any(&self, channel: usize, sum: i32) -> i8 {
        let bias = self.channels.bias(&self.requantize, channel);
        self.channels
            .finish(&self.requantize, channel, sum.wrapping_add(bias))
    }

    /// Outputs of one channel at pixels that are `apart` bytes from each other.
    ///
    /// # Safety
    ///
    /// The outputs are writable, and the channel has a record.
    #[inline(always)]
    pub(super) unsafe fn pixels(&self, channel: usize, sums: &[i32], to: *mut i8, apart: usize) {
        let mut to = to;
        if let Some((rule, words)) = self.high() {
            let (bias, multiplier) = self.unpack(words.get(channel).copied().unwrap_or(0));
            for &sum in sums {
                // SAFETY: the caller's promise.
                unsafe { to.write(rule.output(sum.wrapping_add(bias), multiplier)) };
                to = to.wrapping_add(apart);
            }
            return;
        }
        for &sum in sums {
            // SAFETY: the caller's promise.
            unsafe { to.write(self.any(channel, sum)) };
            to = to.wrapping_add(apart);
        }
    }

    /// Outputs of four channels of one pixel.
    ///
    /// # Safety
    ///
    /// The outputs are writable, and the channels have records.
    #[inline(never)]
    pub(super) unsafe fn channels(&self, channel: usize, sums: &[i32; 4], to: *mut i8) {
        if let Some((rule, words)) = self.high() {
            for (i, &sum) in sums.iter().enumerate() {
                // SAFETY: the caller's promise.
                unsafe {
                    let (bias, multiplier) = self.unpack(words.as_ptr().add(channel + i).read());
                    let output = rule.output(sum.wrapping_add(bias), multiplier);
                    to.add(i).write(output);
                }
            }
            return;
        }
        for (i, &sum) in sums.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { to.add(i).write(self.any(channel + i, sum)) };
        }
    }
}
