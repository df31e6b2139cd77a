//! Weights: one symmetric scale per output channel, chosen so that the multiplier of the
//! channel is exact in the file.

use super::halves::{FINE, Unit};
use super::reconstruct::Factor;
use format::fixed::Rounding;
use graph::DType;
use runtime::host::{Activation, Quantization, common_multipliers, fits_high, reach_i16};
use std::ops::Range;

/// The largest integer of int8 weights; the smallest is its opposite.
pub(crate) const INT8: f32 = 127.0;

/// The largest integer of int4 weights.
pub(crate) const INT4: f32 = 7.0;

/// Integer weights with their scales.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Weights {
    /// `[O, ...]`, each within the largest integer of its layer and the opposite.
    pub values: Vec<i8>,
    /// Along axis 0, zero point 0.
    pub quantization: Quantization,
}

/// What surrounds the weights of a layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layer<'a> {
    /// The type of input and output.
    pub dtype: DType,
    /// Scale and zero point of the input.
    pub input: (f32, i32),
    /// Scale and zero point of the output.
    pub output: (f32, i32),
    /// What the layer ends with.
    pub activation: Activation,
    /// The real bias of every output channel; empty for none.
    pub bias: &'a [f32],
    /// What [`best_scales`] found for the weights.
    pub best: &'a [f64],
    /// The largest integer of the weights: [`INT8`] or [`INT4`].
    pub largest: f32,
    /// The rule of sums.
    pub rounding: Rounding,
}

/// Quantizes `[outputs, ...]` weights, each to the nearest step, or together by `factor`.
///
/// The scale of a channel is rounded up to what its 12-bit multiplier can express, so that the
/// multiplication on the device is the one that the weights were rounded for. Where biases would
/// not fit 20 bits, the smallest scales are raised: a channel whose steps are a fraction of the
/// largest channel's adds little noise, and its bias then counts fewer of them. Rules with multipliers of 31
/// bits ask for nothing of this, but that single precision rounds sums as a single rounding does.
pub(crate) fn quantize(
    values: &[f32],
    outputs: usize,
    layer: &Layer<'_>,
    factor: Option<&Factor>,
) -> Weights {
    let row = (values.len() / outputs.max(1)).max(1);
    let best = layer.best;
    let largest = best.iter().copied().fold(0.0, f64::max);
    let largest = if largest > 0.0 { largest } else { 1.0 };
    let mut first = None;
    for share in [
        0.0,
        1.0 / 64.0,
        1.0 / 32.0,
        1.0 / 16.0,
        1.0 / 8.0,
        1.0 / 4.0,
    ] {
        // A channel without weights takes the largest scale: its bias is then small in steps.
        let floor = |scale: &f64| match *scale {
            0.0 => largest,
            scale => scale.max(largest * share),
        };
        let scales = best.iter().map(floor).collect();
        let scales = exact_scales(scales, (values, row), layer);
        let weights = round(values, row, scales, (factor, layer.largest));
        if layer.rounding != Rounding::High || has_high_records(&weights, row, layer) {
            return weights;
        }
        first.get_or_insert(weights);
    }
    // No floor helps: the layer keeps its finest scales and takes wide records.
    first.unwrap_or_else(|| {
        round(
            values,
            row,
            best.iter().map(|_| largest as f32).collect(),
            (factor, layer.largest),
        )
    })
}

/// For every channel of `[outputs, ...]` weights the scale with the least squared error, 0 for a
/// channel of zeros.
pub(crate) fn best_scales(values: &[f32], outputs: usize, largest: f32) -> Vec<f64> {
    let row = (values.len() / outputs.max(1)).max(1);
    let rows = values.chunks(row);
    rows.map(|weights| best_scale(weights, largest)).collect()
}

/// The next integer, and the next odd one where that costs little. No sum that counts lies half way between
/// two outputs then: it would have to be a multiple of a higher power of two than outputs reach. So all rules
/// of rounding, those of other executors too, make the same of it.
fn odd(multiplier: f64) -> f64 {
    let next = multiplier.ceil();
    let is_even = next % 2.0 == 0.0;
    if is_even && next >= f64::from(FINE) {
        next + 1.0
    } else {
        next
    }
}

/// Scales rounded up to exact multipliers with which no sum of int8 comes close to a half.
fn exact_scales(scales: Vec<f64>, (values, row): (&[f32], usize), layer: &Layer<'_>) -> Vec<f32> {
    let ratio = f64::from(layer.input.0) / f64::from(layer.output.0);
    let factors: Vec<f64> = scales.iter().map(|scale| scale * ratio).collect();
    let multipliers = match layer.rounding {
        Rounding::Double => None,
        Rounding::High | Rounding::Single => common_multipliers(&factors, odd),
    };
    let Some(multipliers) = multipliers else {
        return scales.into_iter().map(|scale| scale as f32).collect();
    };
    let unit = Unit {
        shift: multipliers.shift,
        scales: [layer.input.0, layer.output.0],
        rounding: layer.rounding,
    };
    let channels = multipliers.multipliers.iter().enumerate();
    let exact = channels.map(|(channel, &wanted)| {
        let weights = values.get(channel * row..(channel + 1) * row);
        let bias = layer.bias.get(channel).copied().unwrap_or(0.0);
        let steps = layer.steps(weights.unwrap_or(&[]), bias);
        unit.clearest(wanted, &steps)
    });
    exact.collect()
}

impl Layer<'_> {
    /// The outputs behind which another follows, their zero point taken off, that sums with these weights
    /// reach; none of int16, whose steps are too many.
    fn steps(&self, weights: &[f32], bias: f32) -> Range<i32> {
        if self.dtype != DType::I8 {
            return 0..0;
        }
        let (scale, zero_point) = self.input;
        let inputs = [-128, 127].map(|limit| (limit - zero_point) as f32 * scale);
        let reach = |furthest: fn(f32, f32) -> f32| -> f32 {
            let products = weights
                .iter()
                .map(|w| furthest(w * inputs[0], w * inputs[1]));
            bias + products.sum::<f32>()
        };
        let [low, high] = self.activation.limits();
        let (scale, zero_point) = self.output;
        // One more on either side: weights are rounded.
        let first = (reach(f32::min).max(low) / scale).floor() as i32 - 1;
        let last = (reach(f32::max).min(high) / scale).ceil() as i32 + 1;
        first.max(-128 - zero_point)..last.min(127 - zero_point)
    }
}

fn round(
    values: &[f32],
    row: usize,
    scales: Vec<f32>,
    (factor, largest): (Option<&Factor>, f32),
) -> Weights {
    let nearest = |weights: &[f32], scale: f32| -> Vec<i8> {
        let integers = weights.iter().map(|w| (w / scale).round());
        integers.map(|w| w.clamp(-largest, largest) as i8).collect()
    };
    let rows = values.chunks(row).zip(&scales);
    let rounded = rows.flat_map(|(weights, &scale)| match factor {
        Some(factor) => factor.round(weights, scale, largest),
        None => nearest(weights, scale),
    });
    let values = rounded.collect();
    Weights {
        values,
        quantization: Quantization {
            scales,
            zero_point: 0,
            axis: Some(0),
        },
    }
}

/// Whether the layer's records fit the short form of the file.
fn has_high_records(weights: &Weights, row: usize, layer: &Layer<'_>) -> bool {
    let (input_scale, input_zero) = layer.input;
    let scales = weights
        .quantization
        .scales
        .iter()
        .map(|&scale| f64::from(scale));
    let units: Vec<f64> = scales.map(|scale| scale * f64::from(input_scale)).collect();
    let factors: Vec<f64> = units
        .iter()
        .map(|u| u / f64::from(layer.output.0))
        .collect();
    let biases: Vec<i32> = weights
        .values
        .chunks(row)
        .enumerate()
        .map(|(channel, weights)| {
            let sum: i64 = weights.iter().map(|&w| i64::from(w)).sum();
            let bias = layer.bias.get(channel).copied().unwrap_or(0.0);
            let own = (f64::from(bias) / units.get(channel).unwrap_or(&1.0)).round() as i64;
            i32::try_from(own - i64::from(input_zero) * sum).unwrap_or(i32::MAX)
        })
        .collect();
    let fits_sums = |(weights, &bias): (&[i8], &i32)| {
        layer.dtype != DType::I16 || reach_i16(weights, bias) <= i64::from(i32::MAX)
    };
    fits_high(&factors, &biases) && weights.values.chunks(row).zip(&biases).all(fits_sums)
}

/// The scale with the least squared error: the largest weight becomes the largest integer, or more and
/// is clipped, up to 1 / 0.7 of it for int8 and 1 / 0.4 for int4. 0 for a channel of zeros.
fn best_scale(weights: &[f32], integer: f32) -> f64 {
    let largest = weights.iter().fold(0.0f32, |m, w| m.max(w.abs()));
    let bound = f64::from(integer);
    let whole = f64::from(largest) / bound;
    let error = |scale: f64| -> f64 {
        let miss = |w: &f32| {
            let w = f64::from(*w);
            let q = (w / scale).round().clamp(-bound, bound);
            (w - q * scale).powi(2)
        };
        weights.iter().map(miss).sum()
    };
    // Candidates 0.02 apart; the whole range wins ties.
    let count = if integer < INT8 { 31 } else { 16 };
    let candidates = (0..count).map(|i| whole * (1.0 - 0.02 * f64::from(i)));
    if whole < f64::from(f32::MIN_POSITIVE) {
        return 0.0;
    }
    let scored = candidates.map(|scale| (error(scale), scale));
    scored
        .fold((f64::INFINITY, whole), |best, next| {
            if next.0 < best.0 { next } else { best }
        })
        .1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer<'a>(bias: &'a [f32], best: &'a [f64]) -> Layer<'a> {
        Layer {
            dtype: DType::I8,
            input: (0.02, -128),
            output: (1.0, 0),
            activation: Activation::None,
            bias,
            best,
            largest: INT8,
            rounding: Rounding::High,
        }
    }

    fn quantized(values: &[f32], outputs: usize, bias: &[f32]) -> Weights {
        quantize(
            values,
            outputs,
            &layer(bias, &best_scales(values, outputs, INT8)),
            None,
        )
    }

    /// A bias of 3,000 output steps in a channel of tiny weights would need 32 bits.
    #[test]
    fn a_large_bias_raises_the_scale_of_its_channel() {
        let free = quantized(&[1.0, 0.001], 2, &[]);
        let bound = quantized(&[1.0, 0.001], 2, &[0.0, 3000.0]);
        assert_eq!(free.quantization.scales[0], bound.quantization.scales[0]);
        assert!(bound.quantization.scales[1] > 4.0 * free.quantization.scales[1]);
        assert!(has_high_records(&bound, 1, &layer(&[0.0, 3000.0], &[])));
    }

    #[test]
    fn scales_are_per_channel_and_zero_channels_are_harmless() {
        let weights = quantized(&[1.0, -1.0, 0.0, 0.0, 0.5, 0.25], 3, &[]);
        assert_eq!(weights.values[2..4], [0, 0]);
        assert_eq!(weights.quantization.scales.len(), 3);
        for (i, real) in [1.0f32, -1.0, 0.0, 0.0, 0.5, 0.25].into_iter().enumerate() {
            let scale = weights.quantization.scales[i / 2];
            let back = f32::from(weights.values[i]) * scale;
            assert!(
                (back - real).abs() <= scale / 2.0 + 1e-6,
                "{real} became {back}"
            );
        }
    }

    /// Half of a wide channel's weights are small: they are worth clipping the large one.
    #[test]
    fn four_bits_hold_seven_steps_to_each_side() {
        let mut values = vec![0.1; 30];
        values.extend([-0.1, 1.0]);
        let best = best_scales(&values, 1, INT4);
        assert!(best[0] < 1.0 / 7.0, "{best:?}");
        let layer = Layer {
            largest: INT4,
            ..layer(&[], &best)
        };
        let weights = quantize(&values, 1, &layer, None);
        assert_eq!(weights.values[31], 7);
        assert_eq!(weights.values[0], -weights.values[30]);
    }

    #[test]
    fn scales_make_multipliers_exact() {
        let weights = quantized(&[0.3, 0.07, 0.011], 3, &[]);
        let factors: Vec<f64> = weights
            .quantization
            .scales
            .iter()
            .map(|&s| f64::from(s) * 0.02)
            .collect();
        let multipliers = common_multipliers(&factors, f64::round).unwrap();
        for (channel, factor) in factors.iter().enumerate() {
            let relative = multipliers.factor(channel) / factor - 1.0;
            assert!(relative.abs() < 1e-6, "{relative}");
        }
        // With odd ones no sum lies half way.
        let is_odd = |multiplier: &u32| multiplier % 2 == 1;
        assert!(
            multipliers.multipliers[..2].iter().all(is_odd),
            "{multipliers:?}"
        );
        assert_eq!(
            [0.0, 5.1, 200.0, 4_094.2].map(super::odd),
            [0.0, 6.0, 201.0, 4_095.0]
        );
    }
}
