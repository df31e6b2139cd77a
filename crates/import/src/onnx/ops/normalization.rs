//! Normalization over positions: InstanceNormalization, GroupNormalization,
//! MeanVarianceNormalization, LRN, LpNormalization.

use crate::onnx::call::{Call, Item, Refusal, sizes};
use runtime::host::Activation;
use runtime::ops::Window2d;
use runtime::ops::average_pool_2d::{AveragePool2d, Halves};
use runtime::ops::binary::Function as Of2;
use runtime::ops::pad::Pad;
use runtime::ops::reduce::Function as Fold;
use runtime::ops::unary::Function as Of1;

/// Every channel of every sample on its own.
pub(super) fn instance(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.float(0)?;
    let dims = sizes(&call.shape(x));
    let channels = dims.get(1).copied().unwrap_or(0);
    grouped(call, x, channels, channels)
}

/// Neighbouring channels together; factors are by group before operator set 21, then by channel.
pub(super) fn group(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.float(0)?;
    let groups = usize::try_from(call.attributes.int("num_groups", 1)?).unwrap_or(0);
    let channels = sizes(&call.shape(x)).get(1).copied().unwrap_or(0);
    let factors = if call.opset < 21 { groups } else { channels };
    grouped(call, x, groups, factors)
}

fn grouped(
    call: &mut Call<'_>,
    x: Item,
    groups: usize,
    factors: usize,
) -> Result<Vec<Item>, Refusal> {
    let dims = sizes(&call.shape(x));
    let (scale, bias) = (call.float(1)?, call.float(2)?);
    let epsilon = call.attributes.float("epsilon", 1e-5)?;
    let fits = dims.len() > 2 && groups > 0 && dims[1].is_multiple_of(groups);
    if !fits
        || [scale, bias]
            .iter()
            .any(|&item| call.shape(item).elements() != factors)
    {
        return Err(format!("{groups} groups and {} do not fit", call.shape(x)).into());
    }
    let rest: usize = dims[1..].iter().product::<usize>() / groups;
    let rows = call.reshape(x, &[dims[0], groups, rest])?;
    let normal = call.normal(rows, [2, 2], epsilon)?;
    let parts = call.reshape(normal, &[dims[0], factors, rest * groups / factors])?;
    let scale = call.reshape(scale, &[factors, 1])?;
    let bias = call.reshape(bias, &[factors, 1])?;
    let scaled = call.binary(Of2::Mul, parts, scale)?;
    let result = call.binary(Of2::Add, scaled, bias)?;
    Ok(vec![call.reshape(result, &dims)?])
}

/// Mean 0 and variance 1 over some axes, all but the channels' if not said.
pub(super) fn mean_variance(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.float(0)?;
    let dims = sizes(&call.shape(x));
    let axes = call.attributes.ints("axes")?.unwrap_or(&[0, 2, 3]);
    let axes = axes.iter().map(|&axis| call.axis(axis, dims.len()));
    let axes: Vec<usize> = axes.collect::<Result<_, _>>()?;
    let kept = (0..dims.len()).filter(|axis| !axes.contains(axis));
    let count = kept.clone().count();
    let order: Vec<usize> = kept
        .chain((0..dims.len()).filter(|axis| axes.contains(axis)))
        .collect();
    if count == dims.len() {
        return Err("it names no axes".into());
    }
    let turned = call.transpose(x, order.clone())?;
    // The standard adds this number to the deviation, not to the variance.
    let normal = call.normal(turned, [count, dims.len() - 1], 1e-9 * 1e-9)?;
    let mut back = vec![0; dims.len()];
    order
        .iter()
        .enumerate()
        .for_each(|(to, &from)| back[from] = to);
    Ok(vec![call.transpose(normal, back)?])
}

/// `x / (bias + alpha / size * sum of squares over neighbouring channels)^beta`.
pub(super) fn local_response(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.float(0)?;
    let dims = sizes(&call.shape(x));
    let alpha = call.attributes.float("alpha", 1e-4)?;
    let beta = call.attributes.float("beta", 0.75)?;
    let bias = call.attributes.float("bias", 1.0)?;
    let size = usize::try_from(call.attributes.int("size", 0)?).unwrap_or(0);
    let [n, channels, rest @ ..] = &dims[..] else {
        return Err(format!("{} has no channels", call.shape(x)).into());
    };
    if !(1..=65_535).contains(&size) {
        return Err(format!("its size is {size}, but must be from 1 to 65,535").into());
    }
    let squares = call.binary(Of2::Mul, x, x)?;
    // An image of channels by positions; what is beyond the channels counts as zeros.
    let image = call.reshape(squares, &[*n, *channels, rest.iter().product(), 1])?;
    let before = (size - 1) / 2;
    let pad = Pad {
        amounts: vec![[0, 0], [before, size - 1 - before], [0, 0], [0, 0]],
        value: 0.0,
    };
    let image = call.push(pad, &[image])?;
    let pool = AveragePool2d {
        window: Window2d::dense([size, 1]),
        count_include_pad: false,
        halves: Halves::Away,
        activation: Activation::None,
    };
    let means = call.push(pool, &[image])?;
    let scaled = call.with_number(Of2::Mul, means, alpha)?;
    let raised = call.with_number(Of2::Add, scaled, bias)?;
    let factors = call.with_number(Of2::Pow, raised, -beta)?;
    let factors = call.reshape(factors, &dims)?;
    Ok(vec![call.binary(Of2::Mul, x, factors)?])
}

/// `x` by its sum of sizes along an axis, or by the root of its sum of squares; zeros stay zeros.
pub(super) fn lp(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.float(0)?;
    let axis = call.axis(call.attributes.int("axis", -1)?, call.shape(x).rank())?;
    let norm = match call.attributes.int("p", 2)? {
        1 => {
            let sizes = call.unary(Of1::Abs, x)?;
            call.folded(Fold::Sum, sizes, [axis, axis])?
        }
        2 => {
            let squares = call.binary(Of2::Mul, x, x)?;
            let sums = call.folded(Fold::Sum, squares, [axis, axis])?;
            call.unary(Of1::Sqrt, sums)?
        }
        other => return Err(format!("there is no norm {other}, only 1 and 2").into()),
    };
    let norm = call.with_number(Of2::Max, norm, f32::MIN_POSITIVE)?;
    Ok(vec![call.binary(Of2::Div, x, norm)?])
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, float, int, ints};

    fn close(source: &Source, expected: &[f32]) {
        let (_, values) = source.run();
        let near = values
            .iter()
            .zip(expected)
            .all(|(a, b)| (a - b).abs() < 1e-3);
        assert!(
            near && values.len() == expected.len(),
            "{values:?}, not {expected:?}"
        );
    }

    #[test]
    fn groups_get_mean_0_and_deviation_1() {
        let x = [1.0, 3.0, 10.0, 14.0];
        let source = || {
            let source = Source::new(18)
                .input(&[1, 2, 2], &x)
                .constant(&[2], &[1.0, 2.0]);
            source.constant(&[2], &[0.0, 0.5])
        };
        let instance = source().apply("InstanceNormalization", vec![]);
        close(&instance, &[-1.0, 1.0, -1.5, 2.5]);
        let group = source().apply("GroupNormalization", vec![int("num_groups", 2)]);
        close(&group, &[-1.0, 1.0, -1.5, 2.5]);
        let wrong = source().apply("GroupNormalization", vec![int("num_groups", 3)]);
        assert!(wrong.refusal().contains("do not fit"));
        let whole = Source::new(13).input(&[2, 2], &[1.0, 10.0, 3.0, 14.0]);
        let whole = whole.apply("MeanVarianceNormalization", vec![ints("axes", &[0])]);
        close(&whole, &[-1.0, -1.0, 1.0, 1.0]);
    }

    #[test]
    fn norms_become_1() {
        let norm = |p: i64, x: &[f32]| {
            let source = Source::new(13).input(&[2, 2], x);
            source.apply("LpNormalization", vec![int("p", p), int("axis", 0)])
        };
        close(&norm(1, &[1.0, 0.0, -3.0, 0.0]), &[0.25, 0.0, -0.75, 0.0]);
        close(&norm(2, &[3.0, 0.0, -4.0, 0.0]), &[0.6, 0.0, -0.8, 0.0]);
        let third = norm(3, &[0.0; 4]).refusal();
        assert!(third.contains("there is no norm 3"), "{third}");
    }

    #[test]
    fn neighbouring_channels_count() {
        let source = Source::new(13).input(&[1, 3, 1], &[1.0, 2.0, 3.0]);
        let attributes = vec![
            int("size", 3),
            float("alpha", 3.0),
            float("beta", 1.0),
            float("bias", 0.0),
        ];
        close(
            &source.apply("LRN", attributes),
            &[0.2, 2.0 / 14.0, 3.0 / 13.0],
        );
    }
}
