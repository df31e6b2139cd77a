//! Element-wise operators of two or more tensors, of floats or of whole numbers.

use crate::onnx::call::{Call, Item, Refusal};
use graph::DType;
use runtime::ops::binary::Function;
use runtime::ops::whole::Function as Whole;

/// `c = function(a, b)`.
pub(super) fn import(call: &mut Call<'_>, function: Function) -> Result<Vec<Item>, Refusal> {
    let (a, b) = (call.required(0)?, call.required(1)?);
    let b = call.aligned(a, b)?;
    Ok(vec![call.arithmetic(function, a, b)?])
}

/// `function` over all operands in turn.
pub(super) fn variadic(call: &mut Call<'_>, function: Function) -> Result<Vec<Item>, Refusal> {
    let mut folded = call.required(0)?;
    for index in 1..call.inputs.len() {
        let next = call.required(index)?;
        folded = call.arithmetic(function, folded, next)?;
    }
    Ok(vec![folded])
}

/// The sum of all operands divided by their number.
pub(super) fn mean(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    call.float(0)?;
    let count = call.inputs.len();
    let sum = variadic(call, Function::Add)?;
    if count == 1 {
        return Ok(sum);
    }
    let count = call.floats(&[], vec![count as f32])?;
    Ok(vec![call.arithmetic(Function::Div, sum[0], count)?])
}

/// `a` to the power of `b`, in the type of `a`; whole numbers have powers of fractions, cut.
pub(super) fn power(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let (base, exponent) = (call.required(0)?, call.required(1)?);
    let exponent = call.aligned(base, exponent)?;
    let dtype = call.dtype(base);
    let common = match call.dtype(exponent) {
        DType::F32 => DType::F32,
        _ => dtype,
    };
    let (base, exponent) = (call.cast(base, common)?, call.cast(exponent, common)?);
    let power = call.arithmetic(Function::Pow, base, exponent)?;
    Ok(vec![call.cast(power, dtype)?])
}

/// The rest of a division: its sign is that of `a` with the attribute `fmod`, else that of `b`.
pub(super) fn modulo(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let (a, b) = (call.required(0)?, call.required(1)?);
    let has_sign_of_a = call.attributes.flag("fmod")?;
    if has_sign_of_a {
        return Ok(vec![call.arithmetic(Function::Remainder, a, b)?]);
    }
    if call.dtype(a) == DType::F32 {
        return Err("floats need the attribute fmod".into());
    }
    Ok(vec![call.whole(Whole::Modulo, a, b)?])
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, int};

    #[test]
    fn operators_broadcast() {
        let of = |operator: &str| {
            let source = Source::new(13)
                .input(&[2, 1], &[6.0, 8.0])
                .input(&[2], &[2.0, 4.0]);
            source.apply(operator, vec![]).run()
        };
        assert_eq!(of("Add"), ("2x2".into(), vec![8.0, 10.0, 10.0, 12.0]));
        assert_eq!(of("Sub").1, [4.0, 2.0, 6.0, 4.0]);
        assert_eq!(of("Mul").1, [12.0, 24.0, 16.0, 32.0]);
        assert_eq!(of("Div").1, [3.0, 1.5, 4.0, 2.0]);
        assert_eq!(of("Pow").1, [36.0, 1296.0, 64.0, 4096.0]);
    }

    #[test]
    fn any_number_of_operands_is_folded() {
        let of = |operator: &str| {
            let source = Source::new(13)
                .input(&[2], &[1.0, 5.0])
                .input(&[2], &[2.0, 2.0]);
            source.input(&[1], &[3.0]).apply(operator, vec![]).run().1
        };
        assert_eq!(of("Sum"), [6.0, 10.0]);
        assert_eq!(of("Mean"), [2.0, 10.0 / 3.0]);
        assert_eq!(of("Min"), [1.0, 2.0]);
        assert_eq!(of("Max"), [3.0, 5.0]);
    }

    #[test]
    fn an_exponent_may_be_whole() {
        let square = Source::new(13)
            .input(&[2], &[3.0, -2.0])
            .whole_of(&[], &[2]);
        assert_eq!(square.apply("Pow", vec![]).run().1, [9.0, 4.0]);
    }

    #[test]
    fn an_axis_of_old_versions_says_where_the_second_stands() {
        let source = Source::new(6)
            .input(&[2, 2], &[1.0, 2.0, 3.0, 4.0])
            .input(&[2], &[10.0, 20.0]);
        let sum = source.apply("Add", vec![int("broadcast", 1), int("axis", 0)]);
        assert_eq!(sum.run().1, [11.0, 12.0, 23.0, 24.0]);
    }

    #[test]
    fn rests_of_floats_have_the_sign_of_the_first() {
        let rests = || {
            Source::new(13)
                .input(&[2], &[-5.5, 5.5])
                .input(&[1], &[2.0])
        };
        assert_eq!(
            rests().apply("Mod", vec![int("fmod", 1)]).run().1,
            [-1.5, 1.5]
        );
        assert!(rests().apply("Mod", vec![]).refusal().contains("fmod"));
    }

    #[test]
    fn constants_are_folded() {
        let whole = |operator: &str| {
            let source = Source::new(13).whole(&[7, -7]).whole_of(&[], &[2]);
            source.apply(operator, vec![]).folded().1
        };
        assert_eq!(whole("Add"), [9, -5]);
        assert_eq!(whole("Div"), [3, -3]);
        assert_eq!(whole("Mod"), [1, 1]);
        assert_eq!(whole("Pow"), [49, 49]);
        let zero = Source::new(13).whole(&[7]).whole(&[0]).apply("Div", vec![]);
        assert!(zero.refusal().contains("divided by zero"));
        let float = Source::new(13)
            .constant(&[1], &[1.5])
            .constant(&[1], &[2.0]);
        let float = float.apply("Mul", vec![]);
        assert!(float.operators().is_empty());
        assert_eq!(float.run().1, [3.0]);
    }
}
