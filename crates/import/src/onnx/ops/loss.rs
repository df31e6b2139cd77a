//! Losses of classifiers: NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss.

use crate::onnx::call::{Call, Item, Refusal};
use runtime::ops::binary::Function as Of2;
use runtime::ops::nll::{Nll, Reduction};
use runtime::ops::reduce::Function as Fold;
use runtime::ops::unary::Function as Of1;

/// The loss of logarithms of probabilities.
pub(super) fn negative_log_likelihood(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.float(0)?;
    Ok(vec![loss(call, x)?])
}

/// The loss of scores, and the logarithms of their probabilities.
pub(super) fn softmax_cross_entropy(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let scores = call.float(0)?;
    if call.shape(scores).rank() < 2 {
        return Err(format!("{} has no classes", call.shape(scores)).into());
    }
    let largest = call.folded(Fold::Max, scores, [1, 1])?;
    let below = call.binary(Of2::Sub, scores, largest)?;
    let powers = call.unary(Of1::Exp, below)?;
    let sum = call.folded(Fold::Sum, powers, [1, 1])?;
    let logarithm = call.unary(Of1::Log, sum)?;
    let logarithms = call.binary(Of2::Sub, below, logarithm)?;
    Ok(vec![loss(call, logarithms)?, logarithms])
}

fn loss(call: &mut Call<'_>, logarithms: Item) -> Result<Item, Refusal> {
    let reduction = match call.attributes.text("reduction", "mean")? {
        "none" => Reduction::None,
        "sum" => Reduction::Sum,
        "mean" => Reduction::Mean,
        other => return Err(format!("the reduction '{other}' is not known").into()),
    };
    let ignored = match call.attributes.has("ignore_index") {
        true => Some(call.attributes.int("ignore_index", 0)?),
        false => None,
    };
    let ignored = ignored.map(i32::try_from).transpose();
    let ignored = ignored.map_err(|_| "its ignore_index does not fit 32 bits")?;
    let mut operands = vec![logarithms, call.required(1)?];
    if call.input(2).is_some() {
        operands.push(call.float(2)?);
    }
    call.push(Nll { reduction, ignored }, &operands)
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, int, text};

    #[test]
    fn losses_are_those_of_the_targets() {
        let source = || {
            let x = [-1.0, -2.0, -3.0, -4.0];
            Source::new(13).input(&[2, 2], &x).whole(&[1, 0])
        };
        let mean = source().apply("NegativeLogLikelihoodLoss", vec![]);
        assert_eq!(mean.run(), ("scalar".into(), vec![2.5]));
        let attributes = vec![text("reduction", "none"), int("ignore_index", 1)];
        let each = source().apply("NegativeLogLikelihoodLoss", attributes);
        assert_eq!(each.run(), ("2".into(), vec![0.0, 3.0]));
        let unknown = source().apply("NegativeLogLikelihoodLoss", vec![text("reduction", "max")]);
        assert!(unknown.refusal().contains("'max' is not known"));
    }

    /// Shares of 1/4 and 3/4.
    #[test]
    fn scores_become_probabilities() {
        let source = Source::new(13).input(&[1, 2], &[0.0, 3f32.ln()]);
        let source = source.whole(&[1]).apply("SoftmaxCrossEntropyLoss", vec![]);
        assert!((source.run().1[0] + 0.75f32.ln()).abs() < 1e-6);
    }
}
