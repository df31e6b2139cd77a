//! Fixed-point arithmetic: the normative meaning of every integer result.
//!
//! Three ways lead from a 32-bit accumulator to an 8-bit output. Which one a tensor uses is
//! written in the file, so that a model gives the same answer on every target.
//!
//! * **High word** ([`requantize_high`]), the default of models quantized here. A channel is one
//!   word with a 20-bit bias and a 12-bit multiplier ([`Channel`]); the operator has one shift for
//!   each. The rule is the rounded high word of a 32 x 32 bit product: one instruction on a
//!   Cortex-M4 (`SMMULR`) and on Helium (`VRMULH`). Rounding happens once. The quantizer picks the
//!   weight scale so that the multiplier is exact; nothing is lost by its 12 bits.
//! * **Single** ([`requantize_single`]): a 31-bit multiplier and a shift per channel, one rounding
//!   of the exact product. Equal to desktop LiteRT with XNNPACK.
//! * **Double** ([`requantize_double`]): the same operands, rounded twice. Equal to TensorFlow
//!   Lite Micro with its default build flags.

/// One output channel of the high-word kind, as one word in the file: the bias in the upper 20
/// bits, signed, and the multiplier in the lower 12.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Added to the accumulator after a shift to the left by [`Requantize::bias_shift`].
    /// Within -2^19..2^19.
    pub bias: i32,
    /// Multiplied after a shift to the left by [`Requantize::multiplier_shift`]. Below 2^12.
    pub multiplier: u32,
}

impl Channel {
    /// The channel in a word of the file.
    #[inline(always)]
    pub const fn unpack(word: u32) -> Self {
        Channel {
            bias: (word as i32) >> 12,
            multiplier: word & 0xFFF,
        }
    }

    /// The word of the file.
    pub const fn pack(self) -> u32 {
        ((self.bias as u32) << 12) | (self.multiplier & 0xFFF)
    }
}

/// One output channel of the single and double kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelWide {
    /// Added to the accumulator.
    pub bias: i32,
    /// Q0.31 multiplier, `2^30 <= multiplier < 2^31`, or 0.
    pub multiplier: i32,
    /// Power of two after the multiplication: negative shifts right. -31..=30.
    pub shift: i32,
}

/// How an operator turns accumulators into outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requantize {
    /// Which rule, and so which channel record.
    pub rounding: Rounding,
    /// High word only: left shift of the 20-bit bias, 0..=11.
    pub bias_shift: u8,
    /// High word only: left shift of the 12-bit multiplier, 0..=19.
    pub multiplier_shift: u8,
    /// Single and double only: whether the records of all channels are [plain](are_plain). Loops for
    /// microcontrollers rely on it, as to look at all records takes as long as a small layer.
    pub is_plain: bool,
    /// Zero point of the output.
    pub zero_point: i16,
    /// Smallest output: the fused activation's lower bound.
    pub min: i16,
    /// Largest output.
    pub max: i16,
}

/// Whether records of three words, as [`ChannelWide`] has them, need no case of their own in any channel: no
/// multiplier is below zero, all shifts go to the right, and twice the sum of so many products of two bytes fits
/// 32 bits with every bias.
pub fn are_plain(records: &[i32], taps: usize) -> bool {
    let sum_max = (taps as u64).saturating_mul(128 * 128);
    let Some(bias_end) = (1u64 << 30).checked_sub(sum_max) else {
        return false;
    };
    let (records, _) = records.as_chunks::<3>();
    records.iter().all(|&[bias, multiplier, shift]| {
        u64::from(bias.unsigned_abs()) < bias_end && multiplier >= 0 && (-31..=-1).contains(&shift)
    })
}

/// The three rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Rounding {
    /// See [`requantize_high`].
    High = 0,
    /// See [`requantize_single`].
    Single = 1,
    /// See [`requantize_double`].
    Double = 2,
}

impl Rounding {
    /// The rule with this number.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Rounding::High),
            1 => Some(Rounding::Single),
            2 => Some(Rounding::Double),
            _ => None,
        }
    }

    /// The name used in messages and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Rounding::High => "high word",
            Rounding::Single => "single",
            Rounding::Double => "double (tflm)",
        }
    }
}

/// `round_half_up(accumulator * multiplier / 2^32)`.
#[inline(always)]
pub const fn requantize_high(accumulator: i32, multiplier: u32) -> i32 {
    ((accumulator as i64 * multiplier as i64 + (1 << 31)) >> 32) as i32
}

/// `round_half_up(accumulator * multiplier * 2^(shift - 31))`, saturating.
#[inline(always)]
pub const fn requantize_single(accumulator: i32, multiplier: i32, shift: i32) -> i32 {
    let right = 31 - shift;
    let product = accumulator as i64 * multiplier as i64;
    saturate((product + (1i64 << (right - 1))) >> right)
}

/// Doubling high multiplication with rounding, then a rounding shift to the right (halves away
/// from zero), as gemmlowp defines them.
#[inline(always)]
pub const fn requantize_double(accumulator: i32, multiplier: i32, shift: i32) -> i32 {
    let left = if shift > 0 { shift } else { 0 };
    let right = if shift > 0 { 0 } else { -shift };
    let shifted = accumulator.wrapping_shl(left as u32);
    rounding_divide_by_power_of_two(doubling_high_multiply(shifted, multiplier), right)
}

const fn saturate(value: i64) -> i32 {
    if value > i32::MAX as i64 {
        i32::MAX
    } else if value < i32::MIN as i64 {
        i32::MIN
    } else {
        value as i32
    }
}

/// `round_half_up(a * b / 2^31)` as gemmlowp does it; saturates where both are `i32::MIN`.
#[inline(always)]
pub const fn doubling_high_multiply(a: i32, b: i32) -> i32 {
    if a == i32::MIN && b == i32::MIN {
        return i32::MAX;
    }
    // gemmlowp adds 2^30, or 1 - 2^30 to negative products, and divides towards zero: the same.
    ((a as i64 * b as i64 + (1 << 30)) >> 31) as i32
}

/// `round(value / 2^exponent)`, halves away from zero. `0 <= exponent <= 31`.
#[inline(always)]
pub const fn rounding_divide_by_power_of_two(value: i32, exponent: i32) -> i32 {
    let mask = ((1u32 << exponent) - 1) as i32;
    let remainder = value & mask;
    let threshold = (mask >> 1) + (value < 0) as i32;
    (value >> exponent) + (remainder > threshold) as i32
}

/// The upper 15 bits of a multiplier, rounded, and the shift to the right after multiplying a sum of
/// 64 bits, 1..=46, as TensorFlow Lite takes them from [`quantize_multiplier`]; `None` for factors of 2^15
/// and more.
#[cfg(feature = "write")]
pub fn reduced_multiplier((multiplier, shift): (i32, i32)) -> Option<[i32; 2]> {
    let reduced = match multiplier < 0x7FFF_0000 {
        true => (multiplier + (1 << 15)) >> 16,
        false => 0x7FFF,
    };
    (shift < 15).then_some([reduced, 15 - shift])
}

/// The Q0.31 multiplier and the shift of a positive real factor, as TensorFlow Lite computes them.
/// Zero, or anything below `2^-31`, gives `(0, 0)`.
#[cfg(feature = "write")]
pub fn quantize_multiplier(factor: f64) -> (i32, i32) {
    if !(factor > 0.0 && factor.is_finite()) {
        return (0, 0);
    }
    // frexp by the bits: factor = fraction * 2^exponent with 0.5 <= fraction < 1.
    let bits = factor.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff) as i32 - 1022;
    let mantissa = (bits & ((1 << 52) - 1)) | (1 << 52);
    // fraction * 2^31, rounded half away from zero: mantissa has 53 bits, 31 are kept.
    let mut multiplier = ((mantissa >> 21) + 1) >> 1;
    if multiplier == 1 << 31 {
        multiplier >>= 1;
        exponent += 1;
    }
    if exponent < -31 || (bits >> 52) & 0x7ff == 0 {
        return (0, 0);
    }
    if exponent > 30 {
        return (i32::MAX, 30);
    }
    (multiplier as i32, exponent)
}

/// Quantizes one real value: `round_half_even(value / scale) + zero_point`, limited to `min..=max`,
/// which are within 22 bits. NaN becomes the zero point. As QuantizeLinear of ONNX, and NumPy's `round`.
#[inline]
pub fn quantize(value: f32, scale: f32, zero_point: i32, min: i32, max: i32) -> i32 {
    // Beyond 2^22 the limits decide. Below, a number of which neighbours are integers rounds what is
    // added to it.
    let bounded = (value / scale).clamp(-4_194_304.0, 4_194_304.0);
    let rounded = (bounded + 12_582_912.0) - 12_582_912.0;
    (rounded as i32 + zero_point).clamp(min, max)
}

/// Quantizes one real value: `round_half_away(value / scale) + zero_point`, limited to
/// `min..=max`. NaN becomes the zero point. As TensorFlow Lite's reference kernel of QUANTIZE.
#[inline]
pub fn quantize_half_away(value: f32, scale: f32, zero_point: i32, min: i32, max: i32) -> i32 {
    let scaled = value / scale;
    // Beyond 2^24 every step is an integer already, and the limits decide anyway.
    let bounded = scaled.clamp(-16_777_216.0, 16_777_216.0);
    let truncated = bounded as i32;
    let fraction = bounded - truncated as f32;
    let away = (fraction >= 0.5) as i32 - (fraction <= -0.5) as i32;
    (truncated + away + zero_point).clamp(min, max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn high_word_rounds_halves_up() {
        // 3 * 2^31 / 2^32 = 1.5 -> 2 and -1.5 -> -1.
        assert_eq!(requantize_high(3, 1 << 31), 2);
        assert_eq!(requantize_high(-3, 1 << 31), -1);
        assert_eq!(requantize_high(i32::MIN, 65_535 << 15), -1_073_725_440);
    }

    #[test]
    fn a_channel_is_one_word() {
        let channel = Channel {
            bias: -524_288,
            multiplier: 4095,
        };
        assert_eq!(Channel::unpack(channel.pack()), channel);
        assert_eq!(
            Channel {
                bias: 1,
                multiplier: 2
            }
            .pack(),
            4098
        );
    }

    #[test]
    fn double_rounding_differs_from_single() {
        // 0.5 * 5 * 2^-1 = 1.25 rounds to 1; twice: 2.5 -> 3, then 1.5 -> 2.
        assert_eq!(requantize_single(5, 1 << 30, -1), 1);
        assert_eq!(requantize_double(5, 1 << 30, -1), 2);
    }

    #[test]
    fn shifts_round_away_from_zero() {
        assert_eq!(rounding_divide_by_power_of_two(-3, 1), -2);
        assert_eq!(rounding_divide_by_power_of_two(3, 1), 2);
        assert_eq!(rounding_divide_by_power_of_two(5, 0), 5);
    }

    #[cfg(feature = "write")]
    #[test]
    fn multipliers_are_normalised() {
        assert_eq!(quantize_multiplier(0.5), (1 << 30, 0));
        assert_eq!(quantize_multiplier(1.0), (1 << 30, 1));
        assert_eq!(quantize_multiplier(0.25), (1 << 30, -1));
        assert_eq!(quantize_multiplier(0.0), (0, 0));
        assert_eq!(quantize_multiplier(1.0 - 1e-12), (1 << 30, 1));
    }

    #[test]
    fn real_values_become_the_nearest_integers() {
        let both = |value: f32| {
            [quantize, quantize_half_away].map(|rounded| rounded(value, 0.5, 3, -128, 127))
        };
        assert_eq!(both(1.25), [5, 6]);
        assert_eq!(both(-1.25), [1, 0]);
        assert_eq!(both(f32::NAN), [3, 3]);
        assert_eq!(both(f32::INFINITY), [127, 127]);
    }

    /// As it is written in gemmlowp.
    fn gemmlowp_multiply(a: i32, b: i32) -> i32 {
        let product = i64::from(a) * i64::from(b);
        let nudge = if product >= 0 {
            1i64 << 30
        } else {
            1 - (1i64 << 30)
        };
        let quotient = (product + nudge) / (1i64 << 31);
        quotient.min(i64::from(i32::MAX)) as i32
    }

    #[test]
    fn high_multiplication_is_gemmlowps_at_halves_and_extremes() {
        let interesting = [
            i32::MIN,
            i32::MIN + 1,
            -(1 << 30),
            -3,
            -1,
            0,
            1,
            3,
            1 << 30,
            i32::MAX,
        ];
        for a in interesting {
            for b in interesting {
                assert_eq!(
                    doubling_high_multiply(a, b),
                    gemmlowp_multiply(a, b),
                    "{a} {b}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn high_multiplication_is_gemmlowps(a: i32, b: i32, shift in 0u32..31) {
            let (a, b) = (a >> shift, 1i32.wrapping_shl(shift).wrapping_mul(b >> (shift / 2)));
            prop_assert_eq!(doubling_high_multiply(a, b), gemmlowp_multiply(a, b));
        }

        #[test]
        fn quantize_is_the_rounded_quotient(v in -1e4f32..1e4, s in 0.001f32..10.0, z in -128i32..128) {
            let even = ((v / s).round_ties_even() as i64 + i64::from(z)).clamp(-128, 127) as i32;
            prop_assert_eq!(quantize(v, s, z, -128, 127), even);
            let away = ((v / s).round() as i64 + i64::from(z)).clamp(-128, 127) as i32;
            prop_assert_eq!(quantize_half_away(v, s, z, -128, 127), away);
        }

        #[test]
        fn halves_are_between_integers(steps in -40_000i32..40_000, z in -128i32..128) {
            let half = steps as f32 + 0.5;
            let limits = [-32_768, 32_767];
            let [even, away] = [half.round_ties_even(), half.round()].map(|n| n as i32 + z);
            prop_assert_eq!(quantize(half, 1.0, z, limits[0], limits[1]), even.clamp(limits[0], limits[1]));
            prop_assert_eq!(quantize_half_away(half, 1.0, z, limits[0], limits[1]), away.clamp(limits[0], limits[1]));
        }

        #[test]
        fn double_rounding_is_within_one_of_single(a in -1_000_000_000i32..1_000_000_000, m in (1i32 << 30)..i32::MAX, s in -31i32..0) {
            prop_assert!((requantize_double(a, m, s) - requantize_single(a, m, s)).abs() <= 1);
        }
    }
}
