//! Element-wise functions of one tensor.

use crate::onnx::call::{Call, Item, Refusal};
use runtime::ops::unary::{Function, Unary};

/// `y = function(x)`.
pub(super) fn import(call: &mut Call<'_>, function: Function) -> Result<Vec<Item>, Refusal> {
    let x = call.float(0)?;
    Ok(vec![call.push(Unary { function }, &[x])?])
}

/// Attribute `alpha` is the slope below zero.
pub(super) fn leaky_relu(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let slope = call.attributes.float("alpha", 0.01)?;
    import(call, Function::LeakyRelu(slope))
}

/// Attribute `alpha` scales the exponential.
pub(super) fn elu(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let alpha = call.attributes.float("alpha", 1.0)?;
    import(call, Function::Elu(alpha))
}

/// Attributes `alpha` and `beta` are slope and offset.
pub(super) fn hard_sigmoid(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let alpha = call.attributes.float("alpha", 0.2)?;
    let beta = call.attributes.float("beta", 0.5)?;
    import(call, Function::HardSigmoid(alpha, beta))
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, float};

    /// The values of a function at -1, 0 and 2.
    fn values(operator: &str, attributes: Vec<rten_onnx::onnx::AttributeProto>) -> Vec<f32> {
        Source::new(20)
            .input(&[3], &[-1.0, 0.0, 2.0])
            .apply(operator, attributes)
            .run()
            .1
    }

    #[test]
    fn functions_have_their_values() {
        let close = |operator: &str, expected: [f32; 3]| {
            for (value, expected) in values(operator, vec![]).into_iter().zip(expected) {
                assert!(
                    (value - expected).abs() < 1e-6,
                    "{operator}: {value}, not {expected}"
                );
            }
        };
        close("Relu", [0.0, 0.0, 2.0]);
        close("Sigmoid", [0.268_941_42, 0.5, 0.880_797]);
        close("Tanh", [-0.761_594_2, 0.0, 0.964_027_6]);
        close("HardSwish", [-1.0 / 3.0, 0.0, 5.0 / 3.0]);
        close("Exp", [0.367_879_44, 1.0, 7.389_056]);
        close("Abs", [1.0, 0.0, 2.0]);
        close("Neg", [1.0, 0.0, -2.0]);
        close("Erf", [-0.842_700_8, 0.0, 0.995_322_3]);
        close("Sign", [-1.0, 0.0, 1.0]);
        close("Softplus", [0.313_261_7, std::f32::consts::LN_2, 2.126_928]);
        close("Softsign", [-0.5, 0.0, 2.0 / 3.0]);
        close("Sin", [-0.841_471, 0.0, 0.909_297_4]);
        close("Cos", [0.540_302_3, 1.0, -0.416_146_84]);
    }

    #[test]
    fn functions_of_positive_numbers_have_their_values() {
        let values = |operator: &str| {
            Source::new(13)
                .input(&[2], &[1.0, 4.0])
                .apply(operator, vec![])
                .run()
                .1
        };
        assert_eq!(values("Sqrt"), [1.0, 2.0]);
        assert_eq!(values("Reciprocal"), [1.0, 0.25]);
        assert_eq!(values("Log"), [0.0, 1.386_294_4]);
        let halves = Source::new(13).input(&[3], &[-1.5, 0.5, 2.5]);
        assert_eq!(halves.apply("Round", vec![]).run().1, [-2.0, 0.0, 2.0]);
        let halves = Source::new(13).input(&[2], &[-1.5, 2.5]);
        assert_eq!(halves.apply("Floor", vec![]).run().1, [-2.0, 2.0]);
        let halves = Source::new(13).input(&[2], &[-1.5, 2.5]);
        assert_eq!(halves.apply("Ceil", vec![]).run().1, [-1.0, 3.0]);
    }

    #[test]
    fn attributes_have_their_defaults() {
        assert_eq!(values("LeakyRelu", vec![]), [-0.01, 0.0, 2.0]);
        assert_eq!(
            values("LeakyRelu", vec![float("alpha", 0.5)]),
            [-0.5, 0.0, 2.0]
        );
        assert_eq!(values("HardSigmoid", vec![]), [0.3, 0.5, 0.9]);
        assert_eq!(
            values("HardSigmoid", vec![float("alpha", 0.25)]),
            [0.25, 0.5, 1.0]
        );
        assert_eq!(values("Elu", vec![])[0], (-1f32).exp_m1());
        assert_eq!(
            values("Elu", vec![float("alpha", 2.0)])[0],
            2.0 * (-1f32).exp_m1()
        );
    }

    #[test]
    fn other_types_and_missing_operators_are_refused() {
        use rten_onnx::onnx::DataType;
        let whole = Source::new(13)
            .input_of(DataType::INT32, &[2])
            .apply("Abs", vec![]);
        assert!(
            whole.refusal().contains("computes with int32"),
            "{}",
            whole.refusal()
        );
        let early = Source::new(13)
            .input(&[1], &[1.0])
            .apply("HardSwish", vec![]);
        assert!(
            early.refusal().contains("since operator set 14"),
            "{}",
            early.refusal()
        );
    }
}
