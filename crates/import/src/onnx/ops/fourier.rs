//! Spectra: DFT and STFT, as products with a constant matrix.

use crate::onnx::call::{Call, Item, Refusal, sizes, to_shape};
use runtime::ops::binary::Function as Of2;
use runtime::ops::gather::Gather;

/// The transform along one axis of a signal `[…, 1]` or `[…, 2]`, real or complex.
pub(super) fn dft(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.float(0)?;
    let rank = call.shape(x).rank();
    let axis = match call.opset {
        ..20 => call.attributes.int("axis", 1)?,
        _ => match call.optional_constant(2, "axis")? {
            Some(axis) => axis.data.to_i64()?.first().copied().unwrap_or(-2),
            None => -2,
        },
    };
    let axis = call.axis(axis, rank)?;
    if rank < 2 || axis + 1 == rank {
        return Err(format!("there is no axis to transform in {}", call.shape(x)).into());
    }
    let size = call.shape(x).dim(axis);
    let length = match call.optional_constant(1, "length")? {
        Some(length) => whole(length.data.to_i64()?.first())?,
        None => size,
    };
    let (inverse, onesided) = (
        call.attributes.flag("inverse")?,
        call.attributes.flag("onesided")?,
    );
    if inverse && onesided {
        return Err("half a spectrum is not transformed back".into());
    }
    let x = call.part(x, axis, 0, size.min(length))?;
    let mut swap: Vec<usize> = (0..rank).collect();
    swap.swap(axis, rank - 2);
    let turned = call.transpose(x, swap.clone())?;
    let bins = if onesided { length / 2 + 1 } else { length };
    let spectrum = transformed(call, turned, length, bins, inverse)?;
    Ok(vec![call.transpose(spectrum, swap)?])
}

/// The spectra of windows one `step` after the other.
pub(super) fn stft(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let signal = call.float(0)?;
    let step = whole(call.required_constant(1, "step")?.data.to_i64()?.first())?;
    let window = match call.input(2) {
        Some(_) => Some(call.float(2)?),
        None => None,
    };
    let length = match (call.optional_constant(3, "frame length")?, window) {
        (Some(length), _) => whole(length.data.to_i64()?.first())?,
        (None, Some(window)) => call.shape(window).elements(),
        (None, None) => return Err("it has neither a window nor a frame length".into()),
    };
    let shape = call.shape(signal);
    let room = (shape.rank() == 3)
        .then(|| shape.dim(1).checked_sub(length))
        .flatten();
    let Some(room) = room else {
        return Err(format!("frames of {length} do not fit {shape}").into());
    };
    let frames = room / step + 1;
    call.afford(&to_shape(&[frames, length])?)?;
    let table = (0..frames * length).map(|at| (at / length * step + at % length) as i32);
    let table = call.positions(&[frames, length], table.collect())?;
    let mut parts = call.push(Gather { axis: 1 }, &[signal, table])?;
    if let Some(window) = window {
        let column = call.reshape(window, &[length, 1])?;
        parts = call.binary(Of2::Mul, parts, column)?;
    }
    let onesided = call.attributes.int("onesided", 1)? != 0;
    let bins = if onesided { length / 2 + 1 } else { length };
    Ok(vec![transformed(call, parts, length, bins, false)?])
}

fn whole(value: Option<&i64>) -> Result<usize, Refusal> {
    let value = value.copied().unwrap_or(0);
    let size = usize::try_from(value)
        .ok()
        .filter(|size| (1..=65_536).contains(size));
    size.ok_or_else(|| format!("{value} is no length from 1 to 65,536").into())
}

/// `[…, N, 1 or 2]` as `[…, bins, 2]`.
fn transformed(
    call: &mut Call<'_>,
    x: Item,
    length: usize,
    bins: usize,
    inverse: bool,
) -> Result<Item, Refusal> {
    let dims = sizes(&call.shape(x));
    let [outer @ .., size, parts @ 1..=2] = &dims[..] else {
        return Err(format!("{} is neither real nor complex", call.shape(x)).into());
    };
    call.afford(&to_shape(&[size * parts, bins * 2])?)?;
    let mut matrix = Vec::with_capacity(size * parts * bins * 2);
    let scale = if inverse { 1.0 / length as f64 } else { 1.0 };
    for row in 0..size * parts {
        let (n, is_imaginary) = (row / parts, row % parts == 1);
        for bin in 0..bins {
            // The product is taken modulo the length, so that angles stay exact.
            let turn = (n * bin % length) as f64 / length as f64;
            let angle = std::f64::consts::TAU * if inverse { turn } else { -turn };
            let (sin, cos) = angle.sin_cos();
            let pair = if is_imaginary {
                [-sin, cos]
            } else {
                [cos, sin]
            };
            matrix.extend(pair.map(|value| (value * scale) as f32));
        }
    }
    let rows = call.reshape(x, &[outer.iter().product(), size * parts])?;
    let matrix = call.floats(&[size * parts, bins * 2], matrix)?;
    let product = call.product(rows, matrix)?;
    call.reshape(product, &[outer, &[bins, 2]].concat())
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, int};

    fn close(source: &Source, shape: &str, expected: &[f32]) {
        let (has, values) = source.run();
        assert_eq!(has, shape);
        let near = values
            .iter()
            .zip(expected)
            .all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(
            near && values.len() == expected.len(),
            "{values:?}, not {expected:?}"
        );
    }

    #[test]
    fn an_impulse_has_all_frequencies() {
        let source = || Source::new(17).input(&[1, 2, 1], &[1.0, 0.0]);
        close(
            &source().apply("DFT", vec![]),
            "1x2x2",
            &[1.0, 0.0, 1.0, 0.0],
        );
        let half = source()
            .whole_of(&[], &[4])
            .apply("DFT", vec![int("onesided", 1)]);
        close(&half, "1x3x2", &[1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
        let back = Source::new(17).input(&[1, 2, 2], &[3.0, 0.0, 1.0, 0.0]);
        close(
            &back.apply("DFT", vec![int("inverse", 1)]),
            "1x2x2",
            &[2.0, 0.0, 1.0, 0.0],
        );
    }

    #[test]
    fn windows_overlap() {
        let source = Source::new(17)
            .input(&[1, 3, 1], &[1.0, 2.0, 3.0])
            .whole_of(&[], &[1]);
        let source = source.constant(&[2], &[1.0, 0.5]).apply("STFT", vec![]);
        close(
            &source,
            "1x2x2x2",
            &[2.0, 0.0, 0.0, 0.0, 3.5, 0.0, 0.5, 0.0],
        );
    }
}
