//! BatchNormalization with fixed statistics: a factor and an offset per channel.
//!
//! They are applied in channels-last form, where they are single rows `[C]`, so that they stand
//! directly behind the convolution whose weights a later pass folds them into.

use crate::onnx::call::{Call, Item, Refusal};
use crate::onnx::constant::to_f32;
use runtime::host::Activation;
use runtime::ops::binary::{Binary, Function};

pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.float(0)?;
    // Before operator set 7 an attribute said that the statistics are fixed.
    let is_fixed = call.opset >= 7 || call.attributes.flag("is_test")?;
    let trains = call.attributes.flag("training_mode")? || !is_fixed;
    if trains || call.attributes.int("spatial", 1)? != 1 {
        let reason = "it computes statistics at run time";
        return Err(Refusal::new(
            reason,
            "export the model for inference (`model.eval()`)",
        ));
    }
    let rank = call.shape(x).rank();
    if rank < 2 {
        return Err(format!("{} has no channels", call.shape(x)).into());
    }
    let channels = call.shape(x).dim(1);
    let [scale, offset, mean, variance] = statistics(call, channels)?;
    let epsilon = call.attributes.float("epsilon", 1e-5)?;
    let factors: Vec<f32> = scale
        .iter()
        .zip(&variance)
        .map(|(s, v)| s / (v + epsilon).sqrt())
        .collect();
    let offsets = (0..channels)
        .map(|c| offset[c] - mean[c] * factors[c])
        .collect();
    // Channels behind the other axes, and back.
    let last: Vec<usize> = [0].into_iter().chain(2..rank).chain([1]).collect();
    let first: Vec<usize> = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
    let mut value = call.transpose(x, last)?;
    for (function, row) in [(Function::Mul, factors), (Function::Add, offsets)] {
        let row = call.floats(&[channels], row)?;
        value = call.push(
            Binary {
                function,
                activation: Activation::None,
            },
            &[value, row],
        )?;
    }
    Ok(vec![call.transpose(value, first)?])
}

/// Scale, offset, mean and variance of every channel.
fn statistics(call: &Call<'_>, channels: usize) -> Result<[Vec<f32>; 4], Refusal> {
    let row = |index, what| -> Result<Vec<f32>, Refusal> {
        let values = to_f32(&call.required_constant(index, what)?.data);
        if values.len() == channels {
            return Ok(values);
        }
        Err(format!(
            "its {what} has {} values for {channels} channels",
            values.len()
        )
        .into())
    };
    Ok([
        row(1, "scale")?,
        row(2, "offset")?,
        row(3, "mean")?,
        row(4, "variance")?,
    ])
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, float, int};

    /// Scale 2 and 1, offset 0 and 1, mean 1 and 0, variance 3 and 0, epsilon 1.
    fn source(dims: &[i64], values: &[f32]) -> Source {
        let source = Source::new(9)
            .input(dims, values)
            .constant(&[2], &[2.0, 1.0]);
        let source = source
            .constant(&[2], &[0.0, 1.0])
            .constant(&[2], &[1.0, 0.0]);
        source.constant(&[2], &[3.0, 0.0])
    }

    #[test]
    fn each_channel_has_a_factor_and_an_offset() {
        let image = source(&[1, 2, 1, 2], &[1.0, 2.0, 3.0, 4.0]);
        let image = image.apply("BatchNormalization", vec![float("epsilon", 1.0)]);
        assert_eq!(image.run(), ("1x2x1x2".into(), vec![0.0, 1.0, 4.0, 5.0]));
        assert_eq!(image.operators(), ["transpose", "mul", "add", "transpose"]);
        let row = source(&[1, 2], &[2.0, 3.0]);
        let row = row.apply("BatchNormalization", vec![float("epsilon", 1.0)]);
        assert_eq!(row.run().1, [1.0, 4.0]);
        assert_eq!(row.operators(), ["mul", "add"]);
    }

    #[test]
    fn training_and_wrong_lengths_are_refused() {
        let old = |attributes| {
            let source = Source::new(6).input(&[1, 1], &[2.0]).constant(&[1], &[1.0]);
            let source = source.constant(&[1], &[1.0]).constant(&[1], &[0.0]);
            let source = source.constant(&[1], &[1.0]);
            source.apply("BatchNormalization", attributes)
        };
        assert!(old(vec![]).refusal().contains("model.eval()"));
        assert_eq!(
            old(vec![int("is_test", 1), float("epsilon", 0.0)]).run().1,
            [3.0]
        );
        let training = source(&[1, 2], &[2.0, 3.0]);
        let training = training.apply("BatchNormalization", vec![int("training_mode", 1)]);
        assert!(training.refusal().contains("model.eval()"));
        let three = source(&[1, 3], &[1.0; 3]).apply("BatchNormalization", vec![]);
        assert!(
            three
                .refusal()
                .contains("its scale has 2 values for 3 channels")
        );
    }
}
