//! Gelu: exact, or approximated by a hyperbolic tangent.

use crate::onnx::call::{Call, Item, Refusal};
use runtime::host::Activation;
use runtime::ops::binary::{Binary, Function as Of2};
use runtime::ops::unary::{Function, Unary};

pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.float(0)?;
    match call.attributes.text("approximate", "none")? {
        "none" => Ok(vec![call.push(
            Unary {
                function: Function::Gelu,
            },
            &[x],
        )?]),
        "tanh" => Ok(vec![tanh(call, x)?]),
        other => Err(format!("its approximation '{other}' is not known").into()),
    }
}

/// `x / 2 (1 + tanh z)` is `x sigmoid(2 z)`, with `z = sqrt(2 / pi) (x + 0.044715 x^3)`.
fn tanh(call: &mut Call<'_>, x: Item) -> Result<Item, Refusal> {
    let linear = 2.0 * (2.0 / std::f32::consts::PI).sqrt();
    let [linear, cubic] = [linear, linear * 0.044_715].map(|factor| call.floats(&[], vec![factor]));
    let (linear, cubic) = (linear?, cubic?);
    let mut apply = |function, a, b| {
        call.push(
            Binary {
                function,
                activation: Activation::None,
            },
            &[a, b],
        )
    };
    let square = apply(Of2::Mul, x, x)?;
    let scaled = apply(Of2::Mul, square, cubic)?;
    let factor = apply(Of2::Add, scaled, linear)?;
    let inner = apply(Of2::Mul, factor, x)?;
    let gate = call.push(
        Unary {
            function: Function::Sigmoid,
        },
        &[inner],
    )?;
    call.push(
        Binary {
            function: Of2::Mul,
            activation: Activation::None,
        },
        &[x, gate],
    )
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, text};

    #[test]
    fn both_forms_have_their_values() {
        let at_one = |attributes| {
            Source::new(20)
                .input(&[1], &[1.0])
                .apply("Gelu", attributes)
        };
        assert!((at_one(vec![]).run().1[0] - 0.841_344_7).abs() < 1e-6);
        let tanh = at_one(vec![text("approximate", "tanh")]).run().1[0];
        assert!((tanh - 0.841_192).abs() < 1e-6, "{tanh}");
        assert!(
            at_one(vec![text("approximate", "sign")])
                .refusal()
                .contains("'sign'")
        );
    }
}
