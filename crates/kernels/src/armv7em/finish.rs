//! From sums to outputs.

use crate::{Channels, Conv2dI8, rules};
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

    /// The rule that loops in assembly compute, with zero point and limits; `None` where there is
    /// no such loop. Those for records of three words double sums, so that the high word of a product is what
    /// is rounded first, or what the other bits are shifted out of.
    /// It is one of `RULES` (see [`rules`]) or none: loops for others need not be linked.
    pub(super) fn rule<const RULES: u8>(&self) -> Option<(Rule, [i32; 3])> {
        let requantize = &self.requantize;
        let numbers = [requantize.zero_point, requantize.min, requantize.max].map(i32::from);
        match (self.channels, requantize.rounding) {
            (Channels::High(_), Rounding::High) if RULES & rules::HIGH != 0 => {
                Some((Rule::High, numbers))
            }
            (Channels::Wide(_), Rounding::Single)
                if RULES & rules::SINGLE != 0 && requantize.is_plain =>
            {
                Some((Rule::Single, numbers))
            }
            (Channels::Wide(_), Rounding::Double)
                if RULES & rules::DOUBLE != 0 && requantize.is_plain =>
            {
                Some((Rule::Double, numbers))
            }
            _ => None,
        }
    }

    /// The first record's words. Behind it are the others, [`Rule::record_words`] apart.
    pub(super) fn words(&self) -> *const u32 {
        match self.channels {
            Channels::High(words) => words.as_ptr(),
            Channels::Wide(words) => words.as_ptr().cast(),
        }
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

    /// The bias of a channel as it is added to sums.
    pub(super) fn bias(&self, channel: usize) -> i32 {
        self.channels.bias(&self.requantize, channel)
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

/// A rule that there are loops in assembly for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// [`format::fixed::requantize_high`].
    High,
    /// [`format::fixed::requantize_single`] to the right, for sums that may be doubled.
    Single,
    /// [`format::fixed::requantize_double`], likewise.
    Double,
}

impl Rule {
    /// Words from one channel's record to the next.
    pub(super) fn record_words(self) -> usize {
        match self {
            Rule::High => 1,
            Rule::Single | Rule::Double => 3,
        }
    }
}

/// The output of a sum with bias by [`Rule::Single`] or [`Rule::Double`], as the loops in assembly
/// compute it. `record` is bias, multiplier, shift; limits are the lowest bytes of words.
#[cfg(not(all(armv7em, target_arch = "arm")))]
pub(super) fn wide_output(
    rule: Rule,
    sum: i32,
    record: [u32; 3],
    zero_point: i32,
    limits: [u32; 2],
) -> i8 {
    let [_, multiplier, shift] = record;
    let twice = sum.wrapping_mul(2);
    let scaled = match rule {
        Rule::Double => {
            let scaled = super::dsp::multiply_high(twice as u32, multiplier) as i32;
            // Halves away from zero: what is negative and half way is a little less.
            scaled + (scaled >> 31)
        }
        // Bits that are cut off cannot make a half of less than one.
        _ => ((i64::from(twice) * i64::from(multiplier as i32)) >> 32) as i32,
    };
    let halves = (scaled >> !shift) + 2 * zero_point + 1;
    let byte = (halves >> 1).clamp(-128, 127) as i8;
    let [low, high] = limits.map(|limit| limit as i8);
    byte.max(low).min(high)
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

/// The text that makes a byte of a sum with bias by [`Rule::Double`], from a multiplier, a shift to the
/// right that is one less than the record's, and the zero point in half steps with half a step more.
#[cfg(all(armv7em, target_arch = "arm"))]
macro_rules! byte_double {
    ($sum:literal, $multiplier:literal, $shift:literal, $zero_point:literal) => {
        concat!(
            "lsls ",
            $sum,
            ", ",
            $sum,
            ", #1\n",
            "smmulr ",
            $sum,
            ", ",
            $sum,
            ", ",
            $multiplier,
            "\n",
            // Halves away from zero: what is negative and half way is a little less.
            "add ",
            $sum,
            ", ",
            $sum,
            ", ",
            $sum,
            ", asr #31\n",
            "asrs ",
            $sum,
            ", ",
            $sum,
            ", ",
            $shift,
            "\n",
            "add ",
            $sum,
            ", ",
            $zero_point,
            "\n",
            "ssat ",
            $sum,
            ", #8, ",
            $sum,
            ", asr #1\n",
        )
    };
}

/// The same by [`Rule::Single`].
#[cfg(all(armv7em, target_arch = "arm"))]
macro_rules! byte_single {
    ($sum:literal, $multiplier:literal, $shift:literal, $zero_point:literal) => {
        concat!(
            "lsls ",
            $sum,
            ", ",
            $sum,
            ", #1\n",
            "smmul ",
            $sum,
            ", ",
            $sum,
            ", ",
            $multiplier,
            "\n",
            "asrs ",
            $sum,
            ", ",
            $sum,
            ", ",
            $shift,
            "\n",
            "add ",
            $sum,
            ", ",
            $zero_point,
            "\n",
            "ssat ",
            $sum,
            ", #8, ",
            $sum,
            ", asr #1\n",
        )
    };
}

#[cfg(all(armv7em, target_arch = "arm"))]
pub(super) use {byte_double, byte_single};
