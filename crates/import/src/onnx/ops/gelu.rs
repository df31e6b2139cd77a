//! Gelu: exact, or approximated by a hyperbolic tangent.

use crate::onnx::call::{Call, Item, Refusal};
use runtime::ops::unary::{Function, Unary};

pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.float(0)?;
    let function = match call.attributes.text("approximate", "none")? {
        "none" => Function::Gelu,
        "tanh" => Function::GeluTanh,
        other => return Err(format!("its approximation '{other}' is not known").into()),
    };
    Ok(vec![call.push(Unary { function }, &[x])?])
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
