//! From real scales to the integers of a plan.

use super::onnx::{rounding_factor, single_factor};
use super::{Activation, Data, Operand};
use format::fixed::{Channel, Requantize, Rounding, are_plain, quantize_multiplier};
use format::{DType, Shape};
use std::string::String;
use std::vec::Vec;

/// A node of the plan before its operands have places.
#[derive(Clone, Debug, PartialEq)]
pub struct Lowered {
    /// The operator's code.
    pub code: u16,
    /// The device's operands, in the device's order.
    pub operands: Vec<LoweredOperand>,
    /// The operator's parameters.
    pub params: Vec<u8>,
}

/// An operand of a lowered node.
#[derive(Clone, Debug, PartialEq)]
pub enum LoweredOperand {
    /// Input `0` of the graph's node, as it is.
    Input(usize),
    /// A constant made for the device.
    Constant {
        /// Element type.
        dtype: DType,
        /// Dimensions.
        shape: Shape,
        /// The elements as stored.
        bytes: Vec<u8>,
    },
    /// Left out.
    Absent,
}

/// 12-bit multipliers of all channels and their common shift: see [`format::fixed`].
#[derive(Clone, Debug, PartialEq)]
pub struct Multipliers {
    /// One per channel.
    pub multipliers: Vec<u32>,
    /// Shift to the left of all of them, 0..=19.
    pub shift: u8,
}

impl Multipliers {
    /// The real factor that `channel` is multiplied by.
    pub fn factor(&self, channel: usize) -> f64 {
        let multiplier = self.multipliers.get(channel).copied().unwrap_or(0);
        f64::from(multiplier) * 2f64.powi(i32::from(self.shift) - 32)
    }
}

/// Multipliers for real factors, rounded with `round` (up, for a quantizer that then adapts the
/// weight scales; to nearest otherwise). `None` when a factor is 0.5 or more, or not positive.
pub fn common_multipliers(factors: &[f64], round: fn(f64) -> f64) -> Option<Multipliers> {
    let largest = factors.iter().copied().fold(0.0, f64::max);
    let usable = factors.iter().all(|f| f.is_finite() && *f >= 0.0) && largest > 0.0;
    if !usable {
        return None;
    }
    for shift in 0..=19u8 {
        let unit = 2f64.powi(32 - i32::from(shift));
        if round(largest * unit) <= 4_095.0 {
            let multipliers = factors.iter().map(|f| round(f * unit) as u32).collect();
            return Some(Multipliers { multipliers, shift });
        }
    }
    None
}

/// The smallest and the largest integer of a type.
pub fn integer_limits(dtype: DType) -> Result<[i32; 2], String> {
    match dtype {
        DType::I8 => Ok([-128, 127]),
        DType::I16 => Ok([-32_768, 32_767]),
        other => Err(std::format!("{other} is not a quantized type")),
    }
}

/// The smallest and the largest output of an integer tensor under an activation.
pub fn activation_limits(activation: Activation, output: &Operand<'_>) -> Result<[i16; 2], String> {
    let (scale, zero_point) = output.affine()?;
    let [low, high] = activation.limits();
    let [smallest, largest] = integer_limits(output.dtype)?;
    let bound = |real: f32, open: i32| -> i16 {
        let steps = (real / scale).round();
        if steps.is_finite() {
            (steps as i32)
                .saturating_add(zero_point)
                .clamp(smallest, largest) as i16
        } else {
            open as i16
        }
    };
    Ok([bound(low, smallest), bound(high, largest)])
}

/// The channel records of a convolution, and how to requantize with them.
///
/// A real bias is rounded here, an int32 one is taken as it is. Refused where sums of a channel
/// could exceed 32 bits: see [`reach_i16`].
pub fn channel_operand(
    input: &Operand<'_>,
    weights: &Operand<'_>,
    bias: Option<&Operand<'_>>,
    output: &Operand<'_>,
    activation: Activation,
    rounding: Rounding,
) -> Result<(LoweredOperand, Requantize), String> {
    let (input_scale, input_zero) = input.affine()?;
    let (output_scale, output_zero) = output.affine()?;
    let weight_scales = weights
        .quantization
        .ok_or("the weights are not quantized")?;
    let count = weights.shape.dim(0);
    let values = weights.data.ok_or("the weights must be constant")?.i8()?;
    let rows: Vec<&[i8]> = values
        .chunks((values.len() / count.max(1)).max(1))
        .collect();
    let sums: Vec<i64> = rows
        .iter()
        .map(|row| row.iter().map(|&w| i64::from(w)).sum())
        .collect();
    // Desktop TensorFlow Lite multiplies the two scales of a fully connected layer in single precision.
    let is_single = weights.shape.rank() == 2 && weight_scales.axis.is_none();
    let is_desktop = rounding == Rounding::Single;
    let unit = |c: usize| match (is_single && is_desktop, weight_scales.scale(c)) {
        (true, scale) => f64::from(input_scale * scale),
        (false, scale) => f64::from(input_scale) * f64::from(scale),
    };
    let units: Vec<f64> = (0..count).map(unit).collect();
    let [min, max] = activation_limits(activation, output)?;
    // Biases that are real beside this rounding come from ONNX: its executor has factors of single precision.
    let is_real = bias.is_some_and(|bias| bias.dtype == DType::F32);
    let biases = integer_biases(bias, &units, input_zero, &sums)?;
    let factor = |(c, unit): (usize, &f64)| match is_real && is_desktop {
        true => {
            let factor = single_factor(weight_scales.scale(c), [input_scale, output_scale]);
            let limits = [min, max].map(|limit| i32::from(limit) - output_zero);
            let row = (input.dtype == DType::I8).then(|| rows.get(c)).flatten();
            let reached = row.map_or(limits, |row| {
                let [low, high] = reached_i8(row, biases[c], f64::from(factor));
                [limits[0].max(low), limits[1].min(high)]
            });
            rounding_factor(factor, reached)
        }
        false => unit / f64::from(output_scale),
    };
    let factors: Vec<f64> = units.iter().enumerate().map(factor).collect();
    if input.dtype == DType::I16 {
        fit_sums(&rows, &biases)?;
    }
    let zero_point = output_zero as i16;
    let taps = values.len() / count.max(1);
    let (operand, rounding, [bias_shift, multiplier_shift], is_plain) =
        records(&factors, &biases, rounding, taps)?;
    let requantize = Requantize {
        rounding,
        bias_shift,
        multiplier_shift,
        is_plain: is_plain && input.dtype == DType::I8,
        zero_point,
        min,
        max,
    };
    Ok((operand, requantize))
}

/// The records of all channels, the rule that they are for, the two shifts of that rule, and whether they are
/// plain for so many taps of int8: the short ones where the file's rounding is theirs and they are precise enough.
fn records(
    factors: &[f64],
    biases: &[i32],
    rounding: Rounding,
    taps: usize,
) -> Result<(LoweredOperand, Rounding, [u8; 2], bool), String> {
    let count = factors.len();
    if rounding == Rounding::High
        && let Some((words, shifts)) = high_words(factors, biases)
    {
        let bytes = words.iter().flat_map(|w| w.to_le_bytes());
        let operand = constant(DType::Channel, count, bytes)?;
        return Ok((operand, rounding, shifts, false));
    }
    // Where they lose nothing, the short ones are a single rounding.
    if rounding == Rounding::Single
        && let Some((words, shifts)) = high_words(factors, biases)
        && is_exact(&words, shifts, factors)
    {
        let bytes = words.iter().flat_map(|w| w.to_le_bytes());
        return Ok((
            constant(DType::Channel, count, bytes)?,
            Rounding::High,
            shifts,
            false,
        ));
    }
    let record = |(&factor, &bias): (&f64, &i32)| {
        let (multiplier, shift) = match quantize_multiplier(factor) {
            // Any shift will do: one as others have it.
            (0, _) => (0, -1),
            other => other,
        };
        [bias, multiplier, shift]
    };
    let wide: Vec<i32> = factors.iter().zip(biases).flat_map(record).collect();
    let bytes = wide.iter().flat_map(|word| word.to_le_bytes());
    let operand = constant(DType::ChannelWide, count, bytes)?;
    let rounding = match rounding {
        Rounding::High => Rounding::Single,
        other => other,
    };
    Ok((operand, rounding, [0, 0], are_plain(&wide, taps)))
}

/// Whether sums over int16 inputs stay within 32 bits.
fn fit_sums(rows: &[&[i8]], biases: &[i32]) -> Result<(), String> {
    let mut reaches = rows
        .iter()
        .zip(biases)
        .map(|(row, &bias)| reach_i16(row, bias));
    match reaches.position(|reach| reach > i64::from(i32::MAX)) {
        Some(channel) => Err(std::format!("sums of channel {channel} exceed 32 bits")),
        None => Ok(()),
    }
}

/// Between which outputs the sums of a channel over int8 inputs come, their zero point taken off.
pub fn reached_i8(weights: &[i8], bias: i32, factor: f64) -> [i32; 2] {
    let sum = |furthest: fn(i64, i64) -> i64| -> f64 {
        let products = weights.iter().map(|&w| i64::from(w));
        let furthest = products.map(|w| furthest(w * -128, w * 127));
        (i64::from(bias) + furthest.sum::<i64>()) as f64 * factor
    };
    [
        (sum(i64::min).floor() as i32).saturating_sub(1),
        sum(i64::max).ceil() as i32,
    ]
}

/// The largest sum of a channel over int16 inputs.
pub fn reach_i16(weights: &[i8], bias: i32) -> i64 {
    let weights: i64 = weights.iter().map(|&w| i64::from(w.unsigned_abs())).sum();
    weights * 32_768 + i64::from(bias.unsigned_abs())
}

/// Biases in units of the accumulator, the input's zero point folded in.
fn integer_biases(
    bias: Option<&Operand<'_>>,
    units: &[f64],
    input_zero: i32,
    sums: &[i64],
) -> Result<Vec<i32>, String> {
    let own: Vec<i64> = match bias.and_then(|bias| bias.data) {
        None => Vec::new(),
        Some(Data::F32(values)) => {
            let pairs = values.iter().zip(units);
            pairs
                .map(|(&bias, unit)| (f64::from(bias) / unit).round() as i64)
                .collect()
        }
        Some(other) => other.to_i64()?,
    };
    let fold = |(channel, &sum): (usize, &i64)| {
        let own = own.get(channel).copied().unwrap_or(0);
        let folded = own.saturating_sub(i64::from(input_zero) * sum);
        let narrow = i32::try_from(folded);
        narrow.map_err(|_| std::format!("bias {channel} does not fit 32 bits: {folded}"))
    };
    sums.iter().enumerate().map(fold).collect()
}

/// Whether channels with these real factors and these biases have high-word records: the
/// condition that a quantizer can meet by choosing its weight scales.
pub fn fits_high(factors: &[f64], biases: &[i32]) -> bool {
    high_words(factors, biases).is_some()
}

/// Packed biases and multipliers with their two shifts, where these are precise enough:
/// a bias may be off by at most 1/16 of an output step.
fn high_words(factors: &[f64], biases: &[i32]) -> Option<(Vec<u32>, [u8; 2])> {
    let scaled = common_multipliers(factors, f64::round)?;
    let largest = biases.iter().map(|b| b.unsigned_abs()).max().unwrap_or(0);
    let bias_shift = (0..=11u8).find(|&s| (largest >> s) + 1 < 1 << 19)?;
    let half_step = f64::from(1u32 << bias_shift) / 2.0;
    let worst = factors.iter().copied().fold(0.0, f64::max);
    if bias_shift > 0 && half_step * worst > 1.0 / 16.0 {
        return None;
    }
    let words = scaled
        .multipliers
        .iter()
        .zip(biases)
        .map(|(&multiplier, &bias)| {
            let rounded = (f64::from(bias) / f64::from(1u32 << bias_shift)).round() as i32;
            Channel {
                bias: rounded,
                multiplier,
            }
            .pack()
        });
    Some((words.collect(), [bias_shift, scaled.shift]))
}

/// Whether short records have these factors, and biases as they are.
fn is_exact(words: &[u32], [bias_shift, shift]: [u8; 2], factors: &[f64]) -> bool {
    let unit = 2f64.powi(i32::from(shift) - 32);
    let mut pairs = words.iter().zip(factors);
    bias_shift == 0
        && pairs
            .all(|(&word, &factor)| f64::from(Channel::unpack(word).multiplier) * unit == factor)
}

fn constant(
    dtype: DType,
    count: usize,
    bytes: impl Iterator<Item = u8>,
) -> Result<LoweredOperand, String> {
    let shape = Shape::new(&[count as u32]).ok_or("too many dimensions")?;
    Ok(LoweredOperand::Constant {
        dtype,
        shape,
        bytes: bytes.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Quantization;

    #[test]
    fn multipliers_share_the_smallest_shift_that_holds_the_largest() {
        let scaled = common_multipliers(&[0.25, 0.125], f64::round).unwrap();
        assert_eq!(
            scaled,
            Multipliers {
                multipliers: std::vec![2048, 1024],
                shift: 19
            }
        );
        assert_eq!(scaled.factor(0), 0.25);
        assert_eq!(common_multipliers(&[0.5], f64::round), None);
        assert_eq!(common_multipliers(&[0.0], f64::round), None);
    }

    /// 0.1 * 0.3 / 0.7 in single precision is not what is nearest to it in double precision.
    #[test]
    fn factors_beside_real_biases_are_of_single_precision() {
        let multiplier = |bias: Data| {
            let shape = |size| Shape::new(&[size; 1]).unwrap();
            let quantization = [0.1, 0.3, 0.7].map(|scale| Quantization::per_tensor(scale, 0));
            let operand = |dtype, index: usize| Operand {
                dtype,
                shape: shape(1),
                quantization: quantization.get(index),
                data: None,
            };
            let stored = Data::I8(std::vec![1]);
            let weights = Operand {
                shape: Shape::new(&[1, 1, 1, 1]).unwrap(),
                data: Some(&stored),
                ..operand(DType::I8, 1)
            };
            let bias = Operand {
                data: Some(&bias),
                ..operand(bias.dtype(), 3)
            };
            let (input, output) = (operand(DType::I8, 0), operand(DType::I8, 2));
            let none = Activation::None;
            let made = channel_operand(
                &input,
                &weights,
                Some(&bias),
                &output,
                none,
                Rounding::Single,
            );
            let LoweredOperand::Constant { bytes, .. } = made.unwrap().0 else {
                panic!("the records are constant")
            };
            let parts: Vec<i32> = bytes
                .chunks(4)
                .map(|b| i32::from_le_bytes(b.try_into().unwrap()))
                .collect();
            f64::from(parts[1]) * 2f64.powi(parts[2] - 31)
        };
        assert_eq!(
            multiplier(Data::F32(std::vec![0.0])),
            f64::from(0.1f32 * 0.3 / 0.7)
        );
        let exact = f64::from(0.1f32) * f64::from(0.3f32) / f64::from(0.7f32);
        let made = multiplier(Data::I32(std::vec![0]));
        assert!((made / exact - 1.0).abs() < 1e-9 && made != f64::from(0.1f32 * 0.3 / 0.7));
    }

    #[test]
    fn limits_follow_scale_and_zero_point() {
        let limits = |activation, dtype, scale, zero_point| {
            let quantization = Quantization::per_tensor(scale, zero_point);
            let shape = Shape::new(&[1]).unwrap();
            let output = Operand {
                dtype,
                shape,
                quantization: Some(&quantization),
                data: None,
            };
            activation_limits(activation, &output)
        };
        assert_eq!(
            limits(Activation::Relu, DType::I8, 0.1, -20),
            Ok([-20, 127])
        );
        assert_eq!(
            limits(Activation::Clip(0.0, 6.0), DType::I8, 0.1, -128),
            Ok([-128, -68])
        );
        assert_eq!(limits(Activation::None, DType::I8, 0.1, 5), Ok([-128, 127]));
        assert_eq!(
            limits(Activation::Clip(-1.0, 1e9), DType::I16, 0.01, 0),
            Ok([-100, 32_767])
        );
        assert!(limits(Activation::None, DType::I32, 0.1, 5).is_err());
    }
}
