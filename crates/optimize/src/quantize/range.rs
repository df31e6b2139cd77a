//! From a histogram to the scale and zero point of an activation.

use super::histogram::Histogram;
use graph::DType;
use runtime::host::Quantization;
use std::fmt;
use std::str::FromStr;

/// How the range of an activation is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Method {
    /// The smallest and the largest value.
    MinMax,
    /// All but a share of the values, in percent, for example 99.99.
    Percentile(f32),
    /// The range with the least expected squared error.
    #[default]
    Mse,
}

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "minmax" => Ok(Method::MinMax),
            None if text == "mse" => Ok(Method::Mse),
            None if text == "percentile" => Ok(Method::Percentile(99.99)),
            Some(("percentile", share)) => match share.parse() {
                Ok(share) if (50.0..=100.0).contains(&share) => Ok(Method::Percentile(share)),
                _ => Err(format!("'{share}' is not a percentage from 50 to 100")),
            },
            _ => Err(format!(
                "'{text}' is none of minmax, mse, percentile[:99.99]"
            )),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Method::MinMax => f.write_str("minmax"),
            Method::Percentile(share) => write!(f, "percentile:{share}"),
            Method::Mse => f.write_str("mse"),
        }
    }
}

/// The scale and zero point that cover `[low, high]` with 256 steps; zero is exact.
pub fn affine(low: f32, high: f32) -> Quantization {
    let (low, high) = (low.min(0.0), high.max(0.0));
    let scale = (high - low) / 255.0;
    if !(scale.is_finite() && scale >= f32::MIN_POSITIVE) {
        return Quantization::per_tensor(1.0, 0);
    }
    let zero_point = (-128.0 - low / scale).round().clamp(-128.0, 127.0);
    Quantization::per_tensor(scale, zero_point as i32)
}

/// The scales of one activation: which one counts depends on the type it gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Scales {
    /// Asymmetric.
    pub int8: Quantization,
    /// Symmetric.
    pub int16: Quantization,
}

impl Scales {
    /// The scale for a type; `None` for types that have none.
    pub fn of(&self, dtype: DType) -> Option<Quantization> {
        match dtype {
            DType::I8 => Some(self.int8.clone()),
            DType::I16 => Some(self.int16.clone()),
            _ => None,
        }
    }
}

/// The symmetric scale that covers `[low, high]` with 65,535 steps.
pub fn symmetric(low: f32, high: f32) -> Quantization {
    let scale = low.abs().max(high.abs()) / 32_767.0;
    if !(scale.is_finite() && scale >= f32::MIN_POSITIVE) {
        return Quantization::per_tensor(1.0, 0);
    }
    Quantization::per_tensor(scale, 0)
}

/// The range of a histogram by a method.
pub fn choose(histogram: &Histogram, method: Method) -> [f32; 2] {
    match method {
        Method::MinMax => [histogram.smallest(), histogram.largest()],
        Method::Percentile(share) => histogram.percentile(share),
        Method::Mse => least_error(histogram),
    }
}

/// The expected squared error of values under 256 steps over `[low, high]`: a twelfth of a
/// squared step inside, the distance to the limit outside.
fn error(bins: &[(f32, u64)], low: f32, high: f32) -> f64 {
    let step = f64::from(high - low) / 255.0;
    let inside = step * step / 12.0;
    let outside = |&(value, count): &(f32, u64)| {
        let clipped = f64::from(value - value.clamp(low, high));
        (clipped * clipped + inside) * count as f64
    };
    bins.iter().map(outside).sum()
}

/// Shrinks both limits in turn, in steps of a hundredth, as long as the error falls.
fn least_error(histogram: &Histogram) -> [f32; 2] {
    let bins: Vec<(f32, u64)> = histogram.bins().collect();
    let extremes = [histogram.smallest(), histogram.largest()];
    let mut best = extremes;
    let mut least = error(&bins, best[0], best[1]);
    for _ in 0..3 {
        let before = best;
        for side in 0..2 {
            for hundredth in 20..100 {
                let mut tried = best;
                tried[side] = extremes[side] * hundredth as f32 / 100.0;
                let cost = error(&bins, tried[0], tried[1]);
                if cost < least {
                    (best, least) = (tried, cost);
                }
            }
        }
        if before == best {
            break;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_exact_and_relu_starts_at_minus_128() {
        assert_eq!(affine(0.0, 25.5), Quantization::per_tensor(0.1, -128));
        assert_eq!(affine(-1.0, 1.0).zero_point, -1);
        assert_eq!(affine(0.0, 0.0), Quantization::per_tensor(1.0, 0));
    }

    #[test]
    fn int16_is_symmetric() {
        assert_eq!(symmetric(-32_767.0, 1.0), Quantization::per_tensor(1.0, 0));
        assert_eq!(symmetric(0.0, 65_534.0), Quantization::per_tensor(2.0, 0));
        assert_eq!(symmetric(0.0, 0.0), Quantization::per_tensor(1.0, 0));
    }

    #[test]
    fn one_outlier_does_not_stretch_the_range() {
        let mut histogram = Histogram::default();
        let values: Vec<f32> = (0..100_000).map(|i| i as f32 / 100_000.0).collect();
        // A million values: the squared errors balance at 4 / (1 + 10^6 / (12 * 255^2)) = 1.75.
        (0..10).for_each(|_| assert!(histogram.add(&values)));
        histogram.add(&[4.0]);
        let [_, high] = choose(&histogram, Method::Mse);
        assert!((1.6..1.9).contains(&high), "{high}");
        assert_eq!(choose(&histogram, Method::MinMax), [0.0, 4.0]);
        let [_, high] = choose(&histogram, Method::Percentile(99.9));
        assert!((0.99..1.1).contains(&high), "{high}");
    }

    #[test]
    fn methods_are_read_as_they_are_written() {
        assert_eq!("percentile:99.9".parse(), Ok(Method::Percentile(99.9)));
        assert_eq!("mse".parse(), Ok(Method::Mse));
        assert!("percentile:10".parse::<Method>().is_err());
        assert!("best".parse::<Method>().is_err());
    }
}
