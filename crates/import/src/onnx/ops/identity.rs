//! Operators that change nothing in inference.

use crate::onnx::call::{Call, Item, Refusal};

/// The input.
pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    Ok(vec![call.required(0)?])
}

/// The input, unless the node asks for training, and a mask that keeps all of it.
pub(super) fn dropout(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let training = call.optional_constant(2, "training mode")?;
    let trains = training.is_some_and(|flag| flag.data.bytes().iter().any(|&byte| byte != 0));
    let ratio = call.constant_input(1);
    let drops_none = ratio.is_some_and(|ratio| ratio.data.bytes().iter().all(|&byte| byte == 0));
    if trains && !drops_none {
        return Err(Refusal::new(
            "it drops values at random",
            "export the model for inference",
        ));
    }
    let mut items = import(call)?;
    if call.outputs > 1 {
        let shape = call.shape(items[0]);
        call.afford(&shape)?;
        let data = graph::Data::Bool(vec![1; shape.elements()]);
        let mask = runtime::host::Tensor { shape, data };
        items.push(call.rearranged(call.name.clone(), mask));
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, float};

    #[test]
    fn nothing_is_left_of_them() {
        let source = Source::new(11).input(&[2], &[1.0, -1.0]);
        let source = source.node("Identity", &["x0"], "a", vec![]);
        let source = source.node("Dropout", &["a"], "b", vec![float("ratio", 0.5)]);
        let source = source.node("Relu", &["b"], "y", vec![]).output("y");
        assert_eq!(source.operators(), ["relu"]);
        assert_eq!(source.run().1, [1.0, 0.0]);
    }

    #[test]
    fn training_is_refused() {
        let source = Source::new(13)
            .input(&[1], &[1.0])
            .absent()
            .whole_of(&[], &[1]);
        let refusal = source.apply("Dropout", vec![]).refusal();
        assert!(
            refusal.contains("export the model for inference"),
            "{refusal}"
        );
    }
}
