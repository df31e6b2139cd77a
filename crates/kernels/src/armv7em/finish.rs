//! From sums to outputs.

use crate::{Channels, Conv2dI8};
use format::fixed::{Requantize, Rounding};

/// What turns the sums of an operator's channels, without bias, into outputs.
#[derive(Clone, Copy)]
pub(super) struct Finish<'a> {
    channels: Channels<'a>,
    requantize: Requantize,
}

impl<'a> Finish<'a> {
    pub(super) fn new(operands: &Conv2dI8<'a>) -> Self {
        Finish {
            channels: operands.channels,
            requantize: operands.requantize,
        }
    }

    /// Zero point and limits, where outputs are high words: what the loops in assembly compute.
    pub(super) fn high(&self) -> Option<[i32; 3]> {
        let requantize = &self.requantize;
        let is_high = matches!(self.channels, Channels::High(_));
        let [zero_point, low, high] =
            [requantize.zero_point, requantize.min, requantize.max].map(i32::from);
        (is_high && requantize.rounding == Rounding::High).then_some([zero_point, low, high])
    }

    /// The packed records; none where outputs are not high words.
    pub(super) fn records(&self) -> &'a [u32] {
        match self.channels {
            Channels::High(words) => words,
            Channels::Wide(_) => &[],
        }
    }

    /// Left shifts of the biases and the multipliers of packed records.
    pub(super) fn shifts(&self) -> [u32; 2] {
        let requantize = &self.requantize;
        [requantize.bias_shift, requantize.multiplier_shift].map(u32::from)
    }

    /// Bias and multiplier of a packed record.
    pub(super) fn record(&self, channel: usize) -> (i32, u32) {
        let word = self.records().get(channel).copied().unwrap_or(0);
        let [bias_shift, multiplier_shift] = self.shifts();
        let bias = ((word as i32) >> 12) << bias_shift;
        (bias, (word & 0xFFF) << multiplier_shift)
    }

    /// The output of a sum without bias, with any rule.
    #[inline(never)]
    pub(super) fn any(&self, channel: usize, sum: i32) -> i8 {
        let bias = self.channels.bias(&self.requantize, channel);
        self.channels
            .finish(&self.requantize, channel, sum.wrapping_add(bias))
    }
}

/// The output of a sum with bias by the rule of the high word, as the loops in assembly compute
/// it; limits are the lowest bytes of words.
#[cfg(not(all(armv7em, target_arch = "arm")))]
pub(super) fn high_output(sum: i32, multiplier: u32, zero_point: i32, limits: [u32; 2]) -> i8 {
    let scaled = super::dsp::multiply_high(sum as u32, multiplier) as i32;
    let [low, high] = limits.map(|limit| limit as i8);
    let byte = (scaled + zero_point).clamp(-128, 127) as i8;
    byte.max(low).min(high)
}

/// Four times the limit.
pub(super) fn packed(limit: i32) -> u32 {
    u32::from(limit as i8 as u8) * 0x0101_0101
}
