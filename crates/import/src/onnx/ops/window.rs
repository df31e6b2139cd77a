//! Constants of signal processing: HannWindow, HammingWindow, BlackmanWindow, MelWeightMatrix.

use crate::onnx::call::{Call, Item, Refusal, to_shape};
use crate::onnx::constant::to_f32;

/// `a - b cos(2 pi n / N) + c cos(4 pi n / N)`.
pub(super) fn cosines(call: &mut Call<'_>, [a, b, c]: [f64; 3]) -> Result<Vec<Item>, Refusal> {
    let size = numbers(call, 0, "size")?;
    let size = usize::try_from(size as i64).map_err(|_| "its size is negative")?;
    floats_only(call)?;
    call.afford(&to_shape(&[size])?)?;
    let periodic = call.attributes.int("periodic", 1)? != 0;
    let period = if periodic {
        size
    } else {
        size.saturating_sub(1).max(1)
    };
    let value = |n: usize| {
        let angle = std::f64::consts::TAU * n as f64 / period as f64;
        (a - b * angle.cos() + c * (2.0 * angle).cos()) as f32
    };
    Ok(vec![call.floats(&[size], (0..size).map(value).collect())?])
}

/// The first number of a constant operand.
fn numbers(call: &Call<'_>, index: usize, what: &str) -> Result<f64, Refusal> {
    let tensor = call.required_constant(index, what)?;
    let first = to_f32(&tensor.data).first().copied();
    first
        .map(f64::from)
        .ok_or_else(|| format!("its {what} is empty").into())
}

/// Outputs of other types than float and double are refused.
fn floats_only(call: &Call<'_>) -> Result<(), Refusal> {
    match call.attributes.int("output_datatype", 1)? {
        1 | 10 | 11 | 16 => Ok(()),
        other => Err(format!("results of type {other} are not supported").into()),
    }
}

/// Weights of every bin of a spectrum in every band of the mel scale: triangles whose corners are
/// equally far from each other on that scale.
pub(super) fn mel_weights(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let names = [
        "number of bands",
        "transform length",
        "sample rate",
        "lower edge",
        "upper edge",
    ];
    let mut values = [0.0; 5];
    for (index, what) in names.iter().enumerate() {
        values[index] = numbers(call, index, what)?;
    }
    let [bands, length, rate, lower, upper] = values;
    let fits = |value: f64| (1.0..65_536.0).contains(&value);
    let edges = 0.0 <= lower && lower < upper && upper <= rate / 2.0;
    if !fits(bands) || !fits(length) || rate < 1.0 || !edges {
        return Err(format!("there are no bands for {values:?}").into());
    }
    floats_only(call)?;
    let (bands, bins) = (bands as usize, length as usize / 2 + 1);
    call.afford(&to_shape(&[bins, bands])?)?;
    let mel = |hertz: f64| 2595.0 * (1.0 + hertz / 700.0).log10();
    let step = (mel(upper) - mel(lower)) / (bands + 2) as f64;
    let corner = |index: usize| {
        let hertz = 700.0 * (10f64.powf((index as f64 * step + mel(lower)) / 2595.0) - 1.0);
        ((length + 1.0) * hertz / rate).floor() as usize
    };
    let mut weights = vec![0.0; bins * bands];
    for band in 0..bands {
        let [first, peak, last] = [corner(band), corner(band + 1), corner(band + 2)];
        for bin in first..=last {
            let rises = (bin as f32 - first as f32) / (peak - first) as f32;
            let falls = (last as f32 - bin as f32) / (last - peak) as f32;
            let weight = match bin {
                _ if bin == peak => 1.0,
                _ if bin < peak => rises,
                _ => falls,
            };
            if let Some(cell) = weights.get_mut(bin * bands + band) {
                *cell = weight;
            }
        }
    }
    Ok(vec![call.floats(&[bins, bands], weights)?])
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, int};

    #[test]
    fn windows_begin_at_their_edge() {
        let of = |operator: &str, attributes| {
            let source = Source::new(17)
                .whole_of(&[], &[4])
                .apply(operator, attributes);
            source.run().1
        };
        let near = |a: Vec<f32>, b: [f32; 4]| {
            assert!(
                a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6),
                "{a:?}, not {b:?}"
            );
        };
        near(of("HannWindow", vec![]), [0.0, 0.5, 1.0, 0.5]);
        near(
            of("HannWindow", vec![int("periodic", 0)]),
            [0.0, 0.75, 0.75, 0.0],
        );
        near(of("BlackmanWindow", vec![]), [0.0, 0.34, 1.0, 0.34]);
        near(
            of("HammingWindow", vec![]),
            [4.0 / 46.0, 25.0 / 46.0, 1.0, 25.0 / 46.0],
        );
    }

    #[test]
    fn bands_are_triangles() {
        let source = Source::new(17).whole_of(&[], &[2]).whole_of(&[], &[16]);
        let source = source
            .whole_of(&[], &[8192])
            .constant(&[], &[0.0])
            .constant(&[], &[4096.0]);
        let (shape, weights) = source.apply("MelWeightMatrix", vec![]).run();
        assert_eq!(shape, "9x2");
        let peaks = weights.iter().filter(|&&weight| weight == 1.0).count();
        assert_eq!(peaks, 2);
    }
}
