//! Weights: one symmetric scale per output channel, chosen so that the multiplier of the
//! channel is exact in the file.

use runtime::host::{Quantization, common_multipliers};

/// int8 weights with their scales.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Weights {
    /// `[O, ...]`, each within -127..=127.
    pub values: Vec<i8>,
    /// Along axis 0, zero point 0.
    pub quantization: Quantization,
}

/// Quantizes `[outputs, ...]` weights. `ratio` is the input's scale over the output's: with it
/// the scale of a channel is rounded up to what its 16-bit multiplier can express, so that the
/// multiplication on the device is the one that the weights were rounded for.
pub(crate) fn quantize(values: &[f32], outputs: usize, ratio: f64) -> Weights {
    let row = (values.len() / outputs.max(1)).max(1);
    let mut scales: Vec<f64> = values.chunks(row).map(best_scale).collect();
    // A channel without weights takes the largest scale: its bias is then small in steps.
    let largest = scales.iter().copied().fold(0.0, f64::max);
    let fallback = if largest > 0.0 { largest } else { 1.0 };
    scales.iter_mut().filter(|s| **s == 0.0).for_each(|s| *s = fallback);
    let factors: Vec<f64> = scales.iter().map(|scale| scale * ratio).collect();
    if let Some(multipliers) = common_multipliers(&factors, f64::ceil) {
        for (channel, scale) in scales.iter_mut().enumerate() {
            *scale = multipliers.factor(channel) / ratio;
        }
    }
    let scales: Vec<f32> = scales.into_iter().map(|scale| scale as f32).collect();
    let rounded = values.chunks(row).zip(&scales).flat_map(|(weights, &scale)| {
        weights.iter().map(move |w| (w / scale).round().clamp(-127.0, 127.0) as i8)
    });
    Weights {
        values: rounded.collect(),
        quantization: Quantization { scales: scales.clone(), zero_point: 0, axis: Some(0) },
    }
}

/// The scale with the least squared error: the largest weight becomes 127, or up to 127 / 0.7 and
/// is clipped. 0 for a channel of zeros.
fn best_scale(weights: &[f32]) -> f64 {
    let largest = weights.iter().fold(0.0f32, |m, w| m.max(w.abs()));
    let whole = f64::from(largest) / 127.0;
    let error = |scale: f64| -> f64 {
        let miss = |w: &f32| {
            let w = f64::from(*w);
            let q = (w / scale).round().clamp(-127.0, 127.0);
            (w - q * scale).powi(2)
        };
        weights.iter().map(miss).sum()
    };
    // Sixteen candidates from 0.7 to 1; the whole range wins ties.
    let candidates = (0..16).map(|i| whole * (1.0 - 0.02 * f64::from(i)));
    if whole < f64::from(f32::MIN_POSITIVE) {
        return 0.0;
    }
    let scored = candidates.map(|scale| (error(scale), scale));
    scored.fold((f64::INFINITY, whole), |best, next| if next.0 < best.0 { next } else { best }).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_per_channel_and_zero_channels_are_harmless() {
        let weights = quantize(&[1.0, -1.0, 0.0, 0.0, 0.5, 0.25], 3, 0.01);
        assert_eq!(weights.values[2..4], [0, 0]);
        assert_eq!(weights.quantization.scales.len(), 3);
        for (i, real) in [1.0f32, -1.0, 0.0, 0.0, 0.5, 0.25].into_iter().enumerate() {
            let scale = weights.quantization.scales[i / 2];
            let back = f32::from(weights.values[i]) * scale;
            assert!((back - real).abs() <= scale / 2.0 + 1e-6, "{real} became {back}");
        }
    }

    #[test]
    fn scales_make_multipliers_exact() {
        let weights = quantize(&[0.3, 0.07, 0.011], 3, 0.02);
        let factors: Vec<f64> =
            weights.quantization.scales.iter().map(|&s| f64::from(s) * 0.02).collect();
        let multipliers = common_multipliers(&factors, f64::round).unwrap();
        for (channel, factor) in factors.iter().enumerate() {
            let relative = multipliers.factor(channel) / factor - 1.0;
            assert!(relative.abs() < 1e-6, "{relative}");
        }
    }
}
