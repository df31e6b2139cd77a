//! Element-wise functions of one tensor.

use crate::onnx::call::{Call, Item, Refusal, sizes};
use graph::DType;
use runtime::ops::binary::Function as Of2;
use runtime::ops::unary::{Function, Unary};
use runtime::ops::whole::Function as Whole;

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

/// Attribute `alpha` scales the exponential and its exponent.
pub(super) fn celu(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let alpha = call.attributes.float("alpha", 1.0)?;
    import(call, Function::Celu(alpha))
}

/// Attribute `alpha` scales the exponential, `gamma` everything.
pub(super) fn selu(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let alpha = call.attributes.float("alpha", 1.673_263_2)?;
    let gamma = call.attributes.float("gamma", 1.050_701)?;
    import(call, Function::Selu(alpha, gamma))
}

/// Attribute `alpha` is the threshold.
pub(super) fn thresholded_relu(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let threshold = call.attributes.float("alpha", 1.0)?;
    import(call, Function::ThresholdedRelu(threshold))
}

/// Attributes `lambd` and `bias`.
pub(super) fn shrink(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let limit = call.attributes.float("lambd", 0.5)?;
    let bias = call.attributes.float("bias", 0.0)?;
    import(call, Function::Shrink(limit, bias))
}

/// `max(x, 0)`.
pub(super) fn relu(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    whole_or(call, Function::Relu, |call, x, zero| {
        call.whole(Whole::Max, x, zero)
    })
}

/// `-x`.
pub(super) fn negative(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    whole_or(call, Function::Neg, |call, x, zero| {
        call.whole(Whole::Sub, zero, x)
    })
}

/// `|x|`. In unsigned types `-x` wraps and may be the larger or the smaller.
pub(super) fn absolute(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    whole_or(call, Function::Abs, |call, x, zero| {
        if is_unsigned(call.dtype(x)) {
            return Ok(x);
        }
        let negative = call.whole(Whole::Sub, zero, x)?;
        call.whole(Whole::Max, x, negative)
    })
}

/// -1, 0 or 1.
pub(super) fn sign(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    whole_or(call, Function::Sign, |call, x, _| {
        let dtype = call.dtype(x);
        let one = call.number(dtype, 1)?;
        let small = call.whole(Whole::Min, x, one)?;
        if is_unsigned(dtype) {
            return Ok(small);
        }
        let minus_one = call.number(dtype, -1)?;
        call.whole(Whole::Max, small, minus_one)
    })
}

fn is_unsigned(dtype: DType) -> bool {
    matches!(dtype, DType::U8 | DType::U16 | DType::U32 | DType::U64)
}

/// A function of floats, or what it is in whole numbers, given the operand and 0.
fn whole_or(
    call: &mut Call<'_>,
    function: Function,
    of_whole: impl Fn(&mut Call<'_>, Item, Item) -> Result<Item, Refusal>,
) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    if call.dtype(x) == DType::F32 {
        return import(call, function);
    }
    let zero = call.number(call.dtype(x), 0)?;
    Ok(vec![of_whole(call, x, zero)?])
}

/// `x` where positive, `slope * x` elsewhere. In old versions a row of slopes is one per channel.
pub(super) fn prelu(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let (x, mut slope) = (call.required(0)?, call.required(1)?);
    let row = sizes(&call.shape(slope));
    if let ([channels], true) = (&row[..], call.opset < 7) {
        let spatial = call.shape(x).rank().saturating_sub(2);
        let dims: Vec<usize> = [*channels].into_iter().chain(vec![1; spatial]).collect();
        slope = call.reshape(slope, &dims)?;
    }
    let zero = call.number(call.dtype(x), 0)?;
    let [positive, negative] = [
        call.arithmetic(Of2::Max, x, zero)?,
        call.arithmetic(Of2::Min, x, zero)?,
    ];
    let scaled = call.arithmetic(Of2::Mul, negative, slope)?;
    Ok(vec![call.arithmetic(Of2::Add, positive, scaled)?])
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
    fn whole_numbers_have_signs() {
        let of = |operator: &str| {
            Source::new(14)
                .whole(&[-3, 0, 5])
                .apply(operator, vec![])
                .folded()
                .1
        };
        assert_eq!(of("Abs"), [3, 0, 5]);
        assert_eq!(of("Neg"), [3, 0, -5]);
        assert_eq!(of("Sign"), [-1, 0, 1]);
        assert_eq!(of("Relu"), [0, 0, 5]);
    }

    #[test]
    fn slopes_may_be_per_channel() {
        let x = || Source::new(13).input(&[1, 2, 2], &[-1.0, 1.0, -2.0, 2.0]);
        let slopes = x().constant(&[2, 1], &[0.5, 2.0]).apply("PRelu", vec![]);
        assert_eq!(slopes.run().1, [-0.5, 1.0, -4.0, 2.0]);
    }

    #[test]
    fn other_types_and_missing_operators_are_refused() {
        use rten_onnx::onnx::DataType;
        let whole = Source::new(13)
            .input_of(DataType::INT32, &[2])
            .apply("Exp", vec![]);
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
